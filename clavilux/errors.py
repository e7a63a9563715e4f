"""Exception classes of errors that a user can correct.

Each message says in one line what was given, what is allowed and what to do.
"""


class ClaviluxError(Exception):
    """Base class of all errors that a user can correct."""


class AudioError(ClaviluxError):
    """A sound file or a feature file cannot be read."""


class PictureError(ClaviluxError):
    """A picture cannot be read, written or painted."""


class OutputError(ClaviluxError):
    """An output file cannot be written, or is also one of the input files."""


class OutputExistsError(OutputError, FileExistsError):
    """An output file exists already and is not replaced."""


class ControlsError(ClaviluxError):
    """Controls (the parameters from which a picture is painted) are out of range or have the wrong shape."""


class BundleError(ClaviluxError):
    """A bundle (a folder of trained networks) is missing, is damaged, or has a schema version that cannot be read."""


class CorpusError(ClaviluxError):
    """A source, a table or a folder of training data is missing or wrong."""


class StudyError(ClaviluxError):
    """A listening study cannot be made, or its results cannot be read."""


class RecipeError(ClaviluxError):
    """A recipe (the settings of a training) has an unknown key or a value out of range."""


class TrainingError(ClaviluxError):
    """Training cannot start or continue."""


class ClusterError(ClaviluxError):
    """A cluster cannot be reached, or its workers cannot process the songs."""


class MissingExtraError(ClaviluxError, ModuleNotFoundError):
    """A package that an extra of Clavilux installs is missing."""
