"""Faults of the user's making. Each says what was given, what is allowed and what to do, in one line."""


class ClaviluxError(Exception):
    """Base of all faults that a user can mend."""


class AudioError(ClaviluxError):
    """A file cannot be listened to."""


class PictureError(ClaviluxError):
    """A picture cannot be read, written or painted."""


class OutputError(ClaviluxError):
    """An output cannot be written, or is one of the files that are read."""


class ControlsError(ClaviluxError):
    """Controls of the painter are out of range or of the wrong shape."""


class BundleError(ClaviluxError):
    """A bundle is missing, damaged or of another schema."""


class CorpusError(ClaviluxError):
    """A source, a table or a data folder is missing or wrong."""


class RecipeError(ClaviluxError):
    """A recipe has an unknown key or a value out of range."""


class TrainingError(ClaviluxError):
    """A training cannot start or go on."""


class ClusterError(ClaviluxError):
    """A cluster cannot be reached, or its workers cannot do the work."""
