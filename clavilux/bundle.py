"""Open bundles: folders of trained networks, described by the file ``bundle.json``.

``bundle.json`` also has the hash of every other file of the folder. `clavilux.card` defines its fields, and
``docs/bundle.md`` shows them as tables.

Bundles are untrusted input. A file is read only if it is a regular file inside the folder and has at most
`MAX_FILE_BYTES`. It is hashed when it is read, and only the hashed bytes are used (hashing 40 MB takes 0.05 s).
Painting does not read the weights for training (``.safetensors``).
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.card import CARD, DECODERS, ENCODERS, MAX_CARD_BYTES, NEIGHBOURS, PALETTES, read_card
from clavilux.constants import SLOTS
from clavilux.errors import BundleError
from clavilux.neighbours import Neighbours
from clavilux.painter.controls import FINISH_CORRECTIONS, Corrections
from clavilux.system.arguments import FileName, file_path
from clavilux.system.files import FIRST_VERSION, path_inside
from clavilux.system.npy import read_npy

SHIPPED = Path(__file__).parent / "bundles"
MAX_FILE_BYTES = 256_000_000  # the largest network of the shipped bundles has 4 MB

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle (a folder of trained networks) with a validated ``bundle.json``.

    The hash of any other file is checked when the file is read. In the shapes below, D is the number of song
    descriptors that the networks use.
    """

    folder: Path
    sha256: str  # of bundle.json; it identifies the bundle, because bundle.json has the hashes of all other files
    card: dict[str, Any]  # content of bundle.json
    name: str
    decoder: str  # what latents are decoded to: "painter" for controls, which the painter paints, or "pixels"
    kinds: tuple[str, ...]  # names of the kinds of marks, in the order of the output `kind` of controls.onnx
    surfaces: tuple[str, ...]  # names of the surfaces, in the order of the output `surface` of controls.onnx
    descriptors: tuple[str, ...]  # names of song descriptors, in the order of the last D inputs of mapping.onnx
    noise_std: float  # default of `clavilux.options.PaintOptions.noise_std`
    logvar_scale: float  # default of `clavilux.options.PaintOptions.logvar_scale`
    variation_scale: float  # distance between the latent of a variation and that of the main picture at `spread` 1
    descriptor_mean: Float32  # (D,): mean of each descriptor over the training songs, in the unit of the descriptor
    feature_settings: FeatureSettings  # settings of the MFCC that the networks were trained on
    # (64 + D,): standard deviation of each number of the song code (mean audio latent, then descriptors) over the
    # training songs; None if the mapping network does not standardise its input
    song_deviation: Float32 | None

    def read(self, file: str) -> bytes:
        """Return the bytes of a file of the bundle.

        Raises
        ------
        BundleError
            If ``bundle.json`` does not list the file, or the file cannot be read or has a wrong hash.
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
        return self.folder.parent == SHIPPED

    @property
    def networks(self) -> tuple[str, ...]:
        """File names of the four networks, the decoder last."""
        return (*ENCODERS, DECODERS[self.decoder])

    @property
    def finish_corrections(self) -> Corrections:
        """Corrections of the `finish` values (softness, glaze, ...) that the decoder estimates.

        The default is `clavilux.painter.controls.FINISH_CORRECTIONS`, where the corrections are explained.
        """
        corrections: Corrections = self.card.get("finish_corrections", FINISH_CORRECTIONS)
        return corrections

    @cached_property
    def palettes(self) -> Float32:
        """The codebook of P palettes, (P, 8, 3) float32 sRGB in [0, 1]; each palette is sorted from dark to light."""
        found, values = read_npy(self.read(PALETTES), "<f4")
        if values is None or values.shape[1:] != (SLOTS, 3) or len(values) == 0:
            raise BundleError(
                f"bundle {self.folder}: {PALETTES} has {found}; it is a NumPy file of shape (n, {SLOTS}, 3) and type "
                f"'<f4'; export the bundle again"
            )
        if not (values.min() >= 0 and values.max() <= 1):  # NaN fails too
            raise BundleError(
                f"bundle {self.folder}: {PALETTES} holds values that are not from 0 to 1; export the bundle again"
            )
        return values

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """Training songs and pictures among which nearest neighbours are searched; None without ``neighbours.npz``."""
        if NEIGHBOURS not in self.card["files"]:
            return None
        try:
            return Neighbours(self.read(NEIGHBOURS), self.card)
        except ValueError as error:
            raise BundleError(f"bundle {self.folder}: {NEIGHBOURS} cannot be used: {error}; export it again") from error

    def verify(self) -> int:
        """Check the hash of every listed file, and return the number of bytes that were read.

        Raises
        ------
        BundleError
            If a file is missing or damaged.
        """
        return sum(len(self.read(file)) for file in sorted(self.card["files"]))


def _find_bundle(name_or_path: FileName) -> Path:
    """Return the folder of a bundle, given the argument of `open_bundle`."""
    folder = file_path("bundle", name_or_path, fault=BundleError)
    name = name_or_path if isinstance(name_or_path, str) else str(folder)  # a Path does not keep the "./" of "./name"
    if name in shipped_bundles():
        return SHIPPED / name
    if folder.name == "bundle.json":
        folder = folder.parent
    is_folder = os.path.isdir(folder)  # Path.is_dir and Path.glob raise where a name is too long
    if folder.suffix.lower() == ".pth" or (
        is_folder and not os.path.lexists(folder / CARD) and any(folder.glob("*.pth"))
    ):
        raise BundleError(f"{folder}: {FIRST_VERSION}")
    if not is_folder:
        shipped = ", ".join(shipped_bundles()) or "none"
        raise BundleError(
            f"there is no bundle {name!r}; give the folder of a bundle, or the name of a shipped one ({shipped})"
        )
    return folder


def shipped_bundles() -> list[str]:
    """Return the names of the bundles in the package."""
    return sorted(card.parent.name for card in SHIPPED.glob("*/bundle.json"))


def open_bundle(name_or_path: FileName = "default") -> Bundle:
    """Validate the ``bundle.json`` of a bundle, and return the bundle; its networks are read when they are needed.

    Parameters
    ----------
    name_or_path : path-like
        Name of a shipped bundle, folder of a bundle, or path of its ``bundle.json``. The name of a shipped bundle takes
        precedence over a folder with that name; write ``./name`` for the folder.

    Raises
    ------
    BundleError
        If the bundle is not found, or if its ``bundle.json`` is invalid or was written for another version of Clavilux.

    Examples
    --------
    >>> open_bundle("default").kinds[:2]  # doctest: +SKIP
    ('blobs', 'strokes')
    """
    folder = _find_bundle(name_or_path)
    content = _read_regular(folder, CARD, MAX_CARD_BYTES, f"{folder} is not a bundle: bundle.json cannot be read")
    card = read_card(content, f"bundle {folder}")
    settings = card.get("config", {}).get("features")
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
        feature_settings=LIBROSA if settings is None else FeatureSettings(**settings),
        song_deviation=None if deviation is None else np.asarray(deviation, np.float32),
    )


def _read_regular(folder: Path, name: str, max_bytes: int, fault: str) -> bytes:
    """Return the content of a regular file of at most ``max_bytes``; error messages begin with ``fault``."""
    # A link in an untrusted bundle may lead anywhere. Files of shipped bundles may be links, because some installers
    # link the files of a package to a store.
    if folder.parent != SHIPPED and path_inside(folder, name) is None:
        raise BundleError(f"{fault} (it is a link out of the folder); put the file itself there")
    path = folder / name
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise BundleError(f"{fault} (it is not a regular file); install or export it again")
        if found.st_size > max_bytes:
            raise BundleError(
                f"{fault} ({found.st_size} bytes, at most {max_bytes} are read); install or export it again"
            )
        # With O_NONBLOCK, opening does not wait if another process has replaced the file by a pipe since `os.stat`.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            return file.read(found.st_size)
    except OSError as error:
        raise BundleError(f"{fault} ({error.strerror or error}); install or export it again") from error
