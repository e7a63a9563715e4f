"""The controls of the painter: named and bounded parameters of a picture.

z_image -> decoder of the bundle -> raw outputs -> **here** -> Controls -> painter -> picture

Controls can be saved as JSON, edited and painted again at any size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import lab_to_srgb, srgb_to_lab
from clavilux.constants import (
    CHAOS_RANGE,
    FIGURE_NAMES,
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
from clavilux.system.arguments import MAX_SEED, Number, float_array, real_number, show, whole_number

Float32 = NDArray[np.float32]
Corrections = Mapping[str, Sequence[float]]

# Corrections of the estimates of a decoder, which has learnt them from the mark classifier. A bundle may contain other
# corrections. For each property, there are two numbers: the largest estimate for pictures without the property, as a
# share of the range, and a factor for estimates above this one. The classifier overestimates the softness, glaze and
# brush of real pictures. Paintings of songs get no outlines (factor 0), because estimates of outlines hardly correlate
# with the truth, and viewers give lower scores to pictures with lines.
FINISH_CORRECTIONS: Corrections = {
    "softness": (0.3, 0.7),
    "glaze": (0.15, 0.8),
    "brush": (0.05, 0.7),
    "outline": (0.05, 0.0),
    "shapes": (0.0, 1.0),
    "detail": (0.0, 1.0),
}
_MAX_TURNS = 1  # a larger number is most likely an angle in degrees
_LEAST_WEIGHT = 1e-4  # relative to the most probable palette; smaller weights do not change the mean visibly


@dataclass(frozen=True, eq=False)
class Controls:
    """The parameters of a picture.

    Attributes
    ----------
    palette : (8, 3) float32
        sRGB colours in [0, 1], sorted from dark to light. The indices 0 to 7 are called palette slots.
    plan : (8, 32, 32) float32
        Log-probability of each palette slot in each cell of a grid (slot, row from the top, column from the left).
        Unnormalised logits are accepted and normalised, so that the probabilities of each cell sum to 1.
    kind : str
        Kind of the marks (the shapes that fill the picture), one of ``clavilux.painter.marks.KINDS``.
    frequency : float
        Number of marks along the short side of the picture, in ``FREQUENCY_RANGE``.
    angle : float
        Direction of the marks in turns, counter-clockwise, in [0, 0.5): 0 is horizontal, 0.25 is vertical.
    chaos : float
        How far the colours of the marks deviate from the plan, in ``CHAOS_RANGE``. At 0, each mark has the palette slot
        that is most probable there; with more chaos, its slot is more random. Values above 0.8 count as 0.8.
    second_kind : str or None
        Kind of the smaller marks near the focus of the picture; None for the same kind as `kind`.
    figure : str
        Name of the figures, one of ``FIGURE_NAMES``. Figures are large clear shapes, such as discs, that hold the
        picture together. "auto" chooses the figures that belong to the kinds of marks; "none" paints no figures.
    surface : str
        Technique of the painting, one of ``SURFACE_NAMES``.
    shapes : float
        Number of large marks along the short side of the picture, in ``SHAPES_RANGE``. The larger the number, the
        smaller the figures, and the more parts they have.
    detail : float
        How much of the picture smaller marks fill, from 0 to 1. They fill the areas nearest to the focus first.
    softness : float
        How much of the borders is blurred, in ``SOFTNESS_RANGE``; only for the surfaces "flat" and "layers".
    glaze : float
        In ``GLAZE_RANGE``: strength of gradual changes of lightness within an area, in L*; values above 8 count as 8.
    brush : float
        In ``BRUSH_RANGE``: strength of the relief of strokes, in L*; values above about 3.3 count as 3.3.
    outline : float
        Width and colour of lines between areas, in ``OUTLINE_RANGE``; only for the surface "flat". The mean width, in
        percent of the short side, is about half the absolute value; absolute values above 0.9 count as 0.9. Lines have
        the darkest colour if the value is negative, and the lightest colour if it is positive; 0 stands for no lines.
    texture : float
        In ``TEXTURE_RANGE``: strength of brush traces and of grain. At 0, there are neither.
    exact_palette : bool
        Whether the colours of the palette are painted exactly. If not, the painter widens their range of lightness, and
        makes one colour a saturated accent.
    lightness, saturation, warmth : float
        Changes of all colours, in the ranges of ``SHIFTS``. Positive values make colours lighter, more saturated or
        warmer, negative values make them darker, less saturated or colder.

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
    figure: str = "auto"
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
        if isinstance(self.palette, list | tuple) and any(isinstance(colour, str) for colour in self.palette):
            raise ControlsError(
                f"palette is {show(self.palette)}; here it is an array of sRGB from 0 to 1; for colours such as "
                "#1a2b3c, give clavilux.paint(controls, palette=...)"
            )
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
        for name, allowed in (("surface", SURFACE_NAMES), ("figure", FIGURE_NAMES)):
            if not (isinstance(value := getattr(self, name), str) and value in allowed):
                raise ControlsError(f"{name} is {show(value)}; it is one of {', '.join(allowed)}")
        numbers = {"frequency": FREQUENCY_RANGE, "chaos": CHAOS_RANGE, **FINISH, "texture": TEXTURE_RANGE, **SHIFTS}
        for name, (low, high) in numbers.items():
            object.__setattr__(self, name, real_number(name, getattr(self, name), low, high, fault=ControlsError))
        if not isinstance(self.exact_palette, bool | np.bool_):
            raise ControlsError(f"exact_palette is {show(self.exact_palette)}; it must be true or false")
        object.__setattr__(self, "exact_palette", bool(self.exact_palette))
        try:
            angle = real_number("angle", self.angle, -_MAX_TURNS, _MAX_TURNS, fault=ControlsError)
        except ControlsError as error:
            raise ControlsError(f"{error}, in turns: 45 degrees are 0.125") from None
        object.__setattr__(self, "angle", angle % 0.5 % 0.5)  # twice, because the remainder of -1e-20 rounds to 0.5
        object.__setattr__(self, "palette", palette.copy())  # the array of the caller stays writable
        object.__setattr__(self, "plan", log_softmax(plan))
        self._protect()

    def _protect(self) -> None:
        for array in (self.palette, self.plan):
            array.flags.writeable = False  # values are checked only once; dataclasses.replace changes them

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # of a pickle or a deep copy, whose arrays are writable
        self._protect()

    def to_json(self, *, seed: Number = 0) -> str:
        """Return the controls and the seed of the picture as JSON text, which people can edit.

        A file with this text is what ``clavilux controls`` writes, and `clavilux.paint` paints it. Colours are rounded
        to 8 bits, the plan to 3 decimals, other numbers to 4.

        Examples
        --------
        >>> from pathlib import Path
        >>> controls = paint("nocturne.flac", size=128).controls
        >>> written = Path("nocturne.json").write_text(controls.to_json(seed=7))
        >>> paint("nocturne.json", size=128).controls.kind == controls.kind
        True
        """
        from clavilux.painter.controls_json import write_json

        return write_json(self, whole_number("seed", seed, 0, MAX_SEED, fault=ControlsError))

    @classmethod
    def from_json(cls, text: str) -> Controls:
        """Return the controls in JSON text that `to_json` or ``clavilux controls`` wrote.

        The seed in the text is not part of the controls. To use it, give `clavilux.paint` the path of the file.

        Raises
        ------
        ControlsError
            If the text is not JSON, or has missing, unknown or wrong entries; the message names them all.
        """
        from clavilux.painter.controls_json import read_json

        return read_json(text, "the JSON text").controls


def choose_controls(
    outputs: Mapping[str, NDArray[np.floating]],
    *,
    palettes: Float32,
    kinds: Sequence[str],
    surfaces: Sequence[str] = SURFACE_NAMES,
    corrections: Corrections = FINISH_CORRECTIONS,
) -> Controls:
    """Return the controls of a picture from the outputs of a decoder for one latent.

    The two kinds with the highest logits and the surface with the highest logit are chosen. The palette is a weighted
    mean of the palettes of the codebook (`blend_palettes`). Frequency and chaos are clipped to their ranges.

    Parameters
    ----------
    outputs : mapping of str to array
        Outputs of ``controls.onnx`` by name, without the batch axis:

        - plan: (8, 32, 32) logits of the palette slots in each cell
        - palette: (n_palettes,) logits
        - kind: (n_kinds,) logits
        - surface: (n_surfaces,) logits
        - frequency, angle in turns, chaos: one number each
        - finish: (6,) estimates of the properties in ``FINISH``, each scaled from its range to [0, 1]
    palettes : (n_palettes, 8, 3) float32
        The codebook of palettes, sRGB in [0, 1].
    kinds, surfaces : sequence of str
        Names of the kinds and of the surfaces, in the order of the outputs.
    corrections : mapping of str to (float, float)
        Corrections of the estimates of `finish`, as in `FINISH_CORRECTIONS`.
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
        angle=float(outputs["angle"]) % 0.5,
        chaos=min(max(float(outputs["chaos"]), CHAOS_RANGE[0]), CHAOS_RANGE[1]),
        **finish,
    )


def _correct(share: float, span: tuple[float, float], correction: Sequence[float]) -> float:
    """Return the corrected value of a property in ``FINISH``.

    ``share`` is the estimate of the decoder, scaled to [0, 1] from ``span``, the range of the property. ``correction``
    has two numbers, as in `FINISH_CORRECTIONS`.
    """
    (low, high), (threshold, factor) = span, correction
    if low > 0:
        return float(low * (high / low) ** share)  # equal steps of the estimate are equal ratios of the value
    estimate = share if low == 0 else 2.0 * share - 1.0  # the middle of a range with negative values is 0
    return math.copysign(high * min(1.0, factor * max(0.0, abs(estimate) - threshold) / (1.0 - threshold)), estimate)


def blend_palettes(palettes: Float32, logits: Float32) -> Float32:
    """Return the mean palette, weighted by the softmax of the logits and computed in CIELAB.

    Palettes with a large weight are similar, so the mean is a plausible palette. It changes continuously with the
    logits.

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
    return lab_to_srgb(mean.astype(np.float32))


def log_softmax(logits: Float32) -> Float32:
    """Return the log-softmax of logits (K, ...) over the first axis, float32."""
    shifted = logits - logits.max(axis=0, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=0, keepdims=True)), np.float32)
