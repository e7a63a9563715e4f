"""What a picture was painted from, for people and for programs: ``--explain`` and ``--json``.

Picture -> **here** -> a report of plain values -> words

Only what is known is said. Sound and descriptors go into one mapping and come out as one latent, so no line claims that
one descriptor made one colour; how strongly they go together over many songs is for `clavilux evaluate` to measure.
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
    """Return what is known of a picture as plain JSON values, without the plan and the pixels.

    Parameters
    ----------
    picture : Picture
    target : Path
        Where it was written.
    mapped : tuple of str
        The descriptors that the mapping of its bundle takes.
    """
    song, controls = picture.song, picture.controls
    return {
        "song": str(song.path),
        "picture": str(target),
        "description": picture.description,
        "record": picture.record,
        "heard": {
            "duration_s": round(song.duration_s, 3),
            "windows": len(song.windows),
            "audible_windows": int(song.audible.sum()),
        },
        "descriptors": song.descriptors,
        "mapped_descriptors": list(mapped),
        "controls": None if controls is None else _report_controls(controls),
        "z_image_norm": round(float(np.linalg.norm(picture.z_image)), 4),
    }


def _report_controls(controls: Controls) -> dict[str, Any]:
    return {
        "palette": ["#" + "".join(f"{round(255 * float(c)):02x}" for c in colour) for colour in controls.palette],
        "kind": controls.kind,
        "frequency": round(controls.frequency, 4),
        "angle": round(controls.angle, 4),
        "chaos": round(controls.chaos, 4),
        "second_kind": controls.second_kind,
        "second_share": round(controls.second_share, 4),
        **{name: round(getattr(controls, name), 4) for name in FINISH},
    }


def explain_report(report: dict[str, Any]) -> str:
    """Put a report of `report_picture` into a few lines of words."""
    heard, record = report["heard"], report["record"]
    minutes, seconds = divmod(round(heard["duration_s"]), 60)
    lines = [f"  heard    {minutes}:{seconds:02d}, {heard['audible_windows']} of {heard['windows']} windows audible"]
    if record["song"]["silent"]:
        lines.append("           silent throughout: all windows count, and no descriptor means anything")
    for name, value in report["descriptors"].items():
        use = "" if name in report["mapped_descriptors"] else "(the mapping does not take it)"
        lines.append(" ".join(filter(None, (f"           {name:20}", _in_words(value, DESCRIPTORS[name].unit), use))))
    descriptors = "these descriptors" if report["descriptors"] else "the mean descriptors of the training songs"
    lines += [
        *(f"{lead:11}{line}" for lead, line in zip(("  painted", *[""] * 4), _painted(report), strict=False)),
        f"  why      The sound (64 numbers, the mean over the windows) and {descriptors} go into one mapping.",
        f"           The latent that comes out (length {report['z_image_norm']:.2f}) fixes palette, plan and marks",
        "           together; no single descriptor sets a colour or a mark.",
        f"           The seed ({record['seed']}) only chooses how the marks fall.",
    ]
    options = record["options"]
    if options["noise_std"] or options["logvar_scale"]:
        lines.append(
            f"           Noise was added that says nothing of the song: {options['noise_std']:g} to the latent, "
            f"{options['logvar_scale']:g} times the posterior's variance to each window."
        )
    if record["sibling"]:
        lines.append(
            f"           Sibling {record['sibling']}: its latent was moved by chance, {record['variation']:g} steps."
        )
    return "\n".join(lines)


def _in_words(value: float, unit: str) -> str:
    """A descriptor with its unit."""
    if unit == "pitch class":
        return _NOTES[round(value) % 12]
    if unit == "standard deviations":
        return f"{value:+.2f} {unit} from the mean of 393 labelled songs"
    return f"{value:.4g}" if unit == "1" else f"{value:.4g} {unit}"  # "1" is a number without unit


def _painted(report: dict[str, Any]) -> list[str]:
    controls = report["controls"]
    if controls is None:
        return [report["description"], "by a decoder that gives pixels, enlarged"]
    angle = f", at {360 * controls['angle']:.0f} degrees" if MARKS[controls["kind"]].uses_angle else ""
    surface = [f"{name} {controls[name]:.2g}" for name in FINISH if controls[name] and name != "outline"]
    if controls["outline"]:
        surface.append(f"{'dark' if controls['outline'] < 0 else 'light'} outlines of {abs(controls['outline']):.2g} %")
    return [
        " ".join(controls["palette"]),
        f"{controls['kind']}, {controls['frequency']:.1f} across the short side{angle}, chaos {controls['chaos']:.2f}",
        *([f"beside {controls['second_kind']} on {controls['second_share']:.0%}"] if controls["second_share"] else []),
        *([", ".join(surface)] if surface else []),
        report["description"],
    ]
