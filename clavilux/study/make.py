"""Write the page of a listening study, with pictures and excerpts of songs under random file names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.bundle import open_bundle
from clavilux.errors import ClaviluxError, OutputError, StudyError
from clavilux.study.key import scramble
from clavilux.study.pieces import make_halves, make_whole
from clavilux.study.trials import COMPARISONS, LEAST_SONGS, MATCHES, draw_comparisons, draw_matches
from clavilux.system.arguments import counted
from clavilux.system.files import write_whole
from clavilux.system.jobs import count_jobs, run_songs
from clavilux.version import __version__

FORMAT, VERSION = "clavilux study", 1
PAGE, MEDIA = "index.html", "media"

Pieces = tuple[bytes, bytes]  # result of `make_whole` or `make_halves`
Make = Callable[[str, Path], Pieces]  # `make_whole` or `make_halves`; called with a bundle and a song


def make_study(
    songs: Sequence[Path],
    folder: Path,
    *,
    bundle: str,
    seed: int,
    jobs: int,
    fault: Callable[[str], None],
    advance: Callable[[], None] = lambda: None,
) -> int:
    """Write the page of a study, and return the number of songs in its first part.

    The first part has at most `MATCHES` songs, and asks which of two pictures belongs to a song. The second part shows
    pictures of the halves of `COMPARISONS` other songs, and asks whether two pictures belong to the same song. If there
    are not enough other songs, the songs of the first part are used again.

    Parameters
    ----------
    songs : sequence of Path
        Sound files.
    folder : Path
        New or empty folder for the page.
    bundle : str
        Name of a shipped bundle (trained networks), or the folder of a bundle.
    seed : int
        Random seed that determines the choice of songs and the trials.
    jobs : int
        Number of worker processes; -1 for one per core.
    fault : callable
        Called with a one-line message for each song that cannot be painted.
    advance : callable
        Called after each song whose picture, or the pictures of whose halves, were painted.

    Raises
    ------
    OutputError
        If the folder is not empty.
    StudyError
        If fewer than `LEAST_SONGS` songs, or the halves of fewer than `COMPARISONS` songs, can be painted.
    """
    check_folder(folder)
    if len(songs) < LEAST_SONGS:  # before they are read, which takes long
        raise _too_few(len(songs))
    rng = np.random.default_rng(seed)
    order = [songs[i] for i in rng.permutation(len(songs))]
    jobs = min(count_jobs(jobs), max(1, len(order)))

    def take(make: Make, songs: Sequence[Path], most: int) -> tuple[dict[Path, Pieces], Sequence[Path]]:
        """Call ``make`` with songs in order until ``most`` calls succeed; return song -> result, and untried songs."""
        taken: dict[Path, Pieces] = {}
        while songs and len(taken) < most:
            tried, songs = songs[: most - len(taken)], songs[most - len(taken) :]
            results = run_songs(partial(_attempt, make, bundle), tried, jobs=jobs, failed=_failed)
            for song, result in zip(tried, results, strict=True):
                if isinstance(result, str):
                    fault(result)
                else:
                    taken[song] = result
                    advance()
        return taken, songs

    heard, rest = take(make_whole, order, MATCHES)
    if len(heard) < LEAST_SONGS:
        raise _too_few(len(heard))
    halves, _ = take(make_halves, rest, COMPARISONS)
    if len(halves) < COMPARISONS:
        halves, _ = take(make_halves, list(heard), COMPARISONS)
    if len(halves) < COMPARISONS:
        raise StudyError(
            f"the halves of {counted(len(halves), 'song')} can be painted; give a folder with {LEAST_SONGS} or more"
        )
    opened = open_bundle(bundle)
    made = {"clavilux": __version__, "bundle": opened.name, "sha256": opened.sha256[:12], "seed": seed}
    media, page = _lay_out(list(heard.values()), list(halves.values()), rng, made)
    for name, content in media.items():
        write_whole(folder / MEDIA / name, content)
    write_whole(folder / PAGE, page.encode())
    return len(heard)


def count_steps(n_songs: int) -> int:
    """Return how many times `make_study` calls ``advance`` if all of ``n_songs`` songs can be painted."""
    return COMPARISONS + (MATCHES if n_songs >= MATCHES + COMPARISONS else n_songs)


def check_folder(folder: Path) -> None:
    """Raise an `OutputError` unless a folder is empty or does not exist."""
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; give a new folder, so that a study holds nothing else")


def _too_few(n: int) -> StudyError:
    return StudyError(f"too few songs for a study: {n}; give a folder with {LEAST_SONGS} or more")


def _attempt(make: Make, bundle: str, song: Path) -> Pieces | str:
    """Return the result of ``make`` for a song, or an error message that names the song."""
    try:
        return make(bundle, song)
    except ClaviluxError as error:
        return str(error)


def _failed(song: Path, reason: str) -> str:
    return f"{song}: {reason}"


def _lay_out(
    heard: Sequence[Pieces], halves: Sequence[Pieces], rng: np.random.Generator, made: dict[str, Any]
) -> tuple[dict[str, bytes], str]:
    """Draw the trials; return the picture and sound files (file name -> content), and the page as HTML.

    ``heard`` has results of `make_whole`, ``halves`` results of `make_halves`. ``made`` says how the study was made.
    """
    media: dict[str, bytes] = {}

    def add(content: bytes, suffix: str) -> str:
        name = f"{rng.bytes(8).hex()}{suffix}"
        media[name] = content
        return f"{MEDIA}/{name}"

    pictures = [add(picture, ".jpg") for picture, _ in heard]
    sounds = [add(sound, ".mp3") for _, sound in heard]
    half_pictures = [[add(picture, ".jpg") for picture in pair] for pair in halves]
    trials: list[dict[str, Any]] = []
    matches, comparisons = draw_matches(len(heard), rng), draw_comparisons(rng)
    for match in matches:
        shown = [pictures[match.left], pictures[match.right]]
        trials.append({"part": "match", "sound": sounds[match.song], "pictures": shown})
    for comparison in comparisons:
        shown = [half_pictures[song][half] for song, half in (comparison.left, comparison.right)]
        trials.append({"part": "same", "pictures": shown})
    for number, trial in enumerate(trials, 1):
        trial["id"] = str(number)
    right: list[str] = [*(match.answer for match in matches), *(comparison.answer for comparison in comparisons)]
    answers = {str(number): answer for number, answer in enumerate(right, 1)}
    digest = hashlib.sha256(json.dumps([trials, answers, made]).encode())
    for name in sorted(media):
        digest.update(media[name])
    study = digest.hexdigest()[:12]
    data = {"format": FORMAT, "version": VERSION, "study": study, "made": made, "trials": trials}
    text = json.dumps({**data, "key": scramble(answers, study)}, indent=0).replace("<", "\\u003c")
    page = files("clavilux.study").joinpath("page.html").read_text("utf-8")
    return media, page.replace("@DATA@", text)
