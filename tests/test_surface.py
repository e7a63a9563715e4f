"""What the package shows: its public names, and that looking at it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import clavilux

PUBLIC = ["Clavilux", "ClaviluxError", "Controls", "Picture", "Song", "__version__", "paint", "read_record"]


def test_the_public_names_are_these() -> None:
    assert sorted(clavilux.__all__) == PUBLIC
    assert len(PUBLIC) <= 10


def test_every_public_name_is_there_and_documented() -> None:
    for name in PUBLIC:
        assert name in dir(clavilux)
        assert getattr(clavilux, name).__doc__


def test_public_names_are_those_of_their_modules() -> None:
    from clavilux.errors import ClaviluxError
    from clavilux.pipeline import Clavilux, paint

    assert (clavilux.Clavilux, clavilux.paint, clavilux.ClaviluxError) == (Clavilux, paint, ClaviluxError)


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'clavilux' has no attribute 'pant'"):
        _ = clavilux.pant  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_installed_package() -> None:
    assert version("clavilux") == clavilux.__version__


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import clavilux, sys; print([m for m in ('numpy', 'av', 'PIL', 'onnxruntime', 'click') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
