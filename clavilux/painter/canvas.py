"""A canvas: controls, size and seed as a function of place, evaluated with NumPy or compiled code.

pixels -> places -> mark field and plan -> slot and light at each place -> mean of a pixel -> sRGB

The formula is that of `clavilux.painter.paint`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import from_light, to_bytes, to_light
from clavilux.constants import SLOTS
from clavilux.painter.borders import find_borders
from clavilux.painter.controls import Controls
from clavilux.painter.dither import dither
from clavilux.painter.marks import Field, mark_field
from clavilux.painter.marks.hashing import Float32, Mask, key
from clavilux.painter.marks.place import normal_to_uniform, overlay, sum_waves
from clavilux.painter.marks.trace import record
from clavilux.painter.plan import read_plan, refine_plan
from clavilux.painter.slots import add_gumbel_noise, take_from_stack, take_highest
from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]
Positions = NDArray[np.intp]

_TILE = 65_536  # samples of a tile: large enough that two threads seldom wait for Python's lock
_MIN_CHAOS = 1e-3  # below it, softmax(log p / chaos) is the maximum within float32
_WHOLE_PIECES_FROM = 0.25  # chaos from which a piece reads the plan at its centre; below, this effect fades out
_REGIONS = 2.6  # regions of a kind and of a symmetry are about 1 / 2.6 short sides across
_SOFT_SCORES = 1.2  # temperature of the mixture of colours at softness 1
_SOFT_HEIGHT = 0.35  # the same for kinds that shade: height over which adjacent colours mix


class Canvas:
    """The function of place that controls, size and seed define.

    Parameters
    ----------
    controls : Controls
    width, height : int
        Pixels.
    seed : int
        Random seed of the marks.
    fast : module or None
        The compiled painter; None for NumPy.
    threads : int
        Number of tiles that are painted at the same time.
    """

    def __init__(
        self, controls: Controls, width: int, height: int, seed: int, fast: ModuleType | None, threads: int = 1
    ) -> None:
        self.controls, self.seed, self.threads = controls, seed, threads
        self.width, self.height, self.short = width, height, min(width, height)
        self._plan = refine_plan(controls.plan)
        self._light = to_light(controls.palette)
        self._colours = to_bytes(controls.palette)
        self._stack_chaos = max(controls.chaos, _MIN_CHAOS)
        self._soft_scores = _SOFT_SCORES * controls.softness
        self._soft_height = _SOFT_HEIGHT * controls.softness
        self._compiled = None if fast is None else self._compile(fast)

    def slots(self) -> UInt8:
        """Return the slot at the centre of each pixel, (height, width)."""
        slots = np.empty(self.width * self.height, np.uint8)

        def fill(start: int) -> None:
            self._find_slots(np.arange(start, min(start + _TILE, slots.size)), slots[start : start + _TILE])

        run_each(fill, range(0, slots.size, _TILE), self.threads)
        return slots.reshape(self.height, self.width)

    def refine_slots(self, coarse: UInt8) -> UInt8:
        """Return `slots`, from those of a canvas of half the size; only pixels next to a border are evaluated."""
        slots = coarse.repeat(2, axis=0).repeat(2, axis=1)
        row, column = np.nonzero(find_borders(coarse))
        first, square = 2 * (row * self.width + column), np.array([0, 1, self.width, self.width + 1])
        flat, step = slots.reshape(-1), _TILE // 4

        def fill(start: int) -> None:
            some = (first[start : start + step, None] + square).ravel()
            found = np.empty(some.size, np.uint8)
            self._find_slots(some, found)
            flat[some] = found

        run_each(fill, range(0, first.size, step), self.threads)
        return slots

    def mix(self, picture: UInt8, pixels: Positions | None, samples: int, slots: UInt8 | None = None) -> None:
        """Paint pixels as the mean of samples x samples places in linear light.

        Parameters
        ----------
        picture : (height, width, 3) uint8
            Receives the colours.
        pixels : (n,) int or None
            Row times width plus column; None for all pixels.
        samples : int
            Samples of a pixel each way.
        slots : (height, width) uint8, optional
            Receives the slots; needs one sample per pixel.
        """
        flat = picture.reshape(-1, 3)
        step = max(1, _TILE // samples**2)
        n = len(flat) if pixels is None else pixels.size

        def fill(start: int) -> None:
            some = np.arange(start, min(start + step, n)) if pixels is None else pixels[start : start + step]
            if self._compiled is not None:
                found = None if slots is None else slots.reshape(-1)[start : start + step]
                self._compiled.mix(picture, some, samples, found)
            else:
                slot, flat[some] = self._mean(some, samples)
                if slots is not None:
                    slots.reshape(-1)[some] = slot

        run_each(fill, range(0, n, step), self.threads)

    def mark_field(self, kind: str, x: Float32, y: Float32) -> Field:
        """Return the marks of a kind at places."""
        controls = self.controls
        return mark_field(
            kind,
            x,
            y,
            frequency=controls.frequency,
            angle=controls.angle,
            seed=self.seed,
            hold=min(1.0, controls.chaos / _WHOLE_PIECES_FROM),
        )

    def is_second(self, x: Float32, y: Float32) -> Mask:
        """Return where the second of two kinds draws."""
        return self._is_in_region("region", self.controls.second_area, x, y)

    def _find_slots(self, pixels: Positions, slots: UInt8) -> None:
        """Write the slot at the centre of each of some pixels."""
        if self._compiled is not None:
            self._compiled.find_slots(pixels, slots)
        else:
            slots[:] = self._choose(*self._places(pixels, 1))[0]

    def _mean(self, pixels: Positions, samples: int) -> tuple[UInt8, UInt8]:
        """Return the slots of all samples, and the colours of the pixels, (n, 3)."""
        slot, light = self._choose(*self._places(pixels, samples))
        if light is not None:
            mean = light.reshape(samples**2, -1, 3).mean(axis=0)
            return slot, dither(from_light(mean), pixels, width=self.width, seed=self.seed)
        if samples == 1:
            return slot, self._colours.take(slot, axis=0)
        slots = slot.reshape(samples**2, -1)
        share = np.empty((pixels.size, SLOTS), np.float32)
        for k in range(SLOTS):
            share[:, k] = (slots == k).sum(axis=0, dtype=np.uint8)  # at most 64
        share /= np.float32(samples**2)
        return slot, to_bytes(from_light(np.einsum("nk,kc->nc", share, self._light)))

    def _places(self, pixels: Positions, samples: int) -> tuple[Float32, Float32]:
        """Return the places of samples x samples in each pixel, in short sides from the centre.

        The first samples of all pixels come first.
        """
        row, column = np.divmod(pixels, self.width)
        inside = (np.arange(samples) + 0.5) / samples
        x = (column - self.width / 2 + inside[:, None]) / self.short
        y = (row - self.height / 2 + inside[:, None]) / self.short
        shape = (samples, samples, pixels.size)
        return (
            np.broadcast_to(x.astype(np.float32)[None], shape).reshape(-1),
            np.broadcast_to(y.astype(np.float32)[:, None], shape).reshape(-1),
        )

    def _choose(self, x: Float32, y: Float32) -> tuple[UInt8, Float32 | None]:
        """Return the slot at each place, (n,), and the linear light (n, 3), or None where it is that of the slot."""
        kinds = self.controls.kinds
        x, y = self._fold(x, y)
        if len(kinds) == 1 or self.controls.chaos == 0:
            return self._choose_by_kind(kinds[0], x, y)
        second = self.is_second(x, y)
        slot = np.empty(x.shape, np.uint8)
        light = np.empty((x.size, 3), np.float32) if self.controls.softness else None
        for kind, where in zip(kinds, (~second, second), strict=True):
            some = np.flatnonzero(where)
            if some.size:
                slot[some], mixed = self._choose_by_kind(kind, x[some], y[some])
                if light is not None:
                    light[some] = mixed
        return slot, light

    def _choose_by_kind(self, kind: str, x: Float32, y: Float32) -> tuple[UInt8, Float32 | None]:
        """Return `_choose` for places at which one kind draws."""
        chaos = self.controls.chaos
        if chaos == 0:
            return take_highest(self._read_plan(x, y), self._light, self._soft_scores)
        field = self.mark_field(kind, x, y)
        log_p = self._read_plan(field.x, field.y)
        if len(field.u) == 1:
            return take_from_stack(
                log_p, field.u[0], self._light, chaos=self._stack_chaos, transition=self._soft_height
            )
        return take_highest(add_gumbel_noise(log_p, field.u, chaos), self._light, self._soft_scores)

    def _read_plan(self, x: Float32, y: Float32) -> Float32:
        """Return the log-probabilities of the plan at places, (SLOTS, n)."""
        return read_plan(self._plan, x * np.float32(self.short / self.width), y * np.float32(self.short / self.height))

    def _fold(self, x: Float32, y: Float32) -> tuple[Float32, Float32]:
        """Replace places by their mirror images in the right or lower half where the picture is symmetric."""
        mirror, flip = self.controls.mirror, self.controls.flip
        if mirror:
            right = np.abs(x)
            x = overlay(self._is_in_region("mirror", mirror, right, y), right, x)
        if flip:
            below = np.abs(y)
            y = overlay(self._is_in_region("flip", flip, x, below), below, y)
        return x, y

    def _is_in_region(self, name: str, area: float, x: Float32, y: Float32) -> Mask:
        """Return whether places are in a random region that covers a share `area` of the plane."""
        slow = np.float32(_REGIONS)
        region = normal_to_uniform(sum_waves(x * slow, y * slow, self.seed, name, n=8))
        return region > np.float32(1 - area)

    def _compile(self, fast: ModuleType) -> Any:
        """Return the `Canvas` of compiled code, with regions and marks recorded as programs."""
        controls = self.controls

        def marks(kind: str) -> Callable[[Float32, Float32], Sequence[Float32]]:
            def draw(x: Float32, y: Float32) -> Sequence[Float32]:
                x, y = self._fold(x, y)
                if controls.chaos == 0:
                    return x, y
                field = self.mark_field(kind, x, y)
                return field.u, field.x, field.y

            return draw

        two = len(controls.kinds) == 2 and controls.chaos > 0
        return fast.Canvas(
            width=self.width,
            height=self.height,
            plan=self._plan,
            light=self._light,
            colours=self._colours,
            chaos=controls.chaos,
            dither_key=key(self.seed, "dither"),
            stack_chaos=self._stack_chaos,
            soft_scores=self._soft_scores,
            soft_height=self._soft_height,
            region=record(lambda x, y: [self.is_second(*self._fold(x, y))]) if two else None,
            kinds=[record(marks(kind)) for kind in (controls.kinds if two else controls.kinds[:1])],
        )
