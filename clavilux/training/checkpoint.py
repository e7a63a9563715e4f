"""Write and read checkpoints: files from which an interrupted training can be resumed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from clavilux.errors import TrainingError
from clavilux.system.files import write_whole
from clavilux.training.recipe import AudioVAERecipe, ImageVAERecipe
from clavilux.training.writing import writing_to
from clavilux.version import __version__

_FORMAT = 3  # raised when older checkpoints cannot be resumed
_PARTS: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "settings": dict,
    "precision": str,
    "threads": int,
    "random": torch.Tensor,
    "task": dict,
    "averaged": dict,
    "optimizer": dict,
    "controller": (dict, type(None)),
}
# Settings that a table of a recipe has too; with epochs, the number of steps depends on the data.
RECIPE_SETTINGS = ("steps", "batch", "learning_rate", "warmup", "final_learning_rate", "ema")
_ADVICE = "remove it to train this network again, or give another folder with --run"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically and durably.

    Raises
    ------
    TrainingError
        If the folder cannot be written to; the previous checkpoint is kept.
    """
    content = io.BytesIO()  # in memory first, because PyTorch does not raise an OSError on a full disk
    torch.save({"format": _FORMAT, "clavilux": __version__, **state}, content)
    with writing_to(path.parent):
        write_whole(path, content.getvalue(), durable=True)


def load_checkpoint(path: Path, *, resume: bool, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return the state in a checkpoint, or None if there is no checkpoint.

    ``settings`` must equal the settings in the checkpoint. Only "data", the hash of the training data, may differ, and
    only if the training is finished.

    Raises
    ------
    TrainingError
        If there is a checkpoint but `resume` is false, or if the checkpoint is damaged, was written by another
        version or was made with other settings.
    """
    if not resume:
        refuse_existing(path)
    if not path.exists():
        return None
    saved = _read(path)
    changed = sorted(key for key, value in settings.items() if saved["settings"].get(key, value) != value)
    if changed == ["data"] and saved["step"] >= settings["steps"]:
        changed = []
    if changed == ["data"]:
        raise TrainingError(
            f"{path} was made from other data; resume with the folders and the --from of that run, or give another "
            "folder with --run"
        )
    _refuse_changed(path, changed or sorted(saved["settings"].keys() ^ settings.keys()))
    return saved


def precision_of(path: Path) -> str:
    """Return the number format of the training that wrote a checkpoint, "32-true" or "bf16-mixed"."""
    return str(_read(path)["precision"])


def refuse_other_recipe(path: Path, recipe: AudioVAERecipe | ImageVAERecipe) -> None:
    """Raise a `TrainingError` if a checkpoint was made with other settings than those of a table of a recipe.

    The training compares all settings when it resumes (`load_checkpoint`); this finds most differences earlier.
    Nothing happens if there is no checkpoint.
    """
    if not path.exists():
        return
    saved = _read(path)["settings"]
    names = RECIPE_SETTINGS[1:] if recipe.epochs else RECIPE_SETTINGS
    _refuse_changed(path, [name for name in names if saved.get(name) != getattr(recipe, name)])


def _refuse_changed(path: Path, names: list[str]) -> None:
    if names:
        raise TrainingError(
            f"{path} was made with other settings ({', '.join(names)}); resume with the same recipe, or give another "
            "folder with --run"
        )


def refuse_existing(path: Path) -> None:
    """Raise a `TrainingError` if ``path`` exists, so that a new training does not overwrite a checkpoint."""
    if path.exists():
        raise TrainingError(f"{path} exists; continue it with --resume, or give another folder with --run")


def mismatch(path: Path) -> TrainingError:
    """Return the error for a checkpoint whose weights do not fit the network."""
    return TrainingError(
        f"{path} contains a network of another kind or size; resume with the same recipe, or {_ADVICE}"
    )


def _read(path: Path) -> dict[str, Any]:
    damaged = TrainingError(f"{path} is not a valid checkpoint: it was truncated, damaged or overwritten; {_ADVICE}")
    # `torch.save` writes a zip file. Other files are refused here, because the reader of older formats may raise any
    # exception; checksums are compared because `torch.load` does not compare them.
    try:
        if not path.is_file():
            raise damaged
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise damaged
        saved = torch.load(path, weights_only=True, map_location="cpu")
    except TrainingError:
        raise
    except OSError as error:
        raise TrainingError(f"{path} cannot be read ({error.strerror or error}); {_ADVICE}") from error
    except Exception as error:  # a foreign pickle may raise any type
        raise damaged from error
    if not isinstance(saved, dict) or saved.get("format") != _FORMAT:
        by = f"Clavilux {saved['clavilux']}" if isinstance(saved, dict) and "clavilux" in saved else "another version"
        raise TrainingError(
            f"{path} was written by {by}, and this is Clavilux {__version__}; resume with the version that wrote it, "
            f"or {_ADVICE}"
        )
    if any(not isinstance(saved.get(name, ...), kind) for name, kind in _PARTS.items()):
        raise damaged
    return saved
