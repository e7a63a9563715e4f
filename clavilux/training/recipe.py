"""Recipes: every number of a training, as frozen records read from TOML files of differences from `default.toml`."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from clavilux.constants import LATENT_DIM
from clavilux.errors import RecipeError
from clavilux.system.tables import read_text

Objective = Literal["kl_target", "beta"]

RECIPES = Path(__file__).parent / "recipes"

# What each number may be: from, to; 0 and more where nothing is said. Beyond the ends of a width or a count there is no
# memory for it; shares and decays end at 1, and a rate of 1 would divide by zero where `_BELOW_ONE` says so.
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**62),
    "dims": (0, LATENT_DIM),
    "steps": (0, 10**9),
    "epochs": (0, 10**6),
    "tracks": (2, 10**6),
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
    "kind_evenness": (0, 1),
    "painting_share": (0, 1),
    "structure": (0, 1),
    "temperature": (1e-3, 1e3),
    "palette_softness": (1e-3, 1e3),
    "palette_blend": (1e-3, 1e3),
    "gain_jitter_db": (0, 100),
    "jitter": (0, 1e3),
    "target_nats": (0, 1e4),
}
_LARGEST = 1e6  # of what is not in the table: weights of losses and scales of noise
_BELOW_ONE = frozenset({"ema", "dropout"})
_EIGHTS = frozenset({"width", "decoder_width"})  # normalised in eight groups


@dataclass(frozen=True)
class TrackEmbeddingRecipe:
    """Numbers of the training of the identity, which tells windows of one track from those of others."""

    dims: int
    steps: int
    tracks: int
    learning_rate: float
    warmup: int
    ema: float
    temperature: float
    jitter: float
    dropout: float


@dataclass(frozen=True)
class AudioVAERecipe:
    """Numbers of the AudioVAE's training; `default.toml` gives their reasons."""

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
    """Numbers of the training of the eye, which reads marks off pictures."""

    paintings: int
    steps: int
    batch: int
    learning_rate: float
    warmup: int
    ema: float
    width: int


@dataclass(frozen=True)
class AnalysisRecipe:
    """How pictures are cut and read."""

    abstract_windows: int
    painting_windows: int
    palettes: int
    palette_softness: float
    kind_evenness: float


@dataclass(frozen=True)
class ImageVAERecipe:
    """Numbers of the ImageVAE's training."""

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
    """How songs are carried to pictures."""

    method: Literal["look-preserving", "fused-gromov-wasserstein", "pca-match", "shuffled-pairs"]
    structure: float
    predictor_steps: int
    descent_steps: int
    correspondence_weight: float
    fill: float
    fill_features: float
    fill_correspondences: float
    rounds: int
    steady_kinds: float
    jitter: float
    mark_weight: float
    components: int
    detail_weight: float
    descriptor_weight: float
    epochs: int
    batch: int
    learning_rate: float
    patience: int


@dataclass(frozen=True)
class PaintingRecipe:
    """What the bundle paints with unless told otherwise."""

    noise_std: float
    logvar_scale: float


@dataclass(frozen=True)
class Recipe:
    """All of a training."""

    seed: int
    precision: Literal["auto", "32-true", "bf16-mixed"]
    track_embedding: TrackEmbeddingRecipe
    audio_vae: AudioVAERecipe
    mark_classifier: MarkClassifierRecipe
    analysis: AnalysisRecipe
    image_vae: ImageVAERecipe
    mapping: MappingRecipe
    painting: PaintingRecipe

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary, for writing beside the weights."""
        return dataclasses.asdict(self)


def load_recipe(name: str) -> Recipe:
    """Read a recipe by the name of a shipped one or by the path of a TOML file.

    Raises
    ------
    RecipeError
        No such recipe, no TOML or nothing in it, an unknown key, a value of the wrong type or out of range.
    """
    path = Path(name) if name.lower().endswith(".toml") else RECIPES / f"{name}.toml"
    if not os.path.lexists(path):
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise RecipeError(f"there is no recipe {name!r}; give one of {shipped}, or the path of a .toml file")
    fields = _read(RECIPES / "default.toml")
    if path != RECIPES / "default.toml":
        changes = _read(path)
        if not changes:
            raise RecipeError(f"{path}: changes nothing; name at least one key, or take `--recipe default`")
        fields = _differ(fields, changes, path.name)
    recipe = _build(Recipe, fields, path.name)
    assert isinstance(recipe, Recipe)
    return recipe


def _read(path: Path) -> dict[str, Any]:
    text = read_text(path, RecipeError)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of a number with thousands of digits it is a plain ValueError
        raise RecipeError(f"{path}: is no TOML ({str(error).splitlines()[0]})") from error


def _differ(base: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if key not in base:
            tables = [f"[{name}]" for name, known in base.items() if isinstance(known, dict) and key in known]
            near = difflib.get_close_matches(key, base, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(base))}"
            hint = f"write it below {' or '.join(tables)}" if tables else hint
            raise RecipeError(f"{where}: unknown key {key!r}; {hint}")
        if isinstance(base[key], dict):
            if not isinstance(value, dict):
                raise RecipeError(f"{where}: {key} is {_short(value)}; it is a table, written [{key}]")
            merged[key] = _differ(base[key], value, f"{where} [{key}]")
        else:
            merged[key] = value
    return merged


def _build(kind: type, fields: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, hint in hints.items():
        value = fields[key]
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            values[key] = _build(hint, value, f"{where} [{key}]")
        elif get_args(hint):
            if value not in get_args(hint):
                raise RecipeError(f"{where}: {key} is {_short(value)}; it is one of {', '.join(get_args(hint))}")
            values[key] = value
        else:
            values[key] = _check_number(key, value, hint, where)
    return kind(**values)


def _check_number(key: str, value: Any, kind: type, where: str) -> Any:
    low, high = _RANGES.get(key, (0, _LARGEST))
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and (low <= value < high or (value == high and key not in _BELOW_ONE)):
        whole = kind is not int or value == math.floor(value)
        if whole and (key not in _EIGHTS or value % 8 == 0):
            return kind(value)
    what = "a whole number" if kind is int else "a number"
    what = "a multiple of 8" if key in _EIGHTS else what
    to = f"below {high:g}" if key in _BELOW_ONE else f"to {high:g}"
    raise RecipeError(f"{where}: {key} is {_short(value)}; it is {what} from {low:g} {to}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
