"""Variations of a picture: directions in the latent whose pictures differ evenly.

main latent -> candidates at the same distance -> their looks -> **here** -> directions, in order

A step of the same length in a random direction changes some pictures little and others completely, because kinds of
marks and surfaces change at borders in the latent space. Therefore directions are chosen one by one from a pool of
random directions. Each choice brings the distances to the main picture and to all earlier variations nearest to given
distances.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.constants import FINISH, FREQUENCY_RANGE, LATENT_DIM, SURFACE_NAMES
from clavilux.engine import Engine
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS

Float32 = NDArray[np.float32]

POOL = 16  # directions that are chosen together
_CANDIDATES = 3 * POOL
_JUST_VISIBLE = 12.0  # CIELAB distance over the picture that counts as much as the numbers below
_CHANGE = 1.15  # wanted change of a variation, in medians over random directions
_APART = 1.1  # wanted distance between two variations, in wanted changes
_SURFACE, _KIND = 0.5, 0.35  # distances of another surface and of another kind


class Variations:
    """Latents of the variations of songs for one bundle; the directions for the last song are cached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._directions: tuple[Any, Float32] = None, np.empty(0, np.float32)

    def vary(self, main: Float32, key: str, number: int, spread: float) -> Float32:
        """Return the latent (64,) float32 of a variation of a main latent (64,); number 0 is the main latent itself.

        The direction depends on the latent, the key (any text) and the number. ``spread`` is the distance, in units of
        the `variation_scale` of the bundle.
        """
        if number == 0:
            return main
        pool, place = divmod(number - 1, POOL)
        of = (main.tobytes(), f"{key}:{pool}")
        if self._directions[0] != of:
            self._directions = of, find_directions(main, self._engine, generator_of(of[1]))
        step = np.float32(spread * self._engine.bundle.variation_scale)
        return np.asarray(main + step * self._directions[1][place], np.float32)


def generator_of(key: str) -> np.random.Generator:
    """Return a random generator whose seed is a hash of a text."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4"))


def find_directions(main: Float32, engine: Engine, rng: np.random.Generator) -> Float32:
    """Return the directions of `POOL` variations, unit vectors (`POOL`, 64) float32, in the order of the variations.

    Parameters
    ----------
    main : (64,) float32
        Latent of the main picture.
    engine : Engine
        Engine of the bundle; its `variation_scale` is the distance at which candidates are compared.
    rng : numpy Generator
    """
    directions = rng.standard_normal((_CANDIDATES, LATENT_DIM)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    step = np.float32(engine.bundle.variation_scale)
    looks = np.stack([_look(main + step * direction, engine) for direction in directions])
    change = np.linalg.norm(looks - _look(main, engine), axis=1)
    wanted = _CHANGE * max(float(np.median(change)), 1e-9)
    fault = _ratio(change, wanted)
    chosen: list[int] = []
    while len(chosen) < POOL:
        fault[chosen] = np.inf
        best = int(fault.argmin())
        chosen.append(best)
        fault = np.maximum(fault, _ratio(np.linalg.norm(looks - looks[best], axis=1), _APART * wanted))
    return np.asarray(directions[chosen], np.float32)


def _ratio(distances: Float32, wanted: float) -> Float32:
    """Return by which factor distances are too large or too small, as a logarithm of 0 or more."""
    return np.abs(np.log(np.maximum(distances, 1e-9) / wanted))


def _look(z_image: Float32, engine: Engine) -> Float32:
    """Return the look of a latent, a vector whose distances are differences of pictures."""
    if engine.bundle.decoder == "pixels":
        picture = engine.decode_pixels(z_image)
        return srgb_to_lab(picture).ravel() / np.float32(_JUST_VISIBLE * len(picture))
    return look_of_controls(engine.decode_controls(z_image))


def look_of_controls(controls: Controls) -> Float32:
    """Return a vector (F,) float32 that describes the look of controls; distances of vectors are differences of looks.

    It has the mean CIELAB colour of each cell of the plan, codes of the surface and the kinds of marks, and the numbers
    of the controls, each block with its own scale.
    """
    shares = np.exp(controls.plan)
    cells = np.einsum("khw,kc->hwc", shares, srgb_to_lab(controls.palette), optimize=False)
    colours = cells.ravel() / (_JUST_VISIBLE * np.sqrt(shares[0].size))
    names = np.zeros(len(SURFACE_NAMES) + 2 * len(KINDS))
    names[SURFACE_NAMES.index(controls.surface)] = _SURFACE
    for row, kind in enumerate((controls.kind, controls.second_kind or controls.kind)):
        names[len(SURFACE_NAMES) + row * len(KINDS) + KINDS.index(kind)] = _KIND
    low, high = FREQUENCY_RANGE
    numbers = [np.log(controls.frequency / low) / np.log(high / low), controls.chaos]
    numbers += [(getattr(controls, name) - low) / (high - low) for name, (low, high) in FINISH.items()]
    return np.concatenate([colours, names, numbers]).astype(np.float32)
