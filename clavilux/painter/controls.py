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
from clavilux.constants import (
    CHAOS_RANGE,
    FINISH,
    FREQUENCY_RANGE,
    PLAN_SIDE,
    SHIFTS,
    SLOTS,
    SURFACE_NAMES,
    TEXTURE_RANGE,
)
from clavilux.errors import ControlsError
from clavilux.painter.marks import KINDS
from clavilux.system.arguments import float_array, real_number, show

Float32 = NDArray[np.float32]
Corrections = Mapping[str, Sequence[float]]

# Corrections of the estimates that a decoder has learnt from the mark classifier, which bundles contain: for each of
# these properties the largest estimate for pictures without the property, as a share of the range, and a factor for
# estimates above it. The classifier overestimates softness, glaze and brush of real pictures. Songs have no outlines:
# its estimates of them hardly correlate with the truth, and viewers score pictures with lines lower.
FINISH_CORRECTIONS: Corrections = {
    "softness": (0.3, 0.7),
    "glaze": (0.15, 0.8),
    "brush": (0.05, 0.7),
    "outline": (0.05, 0.0),
    "shapes": (0.0, 1.0),
    "detail": (0.0, 1.0),
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
        How much the marks override the plan, in ``CHAOS_RANGE``. At 0, each place has its most probable slot. At 1, the
        marks mix the slots with the probabilities of the plan.
    second_kind : str or None
        Kind of the smaller marks near the focus; None for the same kind as `kind`.
    surface : str
        Technique of the painting, one of ``SURFACE_NAMES``.
    shapes : float
        Number of large shapes along the short side of the picture, in ``SHAPES_RANGE``.
    detail : float
        From 0 to 1: how far the smaller marks reach from the middle of the focus.
    softness : float
        In ``SOFTNESS_RANGE``: how many borders are blurred, on the surfaces flat and layers.
    glaze : float
        In ``GLAZE_RANGE``: strength of gradual changes of tone within an area, in L*; values above 8 count as 8.
    brush : float
        In ``BRUSH_RANGE``: strength of the relief of strokes, in L*; values above about 3.3 count as 3.3.
    outline : float
        In ``OUTLINE_RANGE``: lines between areas, on the surface flat. The mean width of a line is about
        half the absolute value, in percent of the short side; absolute values above 0.9 count as 0.9. Lines have the
        darkest colour if it is negative and the lightest if it is positive; 0 is no lines.
    texture : float
        In ``TEXTURE_RANGE``: strength of the traces of the brush and of the grain. 0 is none, 0.5 the default.
    exact_palette : bool
        Paint the colours of the palette exactly. Otherwise the painter widens their range of lightness and makes one
        of them an accent.
    lightness, saturation, warmth : float
        In ``SHIFTS``: change of the colours towards lighter, more colourful and warmer; 0 changes nothing.

    Raises
    ------
    ControlsError
        If a value has a wrong type or shape, or is out of range.
    """

    palette: Float32
    plan: Float32
    kind: str
    frequency: float
    angle: float
    chaos: float
    second_kind: str | None = None
    surface: str = "gouache"
    shapes: float = 3.0
    detail: float = 0.5
    softness: float = 0.0
    glaze: float = 0.0
    brush: float = 0.0
    outline: float = 0.0
    texture: float = 0.5
    exact_palette: bool = False
    lightness: float = 0.0
    saturation: float = 0.0
    warmth: float = 0.0

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
        if not (isinstance(self.surface, str) and self.surface in SURFACE_NAMES):
            raise ControlsError(f"surface is {show(self.surface)}; it is one of {', '.join(SURFACE_NAMES)}")
        numbers = {"frequency": FREQUENCY_RANGE, "chaos": CHAOS_RANGE, **FINISH, "texture": TEXTURE_RANGE, **SHIFTS}
        for name, (low, high) in numbers.items():
            object.__setattr__(self, name, real_number(name, getattr(self, name), low, high, fault=ControlsError))
        if not isinstance(self.exact_palette, bool | np.bool_):
            raise ControlsError(f"exact_palette is {show(self.exact_palette)}; it must be true or false")
        object.__setattr__(self, "exact_palette", bool(self.exact_palette))
        angle = real_number("angle", self.angle, -_MAX_TURNS, _MAX_TURNS, fault=ControlsError)
        object.__setattr__(self, "angle", angle % 0.5 % 0.5)  # twice, because the remainder of -1e-20 rounds to 0.5
        object.__setattr__(self, "palette", palette)
        object.__setattr__(self, "plan", log_softmax(plan))

    def to_json(self) -> str:
        """Return the controls as JSON text; numbers are rounded to 4 decimals and those of the plan to 3."""
        return json.dumps(
            {
                "palette": [[round(float(c), 4) for c in colour] for colour in self.palette],
                "kind": self.kind,
                "frequency": round(self.frequency, 4),
                "angle": round(self.angle, 4),
                "chaos": round(self.chaos, 4),
                "second_kind": self.second_kind,
                "surface": self.surface,
                **{name: round(getattr(self, name), 4) for name in (*FINISH, "texture", *SHIFTS)},
                "exact_palette": self.exact_palette,
                "plan": [[[round(float(v), 3) for v in row] for row in slot] for slot in self.plan],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Controls:
        """Return the controls that the JSON text of `to_json` describes.

        Raises
        ------
        ControlsError
            If the text is not JSON, a key is unknown or missing, or a value is wrong.
        """
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
    surfaces: Sequence[str] = SURFACE_NAMES,
    corrections: Corrections = FINISH_CORRECTIONS,
) -> Controls:
    """Return the controls for the outputs of a decoder for one latent.

    The kinds are the two with the highest scores, and the surface is that with the highest score. The palette is the
    weighted mean of the palettes of the codebook (`blend_palettes`). Frequency and chaos are clipped to their ranges.

    Parameters
    ----------
    outputs : mapping of str to array
        Outputs of ``controls.onnx`` by name, without the batch axis. plan: (8, 32, 32) logits of the slots; palette,
        kind, surface: (n_palettes,), (n_kinds,), (n_surfaces,) logits; frequency, angle, chaos: numbers, the angle in
        turns; finish: (6,) estimates of the properties of ``FINISH``, scaled so that each range is [0, 1].
    palettes : (n_palettes, 8, 3) float32
        The codebook of palettes, sRGB in [0, 1].
    kinds, surfaces : sequence of str
        Names of the kinds and of the surfaces, in the order of the outputs.
    corrections : mapping of str to (float, float)
        Corrections of the estimates of ``FINISH``, as in `FINISH_CORRECTIONS`.
    """
    scores = outputs["kind"]
    order = np.argsort(-scores, kind="stable")
    shares = zip(FINISH, np.clip(outputs["finish"], 0, 1), strict=True)
    finish: dict[str, Any] = {name: _correct(float(share), FINISH[name], corrections[name]) for name, share in shares}
    return Controls(
        palette=blend_palettes(palettes, outputs["palette"]),
        plan=outputs["plan"],
        kind=kinds[int(order[0])],
        second_kind=kinds[int(order[1])] if len(kinds) > 1 else None,
        surface=surfaces[int(outputs["surface"].argmax())],
        frequency=min(max(float(outputs["frequency"]), FREQUENCY_RANGE[0]), FREQUENCY_RANGE[1]),
        angle=float(outputs["angle"]),
        chaos=min(max(float(outputs["chaos"]), CHAOS_RANGE[0]), CHAOS_RANGE[1]),
        **finish,
    )


def _correct(share: float, span: tuple[float, float], correction: Sequence[float]) -> float:
    """Return the value of a property of the finish for an estimate in [0, 1] of its range."""
    (low, high), (threshold, factor) = span, correction
    if low > 0:
        return float(low * (high / low) ** share)  # a range of a scale: by ratios
    estimate = share if low == 0 else 2.0 * share - 1.0  # of signed ranges, the middle is 0
    return math.copysign(high * min(1.0, factor * max(0.0, abs(estimate) - threshold) / (1.0 - threshold)), estimate)


def blend_palettes(palettes: Float32, logits: Float32) -> Float32:
    """Return the mean of palettes in CIELAB, slot by slot, weighted by the softmax of logits.

    Palettes with a considerable weight are similar, so the mean is a plausible palette, and it changes continuously
    with the latent.

    Parameters
    ----------
    palettes : (n, 8, 3) float32
        sRGB in [0, 1].
    logits : (n,) float32

    Returns
    -------
    (8, 3) float32
        sRGB in [0, 1].
    """
    weights = np.exp(logits - logits.max(), dtype=np.float64)
    near = np.flatnonzero(weights > _LEAST_WEIGHT)
    weights = weights[near] / weights[near].sum()
    lab = srgb_to_lab(palettes[near]).astype(np.float64)
    # einsum without BLAS: the result does not depend on the number of threads.
    mean = np.einsum("n,nkc->kc", weights, lab, optimize=False)
    return np.clip(lab_to_srgb(mean.astype(np.float32)), 0, 1).astype(np.float32)


def log_softmax(logits: Float32) -> Float32:
    """Return the log-softmax of logits (K, ...) over the first axis, float32."""
    shifted = logits - logits.max(axis=0, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=0, keepdims=True)), np.float32)
