"""Report how a picture was made, as JSON values (``--json``) and as text (``--explain``).

The mapping network computes one latent from the audio latent and all descriptors of a song together. Therefore the text
does not claim that one descriptor determined one colour. It says in which properties a song differs most from other
songs, and which properties of pictures correspond to them over many songs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from clavilux.alt_text import MainColour, accent_colour
from clavilux.colour import write_hex
from clavilux.constants import FINISH, MAX_AUDIO_S
from clavilux.errors import PictureError
from clavilux.neighbours import Neighbours
from clavilux.painter.controls import Controls
from clavilux.painter.figures import figure_names
from clavilux.painter.marks import MARKS
from clavilux.picture import Picture
from clavilux.record import ParsedRecord, check_version, parse_record
from clavilux.system.arguments import check_size
from clavilux.system.terminal import text_width
from clavilux.words import (
    COMPARATIVES,
    LABELS,
    measured_links,
    say_further,
    say_reasons,
    say_share,
    say_value,
    share_below,
)

_INDENT = 12  # columns of the titles
_COLUMNS = 60, 100  # smallest and largest width of the text


def report_picture(
    picture: Picture,
    target: Path,
    mapped: tuple[str, ...],
    card: Mapping[str, Any] | None = None,
    neighbours: Neighbours | None = None,
) -> dict[str, Any]:
    """Return a report of how a picture was made, as a dict of JSON values.

    The report has neither the pixels nor the plan of the picture (where each colour lies).

    Parameters
    ----------
    picture : Picture
    target : Path
        Path of the picture file, for the report; the file is not read.
    mapped : tuple of str
        Names of the descriptors that the mapping network of the bundle uses.
    card : mapping, optional
        Content of ``bundle.json``. Without it, the report has neither a comparison with the training songs nor the
        correspondences between songs and pictures.
    neighbours : Neighbours, optional
        Neighbours of the bundle. Without them, the report names no nearest training songs and pictures.
    """
    song, controls, card = picture.song, picture.controls, card or {}
    descriptors = {} if song is None else song.descriptors
    shares = {name: share_below(name, value, card) for name, value in descriptors.items()}
    compared = {name: round(share, 3) for name, share in shares.items() if share is not None}
    links = measured_links(card) if mapped else []  # without descriptors, nothing is mapped on purpose
    colours = [] if controls is None else picture.colours
    accent = accent_colour(picture.cells, colours) if colours else None
    wishes = picture.record.get("steering", {})
    return {
        "song": picture.record.get("song", picture.record)["name"] if song is None else str(song.path),
        "picture": str(target),
        "description": picture.description,
        "record": picture.record,
        "measured": None
        if song is None
        else {
            "duration_s": round(song.duration_s, 3),
            "windows": len(song.windows),
            "audible_windows": int(song.audible.sum()),
        },
        "descriptors": descriptors,
        "mapped_descriptors": list(mapped),
        "shares_of_songs_below": compared,
        "correspondences": [{**link._asdict(), "words": link.words} for link in links],
        "reasons": [] if song is None or song.is_silent else say_reasons(links, compared, wishes),
        **_report_nearest(picture, neighbours),
        "colours": [_report_colour(colour) for colour in colours],
        "accent": None if accent is None else _report_colour(accent),
        "look": {name: round(value, 3) for name, value in picture.look._asdict().items() if value is not None},
        "controls": None if controls is None else _report_controls(controls),
        "transparent_share": None if picture.alpha is None else round(float((picture.alpha < 128).mean()), 3),
        # Without the answer: it has the name of a figure, but is only a small shape, such as a disc.
        "main_figure": None if controls is None else next(iter(figure_names(controls)), "none"),
        "z_image_norm": None if picture.z_image is None else round(float(np.linalg.norm(picture.z_image)), 4),
    }


def _report_nearest(picture: Picture, neighbours: Neighbours | None) -> dict[str, Any]:
    """Return the training songs nearest to the song of a picture, and the training pictures nearest to the picture.

    None are returned if the song is silent, no songs if it is missing, and no pictures if the picture was painted from
    controls.
    """
    song, z_audio, z_image = picture.song, picture.z_audio, picture.z_image
    songs, pictures = [], []
    if song is not None and song.is_silent:
        neighbours = None
    if neighbours is not None and song is not None and z_audio is not None:
        songs = neighbours.songs(z_audio, song.descriptors)
    if neighbours is not None and z_image is not None:
        pictures = neighbours.pictures(z_image)
    return {
        f"nearest_{what}": [{**found._asdict(), "share": round(found.share, 4)} for found in all_found]
        for what, all_found in (("songs", songs), ("pictures", pictures))
    }


def _report_colour(colour: MainColour) -> dict[str, Any]:
    return {**colour._asdict(), "share": round(colour.share, 4)}


def _report_controls(controls: Controls) -> dict[str, Any]:
    return {
        "palette": write_hex(controls.palette),
        "kind": controls.kind,
        "frequency": round(controls.frequency, 4),
        "angle": round(controls.angle, 4),
        "chaos": round(controls.chaos, 4),
        "second_kind": controls.second_kind,
        "figure": controls.figure,
        "surface": controls.surface,
        **{name: round(getattr(controls, name), 4) for name in FINISH},
    }


def explain_report(report: dict[str, Any], width: int | None = None, *, is_variation: bool = False) -> str:
    """Return a text that explains a report from `report_picture`.

    With ``is_variation``, what is the same for all variations of a song is left out: what was measured and why.

    On a terminal, or with ``width``, the text has two columns, and its lines are wrapped to that many characters.
    Otherwise each line is one fact, however long, so that a screen reader reads whole phrases. Measured values that a
    comparison with other songs says better are only in the report.
    """
    width = width or text_width()
    measured, record = report["measured"], report["record"]
    if measured is None:
        source = "controls" if "controls" in record else "the record of a picture"
        sections = {"measured": [f"nothing: painted from {source}"], "painted": describe_painting(report)}
        return _lay_out(sections, width)
    minutes, seconds = divmod(round(measured["duration_s"]), 60)
    duration = f"{minutes}:{seconds:02d}"
    if measured["audible_windows"] < measured["windows"]:
        duration += f"; {measured['audible_windows']} of {measured['windows']} parts of 5 s are audible"
    if report["shares_of_songs_below"]:
        duration += "; compared with the training songs:"
    song, others = [duration], []
    is_silent = record["song"]["silent"]
    if is_silent:
        song = [f"{minutes}:{seconds:02d}; silent throughout, so there is nothing to describe or compare"]
    for name, value in () if is_silent else report["descriptors"].items():
        label, words = LABELS.get(name, name), say_value(name, value)
        share = report["shares_of_songs_below"].get(name)
        if name in report["mapped_descriptors"]:
            song.append(f"{label}: {words if share is None else say_share(name, share)}")
        elif name not in COMPARATIVES:
            others.append(f"{label} {words}")
    if others:
        song.append(f"not used for the picture: {', '.join(others)}")
    why = [f"{reason[0].upper()}{reason[1:]}." for reason in report["reasons"]]
    if is_silent:
        source = "the silence"
    elif not report["mapped_descriptors"]:
        source = "only the sound itself"
    elif report["descriptors"]:
        source = "the sound and all these values together"
    else:
        source = "the sound and the mean values of the training songs together"
    if report["reasons"]:
        why.append("As a rule means over many songs; this picture may differ, above all where the link is weak.")
    why.append(f"The networks map {source} to the whole picture; no single value sets a colour or a shape.")
    options = record["options"]
    if options["noise_std"] or options["logvar_scale"]:
        why.append("Random noise was added, so another seed gives another picture.")
    if is_variation:
        song, why = [], []
    if number := record["variation"]:
        steps = _steps(record["spread"])
        why.append(f"Variation {number} (picture {number + 1} of --count) is {steps} from the main picture.")
    if steering := record.get("steering"):
        why.append(f"{describe_steering(steering)}; what the song would do to the same properties is left out.")
    nearest = [
        f"{what[:-1]} {_describe_nearby(near)}; {say_further(near['share'])} of pairs of {what} are further apart"
        for what in ("songs", "pictures")[is_variation:]
        for near in report[f"nearest_{what}"]
    ]
    return _lay_out({"measured": song, "painted": describe_painting(report), "why": why, "nearest": nearest}, width)


def _describe_nearby(near: dict[str, Any]) -> str:
    artist = f" by {near['artist']}" if near["artist"] else ""
    source = f" ({near['source']})" if near["source"] else ""
    return f"{near['title']}{artist}{source}"


def describe_steering(steering: dict[str, Any]) -> str:
    """Return the text for the steering in a record, such as "Steered: warmth 0.5, marks rings dots"."""
    wishes = []
    for name, value in steering.items():
        value = value["name"] if isinstance(value, dict) else value
        wishes.append(f"{name.replace('_', ' ')} {' '.join(map(str, value)) if isinstance(value, list) else value}")
    return f"Steered: {', '.join(wishes)}"


def _lay_out(sections: dict[str, list[str]], width: int | None) -> str:
    """Return a text from sections: title -> lines.

    With a width, it has two columns, titles and wrapped lines; a word that is longer than a line is not cut. Without a
    width, each line of a section is one line, after a line with the title.
    """
    if width is None:
        return "\n".join(row for title, lines in sections.items() if lines for row in (f"{title}:", *lines))
    inner = min(max(width, _COLUMNS[0]), _COLUMNS[1]) - _INDENT
    rows = []
    for title, lines in sections.items():
        wrapped = [row for line in lines for row in _wrap(line, inner)]
        rows += [f"  {title if k == 0 else '':9} {row}" for k, row in enumerate(wrapped)]
    return "\n".join(rows)


def _wrap(line: str, width: int) -> list[str]:
    return wrap(line, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def _steps(spread: float) -> str:
    return f"{spread:g} step{'s' * (spread != 1)}"


def describe_painting(report: dict[str, Any], *, with_colours: bool = True) -> list[str]:
    """Return lines about the picture of a report: description, main colours, measures, and names of what was painted.

    ``report`` is from `report_picture`.
    """
    controls = report["controls"]
    look = report["look"]
    measures = (
        f"mean lightness {look['lightness']:.0f} of 100, contrast {look['contrast']:.0f}, colourfulness "
        f"{look['chroma']:.0f}, warmth {look['warmth']:.0f}, borders in {100 * look['borders']:.0f} % of places"
    ) + (f", {look['areas']} areas" if "areas" in look else "")
    if controls is None:
        return [report["description"], measures, "decoded as pixels and enlarged"]
    angle = f" at {360 * controls['angle']:.0f} degrees" if MARKS[controls["kind"]].uses_angle else ""
    second = controls["second_kind"]
    colours = [f"{colour['name']} {colour['hex']} {100 * colour['share']:.1f} %" for colour in report["colours"]]
    if accent := report["accent"]:
        colours.append(f"accent {accent['name']} {accent['hex']} {100 * accent['share']:.1f} % (a part of these)")
    return [
        report["description"],
        *([", ".join(colours)] if with_colours else []),
        measures,
        f"marks: {controls['kind']}{angle}{', with ' + second + ' near the focus' if second else ''}; figure: "
        f"{report['main_figure']}; surface: {controls['surface']}",
    ]


def explain_record(
    record: dict[str, Any], description: str, report: dict[str, Any] | None = None, width: int | None = None
) -> str:
    """Return a text that says what a picture shows, and the settings that it was painted with.

    Parameters
    ----------
    record : dict
        From `clavilux.picture_file.read_record`; untrusted.
    description : str
        From `clavilux.picture_file.read_description`.
    report : dict, optional
        From `report_picture`, for the picture that was painted again from the record; it adds colours and marks.
    width : int, optional
        As for `explain_report`.

    Raises
    ------
    PictureError
        If an entry is missing, has a wrong type or is out of range.
    """
    painted = [description or "the file has no description", *(describe_painting(report)[1:] if report else ())]
    if "controls" in record:
        size = recorded_size(record)
        settings = [f"controls: {record.get('name')}", f"size: {size[0]} x {size[1]} pixels"]
    else:
        try:
            settings = _describe_settings(parse_record(record, any_version=True))
        except PictureError:
            check_version(record)  # raises a better error if the record is incomplete because it is of 0.1
            raise
    settings.append(f"Clavilux {record['clavilux']}")
    return _lay_out({"painted": painted, "settings": settings}, width or text_width())


def recorded_size(record: dict[str, Any]) -> tuple[int, int]:
    """Return width and height in pixels from an untrusted record; raise a `PictureError` if they are no size."""
    size = record.get("size")
    return check_size(tuple(size) if isinstance(size, list) else size)


def _describe_settings(record: ParsedRecord) -> list[str]:
    """Return one line for each option in the record of a picture that differs from the default, after the main ones."""
    options, seconds = record.options, record.song.get("duration_s")
    duration = "" if seconds is None else f", {round(seconds) // 60}:{round(seconds) % 60:02d}"
    lines = [
        f"song: {record.song['name']}{duration}{', silent' if record.song['silent'] else ''}",
        f"size: {options.size[0]} x {options.size[1]} pixels, {options.dpi:g} per inch",
        f"seed: {options.seed}",
    ]
    if options.variation:
        number = f"{options.variation} (picture {options.variation + 1} of --count)"
        lines.append(f"variation: {number}, {_steps(options.spread)} from the main picture")
    if options.steering:
        lines.append(describe_steering(options.steering.to_record()))
    if options.is_transparent:
        lines.append("background: transparent")
    if options.max_s < MAX_AUDIO_S:
        lines.append(f"sound: only the first {options.max_s:g} s")
    if options.clip is not None:
        lines.append(f"sound: only part {options.clip} of the feature file")
    if options.noise_std or options.logvar_scale:
        lines.append("random noise was added")
    return [*lines, f"bundle: {record.bundle_name}"]
