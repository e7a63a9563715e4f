"""A bundle: the trained networks of one training, with what they were made of and a hash of every file.

``--bundle NAME`` -> **here** -> checked bytes of a network -> engine

A bundle is a folder. ``bundle.json`` describes it (schema 4):

======================  ==============================================================================================
``schema``              4
``name``                name of the bundle
``clavilux``            version that wrote it; ``created``: ISO date; ``command``: what was run; ``config``: full recipe
``decoder``             "painter": latents become controls, which the painter paints; "pixels": latents become pixels,
                        as in the classic recipe, with nothing of the painter in it
``kinds``               kinds of marks, in the order of the classifier of ``controls.onnx``; none for "pixels"
``descriptors``         names of the descriptors, in the order of the inputs of ``mapping.onnx``
``variation``           ``{"scale": float}``: step of a sibling, the local spread of the latents of real art (median
                        distance to the tenth neighbour, divided by 3)
``painting``            ``{"noise_std": float, "logvar_scale": float}``: the noise that this bundle paints with if
                        nothing else is said; 0 but in the classic recipe
``normalisation``       constants of the training corpus; ``descriptor_mean`` is one number for each descriptor;
                        ``song_mean``, ``song_deviation`` and ``song_weights``, where the mapping standardises, are one
                        for each number of a song code
``corpus``              sources, counts, licences; ``measures``: figures; ``parity``: PyTorch against ONNX
``files``               file name -> sha256, for every other file of the folder
======================  ==============================================================================================

========================  =============================  =============================================================
file                      input                          output
========================  =============================  =============================================================
``audio_encoder.onnx``    features (B, 20, 216), raw     z_audio and its logvar, (B, 64) each
``mapping.onnx``          song (B, 64 + D)               z_image (B, 64)
``picture_encoder.onnx``  picture (B, 3, 64, 64), 0..1   z_image and its logvar, (B, 64) each
``controls.onnx``         z_image (B, 64)                plan (B, 8, 32, 32) log-probabilities, palette (B, P) and kind
                                                         (B, K) logits, frequency, angle, chaos (B,), finish (B, 6)
``palettes.npy``          (P, 8, 3) float32 sRGB         the palettes that ``palette`` chooses from
``pixels.onnx``           z_image (B, 64)                picture (B, 3, S, S), 0..1: in the place of the last two, where
                                                         the decoder is "pixels"
========================  =============================  =============================================================

Each file is hashed from the same bytes that are then used, when it is first needed: 40 MB take 0.05 s, and painting
reads less than half of them. Weights for going on with a training (``.safetensors``) are hashed by ``clavilux bundle
verify``.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SLOTS
from clavilux.errors import BundleError
from clavilux.painter.marks import KINDS

SCHEMA = 5
SHIPPED = Path(__file__).parent / "bundles"
ENCODERS = ("audio_encoder.onnx", "mapping.onnx", "picture_encoder.onnx")
DECODERS = {"painter": "controls.onnx", "pixels": "pixels.onnx"}

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Its description is checked; a file is checked when it is read.

    Attributes
    ----------
    folder : Path
        Where it lies.
    sha256 : str
        Hash of ``bundle.json``, which holds the hash of every other file: it names the whole bundle.
    card : dict
        All of ``bundle.json``.
    name : str
    decoder : str
        "painter" or "pixels".
    kinds, descriptors : tuple of str
        In the order of the networks.
    noise_std, logvar_scale : float
        Noise that it paints with if nothing else is said.
    variation_scale : float
        Length of a sibling's step in z_image, at ``variation`` 1.
    descriptor_mean : (D,) float32
        Mean of each descriptor over the training songs, in the descriptor's unit.
    """

    folder: Path
    sha256: str
    card: dict[str, Any]
    name: str
    decoder: str
    kinds: tuple[str, ...]
    descriptors: tuple[str, ...]
    noise_std: float
    logvar_scale: float
    variation_scale: float
    descriptor_mean: Float32

    def read(self, file: str) -> bytes:
        """Return the bytes of a file of the bundle.

        Raises
        ------
        BundleError
            If the file is not listed, is missing, or is not the one that was written.
        """
        expected = self.card["files"].get(file)
        if expected is None:
            raise BundleError(f"bundle {self.folder} does not list {file} in bundle.json; export it again")
        try:
            content = (self.folder / file).read_bytes()
        except OSError as error:
            raise BundleError(
                f"bundle {self.folder} has no readable {file} ({error.strerror}); install or export it again"
            ) from error
        if hashlib.sha256(content).hexdigest() != expected:
            raise BundleError(
                f"bundle {self.folder} is damaged: {file} ({len(content)} bytes) does not have the hash that "
                f"bundle.json gives; install or export it again"
            )
        return content

    @property
    def networks(self) -> tuple[str, ...]:
        """File names of its four networks, the decoder last."""
        return (*ENCODERS, DECODERS[self.decoder])

    @cached_property
    def palettes(self) -> Float32:
        """The palettes to choose from, (P, 8, 3) float32 sRGB in [0, 1], each sorted from dark to light."""
        try:
            palettes = np.load(io.BytesIO(self.read("palettes.npy")), allow_pickle=False)
        except ValueError as error:
            raise BundleError(f"bundle {self.folder}: palettes.npy is no NumPy array: {error}") from error
        if palettes.ndim != 3 or palettes.shape[1:] != (SLOTS, 3):
            raise BundleError(f"bundle {self.folder}: palettes.npy has shape {palettes.shape}; it is (n, {SLOTS}, 3)")
        return np.asarray(palettes, np.float32)

    def verify(self) -> int:
        """Read and hash every listed file, those for training too; return the number of bytes read.

        Raises
        ------
        BundleError
            If a file is missing or damaged.
        """
        return sum(len(self.read(file)) for file in sorted(self.card["files"]))


def find_bundle(name_or_path: str | Path) -> Path:
    """Return the folder of a bundle, from the name of a shipped one or from a path.

    A shipped name wins over a folder of that name in the current directory; write ``./name`` for the folder.

    Raises
    ------
    BundleError
        If there is neither; the message lists the shipped bundles.
    """
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
    """Return the names of the bundles inside the package."""
    return sorted(card.parent.name for card in SHIPPED.glob("*/bundle.json"))


def open_bundle(name_or_path: str | Path = "default") -> Bundle:
    """Open a bundle and check its description; no network is read yet.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped bundle, or the folder of one.

    Raises
    ------
    BundleError
        If it is not found, of another schema, incomplete, or needs a newer version of Clavilux.

    Examples
    --------
    >>> open_bundle("default").kinds[:2]  # doctest: +SKIP
    ('blobs', 'strokes')
    """
    folder = find_bundle(name_or_path)
    try:
        text = (folder / "bundle.json").read_bytes()
    except OSError as error:
        raise BundleError(f"{folder} is no bundle: bundle.json cannot be read ({error.strerror})") from error
    try:
        card: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"bundle {folder} is damaged: bundle.json is no JSON ({error})") from error
    if not isinstance(card, dict) or "schema" not in card:
        raise BundleError(f"bundle {folder} is damaged: bundle.json gives no schema")
    if card["schema"] != SCHEMA:
        raise BundleError(
            f"bundle {folder} has schema {card['schema']!r} and this version of Clavilux reads schema {SCHEMA}; "
            f"install the version that wrote it ({card.get('clavilux', 'unknown')}) or export it again"
        )
    return _described(folder, hashlib.sha256(text).hexdigest(), card)


def _described(folder: Path, sha256: str, card: dict[str, Any]) -> Bundle:
    """Check the fields of ``bundle.json`` that painting uses."""

    def require(holds: bool, what: str) -> None:
        if not holds:
            raise BundleError(f"bundle {folder} is damaged: bundle.json {what}")

    for key, kind in (("name", str), ("kinds", list), ("descriptors", list), ("variation", dict), ("files", dict)):
        require(isinstance(card.get(key), kind), f"gives no {key}")
    kinds, descriptors = card["kinds"], card["descriptors"]
    scale = card["variation"].get("scale")
    require(isinstance(scale, int | float) and math.isfinite(scale) and scale > 0, "gives no positive variation.scale")
    decoder = str(card.get("decoder"))
    require(decoder in DECODERS, f"gives no decoder that is one of {', '.join(DECODERS)}")
    painter = decoder == "painter"
    require(not painter or len(kinds) > 0, "gives no kinds")
    noise = card.get("painting", {})
    for key in ("noise_std", "logvar_scale"):
        value = noise.get(key) if isinstance(noise, dict) else None
        require(
            isinstance(value, int | float) and math.isfinite(value) and value >= 0, f"gives no painting.{key} from 0 up"
        )
    require(
        all(isinstance(name, str) for name in [*kinds, *descriptors]), "gives kinds or descriptors that are no names"
    )
    files = card["files"]
    require(all(Path(file).name == file for file in files), "lists a file that is not in its own folder")
    needed = (*ENCODERS, DECODERS[decoder], *(("palettes.npy",) if painter else ()))
    missing = [file for file in needed if file not in files]
    require(not missing, f"does not list {', '.join(missing)}")
    mean = card.get("normalisation", {}).get("descriptor_mean")
    require(
        isinstance(mean, list) and len(mean) == len(descriptors) and all(isinstance(v, int | float) for v in mean),
        "does not give normalisation.descriptor_mean with one number for each descriptor",
    )
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise BundleError(
            f"bundle {folder} paints with marks that this version of Clavilux does not have ({', '.join(unknown)}); "
            f"update it"
        )
    return Bundle(
        folder=folder,
        sha256=sha256,
        card=card,
        name=card["name"],
        decoder=decoder,
        noise_std=float(noise["noise_std"]),
        logvar_scale=float(noise["logvar_scale"]),
        kinds=tuple(kinds),
        descriptors=tuple(descriptors),
        variation_scale=float(scale),
        descriptor_mean=np.asarray(mean, np.float32),
    )
