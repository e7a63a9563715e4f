"""The picture of ``clavilux marks``: two samples of each kind of marks, of each figure and of each surface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from clavilux.constants import PLAN_SIDE, SLOTS
from clavilux.painter.controls import Controls
from clavilux.painter.figures import FIGURES
from clavilux.painter.marks import KINDS
from clavilux.painter.marks.hashing import draws
from clavilux.painter.paint import paint
from clavilux.painter.surfaces import SURFACES

_COLUMNS, _TILE_PX, _GAP_PX, _TITLE_PX = 4, 212, 4, 15
# Eight colours each, from dark to light: poster, autumn, sea, dusk, fresco, garden.
_PALETTES = (
    "16151d 27408b 8f1d21 2f6b52 d1492e e0a030 d9cdb4 f6f1e4",
    "1f1410 4a2a1a 7a3b1d 5d6037 b5652a cf9440 dfc07a f3e6c4",
    "0b1b2b 12405a 1f6f7a 3d8f8a e26d5a 8fc1b5 f0c987 f4f1e8",
    "1a1328 46245c 8a2f6b c2456a 5b6fb0 e98a6d f2c59a f8ead8",
    "2b2622 6b4a3e 8c6f5c a85f4a 7f9187 c9a27c d9c9b0 efe6d8",
    "101f16 1e4d35 3f7d3a 8b2942 c99a2c e2725b b7cf8b fbf3d5",
)


def make_plan(name: str) -> NDArray[np.float32]:
    """Return a smooth random plan as logits, (SLOTS, 32, 32) float32; `name` is the random seed."""
    y, x = np.mgrid[0:PLAN_SIDE, 0:PLAN_SIDE] / PLAN_SIDE
    logits = np.zeros((SLOTS, PLAN_SIDE, PLAN_SIDE), np.float32)
    for slot in range(SLOTS):
        u = draws(0, f"plan {name} {slot}", 13)
        logits[slot] = 2.5 * (u[12] - 0.5)
        for across, down, phase in u[:12].reshape(4, 3):
            logits[slot] += 1.6 * np.cos(2 * np.pi * (3 * (across - 0.5) * x + 3 * (down - 0.5) * y + phase))
    return logits


def choose_tiles() -> Iterator[tuple[str, Controls]]:
    """Yield the title and the controls of each tile (sample); there are two tiles for each title.

    First come the kinds of marks on the surface "flat", without figures: one tile with few large shapes, one with many
    small shapes. Then come the figures: one tile on the surface "gouache", one on "flat". Then come the surfaces: one
    tile with the marks "blobs", one with "shards".
    """
    for kind in KINDS:
        for half, (shapes, detail) in enumerate(((2.2, 0.3), (7.0, 1.0))):
            look = _look(f"{kind} {half}", frequency=18.0, shapes=shapes, detail=detail, surface="flat", figure="none")
            yield kind, Controls(kind=kind, texture=0.0, **look)
    for figure in FIGURES:
        for surface in ("gouache", "flat"):
            look = _look(f"figure {figure} {surface}", frequency=12.0, shapes=3.0, detail=0.3, surface=surface)
            yield figure, Controls(kind="blobs", second_kind="dabs", figure=figure, brush=3.0, **look)
    for surface in SURFACES:
        for half, kind in enumerate(("blobs", "shards")):
            look = _look(f"surface {half}", frequency=12.0, shapes=3.0, detail=0.6, surface=surface)
            yield surface, Controls(kind=kind, second_kind="dabs", glaze=6.0, brush=3.0, **look)


def _look(name: str, **controls: float | str) -> dict[str, Any]:
    """Return arguments of `Controls`: ``controls``, and a random plan, palette and angle from the seed `name`."""
    angle, palette = draws(0, f"look {name}", 2)
    colours = bytes.fromhex(_PALETTES[int(palette * len(_PALETTES))].replace(" ", ""))
    rgb = np.frombuffer(colours, np.uint8).reshape(SLOTS, 3).astype(np.float32) / 255
    return {"palette": rgb, "plan": make_plan(name), "angle": 0.5 * float(angle), "chaos": 1.0, **controls}


def make_sheet() -> Image.Image:
    """Return a Pillow image with two samples of each kind of marks, figure and surface, with their names."""
    tiles = list(choose_tiles())
    rows = -(-len(tiles) // (2 * _COLUMNS))
    cell = (2 * _TILE_PX + 3 * _GAP_PX, _TILE_PX + _TITLE_PX + _GAP_PX)
    sheet = Image.new("RGB", (_COLUMNS * cell[0], rows * cell[1]), "white")
    pen = ImageDraw.Draw(sheet)
    for n, (title, controls) in enumerate(tiles):
        left, top = n // 2 % _COLUMNS * cell[0], n // (2 * _COLUMNS) * cell[1]
        pen.text((left + 2, top + 2), title, fill="black")
        picture = paint(controls, width=_TILE_PX, height=_TILE_PX, seed=n)
        sheet.paste(Image.fromarray(picture), (left + n % 2 * (_TILE_PX + _GAP_PX), top + _TITLE_PX))
    return sheet
