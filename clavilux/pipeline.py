"""The whole path in Python: a song goes in, a picture comes out.

song file -> listen -> engine -> painter -> **Picture**
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clavilux.audio.clips import CLIP_SUFFIX, song_of_clips
from clavilux.audio.song import Song, check_song
from clavilux.bundle import open_bundle
from clavilux.constants import DEFAULT_SIZE_PX, LATENT_DIM, MAX_AUDIO_S
from clavilux.engine import Engine
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.picture import Picture
from clavilux.record import MAX_CLIP, MIN_SOUND_S, Choices, parse_record
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
    """Load a bundle once, paint many songs.

    Parameters
    ----------
    bundle : path-like
        Name of a shipped bundle, or the folder of one.
    threads : int
        Threads of this process that work on one song. Two take about two thirds of the time of one, and more of the
        processor's: leave it at 1 where several processes paint. Pictures are the same for any number.

    Notes
    -----
    Three things decide a picture. The *song*, all of it: its latent fixes palette, plan and marks. The *variation*: 0
    is the song's own picture; every other number moves the latent one short step in a direction of its own. The
    *seed*, 0 unless given: which of the many pictures that fit the plan the marks draw. The seed does not come from
    the song. Different songs differ by what is heard in them alone, and a song as FLAC and as MP3, whose bytes differ
    and whose sound hardly does, gets nearly the same picture.

    Examples
    --------
    >>> engine = Clavilux()  # doctest: +SKIP
    >>> for song in songs:  # doctest: +SKIP
    ...     engine.paint(song, size=2048).save(f"{song}.png")
    """

    def __init__(self, bundle: FileName = "default", *, threads: Number = 1) -> None:
        self.threads = whole_number("threads", threads, 1, MAX_THREADS)
        folder = file_path("bundle", bundle, fault=BundleError)
        self.bundle = open_bundle(bundle if isinstance(bundle, str) else folder)  # "./name" is not "name"
        self.engine = Engine(self.bundle)

    def read_song(self, path: FileName, *, max_s: Number = MAX_AUDIO_S, clip: Number | None = None) -> Song:
        """Listen to a file.

        Parameters
        ----------
        path : path-like
            A file with sound, or a feature file (``.npy``) that ``clavilux features`` wrote.
        max_s : float
            Seconds of sound that are listened to.
        clip : int, optional
            The window of a feature file to take alone, from 0.

        Raises
        ------
        AudioError
            If there is nothing to hear in the file, or an argument is of another type or out of range.
        """
        path = file_path("path", path, fault=AudioError)
        max_s = real_number("max_s", max_s, MIN_SOUND_S, fault=AudioError)
        clip = None if clip is None else whole_number("clip", clip, 0, MAX_CLIP, fault=AudioError)
        if path.suffix.lower() == CLIP_SUFFIX:
            return song_of_clips(path, clip)
        if clip is not None:
            raise AudioError(f"{path}: is no feature file ({CLIP_SUFFIX}); a single clip can be taken of those only")
        from threadpoolctl import threadpool_limits

        from clavilux.audio.song import read_song

        # The matrices are small: with two BLAS threads the same song takes 1.7 times the processor's time.
        with (
            threadpool_limits(1, user_api="blas"),
            self.engine.loaded_meanwhile() if self.threads > 1 else nullcontext(),
        ):
            return read_song(path, max_s=max_s, threads=self.threads)

    def z_image(
        self,
        song: FileName | Song,
        *,
        seed: Number = 0,
        variation: Number = 0,
        spread: Number = 1.0,
        noise_std: Number | None = None,
        logvar_scale: Number | None = None,
    ) -> Float32:
        """Return the latent (64,) float32 that a song's picture, or a variation of it, is painted from.

        A variation lies ``spread`` times the bundle's step away from the song's own picture, in a direction drawn
        from the song, the seed and the variation's number. The step is the local spread of the latents of real art, so
        that variations are nearer to each other than to the pictures of other songs. Noise as in `paint`.
        """
        choices = self._choices(
            seed=seed, variation=variation, spread=spread, noise_std=noise_std, logvar_scale=logvar_scale
        )
        song = self._song(song, choices)
        return self._moved(self._own(song, choices), song, choices)

    def controls(
        self, song: FileName | Song, *, seed: Number = 0, variation: Number = 0, spread: Number = 1.0
    ) -> Controls:
        """Return what the painter paints from; it can be saved, edited and given to `clavilux.painter.paint.paint`.

        Raises
        ------
        BundleError
            If the decoder of the bundle gives pixels and knows no controls.
        """
        if self.bundle.decoder != "painter":
            raise BundleError(
                f"bundle {self.bundle.name} decodes latents to pixels and has no controls; give a bundle with a painter"
            )
        return self.engine.controls(self.z_image(song, seed=seed, variation=variation, spread=spread))

    def paint_latent(self, z_image: ArrayLike, *, size: Size = DEFAULT_SIZE_PX, seed: Number = 0) -> NDArray[np.uint8]:
        """Paint a latent (64,) of any origin: (height, width, 3) uint8 sRGB. Size and seed as in `paint`."""
        latent = float_array("z_image", z_image, (LATENT_DIM,))
        return self._decode(latent, check_size(size), whole_number("seed", seed, 0, MAX_SEED))[0]

    def paint(
        self,
        song: FileName | Song,
        *,
        size: Size = DEFAULT_SIZE_PX,
        seed: Number = 0,
        variation: Number = 0,
        spread: Number = 1.0,
        noise_std: Number | None = None,
        logvar_scale: Number | None = None,
        max_s: Number = MAX_AUDIO_S,
        clip: Number | None = None,
    ) -> Picture:
        """Paint a song.

        Parameters
        ----------
        song : path-like or Song
            A file with sound, a feature file (``.npy``), or what `read_song` returned.
        size : int or (int, int)
            Side in pixels, or width and height, each from 64 to 8192. The same picture at every size. Whole numbers,
            here and below, may also be NumPy integers and floats without a fraction.
        seed : int
            Of the marks, 0 or more, of at most 100 digits.
        variation : int
            0 for the song's own picture, 1 and on for variations of it, whose marks have the seed ``seed + variation``.
        spread : float
            Length of a variation's step, in units of the local spread of real art; it and both kinds of noise lie
            between 0 and 100.
        noise_std : float, optional
            Standard deviation of normal noise that is added to each number of the latent, whose own deviation over
            real art is about 1.
        logvar_scale : float, optional
            Each window's code is drawn from the posterior of the AudioVAE with this many times its variance; 0 takes
            the mean. Both kinds of noise are drawn from the song's hash and the seed, tell nothing of the song, and
            are 0 unless given; a bundle of the classic recipe has its own defaults.
        max_s, clip
            As in `read_song`. Beside a Song, say what it was listened to with: the record of the picture tells it.

        Returns
        -------
        Picture

        Raises
        ------
        AudioError, BundleError, PictureError
        """
        choices = self._choices(
            size=size,
            seed=seed,
            variation=variation,
            spread=spread,
            noise_std=noise_std,
            logvar_scale=logvar_scale,
            max_s=max_s,
            clip=clip,
        )
        return self._paint(song, choices)

    def variations(
        self,
        song: FileName | Song,
        *,
        count: Number,
        size: Size = DEFAULT_SIZE_PX,
        seed: Number = 0,
        spread: Number = 1.0,
        noise_std: Number | None = None,
        logvar_scale: Number | None = None,
        max_s: Number = MAX_AUDIO_S,
        clip: Number | None = None,
        skip: Container[int] = (),
    ) -> Iterator[Picture]:
        """Paint ``count`` pictures of a song, its own first; the song is listened to once. Options as in `paint`.

        Variations in ``skip`` are left out. The options are checked in the call, the song when the first picture is
        asked for.
        """
        choices = self._choices(
            size=size,
            seed=seed,
            spread=spread,
            noise_std=noise_std,
            logvar_scale=logvar_scale,
            max_s=max_s,
            clip=clip,
        )
        if not isinstance(skip, Container):
            raise PictureError(f"skip is {show(skip)}; it is a set of numbers of variations")
        numbers = range(whole_number("count", count, 0, MAX_SEED))
        return self._paint_variations(song, choices, (number for number in numbers if number not in skip))

    def repaint(self, record: dict[str, Any], path: FileName, *, size: Size | None = None) -> Picture:
        """Paint a picture again from its record (`clavilux.picture.read_record`), at another size if one is given.

        Raises
        ------
        PictureError
            If the song is not the one that was painted, or the record lacks something.
        BundleError
            If the bundle is not the one that was painted with.
        """
        recorded = parse_record(record)
        choices = recorded.choices if size is None else replace(recorded.choices, size=check_size(size))
        if recorded.bundle_sha256 != self.bundle.sha256:
            raise BundleError(
                f"the picture was painted with bundle {show(recorded.bundle_name)} (sha256 "
                f"{show(recorded.bundle_sha256[:12])}), and this is {self.bundle.name} ({self.bundle.sha256[:12]}); "
                f"give the one it was painted with"
            )
        song = self.read_song(path, max_s=choices.max_s, clip=choices.clip)
        if song.sha256 != recorded.song_sha256:
            raise PictureError(
                f"{song.path}: is not the song of the picture, which was painted from {show(recorded.song_name)} "
                f"(sha256 {show(recorded.song_sha256[:12])}; this file has {song.sha256[:12]}); give that very file"
            )
        return self._paint(song, choices)

    def has_painted(self, record: dict[str, Any], song_sha256: str, **choices: Any) -> bool:
        """Say whether a record is of the picture that `paint` would paint of a song now.

        Parameters
        ----------
        record : dict
            From `clavilux.picture.read_record`.
        song_sha256 : str
            Hash of the song's bytes.
        choices
            ``size`` (width, height), ``seed``, ``variation``, ``spread``, ``noise_std``, ``logvar_scale``, ``max_s``
            and ``clip``, all of them.
        """
        song = record.get("song") if isinstance(record, dict) else None
        expected = self._entries(self._choices(**choices))
        return (
            isinstance(song, dict)
            and song.get("sha256") == song_sha256
            and all(record.get(key) == value for key, value in expected.items())
        )

    def _choices(self, *, noise_std: Number | None = None, logvar_scale: Number | None = None, **given: Any) -> Choices:
        """Return the checked options of a call; what is left out is what the bundle paints with, or the default."""
        defaults: dict[str, Any] = {
            "size": DEFAULT_SIZE_PX,
            "seed": 0,
            "variation": 0,
            "spread": 1.0,
            "noise_std": self.bundle.noise_std if noise_std is None else noise_std,
            "logvar_scale": self.bundle.logvar_scale if logvar_scale is None else logvar_scale,
            "max_s": MAX_AUDIO_S,
            "clip": None,
        }
        return Choices(**{**defaults, **given})

    def _entries(self, choices: Choices) -> dict[str, Any]:
        """Return what a record holds beside the song."""
        bundle = {"name": self.bundle.name, "sha256": self.bundle.sha256}
        return {"clavilux": __version__, "bundle": bundle, **choices.entries()}

    def _song(self, song: FileName | Song, choices: Choices) -> Song:
        """Listen to a file; a Song is checked, as anyone can make one."""
        if isinstance(song, Song):
            check_song(song)
            return song
        return self.read_song(file_path("song", song, fault=AudioError), max_s=choices.max_s, clip=choices.clip)

    def _own(self, song: Song, choices: Choices) -> Float32:
        """Return the latent (64,) of a song's own picture."""
        rng = _generator(f"{song.sha256}:{choices.seed}:noise")
        code = self.engine.song_code(song, logvar_scale=choices.logvar_scale, rng=rng)
        z_image = self.engine.z_image(code)
        if choices.noise_std == 0:
            return z_image
        return (z_image + choices.noise_std * rng.standard_normal(z_image.shape)).astype(np.float32)

    def _moved(self, own: Float32, song: Song, choices: Choices) -> Float32:
        """Return the latent (64,) of a variation: one step from the song's own; variation 0 is the song's own."""
        if choices.variation == 0:
            return own
        direction = _generator(f"{song.sha256}:{choices.seed}:{choices.variation}").standard_normal(LATENT_DIM)
        step = choices.spread * self.bundle.variation_scale / np.linalg.norm(direction)
        return (own + step * direction).astype(np.float32)

    def _paint(self, song: FileName | Song, choices: Choices) -> Picture:
        """Paint one picture of a song."""
        return next(self._paint_variations(song, choices, [choices.variation]))

    def _paint_variations(
        self, song: FileName | Song, choices: Choices, variations: Iterable[int]
    ) -> Iterator[Picture]:
        """Paint variations of a song, which is listened to once."""
        song = self._song(song, choices)
        own = self._own(song, choices)
        heard = {"name": song.name, "sha256": song.sha256, "silent": bool(song.is_silent)}
        for variation in variations:
            choices = replace(choices, variation=variation)
            z_image = self._moved(own, song, choices)
            pixels, controls = self._decode(z_image, choices.size, choices.seed + variation)
            record = {"clavilux": __version__, "song": dict(heard), **self._entries(choices)}
            yield Picture(pixels=pixels, record=record, controls=controls, z_image=z_image, song=song)

    def _decode(self, z_image: Float32, size: tuple[int, int], seed: int) -> tuple[NDArray[np.uint8], Controls | None]:
        """Pixels of a latent, and the controls if a painter painted them."""
        width, height = size
        if self.bundle.decoder == "pixels":
            from clavilux.images import enlarge

            return enlarge(self.engine.pixels(z_image), width, height), None
        from clavilux.painter.paint import paint as paint_controls

        controls = self.engine.controls(z_image)
        return paint_controls(controls, width=width, height=height, seed=seed, threads=self.threads), controls


def paint(
    song: FileName | Song,
    *,
    size: Size = DEFAULT_SIZE_PX,
    seed: Number = 0,
    variation: Number = 0,
    spread: Number = 1.0,
    noise_std: Number | None = None,
    logvar_scale: Number | None = None,
    bundle: FileName = "default",
    max_s: Number = MAX_AUDIO_S,
) -> Picture:
    """Paint one song; `Clavilux.paint` says what the options mean. To paint many, make one `Clavilux`.

    Examples
    --------
    >>> picture = paint("nocturne.flac", size=2048, seed=7)  # doctest: +SKIP
    >>> picture.save("nocturne.png")  # doctest: +SKIP
    """
    return Clavilux(bundle).paint(
        song,
        size=size,
        seed=seed,
        variation=variation,
        spread=spread,
        noise_std=noise_std,
        logvar_scale=logvar_scale,
        max_s=max_s,
    )


def _generator(key: str) -> np.random.Generator:
    """A generator that depends on the key alone."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4"))
