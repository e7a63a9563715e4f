"""A self-contained HTML page about a song and its picture: picture, colours, correspondences, descriptors, timeline.

This module imports Jinja, which is in the extra ``card``.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from clavilux.alt_text import measure_shares, name_colour, sample_pixels
from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.audio.timeline import Part
from clavilux.explain import hex_colours, report_picture
from clavilux.picture import Picture
from clavilux.words import say_share, say_value

CURVES = ("loudness", "centroid", "onset_rate", "register", "arousal")  # descriptors of the timeline
_TITLES = {"centroid": "brightness (centroid)", "onset_rate": "notes a second", "register": "pitch (register)"}
_HEIGHT, _MARGIN = 20.0, 1.0  # of a curve, in units of its view box


def song_page(picture: Picture, parts: Sequence[Part], mapped: tuple[str, ...], card: Mapping[str, Any]) -> str:
    """Return a page about a song and its picture as HTML text, which needs no other files.

    Parameters
    ----------
    picture : Picture
        Painted from a song.
    parts : sequence of Part
        From `clavilux.audio.timeline.measure_parts`; empty for a feature file.
    mapped : tuple of str
        Descriptors that the mapping network of the bundle uses.
    card : mapping
        ``bundle.json``.
    """
    song = picture.song
    assert song is not None, "the page is about a song"
    report = report_picture(picture, Path(song.name), mapped, card)
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
        width=width,
        height=height,
        palette=_palette(picture),
        links=report["correspondences"],
        silent=song.is_silent,
        descriptors=[
            {
                "name": name.replace("_", " "),
                "about": DESCRIPTORS[name].about,
                "value": say_value(name, value),
                "compared": say_share(name, shares[name]) if name in shares and not song.is_silent else "",
                "used": name in mapped,
            }
            for name, value in song.descriptors.items()
        ],
        curves=_curves(parts),
        n_parts=len(parts),
        part_s=parts[1].start_s if len(parts) > 1 else song.duration_s,
        duration=f"{minutes}:{seconds:02d}",
        record=picture.record,
        bundle=picture.record["bundle"]["name"],
    )


def _palette(picture: Picture) -> list[dict[str, Any]]:
    """Return the colours of a palette with their names and shares, from dark to light."""
    if picture.controls is None:
        return []
    palette = picture.controls.palette
    shares = measure_shares(sample_pixels(picture.pixels), palette)
    return [
        {"hex": text, "name": name_colour(colour), "share": float(share)}
        for text, colour, share in zip(hex_colours(picture.controls), palette, shares, strict=True)
    ]


def _curves(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Return the curves of a timeline; none if there are fewer than two parts."""
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
        title = _TITLES.get(name, name.replace("_", " "))
        curves.append({"title": title, "points": points, "low": say_value(name, low), "high": say_value(name, high)})
    return curves
