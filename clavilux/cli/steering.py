"""Options that steer a picture, shared by ``clavilux paint`` and ``clavilux controls``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from clavilux.cli.hints import Word
from clavilux.cli.options import PATH, Real, combine, option_in
from clavilux.colour_names import parse_colour
from clavilux.constants import FIGURE_NAMES, SURFACE_NAMES
from clavilux.errors import PictureError
from clavilux.images import PICTURE_SUFFIXES
from clavilux.steering import Steering

STEERING = tuple(field.name for field in fields(Steering))
"""Names of the parameters that `steering_options` adds to a command."""

_steer = option_in("Steering")
_amount = partial(_steer, type=Real(), metavar="X")

steering_options = combine(
    _steer(
        "--palette",
        metavar="COLOURS",
        help='Paint with 2 to 8 colours of your own, such as "#112233,#e63946,#f1faee" or "navy,light blue,white"; '
        "names are those of CSS and of descriptions. Brush strokes make them lighter and darker; for these colours "
        "alone, also give --surface flat --texture 0.",
    ),
    _steer(
        "--palette-from",
        type=PATH,
        metavar="PICTURE",
        help="Paint with the 8 main colours of PICTURE, such as a photograph. If all of them are about equally light, "
        "they are moved apart in lightness. One of them is made more saturated, as an accent. For exact colours, give "
        "--palette.",
    ),
    _amount("--lightness", help="Lightness, from darker (-1) to lighter (1), such as -0.5; 0 changes nothing."),
    _amount("--saturation", help="Saturation, from grey (-1) to more colourful (1); 0 changes nothing."),
    _amount("--warmth", help="Warmth of the colours, from bluer (-1) to more orange (1); 0 changes nothing."),
    _amount(
        "--texture",
        help="Strength of grain and brushwork, from 0 (none) to 1 (twice the usual strength); 0.5 is usual. At 0, "
        "strokes still show as shapes, without traces of the brush; --surface flat has no strokes.",
    ),
    _amount(
        "--scale", help="Size of shapes and marks, from large and few (-1) to small and many (1); 0 changes nothing."
    ),
    _amount(
        "--complexity",
        help="From a calm picture with few areas (-1) to a busy one with many areas (1); its small marks keep their "
        "size. The number of large shapes changes as with --scale, so figures become larger or smaller and may look "
        "different, and areas have other colours of the same palette. 0 changes nothing.",
    ),
    _amount(
        "--outline",
        help="Width of lines between areas, from 0 (none) to 1 (about 0.5 % of the short side of the picture). Lines "
        "appear only on the surface `flat`, so also give --surface flat.  [default: chosen by the song]",
    ),
    _steer(
        "--surface",
        type=Word(SURFACE_NAMES),
        help="Technique of the painting, such as gouache; `clavilux marks` shows all techniques.  [default: chosen by "
        "the song]",
    ),
    _steer(
        "--figure",
        type=Word(FIGURE_NAMES),
        help="Large shapes that hold the picture together, such as `face`; `none` paints no such shapes; `auto` "
        "chooses those that go with the kinds of marks. `clavilux marks` shows them all.  [default: auto]",
    ),
    _steer(
        "--marks",
        metavar="KIND[,KIND]",
        help="Kind of marks, such as rings; or two kinds, such as rings,dots: the first for large marks, the second "
        "for small ones. `clavilux marks` shows all kinds.  [default: chosen by the song]",
    ),
    _steer(
        "--mood",
        metavar="V,A",
        help="Paint as if the music were happier or sadder (V), and calmer or more excited (A), such as 0.5,-1. V goes "
        "from -1 (sadder: as a rule colder, darker colours) to 1 (happier: as a rule warmer, lighter colours), A from "
        "-1 (calmer) to 1 (more excited: often stronger colours); 0 changes nothing. What the networks learnt decides, "
        "so the effect of A is weak, and for some songs the reverse. To change one property for sure, use --warmth, "
        "--lightness, --saturation or --complexity.",
    ),
    _steer(
        "--near",
        type=PATH,
        metavar="PICTURE",
        help="Make the picture more like PICTURE: layout, marks and colours are halfway between those of the song and "
        "those of PICTURE. For the main colours of PICTURE, give --palette-from, alone or together with --near.",
    ),
)
"""Decorator that adds the steering options to a command, as a section of its help text."""


CUT_PALETTE = 'Put colours in quotes, because a shell ignores all that follows #: --palette "#112233,#e63946".'
"""Hint for ``--palette`` without a value."""


def read_steering(given: Mapping[str, Any]) -> Steering:
    """Return the `Steering` for the values of the options in `STEERING`; None stands for an option that is not given.

    A `UsageError` is raised if a value is out of range or two values contradict each other, and a `PictureError` if a
    picture cannot be read.
    """
    asked = {name: given[name] for name in STEERING if given[name] is not None}
    _check_colours(asked.get("palette"), asked.get("palette_from"))
    try:
        # A check before pictures are read. Black replaces the colours of a picture, so that contradictions are found.
        colours: dict[str, Any] = {"palette_from": ["#000000"] * 8} if "palette_from" in asked else {}
        Steering(**{name: value for name, value in asked.items() if name not in ("palette_from", "near")}, **colours)
    except PictureError as error:
        text = str(error)
        raise click.UsageError(text if text.endswith("?") else f"{text}.") from error
    steering = Steering(**asked)
    if steering.palette is not None and len(set(steering.palette)) == 1:
        raise click.UsageError(f"--palette {asked['palette']} has one colour; give two that differ, or more.")
    return steering


def _check_colours(palette: str | None, picture: Path | None) -> None:
    """Raise a `UsageError` if colours are not separated by commas, or stand where a picture belongs, or vice versa."""
    if palette is not None and ";" in palette:
        raise click.UsageError(f'--palette separates colours by commas: --palette "{palette.replace(";", ",")}".')
    if palette is not None and Path(palette).suffix.lower() in PICTURE_SUFFIXES:
        raise click.UsageError(f"--palette takes colours. For those of a picture, give --palette-from {palette}.")
    if picture is not None and all(map(parse_colour, re.split("[,;]", str(picture)))) and not os.path.exists(picture):
        raise click.UsageError(f'--palette-from takes a picture. For colours, give --palette "{picture}".')
