"""``clavilux corpus``: build the training data from public sources, and count its files."""

from collections import Counter
from pathlib import Path
from typing import Any

import click

from clavilux.cli.hints import HintedCommand
from clavilux.cli.options import EXISTING_FOLDER, PATH, folder_option, jobs_option, no_progress_option, option
from clavilux.cli.output import say
from clavilux.cli.progress import FileProgress
from clavilux.corpus import load_table, summarise
from clavilux.corpus.build import BuildSummary, build_corpus
from clavilux.corpus.match import find_missing
from clavilux.corpus.summary import to_markdown
from clavilux.corpus.table import TABLE_NAME, Kind
from clavilux.errors import CorpusError
from clavilux.system.arguments import counted
from clavilux.system.files import first_names
from clavilux.system.threads import count_cores


@click.group()
def corpus() -> None:
    """Download training data from public sources, or count what was downloaded."""


@corpus.command(cls=HintedCommand)
@click.option("--art", "kind", flag_value="art", help="Build a corpus of pictures. Give either --art or --music.")
@click.option("--music", "kind", flag_value="music", help="Build a corpus of recordings.")
@folder_option(
    "Folder to write the corpus to. It must be new or empty, or contain an earlier build with the same option (--art "
    "or --music); this build is then continued."
)
@option(
    "--mirror",
    type=EXISTING_FOLDER,
    metavar="DIR",
    help="Folder of git clones. A repository whose clone is in this folder is not downloaded. The clone of "
    "github.com/OWNER/NAME may be in OWNER+NAME/repo, OWNER+NAME, OWNER/NAME or NAME.",
)
@option(
    "--debs",
    type=EXISTING_FOLDER,
    metavar="DIR",
    help="Folder of .deb files. A package that is in this folder is not downloaded.",
)
@option(
    "--core",
    is_flag=True,
    help="Use fewer sources, enough for a first training; pictures and music are then together 4 GB of downloads "
    "instead of 13 GB.",
)
@option(
    "--include",
    type=click.Choice(["research"]),
    help="`research` also includes files whose licences allow evaluation but not training. They are marked as "
    "held-out, so `clavilux train` does not use them.",
)
@jobs_option(use=" that read pictures and sounds")
@no_progress_option()
def build(kind: Kind | None, output: Path, include: str | None, jobs: int | None, **options: Any) -> None:
    """Build a corpus (a folder of training data) of pictures or of recordings, or continue an interrupted build.

    Files are downloaded with git and apt-get, or read from local copies (--mirror, --debs).

    \b
    clavilux corpus build --art -o corpus/art
    clavilux corpus build --music -o corpus/music
    """  # noqa: D301  (click: \b keeps line breaks)
    if kind is None:
        raise click.UsageError("Give --art or --music.")
    workers, research = jobs or count_cores(), include == "research"
    progress = FileProgress("reading")
    with progress.shown():
        summary = build_corpus(kind, output, progress=progress, research=research, workers=workers, **options)
    say(_describe(summary, output))
    if summary.skipped_sources:  # stderr has a line for each
        click.get_current_context().exit(1)


@corpus.command()
@click.argument("directory", type=PATH)
def show(directory: Path) -> None:
    """Print a Markdown table of the number of files in a corpus by source, licence and split.

    DIRECTORY is the folder that was given to `clavilux corpus build` with -o, or a folder whose corpus.csv you wrote.
    """
    rows = load_table(directory)
    say(to_markdown(summarise(rows)))
    if missing := find_missing(directory, [row.file for row in rows]):
        files = f"{counted(len(missing), 'file')} of {directory / TABLE_NAME}"
        raise CorpusError(f"{files} cannot be found in this folder: {first_names(missing)}")


def _describe(summary: BuildSummary, output: Path) -> str:
    files = counted(len(summary.rows), "file")
    lines = [f"{files} in {output}/files, listed in {output}/corpus.csv ({summary.seconds:.0f} s)"]
    counts = Counter((row.tier, row.role, row.split) for row in summary.rows)
    lines += [f"  {tier:8} {role:10} {split:10} {n:6}" for (tier, role, split), n in sorted(counts.items())]
    reasons = Counter(reason.partition(":")[0].partition(" of ")[0] for _, reason in summary.dropped)
    if reasons:
        lines.append(f"{counted(sum(reasons.values()), 'file')} left out, listed in {output}/dropped.csv")
        lines += [f"  {n:6} {reason}" for reason, n in reasons.most_common()]
    if summary.skipped_sources:
        lines.append(f"{counted(len(summary.skipped_sources), 'source')} skipped")
        lines += [f"  {reason}" for reason in summary.skipped_sources.values()]
    return "\n".join(lines)
