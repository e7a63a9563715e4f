"""Write the page of a study: pictures and excerpts of songs with random file names, and trials in a random order."""

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
from clavilux.system.files import write_whole
from clavilux.system.jobs import count_jobs, run_calls
from clavilux.version import __version__

FORMAT, VERSION = "clavilux study", 1
PAGE, MEDIA = "index.html", "media"

Pieces = tuple[bytes, bytes]


def make_study(
    songs: Sequence[Path], folder: Path, *, bundle: str, seed: int, jobs: int, fault: Callable[[str], None]
) -> int:
    """Write the page of a study into a new or empty folder, and return the number of songs in its first part.

    At most `MATCHES` songs are heard in the first part. The second part shows the halves of `COMPARISONS` other songs,
    or, if there are not enough songs, the halves of songs of the first part.

    Parameters
    ----------
    songs : sequence of Path
        Sound files.
    folder : Path
    bundle : str
        Name of a shipped bundle, or the folder of one.
    seed : int
        Random seed of the choice of songs and of the trials.
    jobs : int
        Number of worker processes; -1 for one per core.
    fault : callable
        Called with one line for each song that cannot be painted.

    Raises
    ------
    OutputError
        If the folder is not empty.
    StudyError
        If fewer than `LEAST_SONGS` songs, or the halves of fewer than `COMPARISONS` songs, can be painted.
    """
    check_folder(folder)
    rng = np.random.default_rng(seed)
    order = [songs[i] for i in rng.permutation(len(songs))]
    jobs = min(count_jobs(jobs), max(1, len(order)))
    heard, rest = _take(make_whole, bundle, order, MATCHES, jobs, fault)
    if len(heard) < LEAST_SONGS:
        raise StudyError(f"{len(heard)} songs are too few for a study; give a folder with {LEAST_SONGS} or more")
    halves, _ = _take(make_halves, bundle, rest, COMPARISONS, jobs, fault)
    if len(halves) < COMPARISONS:
        halves, _ = _take(make_halves, bundle, list(heard), COMPARISONS, jobs, fault)
    if len(halves) < COMPARISONS:
        raise StudyError(f"the halves of {len(halves)} songs can be painted; give a folder with {LEAST_SONGS} or more")
    media, page = _lay_out(list(heard.values()), list(halves.values()), rng, made=_describe(bundle, seed))
    for name, content in media.items():
        write_whole(folder / MEDIA / name, content)
    write_whole(folder / PAGE, page.encode())
    return len(heard)


def check_folder(folder: Path) -> None:
    """Raise `OutputError` unless the folder is empty or does not exist."""
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; give a new folder, so that a study holds nothing else")


def _take(
    make: Callable[[str, Path], Pieces],
    bundle: str,
    songs: Sequence[Path],
    most: int,
    jobs: int,
    fault: Callable[[str], None],
) -> tuple[dict[Path, Pieces], Sequence[Path]]:
    """Return the pieces of the first songs that can be painted, at most `most`, and the songs after them."""
    taken: dict[Path, Pieces] = {}
    while songs and len(taken) < most:
        tried, songs = songs[: most - len(taken)], songs[most - len(taken) :]
        calls = (partial(_attempt, make, bundle, song) for song in tried)
        for song, result in zip(tried, run_calls(calls, jobs=jobs, failed=_failed), strict=True):
            if isinstance(result, str):
                fault(result)
            else:
                taken[song] = result
    return taken, songs


def _attempt(make: Callable[[str, Path], Pieces], bundle: str, song: Path) -> Pieces | str:
    """Return the pieces of a song, or the message of the error, which names the song."""
    try:
        return make(bundle, song)
    except ClaviluxError as error:
        return str(error)


def _failed(call: partial[Pieces | str], reason: str) -> str:
    return f"{call.args[2]}: {reason}"


def _describe(bundle: str, seed: int) -> dict[str, Any]:
    opened = open_bundle(bundle)
    return {"clavilux": __version__, "bundle": opened.name, "sha256": opened.sha256[:12], "seed": seed}


def _lay_out(
    heard: Sequence[Pieces], halves: Sequence[Pieces], rng: np.random.Generator, *, made: dict[str, Any]
) -> tuple[dict[str, bytes], str]:
    """Return the content of each media file, and the page."""
    media: dict[str, bytes] = {}

    def add(content: bytes, suffix: str) -> str:
        name = f"{rng.bytes(8).hex()}{suffix}"
        media[name] = content
        return f"{MEDIA}/{name}"

    pictures = [add(picture, ".jpg") for picture, _ in heard]
    sounds = [add(sound, ".mp3") for _, sound in heard]
    half_pictures = [[add(picture, ".jpg") for picture in pair] for pair in halves]
    trials: list[dict[str, Any]] = []
    answers: dict[str, str] = {}
    for match in draw_matches(len(heard), rng):
        shown = [pictures[match.left], pictures[match.right]]
        trials.append({"part": "match", "sound": sounds[match.song], "pictures": shown})
        answers[str(len(trials))] = match.answer
    for comparison in draw_comparisons(rng):
        shown = [half_pictures[song][half] for song, half in (comparison.left, comparison.right)]
        trials.append({"part": "same", "pictures": shown})
        answers[str(len(trials))] = comparison.answer
    for number, trial in enumerate(trials, 1):
        trial["id"] = str(number)
    digest = hashlib.sha256(json.dumps([trials, answers, made]).encode())
    for name in sorted(media):
        digest.update(media[name])
    study = digest.hexdigest()[:12]
    data = {"format": FORMAT, "version": VERSION, "study": study, "made": made, "trials": trials}
    text = json.dumps({**data, "key": scramble(answers, study)}, indent=0).replace("<", "\\u003c")
    page = files("clavilux.study").joinpath("page.html").read_text("utf-8")
    return media, page.replace("@DATA@", text)
