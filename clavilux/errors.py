"""Errors that a user can correct: their classes. The texts are where the errors are raised.

Each text says in one line what was given, what is allowed and what to do.
"""


class ClaviluxError(Exception):
    """Base class of all errors that a user can correct."""


class AudioError(ClaviluxError):
    """A sound file or a feature file cannot be read."""


class PictureError(ClaviluxError):
    """A picture cannot be read, written or painted."""


class OutputError(ClaviluxError):
    """An output cannot be written, or is one of the files that are read."""


class ControlsError(ClaviluxError):
    """Controls of the painter are out of range or have the wrong shape."""


class BundleError(ClaviluxError):
    """A bundle is missing, damaged or has another schema version."""


class CorpusError(ClaviluxError):
    """A source, a table or a data folder is missing or wrong."""


class StudyError(ClaviluxError):
    """A listening study cannot be made, or a result of one cannot be read."""


class RecipeError(ClaviluxError):
    """A recipe has an unknown key or a value out of range."""


class TrainingError(ClaviluxError):
    """A training cannot start or continue."""


class ClusterError(ClaviluxError):
    """A cluster cannot be reached, or its workers cannot process the songs."""
