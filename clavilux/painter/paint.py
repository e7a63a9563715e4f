"""The painter: a plan, and marks that decide what the plan leaves open.

    controls (palette, plan, kinds, frequency, angle, chaos, surface), seed -> **here** -> sRGB picture of any size

    colour(x) = palette[argmax_k  log p_k(x) + chaos * G_k(x)],      G_k(x) = -log(-log u_k(x))

p_k(x) is the plan's probability of slot k at x and u_k a mark field, uniform on (0, 1). At chaos 1 this is the
Gumbel-max trick (perturb-and-MAP, Papandreou and Yuille 2011): slot k covers the area p_k, whatever the marks look
like. At another chaos it covers softmax(log p / chaos)_k. Kinds that shade have one field for all slots, which are then
stacked from dark to light: slot k covers the places where u lies within the k-th share of the same softmax.

- *two handwritings*: a slow field, uniform and independent of the marks, says where which of two kinds draws; so shares
  stay, and a picture passes from one kind to another by the area that each has.
- *softness*: the softmax of the bids in the place of their argmax, mixed in linear light: colours pass into each other
  where the bids are close, and stay apart where they are not.
- *outlines*: lines of the darkest or the lightest colour where two slots meet, see `clavilux.painter.outline`.
- *symmetry*: where a slow field says so, a place is looked at on the other side of the middle, across, down or both:
  shapes and marks repeat as in a mirror, and a picture passes from none of it to all of it by area.
- *surface*: what one colour of paint leaves on a canvas, as noise of place: slow changes of tone (glaze) and bristles
  along the angle (brush), over the grain of the paper, see `clavilux.painter.surface`.

Every picture is a function of place. Places are counted from the middle of the picture in short sides; the plan covers
the whole picture, whatever its aspect. So a size only says where the function is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import from_light, to_light
from clavilux.constants import DEFAULT_SIZE_PX, PLAN_SIDE, SIZE_RANGE_PX, SLOTS
from clavilux.errors import PictureError
from clavilux.painter.compiled import compiled_painter
from clavilux.painter.controls import Controls
from clavilux.painter.dither import dither
from clavilux.painter.marks import Field, mark_field
from clavilux.painter.marks.chance import Float32, Mask, key
from clavilux.painter.marks.place import lay_over, normal_to_uniform
from clavilux.painter.marks.place import waves as smooth_field
from clavilux.painter.marks.trace import record
from clavilux.painter.outline import add_outlines, find_borders
from clavilux.painter.surface import add_surface
from clavilux.system.arguments import MAX_SEED, MAX_THREADS, Number, show, whole_number
from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]
Positions = NDArray[np.intp]

_TILE = 65_536  # samples at a time: large enough for two threads to hand on Python's lock seldom
_FINE = 8  # points of the read plan to a cell of the plan; between them it is straight, which no eye finds
_MIN_CHAOS = 1e-3  # below it the softmax is the maximum within float32
_WHOLE_PIECES_FROM = 0.25  # chaos from which a piece has one colour; below, it lets go of the plan by degrees
_EDGE_SAMPLES = 3  # samples a pixel each way where colours meet
_FINE_MARKS_PX = 10.0  # marks smaller than this hide between pixel centres: then every pixel is sampled finely
_SEEN_STEP = 4  # 8-bit steps: borders between colours that are nearer need no finer look
_SINGLE_FROM_PX = 2_048  # short side from which one place a pixel says well enough where outlines run
LINE_TO_MARK = 0.3  # widest line, of the length of a mark: among small marks, wide lines would leave nothing else
_REGIONS = 2.6  # two kinds share a picture in patches of about 1 / 2.6 short sides
_SOFT_BIDS = 1.2  # bids over which colours pass into each other at softness 1
_SOFT_HEIGHT = 0.35  # the same for kinds that shade, of the whole height


def paint(
    controls: Controls,
    *,
    width: Number = DEFAULT_SIZE_PX,
    height: Number = DEFAULT_SIZE_PX,
    seed: Number = 0,
    supersample: Number | None = None,
    threads: Number = 1,
) -> UInt8:
    """Paint a picture.

    Parameters
    ----------
    controls : Controls
        What to paint.
    width, height : int
        Pixels, each in `SIZE_RANGE_PX`. The same place at two sizes is the same picture.
    seed : int
        Chance of the marks, 0 or more. The same controls, seed and size give the same bytes.
    supersample : int, optional
        Samples a pixel each way, 1 to 8, averaged over the area in linear light. By default one, and 3 x 3 where
        neighbouring pixels differ or marks are smaller than ten pixels.
    threads : int
        Threads that paint side by side; the bytes are the same for any number of them.

    Returns
    -------
    (height, width, 3) uint8
        sRGB.

    Raises
    ------
    PictureError
        An argument is of another type or out of range.

    Examples
    --------
    >>> picture = paint(Controls.from_json(text), width=3000, height=4000, seed=7)  # doctest: +SKIP
    """
    width, height, seed = _check(controls, width, height, seed)
    threads = whole_number("threads", threads, 1, MAX_THREADS)
    supersample = None if supersample is None else whole_number("supersample", supersample, 1, 8)
    fast = compiled_painter(width * height)
    canvas = _Canvas(controls, width, height, seed, fast, threads)
    picture = np.empty((height, width, 3), np.uint8)
    line = min(abs(controls.outline) / 100, LINE_TO_MARK / controls.frequency)
    slots: UInt8 | None = None
    if supersample is None and canvas.short >= _FINE_MARKS_PX * controls.frequency:
        slots = np.empty((height, width), np.uint8) if line else None
        canvas.mix(picture, None, 1, slots)
        canvas.mix(picture, np.flatnonzero(_differs_from_another(picture, fast, threads)), _EDGE_SAMPLES)
    else:
        canvas.mix(picture, None, supersample or _EDGE_SAMPLES)
    if line:
        if canvas.short < _SINGLE_FROM_PX:
            slots = _Canvas(controls, 2 * width, 2 * height, seed, fast, threads).refine(slots)
        elif slots is None:
            slots = canvas.slots()
        colour = _to_bytes(controls.palette[0 if controls.outline < 0 else -1])
        add_outlines(picture, slots, width=line, colour=colour, seed=seed, fast=fast, threads=threads)
    add_surface(picture, controls, seed, fast, threads)
    return picture


def paint_slots(
    controls: Controls, *, width: Number = DEFAULT_SIZE_PX, height: Number = DEFAULT_SIZE_PX, seed: Number = 0
) -> UInt8:
    """Say which palette slot is at the middle of each pixel.

    Parameters and errors are those of `paint`.

    Returns
    -------
    (height, width) uint8
        Slots, 0 to ``SLOTS - 1``.
    """
    width, height, seed = _check(controls, width, height, seed)
    return _Canvas(controls, width, height, seed, compiled_painter(width * height)).slots()


def _check(controls: Controls, width: Number, height: Number, seed: Number) -> tuple[int, int, int]:
    if not isinstance(controls, Controls):
        raise PictureError(f"controls are {show(controls)}; make them by Clavilux.controls or Controls.from_json")
    return (
        whole_number("width", width, *SIZE_RANGE_PX),
        whole_number("height", height, *SIZE_RANGE_PX),
        whole_number("seed", seed, 0, 2 * MAX_SEED),  # that of a variation is the sum of two
    )


class _Canvas:
    """Controls, size and seed, and the function of place that they make; `fast` is the module that computes it, or None
    for NumPy."""

    def __init__(
        self, controls: Controls, width: int, height: int, seed: int, fast: ModuleType | None, threads: int = 1
    ) -> None:
        self.controls, self.seed, self.threads = controls, seed, threads
        self.width, self.height, self.short = width, height, min(width, height)
        self._plan = _refine_plan(controls.plan)
        self._light = to_light(controls.palette)
        self._colours = _to_bytes(controls.palette)
        self._compiled = None if fast is None else self._compile(fast)

    def slots(self) -> UInt8:
        """Slot at the middle of each pixel, (height, width)."""
        slots = np.empty(self.width * self.height, np.uint8)

        def fill(start: int) -> None:
            self._find(np.arange(start, min(start + _TILE, slots.size)), slots[start : start + _TILE])

        run_each(fill, range(0, slots.size, _TILE), self.threads)
        return slots.reshape(self.height, self.width)

    def refine(self, coarse: UInt8 | None) -> UInt8:
        """The same, where those at half as many places each way are known: away from their borders they stay."""
        if coarse is None:
            return self.slots()
        slots = coarse.repeat(2, axis=0).repeat(2, axis=1)
        row, column = np.nonzero(find_borders(coarse))
        first, square = 2 * (row * self.width + column), np.array([0, 1, self.width, self.width + 1])
        flat, step = slots.reshape(-1), _TILE // 4

        def fill(start: int) -> None:
            some = (first[start : start + step, None] + square).ravel()
            found = np.empty(some.size, np.uint8)
            self._find(some, found)
            flat[some] = found

        run_each(fill, range(0, first.size, step), self.threads)
        return slots

    def _find(self, pixels: Positions, slots: UInt8) -> None:
        """Write the slots of some pixels."""
        if self._compiled is not None:
            self._compiled.find_slots(pixels, slots)
        else:
            slots[:] = self.decide(*self.places(pixels, 1))[0]

    def mix(self, picture: UInt8, pixels: Positions | None, samples: int, slots: UInt8 | None = None) -> None:
        """Paint some pixels, or all, as the mean of samples x samples places, in linear light, as an eye that stands
        back mixes them. `slots` takes the slots of all pixels, where there is one sample in each."""
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

    def _mean(self, pixels: Positions, samples: int) -> tuple[UInt8, UInt8]:
        """Slots of all samples, and colours (n, 3) of the pixels."""
        slot, light = self.decide(*self.places(pixels, samples))
        if light is not None:
            return slot, self._round(light.reshape(samples**2, -1, 3).mean(axis=0), pixels)
        if samples == 1:
            return slot, self._colours.take(slot, axis=0)
        slots = slot.reshape(samples**2, -1)
        share = np.empty((pixels.size, SLOTS), np.float32)
        for k in range(SLOTS):
            share[:, k] = (slots == k).sum(axis=0, dtype=np.uint8)  # at most 64
        share /= np.float32(samples**2)
        return slot, _to_bytes(from_light(np.einsum("nk,kc->nc", share, self._light)))

    def _round(self, light: Float32, pixels: Positions) -> UInt8:
        """Mixed light (n, 3) of pixels as bytes."""
        return dither(from_light(light), pixels, width=self.width, seed=self.seed)

    def places(self, pixels: Positions, samples: int) -> tuple[Float32, Float32]:
        """Places of a grid of samples x samples in each pixel, in short sides from the middle; all pixels' first
        samples first."""
        row, column = np.divmod(pixels, self.width)
        inside = (np.arange(samples) + 0.5) / samples
        x = (column - self.width / 2 + inside[:, None]) / self.short
        y = (row - self.height / 2 + inside[:, None]) / self.short
        shape = (samples, samples, pixels.size)
        return (
            np.broadcast_to(x.astype(np.float32)[None], shape).reshape(-1),
            np.broadcast_to(y.astype(np.float32)[:, None], shape).reshape(-1),
        )

    def decide(self, x: Float32, y: Float32) -> tuple[UInt8, Float32 | None]:
        """Slot at each place, (n,), and the linear light (n, 3) there; None where that is the slot's colour."""
        kinds = self.controls.kinds
        x, y = self._fold(x, y)
        if len(kinds) == 1 or self.controls.chaos == 0:
            return self._decide(kinds[0], x, y)
        second = self._is_second(x, y)
        slot = np.empty(x.shape, np.uint8)
        light = np.empty((x.size, 3), np.float32) if self.controls.softness else None
        for kind, where in zip(kinds, (~second, second), strict=True):
            some = np.flatnonzero(where)
            if some.size:
                slot[some], lit = self._decide(kind, x[some], y[some])
                if light is not None:
                    light[some] = lit
        return slot, light

    def _fold(self, x: Float32, y: Float32) -> tuple[Float32, Float32]:
        """The same places, but for those on the other side of the middle where the picture is symmetric."""
        mirror, flip = self.controls.mirror, self.controls.flip
        if mirror:
            right = np.abs(x)
            x = lay_over(self._is_in_region("mirror", mirror, right, y), right, x)
        if flip:
            below = np.abs(y)
            y = lay_over(self._is_in_region("flip", flip, x, below), below, y)
        return x, y

    def _is_second(self, x: Float32, y: Float32) -> Mask:
        """Where the second of two kinds draws."""
        return self._is_in_region("region", self.controls.second_area, x, y)

    def _is_in_region(self, name: str, area: float, x: Float32, y: Float32) -> Mask:
        """Where a slow field says so, on an area of the picture."""
        slow = np.float32(_REGIONS)
        region = normal_to_uniform(smooth_field(x * slow, y * slow, self.seed, name, n=8))
        return region > np.float32(1 - area)

    def _field(self, kind: str, x: Float32, y: Float32) -> Field:
        """Marks of a kind at places."""
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

    def _decide(self, kind: str, x: Float32, y: Float32) -> tuple[UInt8, Float32 | None]:
        """The formula of this module for one kind of marks."""
        controls = self.controls
        if controls.chaos == 0:
            return self._settle(self._read_plan(x, y))
        field = self._field(kind, x, y)
        log_p = self._read_plan(field.x, field.y)
        if len(field.u) == 1:
            return self._stack(log_p, field.u[0])
        bids = field.u
        np.log(bids, out=bids)
        np.negative(bids, out=bids)
        np.log(bids, out=bids)
        bids *= np.float32(-controls.chaos)
        bids += log_p
        return self._settle(bids)

    def _settle(self, bids: Float32) -> tuple[UInt8, Float32 | None]:
        """The largest bid; with softness also the mixture by the softmax of all."""
        slot, best = _largest(bids)
        if not self.controls.softness:
            return slot, None
        bids -= best
        bids *= np.float32(1.0 / (_SOFT_BIDS * self.controls.softness))
        np.exp(bids, out=bids)
        light = np.zeros((slot.size, 3), np.float32)
        total = np.zeros(slot.size, np.float32)
        for weight, colour in zip(bids, self._light, strict=True):
            total += weight
            for c in range(3):
                light[:, c] += weight * colour[c]
        light /= total[:, None]
        return slot, light

    def _stack(self, log_p: Float32, height: Float32) -> tuple[UInt8, Float32 | None]:
        """Slot whose share of softmax(log p / chaos), stacked in the order of the slots, holds the height in (0, 1);
        with softness, colours pass into each other over some of the height."""
        chaos, softness = max(self.controls.chaos, _MIN_CHAOS), self.controls.softness
        p = log_p
        p -= p.max(axis=0)
        p *= np.float32(1.0 / chaos)
        np.exp(p, out=p)
        p /= p.sum(axis=0)
        slot = np.zeros(height.shape, np.uint8)
        light = np.empty((height.size, 3), np.float32) if softness else None
        if light is not None:
            light[:] = self._light[0]
        top = np.zeros_like(height)
        for k in range(SLOTS - 1):
            top += p[k]
            slot += height > top
            if light is not None:
                passed = (height - top) * np.float32(1.0 / (_SOFT_HEIGHT * softness))
                passed += np.float32(0.5)
                np.clip(passed, 0, 1, out=passed)
                for c in range(3):
                    light[:, c] += passed * (self._light[k + 1, c] - self._light[k, c])
        if light is not None:
            np.maximum(light, 0, out=light)  # black after seven steps there and back may be a rounding below it
        return slot, light

    def _compile(self, fast: ModuleType) -> Any:
        """The same for compiled code."""
        controls = self.controls

        def marks(kind: str) -> Callable[[Float32, Float32], Sequence[Float32]]:
            def draw(x: Float32, y: Float32) -> Sequence[Float32]:
                x, y = self._fold(x, y)
                if controls.chaos == 0:
                    return x, y
                field = self._field(kind, x, y)
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
            stack_chaos=max(controls.chaos, _MIN_CHAOS),
            soft_bids=_SOFT_BIDS * controls.softness,
            soft_height=_SOFT_HEIGHT * controls.softness,
            region=record(lambda x, y: [self._is_second(*self._fold(x, y))]) if two else None,
            kinds=[record(marks(kind)) for kind in (controls.kinds if two else controls.kinds[:1])],
        )

    def _read_plan(self, x: Float32, y: Float32) -> Float32:
        """(SLOTS, n) log-probabilities at places, up to a number that all slots share."""
        n = PLAN_SIDE * _FINE
        column = np.clip((x * np.float32(self.short / self.width) + np.float32(0.5)) * n, 0, np.float32(n - 0.01))
        row = np.clip((y * np.float32(self.short / self.height) + np.float32(0.5)) * n, 0, np.float32(n - 0.01))
        whole_column, whole_row = np.floor(column), np.floor(row)
        right, down = column - whole_column, row - whole_row
        at = (whole_row * (n + 1) + whole_column).astype(np.intp)
        corners = (at, at + 1, at + (n + 1), at + (n + 2))
        read = np.empty((SLOTS, x.size), np.float32)
        for plane, out in zip(self._plan, read, strict=True):
            a, b, c, d = (plane.take(corner) for corner in corners)
            b -= a
            b *= right
            b += a
            d -= c
            d *= right
            d += c
            d -= b
            d *= down
            np.add(b, d, out=out)
        return read


def _refine_plan(plan: Float32) -> Float32:
    """(SLOTS, 32, 32) logits -> (SLOTS, 257 * 257) on the points of a grid 8 times as fine, from border to border.

    Catmull-Rom splines (1974) pass through the values of the cells. Next to a steep border they overshoot, but in
    logits, where that only makes the sure side surer; B-splines, which do not, would melt single cells into their
    neighbours.
    """
    at = np.arange(PLAN_SIDE * _FINE + 1) / _FINE - 0.5  # in cells, from the middle of the first one
    base = np.floor(at).astype(np.intp)
    f = (at - base).astype(np.float32)
    taps = [
        (np.clip(base + step, 0, PLAN_SIDE - 1), weight)
        for step, weight in (
            (-1, (-f + 2 * f**2 - f**3) / 2),
            (0, (2 - 5 * f**2 + 3 * f**3) / 2),
            (1, (f + 4 * f**2 - 3 * f**3) / 2),
            (2, (f**3 - f**2) / 2),
        )
    ]
    # Sums of four in place of matrix products: no thread of a linear algebra library has a say in the last bit.
    fine = np.zeros((SLOTS, at.size, at.size), np.float32)
    part = np.empty((at.size, at.size), np.float32)
    for slot in range(SLOTS):
        columns = np.zeros((PLAN_SIDE, at.size), np.float32)
        for cells, weight in taps:
            columns += plan[slot].take(cells, axis=1) * weight
        for cells, weight in taps:
            np.multiply(columns.take(cells, axis=0), weight[:, None], out=part)
            fine[slot] += part
    return fine.reshape(SLOTS, -1)


def _largest(bids: Float32) -> tuple[UInt8, Float32]:
    """argmax over the slots, and the maximum; np.argmax along the first axis is five times as slow."""
    best = bids[0].copy()
    slot = np.zeros(best.shape, np.uint8)
    for k in range(1, SLOTS):
        wins = (bids[k] > best).view(np.uint8)
        np.maximum(best, bids[k], out=best)
        slot += wins * (np.uint8(k) - slot)
    return slot, best


def _differs_from_another(picture: UInt8, fast: ModuleType | None, threads: int) -> NDArray[np.bool_]:
    """Pixels that differ from the one to the left, right, above or below by more than `_SEEN_STEP` in a channel."""
    differs = np.zeros(picture.shape[:2], bool)
    rows = max(1, _TILE // picture.shape[1])

    def compare(top: int) -> None:
        out = differs[top : top + rows]
        if fast is not None:
            fast.find_borders(picture, top, top + len(out), np.uint8(_SEEN_STEP), differs)
            return
        block = picture[top : top + rows]
        right = _steps(block[:, 1:], block[:, :-1])
        out[:, 1:] |= right
        out[:, :-1] |= right
        block = picture[max(0, top - 1) : top + rows + 1]  # with a row more on each side, where there is one
        down = _steps(block[1:], block[:-1])
        from_above, to_below = down[: len(down) - (top + rows < len(picture))], down[min(top, 1) :]
        out[len(out) - len(from_above) :] |= from_above
        out[: len(to_below)] |= to_below

    run_each(compare, range(0, len(picture), rows), threads)
    return differs


def _steps(a: UInt8, b: UInt8) -> NDArray[np.bool_]:
    """Whether two colours are further apart than is seen, for each pixel."""
    apart = np.maximum(a, b)
    apart -= np.minimum(a, b)
    return np.asarray(np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2]) > _SEEN_STEP)


def _to_bytes(rgb: Float32) -> UInt8:
    scaled: UInt8 = np.rint(rgb * 255.0).astype(np.uint8)
    return scaled
