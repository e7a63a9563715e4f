"""From a song to a picture in Python.

song file -> `read_song` -> `Engine` (networks) -> painter -> `Picture`
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clavilux.audio.clips import CLIP_SUFFIX, song_of_clips
from clavilux.audio.song import Song, check_song
from clavilux.bundle import open_bundle
from clavilux.constants import DEFAULT_SIZE_PX, LATENT_DIM, MAX_AUDIO_S
from clavilux.engine import Engine
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.picture import Picture
from clavilux.record import MAX_CLIP, MIN_SOUND_S, PaintArguments, PaintOptions, parse_record
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
from clavilux.version import __version__

if TYPE_CHECKING:
    from clavilux.painter.controls import Controls

Float32 = NDArray[np.float32]


class Clavilux:
    """A bundle opened for painting songs: songs in, pictures out.

    Parameters
    ----------
    bundle : path-like
        Name of a shipped bundle, or the folder of one.
    threads : int
        Threads of this process per song. Two threads take about two thirds of the wall time of one, and more processor
        time: use 1 if several processes paint. The pictures do not depend on it.

    Attributes
    ----------
    bundle : Bundle
    engine : Engine
        The networks of the bundle.

    Notes
    -----
    A picture depends on three things. The *song*: its latent determines palette, plan and marks. The *variation*: 0 is
    the main picture; other numbers move the latent by a short step in a random direction that depends on song, seed and
    number. The *seed*, 0 by default: where single marks fall. The seed does not depend on the song, so two songs differ
    only by their sound, and the FLAC and the MP3 of a song get nearly the same picture.

    Methods that paint accept the fields of `PaintOptions` as keyword arguments, or ``options`` as their base.

    Examples
    --------
    >>> clavilux = Clavilux()  # doctest: +SKIP
    >>> for song in songs:  # doctest: +SKIP
    ...     clavilux.paint(song, size=2048).save(f"{song}.png")
    """

    def __init__(self, bundle: FileName = "default", *, threads: Number = 1) -> None:
        self.threads = whole_number("threads", threads, 1, MAX_THREADS)
        folder = file_path("bundle", bundle, fault=BundleError)
        self.bundle = open_bundle(bundle if isinstance(bundle, str) else folder)  # "./name" is not "name"
        self.engine = Engine(self.bundle)

    def read_song(self, path: FileName, *, max_s: Number = MAX_AUDIO_S, clip: Number | None = None) -> Song:
        """Return the features and descriptors of a song.

        Parameters
        ----------
        path : path-like
            An audio file, or a feature file (``.npy``) that ``clavilux features`` wrote.
        max_s : float
            Seconds of sound that are used.
        clip : int, optional
            Index of the only window of a feature file that is used.

        Raises
        ------
        AudioError
            If the file cannot be read as sound, or an argument has a wrong type or is out of range.
        """
        path = file_path("path", path, fault=AudioError)
        max_s = real_number("max_s", max_s, MIN_SOUND_S, fault=AudioError)
        clip = None if clip is None else whole_number("clip", clip, 0, MAX_CLIP, fault=AudioError)
        if path.suffix.lower() == CLIP_SUFFIX:
            return song_of_clips(path, clip)
        if clip is not None:
            raise AudioError(f"{path}: is not a feature file ({CLIP_SUFFIX}); only those have single clips")
        from threadpoolctl import threadpool_limits

        from clavilux.audio.song import read_song

        # The matrices are small: two BLAS threads take 1.7 times the processor time for the same song.
        with (
            threadpool_limits(1, user_api="blas"),
            self.engine.loaded_meanwhile() if self.threads > 1 else nullcontext(),
        ):
            return read_song(path, max_s=max_s, threads=self.threads, settings=self.bundle.feature_settings)

    def z_image(
        self, song: FileName | Song, *, options: PaintOptions | None = None, **changes: Unpack[PaintArguments]
    ) -> Float32:
        """Return the latent (64,) float32 that the picture of a song is painted from.

        The step of a variation is the local distance between latents of real art, so that variations are nearer to
        each other than to the pictures of other songs.
        """
        resolved = self._options(options, changes)
        song = self._song(song, resolved)
        return self._vary(self._main_latent(song, resolved), song, resolved)

    def controls(
        self, song: FileName | Song, *, options: PaintOptions | None = None, **changes: Unpack[PaintArguments]
    ) -> Controls:
        """Return the controls of the picture of a song; `clavilux.painter.paint.paint` paints them, edited or not.

        Raises
        ------
        BundleError
            If the bundle decodes latents to pixels and has no controls.
        """
        if self.bundle.decoder != "painter":
            raise BundleError(
                f"bundle {self.bundle.name} decodes latents to pixels and has no controls; give a bundle with a painter"
            )
        return self.engine.decode_controls(self.z_image(song, options=options, **changes))

    def paint_latent(self, z_image: ArrayLike, *, size: Size = DEFAULT_SIZE_PX, seed: Number = 0) -> NDArray[np.uint8]:
        """Return the picture of any latent (64,): (height, width, 3) uint8 sRGB. ``size``, ``seed``: `PaintOptions`."""
        latent = float_array("z_image", z_image, (LATENT_DIM,))
        return self._decode(latent, check_size(size), whole_number("seed", seed, 0, MAX_SEED))[0]

    def paint(
        self, song: FileName | Song, *, options: PaintOptions | None = None, **changes: Unpack[PaintArguments]
    ) -> Picture:
        """Paint a song.

        Parameters
        ----------
        song : path-like or Song
            An audio file, a feature file (``.npy``), or a result of `read_song`. For a Song, give the ``max_s`` and
            ``clip`` that it was read with; they are stored in the record of the picture.
        options : PaintOptions, optional
            Options; `PaintOptions` describes them and their defaults.
        **changes
            Fields of `PaintOptions` that replace those of ``options``.

        Raises
        ------
        AudioError, BundleError, PictureError
        """
        return next(self.variations(song, count=1, options=options, **changes))

    def variations(
        self,
        song: FileName | Song,
        *,
        count: Number,
        skip: Container[int] = (),
        options: PaintOptions | None = None,
        **changes: Unpack[PaintArguments],
    ) -> Iterator[Picture]:
        """Yield the main picture of a song and its variations, ``count`` in all; the song is read once.

        Parameters
        ----------
        song, options, **changes
            As in `paint`. With ``variation`` N, the numbers are N, N + 1, ...
        count : int
        skip : container of int
            Variations to leave out.

        Notes
        -----
        Options are checked in the call, the song when the first picture is requested.
        """
        resolved = self._options(options, changes)
        if not isinstance(skip, Container):
            raise PictureError(f"skip is {show(skip)}; it is a set of numbers of variations")
        first = resolved.variation
        numbers = range(first, first + whole_number("count", count, 0, MAX_SEED))
        return self._paint(song, resolved, (number for number in numbers if number not in skip))

    def repaint(self, record: dict[str, Any], path: FileName, *, size: Size | None = None) -> Picture:
        """Paint a picture again from its record (`clavilux.picture.read_record`) and its song, at any size.

        Raises
        ------
        PictureError
            If the song is not the recorded one, or the record is incomplete.
        BundleError
            If the bundle is not the recorded one.
        """
        recorded = parse_record(record)
        options = recorded.options if size is None else replace(recorded.options, size=check_size(size))
        if recorded.bundle_sha256 != self.bundle.sha256:
            raise BundleError(
                f"the picture was painted with bundle {show(recorded.bundle_name)} (sha256 "
                f"{show(recorded.bundle_sha256[:12])}), and this is {self.bundle.name} ({self.bundle.sha256[:12]}); "
                f"give the one it was painted with"
            )
        song = self.read_song(path, max_s=options.max_s, clip=options.clip)
        if song.sha256 != recorded.song_sha256:
            raise PictureError(
                f"{song.path}: is not the song of the picture, which was painted from {show(recorded.song_name)} "
                f"(sha256 {show(recorded.song_sha256[:12])}; this file has {song.sha256[:12]}); give that very file"
            )
        return self.paint(song, options=options)

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
            From `clavilux.picture.read_record`.
        song_sha256 : str
            SHA-256 of the bytes of the song.
        options, **changes
            As in `paint`.
        """
        song = record.get("song") if isinstance(record, dict) else None
        expected = self._entries(self._options(options, changes))
        return (
            isinstance(song, dict)
            and song.get("sha256") == song_sha256
            and all(record.get(key) == value for key, value in expected.items())
        )

    def _options(self, options: PaintOptions | None, changes: PaintArguments) -> PaintOptions:
        """Return the options of a call, with the noise of the bundle where none is given."""
        changed: dict[str, Any] = {**changes}
        return replace(options or PaintOptions(), **changed).with_noise_of(self.bundle)

    def _entries(self, options: PaintOptions) -> dict[str, Any]:
        """Return the entries of a record except the song."""
        bundle = {"name": self.bundle.name, "sha256": self.bundle.sha256}
        return {"clavilux": __version__, "bundle": bundle, **options.to_record()}

    def _song(self, song: FileName | Song, options: PaintOptions) -> Song:
        """Return the song of a file, or a validated Song."""
        if isinstance(song, Song):
            check_song(song)
            return song
        return self.read_song(file_path("song", song, fault=AudioError), max_s=options.max_s, clip=options.clip)

    def _main_latent(self, song: Song, options: PaintOptions) -> Float32:
        """Return the latent (64,) of the main picture of a song."""
        assert options.noise_std is not None and options.logvar_scale is not None, "options of `_options`"
        rng = _generator(f"{song.sha256}:{options.seed}:noise")
        z_image = self.engine.map_song(self.engine.encode_song(song, logvar_scale=options.logvar_scale, rng=rng))
        if options.noise_std == 0:
            return z_image
        return (z_image + options.noise_std * rng.standard_normal(z_image.shape)).astype(np.float32)

    def _vary(self, main: Float32, song: Song, options: PaintOptions) -> Float32:
        """Return the latent (64,) of a variation, one step from the main one; variation 0 is the main one."""
        if options.variation == 0:
            return main
        direction = _generator(f"{song.sha256}:{options.seed}:{options.variation}").standard_normal(LATENT_DIM)
        step = options.spread * self.bundle.variation_scale / np.linalg.norm(direction)
        return (main + step * direction).astype(np.float32)

    def _paint(self, song: FileName | Song, options: PaintOptions, variations: Iterable[int]) -> Iterator[Picture]:
        """Yield variations of a song, which is read once."""
        song = self._song(song, options)
        main = self._main_latent(song, options)
        for variation in variations:
            options = replace(options, variation=variation)
            z_image = self._vary(main, song, options)
            pixels, controls = self._decode(z_image, options.size, options.seed + variation)
            entries = self._entries(options)
            measured = {"name": song.name, "sha256": song.sha256, "silent": bool(song.is_silent)}
            record = {"clavilux": entries["clavilux"], "song": measured, **entries}
            yield Picture(pixels=pixels, record=record, controls=controls, z_image=z_image, song=song)

    def _decode(self, z_image: Float32, size: tuple[int, int], seed: int) -> tuple[NDArray[np.uint8], Controls | None]:
        """Return the pixels of a latent, and its controls if the bundle has a painter."""
        width, height = size
        if self.bundle.decoder == "pixels":
            from clavilux.images import enlarge

            return enlarge(self.engine.decode_pixels(z_image), width, height), None
        from clavilux.painter.paint import paint as paint_controls

        controls = self.engine.decode_controls(z_image)
        return paint_controls(controls, width=width, height=height, seed=seed, threads=self.threads), controls


def paint(song: FileName | Song, *, bundle: FileName = "default", **options: Unpack[PaintArguments]) -> Picture:
    """Paint one song; `PaintOptions` describes the options. To paint many songs, create one `Clavilux`.

    Examples
    --------
    >>> picture = paint("nocturne.flac", size=2048, seed=7)  # doctest: +SKIP
    >>> picture.save("nocturne.png")  # doctest: +SKIP
    """
    return Clavilux(bundle).paint(song, **options)


def _generator(key: str) -> np.random.Generator:
    """Return a random generator that depends only on the key."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4"))
