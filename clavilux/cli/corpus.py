"""``clavilux corpus``: build the training data from public sources, and count its files."""

import os
from collections import Counter
from pathlib import Path

import click

from clavilux.cli.output import complain, say, visible
from clavilux.cli.progress import ProgressReporter
from clavilux.corpus import load_table, summarise
from clavilux.corpus.build import BuildSummary, build_corpus
from clavilux.corpus.summary import to_markdown
from clavilux.corpus.table import Kind


@click.group()
def corpus() -> None:
    """Build training data from public sources, or count the files of training data that were built."""


@corpus.command()
@click.option(
    "--art", "kind", flag_value="art", help="Build the corpus of pictures. Give exactly one of --art and --music."
)
@click.option("--music", "kind", flag_value="music", help="Build the corpus of recordings.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the corpus: new, empty, or of an earlier build of the same kind, which is continued.",
)
@click.option(
    "--mirror",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder of git clones. A repository that is in it is not downloaded. The clone of github.com/OWNER/NAME is "
    "looked for as OWNER+NAME/repo, OWNER+NAME, OWNER/NAME or NAME.",
)
@click.option(
    "--debs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Folder of .deb files. A package that is in it is not downloaded.",
)
@click.option("--core", is_flag=True, help="Use only the core sources, about a third of the downloads.")
@click.option(
    "--include",
    type=click.Choice(["research"]),
    help="Also include files whose licences allow evaluation but not training.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    metavar="N",
    help="Number of worker processes that decode files.",
)
def build(
    kind: Kind | None,
    output: Path,
    mirror: Path | None,
    debs: Path | None,
    core: bool,
    include: str | None,
    workers: int,
) -> None:
    """Build a corpus of pictures or of recordings, or continue an interrupted build.

    Files are read from local copies (--mirror, --debs) or downloaded with git and apt-get.
    """
    if kind is None:
        raise click.UsageError("Give --art or --music.")
    with _Reporter() as progress:
        summary = build_corpus(
            kind,
            output,
            progress=progress,
            mirror=mirror,
            debs=debs,
            core=core,
            research=include == "research",
            workers=workers,
        )
    say(_describe(summary, output))


@corpus.command()
@click.argument("directory", type=click.Path(path_type=Path))
def show(directory: Path) -> None:
    """Print the number of files of a corpus by source, licence and split as a Markdown table.

    DIRECTORY is the folder that was given to `clavilux corpus build` with -o.
    """
    say(to_markdown(summarise(load_table(directory))))


def _describe(summary: BuildSummary, output: Path) -> str:
    lines = [f"{len(summary.rows)} files in {output}/files, listed in {output}/corpus.csv ({summary.seconds:.0f} s)"]
    counts = Counter((row.tier, row.role, row.split) for row in summary.rows)
    lines += [f"  {tier:8} {role:10} {split:10} {n:6}" for (tier, role, split), n in sorted(counts.items())]
    reasons = Counter(reason.partition(":")[0].partition(" of ")[0] for _, reason in summary.dropped)
    if reasons:
        lines.append(f"{sum(reasons.values())} files were left out, listed in {output}/dropped.csv")
        lines += [f"  {n:6} {reason}" for reason, n in reasons.most_common()]
    if summary.skipped_sources:
        lines.append(f"{len(summary.skipped_sources)} sources were skipped")
        lines += [f"  {reason}" for reason in summary.skipped_sources.values()]
    return "\n".join(lines)


class _Reporter(ProgressReporter):
    """Show a progress bar if stderr is a terminal, else print one line per source to stderr."""

    def __init__(self) -> None:
        super().__init__("", prefix="")

    def open_source(self, name: str, n_files: int, size_mb: float) -> None:
        if self._bar:
            self._bar.update(self._task, description=visible(name[:40]))
        else:
            complain(f"{name}: {n_files} files ({size_mb:.0f} MB)", prefix="")

    def advance(self, n_files: int) -> None:
        if self._bar:
            self._bar.advance(self._task, n_files)
