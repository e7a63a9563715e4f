"""Inference with the networks of a bundle; the only module that imports ONNX Runtime.

windows -> `encode_windows` -> z_audio; with descriptors: `encode_song` -> song code -> `map_song` -> z_image ->
`decode_controls`, or `decode_pixels` where the bundle has no painter

ONNX Runtime uses one thread: the networks are small (milliseconds per song), several songs run in several processes,
and only one thread guarantees identical bits for the same song.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clavilux.bundle import Bundle
from clavilux.card import ENCODERS, NETWORKS
from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM
from clavilux.errors import AudioError, BundleError, PictureError
from clavilux.painter.controls import Controls, choose_controls
from clavilux.system.arguments import show

if TYPE_CHECKING:
    from clavilux.audio.song import Song
    from clavilux.graphs.onnx_file import Graph

Float32 = NDArray[np.float32]

BATCH_WINDOWS = 64  # windows per batch: bounds the memory for a song of any length
MAX_OUTPUT = 1e12  # limit of the absolute outputs: far above valid values, far below the float32 range


class Engine:
    """The networks of a bundle: inference on songs, latents and pictures.

    Each network is loaded when it is first used. Methods raise `BundleError` if a network cannot be loaded or run, or
    if its output is not finite.

    Parameters
    ----------
    bundle : Bundle
        From `clavilux.bundle.open_bundle`.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._networks: dict[str, _Network] = {}

    def __getstate__(self) -> dict[str, Bundle]:
        """Return the state without the networks, which cannot be pickled; a copy loads them again."""
        return {"bundle": self.bundle}

    def __setstate__(self, state: dict[str, Bundle]) -> None:
        self.__init__(state["bundle"])  # type: ignore[misc]

    def encode_windows(
        self, windows: Float32, *, logvar_scale: float = 0.0, rng: np.random.Generator | None = None
    ) -> Float32:
        """Return z_audio (n, 64) float32, one latent for each of the n windows of a song.

        Parameters
        ----------
        windows : (n, 20, 216) float32
            MFCC, not normalised; the network normalises them.
        logvar_scale : float
            With 0, the result is the posterior mean. Otherwise each latent is drawn from a normal distribution with the
            posterior mean and this factor times the posterior variance.
        rng : numpy Generator, optional
            Random generator; required if ``logvar_scale`` is not 0.
        """
        batches = [
            self._run("audio_encoder.onnx", windows[start : start + BATCH_WINDOWS])
            for start in range(0, max(1, len(windows)), BATCH_WINDOWS)
        ]
        mean = np.concatenate([batch["z_audio"] for batch in batches])
        if logvar_scale == 0:
            return mean
        assert rng is not None, "noise needs a generator"
        # exp(80) still fits in float32; trained networks stay below 5.
        logvar = np.minimum(np.concatenate([batch["logvar"] for batch in batches]), 80)
        deviation = np.sqrt(logvar_scale * np.exp(logvar))
        return np.asarray(mean + deviation * rng.standard_normal(mean.shape), np.float32)

    def encode_song(self, song: Song, *, logvar_scale: float = 0.0, rng: np.random.Generator | None = None) -> Float32:
        """Return the song code (64 + D,) float32: mean of z_audio, then the D descriptors of the bundle in their units.

        The mean is over audible windows, so silence before or after the song changes nothing. If no window is audible,
        the mean is over all windows. If the song has no descriptors (a feature file), their means over the training
        songs are used.

        Parameters
        ----------
        song : Song
        logvar_scale, rng
            As in `encode_windows`.

        Raises
        ------
        BundleError
            If the bundle needs a descriptor that this version does not measure.
        AudioError
            If the features of the song were computed with other settings than those of the bundle.
        """
        if song.settings != self.bundle.feature_settings:
            raise AudioError(
                f"{song.path}: has features of {song.settings}, and bundle {self.bundle.name} needs "
                f"{self.bundle.feature_settings}; give the sound file, or make the features again with `clavilux "
                f"features --bundle {self.bundle.name}`"
            )
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
        """Return z_image (64,) float32 of a song code (64 + D,)."""
        return np.asarray(self._run("mapping.onnx", song_code[None])["z_image"][0])

    def encode_picture(self, rgb: NDArray[np.uint8]) -> tuple[Float32, Float32]:
        """Return mean and log-variance, (64,) float32 each, of the posterior of z_image given a picture.

        Parameters
        ----------
        rgb : (H, W, 3) uint8
            sRGB. The central square is resized to 64 x 64, as for training.

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
        outputs = self._run("picture_encoder.onnx", batch)
        return outputs["z_image"][0], outputs["logvar"][0]

    def decode_pixels(self, z_image: Float32) -> Float32:
        """Return the picture (S, S, 3) float32, sRGB in [0, 1], of a latent (64,); needs the decoder "pixels"."""
        clipped: Float32 = np.clip(self._run("pixels.onnx", z_image[None])["picture"][0].transpose(1, 2, 0), 0, 1)
        return clipped

    def decode_controls(self, z_image: Float32) -> Controls:
        """Return the controls of the painter for a latent (64,); needs a bundle with the decoder "painter"."""
        outputs = {name: value[0] for name, value in self._run("controls.onnx", z_image[None]).items()}
        return choose_controls(
            outputs,
            palettes=self.bundle.palettes,
            kinds=self.bundle.kinds,
            surfaces=self.bundle.surfaces,
            corrections=self.bundle.finish_corrections,
        )

    def check(self, *, painting_only: bool = False) -> None:
        """Load networks and palettes now, and check the networks, so that painting cannot fail later.

        Inputs and outputs of networks that are not shipped are compared with `clavilux.card.NETWORKS`.

        Parameters
        ----------
        painting_only : bool
            Skip the picture encoder, which painting a song does not need.

        Raises
        ------
        BundleError
            If a file is missing or damaged, cannot be loaded, or has other inputs or outputs.
        """
        for file in self.bundle.networks:
            if not (painting_only and file == ENCODERS[2]):
                self._network(file)
        if self.bundle.decoder == "painter":
            _ = self.bundle.palettes

    @contextmanager
    def loaded_meanwhile(self) -> Iterator[None]:
        """Load the networks for painting in a thread during the ``with`` block; its end waits for the thread.

        Raises
        ------
        BundleError
            At the end of the block, for the reasons of `check`, unless the block raised an error itself.
        """
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(self.check, painting_only=True)
            yield
            loading.result()

    def _run(self, file: str, batch: Float32) -> dict[str, Float32]:
        """Return the outputs of a network by name, checked to be finite."""
        batch = np.ascontiguousarray(batch, np.float32)
        wanted = self._sides(file)
        if batch.shape[1:] != wanted or len(batch) == 0:
            raise BundleError(f"{self._where(file)} got an input of shape {batch.shape}; it needs (B, {wanted})")
        network = self._network(file)
        with _explained(self._where(file), "run"):
            network.check_size(len(batch))
            values = network.session.run(list(NETWORKS[file].gives), {NETWORKS[file].takes: batch})
        outputs = {name: np.asarray(v, np.float32) for name, v in zip(NETWORKS[file].gives, values, strict=True)}
        for name, value in outputs.items():
            if not np.isfinite(value).all():
                raise BundleError(f"{self._where(file)} gives a {name} that is not finite for this input")
            if np.abs(value).max() > MAX_OUTPUT:
                raise BundleError(f"{self._where(file)} gives a {name} beyond {MAX_OUTPUT:g} for this input")
        return outputs

    def _where(self, file: str) -> str:
        return f"bundle {self.bundle.folder}: {file}"

    def _sides(self, file: str) -> tuple[int, ...]:
        """Return the shape of one input of a network."""
        n_song = LATENT_DIM + len(self.bundle.descriptors)
        return tuple(n_song if isinstance(side, str) else side for side in NETWORKS[file].shape)

    def _network(self, file: str) -> _Network:
        """Return a network, loaded on first use from the checked bytes of the bundle."""
        if file not in self._networks:
            content = self.bundle.read(file)
            letters = {}
            if file == "controls.onnx":
                bundle = self.bundle
                letters = {"P": len(bundle.palettes), "K": len(bundle.kinds), "F": len(bundle.surfaces)}
            with _explained(self._where(file), "load"):
                network = _Network(content, file, self._sides(file), letters, is_trusted=self.bundle.is_shipped)
            self._networks[file] = network
        return self._networks[file]


class _Network:
    """A network loaded by ONNX Runtime, after a check of its size.

    Parameters
    ----------
    content : bytes
        ONNX file.
    file : str
        Name of the file, a key of `NETWORKS`.
    sides : tuple of int
        Shape of one input.
    letters : dict
        Values of the letters P, K and F in `NETWORKS`.
    is_trusted : bool
        Skip the check: shipped networks are part of the package, and a test checks them.
    """

    def __init__(
        self, content: bytes, file: str, sides: tuple[int, ...], letters: dict[str, int], *, is_trusted: bool
    ) -> None:
        import onnxruntime  # 0.03 s, only if something is painted

        self._contract, self._sides, self._letters = NETWORKS[file], sides, letters
        self._checked: set[int] = set()
        self._graph: Graph | None = None
        if not is_trusted:
            from clavilux.graphs.onnx_file import read_graph

            self._graph = read_graph(content)
            self.check_size(1)  # before ONNX Runtime folds constants
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # fatal only: errors raise exceptions, warnings concern the graph optimiser
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def check_size(self, n: int) -> None:
        """Check inputs, outputs and size of an untrusted network for a batch of ``n``; once per ``n``.

        Raises
        ------
        GraphError
            If inputs or outputs differ from `NETWORKS`, or the network needs too much memory or time.
        """
        if self._graph is None or n in self._checked:
            return
        from clavilux.graphs.bounds import check_network

        check_network(self._graph, self._contract, n, self._sides, self._letters)
        self._checked.add(n)


@contextmanager
def _explained(where: str, action: str) -> Iterator[None]:
    """Turn any error of ONNX Runtime or of the check of a network into a `BundleError` of one line."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{where} {error}; export the bundle again") from error
    except Exception as error:  # ONNX Runtime has fourteen error types without a common base class
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"{where}: ONNX Runtime cannot {action} it ({reason[:300]}); export the bundle again"
        ) from error
