"""Choose latents for variations of a picture that differ about equally from the picture and from each other.

The latent of a variation is a short step away from the latent of the main picture. Of several steps of the same length
in random directions, some hardly change the picture and others change it completely, because the kind of marks or the
surface changes at some places of the latent space. Therefore, directions are chosen one by one from random candidates.
Each choice is the candidate whose visual distances to the main picture and to all earlier choices are closest to the
wanted distances.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.constants import FINISH, FREQUENCY_RANGE, LATENT_DIM, SURFACE_NAMES
from clavilux.engine import Engine
from clavilux.painter.marks import KINDS

Float32 = NDArray[np.float32]

POOL = 16  # number of directions that are chosen from the same candidates
_CANDIDATES = 3 * POOL
_COLOUR_SCALE = 12.0  # two pictures have distance 1 if all cells of the plan differ by this distance in CIELAB
_CHANGE = 1.15  # wanted distance of a variation to the main picture, relative to the median over random directions
_APART = 1.1  # wanted distance between two variations, relative to the wanted distance to the main picture
_SURFACE, _KIND = 0.5, 0.35  # values in the one-hot codes of a surface and of a kind of marks


class Variations:
    """Computes the latents of variations, for pictures by one bundle; caches the directions for the last picture."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._directions: tuple[Any, Float32] = None, np.empty(0, np.float32)

    def vary(self, main: Float32, key: str, number: int, spread: float) -> Float32:
        """Return the latent (64,) float32 of a variation; number 0 gives the latent ``main`` of the main picture.

        The variation is a step away from ``main``. The length of the step is ``spread`` times the ``variation_scale``
        of the bundle; its direction depends on ``main``, on the number, and on ``key``, a text that names the song.
        """
        if number == 0:
            return main
        pool, place = divmod(number - 1, POOL)
        source = (main.tobytes(), f"{key}:{pool}")
        if self._directions[0] != source:
            self._directions = source, _find_directions(main, self._engine, generator_of(source[1]))
        step = np.float32(spread * self._engine.bundle.variation_scale)
        return np.asarray(main + step * self._directions[1][place], np.float32)


def generator_of(key: str) -> np.random.Generator:
    """Return a random generator whose seed is a hash of a text."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4"))


def _find_directions(main: Float32, engine: Engine, rng: np.random.Generator) -> Float32:
    """Return unit vectors (`POOL`, 64): the directions from the main latent (64,) to its variations, in order."""
    directions = rng.standard_normal((_CANDIDATES, LATENT_DIM)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    step = np.float32(engine.bundle.variation_scale)
    looks = np.stack([_look(main + step * direction, engine) for direction in directions])
    change = np.linalg.norm(looks - _look(main, engine), axis=1)
    wanted = _CHANGE * max(float(np.median(change)), 1e-9)
    error = _log_ratio(change, wanted)  # of each candidate: the largest over all pictures that it was compared with
    chosen: list[int] = []
    while len(chosen) < POOL:
        error[chosen] = np.inf
        best = int(error.argmin())
        chosen.append(best)
        error = np.maximum(error, _log_ratio(np.linalg.norm(looks - looks[best], axis=1), _APART * wanted))
    return np.asarray(directions[chosen], np.float32)


def _log_ratio(distances: Float32, wanted: float) -> Float32:
    """Return, for each distance, the absolute logarithm of its ratio to the wanted distance."""
    return np.abs(np.log(np.maximum(distances, 1e-9) / wanted))


def _look(z_image: Float32, engine: Engine) -> Float32:
    """Return a vector (F,) float32 that describes the look of the picture of a latent; similar looks are close.

    With a painter, the vector contains the mean CIELAB colour of each cell of the plan, one-hot codes of the surface
    and of the kinds of marks, and numeric controls such as the frequency; each of these parts has its own scale. With
    the decoder "pixels", it contains the CIELAB colours of all pixels.
    """
    if engine.bundle.decoder == "pixels":
        picture = engine.decode_pixels(z_image)
        return srgb_to_lab(picture).ravel() / np.float32(_COLOUR_SCALE * len(picture))
    controls = engine.decode_controls(z_image)
    shares = np.exp(controls.plan)
    cells = np.einsum("khw,kc->hwc", shares, srgb_to_lab(controls.palette), optimize=False)
    colours = cells.ravel() / (_COLOUR_SCALE * np.sqrt(shares[0].size))
    names = np.zeros(len(SURFACE_NAMES) + 2 * len(KINDS))
    names[SURFACE_NAMES.index(controls.surface)] = _SURFACE
    for row, kind in enumerate((controls.kind, controls.second_kind or controls.kind)):
        names[len(SURFACE_NAMES) + row * len(KINDS) + KINDS.index(kind)] = _KIND
    low, high = FREQUENCY_RANGE
    numbers = [np.log(controls.frequency / low) / np.log(high / low), controls.chaos]
    numbers += [(getattr(controls, name) - low) / (high - low) for name, (low, high) in FINISH.items()]
    return np.concatenate([colours, names, numbers]).astype(np.float32)
