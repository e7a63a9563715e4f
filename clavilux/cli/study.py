"""``clavilux study``: make a listening study, and read its results."""

from __future__ import annotations

import os
from pathlib import Path

import click

from clavilux.audio.decode import AUDIO_SUFFIXES
from clavilux.bundle import open_bundle
from clavilux.cli.options import OTHERS, PATH, bundle_option, folder_option, jobs_option, seed_option
from clavilux.cli.output import complain, say, visible
from clavilux.cli.progress import StatusLine
from clavilux.errors import StudyError
from clavilux.study.make import PAGE, check_folder, count_steps, make_study
from clavilux.study.read import Row, Visit, read_visit, summarise
from clavilux.system.arguments import counted
from clavilux.system.files import list_folder


@click.group()
def study() -> None:
    """Test whether listeners can tell which picture belongs to which music."""


@study.command()
@click.argument("music", type=PATH)
@folder_option("New or empty folder to write the page, its pictures and its sounds to.")
@bundle_option(section=OTHERS)
@seed_option("another number chooses other songs, pairs the pictures differently, and asks in another order.")
@jobs_option()
@click.pass_context
def make(ctx: click.Context, music: Path, output: Path, bundle: str, seed: int, jobs: int | None) -> None:
    """Write a page with 40 questions about the songs in the folder MUSIC.

    In 30 questions, the visitor hears an excerpt of a song, sees the picture of this song and the picture of another
    song, and says which picture belongs to the excerpt. In 10 questions, the visitor sees two pictures, and says
    whether they were painted from the two halves of one song or from two songs. The page works offline (open
    index.html) and sends nothing. At the end, the visitor saves a file for `clavilux study read`.

    Give a folder of 40 songs or more. The minimum is ten songs; then each is heard three times. The picture of each
    song is the right answer about as often as it is the wrong answer.

    \b
    clavilux study make music/ -o study/
    """  # noqa: D301  (click: \b keeps line breaks)
    open_bundle(bundle)
    check_folder(output)
    if not os.path.isdir(music):  # Path.is_dir raises where a name is too long
        raise StudyError(f"{music} is not a folder; give a folder of songs")
    listing = list_folder(music, AUDIO_SUFFIXES)
    faults = list(listing.faults())
    for line in (*listing.hints(), *faults):
        complain(line)

    def fault(line: str) -> None:
        faults.append(line)
        complain(f"{line}; skipped")

    status = StatusLine(count_steps(len(listing.files)), "painting", "steps")
    with status.shown():
        n_songs = make_study(
            listing.files, output, bundle=bundle, seed=seed, jobs=jobs or -1, fault=fault, advance=status.advance
        )
    say(f"{visible(str(output / PAGE))}: 40 questions about {counted(n_songs, 'song')}")
    ctx.exit(1 if faults else 0)


@study.command()
@click.argument("results", nargs=-1, required=True, type=PATH, metavar="RESULT...")
@click.pass_context
def read(ctx: click.Context, results: tuple[Path, ...]) -> None:
    """Print how often the visitors of a study chose the right picture.

    Each RESULT is a file that a visitor saved. For each visitor and each kind of question, a line gives the number of
    right answers, their fraction, and the 95 % Wilson interval of the fraction; guessing reaches 0.50. The last lines
    give the same for all visitors together. With five visitors or more, they also give a 95 % bootstrap interval of the
    mean of the visitors' fractions.

    \b
    clavilux study read answers/*.json
    """  # noqa: D301  (click: \b keeps line breaks)
    visits: dict[tuple[str, str], Visit] = {}
    n_faults = 0
    for path in results:
        try:
            visit = read_visit(path)
            if (visit.study, visit.visitor) in visits:
                raise StudyError(f"{path}: these answers were read already; give each result once")
        except StudyError as error:
            complain(str(error))
            n_faults += 1
            continue
        visits[visit.study, visit.visitor] = visit
    for name in dict.fromkeys(study for study, _ in visits):
        own = [visit for visit in visits.values() if visit.study == name]
        say(f"study {visible(name)} ({visible(own[0].made)})\n")
        say("| visitor | part | right | share | 95 % interval |\n|---|---|--:|--:|---|")
        for row in summarise(own):
            say(_line(row))
        say("")
    ctx.exit(1 if n_faults else 0)


def _line(row: Row) -> str:
    interval = f"{row.low:.2f} to {row.high:.2f}"
    if row.over_visitors is not None:
        interval += f"; over visitors {row.over_visitors[0]:.2f} to {row.over_visitors[1]:.2f}"
    who = visible(row.who).replace("|", "/")
    return f"| {who} | {row.part} | {row.k} of {row.n} | {row.k / row.n:.2f} | {interval} |"
