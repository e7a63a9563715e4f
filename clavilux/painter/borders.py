"""Borders: pixels that differ from a pixel to the left, right, above or below."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from clavilux.system.threads import run_each

UInt8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_BLOCK = 65_536  # pixels processed at a time
_LARGEST_STEP = 4  # 8-bit steps: between colours that differ by no more, a border is not visible


def find_borders(slots: UInt8) -> Mask:
    """Return the mask of the pixels whose slot differs from that of a neighbour, (H, W)."""
    return _mark_both_sides(slots[:, 1:] != slots[:, :-1], slots[1:] != slots[:-1])


def find_steps(picture: UInt8, fast: ModuleType | None, threads: int) -> Mask:
    """Return the mask of the pixels whose colour differs visibly from that of a neighbour.

    Parameters
    ----------
    picture : (H, W, 3) uint8
        sRGB.
    fast : module or None
        The compiled painter; None for NumPy.
    threads : int
        Number of blocks that are processed at the same time.

    Returns
    -------
    (H, W) bool
    """
    steps = np.zeros(picture.shape[:2], bool)
    rows = max(1, _BLOCK // picture.shape[1])

    def compare(top: int) -> None:
        out = steps[top : top + rows]
        if fast is not None:
            fast.find_steps(picture, top, top + len(out), np.uint8(_LARGEST_STEP), steps)
            return
        first = max(0, top - 1)  # the rows above and below the block are needed too
        block = picture[first : top + rows + 1]
        marked = _mark_both_sides(_differ(block[:, 1:], block[:, :-1]), _differ(block[1:], block[:-1]))
        out[...] = marked[top - first :][: len(out)]

    run_each(compare, range(0, len(picture), rows), threads)
    return steps


def _differ(a: UInt8, b: UInt8) -> Mask:
    """Return whether two colours differ by more than `_LARGEST_STEP` in a channel."""
    apart = np.maximum(a, b)
    apart -= np.minimum(a, b)
    return np.asarray(np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2]) > _LARGEST_STEP)


def _mark_both_sides(across: Mask, down: Mask) -> Mask:
    """Return the pixels next to a border, from the borders between columns (H, W - 1) and rows (H - 1, W)."""
    marked = np.zeros((len(across), down.shape[1]), bool)
    marked[:, 1:] |= across
    marked[:, :-1] |= across
    marked[1:] |= down
    marked[:-1] |= down
    return marked
