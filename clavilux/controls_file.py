"""Read and write controls as a JSON file that people can edit, and paint it.

song -> controls -> **here** -> file -> **here** -> picture

``docs/controls.md`` describes the file. A picture that was painted from controls has them in its record, packed.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import difflib
import json
import logging
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.colour import to_bytes
from clavilux.constants import FREQUENCY_RANGE, PLAN_SIDE, SLOTS
from clavilux.errors import ClaviluxError, ControlsError
from clavilux.painter.controls import Controls
from clavilux.painter.marks import KINDS
from clavilux.picture import Picture
from clavilux.record import PaintOptions
from clavilux.steering import Steering
from clavilux.system.arguments import MAX_SEED, float_array, show, whole_number
from clavilux.system.tables import read_text
from clavilux.version import __version__

logger = logging.getLogger("clavilux")

VERSION = 1
_DECIMALS = 3  # of the plan, in files and records
_NOT_CONTROLS = ("version", "seed")
_MAX_CHARACTERS = 4_000_000  # fifty times the length of a file that is written
_COLOUR = re.compile("#[0-9a-fA-F]{6}")


@dataclasses.dataclass(frozen=True, eq=False)
class ControlsFile:
    """The content of a file of controls.

    Attributes
    ----------
    controls : Controls
    seed : int
        Random seed of the picture.
    fields : dict
        The content as JSON values, in the form of `to_fields`.
    name : str
        Name of the file without extension.
    """

    controls: Controls
    seed: int
    fields: dict[str, Any]
    name: str = "controls"

    @classmethod
    def of(cls, controls: Controls, *, seed: int = 0) -> ControlsFile:
        """Return the content of the file of these controls and this seed, rounded as by `to_fields`."""
        return parse_fields(to_fields(controls, seed), "controls")


def controls_text(controls: Controls, *, seed: int = 0) -> str:
    """Return the JSON text of a file of controls: one control per line, and one row of the plan per line."""
    fields = to_fields(controls, seed)
    plan = fields.pop("plan")
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
    slots = ",\n".join("    [\n" + ",\n".join(f"      {json.dumps(row)}" for row in slot) + "\n    ]" for slot in plan)
    return "{\n" + ",\n".join([*lines, f'  "plan": [\n{slots}\n  ]']) + "\n}\n"


def to_fields(controls: Controls, seed: int) -> dict[str, Any]:
    """Return the content of a file of controls as JSON values.

    Colours are rounded to 8 bits and written as "#rrggbb", the plan is rounded to 3 decimals, other numbers to 4.
    """
    fields: dict[str, Any] = {"version": VERSION, "seed": seed}
    for field in dataclasses.fields(Controls):
        value = getattr(controls, field.name)
        fields[field.name] = round(value, 4) if isinstance(value, float) else value
    fields["palette"] = ["#" + bytes(colour).hex() for colour in to_bytes(controls.palette)]
    fields["plan"] = np.round(controls.plan.astype(np.float64), _DECIMALS).tolist()
    return fields


def read_controls(path: Path) -> ControlsFile:
    """Return the content of a file of controls.

    Raises
    ------
    ControlsError
        If the file cannot be read, is not JSON or has wrong values; the message names all faults in one line.
    """
    text = read_text(path, ControlsError)
    if len(text) > _MAX_CHARACTERS:
        raise ControlsError(f"{path}: has {len(text)} characters; a file of controls has less than {_MAX_CHARACTERS}")
    try:
        fields: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ControlsError(f"{path}: is not JSON ({error}); `clavilux controls SONG` writes such a file") from error
    return parse_fields(fields, str(path))


def parse_fields(fields: Any, where: str) -> ControlsFile:
    """Return the content of a file of controls from its JSON values, after validation.

    ``where`` is the start of error messages, and its stem becomes the name of the result.

    Raises
    ------
    ControlsError
        If a value is missing or wrong; the message names all faults in one line.
    """
    if not isinstance(fields, dict):
        raise ControlsError(
            f"{where}: is {show(fields)}; controls are a JSON object with a version, a palette and more"
        )
    version = fields.get("version")
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
    black, even = np.zeros((SLOTS, 3), np.float32), np.zeros((SLOTS, PLAN_SIDE, PLAN_SIDE), np.float32)
    plain = Controls(black, even, KINDS[0], frequency=FREQUENCY_RANGE[0], angle=0, chaos=0)
    for field in dataclasses.fields(Controls):
        if field.name not in fields:
            if field.default is dataclasses.MISSING:
                faults.append(f"{field.name} is missing")
            continue
        try:
            values[field.name] = _parse_value(field.name, fields[field.name])
            dataclasses.replace(plain, **{field.name: values[field.name]})
        except ControlsError as error:
            faults.append(str(error))
    try:
        seed = whole_number("seed", fields.get("seed", 0), 0, MAX_SEED, fault=ControlsError)
    except ControlsError as error:
        faults.append(str(error))
    if faults:
        raise ControlsError(f"{where}: {'; '.join(faults)}")
    rounded = to_fields(Controls(**values), seed) | {"plan": values["plan"].tolist()}
    values = {name: _parse_value(name, value) for name, value in rounded.items() if name not in _NOT_CONTROLS}
    return ControlsFile(Controls(**values), seed, rounded, Path(where).stem)


def _parse_value(name: str, value: Any) -> Any:
    """Return the value of a control, with arrays instead of lists."""
    if name == "plan":
        plan = float_array(name, value, (SLOTS, PLAN_SIDE, PLAN_SIDE), fault=ControlsError)
        return np.round(plan.astype(np.float64), _DECIMALS)
    if name != "palette":
        return value
    if not isinstance(value, list) or len(value) != SLOTS:
        raise ControlsError(f"palette is {show(value)}; it must be a list of {SLOTS} colours such as #1a2b3c")
    bad = [colour for colour in value if not (isinstance(colour, str) and _COLOUR.fullmatch(colour))]
    if bad:
        raise ControlsError(f"palette has the colour {show(bad[0])}; a colour is written as #1a2b3c")
    return np.array([list(bytes.fromhex(colour[1:])) for colour in value], np.float32) / np.float32(255)


def paint_controls(file: ControlsFile, options: PaintOptions, *, seed: int | None = None, threads: int = 1) -> Picture:
    """Return the picture of a file of controls.

    Parameters
    ----------
    file : ControlsFile
    options : PaintOptions
        Only ``size``, ``dpi`` and ``steering`` are used.
    seed : int, optional
        Random seed; by default that of the file.
    threads : int
        Number of threads that paint.

    Raises
    ------
    ControlsError
        If the steering has ``mood`` or ``near``, which need a song.
    """
    from clavilux.painter.paint import paint

    seed = file.seed if seed is None else seed
    width, height = options.size
    controls = _steer(file, options.steering).controls
    if complaint := options.steering.complaint_about(controls):
        logger.warning("%s: %s", file.name, complaint)
    pixels = paint(controls, width=width, height=height, seed=seed, threads=threads)
    return Picture(pixels, controls_record(file, options, seed=seed), controls, None, None)


def controls_record(file: ControlsFile, options: PaintOptions, *, seed: int | None = None) -> dict[str, Any]:
    """Return the record of the picture that `paint_controls` paints, as JSON values, with the controls after steering.

    The parameters and errors are those of `paint_controls`.
    """
    fields = {**_steer(file, options.steering).fields, "seed": file.seed if seed is None else seed}
    packed = _pack_plan(fields.pop("plan"))
    return {
        "clavilux": __version__,
        "name": file.name,
        "controls": {**fields, "plan": packed},
        "size": list(options.size),
        "dpi": options.dpi,
    }


def _steer(file: ControlsFile, steering: Steering) -> ControlsFile:
    """Return a file with steered controls."""
    if steering.mood is not None or steering.near is not None:
        asked = "mood" if steering.mood is not None else "near"
        raise ControlsError(f"{file.name}: {asked} needs a song, and these are controls; give it with a song")
    return dataclasses.replace(ControlsFile.of(steering.steer(file.controls)), name=file.name) if steering else file


def parse_controls_record(record: dict[str, Any]) -> tuple[ControlsFile, PaintOptions]:
    """Return the controls and the options in an untrusted record of a picture that was painted from controls.

    Raises
    ------
    ClaviluxError
        If an entry is missing, has a wrong type or is out of range.
    """
    where = "the record of the picture"
    fields = record.get("controls")
    if not isinstance(fields, dict):
        raise ControlsError(f"{where} has the controls {show(fields)}; it cannot be painted again")
    file = parse_fields({**fields, "plan": _unpack_plan(fields.get("plan"))}, where)
    name = record.get("name")
    file = dataclasses.replace(file, name=name[:200] if isinstance(name, str) else file.name)
    try:
        return file, PaintOptions(size=record.get("size", ()), **({"dpi": record["dpi"]} if "dpi" in record else {}))
    except ClaviluxError as error:
        raise ControlsError(f"{where} is incomplete ({error}); it cannot be painted again") from error


def _pack_plan(plan: list[Any]) -> str:
    """Return a plan as compressed text of about 20 kB; Exif has room for 64 kB."""
    thousandths = np.rint(np.asarray(plan) * 10**_DECIMALS)
    content = np.clip(thousandths, -(2.0**31), 2.0**31 - 1).astype("<i4").tobytes()
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _unpack_plan(text: Any) -> list[Any]:
    """Return the plan of `_pack_plan`; nothing larger than a plan is decompressed."""
    n_bytes = 4 * SLOTS * PLAN_SIDE**2
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), n_bytes)
    except (TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise ControlsError(f"the record of the picture has a damaged plan ({error})") from error
    if len(content) != n_bytes:
        raise ControlsError(f"the record of the picture has a plan of {len(content)} bytes; it has {n_bytes}")
    values: NDArray[np.float64] = np.frombuffer(content, "<i4").reshape(SLOTS, PLAN_SIDE, PLAN_SIDE) / 10**_DECIMALS
    return list(values.tolist())
