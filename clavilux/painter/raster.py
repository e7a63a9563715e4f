"""Operations on small rasters, with NumPy only: blur, interpolation, distances, connected areas."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]


def blur(values: Float32, sigma: float) -> Float32:
    """Return values (h, w) or (h, w, k), blurred by three box filters that approximate a Gaussian; edges are repeated.

    `sigma` is the standard deviation in cells. The radius r of a box is a whole number, so the resulting standard
    deviation is one of sqrt(r (r + 1)): 0, 1.4, 2.4, 3.5, ... A `sigma` below 0.87 changes nothing.
    """
    radius = round((math.sqrt(4 * sigma**2 + 1) - 1) / 2)
    for _ in range(3 if radius else 0):
        values = _box(_box(values, radius, 0), radius, 1)
    return values


def _box(values: Float32, radius: int, axis: int) -> Float32:
    pad = [(0, 0)] * values.ndim
    pad[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(values, pad, mode="edge"), axis=axis, dtype=np.float64).swapaxes(0, axis)
    width = 2 * radius + 1
    return np.ascontiguousarray(((sums[width:] - sums[:-width]) / width).swapaxes(0, axis), np.float32)


def smooth(values: Float32) -> Float32:
    """Return values (h, w) or (h, w, k), filtered by (1, 2, 1) / 4 along rows and columns; edges are repeated."""
    padded = np.pad(values, [(1, 1), (1, 1)] + [(0, 0)] * (values.ndim - 2), mode="edge")
    padded = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) * np.float32(0.25)
    return np.asarray((padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) * np.float32(0.25))


def enlarge(values: Float32, rows: int, columns: int, *, top: int = 0, bottom: int | None = None) -> Float32:
    """Return values (h, w) or (h, w, k), resized by bilinear interpolation with half-pixel centres.

    The result has `rows` x `columns` cells. With `top` and `bottom`, only rows `top` to `bottom` - 1 are returned.
    """
    along = _along(values, (np.arange(top, rows if bottom is None else bottom) + 0.5) / rows)
    return np.ascontiguousarray(_along(along.swapaxes(0, 1), (np.arange(columns) + 0.5) / columns).swapaxes(0, 1))


def _along(values: Float32, at: NDArray[np.float64]) -> Float32:
    """Return values, interpolated along the first axis at positions from 0 (start of the axis) to 1 (end)."""
    place = np.clip(at * len(values) - 0.5, 0, len(values) - 1.001)
    whole = place.astype(np.intp)
    share = (place - whole).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    first = values[whole]
    return np.asarray(first + (values[whole + 1] - first) * share)


def read_at(values: Float32, row: Float32, column: Float32) -> Float32:
    """Return values (h, w) or (h, w, k) at n positions, (n,) or (n, k), by bilinear interpolation.

    `row` and `column` (n,) are in cells; the centre of the first cell is (0, 0). Positions are clipped to the raster.
    """
    h, w = values.shape[:2]
    row, column = np.clip(row, 0, h - 1.001), np.clip(column, 0, w - 1.001)
    i, j = row.astype(np.intp), column.astype(np.intp)
    down, right = (row - i).astype(np.float32), (column - j).astype(np.float32)
    if values.ndim == 3:
        down, right = down[:, None], right[:, None]
    at, flat = i * w + j, values.reshape(h * w, *values.shape[2:])
    a, b = flat.take(at, axis=0), flat.take(at + w, axis=0)
    a += (flat.take(at + 1, axis=0) - a) * right
    b += (flat.take(at + w + 1, axis=0) - b) * right
    a += (b - a) * down
    return np.asarray(a)


def find_edges(slots: UInt8) -> Mask:
    """Return a mask (h, w): True for cells with another palette slot than at least one of their four neighbours.

    ``slots`` (h, w) uint8 are the palette slots of the cells.
    """
    edges = np.zeros(slots.shape, bool)
    down, across = slots[1:] != slots[:-1], slots[:, 1:] != slots[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    return edges


def widen(mask: Mask, cells: int) -> Mask:
    """Return a mask (h, w), dilated by a square that reaches `cells` cells in each direction."""
    for axis in (0, 1):
        padded = np.pad(mask, [(cells, cells) if a == axis else (0, 0) for a in (0, 1)])
        n = mask.shape[axis]
        mask = np.logical_or.reduce([padded.take(range(s, s + n), axis=axis) for s in range(2 * cells + 1)])
    return mask


def find_distances(mask: Mask, reach: int) -> Float32:
    """Return the Euclidean distance (h, w) in cells of each cell to the nearest True cell of a mask (h, w).

    Distances up to `reach` are exact. For larger distances, the result is a number above `reach`. Squared distances are
    minimised along columns, then along rows (Felzenszwalb and Huttenlocher 2012).
    """
    far = reach + 1
    along = np.where(mask, 0, far).astype(np.int32)
    for row in range(1, len(along)):
        np.minimum(along[row], along[row - 1] + 1, out=along[row])
    for row in range(len(along) - 2, -1, -1):
        np.minimum(along[row], along[row + 1] + 1, out=along[row])
    along *= along
    nearest = along.copy()
    for step in range(1, reach + 1):
        np.minimum(nearest[:, step:], along[:, :-step] + step * step, out=nearest[:, step:])
        np.minimum(nearest[:, :-step], along[:, step:] + step * step, out=nearest[:, :-step])
    return np.sqrt(nearest, dtype=np.float32)


def find_areas(slots: UInt8) -> Index:
    """Return for each cell the label of its connected component of cells with the same palette slot, (h, w).

    Two cells with the same slot are connected if they are neighbours in a row or a column. The label is the smallest
    flat index of a cell in the component. First, the runs of cells with the same slot are found in each row; then
    touching runs are joined.
    """
    starts = np.ones(slots.shape, bool)
    starts[:, 1:] = slots[:, 1:] != slots[:, :-1]
    run = np.cumsum(starts.ravel()) - 1
    touching = np.flatnonzero((slots[1:] == slots[:-1]) & (starts[1:] | starts[:-1]))
    one, other = run[touching], run[touching + slots.shape[1]]
    root = np.arange(run[-1] + 1)
    while one.size:
        a, b = root[one], root[other]
        open_ = a != b
        one, other, a, b = one[open_], other[open_], a[open_], b[open_]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(shorter := root[root], root):
            root = shorter
    return np.asarray(np.flatnonzero(starts)[root][run].reshape(slots.shape))


def absorb_small(slots: UInt8, smallest: float) -> UInt8:
    """Return palette slots (h, w) after filling areas of fewer than `smallest` cells with the slots around them."""
    area = find_areas(slots)
    small = (np.bincount(area.ravel(), minlength=area.size)[area] < smallest).ravel()
    if small.all():
        return slots
    (h, w), filled = slots.shape, slots.copy().ravel()
    todo = np.flatnonzero(small)
    while todo.size:
        row, column = np.divmod(todo, w)
        found = np.full(todo.size, 255, np.uint8)
        for down, right in ((-1, 0), (0, -1), (0, 1), (1, 0)):
            i, j = row + down, column + right
            inside = (i >= 0) & (i < h) & (j >= 0) & (j < w)
            at = np.where(inside, i * w + j, 0)
            take = inside & ~small[at] & (found == 255)
            found[take] = filled[at[take]]
        done = found != 255
        filled[todo[done]] = found[done]
        small[todo[done]] = False
        todo = todo[~done]
    return filled.reshape(h, w)
