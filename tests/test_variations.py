"""Variations of a picture: evenly spread, the same whatever their count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import MakeSong
from numpy.typing import NDArray

from clavilux.bundle import open_bundle
from clavilux.constants import LATENT_DIM
from clavilux.directions import POOL, _find_directions, _look
from clavilux.engine import Engine
from clavilux.pipeline import Clavilux


@pytest.fixture(scope="module")
def engine(fake_bundle: Path) -> Engine:
    return Engine(open_bundle(fake_bundle))


def spacing(main: NDArray[np.float32], directions: NDArray[np.float32], engine: Engine) -> tuple[float, float]:
    """Smallest and largest distance between the looks of a picture and its first three variations."""
    step = np.float32(engine.bundle.variation_scale)
    latents = [main, *(main + step * direction for direction in directions[:3])]
    looks = np.stack([_look(latent, engine) for latent in latents])
    apart = np.linalg.norm(looks[:, None] - looks, axis=2)[np.triu_indices(4, 1)]
    return float(apart.min()), float(apart.max())


def test_variations_differ_more_evenly_than_random_ones(engine: Engine) -> None:
    chosen, random = [], []
    for number in range(12):
        rng = np.random.default_rng(number)
        main = rng.standard_normal(LATENT_DIM).astype(np.float32)
        least, most = spacing(main, _find_directions(main, engine, rng), engine)
        chosen.append((least, most))
        free = rng.standard_normal((3, LATENT_DIM)).astype(np.float32)
        random.append(spacing(main, free / np.linalg.norm(free, axis=1, keepdims=True), engine))
    least, _ = (np.array(chosen) / np.array(random)).T
    assert np.median(least) > 1.1  # no near copies
    ratio = [np.mean([b / a for a, b in pairs]) for pairs in (chosen, random)]
    assert ratio[0] < 0.75 * ratio[1]  # no jumps either


def test_directions_have_one_length_and_all_differ(engine: Engine) -> None:
    directions = _find_directions(np.zeros(LATENT_DIM, np.float32), engine, np.random.default_rng(0))
    assert directions.shape == (POOL, LATENT_DIM)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
    assert len(np.unique(directions, axis=0)) == POOL


def test_a_variation_depends_neither_on_the_count_nor_on_others(fake_bundle: Path, make_song: MakeSong) -> None:
    song, clavilux = make_song(), Clavilux(fake_bundle)
    numbers = [1, 2, 3, POOL, POOL + 1]
    together = [clavilux.z_image(song, variation=number) for number in numbers]
    for number, latent in zip(reversed(numbers), reversed(together), strict=True):
        np.testing.assert_array_equal(Clavilux(fake_bundle).z_image(song, variation=number), latent)
    painted = list(clavilux.variations(song, count=4, size=64))
    for number in (1, 2, 3):
        np.testing.assert_array_equal(painted[number].z_image, together[number - 1])
    assert len({latent.tobytes() for latent in together}) == len(numbers)


def test_spread_is_the_length_of_the_step(fake_bundle: Path, make_song: MakeSong) -> None:
    song, clavilux = make_song(), Clavilux(fake_bundle)
    main = clavilux.z_image(song)
    step, half = (clavilux.z_image(song, variation=2, spread=spread) - main for spread in (1.0, 0.5))
    np.testing.assert_allclose(half, step / 2, atol=1e-6)
    assert np.linalg.norm(step) == pytest.approx(clavilux.bundle.variation_scale, rel=1e-4)


def test_a_bundle_of_pixels_has_variations(make_song: MakeSong) -> None:
    clavilux, song = Clavilux("classic"), make_song()
    first, second = (clavilux.z_image(song, variation=number) for number in (1, 2))
    assert np.linalg.norm(first - second) > 0.5 * clavilux.bundle.variation_scale
