"""The shipped bundle is not worse than its recorded figures, within their standard errors."""

import json
from pathlib import Path

import numpy as np
import pytest
from regression import Figure, measure_regression, play_song

from clavilux.evaluation.evaluators import Space
from clavilux.painter.compiled import SWITCH

ROOT = Path(__file__).parents[1]
REFERENCE = json.loads((Path(__file__).parent / "regression.json").read_text("utf-8"))
BETTER = {"diversity": 1, "indistinguishable": -1, "same_song": 1}  # the sign of a better value


def space():
    return Space(*(np.array(REFERENCE["space"][name], np.float32) for name in ("mean", "scale")))


def is_worse(name: str, found: Figure) -> bool:
    """Return whether a figure is worse by more than two standard errors of the difference."""
    shipped = REFERENCE["figures"][name]
    return BETTER[name] * (found.value - shipped["value"]) < -2 * np.hypot(shipped["noise"], found.noise)


@pytest.fixture(scope="module")
def figures():
    files = sorted(
        path for path in (ROOT / "examples").iterdir() if path.suffix not in (".py", ".ipynb") and path.is_file()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SWITCH, "1")
        return measure_regression("default", files, space())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BETTER))
def test_the_shipped_bundle_is_as_good_as_its_recorded_figures(figures, name):
    assert not is_worse(name, figures[name]), f"{name}: {figures[name]}, shipped {REFERENCE['figures'][name]}"


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
def test_a_collapsed_bundle_is_worse(monkeypatch, figures):
    """A collapse: one picture for all songs."""
    latent = np.zeros(64, np.float32)
    monkeypatch.setattr("clavilux.engine.Engine.map_song", lambda self, code: latent + 1e-4 * np.sign(code[:64]))
    monkeypatch.setattr("regression.SONGS", 4)
    files = [ROOT / "examples" / "nocturne.flac", ROOT / "examples" / "carnival.mp3"]
    assert is_worse("diversity", measure_regression("default", files, space())["diversity"])


def test_synthesised_songs_are_reproducible_and_differ_between_seeds():
    np.testing.assert_array_equal(play_song(3), play_song(3))
    assert np.abs(play_song(3) - play_song(7)).max() > 0.01
