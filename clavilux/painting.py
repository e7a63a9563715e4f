"""The function `paint` for Python and notebooks: one song or a list of songs -> pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Unpack, overload

from clavilux.audio.song import Song
from clavilux.audio.sources import Source
from clavilux.errors import AudioError, ControlsError
from clavilux.painter.controls import Controls
from clavilux.picture import Picture
from clavilux.pipeline import Clavilux
from clavilux.record import CONTROLS_SUFFIX, PaintArguments, PaintOptions
from clavilux.system.arguments import FileName, Number, file_path, show

Progress = Callable[[int, int], object]
"""Called with the number of pictures painted so far, and the number of all pictures."""


class Pictures(Iterator[Picture]):
    """An iterator over the pictures of several songs, with a length; each picture is painted when it is requested.

    If a song cannot be painted, `next` raises the error, and the following call of `next` paints the following song.

    Examples
    --------
    >>> pictures = paint(["nocturne.flac", "nocturne.flac"], size=128)
    >>> len(pictures), [picture.song.name for picture in pictures]
    (2, ['nocturne', 'nocturne'])
    """

    def __init__(
        self, clavilux: Clavilux, songs: list[Any], options: PaintOptions, progress: Progress | None = None
    ) -> None:
        self._clavilux, self._songs, self._options = clavilux, songs, options
        self._progress = progress or (lambda n_done, n_songs: None)
        self._n_done = 0
        self._progress(0, len(songs))

    def __len__(self) -> int:
        return len(self._songs)

    def __next__(self) -> Picture:
        """Return the picture of the next song, which is painted now."""
        if self._n_done == len(self._songs):
            raise StopIteration
        song, sr = self._songs[self._n_done], None
        self._n_done += 1
        try:
            if isinstance(song, tuple) and len(song) == 2:
                song, sr = song
            return self._clavilux.paint(song, sr=sr, options=self._options)
        finally:
            self._progress(self._n_done, len(self._songs))


@overload
def paint(
    song: list[Any],
    sr: None = None,
    *,
    bundle: FileName = "default",
    progress: Progress | None = None,
    **options: Unpack[PaintArguments],
) -> Pictures: ...


@overload
def paint(
    song: Source | Song | Controls,
    sr: Number | None = None,
    *,
    bundle: FileName = "default",
    progress: Progress | None = None,
    **options: Unpack[PaintArguments],
) -> Picture: ...


def paint(
    song: Source | Song | Controls | list[Any],
    sr: Number | None = None,
    *,
    bundle: FileName = "default",
    progress: Progress | None = None,
    **options: Unpack[PaintArguments],
) -> Picture | Pictures:
    """Return the picture of a song or of controls, or the pictures of a list of songs.

    Parameters
    ----------
    song : path-like, file, array, Song, Controls or list
        An audio file or a feature file, an audio file that is open in binary mode (such as `io.BytesIO`), samples of
        shape (n,) or (channels, n), or a list of these, in which an array is given as ``(y, sr)``. The same sound gives
        the same picture in each of these forms. Controls, or a file of controls (``.json``), need no song.
    sr : int, optional
        Sample rate of an array in Hz.
    bundle : path-like
        Name of a shipped bundle, or the folder of one.
    progress : callable, optional
        Called with the number of pictures painted so far and the number of songs.
    **options
        Fields of `PaintOptions`, such as ``size`` and ``seed``, and of `Steering`, such as ``palette`` and ``warmth``.

    Returns
    -------
    Picture or Pictures
        For a list, an iterator that has a length and paints each picture when it is asked for.

    Raises
    ------
    AudioError, BundleError, ControlsError, PictureError

    Examples
    --------
    >>> picture = paint("nocturne.flac", size=256, seed=7)
    >>> picture.save("nocturne.png")
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 441_000))
    >>> paint(noise, sr=44_100, size=256).pixels.shape
    (256, 256, 3)
    """
    checked = PaintOptions().changed(options)
    if isinstance(song, Controls) or _is_controls_file(song):
        return _paint_controls(song, checked, has_seed="seed" in options)
    clavilux = Clavilux(bundle)
    if isinstance(song, list):
        if sr is not None:
            raise AudioError(f"sr is {show(sr)}; in a list, give each array as (y, sr)")
        return Pictures(clavilux, song, checked, progress)
    return next(Pictures(clavilux, [(song, sr)], checked, progress))


def _is_controls_file(song: Any) -> bool:
    return isinstance(song, str | os.PathLike) and os.fsdecode(song).lower().endswith(CONTROLS_SUFFIX)


def _paint_controls(song: Any, options: PaintOptions, *, has_seed: bool) -> Picture:
    """Paint controls, or a file of controls, whose seed is used unless one is given."""
    from clavilux.controls_file import ControlsFile, paint_controls, read_controls

    if isinstance(song, Controls):
        return paint_controls(ControlsFile.of(song), options, seed=options.seed)
    file = read_controls(file_path("song", song, fault=ControlsError))
    return paint_controls(file, options, seed=options.seed if has_seed else None)
