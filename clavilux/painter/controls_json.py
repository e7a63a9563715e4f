"""Controls as JSON that people can edit: one form for files, for `Controls.to_json` and for `Controls.from_json`.

``docs/controls.md`` describes the entries.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.colour import read_hex, write_hex
from clavilux.constants import FREQUENCY_RANGE, PLAN_SIDE, SLOTS
from clavilux.errors import ControlsError
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.system.arguments import MAX_SEED, float_array, show, whole_number

VERSION = 1
PLAN_DECIMALS = 3  # number of decimals to which the plan is rounded
_GONE = ("second_share", "mirror", "flip")  # controls of Clavilux 0.1, whose files have the version 1 or none
_NOT_CONTROLS = ("version", "seed")  # entries that are not controls
_COLOUR = re.compile("#[0-9a-fA-F]{6}")


@dataclasses.dataclass(frozen=True, eq=False)
class ControlsFile:
    """The content of a file of controls."""

    controls: Controls
    seed: int  # random seed of the picture
    fields: dict[str, Any]  # the content of the file as JSON values, from `to_fields`
    name: str  # name of the file without extension

    @classmethod
    def of(cls, controls: Controls) -> ControlsFile:
        """Return the content of a file named "controls" with seed 0 and these controls, rounded as in `to_fields`."""
        return parse_fields(to_fields(controls, 0), "controls")


def write_json(controls: Controls, seed: int) -> str:
    """Return the JSON text of a file of controls, with one line per control and one line per row of the plan."""
    fields = to_fields(controls, seed)
    plan = fields.pop("plan")
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
    slots = ",\n".join("    [\n" + ",\n".join(f"      {json.dumps(row)}" for row in slot) + "\n    ]" for slot in plan)
    return "{\n" + ",\n".join([*lines, f'  "plan": [\n{slots}\n  ]']) + "\n}\n"


def read_json(text: str, where: str) -> ControlsFile:
    """Return the content of a file of controls, given its untrusted text; ``where`` is its path, for messages.

    Raises
    ------
    ControlsError
        If the text is not JSON, or has missing, unknown or wrong entries; the message names them all.
    """
    try:
        fields: Any = json.loads(text)
    except TypeError as error:
        raise ControlsError(
            f"{where}: is {show(text)}; controls are JSON text; to paint a file, paint(path)"
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(text, str) and text.lower().endswith(".json"):
            raise ControlsError(
                f"{where}: is a path; give the text in it, or paint the file: paint({text!r})"
            ) from error
        raise ControlsError(f"{where}: is not JSON ({error}); `clavilux controls SONG` writes such a file") from error
    return parse_fields(fields, where)


def to_fields(controls: Controls, seed: int) -> dict[str, Any]:
    """Return the content of a file of controls as a dict from name to JSON value.

    Colours are rounded to 8 bits and written as "#rrggbb". The plan is rounded to 3 decimals, other numbers to 4.
    """
    fields: dict[str, Any] = {"version": VERSION, "seed": seed}
    for field in dataclasses.fields(Controls):
        value = getattr(controls, field.name)
        fields[field.name] = round(value, 4) if isinstance(value, float) else value
    fields["palette"] = write_hex(controls.palette)
    fields["plan"] = np.round(controls.plan.astype(np.float64), PLAN_DECIMALS).tolist()
    return fields


def parse_fields(fields: Any, where: str) -> ControlsFile:
    """Return the content of a file of controls, given its untrusted JSON values.

    Error messages begin with ``where``, the path of the file, and name all missing, unknown and wrong entries.
    """
    if not isinstance(fields, dict):
        raise ControlsError(
            f"{where}: is {show(fields)}; controls are a JSON object with a version, a palette and more"
        )
    if gone := [name for name in _GONE if name in fields]:
        remedy = ", or remove them: the picture will be another one" if "version" in fields else ""
        raise ControlsError(
            f"{where}: is of Clavilux 0.1, with controls that are gone ({', '.join(gone)}); write it again with "
            f"`clavilux controls SONG`{remedy}"
        )
    if "version" not in fields:
        raise ControlsError(
            f"{where}: has no version, so it is no file of controls; `clavilux controls SONG` writes one, and so does "
            "Controls.to_json"
        )
    version = fields["version"]
    if version != VERSION or isinstance(version, bool):
        raise ControlsError(f"{where}: its version is {show(version)}; this version of Clavilux reads {VERSION}")
    known = [field.name for field in dataclasses.fields(Controls)]
    faults = []
    for name in fields:
        if name not in known and name not in _NOT_CONTROLS:
            near = difflib.get_close_matches(name, known, n=1)
            faults.append(f"{show(name)} is no control" + (f", did you mean {near[0]}?" if near else ""))
    values: dict[str, Any] = {}
    seed = 0
    # Each value is tried alone in valid controls, so that all wrong values are found, not only the first.
    black, even = np.zeros((SLOTS, 3), np.float32), np.zeros((SLOTS, PLAN_SIDE, PLAN_SIDE), np.float32)
    valid = Controls(black, even, KINDS[0], frequency=FREQUENCY_RANGE[0], angle=0, chaos=0)
    for field in dataclasses.fields(Controls):
        if field.name not in fields:
            if field.default is dataclasses.MISSING:
                faults.append(f"{field.name} is missing")
            continue
        try:
            values[field.name] = _parse_value(field.name, fields[field.name])
            dataclasses.replace(valid, **{field.name: values[field.name]})
        except ControlsError as error:
            faults.append(str(error))
    try:
        seed = whole_number("seed", fields.get("seed", 0), 0, MAX_SEED, fault=ControlsError)
    except ControlsError as error:
        faults.append(str(error))
    if faults:
        raise ControlsError(f"{where}: {'; '.join(faults)}")
    # Controls are painted with rounded values, so that a file that is written from them gives the same picture.
    rounded = to_fields(Controls(**values), seed) | {"plan": values["plan"].tolist()}
    values = {name: _parse_value(name, value) for name, value in rounded.items() if name not in _NOT_CONTROLS}
    return ControlsFile(Controls(**values), seed, rounded, Path(where).stem)


def _parse_value(name: str, value: Any) -> Any:
    """Return the value of a control, given its JSON value: palette and plan become arrays, others are not changed."""
    if name == "plan":
        plan = float_array(name, value, (SLOTS, PLAN_SIDE, PLAN_SIDE), fault=ControlsError)
        return np.round(plan.astype(np.float64), PLAN_DECIMALS)
    if name != "palette":
        return value
    if not isinstance(value, list) or len(value) != SLOTS:
        raise ControlsError(f"palette is {show(value)}; it must be a list of {SLOTS} colours such as #1a2b3c")
    bad = [colour for colour in value if not (isinstance(colour, str) and _COLOUR.fullmatch(colour))]
    if bad:
        raise ControlsError(f"palette has the colour {show(bad[0])}; a colour is written as #1a2b3c")
    return read_hex(value)
