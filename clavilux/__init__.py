"""Paint abstract pictures of songs.

>>> import clavilux
>>> picture = clavilux.paint("nocturne.flac", size=2048, seed=7)  # doctest: +SKIP
>>> picture.save("nocturne.png")  # doctest: +SKIP

Public names are imported on first use, so that ``import clavilux`` is fast.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from clavilux.version import __version__

# Newer versions of onnxruntime (such as 1.32) write an identity of the machine into the home folder and report to its
# maker, unless this is set before they are imported. A value that the user has set is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from clavilux.audio.song import Song
    from clavilux.errors import (
        AudioError,
        BundleError,
        ClaviluxError,
        ControlsError,
        MissingExtraError,
        PictureError,
    )
    from clavilux.options import PaintOptions
    from clavilux.painter.controls import Controls
    from clavilux.painting import Pictures, paint
    from clavilux.picture import Picture
    from clavilux.picture_file import read_record
    from clavilux.pipeline import Clavilux
    from clavilux.steering import Steering

__all__ = [
    "AudioError",
    "BundleError",
    "Clavilux",
    "ClaviluxError",
    "Controls",
    "ControlsError",
    "MissingExtraError",
    "PaintOptions",
    "Picture",
    "PictureError",
    "Pictures",
    "Song",
    "Steering",
    "__version__",
    "paint",
    "read_record",
]

_HOMES = {
    "Clavilux": "clavilux.pipeline",
    "Controls": "clavilux.painter.controls",
    "PaintOptions": "clavilux.options",
    "Picture": "clavilux.picture",
    "Pictures": "clavilux.painting",
    "Song": "clavilux.audio.song",
    "Steering": "clavilux.steering",
    "paint": "clavilux.painting",
    "read_record": "clavilux.picture_file",
}  # name -> module; all other names are errors


_METHODS = {name: name for name in ("variations", "repaint", "read_song", "controls", "z_image")} | {
    "listen": "read_song",
    "siblings": "variations",
}  # name that users look for here -> method


def __getattr__(name: str) -> Any:
    if name not in __all__:
        hint = f"; Clavilux().{_METHODS[name]} does this" if name in _METHODS else ""
        if name in ("AudioVAE", "ImageVAE", "MappingNetwork"):
            hint = f"; write: from clavilux.models import {name}"
        raise AttributeError(f"module 'clavilux' has no attribute {name!r}{hint}")
    return getattr(import_module(_HOMES.get(name, "clavilux.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
