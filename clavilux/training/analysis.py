"""Cut real pictures into windows, and find the palette and the plan of each window, from which the ImageVAE learns.

The palette of a window has eight colours, in slots 0 to 7. The plan says where each colour lies: which fraction of each
cell of a 32 x 32 grid each slot covers.

picture -> windows (squares, resized to 128 px) -> k-means in CIELAB -> palette and plan of each window
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import srgb_to_lab
from clavilux.constants import ENCODER_SIDE_PX, PLAN_SIDE, SLOTS
from clavilux.errors import CorpusError, PictureError
from clavilux.images import PICTURE_SUFFIXES, middle_square, read_picture, resize
from clavilux.painter.quantise import nearest_of, quantise
from clavilux.painter.raster import find_areas, find_edges
from clavilux.system.jobs import run_calls
from clavilux.training.datasets import Entry, list_entries
from clavilux.training.logs import log_counts
from clavilux.training.recipe import AnalysisRecipe

WINDOW_PX = 128  # side of a window: 4 x 4 pixels for each cell of the plan
_MARGIN_LEVELS = 6.0  # largest mean difference of a row of a margin from the first row, in 8-bit levels
_MARGIN_SHARE = 0.2  # largest margin at each edge, as a fraction of the side
_SMOOTHING = (0.1, 0.8, 0.1)  # filter of plans along each axis, because borders are uncertain by half a pixel

Bytes = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Windows:
    """n windows, which are square crops of pictures, each with its palette of 8 colours and its plan.

    The plan divides the window into 32 x 32 cells: it says how much of each cell each colour of the palette covers.
    """

    windows: Bytes  # (n, 128, 128, 3), sRGB
    palettes: Float32  # (n, 8, 3), sRGB in [0, 1], dark to light
    shares: Bytes  # (n, 8, 32, 32), fraction of each cell that each palette slot covers, times 255
    source: NDArray[np.int64]  # (n,), index of the picture that the window was cut from
    names: list[str]  # names of the pictures
    roles: list[str]  # roles of the pictures, such as "abstract" or "painting"

    def small(self) -> Bytes:
        """Return the windows at half the size, (n, 64, 64, 3) uint8, as input of the picture encoder."""
        factor = WINDOW_PX // ENCODER_SIDE_PX
        blocks = self.windows.reshape(-1, ENCODER_SIDE_PX, factor, ENCODER_SIDE_PX, factor, 3)
        return np.asarray(np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)), np.uint8)


def analyse_folder(
    folder: Path, split: str, recipe: AnalysisRecipe, *, seed: int, jobs: int, log: Callable[[str], None]
) -> Windows:
    """Return windows of all pictures of a split, with the palette and the plan of each window.

    ``split`` is "training", "validation" or "held-out". ``seed`` determines the positions of windows and the
    initialisation of k-means. ``jobs`` is the number of worker processes, -1 for one per core. ``log`` is called with
    lines about progress, and with a line for each picture that cannot be read.

    Raises
    ------
    CorpusError
        If no picture of the split can be read.
    """
    entries = [entry for entry in list_entries(folder, PICTURE_SUFFIXES, report=log) if entry.split == split]
    results = run_calls(
        (partial(_analyse_picture, entry, recipe, seed) for entry in entries),
        jobs=jobs,
        failed=lambda call, reason: f"{call.args[0].path}: {reason}",
        counted=log_counts(log, f"pictures: analysed for {split}", len(entries)),
    )
    analysed: list[tuple[Bytes, Float32, Bytes]] = []
    names: list[str] = []
    roles: list[str] = []
    source = []
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, str):
            log(f"{result}; skipped")
            continue
        analysed += result
        source += [len(names)] * len(result)
        names.append(entry.name)
        roles.append(entry.role)
    if not analysed:
        raise CorpusError(f"{folder} has no {split} pictures that can be read")
    windows, palettes, shares = (np.stack(values) for values in zip(*analysed, strict=True))
    return Windows(windows, palettes, shares, np.array(source), names, roles)


def read_plan(rgb: Bytes, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Return the palette of a picture (128, 128, 3) uint8 sRGB, and its plan as `shares`, by k-means (`quantise`).

    Returns
    -------
    palette : (8, 3) float32
        sRGB in [0, 1], dark to light.
    shares : (8, 32, 32) float32
        Fraction of each cell that each palette slot covers, slightly blurred; the eight fractions of a cell sum to 1.
    """
    palette, slot = quantise(rgb, rng)
    step = WINDOW_PX // PLAN_SIDE
    one_hot = slot.reshape(PLAN_SIDE, step, PLAN_SIDE, step)[None] == np.arange(SLOTS)[:, None, None, None, None]
    shares = one_hot.mean(axis=(2, 4), dtype=np.float32)
    return palette, _smooth(_smooth(shares, 1), 2)


def read_layout(shares: Bytes) -> Float32:
    """Return the controls "shapes" and "detail" of n windows, (n, 2) in (0, 1), from `Windows.shares` (n, 8, 32, 32).

    "shapes" measures how small areas of one colour are: for each cell, the size of the area to which it belongs is
    taken; the measure is minus the mean of these sizes. "detail" measures how unevenly borders are spread: of 64 blocks
    of 4 x 4 cells, the 16 with the most borders are chosen; the measure is the fraction of all borders that lies in
    them. Controls are in (0, 1), but these measures are not, so each is replaced by its scaled rank among the windows.
    """
    measured = np.empty((len(shares), 2))
    for number, window in enumerate(shares):
        slots = window.argmax(axis=0).astype(np.uint8)
        area = np.bincount(find_areas(slots).ravel()).astype(np.float64) / slots.size
        border = find_edges(slots).reshape(8, 4, 8, 4).mean(axis=(1, 3)).ravel()
        measured[number] = -(area**2).sum(), np.sort(border)[-16:].sum() / max(border.sum(), 1e-9)
    ranks = measured.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return np.asarray((ranks + 0.5) / len(shares), np.float32)


def palette_codebook(palettes: Float32, n: int, rng: np.random.Generator) -> Float32:
    """Return a codebook: at most n of the palettes (m, 8, 3) float32, sRGB in [0, 1], chosen to represent all of them.

    They are chosen by k-medoids with alternating updates, on the CIELAB distances of palette slots. The initialisation
    is similar to that of k-means++, so that the codebook also contains rare, colourful palettes.
    """
    n = min(n, len(palettes))
    lab = srgb_to_lab(palettes).reshape(len(palettes), -1)
    chosen = [int(rng.integers(len(lab)))]
    nearest = ((lab - lab[chosen[0]]) ** 2).sum(1)
    for _ in range(n - 1):
        weight = np.sqrt(nearest)  # with the squared distance of k-means++, most would be outliers
        chosen.append(int(rng.choice(len(lab), p=weight / weight.sum())) if weight.sum() > 0 else chosen[0])
        nearest = np.minimum(nearest, ((lab - lab[chosen[-1]]) ** 2).sum(1))
    medoids = np.array(chosen)
    for _ in range(5):
        owner = nearest_of(lab, lab[medoids])
        for k in range(n):
            members = np.flatnonzero(owner == k)
            if len(members):
                centre = lab[members].mean(axis=0)
                medoids[k] = members[((lab[members] - centre) ** 2).sum(1).argmin()]
    return np.asarray(palettes[np.unique(medoids)], np.float32)


def palette_distance(palettes: Float32, codebook: Float32) -> Float32:
    """Return the distances (m, n) of palettes (m, 8, 3) from the palettes of a codebook (n, 8, 3).

    Palettes are sRGB in [0, 1]. A distance is the root mean square of the CIELAB distances of the eight slots.
    """
    a = srgb_to_lab(palettes).reshape(len(palettes), -1)
    b = srgb_to_lab(codebook).reshape(len(codebook), -1)
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(square, 0) / SLOTS), np.float32)


def trim_margins(rgb: Bytes) -> Bytes:
    """Return a picture (H, W, 3) uint8 without margins of one colour, such as a frame or the paper around a scan."""
    top, bottom = _margin(rgb), _margin(rgb[::-1])
    across = rgb.transpose(1, 0, 2)
    left, right = _margin(across), _margin(across[::-1])
    trimmed = rgb[top : len(rgb) - bottom, left : rgb.shape[1] - right]
    return trimmed if min(trimmed.shape[:2]) >= PLAN_SIDE else rgb


def _margin(rgb: Bytes) -> int:
    """Return how many rows at the top of a picture (H, W, 3) are a margin of one colour."""
    limit = int(_MARGIN_SHARE * len(rgb))
    first = rgb[0].astype(np.float32).mean(axis=0)
    for row in range(limit):
        if np.abs(rgb[row].astype(np.float32) - first).mean() > _MARGIN_LEVELS:
            return row
    return 0  # a wider margin is a uniform part of the picture


def _analyse_picture(entry: Entry, recipe: AnalysisRecipe, seed: int) -> list[tuple[Bytes, Float32, Bytes]] | str:
    """Return windows of a picture, each with its palette and shares, or the reason why the picture cannot be read."""
    try:
        rgb = read_picture(entry.path)
    except PictureError as error:
        return str(error)
    # From the name, so that the windows do not depend on other files of the folder.
    name_key = int.from_bytes(entry.name.encode()[-32:], "big")
    rng = np.random.default_rng([seed, name_key])
    count = recipe.painting_windows if entry.role == "painting" else recipe.abstract_windows
    analysed = []
    for window in _cut(trim_margins(rgb), count, rng):
        palette, shares = read_plan(window, rng)
        analysed.append((window, palette, np.rint(shares * 255).astype(np.uint8)))
    return analysed


def _cut(rgb: Bytes, count: int, rng: np.random.Generator) -> list[Bytes]:
    """Return `count` windows: the middle square, then random squares with a side of 45 to 95 % of the short side."""
    windows = [resize(middle_square(rgb), WINDOW_PX)]
    height, width = rgb.shape[:2]
    for _ in range(count - 1):
        side = int(min(height, width) * rng.uniform(0.45, 0.95))
        side = max(side, min(PLAN_SIDE, height, width))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        windows.append(resize(rgb[top : top + side, left : left + side], WINDOW_PX))
    return windows


def _smooth(shares: Float32, axis: int) -> Float32:
    cells = np.arange(PLAN_SIDE)
    before, after = (shares.take((cells + step).clip(0, PLAN_SIDE - 1), axis) for step in (-1, 1))
    a, b, c = _SMOOTHING
    return np.asarray(a * before + b * shares + c * after, np.float32)
