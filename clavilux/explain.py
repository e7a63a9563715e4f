"""Reports of how a picture was made: as JSON values (``--json``) and as text (``--explain``).

The mapping turns sound and descriptors together into one latent, so the text does not claim that one descriptor made
one colour. It says which properties correspond over many songs, and how strongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.constants import FINISH
from clavilux.painter.controls import Controls
from clavilux.painter.marks import MARKS
from clavilux.picture import Picture
from clavilux.words import measured_links, say_share, say_value, share_below


def report_picture(
    picture: Picture, target: Path, mapped: tuple[str, ...], card: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a report of how a picture was made, as a dict of JSON values without the plan and the pixels.

    Parameters
    ----------
    picture : Picture
    target : Path
        File of the picture; its path is part of the report, and the file is not read.
    mapped : tuple of str
        Descriptors that the mapping network of the bundle uses.
    card : mapping, optional
        ``bundle.json``, for the comparison with the training songs and for the strengths of correspondences.
    """
    song, controls, card = picture.song, picture.controls, card or {}
    descriptors = {} if song is None else song.descriptors
    shares = {name: share_below(name, value, card) for name, value in descriptors.items()}
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
        "shares_of_songs_below": {name: round(share, 3) for name, share in shares.items() if share is not None},
        "correspondences": [{**link._asdict(), "words": link.words} for link in measured_links(card)],
        "controls": None if controls is None else _report_controls(controls),
        "z_image_norm": None if picture.z_image is None else round(float(np.linalg.norm(picture.z_image)), 4),
    }


def hex_colours(controls: Controls) -> list[str]:
    """Return the eight colours of the palette as text such as ``#1a2b3c``, from dark to light."""
    return ["#" + "".join(f"{round(255 * float(c)):02x}" for c in colour) for colour in controls.palette]


def _report_controls(controls: Controls) -> dict[str, Any]:
    return {
        "palette": hex_colours(controls),
        "kind": controls.kind,
        "frequency": round(controls.frequency, 4),
        "angle": round(controls.angle, 4),
        "chaos": round(controls.chaos, 4),
        "second_kind": controls.second_kind,
        "surface": controls.surface,
        **{name: round(getattr(controls, name), 4) for name in FINISH},
    }


def explain_report(report: dict[str, Any]) -> str:
    """Return a report from `report_picture` as a few lines of text for a terminal."""
    measured, record = report["measured"], report["record"]
    if measured is None:
        source = "controls" if "controls" in record else "the record of a picture"
        return _lay_out({"measured": [f"nothing: painted from {source}"], "painted": _painted(report)})
    minutes, seconds = divmod(round(measured["duration_s"]), 60)
    song = [f"{minutes}:{seconds:02d}, {measured['audible_windows']} of {measured['windows']} windows audible"]
    if record["song"]["silent"]:
        song.append("silent throughout: all windows are used, and the descriptors mean nothing")
    for name, value in report["descriptors"].items():
        share = report["shares_of_songs_below"].get(name)
        compared = "" if share is None or record["song"]["silent"] else f", {say_share(name, share)}"
        use = "" if name in report["mapped_descriptors"] else " (not used for the picture)"
        song.append(f"{name.replace('_', ' ')}: {say_value(name, value)}{compared}{use}")
    descriptors = "these descriptors" if report["descriptors"] else "the mean descriptors of the training songs"
    why = [
        f"The sound (64 numbers, the mean over the windows) and {descriptors} are mapped to a latent",
        f"(length {report['z_image_norm']:.2f}), which determines palette, plan and marks together; no single",
        f"descriptor sets a colour or a mark. The seed ({record['seed']}) only determines where single marks fall.",
    ]
    links = report["correspondences"]
    if links:
        why.append("Over many songs, sound and picture correspond (rank correlation on songs it was not fitted on):")
        why += [f"  {link['sound']}, {link['picture']}: {link['words']} ({link['strength']:.2f})" for link in links]
    options = record["options"]
    if options["noise_std"] or options["logvar_scale"]:
        why.append(
            f"Random noise was added: {options['noise_std']:g} to the latent, {options['logvar_scale']:g} times the "
            "encoder's variance to each window."
        )
    if record["variation"]:
        why.append(
            f"Variation {record['variation']}: the latent was moved by {record['spread']:g} steps in a random "
            "direction."
        )
    if steering := record.get("steering"):
        why.append(f"Steered: {', '.join(_asked(name, value) for name, value in steering.items())}.")
    return _lay_out({"measured": song, "painted": _painted(report), "why": why})


def _asked(name: str, value: Any) -> str:
    """Return one entry of the steering in a record as text."""
    value = value["name"] if isinstance(value, dict) else value
    return f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"


def _lay_out(sections: dict[str, list[str]]) -> str:
    return "\n".join(
        f"  {title if row == 0 else '':9} {line}" for title, lines in sections.items() for row, line in enumerate(lines)
    )


def _painted(report: dict[str, Any]) -> list[str]:
    """Return the lines about the picture: palette, marks, surface, description."""
    controls = report["controls"]
    if controls is None:
        return [report["description"], "decoded as pixels and enlarged"]
    angle = f", at {360 * controls['angle']:.0f} degrees" if MARKS[controls["kind"]].uses_angle else ""
    surface = [f"{name} {controls[name]:.2g}" for name in FINISH if controls[name] and name != "outline"]
    if controls["outline"]:
        surface.append(f"{'dark' if controls['outline'] < 0 else 'light'} outlines of {abs(controls['outline']):.2g} %")
    second = controls["second_kind"]
    return [
        " ".join(controls["palette"]),
        f"{controls['kind']}, {controls['frequency']:.1f} across the short side{angle}, chaos {controls['chaos']:.2f}",
        f"painted as {controls['surface']}" + (f", with {second} near the focus" if second else ""),
        *([", ".join(surface)] if surface else []),
        report["description"],
    ]
