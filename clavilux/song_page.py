"""A self-contained HTML page about a song and its picture: picture, colours, correspondences, descriptors, timeline."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.audio.timeline import Part
from clavilux.explain import describe_painting, describe_steering, report_picture
from clavilux.neighbours import Neighbours
from clavilux.picture import Picture
from clavilux.system.extras import require
from clavilux.words import LABELS, say_further, say_share, say_value

CURVES = ("loudness", "centroid", "onset_rate", "register", "arousal")  # descriptors of the timeline
_HEIGHT, _MARGIN = 20.0, 1.0  # of a curve, in units of the view box of the SVG


def song_page(
    picture: Picture,
    parts: Sequence[Part],
    mapped: tuple[str, ...],
    card: Mapping[str, Any],
    neighbours: Neighbours | None = None,
) -> str:
    """Return a self-contained HTML page about a song and its picture.

    Parameters
    ----------
    picture : Picture
        Painted from a song.
    parts : sequence of Part
        From `clavilux.audio.timeline.measure_parts`; empty for a feature file.
    mapped : tuple of str
        Names of the descriptors that the mapping network of the bundle uses.
    card : mapping
        Content of ``bundle.json``.
    neighbours : Neighbours, optional
        From the bundle. With it, the page also names the nearest training songs and training pictures.

    Raises
    ------
    MissingExtraError
        If Jinja, which is in the extra ``card``, is not installed.
    """
    require("jinja2", "card")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    song = picture.song
    assert song is not None, "the page is about a song"
    report = report_picture(picture, Path(song.name), mapped, card, neighbours)
    shares = report["shares_of_songs_below"]
    minutes, seconds = divmod(round(song.duration_s), 60)
    height, width, _ = picture.pixels.shape
    buffer = io.BytesIO()
    picture.save(buffer, format="jpg", quality=90)
    environment = Environment(
        loader=PackageLoader("clavilux", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("song_page.html.jinja").render(
        name=song.name.encode("utf-8", "backslashreplace").decode(),
        jpeg=base64.b64encode(buffer.getvalue()).decode(),
        description=picture.description,
        painting=describe_painting(report, with_colours=False)[1:],  # the description is that of the image
        width=width,
        height=height,
        colours=report["colours"],
        accent=report["accent"],
        reasons=report["reasons"],
        links=report["correspondences"],
        silent=song.is_silent,
        descriptors=[
            {
                "name": LABELS.get(name, name),
                "about": DESCRIPTORS[name].about,
                "value": say_value(name, value),
                "compared": say_share(name, shares[name])
                if name in mapped and name in shares
                else f"not {'compared' if name in mapped else 'used for the picture'}",
            }
            for name, value in song.descriptors.items()
        ],
        nearest={
            what: [{**near, "further": say_further(near["share"])} for near in report[f"nearest_{what}"]]
            for what in ("songs", "pictures")
        },
        curves=_curves(parts),
        n_parts=len(parts),
        part_s=parts[1].start_s if len(parts) > 1 else song.duration_s,
        duration=f"{minutes}:{seconds:02d}",
        record=picture.record,
        bundle=picture.record["bundle"]["name"],
        steering=describe_steering(picture.record["steering"]) if "steering" in picture.record else "",
    )


def _curves(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Return the curves of descriptors over the parts of a song; an empty list for fewer than two parts."""
    curves = []
    for name in CURVES if len(parts) > 1 else ():
        if name not in parts[0].descriptors:
            continue
        values = [part.descriptors[name] for part in parts]
        low, high = min(values), max(values)
        scale = (_HEIGHT - 2 * _MARGIN) / (high - low) if high > low else 0.0
        points = " ".join(
            f"{100 * k / (len(values) - 1):.2f},{_HEIGHT - _MARGIN - scale * (value - low):.2f}"
            for k, value in enumerate(values)
        )
        title = LABELS.get(name, name)
        curves.append({"title": title, "points": points, "words": _say_course(name, values)})
    return curves


def _say_course(name: str, values: list[float]) -> str:
    """Return in words where the values of a descriptor over the parts of a song start and end, and their range."""
    start, end, low, high = (say_value(name, value) for value in (values[0], values[-1], min(values), max(values)))
    return f"{low} throughout" if low == high else f"starts at {start}, ends at {end}; lowest {low}, highest {high}"
