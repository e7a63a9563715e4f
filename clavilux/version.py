"""Version of Clavilux."""

__version__ = "0.2.0"
