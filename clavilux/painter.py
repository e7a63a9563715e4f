"""The painter: a plan, and marks that decide what the plan leaves open.

    controls (palette, plan, kind, frequency, angle, chaos), seed -> **here** -> sRGB picture of any size

    colour(x) = palette[argmax_k  log p_k(x) + chaos * G_k(x)],      G_k(x) = -log(-log u_k(x))

p_k(x) is the plan's probability of slot k at x and u_k a mark field, uniform on (0, 1). At chaos 1 this is the
Gumbel-max trick (perturb-and-MAP, Papandreou and Yuille 2011): slot k covers the area p_k, whatever the marks look
like. At another chaos it covers softmax(log p / chaos)_k. Kinds that shade have one field for all slots, which are then
stacked from dark to light: slot k covers the places where u lies within the k-th share of the same softmax.

Every picture is a function of place. Places are counted from the middle of the picture in short sides; the plan covers
the whole picture, whatever its aspect. So a size only says where the function is looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import DEFAULT_SIZE_PX, PLAN_SIDE, SIZE_RANGE_PX, SLOTS
from clavilux.controls import Controls
from clavilux.errors import PictureError
from clavilux.marks import mark_field
from clavilux.marks.chance import Float32, cell_hash, unit
from clavilux.threads import run_each

UInt8 = NDArray[np.uint8]
Positions = NDArray[np.intp]

_TILE = 65_536  # samples at a time: large enough for two threads to hand on Python's lock seldom
_FINE = 8  # points of the read plan to a cell of the plan; between them it is straight, which no eye finds
_MIN_CHAOS = 1e-3  # below it the softmax is the maximum within float32
_WHOLE_PIECES_FROM = 0.25  # chaos from which a piece has one colour; below, it lets go of the plan by degrees
_EDGE_SAMPLES = 3  # samples a pixel each way where colours meet
_FINE_MARKS_PX = 10.0  # marks smaller than this hide between pixel centres: then every pixel is sampled finely
_GRAIN_CELLS = (640, 2560)  # cells of the paper along the short side: felt at 1024 pixels, and in print
_GRAIN = 1.2  # deviation of each grain, in 8-bit steps: the hand feels it, the eye does not see dots
_EASED_DEVIATION = 0.2144  # deviation of value noise between values that are uniform on an interval of length 1


def paint(
    controls: Controls,
    *,
    width: int = DEFAULT_SIZE_PX,
    height: int = DEFAULT_SIZE_PX,
    seed: int = 0,
    supersample: int | None = None,
    threads: int = 1,
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
        A size, the seed or the number of samples is out of range.

    Examples
    --------
    >>> picture = paint(Controls.from_json(text), width=3000, height=4000, seed=7)  # doctest: +SKIP
    """
    if supersample is not None and not 1 <= supersample <= 8:
        raise PictureError(f"supersample is {supersample}; it lies between 1 and 8, or is None")
    canvas = _Canvas(controls, width, height, seed, threads)
    if supersample is None and canvas.short >= _FINE_MARKS_PX * controls.frequency:
        slots = canvas.slots()
        picture = _to_bytes(controls.palette)[slots]
        _mix(picture, canvas, np.flatnonzero(_meets_another(slots)), _EDGE_SAMPLES)
    elif supersample == 1:
        picture = _to_bytes(controls.palette)[canvas.slots()]
    else:
        picture = np.empty((height, width, 3), np.uint8)
        _mix(picture, canvas, np.arange(width * height), supersample or _EDGE_SAMPLES)
    _add_grain(picture, seed, threads)
    return picture


def paint_slots(
    controls: Controls, *, width: int = DEFAULT_SIZE_PX, height: int = DEFAULT_SIZE_PX, seed: int = 0
) -> UInt8:
    """Say which palette slot is at the middle of each pixel.

    Parameters and errors are those of `paint`.

    Returns
    -------
    (height, width) uint8
        Slots, 0 to ``SLOTS - 1``.
    """
    return _Canvas(controls, width, height, seed).slots()


class _Canvas:
    """Controls, size and seed, and the function of place that they make."""

    def __init__(self, controls: Controls, width: int, height: int, seed: int, threads: int = 1) -> None:
        low, high = SIZE_RANGE_PX
        for name, side in (("width", width), ("height", height)):
            if not low <= side <= high:
                raise PictureError(f"{name} is {side} pixels; it lies between {low} and {high}")
        if seed < 0:
            raise PictureError(f"seed is {seed}; it is a whole number from 0 upwards")
        self.controls, self.seed, self.threads = controls, seed, threads
        self.width, self.height, self.short = width, height, min(width, height)
        self._plan = _refine_plan(controls.plan)

    def slots(self) -> UInt8:
        """Slot at the middle of each pixel, (height, width)."""
        slots = np.empty(self.width * self.height, np.uint8)

        def fill(start: int) -> None:
            pixels = np.arange(start, min(start + _TILE, slots.size))
            slots[start : start + _TILE] = self.decide(*self.places(pixels, 1))

        run_each(fill, range(0, slots.size, _TILE), self.threads)
        return slots.reshape(self.height, self.width)

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

    def decide(self, x: Float32, y: Float32) -> UInt8:
        """Slot at each place: the formula of this module."""
        controls = self.controls
        if controls.chaos == 0:
            return _largest(self._read_plan(x, y))
        field = mark_field(
            controls.kind,
            x,
            y,
            frequency=controls.frequency,
            angle=controls.angle,
            seed=self.seed,
            hold=min(1.0, controls.chaos / _WHOLE_PIECES_FROM),
        )
        log_p = self._read_plan(field.x, field.y)
        if len(field.u) == 1:
            return _stack(log_p, field.u[0], max(controls.chaos, _MIN_CHAOS))
        bids = field.u
        np.log(bids, out=bids)
        np.negative(bids, out=bids)
        np.log(bids, out=bids)
        bids *= np.float32(-controls.chaos)
        bids += log_p
        return _largest(bids)

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


def _largest(bids: Float32) -> UInt8:
    """argmax over the slots; np.argmax along the first axis is five times as slow."""
    best = bids[0].copy()
    slot = np.zeros(best.shape, np.uint8)
    for k in range(1, SLOTS):
        wins = (bids[k] > best).view(np.uint8)
        np.maximum(best, bids[k], out=best)
        slot += wins * (np.uint8(k) - slot)
    return slot


def _stack(log_p: Float32, height: Float32, chaos: float) -> UInt8:
    """Slot whose share of softmax(log p / chaos), stacked in the order of the slots, holds the height in (0, 1)."""
    p = log_p
    p -= p.max(axis=0)
    p *= np.float32(1.0 / chaos)
    np.exp(p, out=p)
    reach = p.sum(axis=0)
    reach *= height
    slot = np.zeros(height.shape, np.uint8)
    top = np.zeros_like(height)
    for k in range(SLOTS - 1):
        top += p[k]
        slot += reach > top
    return slot


def _meets_another(slots: UInt8) -> NDArray[np.bool_]:
    """Pixels with another slot to the left, right, above or below."""
    meets = np.zeros(slots.shape, bool)
    down, right = slots[1:] != slots[:-1], slots[:, 1:] != slots[:, :-1]
    meets[1:] |= down
    meets[:-1] |= down
    meets[:, 1:] |= right
    meets[:, :-1] |= right
    return meets


def _mix(picture: UInt8, canvas: _Canvas, pixels: Positions, samples: int) -> None:
    """Paint pixels as the mean of samples x samples places, in linear light, as an eye that stands back mixes them."""
    flat = picture.reshape(-1, 3)
    light = _to_light(canvas.controls.palette)
    step = max(1, _TILE // samples**2)

    def fill(start: int) -> None:
        some = pixels[start : start + step]
        slots = canvas.decide(*canvas.places(some, samples)).reshape(samples**2, -1)
        share = np.empty((some.size, SLOTS), np.float32)
        for k in range(SLOTS):
            share[:, k] = (slots == k).sum(axis=0, dtype=np.uint8)  # at most 64
        share /= np.float32(samples**2)
        flat[some] = _to_bytes(_from_light(np.einsum("nk,kc->nc", share, light)))

    run_each(fill, range(0, pixels.size, step), canvas.threads)


def _to_light(rgb: Float32) -> Float32:
    """sRGB in [0, 1] -> linear light (IEC 61966-2-1)."""
    return np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92).astype(np.float32)


def _from_light(light: Float32) -> Float32:
    """Linear light -> sRGB in [0, 1]."""
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light).astype(np.float32)


def _to_bytes(rgb: Float32) -> UInt8:
    scaled: UInt8 = np.rint(rgb * 255.0).astype(np.uint8)
    return scaled


def _add_grain(picture: UInt8, seed: int, threads: int) -> None:
    """Add the grain of a paper, in place: value noise, a function of place, at two scales."""
    height, width = picture.shape[:2]
    rows = max(1, _TILE // width)
    papers = [_Paper(width, height, cells, seed) for cells in _GRAIN_CELLS]

    def fill(top: int) -> None:
        block = picture[top : top + rows]
        grain = papers[0].rows(top, len(block))
        for paper in papers[1:]:
            grain += paper.rows(top, len(block))
        toned = block + grain[:, :, None]
        np.rint(toned, out=toned)
        np.clip(toned, 0, 255, out=toned)
        block[...] = toned

    run_each(fill, range(0, height, rows), threads)


class _Paper:
    """Value noise (smooth between random values on a lattice) of so many cells along the short side."""

    def __init__(self, width: int, height: int, cells: int, seed: int) -> None:
        short = min(width, height)
        x = (np.arange(width) + 0.5 - width / 2) / short * cells
        y = (np.arange(height) + 0.5 - height / 2) / short * cells
        left, above = np.floor(x).astype(np.float32), np.floor(y).astype(np.float32)
        self._right, self._down = _ease((x - left).astype(np.float32)), _ease((y - above).astype(np.float32))
        i, j = np.union1d(left, left + 1), np.union1d(above, above + 1)  # the lines of the lattice that pixels touch
        self._columns, self._rows = np.searchsorted(i, left), np.searchsorted(j, above)
        values = unit(cell_hash(np.tile(i, j.size), np.repeat(j, i.size), seed, f"paper {cells}"))
        values -= np.float32(0.5)
        # A pixel that covers many cells shows their mean, whose deviation falls with the square root of their number.
        values *= np.float32(_GRAIN / _EASED_DEVIATION * min(1.0, short / cells))
        self._values = values.reshape(j.size, i.size)

    def rows(self, top: int, n: int) -> Float32:
        """(n, width) noise of the rows from `top` on."""
        at = self._rows[top : top + n]
        above, below = self._values[at], self._values[at + 1]
        lines = above + (below - above) * self._down[top : top + n, None]
        left, noise = lines.take(self._columns, axis=1), lines.take(self._columns + 1, axis=1)
        noise -= left
        noise *= self._right
        noise += left
        return np.asarray(noise, np.float32)


def _ease(f: Float32) -> Float32:
    """0 to 1 with level ends."""
    eased: Float32 = f * f * (3 - 2 * f)
    return eased
