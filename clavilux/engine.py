"""Run the networks of a bundle; this is the only module that imports ONNX Runtime.

song -> `Engine.encode_song` -> song code -> `Engine.map_song` -> latent -> `Engine.decode_controls` -> controls

ONNX Runtime uses one thread, so that the same song always gives the same bits. One thread is fast enough: the networks
take milliseconds per song, and several songs are processed in parallel in several processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.mfcc import LIBROSA, FeatureSettings
from clavilux.audio.song import Song
from clavilux.bundle import Bundle
from clavilux.card import DECODERS, ENCODERS, NETWORKS
from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.painter.controls import Controls, choose_controls
from clavilux.system.arguments import show

if TYPE_CHECKING:
    from clavilux.graphs.onnx_file import Graph

Float32 = NDArray[np.float32]

BATCH_WINDOWS = 64  # windows per batch, which limits the memory for long songs
MAX_OUTPUT = 1e12  # largest allowed absolute output: far above valid values, far below the largest float32


class Engine:
    """The networks of a bundle, which encode songs and pictures to latents, and decode latents.

    The latent of a song or of a window is called z_audio, that of a picture z_image; each has 64 numbers. A network is
    loaded when it is first used. Methods raise `BundleError` if a network cannot be loaded or run, or if its output is
    not finite.

    Parameters
    ----------
    bundle : Bundle
        From `clavilux.bundle.open_bundle`.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._networks: dict[str, _Network] = {}

    def __reduce__(self) -> tuple[type[Engine], tuple[Bundle]]:
        """Pickle the engine without its networks, which cannot be pickled; an unpickled engine loads them again."""
        return Engine, (self.bundle,)

    def encode_windows(
        self, windows: Float32, *, logvar_scale: float = 0.0, rng: np.random.Generator | None = None
    ) -> Float32:
        """Return z_audio (n, 64) float32: one latent for each of the n windows of a song.

        Parameters
        ----------
        windows : (n, 20, 216) float32
            MFCC that are not normalised; the network normalises them. They have the settings of the bundle
            (`Bundle.feature_settings`); those that librosa computes by default give another latent, without an error.
        logvar_scale : float
            With 0, each latent is the posterior mean. Otherwise it is drawn from a normal distribution whose mean is
            the posterior mean, and whose variance is the posterior variance times this factor.
        rng : numpy Generator, optional
            Random generator; required if ``logvar_scale`` is not 0.
        """
        batches = [
            self._network("audio_encoder.onnx").run(windows[start : start + BATCH_WINDOWS])
            for start in range(0, max(1, len(windows)), BATCH_WINDOWS)
        ]
        mean = np.concatenate([batch["z_audio"] for batch in batches])
        if logvar_scale == 0:
            return mean
        assert rng is not None, "noise needs a generator"
        # exp(80) still fits in float32; the outputs of trained networks are below 5.
        logvar = np.minimum(np.concatenate([batch["logvar"] for batch in batches]), 80)
        deviation = np.sqrt(logvar_scale * np.exp(logvar))
        return np.asarray(mean + deviation * rng.standard_normal(mean.shape), np.float32)

    def encode_song(self, song: Song, *, logvar_scale: float = 0.0, rng: np.random.Generator | None = None) -> Float32:
        """Return the song code (64 + D,) float32: the mean z_audio, then the D descriptors that the bundle uses.

        The mean is over audible windows, so that silence before or after the song changes nothing. If no window is
        audible, the mean is over all windows. Descriptors have the units of `clavilux.audio.descriptors.DESCRIPTORS`.
        If the song has no descriptors, because it was read from a feature file, the means of the descriptors over the
        training songs are used. `encode_windows` describes ``logvar_scale`` and ``rng``.

        Raises
        ------
        BundleError
            If the bundle needs a descriptor that this version of Clavilux does not measure.
        AudioError
            If ``song`` is not a `Song`, or its features were computed with other settings than those of the bundle.
        """
        if not isinstance(song, Song):
            raise AudioError(f"song is {show(song)}; give the Song that Clavilux().read_song returns for it")
        check_features(song.path, song.settings, self.bundle)
        z_windows = self.encode_windows(song.audible_windows, logvar_scale=logvar_scale, rng=rng)
        z_audio = z_windows.mean(axis=0, dtype=np.float64)
        if not song.descriptors:
            return np.concatenate([z_audio, self.bundle.descriptor_mean]).astype(np.float32)
        unknown = [name for name in self.bundle.descriptors if name not in song.descriptors]
        if unknown:
            raise BundleError(
                f"bundle {self.bundle.name} asks for descriptors that this version of Clavilux does not measure "
                f"({', '.join(unknown)}); update it"
            )
        return np.asarray([*z_audio, *(song.descriptors[name] for name in self.bundle.descriptors)], np.float32)

    def map_song(self, song_code: Float32) -> Float32:
        """Return z_image (64,) float32 for a song code (64 + D,) from `encode_song`.

        Raises
        ------
        AudioError
            If ``song_code`` is not an array.
        BundleError
            If it has another shape, or values that are not finite.
        """
        if not isinstance(song_code, np.ndarray):
            raise AudioError(f"song_code is {show(song_code)}; it is the array that encode_song(song) returns")
        return np.asarray(self._network("mapping.onnx").run(song_code[None])["z_image"][0])

    def encode_picture(self, rgb: NDArray[np.uint8]) -> tuple[Float32, Float32]:
        """Return the mean and the log-variance of the posterior of z_image for a picture, (64,) float32 each.

        Parameters
        ----------
        rgb : (H, W, 3) uint8
            sRGB. Its central square is resized to 64 x 64 pixels, as in training.

        Raises
        ------
        PictureError
            If the array has another shape or type.
        """
        from clavilux.images import middle_square, resize

        if not isinstance(rgb, np.ndarray):
            raise PictureError(f"a picture to encode is {show(rgb)}; it is an array (H, W, 3) of uint8")
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
            raise PictureError(f"a picture to encode has shape {rgb.shape} and type {rgb.dtype}; it is (H, W, 3) uint8")
        small = resize(middle_square(rgb), ENCODER_SIDE_PX).astype(np.float32)
        batch = small.transpose(2, 0, 1)[None] / np.float32(255)
        outputs = self._network("picture_encoder.onnx").run(batch)
        return outputs["z_image"][0], outputs["logvar"][0]

    def decode_pixels(self, z_image: Float32) -> Float32:
        """Decode a latent (64,) to a picture (S, S, 3) float32, sRGB in [0, 1]; only with the decoder "pixels"."""
        clipped: Float32 = np.clip(
            self._network("pixels.onnx").run(z_image[None])["picture"][0].transpose(1, 2, 0), 0, 1
        )
        return clipped

    def decode_controls(self, z_image: Float32) -> Controls:
        """Decode a latent (64,) to the controls of the painter; only with the decoder "painter"."""
        outputs = {name: value[0] for name, value in self._network("controls.onnx").run(z_image[None]).items()}
        return choose_controls(
            outputs,
            palettes=self.bundle.palettes,
            kinds=self.bundle.kinds,
            surfaces=self.bundle.surfaces,
            corrections=self.bundle.finish_corrections,
        )

    def check(self, *, painting_only: bool = False) -> None:
        """Load all networks and tables of the bundle, so that a faulty bundle is reported before anything is painted.

        Parameters
        ----------
        painting_only : bool
            Skip the picture encoder and the table of training songs and pictures, which painting a song does not need.

        Raises
        ------
        BundleError
            If a file is missing or damaged, or a network cannot be loaded, is too large, or has other inputs or outputs
            than `clavilux.card.NETWORKS` lists.
        """
        for file in self.bundle.networks:
            if not (painting_only and file == ENCODERS[2]):
                self._network(file)
        if self.bundle.decoder == "painter":
            _ = self.bundle.palettes
        if not painting_only:
            _ = self.bundle.neighbours

    def _network(self, file: str) -> _Network:
        if file not in self._networks:
            self._networks[file] = _Network(self.bundle, file)
        return self._networks[file]


class _Network:
    """A network of a bundle, loaded by ONNX Runtime.

    A network of a shipped bundle is trusted. Any other network is checked first, because loading or running it might
    need too much memory or time.
    """

    def __init__(self, bundle: Bundle, file: str) -> None:
        import onnxruntime  # imported here, because the import takes 0.03 s and not every command paints

        n_song = LATENT_DIM + len(bundle.descriptors)
        self._name, self._contract = f"bundle {bundle.folder}: {file}", NETWORKS[file]
        self._sides = tuple(n_song if isinstance(side, str) else side for side in self._contract.shape)
        self._letters: dict[str, int] = {}  # values of the letters in the shapes of the outputs
        self._checked: set[int] = set()  # batch sizes for which the network was checked
        self._graph: Graph | None = None
        content = bundle.read(file)
        if file == DECODERS["painter"]:
            self._letters = {"P": len(bundle.palettes), "K": len(bundle.kinds), "F": len(bundle.surfaces)}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = (
            4  # only fatal errors: others raise exceptions, and warnings are about optimisation
        )
        with _explained(self._name, "load"):
            if not bundle.is_shipped:
                from clavilux.graphs.onnx_file import read_graph

                self._graph = read_graph(content)
                self._check(1)  # before ONNX Runtime folds constants
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(self, batch: Float32) -> dict[str, Float32]:
        """Return the outputs by name for a batch of inputs."""
        if batch.shape[1:] != self._sides or len(batch) == 0:
            needed = ", ".join(str(side) for side in self._sides)
            raise BundleError(f"{self._name} got an input of shape {batch.shape}; it needs (B, {needed})")
        if not np.isfinite(batch).all():
            raise BundleError(f"{self._name} got an input with values that are not finite")
        names = list(self._contract.gives)
        with _explained(self._name, "run"):
            self._check(len(batch))
            values = self.session.run(names, {self._contract.takes: np.ascontiguousarray(batch, np.float32)})
        outputs = {name: np.asarray(value, np.float32) for name, value in zip(names, values, strict=True)}
        for name, value in outputs.items():
            if not np.isfinite(value).all():
                raise BundleError(f"{self._name} gives a {name} that is not finite for this input")
            if np.abs(value).max() > MAX_OUTPUT:
                raise BundleError(f"{self._name} gives a {name} beyond {MAX_OUTPUT:g} for this input")
        return outputs

    def _check(self, n: int) -> None:
        """Check inputs, outputs, memory and time of an untrusted network for batches of ``n``, once for each ``n``."""
        if self._graph is not None and n not in self._checked:
            from clavilux.graphs.bounds import check_network

            check_network(self._graph, self._contract, n, self._sides, self._letters)
            self._checked.add(n)


@contextmanager
def _explained(where: str, action: str) -> Iterator[None]:
    """Turn any error of ONNX Runtime or `check_network` in the ``with`` block into a one-line `BundleError`."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{where} {error}; export the bundle again") from error
    except Exception as error:  # ONNX Runtime has fourteen error types without a common base class
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"{where}: ONNX Runtime cannot {action} it ({reason[:300]}); export the bundle again"
        ) from error


def check_features(where: object, settings: FeatureSettings, bundle: Bundle) -> None:
    """Raise an `AudioError` about the file or folder ``where`` if features with these settings do not fit a bundle."""
    if settings == bundle.feature_settings:
        return
    classic = ", or paint with --bundle classic (nearly one picture for all songs)" if settings == LIBROSA else ""
    raise AudioError(
        f"{where}: its features do not fit bundle {bundle.name}; they are of Clavilux 0.1, of another bundle, or "
        f"saved again by NumPy, which loses their settings ({settings}; bundle {bundle.name} needs "
        f"{bundle.feature_settings}); give the sound, or measure it again with "
        f"`clavilux features MUSIC -o DIR --bundle {bundle.name}`{classic}"
    )
