"""The controls of the painter: what a latent says about a picture, named and bounded.

z_image -> (decoder of the bundle) -> raw outputs -> **here** -> Controls -> painter -> picture

Controls can be saved as JSON, edited by hand and painted again at any size.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.constants import CHAOS_RANGE, FINISH, FREQUENCY_RANGE, PLAN_SIDE, SLOTS
from clavilux.errors import ControlsError
from clavilux.painter.marks import KINDS
from clavilux.system.arguments import float_array, real_number, show

Float32 = NDArray[np.float32]


# Of a range: what the eye says of paintings that have none of it, and how much of what is above is painted. It reads
# too much rather than too little into real pictures; but of the width of lines it says less than half.
# Layouts that are even by chance correlate with their mirror image by up to 0.8; ours is one to the last line.
_BARE = {
    "softness": (0.3, 0.7),
    "glaze": (0.15, 0.8),
    "brush": (0.05, 0.7),
    "outline": (0.05, 2.5),
    "mirror": (0.8, 2.0),
    "flip": (0.8, 2.0),
}
_MAX_TURNS = 1e15  # beyond, a float has no fraction of a turn left
_LEAST_WEIGHT = 1e-4  # of the likeliest palette; what weighs less is not seen


@dataclass(frozen=True, eq=False)
class Controls:
    """What the painter paints from.

    Attributes
    ----------
    palette : (8, 3) float32
        sRGB colours in [0, 1], sorted from dark to light.
    plan : (8, 32, 32) float32
        Log-probability of each palette slot at each cell (slot, row from the top, column from the left); each cell's
        probabilities sum to 1.
    kind : str
        Kind of the marks, one of ``clavilux.painter.marks.KINDS``.
    frequency : float
        Marks along the short side of the picture, in ``FREQUENCY_RANGE``.
    angle : float
        Direction of the marks in turns, in [0, 0.5): 0 is horizontal, 0.25 vertical, counter-clockwise.
    chaos : float
        Weight of the marks against the plan, in ``CHAOS_RANGE``: 0 paints the most probable slot everywhere, 1 gives
        every slot the area that the plan gives it.
    second_kind : str or None
        Kind of the marks in a share ``second_share`` of the picture; None where one kind covers it all.
    second_share : float
        From 0 to 1.
    softness : float
        In ``SOFTNESS_RANGE``: how far colours pass into each other.
    glaze, brush : float
        L*, in ``GLAZE_RANGE`` and ``BRUSH_RANGE``: how much the tone of a colour changes slowly, and with the bristles
        of a brush.
    outline : float
        In ``OUTLINE_RANGE``: mean width of the lines where two slots meet, in percent of the short side; at most 0.3
        marks are painted. Below 0 they have the darkest colour, above 0 the lightest, at 0 there are none.
    mirror, flip : float
        In ``SYMMETRY_RANGE``: share of the picture in which the left half repeats the right one, and the upper half
        the lower one. Both together make a kaleidoscope of four quarters.
    """

    palette: Float32
    plan: Float32
    kind: str
    frequency: float
    angle: float
    chaos: float
    second_kind: str | None = None
    second_share: float = 0.0
    softness: float = 0.0
    glaze: float = 0.0
    brush: float = 0.0
    outline: float = 0.0
    mirror: float = 0.0
    flip: float = 0.0

    def __post_init__(self) -> None:
        palette = float_array("palette", self.palette, (SLOTS, 3), fault=ControlsError)
        plan = float_array("plan", self.plan, (SLOTS, PLAN_SIDE, PLAN_SIDE), fault=ControlsError)
        if palette.min() < 0 or palette.max() > 1:
            raise ControlsError(
                f"palette has values from {palette.min():g} to {palette.max():g}; it is sRGB from 0 to 1"
            )
        for name in ("kind", "second_kind"):
            kind = getattr(self, name)
            if not (kind in KINDS if isinstance(kind, str) else kind is None and name == "second_kind"):
                null = "null or " if name == "second_kind" else ""
                raise ControlsError(f"{name} is {show(kind)}; it is {null}one of {', '.join(KINDS)}")
        numbers = {"frequency": FREQUENCY_RANGE, "chaos": CHAOS_RANGE, "second_share": (0.0, 1.0), **FINISH}
        for name, (low, high) in numbers.items():
            object.__setattr__(self, name, real_number(name, getattr(self, name), low, high, fault=ControlsError))
        angle = real_number("angle", self.angle, -_MAX_TURNS, _MAX_TURNS, fault=ControlsError)
        object.__setattr__(self, "angle", angle % 0.5 % 0.5)  # the remainder of -1e-20 rounds to 0.5
        object.__setattr__(self, "palette", palette)
        object.__setattr__(self, "plan", log_softmax(plan))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are seen, one or two, in the order of ``KINDS``: a kind keeps its side of the picture when
        another overtakes it."""
        if self.second_kind in (None, self.kind) or self.second_share == 0:
            return (self.kind,)
        if self.second_share == 1:
            return (self.second_kind,)
        first, second = sorted((self.kind, self.second_kind), key=KINDS.index)
        return first, second

    @property
    def second_area(self) -> float:
        """Share of the picture that the second of `kinds` covers; 0 where there is one."""
        kinds = self.kinds
        if len(kinds) == 1:
            return 0.0
        return self.second_share if kinds[1] == self.second_kind else 1.0 - self.second_share

    def to_json(self) -> str:
        """Write the controls as one JSON object; numbers are rounded to 4 digits, which no picture shows."""
        return json.dumps(
            {
                "palette": [[round(float(c), 4) for c in colour] for colour in self.palette],
                "kind": self.kind,
                "frequency": round(self.frequency, 4),
                "angle": round(self.angle, 4),
                "chaos": round(self.chaos, 4),
                "second_kind": self.second_kind,
                "second_share": round(self.second_share, 4),
                **{name: round(getattr(self, name), 4) for name in FINISH},
                "plan": [[[round(float(v), 3) for v in row] for row in slot] for slot in self.plan],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Controls:
        """Read controls that `to_json` wrote; an unknown or a missing key is a `ControlsError`."""
        try:
            fields: Any = json.loads(text)
        except TypeError as error:
            raise ControlsError(f"the controls are {show(text)}; they are text in JSON") from error
        except (ValueError, RecursionError) as error:
            raise ControlsError(f"the controls are no JSON: {error}") from error
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != names:
            raise ControlsError(f"controls have exactly the keys {', '.join(sorted(names))}")
        return cls(**fields)


def choose_controls(
    *,
    plan: Float32,
    palette: Float32,
    kind: Float32,
    frequency: float,
    angle: float,
    chaos: float,
    finish: Float32,
    palettes: Float32,
    kinds: Sequence[str],
) -> Controls:
    """Turn what a decoder says of one latent into controls.

    The kinds are the two that score highest, see `share_of_second`. The palette is the mean, slot by slot in CIELAB, of
    the codebook's palettes weighted by their probability: those that count lie close together, so that near latents
    have near palettes and colours stay colours. (Slots are sorted by lightness, so the mean is also the one by
    transport along it.)

    Parameters
    ----------
    plan : (8, 32, 32) float32
        Log-probabilities of the slots, or logits.
    palette, kind : (n_palettes,), (n_kinds,) float32
        Logits.
    frequency, angle, chaos : float
        Marks along the short side, turns, weight; clipped to their ranges.
    finish : (6,) float32
        The properties of ``FINISH`` as they are read off pictures, each in [0, 1] of its range; see `_BARE`.
    palettes : (n_palettes, 8, 3) float32
        The codebook that the palette is chosen from.
    kinds : sequence of str
        The names that the kind is chosen from.
    """
    order = np.argsort(-kind, kind="stable")
    return Controls(
        palette=blend_palettes(palettes, palette),
        plan=plan,
        kind=kinds[int(order[0])],
        second_kind=kinds[int(order[1])] if len(kinds) > 1 else None,
        second_share=share_of_second(kind[order]),
        frequency=min(max(frequency, FREQUENCY_RANGE[0]), FREQUENCY_RANGE[1]),
        angle=angle,
        chaos=min(max(chaos, CHAOS_RANGE[0]), CHAOS_RANGE[1]),
        **{name: _worked(name, float(value)) for name, value in zip(FINISH, np.clip(finish, 0, 1), strict=True)},
    )


def _worked(name: str, share: float) -> float:
    """How much of a property of the finish is painted, by what is read, in [0, 1] of its range."""
    low, high = FINISH[name]
    bare, painted = _BARE[name]
    read = share if low == 0 else 2.0 * share - 1.0  # of ranges on both sides of 0, the middle is none
    return math.copysign(high * min(1.0, painted * max(0.0, abs(read) - bare) / (1.0 - bare)), read)


def share_of_second(scores: Float32) -> float:
    """Area of the second of the kinds, by their scores from high to low, (n_kinds,): 0 to 1/2.

    Half where the two are equal, none where the second is no nearer to the first than the third. So a picture passes
    from one kind to another, and one partner to the next, without a jump.
    """
    if len(scores) < 3:
        return 0.0
    lead, whole = float(scores[0] - scores[1]), float(scores[0] - scores[2])
    return 0.5 * (1.0 - lead / whole) if whole > 0 else 0.5


def blend_palettes(palettes: Float32, logits: Float32) -> Float32:
    """Mean in CIELAB of palettes (n, 8, 3) sRGB weighted by softmax(logits (n,)): (8, 3) sRGB."""
    weights = np.exp(logits - logits.max(), dtype=np.float64)
    near = np.flatnonzero(weights > _LEAST_WEIGHT)
    weights = weights[near] / weights[near].sum()
    lab = srgb_to_lab(palettes[near]).astype(np.float64)
    # einsum without BLAS: no thread has a say in the last bit.
    mean = np.einsum("n,nkc->kc", weights, lab, optimize=False)
    return np.clip(lab_to_srgb(mean.astype(np.float32)), 0, 1).astype(np.float32)


def log_softmax(logits: Float32) -> Float32:
    """Log-probabilities over the first axis."""
    shifted = logits - logits.max(axis=0, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=0, keepdims=True)), np.float32)
