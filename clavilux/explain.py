"""Reports of how a picture was made: as JSON values (``--json``) and as text (``--explain``).

The mapping turns sound and descriptors together into one latent, so the text does not claim that one descriptor made
one colour. `clavilux evaluate` measures how strongly they correlate over many songs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clavilux.audio.descriptors import DESCRIPTORS
from clavilux.constants import FINISH
from clavilux.painter.controls import Controls
from clavilux.painter.marks import MARKS
from clavilux.picture import Picture

_NOTES = ("C", "C sharp", "D", "D sharp", "E", "F", "F sharp", "G", "G sharp", "A", "A sharp", "B")


def report_picture(picture: Picture, target: Path, mapped: tuple[str, ...]) -> dict[str, Any]:
    """Return how a picture was made, as JSON values without the plan and the pixels.

    Parameters
    ----------
    picture : Picture
    target : Path
        File that the picture was written to.
    mapped : tuple of str
        Descriptors that the mapping network of the bundle uses.
    """
    song, controls = picture.song, picture.controls
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
        "descriptors": {} if song is None else song.descriptors,
        "mapped_descriptors": list(mapped),
        "controls": None if controls is None else _report_controls(controls),
        "z_image_norm": None if picture.z_image is None else round(float(np.linalg.norm(picture.z_image)), 4),
    }


def _report_controls(controls: Controls) -> dict[str, Any]:
    return {
        "palette": ["#" + "".join(f"{round(255 * float(c)):02x}" for c in colour) for colour in controls.palette],
        "kind": controls.kind,
        "frequency": round(controls.frequency, 4),
        "angle": round(controls.angle, 4),
        "chaos": round(controls.chaos, 4),
        "second_kind": controls.second_kind,
        "surface": controls.surface,
        **{name: round(getattr(controls, name), 4) for name in FINISH},
    }


def explain_report(report: dict[str, Any]) -> str:
    """Return a report of `report_picture` as a few lines of text."""
    measured, record = report["measured"], report["record"]
    if measured is None:
        source = "controls" if "controls" in record else "the record of a picture"
        sections = {"measured": [f"nothing: painted from {source}"], "painted": _painted(report)}
        return _lay_out(sections)
    minutes, seconds = divmod(round(measured["duration_s"]), 60)
    song = [f"{minutes}:{seconds:02d}, {measured['audible_windows']} of {measured['windows']} windows audible"]
    if record["song"]["silent"]:
        song.append("silent throughout: all windows are used, and the descriptors mean nothing")
    for name, value in report["descriptors"].items():
        use = "" if name in report["mapped_descriptors"] else " (not used for the picture)"
        song.append(f"{name.replace('_', ' ')}: {_in_words(value, DESCRIPTORS[name].unit)}{use}")
    descriptors = "these descriptors" if report["descriptors"] else "the mean descriptors of the training songs"
    why = [
        f"The sound (64 numbers, the mean over the windows) and {descriptors} are mapped to a latent",
        f"(length {report['z_image_norm']:.2f}), which determines palette, plan and marks together; no single",
        f"descriptor sets a colour or a mark. The seed ({record['seed']}) only determines where single marks fall.",
    ]
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


def _in_words(value: float, unit: str) -> str:
    """Return the value of a descriptor with its unit, or in words where the unit means nothing to a listener."""
    if unit == "pitch class":
        return _NOTES[round(value) % 12]
    if unit == "standard deviations":
        degree = "average" if abs(value) < 0.5 else "high" if value > 0 else "low"
        return f"{'very ' if abs(value) >= 1.5 else ''}{degree} ({value:+.1f})"
    return f"{value:.4g}" if unit == "1" else f"{value:.4g} {unit}"  # "1" is a number without unit


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
