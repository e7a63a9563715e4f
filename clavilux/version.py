"""Version of Clavilux."""

__version__ = "0.1.0"
