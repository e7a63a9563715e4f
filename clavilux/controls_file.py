"""Files of controls, which are JSON files that people can edit: read and paint them.

Controls are the parameters from which a picture is painted, such as the palette, the kinds of marks, and the plan (the
probability of each colour at each place). ``docs/controls.md`` describes the file. If a picture was painted from
controls, its record contains the controls, with a compressed plan.
"""

from __future__ import annotations

import base64
import dataclasses
import logging
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import PLAN_SIDE, SLOTS
from clavilux.errors import ClaviluxError, ControlsError, PictureError
from clavilux.options import PaintOptions
from clavilux.painter.controls_json import PLAN_DECIMALS, ControlsFile, parse_fields, read_json
from clavilux.picture import Picture
from clavilux.record import check_version
from clavilux.system.arguments import FileName, show
from clavilux.system.tables import read_text
from clavilux.version import __version__

logger = logging.getLogger("clavilux")

_OF_SONGS = ("variation", "spread", "noise_std", "logvar_scale", "max_s", "clip")  # options that need a song
_MAX_CHARACTERS = 4_000_000  # largest length of a file; fifty times the length of a file that Clavilux writes


def read_controls(path: Path) -> ControlsFile:
    """Return the content of a file of controls.

    Raises
    ------
    ControlsError
        If the file cannot be read, is not JSON, or has missing, unknown or wrong entries; the message names them all.
    """
    text = read_text(path, ControlsError)
    if len(text) > _MAX_CHARACTERS:
        raise ControlsError(f"{path}: has {len(text)} characters; a file of controls has fewer than {_MAX_CHARACTERS}")
    return read_json(text, str(path))


def paint_controls(file: ControlsFile, options: PaintOptions, *, seed: int | None = None, threads: int = 1) -> Picture:
    """Paint the controls of a file, and return the picture.

    Parameters
    ----------
    file : ControlsFile
        From `read_controls`, `ControlsFile.of` or `parse_controls_record`.
    options : PaintOptions
        Only ``size``, ``dpi``, ``background`` and ``steering`` are used. The seed is the next parameter.
    seed : int, optional
        Random seed; by default, the seed in the file.
    threads : int
        Number of threads that paint.

    Raises
    ------
    ControlsError
        If the options have one that needs a song, such as ``variation``, ``max_s`` or the steering ``mood``.
    """
    from clavilux.painter.paint import paint

    seed = file.seed if seed is None else seed
    width, height = options.size
    controls = _steer(file, options).controls
    if complaint := options.steering.complaint_about(controls):
        logger.warning("%s: %s", file.name, complaint)
    pixels = paint(controls, width=width, height=height, seed=seed, threads=threads)
    rgba = None
    if options.is_transparent:
        rgba = paint(controls, width=width, height=height, seed=seed, threads=threads, transparent=True)
    return Picture(pixels, controls_record(file, options, seed=seed), controls, None, None, rgba=rgba)


def repaint_controls(
    record: dict[str, Any], changes: Mapping[str, Any], song: object = None, *, threads: int
) -> Picture:
    """Return a picture that was painted from controls, painted again from its untrusted record.

    ``changes`` are those of `PaintOptions.painted_again`, such as ``size``.
    If a song is given, a `PictureError` is raised. Other errors are those of `parse_controls_record`.
    """
    if song is not None:
        raise PictureError("the picture was painted from controls, without a song; give only its record")
    file, options = parse_controls_record(record)
    return paint_controls(file, options.painted_again(changes, repaint_controls), threads=threads)


def controls_record(file: ControlsFile, options: PaintOptions, *, seed: int | None = None) -> dict[str, Any]:
    """Return the record of the picture that `paint_controls` paints, as JSON values.

    The record has the controls as changed by ``options.steering``. Parameters and errors are those of `paint_controls`.
    """
    fields = dict(_steer(file, options).fields)
    plan = _pack_plan(fields.pop("plan"))  # the last entry of the record
    return {
        "clavilux": __version__,
        "name": file.name,
        "controls": {**fields, "seed": file.seed if seed is None else seed, "plan": plan},
        "size": list(options.size),
        "dpi": options.dpi,
        **({"background": options.background} if options.is_transparent else {}),
    }


def check_options(name: str, options: PaintOptions, bundle: FileName = "default") -> None:
    """Raise a `ControlsError` if options, or a bundle, are given that controls do not use, because they need a song.

    ``name`` is the name of the file of controls, for the message.
    """
    unused = [option for option in _OF_SONGS if getattr(options, option) != getattr(PaintOptions, option)]
    unused += [wish for wish in ("mood", "near") if getattr(options.steering, wish) is not None]
    unused += ["bundle"] if bundle != "default" else []
    if unused:
        needs = "needs" if len(unused) == 1 else "need"
        raise ControlsError(
            f"{name}: {', '.join(unused)} {needs} a song, and these are controls; give a song, or paint without"
        )


def _steer(file: ControlsFile, options: PaintOptions) -> ControlsFile:
    """Return the content of a file of controls, with the changes to the controls that the steering asks for.

    Errors are those of `check_options`.
    """
    check_options(file.name, options)
    steering = options.steering
    return dataclasses.replace(ControlsFile.of(steering.steer(file.controls)), name=file.name) if steering else file


def parse_controls_record(record: dict[str, Any]) -> tuple[ControlsFile, PaintOptions]:
    """Return the controls and the options of a picture that was painted from controls, given its untrusted record.

    Raises
    ------
    ClaviluxError
        If an entry is missing, has a wrong type or is out of range, or if another major or minor version of Clavilux,
        which paints differently, wrote the record.
    """
    check_version(record)
    where = "the record of the picture"
    fields = record.get("controls")
    if not isinstance(fields, dict):
        raise ControlsError(f"{where} has the controls {show(fields)}; it cannot be painted again")
    file = parse_fields({**fields, "plan": _unpack_plan(fields.get("plan"))}, where)
    name = record.get("name")
    file = dataclasses.replace(file, name=name[:200] if isinstance(name, str) else file.name)
    try:
        given = {name: record[name] for name in ("dpi", "background") if name in record}
        return file, PaintOptions(size=record.get("size", ()), **given)
    except ClaviluxError as error:
        raise ControlsError(f"{where} is incomplete ({error}); it cannot be painted again") from error


def _pack_plan(plan: list[Any]) -> str:
    """Return a plan as compressed text of about 20 kB, because the whole record must fit into the 64 kB of Exif."""
    thousandths = np.rint(np.asarray(plan) * 10**PLAN_DECIMALS)
    content = np.clip(thousandths, -(2.0**31), 2.0**31 - 1).astype("<i4").tobytes()
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _unpack_plan(text: Any) -> list[Any]:
    """Return the plan from a text of `_pack_plan`; no more bytes are decompressed than a plan has."""
    n_bytes = 4 * SLOTS * PLAN_SIDE**2
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), n_bytes)
    except (TypeError, ValueError, zlib.error) as error:
        raise ControlsError(f"the record of the picture has a damaged plan ({error})") from error
    if len(content) != n_bytes:
        raise ControlsError(f"the record of the picture has a plan of {len(content)} bytes; it has {n_bytes}")
    values: NDArray[np.float64] = np.frombuffer(content, "<i4").reshape(SLOTS, PLAN_SIDE, PLAN_SIDE) / 10**PLAN_DECIMALS
    return list(values.tolist())
