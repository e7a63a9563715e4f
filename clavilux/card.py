"""Schema and validation of ``bundle.json``, the description of a bundle (a folder of trained networks).

`FIELDS` and `NETWORKS` are the schema; a test compares the tables of ``docs/bundle.md`` with them. Bundles are
untrusted input, so every field that any command uses is validated here.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple

from clavilux.audio.mfcc import FMAX_RANGE_HZ, RANGE_RANGE_DB, are_settings
from clavilux.constants import (
    ENCODER_SIDE_PX,
    FINISH,
    LATENT_DIM,
    MFCC_ROWS,
    PLAN_SIDE,
    SLOTS,
    SURFACE_NAMES,
    WINDOW_FRAMES,
)
from clavilux.errors import BundleError
from clavilux.painter.marks import KINDS

SCHEMA = 7
MAX_CARD_BYTES = 4_000_000  # 200 times the size of a shipped bundle.json
MAX_FILES = 64
MAX_DEPTH = 32  # levels of nested lists and objects
ENCODERS = ("audio_encoder.onnx", "mapping.onnx", "picture_encoder.onnx")
DECODERS = {"painter": "controls.onnx", "pixels": "pixels.onnx"}
# Only bundles with the decoder "painter" need palettes.npy; neighbours.npz is optional.
CARD, PALETTES, NEIGHBOURS = "bundle.json", "palettes.npy", "neighbours.npz"

_SONG = f"{LATENT_DIM} + D"


class Network(NamedTuple):
    """Names and shapes of the input and the outputs of a network; shapes do not include the batch dimension.

    In shapes, D, P, K and F are the numbers of song descriptors, palettes, kinds of painted marks, and surfaces (such
    as gouache or collage). S is any number.
    """

    takes: str  # name of the input
    shape: tuple[int | str, ...]  # shape of the input
    gives: dict[str, tuple[int | str, ...]]  # name of each output -> its shape


NETWORKS = {
    "audio_encoder.onnx": Network(
        "features", (MFCC_ROWS, WINDOW_FRAMES), {"z_audio": (LATENT_DIM,), "logvar": (LATENT_DIM,)}
    ),
    "mapping.onnx": Network("song", (_SONG,), {"z_image": (LATENT_DIM,)}),
    "picture_encoder.onnx": Network(
        "picture", (3, ENCODER_SIDE_PX, ENCODER_SIDE_PX), {"z_image": (LATENT_DIM,), "logvar": (LATENT_DIM,)}
    ),
    "controls.onnx": Network(
        "z_image",
        (LATENT_DIM,),
        {
            "plan": (SLOTS, PLAN_SIDE, PLAN_SIDE),
            "palette": ("P",),
            "kind": ("K",),
            "surface": ("F",),
            "frequency": (),
            "angle": (),
            "chaos": (),
            "finish": (len(FINISH),),
        },
    ),
    "pixels.onnx": Network("z_image", (LATENT_DIM,), {"picture": (3, "S", "S")}),
}
"""File name of a network -> its input and outputs."""


class Kind(NamedTuple):
    """The values that are allowed for a field of ``bundle.json``."""

    words: str  # description of the values, for messages and documentation
    holds: Callable[[Any, dict[str, Any]], bool]  # whether a value is allowed, given it and the content of the file


class Field(NamedTuple):
    """A field of ``bundle.json``."""

    path: str  # names of the nested objects and of the field, with dots between them
    kind: Kind
    meaning: str
    required: bool = True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_corrections(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == set(FINISH)
        and all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in value.values())
        and all(0 <= threshold <= 0.999 and 0 <= factor <= 100 for threshold, factor in value.values())
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _number(low: float, high: float) -> Kind:
    return Kind(f"a number from {low:g} to {high:g}", lambda value, card: _is_number(value) and low <= value <= high)


def _numbers(length: int | str, low: float, high: float) -> Kind:
    def holds(value: Any, card: dict[str, Any]) -> bool:
        n_descriptors = len(card["descriptors"])
        n = {"D": n_descriptors, _SONG: LATENT_DIM + n_descriptors}.get(str(length), length)
        return isinstance(value, list) and len(value) == n and all(_is_number(v) and low <= v <= high for v in value)

    return Kind(f"a list of {length} numbers from {low:g} to {high:g}", holds)


def _names(value: Any, card: dict[str, Any]) -> bool:
    return isinstance(value, list) and all(_is_name(name) for name in value) and len(set(value)) == len(value)


def _files(value: Any, card: dict[str, Any]) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_FILES
        and all(_is_file_name(name) for name in value)
        and all(isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in value.values())
    )


def _is_file_name(name: str) -> bool:
    return _is_name(name) and not set(name) & set('/\\:*?"<>|') and not name.startswith(".") and name != CARD


_TEXT = Kind("a text", lambda value, card: isinstance(value, str))
_OBJECT = Kind("an object", lambda value, card: isinstance(value, dict))
_NAME = Kind("a printable text of 1 to 200 characters", lambda value, card: _is_name(value))
_NAMES = Kind("a list of different names", _names)
_NAMES_TO_PAINT = Kind(
    "a list of different names, at least one if the decoder is painter",
    lambda value, card: _names(value, card) and (len(value) > 0 or card["decoder"] == "pixels"),
)
_LARGE = 1e6
_PARTS = {"mean": "mean", "deviation": "standard deviation", "weights": "weight"}

FIELDS = (
    Field("schema", Kind(str(SCHEMA), lambda v, card: type(v) is int and v == SCHEMA), "version of this schema"),
    Field("name", _NAME, "name of the bundle"),
    Field("clavilux", _TEXT, "version of Clavilux that wrote the bundle", required=False),
    Field("created", _TEXT, "ISO date", required=False),
    Field("command", _TEXT, "command that trained the bundle", required=False),
    Field("config", _OBJECT, "full recipe", required=False),
    Field(
        "config.features",
        Kind(
            f"an object with fmax_hz from {FMAX_RANGE_HZ[0]:g} to {FMAX_RANGE_HZ[1]:g}, range_db from "
            f"{RANGE_RANGE_DB[0]:g} to {RANGE_RANGE_DB[1]:g}, and level, absolute or relative",
            lambda value, card: are_settings(value),
        ),
        "settings of the MFCC (`clavilux.audio.mfcc.FeatureSettings`); by default, those of librosa",
        required=False,
    ),
    Field("config.image_vae", _OBJECT, "recipe of the ImageVAE", required=False),
    Field("config.image_vae.target_nats", _number(0, _LARGE), "target KL divergence in nats", required=False),
    Field(
        "decoder",
        Kind(f"one of {', '.join(DECODERS)}", lambda value, card: isinstance(value, str) and value in DECODERS),
        "painter: latents are decoded to controls, which the painter paints; pixels: latents are decoded to "
        "pixels, as in the classic recipe",
    ),
    Field("kinds", _NAMES_TO_PAINT, "K kinds of marks, in the order of the output `kind` of `controls.onnx`"),
    Field("surfaces", _NAMES_TO_PAINT, "F surfaces, in the order of the output `surface` of `controls.onnx`"),
    Field("descriptors", _NAMES, "D descriptors, in the order of the last inputs of `mapping.onnx`"),
    Field("variation", _OBJECT, "constants of variations"),
    Field(
        "variation.scale",
        _number(1e-9, 1000),
        "length of the step to a variation: a third of the median distance from a latent of real art to its tenth "
        "nearest neighbour",
    ),
    Field("painting", _OBJECT, "default noise of painting; 0 except in the classic recipe"),
    Field("painting.noise_std", _number(0, 100), "standard deviation of the noise added to z_image"),
    Field(
        "painting.logvar_scale",
        _number(0, 100),
        "z_audio of each window is drawn with the posterior variance times this factor; with 0, z_audio is the "
        "posterior mean",
    ),
    Field(
        "finish_corrections",
        Kind(
            f"an object with a threshold from 0 to 0.999 and a factor from 0 to 100 for each of {', '.join(FINISH)}",
            lambda value, card: _are_corrections(value),
        ),
        "corrections of the output `finish` of `controls.onnx`: estimates up to the threshold become 0, larger ones "
        "are rescaled from [threshold, 1] to [0, 1] and multiplied by the factor; by default, the corrections for the "
        "shipped mark classifier",
        required=False,
    ),
    Field("normalisation", _OBJECT, "constants computed over the training corpus"),
    Field(
        "normalisation.descriptor_mean",
        _numbers("D", -_LARGE, _LARGE),
        "mean of each descriptor, in the unit of the descriptor",
    ),
    *(
        Field(
            f"normalisation.feature_{part}",
            _numbers(MFCC_ROWS, low, _LARGE),
            f"{_PARTS[part]} of each MFCC row",
            required=False,
        )
        for part, low in (("mean", -_LARGE), ("deviation", 1e-30))
    ),
    *(
        Field(
            f"normalisation.song_{part}",
            _numbers(_SONG, low, _LARGE),
            f"{_PARTS[part]} of each number of the song code, if the mapping network standardises it",
            required=False,
        )
        for part, low in (("mean", -_LARGE), ("deviation", 1e-30), ("weights", 0.0))
    ),
    Field("corpus", _OBJECT, "sources, counts and licences", required=False),
    Field("measures", _OBJECT, "measures of the trained networks", required=False),
    Field("measures.image_vae", _OBJECT, "measures of the ImageVAE", required=False),
    Field("measures.image_vae.kl_nats", _number(0, _LARGE), "KL divergence reached, in nats", required=False),
    Field("parity", _OBJECT, "largest differences between PyTorch and ONNX outputs", required=False),
    Field(
        "files",
        Kind(f"an object of at most {MAX_FILES} plain file names with their sha256 in lower case", _files),
        "name of every other file of the folder, with the SHA-256 of the file",
    ),
)
"""The fields in the order in which they are validated; other fields are kept but not used."""


def read_card(content: bytes, where: str) -> dict[str, Any]:
    """Return the parsed and validated content of ``bundle.json``.

    Parameters
    ----------
    content : bytes
        Content of the file, in UTF-8 or UTF-16.
    where : str
        Name of the bundle in messages.

    Raises
    ------
    BundleError
        If the content is not a JSON object, has another schema version, lacks a required field, does not list the file
        of a network, or has a wrong or unknown value. The message names the field or the file.
    """
    damaged = f"{where} is damaged: bundle.json"
    try:
        card: Any = json.loads(content, object_pairs_hook=_without_repetition, parse_int=_integer)
        if _depth(card) > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep")
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{damaged} is not JSON ({error}); install or export it again") from error
    if not isinstance(card, dict) or "schema" not in card:
        raise BundleError(f"{damaged} gives no schema; install or export it again")
    if not FIELDS[0].kind.holds(card["schema"], card):
        version = card.get("clavilux")
        raise BundleError(
            f"{where} has schema {_short(card['schema'])} and this version of Clavilux reads schema {SCHEMA}; install "
            f"the version that wrote it ({version if _is_name(version) else 'unknown'}), as CHANGELOG.md in the source "
            "folder says, or train it again"
        )
    for field in FIELDS:
        *parents, name = field.path.split(".")
        holder = card
        for parent in parents:
            holder = holder.get(parent, {})
        if name not in holder:
            if field.required:
                raise BundleError(f"{damaged} gives no {field.path}; it is {field.kind.words}; export the bundle again")
        elif not field.kind.holds(holder[name], card):
            raise BundleError(
                f"{damaged} gives the {field.path} {_short(holder[name])}; it is {field.kind.words}; export the bundle "
                "again"
            )
    songs = [field.path for field in FIELDS if field.path.startswith("normalisation.song_")]
    given = [path for path in songs if path.partition(".")[2] in card["normalisation"]]
    if given and given != songs:
        raise BundleError(f"{damaged} gives {', '.join(given)} alone; give all of {', '.join(songs)}, or none")
    needed = (*ENCODERS, DECODERS[card["decoder"]], *((PALETTES,) if card["decoder"] == "painter" else ()))
    missing = [file for file in needed if file not in card["files"]]
    if missing:
        raise BundleError(f"{damaged} does not list {', '.join(missing)} in files; export the bundle again")
    for names, known in (("kinds", KINDS), ("surfaces", SURFACE_NAMES)):
        unknown = [name for name in card[names] if name not in known]
        if unknown:
            raise BundleError(
                f"{where} paints with {names} that this version of Clavilux does not have "
                f"({_short(', '.join(unknown))}); update it"
            )
    return card


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name is given twice")
    return fields


def _integer(text: str) -> int:
    if len(text) > 30:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _depth(value: Any) -> int:
    """Return the number of levels of a JSON value: 1 for a number or a text, 2 for a list of numbers, and so on."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _short(value: Any) -> str:
    """Return an untrusted value as one printable line of at most 60 characters, for a message."""
    shown = value if isinstance(value, str) and _is_name(value) else reprlib.repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
