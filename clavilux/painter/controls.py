"""The controls of the painter: named and bounded parameters of a picture.

z_image -> decoder of the bundle -> raw outputs -> **here** -> Controls -> painter -> picture

Controls can be saved as JSON, edited and painted again at any size.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
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


Corrections = Mapping[str, Sequence[float]]

# Corrections of the estimates that a decoder has learnt from the mark classifier, which bundles contain: for each
# property of ``FINISH`` the largest estimate for pictures without the property, as a share of the range, and a factor
# for estimates above it. The classifier overestimates softness, glaze and brush of real pictures, and gives less than
# half of the width of outlines. Unsymmetric layouts correlate with their mirror image by up to 0.8, while painted
# symmetry is exact.
FINISH_CORRECTIONS: Corrections = {
    "softness": (0.3, 0.7),
    "glaze": (0.15, 0.8),
    "brush": (0.05, 0.7),
    "outline": (0.05, 2.5),
    "mirror": (0.8, 2.0),
    "flip": (0.8, 2.0),
}
_MAX_TURNS = 1e15  # larger floats have no fractional part
_LEAST_WEIGHT = 1e-4  # relative to the most probable palette; smaller weights do not change the mean visibly


@dataclass(frozen=True, eq=False)
class Controls:
    """The parameters of a picture.

    Attributes
    ----------
    palette : (8, 3) float32
        sRGB colours in [0, 1], sorted from dark to light.
    plan : (8, 32, 32) float32
        Log-probability of each palette slot at each cell (slot, row from the top, column from the left).
        Unnormalised logits are accepted and normalised, so that the probabilities of each cell sum to 1.
    kind : str
        Kind of the marks (the shapes that fill the picture), one of ``clavilux.painter.marks.KINDS``.
    frequency : float
        Marks along the short side of the picture, in ``FREQUENCY_RANGE``.
    angle : float
        Direction of the marks in turns, in [0, 0.5): 0 is horizontal, 0.25 vertical, counter-clockwise.
    chaos : float
        How much the marks override the plan, in ``CHAOS_RANGE``: at 0 each place has its most probable slot; at 1
        the marks mix the slots in the proportions of the plan.
    second_kind : str or None
        Kind of the marks in a share ``second_share`` of the picture; None for one kind everywhere.
    second_share : float
        From 0 to 1.
    softness : float
        In ``SOFTNESS_RANGE``: how much colours mix at borders.
    glaze, brush : float
        Strength (standard deviation in L*) of gradual changes of tone across the picture, and of streaks of bristles,
        in ``GLAZE_RANGE`` and ``BRUSH_RANGE``.
    outline : float
        In ``OUTLINE_RANGE``. Its absolute value is the mean width of the lines where two slots meet, in percent of the
        short side, at most 0.3 of the size of a mark. Negative: lines in the darkest colour; positive: in the lightest;
        0: no lines.
    mirror, flip : float
        In ``SYMMETRY_RANGE``: share of the picture in which the left half mirrors the right one, and the upper half the
        lower one. Both at 1 give four mirrored quarters.
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
        object.__setattr__(self, "angle", angle % 0.5 % 0.5)  # twice, because the remainder of -1e-20 rounds to 0.5
        object.__setattr__(self, "palette", palette)
        object.__setattr__(self, "plan", log_softmax(plan))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the one or two kinds that are visible, in the order of ``KINDS``.

        The order does not depend on the shares, so that a kind keeps its region when its share passes one half.
        """
        if self.second_kind in (None, self.kind) or self.second_share == 0:
            return (self.kind,)
        if self.second_share == 1:
            return (self.second_kind,)
        first, second = sorted((self.kind, self.second_kind), key=KINDS.index)
        return first, second

    @property
    def second_area(self) -> float:
        """Return the share of the picture that the second of `kinds` covers; 0 if there is only one."""
        kinds = self.kinds
        if len(kinds) == 1:
            return 0.0
        return self.second_share if kinds[1] == self.second_kind else 1.0 - self.second_share

    def to_json(self) -> str:
        """Return the controls as a JSON object; numbers are rounded to 4 digits, which is not visible."""
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
        """Read controls from the JSON of `to_json`; raise a `ControlsError` for unknown or missing keys."""
        try:
            fields: Any = json.loads(text)
        except TypeError as error:
            raise ControlsError(f"the controls are {show(text)}; they are JSON text") from error
        except (ValueError, RecursionError) as error:
            raise ControlsError(f"the controls are no JSON: {error}") from error
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != names:
            raise ControlsError(f"controls have exactly the keys {', '.join(sorted(names))}")
        return cls(**fields)


def choose_controls(
    outputs: Mapping[str, NDArray[np.floating]],
    *,
    palettes: Float32,
    kinds: Sequence[str],
    corrections: Corrections = FINISH_CORRECTIONS,
) -> Controls:
    """Convert the outputs of a decoder for one latent to controls.

    The kinds are the two with the highest scores, see `share_of_second`. The palette is the mean of the codebook's
    palettes, see `blend_palettes`. Frequency and chaos are clipped to their ranges.

    Parameters
    ----------
    outputs : mapping of str to array
        By the names of the outputs of ``controls.onnx``, without the batch axis. plan: (8, 32, 32) logits of the slots;
        palette, kind: (n_palettes,), (n_kinds,) logits; frequency, angle, chaos: numbers, the angle in turns; finish:
        (6,) estimates of the properties of ``FINISH`` in [0, 1] of their ranges.
    palettes : (n_palettes, 8, 3) float32
        The codebook of palettes, sRGB.
    kinds : sequence of str
        Names of the kinds, in the order of the output.
    corrections : mapping of str to (float, float)
        Of the estimates of ``FINISH``, as in `FINISH_CORRECTIONS`.
    """
    scores = outputs["kind"]
    order = np.argsort(-scores, kind="stable")
    finish = np.clip(outputs["finish"], 0, 1)
    return Controls(
        palette=blend_palettes(palettes, outputs["palette"]),
        plan=outputs["plan"],
        kind=kinds[int(order[0])],
        second_kind=kinds[int(order[1])] if len(kinds) > 1 else None,
        second_share=share_of_second(scores[order]),
        frequency=min(max(float(outputs["frequency"]), FREQUENCY_RANGE[0]), FREQUENCY_RANGE[1]),
        angle=float(outputs["angle"]),
        chaos=min(max(float(outputs["chaos"]), CHAOS_RANGE[0]), CHAOS_RANGE[1]),
        **{
            name: _correct(float(value), FINISH[name], corrections[name])
            for name, value in zip(FINISH, finish, strict=True)
        },
    )


def _correct(share: float, span: tuple[float, float], correction: Sequence[float]) -> float:
    """Return the value of a property of the finish for an estimate in [0, 1] of its range."""
    (low, high), (threshold, factor) = span, correction
    estimate = share if low == 0 else 2.0 * share - 1.0  # of signed ranges, the middle is 0
    return math.copysign(high * min(1.0, factor * max(0.0, abs(estimate) - threshold) / (1.0 - threshold)), estimate)


def share_of_second(scores: Float32) -> float:
    """Return the share of the picture, 0 to 1/2, for the second of the kinds.

    It is 1/2 if the best two scores are equal and 0 if the second is equal to the third, so that pictures change
    continuously when kinds change places.

    Parameters
    ----------
    scores : (n_kinds,) float32
        From high to low.
    """
    if len(scores) < 3:
        return 0.0
    lead, whole = float(scores[0] - scores[1]), float(scores[0] - scores[2])
    return 0.5 * (1.0 - lead / whole) if whole > 0 else 0.5


def blend_palettes(palettes: Float32, logits: Float32) -> Float32:
    """Return the mean of palettes in CIELAB, slot by slot, weighted by the softmax of logits.

    Palettes with a considerable weight are similar, so the mean is a plausible palette and changes continuously with
    the latent. Slots are sorted by lightness, so the mean is also the optimal transport barycentre along lightness.

    Parameters
    ----------
    palettes : (n, 8, 3) float32
        sRGB.
    logits : (n,) float32

    Returns
    -------
    (8, 3) float32
        sRGB.
    """
    weights = np.exp(logits - logits.max(), dtype=np.float64)
    near = np.flatnonzero(weights > _LEAST_WEIGHT)
    weights = weights[near] / weights[near].sum()
    lab = srgb_to_lab(palettes[near]).astype(np.float64)
    # einsum without BLAS: the result does not depend on the number of threads.
    mean = np.einsum("n,nkc->kc", weights, lab, optimize=False)
    return np.clip(lab_to_srgb(mean.astype(np.float32)), 0, 1).astype(np.float32)


def log_softmax(logits: Float32) -> Float32:
    """Return log-probabilities over the first axis."""
    shifted = logits - logits.max(axis=0, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=0, keepdims=True)), np.float32)
