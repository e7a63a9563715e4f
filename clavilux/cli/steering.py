"""Options that steer a picture, shared by ``clavilux paint`` and ``clavilux controls``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from clavilux.cli.sections import CommandWithSections, SectionOption
from clavilux.constants import SURFACE_NAMES
from clavilux.errors import PictureError
from clavilux.steering import Steering

_HINTS = {
    **dict.fromkeys(("--darker", "--dark"), "--lightness -0.5"),
    **dict.fromkeys(("--lighter", "--brighter", "--light", "--brightness"), "--lightness 0.5"),
    **dict.fromkeys(("--warmer", "--warm"), "--warmth 0.5"),
    **dict.fromkeys(("--colder", "--cooler", "--cold"), "--warmth -0.5"),
    **dict.fromkeys(("--no-texture", "--smooth", "--no-grain", "--clean"), "--texture 0"),
    **dict.fromkeys(("--grayscale", "--greyscale", "--monochrome", "--bw"), "--saturation -1"),
    **dict.fromkeys(("--colors", "--colours", "--color", "--colour"), '--palette "#112233,#e63946"'),
    **dict.fromkeys(("--style", "--medium"), "--surface gouache"),
    **dict.fromkeys(("--simple", "--simpler", "--minimal"), "--complexity -0.5"),
    **dict.fromkeys(("--like", "--reference", "--similar", "--style-from"), "--near PICTURE"),
    **dict.fromkeys(("--variations", "--variants"), "--count 4"),
}  # what users tried -> what does it

STEERING = tuple(field.name for field in fields(Steering))
"""Parameters that `steering_options` adds to a command."""

_SECTION = "Steering"
_PICTURES = ("palette_from", "near")
_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "palette",
        {
            "metavar": "COLOURS",
            "help": 'Paint with exactly these 2 to 8 colours, such as "#112233,#e63946,#f1faee".',
        },
    ),
    (
        "palette-from",
        {
            "type": click.Path(path_type=Path),
            "metavar": "PICTURE",
            "help": "Paint with the 8 main colours of PICTURE. Their range of lightness is widened and one "
            "becomes a more saturated accent; --palette paints colours exactly.",
        },
    ),
    (
        "lightness",
        {"type": float, "metavar": "X", "help": "From darker (-1) to lighter (1), such as -0.5; 0 changes nothing."},
    ),
    ("saturation", {"type": float, "metavar": "X", "help": "From grey (-1) to more colourful (1)."}),
    ("warmth", {"type": float, "metavar": "X", "help": "From colder, bluer (-1) to warmer, more orange (1)."}),
    (
        "texture",
        {
            "type": float,
            "metavar": "X",
            "help": "Traces of the brush and grain: 0 is none, 0.5 the default strength, 1 twice the default strength.",
        },
    ),
    (
        "scale",
        {
            "type": float,
            "metavar": "X",
            "help": "Fewer and larger shapes and marks (-1) to more and smaller (1) than the song gives.",
        },
    ),
    (
        "complexity",
        {
            "type": float,
            "metavar": "X",
            "help": "Calmer (-1: fewer shapes, less detail) to busier (1) than the song gives.",
        },
    ),
    (
        "outline",
        {
            "type": float,
            "metavar": "X",
            "help": "Width of lines between areas, from 0 (none) to 1 (about 0.5 % of the short side of the picture). "
            "Only the surface flat has lines.",
        },
    ),
    ("surface", {"type": click.Choice(SURFACE_NAMES), "help": "Technique of the painting."}),
    (
        "marks",
        {
            "metavar": "KIND[,KIND]",
            "help": "Kind of marks, such as rings. With two kinds, as in rings,dots, the second is that of small "
            "marks. `clavilux marks` shows all kinds.",
        },
    ),
    (
        "mood",
        {
            "metavar": "V,A",
            "help": "Paint as if the music were sadder or happier (V, from -1 to 1) and calmer or more excited (A, "
            "from -1 to 1), such as 0.5,-1.",
        },
    ),
    (
        "near",
        {
            "type": click.Path(path_type=Path),
            "metavar": "PICTURE",
            "help": "Paint a picture that is half of the way from that of the song to PICTURE; colours, marks and "
            "layout change together.",
        },
    ),
)


class SteeredCommand(CommandWithSections):
    """A command whose error message for an unknown option in `_HINTS` names the right option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; raise a `UsageError` with a hint for an unknown option in `_HINTS`."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            if name not in _HINTS:
                raise
            raise click.UsageError(f"No such option: {name}. Give {_HINTS[name]}.", ctx) from error


def steering_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the steering options added, as a section of its help text."""
    for name, settings in reversed(_OPTIONS):
        command = click.option(f"--{name}", cls=SectionOption, section=_SECTION, **settings)(command)
    return command


def read_steering(given: Mapping[str, Any]) -> Steering:
    """Return the `Steering` that the values of the options describe.

    Parameters
    ----------
    given : mapping
        Values of all options in `STEERING`, by name; None for an option that was not given.

    Raises
    ------
    UsageError
        If a value is out of range or two contradict each other.
    PictureError
        If a picture cannot be read.
    """
    asked = {name: given[name] for name in STEERING if given[name] is not None}
    if "mood" in asked:
        asked["mood"] = _read_numbers(asked["mood"])
    try:
        # Before pictures are read: a stand-in for their colours shows contradictions.
        colours: dict[str, Any] = {"palette_from": ["#000000"] * 8} if "palette_from" in asked else {}
        Steering(**{name: value for name, value in asked.items() if name not in _PICTURES}, **colours)
    except PictureError as error:
        raise click.UsageError(f"{error}.") from error
    return Steering(**asked)


def _read_numbers(text: str) -> Any:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        return text
