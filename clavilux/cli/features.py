"""``clavilux features``: measure a folder of songs."""

from __future__ import annotations

import time
from pathlib import Path

import click

from clavilux.audio.feature_files import write_features
from clavilux.audio.feature_table import TABLE
from clavilux.bundle import open_bundle
from clavilux.cli.output import complain, say, set_up_log, visible
from clavilux.cli.progress import ProgressReporter
from clavilux.cli.sections import BUNDLE_HELP, AdvancedOption, CommandWithSections
from clavilux.errors import AudioError

LINE_EVERY_S = 10.0  # between lines of progress where stderr is not a terminal


@click.command(cls=CommandWithSections)
@click.argument("audio_dir", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for descriptors.csv and the feature files.",
)
@click.option(
    "--bundle",
    default="default",
    show_default=True,
    metavar="NAME|DIR",
    cls=AdvancedOption,
    help=f"Bundle whose MFCC settings are used; its networks can then read the feature files. {BUNDLE_HELP}",
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Number of worker processes.  [default: one per core]"
)
@click.option(
    "--scheduler", cls=AdvancedOption, metavar="ADDRESS", help="Measure on a Dask cluster, such as tcp://10.0.0.1:8786."
)
@click.option("-v", "--verbose", cls=AdvancedOption, is_flag=True, help="Print the traceback of internal errors.")
def features(
    audio_dir: Path, output: Path, bundle: str, jobs: int | None, scheduler: str | None, verbose: bool
) -> None:
    """Measure all songs in the folder AUDIO_DIR and its subfolders: tempo, key, loudness and other descriptors.

    Writes a table, descriptors.csv, and for each song a feature file (.npy) that `clavilux paint` and `clavilux train`
    can read.

    An interrupted run continues when the command is repeated. A file that cannot be read is reported and skipped; the
    exit code is then 1.

    \b
    clavilux features music/ -o features/
    """  # noqa: D301  (click: \b keeps line breaks)
    set_up_log(verbose)
    if scheduler is not None and jobs is not None:
        raise click.UsageError(
            "--jobs sets processes of this machine; a cluster uses the workers it has. Give --jobs or --scheduler."
        )
    settings = open_bundle(bundle).feature_settings
    with _Reporter() as progress:
        summary = write_features(
            audio_dir, output, settings=settings, jobs=jobs or -1, scheduler=scheduler, progress=progress
        )
    n_songs, n_faults = summary.measured + summary.kept, len(summary.faults)
    if n_songs == 0:
        raise AudioError(f"{audio_dir}: none of its {_count(n_faults, 'file')} could be measured")
    kept = f", {summary.kept} of them measured earlier" if summary.kept else ""
    say(f"{visible(str(output / TABLE))}: {_count(n_songs, 'song')} of {_length(summary.seconds)}{kept}")
    if n_faults:
        say(f"{_count(n_faults, 'file')} skipped, named above")
        click.get_current_context().exit(1)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _length(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 36_000 else f"{seconds / 3600:.1f} hours"


class _Reporter(ProgressReporter):
    """Progress on stderr: a bar on a terminal, else a line every `LINE_EVERY_S` seconds."""

    def __init__(self) -> None:
        super().__init__("measuring", prefix="clavilux: ")
        self._n_done = self._n_files = 0
        self._line_at = time.monotonic()

    def begin(self, n_files: int) -> None:
        super().begin(n_files)
        self._n_files = n_files

    def advance(self) -> None:
        self._n_done += 1
        if self._bar:
            self._bar.advance(self._task)
        elif self._n_done == self._n_files or time.monotonic() - self._line_at > LINE_EVERY_S:
            self._line_at = time.monotonic()
            complain(f"{self._n_done} of {self._n_files} files", prefix="")
