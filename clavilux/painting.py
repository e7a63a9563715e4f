"""The function `paint`, which returns the picture of one song or the pictures of several songs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from typing import Any, Unpack, overload

from clavilux.audio.song import Song
from clavilux.audio.sources import Source, refuse_mistaken
from clavilux.errors import AudioError, BundleError, ClaviluxError, ControlsError, MissingExtraError, PictureError
from clavilux.options import CONTROLS_SUFFIX, PaintArguments, PaintOptions
from clavilux.painter.controls import Controls
from clavilux.picture import Picture
from clavilux.pipeline import Clavilux
from clavilux.system.arguments import FileName, Number, counted, file_path, show

logger = logging.getLogger("clavilux")

_OF_PATHS = ("O", "S", "U", "T")  # kinds of NumPy arrays and columns of pandas that contain paths, not samples

Progress = Callable[[int, int], object]
"""Function that is called with the number of songs done so far, and the number of all songs."""


class Pictures(Iterator[Picture]):
    """Iterator with a length over the pictures of several songs; a picture is painted when it is requested.

    If a song cannot be painted, `next` raises the error; calling `next` again paints the following song. With the
    argument ``on_error="skip"`` of `paint`, the error is logged as a warning instead, and the song is left out, so that
    there are fewer pictures than songs, which the length counts. After the last picture, a new loop paints all again.

    Examples
    --------
    >>> pictures = paint(["nocturne.flac", "nocturne.flac"], size=128)
    >>> pictures
    <Pictures of 2 songs, 0 done>
    >>> [picture.song.name for picture in pictures]
    ['nocturne', 'nocturne']
    """

    def __init__(
        self,
        clavilux: Clavilux,
        songs: list[Any],
        options: PaintOptions,
        progress: Progress | None = None,
        *,
        skips: bool = False,
    ) -> None:
        self._clavilux, self._songs, self._options, self._skips = clavilux, songs, options, skips
        self._progress = progress or (lambda n_done, n_songs: None)
        self._n_done = 0
        self._progress(0, len(songs))

    def __len__(self) -> int:
        return len(self._songs)

    def __iter__(self) -> Pictures:
        """Return this iterator, set back to the first song if all songs are painted."""
        if self._n_done == len(self._songs):
            self._n_done = 0
            self._progress(0, len(self._songs))
        return self

    def __repr__(self) -> str:
        return f"<Pictures of {counted(len(self._songs), 'song')}, {self._n_done} done>"

    def __next__(self) -> Picture:
        """Paint the picture of the next song, and return it."""
        while self._n_done < len(self._songs):
            song, sr = self._songs[self._n_done], None
            self._n_done += 1
            try:
                if isinstance(song, tuple) and len(song) == 2:
                    song, sr = song
                return self._clavilux.paint(song, sr=sr, options=self._options)
            except ClaviluxError as error:
                if not self._skips or isinstance(error, BundleError | MissingExtraError):  # not faults of the song
                    raise
                logger.warning("%s; skipped", error)
            finally:
                self._progress(self._n_done, len(self._songs))
        raise StopIteration


@overload
def paint(  # type: ignore[overload-overlap]  # text is iterable, too
    song: Source | Song | Controls,
    sr: Number | None = None,
    *,
    bundle: FileName = "default",
    progress: Progress | None = None,
    **options: Unpack[PaintArguments],
) -> Picture: ...


@overload
def paint(
    song: Iterable[Any],
    sr: None = None,
    *,
    bundle: FileName = "default",
    progress: Progress | None = None,
    on_error: str = "raise",
    **options: Unpack[PaintArguments],
) -> Pictures: ...


def paint(
    song: Source | Song | Controls | Iterable[Any],
    sr: Number | None = None,
    *,
    bundle: FileName = "default",
    progress: Progress | None = None,
    on_error: str = "raise",
    **options: Unpack[PaintArguments],
) -> Picture | Pictures:
    """Return the picture of a song or of controls, or the pictures of several songs.

    Parameters
    ----------
    song : path-like, file, array, Song, Controls or iterable
        The path of an audio file, or of a feature file (written by ``clavilux features``); an audio file that is open
        in binary mode (such as `io.BytesIO`); samples of shape (n,), (channels, n) or (n, channels); or a `Song`. The
        same sound gives the same picture in all these forms.
        A list, or another iterable such as ``Path("album").glob("*.mp3")`` or a column of pandas, can contain all of
        them, with each array as ``(y, sr)``. `Controls` (what a picture is painted from), or the path of a ``.json``
        file with them, can be given instead of one song. Then ``bundle`` and options that need a song, such as
        ``variation``, are refused.
    sr : int, optional
        Sample rate in Hz, if ``song`` is an array.
    bundle : path-like
        Name of a shipped bundle (folder of trained networks), or path of the folder of a bundle.
    progress : callable, optional
        Function that is called with the number of songs done and the number of all songs, first with 0 songs done.
    on_error : str
        What to do if one of several songs cannot be painted: "raise" the error, or "skip" the song with a warning.
    **options
        Fields of `PaintOptions`: size, seed, variation, spread, dpi, background, noise_std, logvar_scale, max_s, clip,
        steering; and of `Steering`: palette, palette_from, lightness, saturation, warmth, texture, scale, complexity,
        outline, surface, figure, marks, mood and near.

    Returns
    -------
    Picture or Pictures
        `Pictures` for several songs: an iterator with a length, which paints each picture when it is requested.

    Raises
    ------
    AudioError, BundleError, ControlsError, PictureError
        If the song cannot be read, the bundle is damaged, the controls are wrong, or an option is wrong.

    Examples
    --------
    >>> picture = paint("nocturne.flac", size=256, seed=7)
    >>> picture.save("nocturne.png")
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 441_000))
    >>> paint(noise, sr=44_100, size=256).pixels.shape
    (256, 256, 3)
    """
    checked = PaintOptions().changed(options, paint)
    if progress is not None and not _takes_two(progress):
        raise PictureError(
            f"progress is {show(progress)}; it must be a function, which is called with the number of songs done and "
            "the number of all songs"
        )
    if on_error not in ("raise", "skip"):
        raise PictureError(f"on_error is {show(on_error)}; it is one of raise, skip")
    refuse_mistaken(song)
    if sr is not None and not hasattr(song, "__array__") and not _is_several(song):
        raise AudioError(
            f"sr is {show(sr)}; only an array needs a sample rate; for a size in pixels, give size={show(sr)}"
        )
    if isinstance(song, Controls) or _is_controls_file(song):
        return _paint_controls(song, checked, bundle, has_seed="seed" in options)
    clavilux = Clavilux(bundle)
    if _is_several(song):
        if sr is not None:
            raise AudioError(f"sr is {show(sr)}; of several songs, give each array as (y, sr)")
        songs: list[Any] = list(song)  # type: ignore[arg-type]
        for one in songs:
            refuse_mistaken(one[0] if _has_rate(one) else one)
        return Pictures(clavilux, songs, checked, progress, skips=on_error == "skip")
    return next(Pictures(clavilux, [(song, sr)], checked, progress))


def _takes_two(function: Any) -> bool:
    """Return whether a value can be called with two arguments; True also for functions without a known signature."""
    if not callable(function):
        return False
    try:
        signature(function).bind(0, 1)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _is_several(song: Any) -> bool:
    is_one = isinstance(song, str | bytes | bytearray | memoryview | os.PathLike | Song | Controls)
    is_array = hasattr(song, "__array__") and getattr(getattr(song, "dtype", None), "kind", None) not in _OF_PATHS
    return isinstance(song, Iterable) and not (is_one or hasattr(song, "read") or is_array)


def _has_rate(song: Any) -> bool:
    """Return whether one of several songs is given as (y, sr)."""
    return isinstance(song, tuple) and len(song) == 2 and hasattr(song[0], "__array__")


def _is_controls_file(song: Any) -> bool:
    return isinstance(song, str | os.PathLike) and os.fsdecode(song).lower().endswith(CONTROLS_SUFFIX)


def _paint_controls(song: Any, options: PaintOptions, bundle: FileName, *, has_seed: bool) -> Picture:
    """Return the picture of controls or of a file of controls; unless ``has_seed``, the seed in the file is used."""
    from clavilux.controls_file import check_options, paint_controls, read_controls
    from clavilux.painter.controls_json import ControlsFile

    is_file = not isinstance(song, Controls)
    file = read_controls(file_path("song", song, fault=ControlsError)) if is_file else ControlsFile.of(song)
    check_options(file.name, options, bundle)
    return paint_controls(file, options, seed=None if is_file and not has_seed else options.seed)
