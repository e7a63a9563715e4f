r"""The networks of a bundle at work; the only module that imports ONNX Runtime.

song (windows, descriptors) -> z_audio per window -> song code -> z_image -> **Controls** -> painter
                                                                       \-> pixels, where the decoder gives such

Everything runs on one thread of the processor: the networks are small (a song takes milliseconds), several songs run in
several processes, and one thread is the setting under which the same song gives the same bits.
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
from clavilux.errors import BundleError, PictureError
from clavilux.painter.controls import Controls, choose_controls
from clavilux.system.arguments import show

if TYPE_CHECKING:
    from clavilux.audio.song import Song
    from clavilux.graphs.onnx_file import Graph

Float32 = NDArray[np.float32]

BATCH_WINDOWS = 64  # windows encoded at once: bounds the memory of a song of any length
MAX_OUTPUT = 1e12  # of a number that a network gives: far above all that is meant, far below what float32 holds


class Engine:
    """The four networks of a bundle, each loaded when it is first used.

    Parameters
    ----------
    bundle : Bundle
        From `clavilux.bundle.open_bundle`.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._networks: dict[str, _Network] = {}

    def __getstate__(self) -> dict[str, Bundle]:
        """Leave out the networks, which cannot be copied; a copy loads them when it needs them."""
        return {"bundle": self.bundle}

    def __setstate__(self, state: dict[str, Bundle]) -> None:
        self.__init__(state["bundle"])  # type: ignore[misc]

    def window_codes(
        self, windows: Float32, *, logvar_scale: float = 0.0, rng: np.random.Generator | None = None
    ) -> Float32:
        """Encode each window of a song.

        Parameters
        ----------
        windows : (n, 20, 216) float32
            MFCC as measured; the network normalises them.
        logvar_scale : float
            0 gives the mean of the posterior. Above, each code is drawn from the posterior with this many times its
            variance.
        rng : numpy Generator, optional
            Draws; needed where `logvar_scale` is above 0.

        Returns
        -------
        (n, 64) float32
            z_audio.
        """
        batches = [
            self._run("audio_encoder.onnx", windows[start : start + BATCH_WINDOWS])
            for start in range(0, max(1, len(windows)), BATCH_WINDOWS)
        ]
        mean = np.concatenate([batch["z_audio"] for batch in batches])
        if logvar_scale == 0:
            return mean
        assert rng is not None, "noise needs a generator"
        # Beyond 80 the deviation is no float32; a network of ours stays below 5.
        logvar = np.minimum(np.concatenate([batch["logvar"] for batch in batches]), 80)
        deviation = np.sqrt(logvar_scale * np.exp(logvar))
        return np.asarray(mean + deviation * rng.standard_normal(mean.shape), np.float32)

    def song_code(self, song: Song, *, logvar_scale: float = 0.0, rng: np.random.Generator | None = None) -> Float32:
        """Put a whole song into one vector.

        The windows that can be heard count alike, wherever they lie: the picture is of the song, not of its first
        five seconds, and the silence before or after it changes nothing. A song that is silent throughout has nothing
        to leave out, so all its windows count. A song without descriptors (a feature file) gets the means of the
        training corpus.

        Parameters
        ----------
        song : Song
        logvar_scale, rng
            As in `window_codes`.

        Returns
        -------
        (64 + D,) float32
            Mean of z_audio, then the descriptors that the bundle names, in their own units.

        Raises
        ------
        BundleError
            If the bundle asks for a descriptor that this version does not measure.
        """
        heard = song.windows[song.audible] if song.audible.any() else song.windows
        z_audio = self.window_codes(heard, logvar_scale=logvar_scale, rng=rng).mean(axis=0, dtype=np.float64)
        if not song.descriptors:
            return np.concatenate([z_audio, self.bundle.descriptor_mean]).astype(np.float32)
        unknown = [name for name in self.bundle.descriptors if name not in song.descriptors]
        if unknown:
            raise BundleError(
                f"bundle {self.bundle.name} asks for descriptors that this version of Clavilux does not measure "
                f"({', '.join(unknown)}); update it"
            )
        return np.asarray([*z_audio, *(song.descriptors[name] for name in self.bundle.descriptors)], np.float32)

    def z_image(self, song_code: Float32) -> Float32:
        """Map a song code (64 + D,) into the cloud of real art: z_image (64,) float32."""
        return np.asarray(self._run("mapping.onnx", song_code[None])["z_image"][0])

    def encode_picture(self, rgb: NDArray[np.uint8]) -> Float32:
        """Encode a picture of any size: z_image (64,) float32, the mean of `picture_posterior`, with its parameters."""
        return self.picture_posterior(rgb)[0]

    def picture_posterior(self, rgb: NDArray[np.uint8]) -> tuple[Float32, Float32]:
        """What the ImageVAE knows of a picture of any size.

        Parameters
        ----------
        rgb : (H, W, 3) uint8
            sRGB. The network sees its middle square at 64 x 64, shrunk as the pictures of the training were.

        Returns
        -------
        mean, logvar : (64,) float32
            Of the posterior over z_image.

        Raises
        ------
        PictureError
            If the array is no such picture.
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

    def pixels(self, z_image: Float32) -> Float32:
        """Decode a latent (64,) with a bundle whose decoder gives pixels: (S, S, 3) float32 sRGB in [0, 1]."""
        clipped: Float32 = np.clip(self._run("pixels.onnx", z_image[None])["picture"][0].transpose(1, 2, 0), 0, 1)
        return clipped

    def controls(self, z_image: Float32) -> Controls:
        """Read the controls of the painter off a latent.

        Palette and kind are the likeliest ones: a choice, never a mixture. Frequency and chaos are clipped to the
        ranges of `clavilux.constants`.

        Parameters
        ----------
        z_image : (64,) float32

        Returns
        -------
        Controls
        """
        outputs = {name: value[0] for name, value in self._run("controls.onnx", z_image[None]).items()}
        return choose_controls(
            outputs,
            palettes=self.bundle.palettes,
            kinds=self.bundle.kinds,
            corrections=self.bundle.finish_corrections,
        )

    def check(self, *, painting_only: bool = False) -> None:
        """Load networks and palettes now, and compare their inputs and outputs with the contract of a bundle.

        Parameters
        ----------
        painting_only : bool
            Leave out the picture encoder, which painting a song does not need.

        Raises
        ------
        BundleError
            If a file is missing or damaged, cannot be loaded, or has another input or output.
        """
        for file in self.bundle.networks:
            if not (painting_only and file == ENCODERS[2]):
                self._network(file)
        if self.bundle.decoder == "painter":
            _ = self.bundle.palettes

    @contextmanager
    def loaded_meanwhile(self) -> Iterator[None]:
        """Load what painting needs in a thread, while the caller does something else; at the end wait for it.

        Raises
        ------
        BundleError
            As `check`, after what the caller did, and only if that raised nothing itself.
        """
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(self.check, painting_only=True)
            yield
            loading.result()

    def _run(self, file: str, batch: Float32) -> dict[str, Float32]:
        """Run one network and return its outputs by name."""
        batch = np.ascontiguousarray(batch, np.float32)
        wanted = self._sides(file)
        if batch.shape[1:] != wanted or len(batch) == 0:
            raise BundleError(f"{self._where(file)} was given an input of shape {batch.shape}; it takes (B, {wanted})")
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
        """Load a network once, from the checked bytes of the bundle."""
        if file not in self._networks:
            content = self.bundle.read(file)
            letters = {"P": len(self.bundle.palettes), "K": len(self.bundle.kinds)} if file == "controls.onnx" else {}
            with _explained(self._where(file), "load"):
                network = _Network(content, file, self._sides(file), letters, is_trusted=self.bundle.is_shipped)
            self._networks[file] = network
        return self._networks[file]


class _Network:
    """A loaded network, whose size was checked before.

    Parameters
    ----------
    content : bytes
        ONNX file.
    file : str
        Its name, a key of `NETWORKS`.
    sides : tuple of int
        Shape of one input.
    letters : dict
        Numbers of palettes and kinds.
    is_trusted : bool
        Leave out the check: a shipped network is part of the package, and a test checks it.
    """

    def __init__(
        self, content: bytes, file: str, sides: tuple[int, ...], letters: dict[str, int], *, is_trusted: bool
    ) -> None:
        import onnxruntime  # 0.03 s; only those who paint pay it

        self._contract, self._sides, self._letters = NETWORKS[file], sides, letters
        self._checked: set[int] = set()
        self._graph: Graph | None = None
        if not is_trusted:
            from clavilux.graphs.onnx_file import read_graph

            self._graph = read_graph(content)
            self.check_size(1)  # before ONNX Runtime calculates what does not depend on the input
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # of errors we hear by exceptions; warnings concern the optimiser of graphs
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def check_size(self, n: int) -> None:
        """Compare the network with the contract of a bundle, and with the limits, for ``n`` inputs at once.

        Raises
        ------
        GraphError
            If it takes or gives something else, or becomes too large.
        """
        if self._graph is None or n in self._checked:
            return
        from clavilux.graphs.bounds import check_network

        check_network(self._graph, self._contract, n, self._sides, self._letters)
        self._checked.add(n)


@contextmanager
def _explained(where: str, action: str) -> Iterator[None]:
    """Turn whatever ONNX Runtime or the check of a network raises into a `BundleError` of one line."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{where} {error}; export the bundle again") from error
    except Exception as error:  # ONNX Runtime has fourteen types of errors without a common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"{where}: ONNX Runtime cannot {action} it ({reason[:300]}); export the bundle again"
        ) from error
