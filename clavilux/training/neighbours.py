"""Write `neighbours.npz`, the table of training songs and pictures in which the neighbours of new ones are looked up.

A training writes the file into the folder of its trained networks, the bundle. To add the file to a bundle that was
trained without it, run this module as a program, with the run folder and the data of that training::

    python -m clavilux.training.neighbours --bundle BUNDLE --art ART --audio MUSIC --run RUN
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import click
import numpy as np

from clavilux.bundle import open_bundle
from clavilux.card import CARD, NEIGHBOURS, read_card
from clavilux.errors import BundleError, ClaviluxError, CorpusError
from clavilux.images import PICTURE_SUFFIXES
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.neighbours import Origin, neighbours_content, place_songs
from clavilux.system.files import list_folder, write_whole
from clavilux.training.analysis import Windows
from clavilux.training.datasets import (
    FEATURE_SUFFIXES,
    TRAINING,
    AudioFeatureDataset,
    Report,
    list_entries,
    read_descriptors,
)
from clavilux.training.recipe import load_recipe
from clavilux.training.run import Run
from clavilux.training.songs import SongCodes, encode_songs
from clavilux.training.stage_pictures import encode_windows, prepare_windows
from clavilux.training.visual_features import Float64
from clavilux.training.writing import writing_to

F = TypeVar("F", bound=Callable[..., Any])

_MOST = 4_000  # largest number of songs, and of pictures; the file then has 2 MB


def find_neighbours(
    run: Run, songs: SongCodes, windows: Windows, latents: Float64, normalisation: Mapping[str, Any]
) -> bytes | None:
    """Return the content of `neighbours.npz`, or None if it cannot be made.

    It cannot be made if the mapping does not standardise song codes (as in the classic recipe), if fewer than two songs
    have an origin (`find_origins`), or if fewer than two pictures have one. A picture is represented by the latent of
    its first window, the middle square. If there are more than 4000 songs, 4000 evenly spaced ones are used; the same
    holds for pictures.

    Parameters
    ----------
    run : Run
    songs : SongCodes
        Codes of the training songs.
    windows : Windows
        n windows of the training pictures.
    latents : (n, 64) float64
        Latents of the windows.
    normalisation : mapping
        The field "normalisation" of ``bundle.json``.
    """
    if "song_weights" not in normalisation:
        return None
    recordings = {npy: row["file"] for npy, row in read_descriptors(run.features).items()}
    origins = find_origins(run.features, FEATURE_SUFFIXES, recordings, report=run.note)
    chosen_songs = _choose([row for row, name in enumerate(songs.names) if name in origins])
    pictures = find_origins(run.art, PICTURE_SUFFIXES, report=run.note)
    numbers, first = np.unique(windows.source, return_index=True)
    chosen = _choose([row for row, number in enumerate(numbers) if windows.names[number] in pictures])
    if min(len(chosen_songs), len(chosen)) < 2:
        return None
    return neighbours_content(
        [origins[songs.names[row]] for row in chosen_songs],
        place_songs(songs.codes[chosen_songs], normalisation),
        [pictures[windows.names[numbers[row]]] for row in chosen],
        latents[first[chosen]],
    )


def add_neighbours(bundle_folder: Path, run: Run) -> int:
    """Write `neighbours.npz` into the folder of a bundle, and return the size of the file in bytes.

    Windows in the cache of the run folder are reused if they were cut from the pictures of ``run`` with its recipe.

    Raises
    ------
    ClaviluxError
        If the bundle or the data cannot be read, the file cannot be written, the mapping of the bundle does not
        standardise song codes, or fewer than two training songs or fewer than two training pictures have an origin
        (`find_origins`).
    """
    bundle = open_bundle(bundle_folder)
    if "song_weights" not in bundle.card["normalisation"]:
        raise BundleError(f"bundle {bundle.folder}: its mapping does not standardise songs, so they cannot be compared")
    network = ImageVAE.from_bundle(bundle) if bundle.decoder == "painter" else ConvImageVAE.from_bundle(bundle)
    dataset = AudioFeatureDataset(run.features, TRAINING, run.note)
    songs = encode_songs(AudioVAE.from_bundle(bundle), dataset, run.features, bundle.descriptors)
    windows = prepare_windows(run, TRAINING)
    content = find_neighbours(run, songs, windows, encode_windows(network, windows), bundle.card["normalisation"])
    if content is None:
        raise CorpusError(f"{run.features} or {run.art} has fewer than two training files that are free")
    card = dict(bundle.card)
    card["files"] = dict(sorted({**card["files"], NEIGHBOURS: hashlib.sha256(content).hexdigest()}.items()))
    text = (json.dumps(card, indent=1) + "\n").encode()
    read_card(text, f"bundle {bundle.folder}")
    with writing_to(bundle.folder):
        write_whole(bundle.folder / NEIGHBOURS, content)
        write_whole(bundle.folder / CARD, text)
    return len(content)


def find_origins(
    folder: Path, suffixes: frozenset[str], recordings: Mapping[str, str] | None = None, *, report: Report
) -> dict[str, Origin]:
    """Return the origin (path, artist and source) of each file of a folder, by file name.

    If the folder has a `corpus.csv`, the result has only files whose licence allows training (tier "free").
    ``recordings`` maps the name of a feature file to the name of its recording, which is then the path of the origin.
    ``suffixes`` and ``report`` are passed to `list_entries`.
    """
    recordings, origins = recordings or {}, {}
    for entry in list_entries(folder, suffixes, report=report):
        row = entry.row
        if row is None:
            origins[entry.name] = Origin(PurePosixPath(recordings.get(entry.name, entry.name)).name, "", "")
        elif row.get("tier") == "free":
            origins[entry.name] = Origin(row.get("path") or row["file"], row.get("artist", ""), row.get("source", ""))
    return origins


def _choose(rows: list[int]) -> list[int]:
    """Return the rows; if there are more than 4000, return 4000 evenly spaced ones."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).round().astype(int)
    return [rows[place] for place in places]


def _folder_option(name: str, words: str) -> Callable[[F], F]:
    return click.option(
        name, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR", help=words
    )


@click.command()
@_folder_option("--bundle", "Folder of the bundle to which neighbours.npz is added.")
@_folder_option("--art", "Folder of the pictures that the bundle was trained on.")
@_folder_option("--audio", "Folder of the music that the bundle was trained on, or of its feature files.")
@_folder_option("--run", "Run folder of the training that wrote the bundle.")
@click.option("--recipe", default="default", show_default=True, help="Recipe that the bundle was trained with.")
def main(bundle: Path, art: Path, audio: Path, run: Path, recipe: str) -> None:
    """Add neighbours.npz, a table of training songs and training pictures, to a bundle that was trained without it."""
    features = audio if list_folder(audio, FEATURE_SUFFIXES).files else run / "features"
    try:
        settings = Run(
            recipe=load_recipe(recipe),
            folder=run,
            art=art,
            features=features,
            resume=True,
            start=None,
            classifier_from=None,
            jobs=-1,
            log=click.echo,
        )
        n_bytes = add_neighbours(bundle, settings)
    except ClaviluxError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{bundle / NEIGHBOURS}: {n_bytes / 1e6:.2f} MB; bundle.json is updated")


if __name__ == "__main__":
    main()
