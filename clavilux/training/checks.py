"""Find faults before a training starts, because otherwise they would end it after hours.

The faults are unusable output folders, invalid tables, a recipe whose networks do not fit the bundle from which the
training starts, and unusable data: too few files, values that are not finite, silent songs, identical pictures.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.mfcc import LIBROSA, read_settings
from clavilux.errors import AudioError, PictureError, TrainingError
from clavilux.images import PICTURE_SUFFIXES, middle_square, read_picture, resize
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.painter.marks import KINDS
from clavilux.system.arguments import counted
from clavilux.training.checkpoint import refuse_existing, refuse_other_recipe
from clavilux.training.datasets import (
    FEATURE_SUFFIXES,
    TRAINING,
    VALIDATION,
    Entry,
    FeatureFile,
    describe_folder,
    descriptors_of,
    list_entries,
    read_descriptors,
)
from clavilux.training.export import check_output
from clavilux.training.run import Run, start_from
from clavilux.training.stage_audio import load_audio_vae
from clavilux.training.stage_pictures import load_image_vae, start_classifier_from

_FEWEST_PICTURES = {TRAINING: 20, VALIDATION: 1}
_FEWEST_TRACKS = {TRAINING: 10, VALIDATION: 3}  # a correlation of distances needs three songs
_THUMBNAIL_PX = 32
_SAME_LEVELS = 4  # largest difference of thumbnails that count as the same picture, in 8-bit levels
_SAME_MFCC = 1e-3  # largest deviation that counts as silence, and largest difference that counts as the same song
_LARGEST_MFCC = 1e6  # a hundred times the MFCC of any sound
_BLOCK = 256  # number of windows that are read at once, 4 MB


def check_recipe(run: Run, output: Path | None, *, songs: bool, pictures: bool) -> None:
    """Raise an error if an output folder cannot be used, or if the recipe does not fit a bundle that the run uses.

    ``output`` is the folder for the new bundle, or None if no bundle is written. ``songs`` says whether the audio
    networks are trained, ``pictures`` whether the picture networks are trained.

    Raises
    ------
    TrainingError
        If a folder cannot be written to, a checkpoint exists without `--resume` or was made with other settings, or the
        recipe does not fit a bundle.
    BundleError
        If the weights of a bundle cannot be read.
    ModuleNotFoundError
        If a package that the export needs is not installed.
    """
    _check_writable(run.folder, "--run")
    networks = (("audio-vae", songs, run.recipe.audio_vae), ("image-vae", pictures, run.recipe.image_vae))
    for network, trained, settings in networks:
        if trained and run.resume:
            refuse_other_recipe(run.folder / f"{network}.ckpt", settings)
        elif trained:
            refuse_existing(run.folder / f"{network}.ckpt")
    if output is not None:
        _check_output(run, output)
    quiet = dataclasses.replace(run, log=lambda line: None)
    start = run.start
    if songs and start is not None:
        width, track_dims = run.recipe.audio_vae.width, run.recipe.track_embedding.dims
        start_from(quiet, AudioVAE(width=width, track_dims=track_dims), "audio_vae")
    if songs and run.audio_from is not None:
        load_audio_vae(run, run.audio_from)
    if pictures:
        _check_picture_networks(quiet)
    for option, bundle in (("--from", start), ("--audio-from", run.audio_from)):
        if songs and bundle is not None and bundle.feature_settings != run.recipe.features:
            raise TrainingError(
                f"the bundle {bundle.name} needs features of {bundle.feature_settings}, and the recipe has "
                f"{run.recipe.features}; train with those of the bundle (`clavilux bundle show`), or without {option}"
            )


def _check_output(run: Run, output: Path) -> None:
    check_output(output)
    _check_writable(output.parent, "-o")
    if Path(os.path.realpath(run.folder)).is_relative_to(os.path.realpath(output)):
        raise TrainingError(f"{output}: contains the folder of the run, so it cannot be a bundle; give another -o")
    for package in ("onnxscript", "ot"):  # needed hours later
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def _check_picture_networks(run: Run) -> None:
    """Load the picture networks from the bundles of a run; raise an error if their weights do not fit the recipe."""
    recipe, decoder = run.recipe.image_vae, run.recipe.image_vae.decoder
    if decoder == "painter":
        if run.classifier_from is not None and tuple(run.classifier_from.kinds) == KINDS:
            MarkClassifier.from_bundle(run.classifier_from)
        else:
            start_classifier_from(run, MarkClassifier(n_kinds=len(KINDS), width=run.recipe.mark_classifier.width))
    if run.pictures_from is not None:
        load_image_vae(run, run.pictures_from)
    if run.start is None:
        return
    if decoder != run.start.decoder:
        raise TrainingError(
            f'the bundle {run.start.name} has the decoder "{run.start.decoder}" and the recipe "{decoder}"; train with '
            "the recipe that made it (`clavilux bundle show`), or without --from"
        )
    if decoder == "pixels":
        start_from(run, ConvImageVAE(width=recipe.width), "image_vae")
        return
    sizes = {"width": recipe.width, "decoder_width": recipe.decoder_width}
    start_from(run, ImageVAE(n_palettes=len(run.start.palettes), n_kinds=len(KINDS), **sizes), "image_vae")


def check_pictures(run: Run) -> None:
    """Raise an error if a run cannot be trained on the pictures in its folder ``run.art``.

    Raises
    ------
    TrainingError
        If there are too few pictures, or too few different pictures.
    CorpusError
        If the folder does not exist, or its table ``corpus.csv`` is invalid.
    """
    describe_folder(run.art)
    entries = list_entries(run.art, PICTURE_SUFFIXES, report=run.note)
    for split, fewest in _FEWEST_PICTURES.items():
        of_split = [entry for entry in entries if entry.split == split]
        if len(of_split) < fewest:
            raise TrainingError(
                f"{run.art} has {len(of_split)} pictures for {split}; at least {fewest} are needed to learn what "
                "pictures have in common. Add pictures"
            )
        n = _count_different(_thumbnails(of_split), fewest, _SAME_LEVELS)
        if n < fewest:
            raise TrainingError(
                f"{run.art}: of its {len(of_split)} pictures for {split} only {n} can be read and differ from each "
                f"other; at least {fewest} are needed. Add pictures"
            )


def check_songs(run: Run, *, descriptors: bool) -> None:
    """Raise an error if the feature files of a run cannot be used for training; all of them are read.

    ``descriptors`` says whether the training needs `descriptors.csv`.

    Raises
    ------
    TrainingError
        If there are too few tracks, if too few of them have sound and differ from each other, if a value is not finite,
        or if the settings of the features are not those of the recipe.
    CorpusError
        If the folder does not exist, a table is invalid, or a track is missing in `descriptors.csv`.
    """
    describe_folder(run.features)
    entries = list_entries(run.features, FEATURE_SUFFIXES, report=run.note)
    rows = read_descriptors(run.features) if descriptors else {}
    for split, fewest in _FEWEST_TRACKS.items():
        of_split = [entry for entry in entries if entry.split == split]
        if len(of_split) < fewest:
            folder = run.music or run.features
            raise TrainingError(
                f"{folder} has {counted(len(entries), 'song')}, {len(of_split)} of them for {split}, "
                f"and needs {fewest} for {split}, to standardise song codes. Add music"
            )
        summaries = []
        for entry in of_split:
            try:
                file = FeatureFile.open(entry.path)
            except AudioError as error:
                run.note(f"{error}; skipped")
                continue
            summaries.append(_summarise(entry.path, file.windows()))
            settings = read_settings(entry.path)
            if settings != run.recipe.features:
                classic = ", or train with --recipe classic" if settings == LIBROSA else ""
                raise TrainingError(
                    f"{entry.path}: has features of {settings}, and the recipe needs {run.recipe.features}; give "
                    f"--audio the folder of music, or make the features again for a bundle of this recipe{classic}"
                )
            if descriptors:
                descriptors_of(entry, rows, run.features)
        sounding = [summary for summary in summaries if summary[len(summary) // 2 :].max() > _SAME_MFCC]
        n = _count_different(sounding, fewest, _SAME_MFCC)
        if n < fewest:
            unread = len(of_split) - len(summaries)
            raise TrainingError(
                f"{run.features}: of its {len(of_split)} tracks for {split}, "
                f"{f'{unread} cannot be read, ' if unread else ''}{len(summaries) - len(sounding)} are "
                f"silent and only {n} differ from each other; at least {fewest} are needed. Add music"
            )


def _check_writable(folder: Path, option: str) -> None:
    """Raise an error if a folder cannot be written to or created; leave no file there."""
    there = Path(os.path.abspath(folder))
    while not os.path.lexists(there):
        there = there.parent
    try:
        with suppress(FileNotFoundError):
            os.lstat(folder)  # raises if the name is too long
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written to ({error.strerror}); give another {option}") from error


def _thumbnails(entries: Sequence[Entry]) -> Iterator[NDArray[np.float64]]:
    for entry in entries:
        try:
            yield resize(middle_square(read_picture(entry.path)), _THUMBNAIL_PX).astype(np.float64)
        except PictureError:
            continue  # the training reports it


def _summarise(path: Path, windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return 20 means, then 20 standard deviations, of the rows of MFCC windows (n, 20, 216) of a track: (40,).

    A `TrainingError` is raised if a value is not finite or is too large.
    """
    total, square = np.zeros(windows.shape[1]), np.zeros(windows.shape[1])
    for start in range(0, len(windows), _BLOCK):
        block = np.asarray(windows[start : start + _BLOCK], np.float64)
        if not np.abs(block).max() < _LARGEST_MFCC:  # NaN compares false
            raise TrainingError(
                f"{path}: contains values that are not finite or above {_LARGEST_MFCC:g}; measure it again with "
                "`clavilux features`, or remove it"
            )
        total += block.sum(axis=(0, 2))
        square += np.square(block).sum(axis=(0, 2))
    mean = total / (len(windows) * windows.shape[2])
    variance = square / (len(windows) * windows.shape[2]) - mean**2
    return np.concatenate([mean, np.sqrt(np.maximum(variance, 0))])


def _count_different(arrays: Iterable[NDArray[np.float64]], most: int, same: float) -> int:
    """Return the number of different arrays, at most `most`: arrays differ if any entry differs by more than `same`."""
    different: list[NDArray[np.float64]] = []
    for array in arrays:
        if all(np.abs(array - other).max() > same for other in different):
            different.append(array)
            if len(different) == most:
                break
    return len(different)
