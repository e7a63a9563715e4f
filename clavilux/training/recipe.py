"""Recipes: every number of a training, as frozen records read from TOML files of differences from `default.toml`."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from clavilux.errors import RecipeError

Objective = Literal["rate", "beta"]

RECIPES = Path(__file__).parent / "recipes"
_AT_LEAST_ONE = frozenset({"batch", "rounds", "components"})


@dataclass(frozen=True)
class IdentityRecipe:
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
    final_rate: float
    ema: float
    width: int
    objective: Objective
    target_nats: float
    max_beta: float
    gain_jitter_db: float
    clips_per_track: int


@dataclass(frozen=True)
class EyeRecipe:
    """Numbers of the training of the eye, which reads marks off pictures."""

    studies: int
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
    trial_temperature: float
    trial_evenness: float


@dataclass(frozen=True)
class ImageVAERecipe:
    """Numbers of the ImageVAE's training."""

    decoder: Literal["painter", "pixels", "implicit"]
    steps: int
    epochs: int
    batch: int
    learning_rate: float
    warmup: int
    final_rate: float
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
    feature_weight: float
    adversary_weight: float


@dataclass(frozen=True)
class MappingRecipe:
    """How songs are carried to pictures."""

    method: Literal["look-preserving", "fused-gromov-wasserstein", "pca-match", "shuffled-pairs"]
    structure: float
    foresight_steps: int
    descent_steps: int
    guide_weight: float
    fill: float
    fill_looks: float
    fill_guides: float
    rounds: int
    steady_kinds: float
    steady_palettes: float
    jitter: float
    eye_weight: float
    recoloured: int
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
    identity: IdentityRecipe
    audio_vae: AudioVAERecipe
    eye: EyeRecipe
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
        No such recipe, no TOML, an unknown key, a value of the wrong type or out of range.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise RecipeError(f"there is no recipe {name!r}; give one of {shipped}, or the path of a .toml file")
    fields = _read(RECIPES / "default.toml")
    if path != RECIPES / "default.toml":
        fields = _differ(fields, _read(path), path.name)
    recipe = _build(Recipe, fields, path.name)
    assert isinstance(recipe, Recipe)
    return recipe


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path.name} is no TOML: {error}") from error


def _differ(base: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        if key not in base:
            raise RecipeError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(base))}")
        if isinstance(base[key], dict):
            if not isinstance(value, dict):
                raise RecipeError(f"{where}: {key} is a table")
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
                raise RecipeError(f"{where}: {key} is {value!r}; it is one of {', '.join(get_args(hint))}")
            values[key] = value
        else:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            least = 1 if key in _AT_LEAST_ONE else 0
            if not number or (hint is int and not isinstance(value, int)) or value < least:
                raise RecipeError(
                    f"{where}: {key} is {value!r}; it is {hint.__name__}, {('zero', 'one')[least]} or more"
                )
            values[key] = hint(value)
    return kind(**values)
