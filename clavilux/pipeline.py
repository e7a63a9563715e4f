"""From a song to a picture in Python.

song -> `read_source` -> `Engine` (networks) -> painter -> `Picture`
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clavilux.audio.song import Song, check_song
from clavilux.audio.sources import Source, read_source
from clavilux.bundle import open_bundle
from clavilux.constants import DEFAULT_SIZE_PX, LATENT_DIM, MAX_AUDIO_S
from clavilux.engine import Engine
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.picture import Picture
from clavilux.record import (
    MAX_CLIP,
    MIN_SOUND_S,
    PaintArguments,
    PaintOptions,
    make_record,
    parse_record,
    record_options,
    record_song,
)
from clavilux.steering import NO_STEERING, Steering
from clavilux.system.arguments import (
    MAX_SEED,
    MAX_THREADS,
    FileName,
    Number,
    Size,
    check_size,
    file_path,
    float_array,
    real_number,
    show,
    whole_number,
)
from clavilux.variations import Variations, generator_of

if TYPE_CHECKING:
    from clavilux.painter.controls import Controls

Float32 = NDArray[np.float32]
logger = logging.getLogger("clavilux")


class Clavilux:
    """A bundle opened for painting songs: songs in, pictures out.

    Parameters
    ----------
    bundle : path-like
        Name of a shipped bundle, or the folder of one.
    threads : int
        Number of threads that work on a song. With two threads, a song takes about two thirds of the time, but more CPU
        time, so use 1 if several processes paint. The pictures do not depend on it.

    Attributes
    ----------
    bundle : Bundle
    engine : Engine
        The networks of the bundle.

    Notes
    -----
    A picture depends on three things:

    * the *song*: its latent determines the palette, the plan and the marks;
    * the *variation*: 0 is the main picture; other numbers move the latent by a short step in a direction that depends
      on the song, the seed and the number, and is chosen so that variations differ evenly;
    * the *seed*, 0 by default: it determines the positions of single marks and brush strokes. It does not depend on the
      song, so the FLAC and the MP3 of a song get nearly the same picture.

    Methods that paint accept ``options``, and the fields of `PaintOptions` and `Steering` as keyword arguments, which
    replace those of ``options``.

    Examples
    --------
    >>> clavilux = Clavilux()
    >>> for song in ["nocturne.flac"]:
    ...     clavilux.paint(song, size=128).save(f"{song}.png")
    """

    def __init__(self, bundle: FileName = "default", *, threads: Number = 1) -> None:
        self.threads = whole_number("threads", threads, 1, MAX_THREADS)
        folder = file_path("bundle", bundle, fault=BundleError)
        self.bundle = open_bundle(bundle if isinstance(bundle, str) else folder)  # "./name" is not "name"
        self.engine = Engine(self.bundle)
        self._variations = Variations(self.engine)

    def read_song(
        self, song: Source, *, sr: Number | None = None, max_s: Number = MAX_AUDIO_S, clip: Number | None = None
    ) -> Song:
        """Return the features and descriptors of a song.

        Parameters
        ----------
        song : path-like, file or array
            An audio file, a feature file (``.npy``) that ``clavilux features`` wrote, an audio file that is open in
            binary mode, or samples of shape (n,) or (channels, n): floats with full scale 1, or integers.
        sr : int, optional
            Sample rate of an array in Hz.
        max_s : float
            Use only the first ``max_s`` seconds of the sound.
        clip : int, optional
            Use only the window with this index, from 0, of a feature file; by default, use all windows.

        Raises
        ------
        AudioError
            If the song cannot be read as sound, or an argument has a wrong type or is out of range.
        """
        max_s = real_number("max_s", max_s, MIN_SOUND_S, fault=AudioError)
        clip = None if clip is None else whole_number("clip", clip, 0, MAX_CLIP, fault=AudioError)
        from threadpoolctl import threadpool_limits

        # The matrices are small: two BLAS threads take 1.7 times the processor time for the same song.
        with (
            threadpool_limits(1, user_api="blas"),
            self.engine.loaded_meanwhile() if self.threads > 1 else nullcontext(),
        ):
            settings = self.bundle.feature_settings
            return read_source(song, sr=sr, max_s=max_s, clip=clip, threads=self.threads, settings=settings)

    def z_image(
        self, song: Source | Song, *, options: PaintOptions | None = None, **changes: Unpack[PaintArguments]
    ) -> Float32:
        """Return the latent (64,) float32 that the picture of a song is painted from.

        The arguments are those of `paint`, except ``sr``: give an array as the result of `read_song`. The step of a
        variation is the local distance between latents of real art, so that variations are nearer to each other than to
        the pictures of other songs.

        Raises
        ------
        AudioError, BundleError, PictureError
        """
        resolved = self._options(options, changes)
        song = self._song(song, None, resolved)
        return self._vary(self._main_latent(song, resolved)[0], song, resolved)

    def controls(
        self, song: Source | Song, *, options: PaintOptions | None = None, **changes: Unpack[PaintArguments]
    ) -> Controls:
        """Return the controls of the picture of a song, which can be edited and painted with `clavilux.paint`.

        The arguments are those of `paint`, except ``sr``: give an array as the result of `read_song`.

        Raises
        ------
        BundleError
            If the bundle decodes latents to pixels and has no controls.
        AudioError, PictureError
            As `paint`.

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
        controls = self.engine.decode_controls(self.z_image(song, options=options, **changes))
        return self._options(options, changes).steering.steer(controls)

    def paint_latent(self, z_image: ArrayLike, *, size: Size = DEFAULT_SIZE_PX, seed: Number = 0) -> NDArray[np.uint8]:
        """Return the picture (height, width, 3) uint8 sRGB of any latent (64,).

        ``size`` and ``seed`` are described in `PaintOptions`.

        Raises
        ------
        PictureError
            If an argument has a wrong type or shape, or is out of range.
        BundleError
            If the networks of the bundle cannot be loaded.
        """
        latent = float_array("z_image", z_image, (LATENT_DIM,))
        return self._decode(latent, check_size(size), whole_number("seed", seed, 0, MAX_SEED), Steering())[0]

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
            What `read_song` reads, or its result. For a Song, give the ``max_s`` and ``clip`` that it was read with;
            they are stored in the record of the picture.
        sr : int, optional
            Sample rate of an array in Hz.
        options : PaintOptions, optional
            Options; `PaintOptions` describes them and their defaults.
        **changes
            Fields of `PaintOptions` and `Steering` that replace those of ``options``.

        Raises
        ------
        AudioError, BundleError, PictureError
        """
        return next(self.variations(song, sr=sr, count=1, options=options, **changes))

    def variations(
        self,
        song: Source | Song,
        *,
        count: Number,
        sr: Number | None = None,
        skip: Container[int] = (),
        options: PaintOptions | None = None,
        **changes: Unpack[PaintArguments],
    ) -> Iterator[Picture]:
        """Yield ``count`` pictures of a song: the main picture, then its variations.

        Parameters
        ----------
        song, sr, options, **changes
            As in `paint`. The first picture has the number of the option ``variation``, which is 0 by default.
        count : int
            Number of pictures, including those in ``skip``.
        skip : container of int
            Numbers of pictures that are not painted.

        Raises
        ------
        PictureError, BundleError
            At once, if an option is wrong.
        AudioError
            When the first picture is requested, if the song cannot be read.

        Examples
        --------
        >>> pictures = list(Clavilux().variations("nocturne.flac", count=2, size=128))
        >>> [picture.record["variation"] for picture in pictures]
        [0, 1]
        """
        resolved = self._options(options, changes)
        if not isinstance(skip, Container):
            raise PictureError(f"skip is {show(skip)}; it is a set of numbers of variations")
        first = resolved.variation
        numbers = range(first, first + whole_number("count", count, 0, MAX_SEED))
        return self._paint(song, sr, resolved, (number for number in numbers if number not in skip))

    def repaint(
        self,
        record: dict[str, Any],
        song: Source | Song | None = None,
        *,
        size: Size | None = None,
        dpi: Number | None = None,
    ) -> Picture:
        """Return a picture that is painted again from a record (`clavilux.read_record`), at any size.

        Parameters
        ----------
        record : dict
        song : path-like, file or Song, optional
            A song that must be the one of the picture; it is compared with the record, and becomes part of the result.
        size : int or (int, int), optional
            Size in pixels; by default that of the record.
        dpi : float, optional
            Pixels per inch; by default those of the record.

        Raises
        ------
        PictureError
            If the sound of the song is not that of the picture, or the record is incomplete or of a version with
            another painter.
        BundleError
            If the bundle is not the recorded one.
        AudioError
            If the song cannot be read.

        Examples
        --------
        >>> clavilux = Clavilux()
        >>> picture = clavilux.paint("nocturne.flac", size=128)
        >>> clavilux.repaint(picture.record, size=256).pixels.shape
        (256, 256, 3)
        """
        recorded = parse_record(record)
        changes: dict[str, Any] = {"size": size, "dpi": dpi}
        options = replace(recorded.options, **{name: value for name, value in changes.items() if value is not None})
        if recorded.bundle_sha256 != self.bundle.sha256:
            raise BundleError(
                f"the picture was painted with bundle {show(recorded.bundle_name)} (sha256 "
                f"{show(recorded.bundle_sha256[:12])}), and this is {self.bundle.name} ({self.bundle.sha256[:12]}); "
                f"give the one it was painted with"
            )
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
        """Return whether a record describes the picture that `paint` would paint now.

        Parameters
        ----------
        record : Any
            From `clavilux.read_record`.
        song_sha256 : str
            SHA-256 of the bytes of the song.
        options, **changes
            As in `paint`.
        """
        song = record.get("song") if isinstance(record, dict) else None
        expected = record_options(self.bundle, self._options(options, changes))
        return (
            isinstance(song, dict)
            and song.get("sha256") == song_sha256
            and all(record.get(key) == value for key, value in {"steering": None, **expected}.items())
        )

    def _options(self, options: PaintOptions | None, changes: PaintArguments) -> PaintOptions:
        """Return the options of a call, with the noise of the bundle where none is given."""
        resolved = (options or PaintOptions()).changed(changes).with_noise_of(self.bundle)
        resolved.steering.check_bundle(self.bundle)
        return resolved

    def _song(self, song: Source | Song, sr: Number | None, options: PaintOptions, *, is_logged: bool = True) -> Song:
        """Return the song of a source, or a validated Song; warnings about a source are logged."""
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
        z_image = options.steering.move_latent(z_image, lambda rgb: self.engine.encode_picture(rgb)[0])
        return z_image, song_code[:LATENT_DIM]

    def _vary(self, main: Float32, song: Song, options: PaintOptions) -> Float32:
        """Return the latent (64,) of the variation of the options, from that of the main picture."""
        return self._variations.vary(main, f"{song.sound_sha256}:{options.seed}", options.variation, options.spread)

    def _paint(
        self, song: Source | Song, sr: Number | None, options: PaintOptions, variations: Iterable[int]
    ) -> Iterator[Picture]:
        """Yield variations of a song, which is read once."""
        song = self._song(song, sr, options)
        main, z_audio = self._main_latent(song, options)
        for variation in variations:
            options = replace(options, variation=variation)
            yield self._picture(self._vary(main, song, options), options, record_song(song), song, z_audio)

    def _picture(
        self,
        z_image: Float32,
        options: PaintOptions,
        measured: dict[str, Any],
        song: Song | None,
        z_audio: Float32 | None,
    ) -> Picture:
        """Paint a latent with options, of which the variation only adds to the seed."""
        seed = options.seed + options.variation
        pixels, controls = self._decode(z_image, options.size, seed, options.steering)
        if controls is not None and (complaint := options.steering.complaint_about(controls)):
            logger.warning("%s: %s", measured["name"], complaint)
        record = make_record(self.bundle, options, measured, z_image)
        return Picture(pixels=pixels, record=record, controls=controls, z_image=z_image, song=song, z_audio=z_audio)

    def _decode(
        self, z_image: Float32, size: tuple[int, int], seed: int, steering: Steering
    ) -> tuple[NDArray[np.uint8], Controls | None]:
        """Return the pixels of a latent, and its controls if the bundle has a painter."""
        width, height = size
        if self.bundle.decoder == "pixels":
            from clavilux.images import enlarge

            return enlarge(self.engine.decode_pixels(z_image), width, height), None
        from clavilux.painter.paint import paint as paint_controls

        controls = steering.steer(self.engine.decode_controls(z_image))
        return paint_controls(controls, width=width, height=height, seed=seed, threads=self.threads), controls
