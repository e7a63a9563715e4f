"""The class `Clavilux`, which paints pictures of songs: it reads a song, runs the networks and calls the painter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.audio.song import Song, check_song
from clavilux.audio.sources import Source, read_source
from clavilux.bundle import open_bundle
from clavilux.constants import DEFAULT_SIZE_PX, LATENT_DIM, MAX_AUDIO_S
from clavilux.directions import Variations, generator_of
from clavilux.engine import Engine
from clavilux.errors import BundleError, PictureError
from clavilux.options import PaintArguments, PaintOptions
from clavilux.picture import Picture, UInt8
from clavilux.record import find_latent, is_record_of, make_record, parse_record, record_song
from clavilux.reference_pictures import NearPicture
from clavilux.steering import NO_STEERING, SteeringArguments
from clavilux.system.arguments import MAX_SEED, MAX_THREADS, FileName, Number, Size, float_array, show, whole_number
from clavilux.system.threads import one_blas_thread

if TYPE_CHECKING:
    from clavilux.painter.controls import Controls

Float32 = NDArray[np.float32]
logger = logging.getLogger("clavilux")
_FORMER = {"listen": "read_song", "siblings": "variations"}


class Clavilux:
    """An opened bundle (a folder of trained networks) that paints pictures of songs.

    Parameters
    ----------
    bundle : path-like
        Name of a shipped bundle, or path of the folder of a bundle.
    threads : int
        Number of threads that work on a song. Two threads need about two thirds of the time of one thread, but more CPU
        time, so use 1 if several processes paint. The pictures do not depend on this number.

    Attributes
    ----------
    bundle : Bundle
    engine : Engine
        The networks of the bundle.

    Notes
    -----
    A picture depends on three things:

    * the *song*: the networks map it to a latent vector, from which the palette, the plan (the probability of each
      colour at each place) and the kinds of marks are decoded;
    * the *variation*: 0 is the main picture. For other numbers, the latent is moved by a short step in a direction that
      depends on the song, the seed and the number. Directions are chosen so that all variations look about equally
      different;
    * the *seed*, 0 by default: it determines the positions of the marks and brush strokes, the figures and the accent
      colour. The default is the same for all songs, so the FLAC and the MP3 of a song get nearly the same picture.

    Methods that paint accept ``options``, and also the fields of `PaintOptions` and `Steering` as keyword arguments,
    which take precedence over ``options``.

    Examples
    --------
    >>> Clavilux().paint("nocturne.flac", size=128).save("nocturne.png")
    """

    def __init__(self, bundle: FileName = "default", *, threads: Number = 1) -> None:
        self.threads = whole_number("threads", threads, 1, MAX_THREADS)
        self.bundle = open_bundle(bundle)
        self.engine = Engine(self.bundle)
        self._variations = Variations(self.engine)

    if not TYPE_CHECKING:  # type checkers find unknown attributes themselves

        def __getattr__(self, name: str) -> NoReturn:
            hint = f"; since version 0.2, it is called {_FORMER[name]}" if name in _FORMER else ""
            raise AttributeError(f"'Clavilux' object has no attribute {name!r}{hint}")

    def read_song(
        self, song: Source, *, sr: Number | None = None, max_s: Number = MAX_AUDIO_S, clip: Number | None = None
    ) -> Song:
        """Return the features and descriptors of a song.

        Parameters
        ----------
        song : path-like, file or array
            The path of an audio file, or of a feature file (``.npy``, by ``clavilux features``); an audio file open in
            binary mode; or samples of shape (n,) or (channels, n): floats with full scale 1, or integers.
        sr : int, optional
            Sample rate of an array in Hz.
        max_s, clip
            As in `PaintOptions`.

        Raises
        ------
        AudioError
            If the song cannot be read as sound, or an argument has a wrong type or is out of range.
        """
        options = PaintOptions().changed({"max_s": max_s, "clip": clip})
        settings = self.bundle.feature_settings
        # The matrices are small: with two BLAS threads, a song takes 1.7 times the processor time.
        with one_blas_thread(), ThreadPoolExecutor(1) as pool:
            loading = pool.submit(self.engine.check, painting_only=True) if self.threads > 1 else None
            read = read_source(
                song, sr=sr, max_s=options.max_s, clip=options.clip, threads=self.threads, settings=settings
            )
            if loading is not None:
                loading.result()  # raises the error if the bundle is damaged
        if self.bundle.descriptors:
            return read
        return replace(read, warnings=tuple(warning for warning in read.warnings if warning != NO_DESCRIPTORS))

    def z_image(
        self, song: Source | Song, *, options: PaintOptions | None = None, **changes: Unpack[PaintArguments]
    ) -> Float32:
        """Return the latent (64,) float32 from which the picture of a song is decoded.

        Read an array with `read_song` first. All other arguments, and the errors, are those of `paint`.
        """
        resolved = self._options(options, changes, Clavilux.z_image)
        song = self._song(song, None, resolved)
        return self._vary(self._main_latent(song, resolved)[0], song, resolved)

    def controls(
        self, song: Source | Song, *, options: PaintOptions | None = None, **changes: Unpack[PaintArguments]
    ) -> Controls:
        """Return the controls of the picture of a song, which can be edited and painted with `clavilux.paint`.

        Read an array with `read_song` first. All other arguments are those of `paint`.

        Raises
        ------
        AudioError, BundleError, PictureError
            As in `paint`; `BundleError` also if the bundle decodes latents to pixels and has no controls.

        Examples
        --------
        >>> import dataclasses
        >>> controls = Clavilux().controls("nocturne.flac")
        >>> rings = paint(dataclasses.replace(controls, kind="rings", frequency=6), size=128)
        >>> rings.controls.kind
        'rings'
        """
        if self.bundle.decoder != "painter":
            raise BundleError(
                f"bundle {self.bundle.name} decodes latents to pixels and has no controls; give a bundle with a painter"
            )
        resolved = self._options(options, changes, Clavilux.controls)
        return resolved.steering.steer(self.engine.decode_controls(self.z_image(song, options=resolved)))

    def paint_latent(self, z_image: ArrayLike, *, size: Size = DEFAULT_SIZE_PX, seed: Number = 0) -> UInt8:
        """Return the picture of a given latent (64,), as sRGB pixels (height, width, 3) uint8.

        `PaintOptions` describes ``size`` and ``seed``.

        Raises
        ------
        PictureError
            If an argument has a wrong type or shape, or is out of range.
        BundleError
            If the networks of the bundle cannot be loaded.
        """
        latent = float_array("z_image", z_image, (LATENT_DIM,))
        return self._decode(latent, PaintOptions().changed({"size": size, "seed": seed}))[0]

    def paint(
        self,
        song: Source | Song,
        *,
        sr: Number | None = None,
        options: PaintOptions | None = None,
        **changes: Unpack[PaintArguments],
    ) -> Picture:
        """Return the picture of a song.

        Parameters
        ----------
        song : path-like, file, array or Song
            A source that `read_song` can read, or the `Song` that it returned. With a `Song`, also give the ``max_s``
            and ``clip`` that it was read with, because the record of the picture contains them.
        sr : int, optional
            Sample rate of an array in Hz.
        options : PaintOptions, optional
            Options, by default those of ``PaintOptions()``.
        **changes
            Fields of `PaintOptions` and `Steering` that replace those of ``options``.

        Raises
        ------
        AudioError, BundleError, PictureError
            If the song cannot be read, the bundle is damaged, or an option is wrong.
        """
        resolved = self._options(options, changes, Clavilux.paint)
        return next(self._paint(song, sr, resolved, [resolved.variation]))

    def variations(
        self,
        song: Source | Song,
        count: Number,
        *,
        sr: Number | None = None,
        skip: Container[int] = (),
        options: PaintOptions | None = None,
        **changes: Unpack[PaintArguments],
    ) -> Iterator[Picture]:
        """Return an iterator over pictures of a song: the main picture, then its variations.

        Parameters
        ----------
        song, sr, options, **changes
            As in `paint`. The option ``variation``, 0 by default, is the number of the first picture.
        count : int
            Number of pictures, including those that are skipped.
        skip : container of int
            Numbers of the variations that are not painted; 0 is the main picture.

        Raises
        ------
        PictureError, BundleError
            When the method is called, if an option is wrong.
        AudioError
            When the first picture is requested, if the song cannot be read.

        Examples
        --------
        >>> [picture.record["variation"] for picture in Clavilux().variations("nocturne.flac", count=2, size=128)]
        [0, 1]
        """
        resolved = self._options(options, changes, Clavilux.variations)
        if not isinstance(skip, Container):
            raise PictureError(f"skip is {show(skip)}; it is a set of numbers of variations")
        first, count = resolved.variation, whole_number("count", count, 0, MAX_SEED)
        return self._paint(song, sr, resolved, (n for n in range(first, first + count) if n not in skip))

    def repaint(
        self,
        record: dict[str, Any],
        song: Source | Song | None = None,
        *,
        size: Size | None = None,
        dpi: Number | None = None,
        background: str | None = None,
        **steering: Unpack[SteeringArguments],
    ) -> Picture:
        """Paint a picture again from its record, at any size, and return it.

        Parameters
        ----------
        record : dict
            From `clavilux.read_record`, or the attribute ``record`` of a picture.
        song : path-like, file or Song, optional
            The song of the picture, for the attribute ``song`` of the result. A picture of controls has none.
        size : int or (int, int), optional
            Size in pixels; by default, the size in the record.
        dpi : float, optional
            Pixels per inch; by default, the number in the record.
        background : str, optional
            "painted" or "transparent"; by default, the background in the record.
        **steering
            Fields of `Steering`, except ``mood`` and ``near``, that replace those in the record, unless they are None.

        Raises
        ------
        PictureError, ControlsError
            If the picture was not painted from ``song``, the record is incomplete, or it was written by a version of
            Clavilux that paints differently.
        BundleError
            If the picture was painted with another bundle.
        AudioError
            If the song cannot be read.

        Examples
        --------
        >>> record = Clavilux().paint("nocturne.flac", size=128).record
        >>> Clavilux().repaint(record, size=256).pixels.shape
        (256, 256, 3)
        """
        given: dict[str, Any] = {"size": size, "dpi": dpi, "background": background, **steering}
        if isinstance(record, dict) and "controls" in record:
            from clavilux.controls_file import repaint_controls

            return repaint_controls(record, given, song, threads=self.threads)
        recorded = parse_record(record)
        options = recorded.options.painted_again(given, Clavilux.repaint)
        if recorded.bundle_sha256 != self.bundle.sha256:
            painted_with = f"{show(recorded.bundle_name)} (sha256 {show(recorded.bundle_sha256[:12])})"
            this = f"{self.bundle.name} ({self.bundle.sha256[:12]})"
            raise BundleError(f"the picture was painted with bundle {painted_with}, not with {this}; give the former")
        options.check_bundle(self.bundle)
        if song is None:
            return self._picture(recorded.z_image, options, recorded.song, None, None)
        song = self._song(song, None, options, is_logged=False)
        if not recorded.is_of(song):
            raise PictureError(
                f"{song.path}: is not the song of the picture, which was painted from {show(recorded.song['name'])}, "
                "which sounds different; give that song, or none, because the record has all that is needed"
            )
        z_audio = self._main_latent(song, replace(options, steering=NO_STEERING))[1]
        return self._picture(recorded.z_image, options, record_song(song), song, z_audio)

    def has_painted(
        self,
        record: Any,
        song_sha256: str,
        *,
        options: PaintOptions | None = None,
        **changes: Unpack[PaintArguments],
    ) -> bool:
        """Return whether `paint` with these arguments would paint the picture that a record describes.

        ``record`` is from `clavilux.read_record`, and ``song_sha256`` is that of the file of the song.
        """
        return is_record_of(record, song_sha256, self.bundle, self._options(options, changes, Clavilux.has_painted))

    def _options(self, options: PaintOptions | None, changes: PaintArguments, of: Callable[..., Any]) -> PaintOptions:
        """Return the options of a call of ``of``; noise options that are None get the defaults of the bundle."""
        resolved = (options or PaintOptions()).changed(changes, of).with_noise_of(self.bundle)
        resolved.check_bundle(self.bundle)
        return resolved

    def _song(self, song: Source | Song, sr: Number | None, options: PaintOptions, *, is_logged: bool = True) -> Song:
        """Return the song from a source, and log its warnings; a `Song` is only validated, and returned."""
        if isinstance(song, Song):
            check_song(song)
            return song
        read = self.read_song(song, sr=sr, max_s=options.max_s, clip=options.clip)
        for warning in read.warnings if is_logged else ():
            logger.warning("%s: %s", read.path, warning)
        return read

    def _main_latent(self, song: Song, options: PaintOptions) -> tuple[Float32, Float32]:
        """Return z_image (64,) of the main picture of a song, and z_audio (64,)."""
        assert options.noise_std is not None and options.logvar_scale is not None, "options of `_options`"
        rng = generator_of(f"{song.sound_sha256}:{options.seed}:noise")
        song_code = self.engine.encode_song(song, logvar_scale=options.logvar_scale, rng=rng)
        z_image = self.engine.map_song(options.steering.move_code(song_code, self.bundle))
        if options.noise_std != 0:
            z_image = (z_image + options.noise_std * rng.standard_normal(z_image.shape)).astype(np.float32)

        def latent_of(near: NearPicture) -> Float32:
            latent = find_latent(near.record, self.bundle)
            return self.engine.encode_picture(near.square)[0] if latent is None else latent

        z_image = options.steering.move_latent(z_image, latent_of)
        return z_image, song_code[:LATENT_DIM]

    def _vary(self, main: Float32, song: Song, options: PaintOptions) -> Float32:
        """Return the latent (64,) of variation ``options.variation``; ``main`` is the latent of the main picture."""
        return self._variations.vary(main, f"{song.sound_sha256}:{options.seed}", options.variation, options.spread)

    def _paint(
        self, song: Source | Song, sr: Number | None, options: PaintOptions, variations: Iterable[int]
    ) -> Iterator[Picture]:
        """Yield the variations with these numbers; the song is read once, when the first picture is requested."""
        song = self._song(song, sr, options)
        main, z_audio = self._main_latent(song, options)
        for variation in variations:
            options = replace(options, variation=variation)
            yield self._picture(self._vary(main, song, options), options, record_song(song), song, z_audio)

    def _picture(
        self,
        z_image: Float32,
        options: PaintOptions,
        song_entry: dict[str, Any],
        song: Song | None,
        z_audio: Float32 | None,
    ) -> Picture:
        """Return the picture of a latent; ``song_entry`` becomes the entry "song" of its record."""
        pixels, controls = self._decode(z_image, options)
        if controls is not None and (complaint := options.steering.complaint_about(controls)):
            logger.warning("%s: %s", song_entry["name"], complaint)
        record = make_record(self.bundle, options, song_entry, z_image)
        rgba = None
        if controls is not None and options.is_transparent:
            rgba = self._paint_controls(controls, options, transparent=True)
        return Picture(pixels, record, controls, z_image, song, z_audio, rgba=rgba)

    def _decode(self, z_image: Float32, options: PaintOptions) -> tuple[UInt8, Controls | None]:
        """Return pixels and controls of a latent; controls are None if the bundle decodes latents to pixels."""
        if self.bundle.decoder == "pixels":
            from clavilux.images import enlarge

            return enlarge(self.engine.decode_pixels(z_image), *options.size), None
        controls = options.steering.steer(self.engine.decode_controls(z_image))
        return self._paint_controls(controls, options), controls

    def _paint_controls(self, controls: Controls, options: PaintOptions, transparent: bool = False) -> UInt8:
        from clavilux.painter.paint import paint

        (width, height), seed = options.size, options.seed + options.variation
        return paint(controls, width=width, height=height, seed=seed, threads=self.threads, transparent=transparent)
