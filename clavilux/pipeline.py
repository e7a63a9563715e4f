"""The whole path in Python: a song goes in, a picture comes out.

song file -> listen -> engine -> painter -> **Picture**
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.clips import CLIP_SUFFIX, song_of_clips
from clavilux.bundle import open_bundle
from clavilux.constants import DEFAULT_SIZE_PX, LATENT_DIM, MAX_AUDIO_S, SIZE_RANGE_PX
from clavilux.engine import Engine
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.picture import Picture
from clavilux.version import __version__

if TYPE_CHECKING:
    from clavilux.audio.song import Song
    from clavilux.painter.controls import Controls

Float32 = NDArray[np.float32]
Size = int | tuple[int, int]


class Clavilux:
    """Load a bundle once, paint many songs.

    Parameters
    ----------
    bundle : str or Path
        Name of a shipped bundle, or the folder of one.
    threads : int
        Threads of this process that work on one song. Two take about two thirds of the time of one, and more of the
        processor's: leave it at 1 where several processes paint. Pictures are the same for any number.

    Notes
    -----
    Three things decide a picture. The *song*, all of it: its latent fixes palette, plan and marks. The *sibling*: 0
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

    def __init__(self, bundle: str | Path = "default", *, threads: int = 1) -> None:
        self.threads = threads
        self.bundle = open_bundle(bundle)
        self.engine = Engine(self.bundle)

    def listen(self, path: str | Path, *, max_s: float = MAX_AUDIO_S, clip: int | None = None) -> Song:
        """Listen to a file.

        Parameters
        ----------
        path : str or Path
            A file with sound, or a feature file (``.npy``) that ``clavilux features`` wrote.
        max_s : float
            Seconds of sound that are listened to.
        clip : int, optional
            The window of a feature file to take alone, from 0.

        Raises
        ------
        AudioError
            If there is nothing to hear in the file.
        """
        if Path(path).suffix.lower() == CLIP_SUFFIX:
            return song_of_clips(Path(path), clip)
        if clip is not None:
            raise AudioError(f"{path}: is no feature file ({CLIP_SUFFIX}); a single clip can be taken of those only")
        from threadpoolctl import threadpool_limits

        from clavilux.audio.song import listen

        # The matrices are small: with two BLAS threads the same song takes 1.7 times the processor's time.
        with (
            threadpool_limits(1, user_api="blas"),
            self.engine.loaded_meanwhile() if self.threads > 1 else nullcontext(),
        ):
            return listen(path, max_s=max_s, threads=self.threads)

    def z_image(
        self,
        song: str | Path | Song,
        *,
        seed: int = 0,
        sibling: int = 0,
        variation: float = 1.0,
        noise_std: float | None = None,
        logvar_scale: float | None = None,
    ) -> Float32:
        """Return the latent (64,) float32 that a song's picture, or a sibling of it, is painted from.

        A sibling lies ``variation`` times the bundle's step away from the song's own picture, in a direction drawn
        from the song, the seed and the sibling's number. The step is the local spread of the latents of real art, so
        that siblings are nearer to each other than to the pictures of other songs. Noise as in `paint`.
        """
        song = self.listen(song) if isinstance(song, str | Path) else song
        own = self._own(song, seed, self._noise(noise_std, logvar_scale))
        return self._moved(own, song, seed=seed, sibling=sibling, variation=variation)

    def controls(self, song: str | Path | Song, *, seed: int = 0, sibling: int = 0, variation: float = 1.0) -> Controls:
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
        return self.engine.controls(self.z_image(song, seed=seed, sibling=sibling, variation=variation))

    def paint_latent(self, z_image: Float32, *, size: Size = DEFAULT_SIZE_PX, seed: int = 0) -> NDArray[np.uint8]:
        """Paint a latent (64,) of any origin: (height, width, 3) uint8 sRGB. Size and seed as in `paint`."""
        return self._decode(z_image, check_size(size), seed)[0]

    def paint(
        self,
        song: str | Path | Song,
        *,
        size: Size = DEFAULT_SIZE_PX,
        seed: int = 0,
        sibling: int = 0,
        variation: float = 1.0,
        noise_std: float | None = None,
        logvar_scale: float | None = None,
        max_s: float = MAX_AUDIO_S,
        clip: int | None = None,
    ) -> Picture:
        """Paint a song.

        Parameters
        ----------
        song : str, Path or Song
            A file with sound, a feature file (``.npy``), or what `listen` returned.
        size : int or (int, int)
            Side in pixels, or width and height, each from 64 to 8192. The same picture at every size.
        seed : int
            Of the marks, 0 or more.
        sibling : int
            0 for the song's own picture, 1 and on for variations of it, whose marks have the seed ``seed + sibling``.
        variation : float
            Length of a sibling's step, in units of the local spread of real art.
        noise_std : float, optional
            Standard deviation of normal noise that is added to each number of the latent, whose own deviation over
            real art is about 1.
        logvar_scale : float, optional
            Each window's code is drawn from the posterior of the AudioVAE with this many times its variance; 0 takes
            the mean. Both kinds of noise are drawn from the song's hash and the seed, tell nothing of the song, and
            are 0 unless given; a bundle of the classic recipe has its own defaults.
        max_s, clip
            As in `listen`. Beside a Song, say what it was listened to with: the record of the picture tells it.

        Returns
        -------
        Picture

        Raises
        ------
        AudioError, BundleError, PictureError
        """
        song = self.listen(song, max_s=max_s, clip=clip) if isinstance(song, str | Path) else song
        noise = self._noise(noise_std, logvar_scale)
        own = self._own(song, seed, noise)
        choice = _Choice(check_size(size), seed, variation, noise, max_s, clip)
        return self._paint(song, own, choice, sibling)

    def siblings(
        self,
        song: str | Path | Song,
        *,
        count: int,
        size: Size = DEFAULT_SIZE_PX,
        seed: int = 0,
        variation: float = 1.0,
        noise_std: float | None = None,
        logvar_scale: float | None = None,
        max_s: float = MAX_AUDIO_S,
        clip: int | None = None,
        skip: Container[int] = (),
    ) -> Iterator[Picture]:
        """Paint ``count`` pictures of a song, its own first; the song is listened to once. Options as in `paint`.

        Siblings in ``skip`` are left out.
        """
        song = self.listen(song, max_s=max_s, clip=clip) if isinstance(song, str | Path) else song
        noise = self._noise(noise_std, logvar_scale)
        own = self._own(song, seed, noise)
        choice = _Choice(check_size(size), seed, variation, noise, max_s, clip)
        for sibling in range(count):
            if sibling not in skip:
                yield self._paint(song, own, choice, sibling)

    def repaint(self, record: dict[str, Any], path: str | Path, *, size: Size | None = None) -> Picture:
        """Paint a picture again from its record (`clavilux.picture.read_record`), at another size if one is given.

        Raises
        ------
        PictureError
            If the song is not the one that was painted, or the record lacks something.
        BundleError
            If the bundle is not the one that was painted with.
        """
        try:
            song_name, song_sha256 = str(record["song"]["name"]), str(record["song"]["sha256"])
            bundle_name, bundle_sha256 = str(record["bundle"]["name"]), str(record["bundle"]["sha256"])
            width, height = (int(side) for side in record["size"])
            seed, sibling, variation = int(record["seed"]), int(record["sibling"]), float(record["variation"])
            noise_std, logvar_scale = (float(record["options"][key]) for key in ("noise_std", "logvar_scale"))
            max_s, clip = float(record["options"]["max_s"]), record["options"]["clip"]
            clip = None if clip is None else int(clip)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise PictureError(
                f"the record of the picture is incomplete ({error}); it cannot be painted again"
            ) from error
        if bundle_sha256 != self.bundle.sha256:
            raise BundleError(
                f"the picture was painted with bundle {bundle_name} (sha256 {bundle_sha256[:12]}), and this is "
                f"{self.bundle.name} ({self.bundle.sha256[:12]}); give the one it was painted with"
            )
        song = self.listen(path, max_s=max_s, clip=clip)
        if song.sha256 != song_sha256:
            raise PictureError(
                f"{path}: is not the song of the picture, which was painted from {song_name!r} "
                f"(sha256 {song_sha256[:12]}; this file has {song.sha256[:12]}); give that very file"
            )
        return self.paint(
            song,
            size=(width, height) if size is None else size,
            seed=seed,
            sibling=sibling,
            variation=variation,
            noise_std=noise_std,
            logvar_scale=logvar_scale,
            max_s=max_s,
            clip=clip,
        )

    def has_painted(self, record: dict[str, Any], song_sha256: str, **choices: Any) -> bool:
        """Say whether a record is of the picture that `paint` would paint of a song now.

        Parameters
        ----------
        record : dict
            From `clavilux.picture.read_record`.
        song_sha256 : str
            Hash of the song's bytes.
        choices
            ``size`` (width, height), ``seed``, ``sibling``, ``variation``, ``noise_std``, ``logvar_scale``, ``max_s``
            and ``clip``, all of them.
        """
        song = record.get("song")
        expected = {"clavilux": __version__, **self._choices(**choices)}
        return (
            isinstance(song, dict)
            and song.get("sha256") == song_sha256
            and all(record.get(key) == value for key, value in expected.items())
        )

    def _choices(
        self,
        *,
        size: tuple[int, int],
        seed: int,
        sibling: int,
        variation: float,
        noise_std: float | None,
        logvar_scale: float | None,
        max_s: float,
        clip: int | None,
    ) -> dict[str, Any]:
        """Return what a record holds beside version and song."""
        noise_std, logvar_scale = self._noise(noise_std, logvar_scale)
        return {
            "bundle": {"name": self.bundle.name, "sha256": self.bundle.sha256},
            "size": list(size),
            "seed": seed,
            "sibling": sibling,
            "variation": variation,
            "options": {"noise_std": noise_std, "logvar_scale": logvar_scale, "max_s": max_s, "clip": clip},
        }

    def _noise(self, noise_std: float | None, logvar_scale: float | None) -> tuple[float, float]:
        """What was asked for, or what the bundle paints with."""
        return (
            self.bundle.noise_std if noise_std is None else noise_std,
            self.bundle.logvar_scale if logvar_scale is None else logvar_scale,
        )

    def _own(self, song: Song, seed: int, noise: tuple[float, float]) -> Float32:
        """Return the latent (64,) of a song's own picture."""
        noise_std, logvar_scale = noise
        _check_choice(noise_std=noise_std, logvar_scale=logvar_scale)
        rng = _generator(f"{song.sha256}:{seed}:noise")
        z_image = self.engine.z_image(self.engine.song_code(song, logvar_scale=logvar_scale, rng=rng))
        if noise_std == 0:
            return z_image
        return (z_image + noise_std * rng.standard_normal(z_image.shape)).astype(np.float32)

    def _moved(self, own: Float32, song: Song, *, seed: int, sibling: int, variation: float) -> Float32:
        """Return the latent (64,) of a sibling: one step from the song's own; sibling 0 is the song's own."""
        if sibling == 0:
            return own
        direction = _generator(f"{song.sha256}:{seed}:{sibling}").standard_normal(LATENT_DIM)
        step = variation * self.bundle.variation_scale / np.linalg.norm(direction)
        return (own + step * direction).astype(np.float32)

    def _paint(self, song: Song, own: Float32, choice: _Choice, sibling: int) -> Picture:
        """Paint a song whose own latent is known."""
        seed, variation = choice.seed, choice.variation
        _check_choice(seed=seed, sibling=sibling, variation=variation)
        z_image = self._moved(own, song, seed=seed, sibling=sibling, variation=variation)
        pixels, controls = self._decode(z_image, choice.size, seed + sibling)
        noise_std, logvar_scale = choice.noise
        record = {
            "clavilux": __version__,
            "song": {"name": song.name, "sha256": song.sha256, "silent": song.is_silent},
            **self._choices(
                size=choice.size,
                seed=seed,
                sibling=sibling,
                variation=variation,
                noise_std=noise_std,
                logvar_scale=logvar_scale,
                max_s=choice.max_s,
                clip=choice.clip,
            ),
        }
        return Picture(pixels=pixels, record=record, controls=controls, z_image=z_image, song=song)

    def _decode(self, z_image: Float32, size: tuple[int, int], seed: int) -> tuple[NDArray[np.uint8], Controls | None]:
        """Pixels of a latent, and the controls if a painter painted them."""
        width, height = size
        if self.bundle.decoder == "pixels":
            from clavilux.images import enlarge

            return enlarge(self.engine.pixels(z_image), width, height), None
        from clavilux.painter.paint import paint as paint_controls

        controls = self.engine.controls(z_image)
        return paint_controls(controls, width=width, height=height, seed=seed, threads=self.threads), controls


@dataclass(frozen=True)
class _Choice:
    """What all siblings of a call share; noise is (noise_std, logvar_scale)."""

    size: tuple[int, int]
    seed: int
    variation: float
    noise: tuple[float, float]
    max_s: float
    clip: int | None


def paint(
    song: str | Path | Song,
    *,
    size: Size = DEFAULT_SIZE_PX,
    seed: int = 0,
    sibling: int = 0,
    variation: float = 1.0,
    noise_std: float | None = None,
    logvar_scale: float | None = None,
    bundle: str | Path = "default",
    max_s: float = MAX_AUDIO_S,
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
        sibling=sibling,
        variation=variation,
        noise_std=noise_std,
        logvar_scale=logvar_scale,
        max_s=max_s,
    )


def check_size(size: Size) -> tuple[int, int]:
    """Return width and height in pixels, or raise `PictureError` if a side is out of range."""
    width, height = (size, size) if isinstance(size, int) else size
    low, high = SIZE_RANGE_PX
    if not (low <= width <= high and low <= height <= high):
        raise PictureError(f"size is {width}x{height}; each side lies between {low} and {high} pixels")
    return width, height


def _check_choice(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 <= value < float("inf"):
            raise PictureError(f"{name} is {value}; it is a finite number of 0 or more")


def _generator(key: str) -> np.random.Generator:
    """A generator that depends on the key alone."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key.encode("ascii")).digest(), "<u4"))
