"""Check the options of ``clavilux paint`` together, before any work."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from clavilux.cli.names import is_picture_name, refuse_opaque
from clavilux.cli.options import check_jobs
from clavilux.cli.templates import check_template, is_template
from clavilux.constants import BACKGROUNDS
from clavilux.errors import AudioError
from clavilux.images import is_picture
from clavilux.picture_file import ALL_FORMATS, FORMATS, VECTOR_FORMATS
from clavilux.system.extras import require

_NO_SONG = """Give songs or folders:
  clavilux paint song.mp3
  clavilux paint album/ -o pictures/"""


def check_usage(ctx: click.Context) -> None:
    """Raise a `UsageError` for options that do not go together, or an `AudioError` for pictures to embed into."""
    given = ctx.params
    paths, output, suffix = given["paths"], given["output"], given["suffix"]
    if not paths and given["again"] is None:
        raise click.UsageError(_NO_SONG)
    if given["alt_file"] and (texts := [path for path in paths if path.suffix.lower() == ".txt"]):
        raise click.UsageError(
            f"--alt-file takes no name: text files are named after pictures, such as song.txt; leave out {texts[0]}."
        )
    printing = [option for option in ("describe", "explain", "as_json") if given[option]]
    names = [f"--{option.removeprefix('as_')}" for option in printing]
    if len(names) > 1:
        raise click.UsageError(f"Give {' or '.join(names)}, not both; --explain and --json include the description.")
    if given["quiet"] and names:
        raise click.UsageError(f"--quiet prints nothing; give it without {names[0]}.")
    if given["explain"] and (given["resume"] or given["scheduler"] is not None):
        raise click.UsageError("--explain needs to measure every song again; give it without --resume and --scheduler.")
    check_jobs(ctx)
    if given["n_random"] is not None:
        if len(paths) != 1 or given["count"] != 1:
            raise click.UsageError("--random needs exactly one folder of feature files, and no --count.")
        if given["embed"] or given["folder_image"]:
            raise click.UsageError("--random paints excerpts; give it without --embed and --folder-image.")
    if output == "":
        raise click.UsageError("-o: the name is empty.")
    if is_template(output):
        check_template(output)
    own = Path(output or "").suffix.lower()
    if suffix and own in ALL_FORMATS and ALL_FORMATS[own] != ALL_FORMATS[f".{suffix}"] and not output.endswith("/"):
        raise click.UsageError(f"-o {output} and --format {suffix} give two formats; give one.")
    again = given["again"].suffix.lower() if given["again"] else ""
    target = own if own in ALL_FORMATS else f".{suffix}" if suffix else again
    is_vector = target in VECTOR_FORMATS
    if given["background"] != BACKGROUNDS[0]:
        refuse_opaque(f"--format {suffix}", f".{suffix}")
        if is_template(output) or is_picture_name(output):
            refuse_opaque(f"-o {output}", own)
    if given["plot"] and not is_vector:
        raise click.UsageError("--plot draws lines; give -o NAME.svg or NAME.pdf, or --format svg or pdf.")
    if given["quality"] is not None and target not in (".jpg", ".jpeg", ".avif"):
        raise click.UsageError(
            "--quality is for JPEG and AVIF; give -o NAME.jpg or NAME.avif, or --format jpg or avif."
        )
    if given["sheet"] is not None:
        if is_vector:
            raise click.UsageError("--sheet shows pictures of pixels; give it without SVG and PDF.")
        if given["sheet"].suffix.lower() not in FORMATS:
            raise click.UsageError(f"--sheet {given['sheet']}: a picture ends in {', '.join(FORMATS)}.")
    if given["embed"]:
        for path in filter(is_picture, paths):
            raise AudioError(
                f"{path}: is a picture, not a song; nothing was changed. To write it into the tags of its song: "
                f"clavilux paint SONG --again {shlex.quote(str(path))} --embed"
            )
        require("mutagen", "tags")  # before any work
    if is_vector:
        require("contourpy", "vector")
