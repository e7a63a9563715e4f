"""``clavilux paint --again``: paint a picture again from the record inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clavilux.bundle import shipped_bundles
from clavilux.cli.names import make_folder
from clavilux.cli.painting import Again, Outcome, open_clavilux, paint_again
from clavilux.cli.steering import STEERING
from clavilux.errors import BundleError
from clavilux.picture_file import ALL_FORMATS, read_record
from clavilux.system.arguments import show
from clavilux.system.files import refuse_inputs

_STORED = (  # parameters of `paint` whose values come from the record, or that are for several songs
    *("seed", "count", "spread", "noise_std", "logvar_scale", "n_random", "max_s"),
    *("jobs", "resume", "scheduler", "embed", "folder_image", "sheet", *STEERING),
)


def paint_from_record(
    ctx: click.Context,
    again: Path,
    paths: tuple[Path, ...],
    output: str | None,
    *,
    size: tuple[int, int] | None,
    dpi: float | None,
    alt_file: bool,
) -> Outcome:
    """Paint a picture again from the record in its file, and return the outcome.

    Parameters
    ----------
    ctx : click.Context
        Of the command ``paint``; options whose values come from the record must not be given.
    again : Path
        The picture with the record.
    paths : tuple of Path
        The song of the picture, or nothing.
    output : str or None
        File to write; by default the name of the picture with ``-again`` in the current folder.
    size : (int, int) or None
        Width and height in pixels; None for those of the record.
    dpi : float or None
        Pixels per inch; None for those of the record.
    alt_file : bool
        Also write the description as a text file.

    Raises
    ------
    UsageError
        If an option does not go together with ``--again``.
    ClaviluxError
        If the picture cannot be read, painted or written.
    """
    if any(_is_given(ctx, name) for name in _STORED):
        raise click.UsageError(
            "--again uses the settings stored in the picture; only --size, --dpi, --format, --plot, --bundle and -o "
            "may be given with it."
        )
    if len(paths) > 1:
        raise click.UsageError("--again paints one picture: give one SONG, or none.")
    if output is not None and Path(output).suffix.lower() not in ALL_FORMATS:
        raise click.UsageError(f"-o {output}: a picture ends in {', '.join(ALL_FORMATS)}.")
    record = read_record(again)
    bundle = None
    if "controls" not in record:
        bundle = ctx.params["bundle"] if _is_given(ctx, "bundle") else _shipped_bundle_of(record, again)
        open_clavilux(bundle)
    elif paths:
        raise click.UsageError(f"{again} was painted from controls: give no SONG.")
    suffix = f".{ctx.params['suffix']}" if ctx.params["suffix"] else again.suffix
    target = Path(output) if output is not None else Path(f"{again.stem}-again{suffix}")
    make_folder(target.parent)
    if output is not None:
        refuse_inputs([target], [again, *paths])
    task = Again(
        song=paths[0] if paths else None,
        record=record,
        picture=target,
        bundle=bundle,
        size=size,
        dpi=dpi,
        is_named=output is not None,
        alt_file=alt_file,
        plot=ctx.params["plot"],
    )
    return paint_again(task)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _shipped_bundle_of(record: dict[str, Any], again: Path) -> str:
    """Return the bundle in a record if it is a shipped one; a path in an untrusted picture is never opened."""
    bundle = record.get("bundle")
    name = bundle.get("name") if isinstance(bundle, dict) else None
    if name not in shipped_bundles():
        raise BundleError(
            f"{again}: was painted with bundle {show(name)}, which does not ship; give its folder with --bundle"
        )
    return str(name)
