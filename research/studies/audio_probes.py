"""What can be read off the ear by a straight line: genre, each descriptor, and which two halves are of one track.

    python benchmarks/audio_probes.py CORPUS_OF_MUSIC --bundle default

Linear probes (ridge regression, on one-hot genres for the genre) in ten folds of tracks: what is said of a track was
fitted on others. Sides by side: mean z_audio alone, its identity and its detail, the song code where the mapping takes
it, plain MFCC statistics, and musicnn where it is installed. Halves share no sample. Songs are the held-out ones of the
corpus, of which the labelled recordings have genres; `--split validation` is for choosing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.constants import LATENT_DIM
from clavilux.corpus import load_table
from clavilux.evaluation.material import SongFile, find_material
from clavilux.evaluation.painting import open_engine
from clavilux.evaluation.sameness import steadiness
from clavilux.evaluation.songs import Heard, Scale, hear_copies, hear_songs, place_ears
from clavilux.measures.likeness import geometry, same_genre, same_song
from clavilux.measures.transport import ridge

Float64 = NDArray[np.float64]

FOLDS = 10
STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # of the ridge, in units of the mean variance of the inputs
COPIED_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path, help="corpus of music that `clavilux corpus build` made")
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--split", choices=("held-out", "validation"), default="held-out")
    parser.add_argument("--songs", type=int, default=200)
    parser.add_argument("--copied", type=int, default=40, help="songs that are written as FLAC and MP3")
    parser.add_argument("--max-seconds", type=float, default=120.0, help="listened to of each")
    parser.add_argument("--jobs", type=int, default=-1)
    asked = parser.parse_args()
    songs = find_songs(asked.music, asked.split, asked.songs)
    files = [song.path for song in songs]
    heard = hear_songs(files, [asked.bundle], max_s=asked.max_seconds, jobs=asked.jobs)
    copies = hear_copies(files[: asked.copied], [asked.bundle], max_s=COPIED_S, jobs=asked.jobs)[asked.bundle]
    genres = [songs[i].genre for i in heard.chosen]
    print(f"{len(heard.chosen)} {asked.split} songs, {sum(map(bool, genres))} with a genre; bundle {asked.bundle}\n")
    report(heard, copies, genres, asked.bundle)


def find_songs(music: Path, split: str, n: int) -> list[SongFile]:
    """Songs of a split; the held-out ones as `clavilux evaluate` draws them."""
    if split == "held-out":
        return list(
            find_material(music, music, songs=n, pictures=0).songs
        )  # no pictures: the second folder is not read
    rows = [row for row in load_table(music) if row.split == split]
    return [SongFile(music / row.file, Path(row.file).stem, row.genre) for row in rows[:n]]


def report(heard: Heard, copies: NDArray[np.float32], genres: Sequence[str], bundle: str) -> None:
    """Print both tables."""
    spaces = place_spaces(heard, copies, bundle)
    rng = np.random.default_rng(0)
    judge = place_ears(heard, bundle).get("musicnn")
    print("| ear | numbers | halves AUC | top-1 | same genre AUC | genre told | with musicnn | FLAC against MP3 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (whole, halves, copied) in spaces.items():
        auc, top1 = same_song(halves[:, 0], halves[:, 1])
        alike = same_genre(whole, genres)
        told = tell_genres(whole, genres, rng)
        agrees = geometry(judge[0], whole, rng=rng, permutations=1)[0] if judge else None
        steady = steadiness(copied[:, 0], copied[:, 1], whole) if copied is not None else None
        figures = [auc, top1, alike, told, agrees, steady]
        cells = " | ".join("-" if figure is None else f"{figure:.3f}" for figure in figures)
        print(f"| {name} | {whole.shape[1]} | {cells} |")
    asked = [name for name in spaces if name not in ("song code", "musicnn")]  # the song code has the descriptors in it
    print(f"\n| share of variance foretold | {' | '.join(asked)} |\n|---|{'---|' * len(asked)}")
    for descriptor, values in heard.descriptors.items():
        if np.ptp(values) > 0:
            shares = [foretell(spaces[name][0], values[:, None].astype(np.float64), rng)[1] for name in asked]
            print(f"| {descriptor} | {' | '.join(f'{share:.2f}' for share in shares)} |")


Space = tuple[Float64, Float64, Float64 | None]


def place_spaces(heard: Heard, copies: NDArray[np.float32], bundle: str) -> dict[str, Space]:
    """Points of each ear: whole songs (n, F), halves (n, 2, F), and FLAC and MP3 (k, 2, F)."""
    engine = open_engine(bundle)
    identity_dims = engine.engine.bundle.card["config"].get("identity", {"dims": 0})["dims"]
    codes, halves = heard.codes[bundle], heard.halves[bundle]
    spaces: dict[str, Space] = {}
    parts = {"mean z_audio": slice(0, LATENT_DIM)}
    if identity_dims:
        parts |= {"its identity": slice(0, identity_dims), "its detail": slice(identity_dims, LATENT_DIM)}
    for name, part in parts.items():
        scale = Scale.of_blocks(codes[:, part], (codes[:, part].shape[1],))
        spaces[name] = (scale.place(codes[:, part]), scale.place(halves[..., part]), scale.place(copies[..., part]))
    scale = Scale.of_bundle(engine.engine.bundle, codes)
    spaces["song code"] = (*place_ears(heard, bundle)["code"], scale.place(copies))
    for ear in heard.other_ears:
        spaces[{"mfcc": "MFCC statistics"}.get(ear, ear)] = (*place_ears(heard, bundle)[ear], None)
    return spaces


def tell_genres(points: Float64, genres: Sequence[str], rng: np.random.Generator, least: int = 5) -> float | None:
    """Share of songs whose genre a linear probe tells, mean over genres of `least` songs and more."""
    labels = np.asarray(genres)
    names = [g for g in sorted(set(genres)) if g and (labels == g).sum() >= least]
    if len(names) < 2:
        return None
    kept = np.isin(labels, names)
    wanted = (labels[kept, None] == np.array(names)[None]).astype(np.float64)
    said, _ = foretell(points[kept], wanted, rng)
    right = said.argmax(axis=1) == wanted.argmax(axis=1)
    return float(np.mean([right[wanted[:, i] == 1].mean() for i in range(len(names))]))


def foretell(points: Float64, wanted: Float64, rng: np.random.Generator) -> tuple[Float64, float]:
    """What ridge regressions say of each song (n, D) that were fitted on other folds, and the share of variance told.

    The strength is the one that does best in folds of the songs fitted on.
    """
    said = np.empty_like(wanted)
    folds = rng.permutation(len(points)) % FOLDS
    for fold in range(FOLDS):
        rest = folds != fold
        inner = rng.permutation(int(rest.sum())) % FOLDS
        errors = [_error(points[rest], wanted[rest], inner, strength) for strength in STRENGTHS]
        weights, offset = ridge(points[rest], wanted[rest], STRENGTHS[int(np.argmin(errors))])
        said[~rest] = points[~rest] @ weights + offset
    return said, float(1 - ((said - wanted) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum())


def _error(points: Float64, wanted: Float64, folds: NDArray[np.intp], strength: float) -> float:
    total = 0.0
    for fold in range(FOLDS):
        rest = folds != fold
        weights, offset = ridge(points[rest], wanted[rest], strength)
        total += float(((points[~rest] @ weights + offset - wanted[~rest]) ** 2).sum())
    return total


if __name__ == "__main__":
    main()
