"""Bundles: folders with trained networks, their description and the hash of every file.

``--bundle NAME`` -> `open_bundle` -> `Bundle.read` -> verified bytes of a network

The description, ``bundle.json``, lists all other files. `clavilux.card` defines its schema, and ``docs/bundle.md``
shows it as tables.

Bundles are untrusted input. Only regular files of the folder itself are read, of at most `MAX_FILE_BYTES`. Each file is
hashed when it is first needed, from the same bytes that are then used (40 MB take 0.05 s). Weights for training
(``.safetensors``) are hashed by ``clavilux bundle verify`` and before training continues from them.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.card import CARD, DECODERS, ENCODERS, MAX_CARD_BYTES, PALETTES, read_card
from clavilux.constants import SLOTS
from clavilux.errors import BundleError
from clavilux.painter.controls import FINISH_CORRECTIONS, Corrections

SHIPPED = Path(__file__).parent / "bundles"
MAX_FILE_BYTES = 256_000_000  # the largest network that is shipped has 4 MB

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle with a validated description; the hash of a file is verified when the file is read.

    Attributes
    ----------
    folder : Path
    sha256 : str
        SHA-256 of ``bundle.json``. It identifies the bundle, because ``bundle.json`` has the hashes of all other files.
    card : dict
        Content of ``bundle.json``.
    name : str
    decoder : str
        "painter" or "pixels".
    kinds, surfaces, descriptors : tuple of str
        Kinds of marks, surfaces and descriptors, in the order of the outputs and inputs of the networks.
    noise_std, logvar_scale : float
        Default noise; see `clavilux.record.PaintOptions`.
    variation_scale : float
        Distance in z_image of a variation from the main picture, at ``spread`` 1.
    descriptor_mean : (D,) float32
        Mean of each of the D descriptors over the training songs, in its unit.
    feature_settings : FeatureSettings
        Settings of the MFCC that the networks were trained on.
    song_deviation : (64 + D,) float32 or None
        Standard deviation over songs of each number of the song code (mean z_audio, then D descriptors); None if the
        mapping does not standardise.
    """

    folder: Path
    sha256: str
    card: dict[str, Any]
    name: str
    decoder: str
    kinds: tuple[str, ...]
    surfaces: tuple[str, ...]
    descriptors: tuple[str, ...]
    noise_std: float
    logvar_scale: float
    variation_scale: float
    descriptor_mean: Float32
    feature_settings: FeatureSettings
    song_deviation: Float32 | None

    def read(self, file: str) -> bytes:
        """Return the bytes of a file of the bundle.

        Raises
        ------
        BundleError
            If the file is not listed, is missing, or has another hash.
        """
        expected = self.card["files"].get(file)
        if expected is None:
            raise BundleError(f"bundle {self.folder} does not list {file} in bundle.json; export it again")
        content = _read_regular(self.folder, file, MAX_FILE_BYTES, f"bundle {self.folder} has no readable {file}")
        if hashlib.sha256(content).hexdigest() != expected:
            raise BundleError(
                f"bundle {self.folder} is damaged: {file} ({len(content)} bytes) does not have the hash that "
                f"bundle.json gives; install or export it again"
            )
        return content

    @property
    def is_shipped(self) -> bool:
        """Whether the bundle is part of the package and therefore trusted."""
        return _is_shipped(self.folder)

    @property
    def networks(self) -> tuple[str, ...]:
        """File names of the four networks, the decoder last."""
        return (*ENCODERS, DECODERS[self.decoder])

    @property
    def finish_corrections(self) -> Corrections:
        """Corrections of the decoder's estimates of softness, glaze, brush, outline, shapes and detail.

        `clavilux.painter.controls.FINISH_CORRECTIONS` describes them.
        """
        corrections: Corrections = self.card.get("finish_corrections", FINISH_CORRECTIONS)
        return corrections

    @cached_property
    def palettes(self) -> Float32:
        """Palettes (P, 8, 3) float32, sRGB in [0, 1], each sorted from dark to light."""
        content = self.read(PALETTES)
        found, values = _read_npy(content)
        if values is None or values.shape[1:] != (SLOTS, 3) or len(values) < 1:
            raise BundleError(
                f"bundle {self.folder}: {PALETTES} has {found}; it is a NumPy file of shape (n, {SLOTS}, 3) and type "
                f"'<f4'; export the bundle again"
            )
        if not (values.min() >= 0 and values.max() <= 1):  # false of NaN too
            raise BundleError(
                f"bundle {self.folder}: {PALETTES} holds values that are not from 0 to 1; export the bundle again"
            )
        return values

    def verify(self) -> int:
        """Check the hash of every listed file and return the number of bytes read.

        Raises
        ------
        BundleError
            If a file is missing or damaged.
        """
        return sum(len(self.read(file)) for file in sorted(self.card["files"]))


def find_bundle(name_or_path: str | Path) -> Path:
    """Return the folder of a bundle, from the name of a shipped bundle or the path of a folder or of its bundle.json.

    The name of a shipped bundle takes precedence over a folder of that name; write ``./name`` for the folder.

    Raises
    ------
    BundleError
        If there is no such bundle or folder; the message lists the shipped bundles.
    """
    if not isinstance(name_or_path, str | Path):
        raise BundleError(
            f"the bundle is given as {type(name_or_path).__name__}; give the name of a shipped one or the path of a "
            "folder"
        )
    if str(name_or_path) in shipped_bundles():
        return SHIPPED / name_or_path
    folder = Path(name_or_path)
    if folder.name == "bundle.json":
        folder = folder.parent
    if not os.path.isdir(folder):  # Path.is_dir raises where a name is too long
        shipped = ", ".join(shipped_bundles()) or "none"
        raise BundleError(
            f"there is no bundle {str(name_or_path)!r}; give the folder of a bundle, or the name of a shipped one "
            f"({shipped})"
        )
    return folder


def shipped_bundles() -> list[str]:
    """Return the names of the bundles in the package."""
    return sorted(card.parent.name for card in SHIPPED.glob("*/bundle.json"))


def open_bundle(name_or_path: str | Path = "default") -> Bundle:
    """Return a bundle with a validated description; networks are read later, when they are needed.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped bundle, or the folder of one.

    Raises
    ------
    BundleError
        If it is not found, has another schema, is incomplete, or needs a newer version of Clavilux.

    Examples
    --------
    >>> open_bundle("default").kinds[:2]  # doctest: +SKIP
    ('blobs', 'strokes')
    """
    folder = find_bundle(name_or_path)
    content = _read_regular(folder, CARD, MAX_CARD_BYTES, f"{folder} is not a bundle: bundle.json cannot be read")
    card = read_card(content, f"bundle {folder}")
    deviation = card["normalisation"].get("song_deviation")
    return Bundle(
        folder=folder,
        sha256=hashlib.sha256(content).hexdigest(),
        card=card,
        name=card["name"],
        decoder=card["decoder"],
        kinds=tuple(card["kinds"]),
        surfaces=tuple(card["surfaces"]),
        descriptors=tuple(card["descriptors"]),
        noise_std=float(card["painting"]["noise_std"]),
        logvar_scale=float(card["painting"]["logvar_scale"]),
        variation_scale=float(card["variation"]["scale"]),
        descriptor_mean=np.asarray(card["normalisation"]["descriptor_mean"], np.float32),
        feature_settings=_feature_settings(card),
        song_deviation=None if deviation is None else np.asarray(deviation, np.float32),
    )


def _feature_settings(card: dict[str, Any]) -> FeatureSettings:
    given = card.get("config", {}).get("features")
    return LIBROSA if given is None else FeatureSettings(**given)


def _is_shipped(folder: Path) -> bool:
    return folder.parent == SHIPPED


def _read_regular(folder: Path, name: str, limit: int, fault: str) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Pipes, devices and larger files are not opened. ``fault`` is the beginning of the error message.
    """
    path = folder / name
    # Installers may link files of a package to their own store; links in untrusted bundles may lead anywhere.
    if not _is_shipped(folder):
        from clavilux.system.files import path_inside

        if path_inside(folder, name) is None:
            raise BundleError(f"{fault} (it is a link out of the folder); put the file itself there")
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise BundleError(f"{fault} (it is not a regular file); install or export it again")
        if found.st_size > limit:
            raise BundleError(f"{fault} ({found.st_size} bytes, at most {limit} are read); install or export it again")
        # O_NONBLOCK: if the file has been replaced by a pipe meanwhile, opening it does not wait for a writer.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            return file.read(found.st_size)
    except OSError as error:
        raise BundleError(f"{fault} ({error.strerror or error}); install or export it again") from error


# The header that np.save writes; others are refused.
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([^']{1,9})', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9, ]{0,60})\), \} *\n",
    re.DOTALL,
)


def _read_npy(content: bytes) -> tuple[str, Float32 | None]:
    """Return a description of a NumPy file, and its array if it is complete and of type float32.

    Nothing larger than the content is allocated.
    """
    header = _NPY.match(content)
    if header is None:
        return "another format", None
    descr, in_columns, sides = (part.decode("latin-1") for part in header.groups())
    shape = tuple(int(side) for side in sides.replace(",", " ").split())
    found = f"shape {shape} and type {descr!r}{', in columns' if in_columns == 'True' else ''}"
    if descr != "<f4" or in_columns == "True" or len(content) - header.end() != 4 * math.prod(shape):
        return f"{found}, in {len(content)} bytes", None
    return found, np.frombuffer(content, "<f4", offset=header.end()).reshape(shape)
