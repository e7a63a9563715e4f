"""``clavilux paint --again``: paint a picture again from the record inside it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from clavilux.bundle import shipped_bundles
from clavilux.cli.names import is_folder_name, make_folder, refuse_opaque
from clavilux.cli.options import is_given, resolve_size
from clavilux.cli.painting import open_clavilux, paint_again
from clavilux.cli.steering import STEERING, read_steering
from clavilux.cli.tasks import Again, Outcome, saving_of
from clavilux.constants import BACKGROUNDS
from clavilux.errors import BundleError
from clavilux.picture_file import ALL_FORMATS, read_record
from clavilux.record import check_version
from clavilux.system.arguments import show
from clavilux.system.files import refuse_inputs

_STORED = (  # parameters of `paint` that change the latent, which the record has, or that concern several songs
    *("seed", "count", "spread", "noise_std", "logvar_scale", "n_random", "max_s"),
    *("jobs", "resume", "scheduler", "folder_image", "sheet", "mood", "near"),
)


def paint_from_record(ctx: click.Context) -> Outcome:
    """Paint the picture of ``paint --again`` from the record in its file, and return its report and warnings.

    The new picture is written to the file of ``-o``, or under the name of the old picture into its folder; without
    ``-o``, ``cover.png`` becomes ``cover-again.png`` in the current folder. With ``--embed``, it is written into the
    tags of the song, and to a file only if ``-o`` or ``--format`` is given. A `UsageError` is raised if an option
    cannot be combined with ``--again``, and a `ClaviluxError` if the picture cannot be read, painted or written.
    """
    given = ctx.params
    again, paths, output, size = given["again"], given["paths"], given["output"], given["size"]
    quoted = shlex.quote(str(again))
    kept = [option.opts[-1] for option in ctx.command.params if option.name in _STORED and is_given(ctx, option.name)]
    if kept:
        raise click.UsageError(
            f"--folder-image is for songs. For the cover of a folder: --again {quoted} -o ALBUM/cover.jpg"
            if given["folder_image"]
            else f"{' and '.join(kept)} cannot be given with --again, which paints one picture with the song, the "
            "seed and the variation that it stores. Size, colours, surface and the like can be changed."
        )
    if len(paths) > 1:
        raise click.UsageError(
            "--again paints one picture, from its file and at most one SONG; for several pictures, run it for each: "
            "clavilux paint --again PICTURE -o FOLDER/"
        )
    if given["embed"] and not paths:
        raise click.UsageError(f"--embed changes a SONG; give it: clavilux paint SONG --again {quoted} --embed.")
    is_folder = output is not None and is_folder_name(output)
    if output is not None and "{" in output:
        raise click.UsageError(f"-o {output}: with --again, it is a file or a folder, without fields in braces.")
    if output is not None and not is_folder and Path(output).suffix.lower() not in ALL_FORMATS:
        raise click.UsageError(f"-o {output}: a picture ends in {', '.join(ALL_FORMATS)}.")
    pixels, density = resolve_size(size, given["dpi"])
    asked = read_steering(given)
    record = read_record(again)
    check_version(record, f"{again}:")
    bundle = None
    if "controls" not in record:
        bundle = bundle_of(record, again, ctx)
        open_clavilux(bundle)
    elif paths and not given["embed"]:
        raise click.UsageError(f"{again} was painted from controls: give a SONG only with --embed, as its cover.")
    background = given["background"] if is_given(ctx, "background") else None
    target = None
    if output is not None or given["suffix"] or not given["embed"]:
        suffix = f".{given['suffix']}" if given["suffix"] else again.suffix
        if output is None:
            target = Path(f"{again.stem}-again{suffix}")
        else:
            target = Path(output, f"{again.stem}{suffix}") if is_folder else Path(output)
        if (background or record.get("background")) == BACKGROUNDS[1]:
            refuse_opaque(str(target), target.suffix)
        make_folder(target.parent)
        if output is not None:
            sources = [*paths, *filter(None, [given["palette_from"]]), *([again] if is_folder else [])]
            refuse_inputs([target], sources)
    task = Again(
        source=again,
        song=paths[0] if paths else None,
        record=record,
        picture=target,
        bundle=bundle,
        changes={
            **{name: getattr(asked, name) for name in STEERING if given[name] is not None},
            "size": pixels if is_given(ctx, "size") else None,
            "background": background,
            "dpi": density if given["dpi"] is not None or size.dpi is not None else None,
        },
        is_named=output is not None and not is_folder,
        alt_file=given["alt_file"],
        embed=given["embed"],
        saving=saving_of(given["plot"], given["quality"]),
        is_compared=given["explain"] or given["as_json"],
    )
    return paint_again(task)


def bundle_of(record: dict[str, Any], again: Path, ctx: click.Context) -> str:
    """Return the bundle of ``--bundle`` or else of the record in the picture ``again``.

    Records are not trusted, so they must not choose any bundle but a shipped one: a `BundleError` is raised. For a
    picture of controls, which needs no bundle, it is the default of ``--bundle``.
    """
    if is_given(ctx, "bundle") or "controls" in record:
        return str(ctx.params["bundle"])
    bundle = record.get("bundle")
    name = bundle.get("name") if isinstance(bundle, dict) else None
    if name not in shipped_bundles():
        raise BundleError(
            f"{again}: was painted with bundle {show(name)}, which does not ship; give its folder with --bundle"
        )
    return str(name)
