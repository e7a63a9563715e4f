"""Read recipes, which are TOML files with the settings of a training, into frozen dataclasses.

The fields of the dataclasses have the names of the keys. `recipes/default.toml` has every key, with a comment that
describes it. Any other recipe has only the keys whose values differ from those of its base recipe. The base is
"default", unless the file names another recipe, as in ``base = "classic"``.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from clavilux.audio.mfcc import FMAX_RANGE_HZ, RANGE_RANGE_DB, FeatureSettings
from clavilux.constants import LATENT_DIM
from clavilux.errors import RecipeError
from clavilux.system.tables import read_text

Objective = Literal["kl_target", "beta"]

RECIPES = Path(__file__).parent / "recipes"

logger = logging.getLogger("clavilux")

# Allowed range of each key, both ends included; 0 to `_LARGEST` for keys that are not listed. Larger widths and counts
# would not fit into memory.
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**62),
    "fmax_hz": FMAX_RANGE_HZ,
    "range_db": RANGE_RANGE_DB,
    "dims": (0, LATENT_DIM),
    "steps": (0, 10**9),
    "epochs": (0, 10**6),
    "tracks": (2, 10**6),
    "copies": (0, 100),
    "copy_share": (0, 1),
    "batch": (1, 2**16),
    "warmup": (0, 10**9),
    "width": (8, 4_096),
    "decoder_width": (8, 4_096),
    "clips_per_track": (0, 10**6),
    "paintings": (100, 10**7),
    "abstract_windows": (1, 1_000),
    "painting_windows": (1, 1_000),
    "palettes": (2, 100_000),
    "predictor_steps": (1, 10**7),
    "descent_steps": (1, 10**7),
    "rounds": (1, 1_000),
    "components": (1, 10_000),
    "patience": (0, 10**6),
    "learning_rate": (0, 10),
    "final_learning_rate": (0, 1),
    "ema": (0, 1),
    "dropout": (0, 1),
    "painting_share": (0, 1),
    "structure": (0, 1),
    "temperature": (1e-3, 1e3),
    "palette_softness": (1e-3, 1e3),
    "palette_blend": (1e-3, 1e3),
    "gain_jitter_db": (0, 100),
    "jitter": (0, 1e3),
    "target_nats": (0, 1e4),
}
_LARGEST = 1e6  # largest value of the other keys, which are loss weights and noise scales
_BELOW_ONE = frozenset({"ema", "dropout"})  # keys whose value 1 would divide by zero
_MULTIPLES_OF_8 = frozenset({"width", "decoder_width"})  # group normalisation has eight groups


FORMER_NAMES = {
    "identity": "track_embedding",
    "eye": "mark_classifier",
    "studies": "paintings",
    "final_rate": "final_learning_rate",
    "foresight_steps": "predictor_steps",
    "guide_weight": "correspondence_weight",
    "fill_looks": "fill_features",
    "fill_guides": "fill_correspondences",
}
"""Earlier name of a key or table -> its present name; recipes with earlier names are read with a warning."""
_GONE = {
    "kind_evenness": "it is gone; [analysis.kind_shares] sets how often there is each kind of marks",
    **dict.fromkeys(
        ("mark_weight", "restarts", "recoloured", "steady_palettes", "feature_weight"),
        "it is gone without a replacement; remove it",
    ),
}


@dataclass(frozen=True)
class TrackEmbeddingRecipe:
    """The table [track_embedding] of a recipe: network and training of the track embedding."""

    dims: int
    steps: int
    tracks: int
    learning_rate: float
    warmup: int
    ema: float
    temperature: float
    jitter: float
    dropout: float
    copies: int
    copy_share: float


@dataclass(frozen=True)
class AudioVAERecipe:
    """The table [audio_vae] of a recipe: network and training of the AudioVAE."""

    steps: int
    epochs: int
    batch: int
    learning_rate: float
    warmup: int
    final_learning_rate: float
    ema: float
    width: int
    objective: Objective
    target_nats: float
    max_beta: float
    gain_jitter_db: float
    clips_per_track: int


@dataclass(frozen=True)
class MarkClassifierRecipe:
    """The table [mark_classifier] of a recipe: network and training of the mark classifier."""

    paintings: int
    steps: int
    batch: int
    learning_rate: float
    warmup: int
    ema: float
    width: int


@dataclass(frozen=True)
class KindShares:
    """The table [analysis.kind_shares]: wanted relative frequencies of the kinds of marks; their sum need not be 1."""

    blobs: float
    strokes: float
    marble: float
    scribble: float
    facets: float
    dabs: float
    glass: float
    tiles: float
    triangles: float
    hexagons: float
    weave: float
    truchet: float
    mosaic: float
    stripes: float
    bands: float
    hatching: float
    shards: float
    rings: float
    arcs: float
    spirals: float
    rays: float
    dots: float
    targets: float
    scales: float
    splatter: float
    drips: float


@dataclass(frozen=True)
class SurfaceShares:
    """The table [analysis.surface_shares]: wanted relative frequencies of the surfaces; their sum need not be 1."""

    gouache: float
    impasto: float
    drawing: float
    collage: float
    flat: float
    print: float
    layers: float


@dataclass(frozen=True)
class AnalysisRecipe:
    """The table [analysis] of a recipe: how pictures are cut into windows and analysed."""

    abstract_windows: int
    painting_windows: int
    palettes: int
    palette_softness: float
    kind_shares: KindShares
    surface_shares: SurfaceShares


@dataclass(frozen=True)
class ImageVAERecipe:
    """The table [image_vae] of a recipe: network and training of the ImageVAE."""

    decoder: Literal["painter", "pixels"]
    steps: int
    epochs: int
    batch: int
    learning_rate: float
    warmup: int
    final_learning_rate: float
    ema: float
    width: int
    decoder_width: int
    objective: Objective
    target_nats: float
    max_beta: float
    kld_weight: float
    painting_share: float
    palette_blend: float
    plan_weight: float
    palette_weight: float
    kind_weight: float
    marks_weight: float


@dataclass(frozen=True)
class MappingRecipe:
    """The table [mapping] of a recipe: how the mapping from songs to pictures is fitted."""

    method: Literal["look-preserving", "fused-gromov-wasserstein", "pca-match", "shuffled-pairs"]
    structure: float
    painting_share: float
    predictor_steps: int
    descent_steps: int
    correspondence_weight: float
    fill: float
    fill_features: float
    fill_correspondences: float
    rounds: int
    steady_kinds: float
    jitter: float
    components: int
    steadiness: float
    detail_weight: float
    descriptor_weight: float
    epochs: int
    batch: int
    learning_rate: float
    patience: int


@dataclass(frozen=True)
class PaintingRecipe:
    """The table [painting] of a recipe: default values that a bundle has for two options of `PaintOptions`."""

    noise_std: float
    logvar_scale: float


@dataclass(frozen=True)
class Recipe:
    """All settings of a training; the fields are the keys and the tables of a recipe file."""

    seed: int
    precision: Literal["auto", "32-true", "bf16-mixed"]
    features: FeatureSettings
    track_embedding: TrackEmbeddingRecipe
    audio_vae: AudioVAERecipe
    mark_classifier: MarkClassifierRecipe
    analysis: AnalysisRecipe
    image_vae: ImageVAERecipe
    mapping: MappingRecipe
    painting: PaintingRecipe


def load_recipe(name: str) -> Recipe:
    """Return a shipped recipe by its name, or a recipe from a TOML file by the path of the file.

    Raises
    ------
    RecipeError
        If there is no such recipe, the file is empty or not TOML, a key is unknown, or a value has a wrong type or is
        out of range.
    """
    path = _find(name, Path(), f"there is no recipe {name!r}")
    recipe = _build(Recipe, _load_fields(path, ()), path.name)
    assert isinstance(recipe, Recipe)
    return recipe


def _find(name: str, folder: Path, problem: str) -> Path:
    """Return the path of a recipe from its name, or from a path relative to `folder`.

    If there is no such file, the error message begins with `problem`.
    """
    path = folder / name if name.lower().endswith(".toml") else RECIPES / f"{name}.toml"
    if not os.path.lexists(path):
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        gone = ", which is gone since version 0.2" * (name == "rival")
        raise RecipeError(f"{problem}{gone}; give one of {shipped}, or the path of a .toml file")
    return path


def _load_fields(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """Return the fields of a recipe; those that it does not set are from its base.

    `extending` has the paths of the recipes that are based on this one, to detect a recipe that is its own base.
    """
    if path == RECIPES / "default.toml":
        return _read(path)
    if path.resolve() in extending:
        raise RecipeError(f"{path}: extends itself through its base; name another recipe")
    changes = _read(path)
    if not changes:
        raise RecipeError(f"{path}: changes nothing; set at least one key, or use `--recipe default`")
    base = changes.pop("base", "default")
    if not isinstance(base, str):
        raise RecipeError(f"{path}: base is {_shorten(base)}; it is the name of a recipe, or the path of a .toml file")
    source = _find(base, path.parent, f"{path}: there is no base {_shorten(base)}")
    return _merge(_load_fields(source, (*extending, path.resolve())), changes, path.name)


def _read(path: Path) -> dict[str, Any]:
    text = read_text(path, RecipeError)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number with thousands of digits raises a plain ValueError
        raise RecipeError(f"{path}: is not valid TOML ({str(error).splitlines()[0]})") from error


def _merge(base: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    """Return `base` with the values of `changes`; `where` is the file and table, for error messages."""
    merged = dict(base)
    for given, value in changes.items():
        key = given if given in base else FORMER_NAMES.get(given, given)
        if key != given and key in base:
            if key in changes:
                raise RecipeError(f"{where}: has {given!r} and {key!r}, which mean the same; remove the first")
            logger.warning("%s: %r is now called %r", where, given, key)
        if key not in base:
            inner = [name for name, known in base.items() if isinstance(known, dict) and key in known]
            tables = [_in_table(where, name)[1] for name in inner]
            near = difflib.get_close_matches(key, base, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(base))}"
            hint = _GONE.get(key) or (f"write it below {' or '.join(tables)}" if tables else hint)
            raise RecipeError(f"{where}: unknown key {key!r}; {hint}")
        if isinstance(base[key], dict):
            if not isinstance(value, dict):
                raise RecipeError(
                    f"{where}: {key} is {_shorten(value)}; it is a table, written {_in_table(where, key)[1]}"
                )
            merged[key] = _merge(base[key], value, " ".join(_in_table(where, key)))
        else:
            merged[key] = value
    if "epochs" in base and "steps" in changes and "epochs" not in changes:
        merged["epochs"] = 0  # else the epochs of the base would be used instead of the steps
    return merged


def _build(kind: type, fields: dict[str, Any], where: str) -> Any:
    """Return a dataclass of type `kind` with these fields, after a check of each value."""
    values: dict[str, Any] = {}
    for key, hint in get_type_hints(kind).items():
        value = fields[key]
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            values[key] = _build(hint, value, " ".join(_in_table(where, key)))
        elif get_args(hint):
            if value not in get_args(hint):
                raise RecipeError(f"{where}: {key} is {_shorten(value)}; it is one of {', '.join(get_args(hint))}")
            values[key] = value
        else:
            values[key] = _check_number(key, value, hint, where)
    if kind in (KindShares, SurfaceShares) and sum(share > 0 for share in values.values()) < 2:
        raise RecipeError(f"{where}: at least two shares must be above 0")
    return kind(**values)


def _in_table(where: str, key: str) -> tuple[str, str]:
    """Return the name of a recipe file, and the heading of a table ``key`` in the place that ``where`` names."""
    file, _, table = where.removesuffix("]").rpartition(" [") if where.endswith("]") else (where, "", "")
    return file, f"[{table}.{key}]" if table else f"[{key}]"


def _check_number(key: str, value: Any, kind: type, where: str) -> Any:
    """Return a value as `int` or `float`, after a check of its type and range."""
    low, high = _RANGES.get(key, (0, _LARGEST))
    step = 8 if key in _MULTIPLES_OF_8 else 1 if kind is int else 0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        inside = low <= value < high or (value == high and key not in _BELOW_ONE)
        if inside and (step == 0 or value % step == 0):
            return kind(value)
    what = {8: "a multiple of 8", 1: "a whole number", 0: "a number"}[step]
    to = f"below {high:g}" if key in _BELOW_ONE else f"to {high:g}"
    raise RecipeError(f"{where}: {key} is {_shorten(value)}; it is {what} from {low:g} {to}")


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
