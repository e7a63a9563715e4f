"""Write trained networks as a bundle: ONNX graphs, weights for further training, and `bundle.json`.

The outputs of each graph are compared with those of its PyTorch network. If they differ too much, no bundle is written.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from clavilux.card import CARD, ENCODERS, NEIGHBOURS, NETWORKS, SCHEMA, read_card
from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM, MFCC_ROWS, SURFACE_NAMES, WINDOW_FRAMES
from clavilux.engine import BATCH_WINDOWS
from clavilux.errors import BundleError, TrainingError
from clavilux.graphs.bounds import check_network
from clavilux.graphs.onnx_file import read_graph
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.painter.controls import FINISH_CORRECTIONS
from clavilux.painter.marks import KINDS
from clavilux.training.writing import writing_to
from clavilux.version import __version__

_PARITY_TOLERANCE = 1e-4  # largest allowed "difference" of `_compare_graph`
_PARITY_BATCH = 3  # number of examples in the comparison


class _ControlsGraph(nn.Module):
    """The decoder of the ImageVAE as it is exported: latents -> outputs of ``controls.onnx``."""

    def __init__(self, network: ImageVAE) -> None:
        super().__init__()
        self.network = network

    def forward(self, z_image: Tensor) -> tuple[Tensor, ...]:
        """Return plan, palette, kind, surface, frequency, angle, chaos and finish, in this order, for latents (B, 64).

        Shapes are those of `clavilux.card.NETWORKS`. The plan has log-probabilities of palette slots; the angle is in
        turns.
        """
        raw = self.network.decode(z_image)
        # ONNX has no atan2. This half-angle formula is exact except for the direction (-1, 0).
        cosine, sine = raw.direction[:, 0], raw.direction[:, 1]
        length = torch.sqrt(cosine * cosine + sine * sine + 1e-12)
        twice = 2.0 * torch.atan(sine / (length + cosine + 1e-6))
        angle = twice / (4.0 * math.pi)
        angle = angle - torch.floor(angle * 2.0) / 2.0
        plan = functional.log_softmax(raw.plan, dim=1)
        return plan, raw.palette, raw.kind, raw.surface, raw.frequency, angle, raw.chaos, raw.finish


class _PixelsGraph(nn.Module):
    """The decoder of the ConvImageVAE as it is exported: latents -> the output of ``pixels.onnx``."""

    def __init__(self, network: ConvImageVAE) -> None:
        super().__init__()
        self.network = network

    def forward(self, z_image: Tensor) -> Tensor:
        """Return pictures (B, 3, 128, 128), sRGB in [0, 1], for latents (B, 64)."""
        return self.network.decode(z_image)


@dataclass(frozen=True)
class Trained:
    """The trained networks of a bundle, and its codebook of palettes."""

    audio_vae: AudioVAE
    image_vae: ImageVAE | ConvImageVAE
    mapping: MappingNetwork | PerceptronMapping
    mark_classifier: MarkClassifier | None  # None with the decoder "pixels"
    palettes: NDArray[np.float32] | None  # (P, 8, 3), sRGB in [0, 1]; None with the decoder "pixels"


def check_output(folder: Path) -> None:
    """Raise an error unless a folder is empty or does not exist, so that a bundle can be written there.

    Raises
    ------
    TrainingError
        If ``folder`` is a file, is not empty or cannot be read.
    """
    if not os.path.lexists(folder):
        return
    try:
        if any(folder.iterdir()):
            raise TrainingError(f"{folder}: is not empty; give another -o, or remove that folder first")
    except OSError as error:
        raise TrainingError(f"{folder}: cannot hold a bundle ({error.strerror}); give another -o") from error


def export_bundle(
    trained: Trained,
    folder: Path,
    *,
    descriptors: Sequence[str],
    variation_scale: float,
    config: Mapping[str, Any],
    normalisation: Mapping[str, Any],
    corpus: Mapping[str, Any],
    measures: Mapping[str, Any],
    command: str,
    neighbours: bytes | None = None,
) -> dict[str, float]:
    """Write a bundle atomically; return name of a graph -> its difference from its network (`_compare_graph`).

    ``neighbours`` is the content of ``neighbours.npz``. The other keyword parameters are fields of ``bundle.json``,
    which `clavilux.card.FIELDS` describes.

    Raises
    ------
    TrainingError
        If a difference is above 1e-4, Clavilux itself could not open the bundle, the folder cannot be written to, or
        `check_output` refuses it.
    """
    check_output(folder)
    with _new_folder(folder) as work:
        parity = _write_graphs(trained, work, len(descriptors))
        differences = {stage: values["difference"] for stage, values in parity.items()}
        if trained.palettes is not None:
            np.save(work / "palettes.npy", trained.palettes.astype(np.float32))
        for file, network in (
            ("audio_vae", trained.audio_vae),
            ("image_vae", trained.image_vae),
            ("mapping_network", trained.mapping),
            ("mark_classifier", trained.mark_classifier),
        ):
            if network is not None:
                (work / f"{file}.safetensors").write_bytes(save(_half_precision(network)))
        if neighbours is not None:
            (work / NEIGHBOURS).write_bytes(neighbours)
        (work / "parity.json").write_text(json.dumps(parity, indent=1) + "\n", "utf-8")
        has_painter = isinstance(trained.image_vae, ImageVAE)
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(work.iterdir())}
        card = {
            "schema": SCHEMA,
            "name": "".join(letter if letter.isprintable() else "_" for letter in folder.name)[:200] or "bundle",
            "clavilux": __version__,
            "created": datetime.now(UTC).date().isoformat(),
            "command": command,
            "config": config,
            "decoder": "painter" if has_painter else "pixels",
            "kinds": list(KINDS) if has_painter else [],
            "surfaces": list(SURFACE_NAMES) if has_painter else [],
            "descriptors": list(descriptors),
            "variation": {"scale": variation_scale},
            "painting": config["painting"],
            **({"finish_corrections": FINISH_CORRECTIONS} if has_painter else {}),
            "normalisation": normalisation,
            "corpus": corpus,
            "measures": measures,
            "parity": differences,
            "files": files,
        }
        content = (json.dumps(card, indent=1) + "\n").encode()
        try:
            read_card(content, f"the bundle {folder.name}")
        except BundleError as error:
            raise TrainingError(f"{error}; the bundle was not written") from error
        (work / CARD).write_bytes(content)
    return differences


def _half_precision(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights in half precision, which is enough for further training and saves 6 MB.

    Buffers, such as the constants of normalisations, keep their precision.
    """
    parameters = {name for name, _ in network.named_parameters()}
    return {
        name: (value.half() if name in parameters else value).contiguous()
        for name, value in network.state_dict().items()
    }


def _write_graphs(trained: Trained, work: Path, n_descriptors: int) -> dict[str, dict[str, float]]:
    """Write the ONNX files of all networks, and return name of a graph -> result of `_compare_graph`."""
    generator = torch.Generator().manual_seed(0)
    mean, deviation = trained.audio_vae.row_mean, trained.audio_vae.row_deviation
    noise = torch.randn(_PARITY_BATCH, MFCC_ROWS, WINDOW_FRAMES, generator=generator)
    latents = torch.randn(_PARITY_BATCH, LATENT_DIM, generator=generator)
    songs = torch.randn(_PARITY_BATCH, LATENT_DIM + n_descriptors, generator=generator)
    if isinstance(trained.mapping, MappingNetwork):
        songs = trained.mapping.song_mean + trained.mapping.song_deviation * songs
    pictures = torch.rand(_PARITY_BATCH, 3, ENCODER_SIDE_PX, ENCODER_SIDE_PX, generator=generator)
    stages: list[tuple[str, nn.Module, str, Tensor, list[str]]] = [
        ("audio_encoder", trained.audio_vae, "features", mean + deviation * noise, ["z_audio", "logvar"]),
        ("mapping", trained.mapping, "song", songs, ["z_image"]),
        ("picture_encoder", trained.image_vae, "picture", pictures, ["z_image", "logvar"]),
    ]
    if not isinstance(trained.image_vae, ImageVAE):
        stages.append(("pixels", _PixelsGraph(trained.image_vae), "z_image", latents, ["picture"]))
    else:
        outputs = ["plan", "palette", "kind", "surface", "frequency", "angle", "chaos", "finish"]
        stages.append(("controls", _ControlsGraph(trained.image_vae), "z_image", latents, outputs))
    parity = {}
    for stage, network, input_name, example, outputs in stages:
        path = work / f"{stage}.onnx"
        _export_graph(network.eval(), example, path, input_name, outputs)
        _check_graph(path, example)
        parity[stage] = _compare_graph(network, example, path, outputs)
        if parity[stage]["difference"] > _PARITY_TOLERANCE:
            raise TrainingError(
                f"the graph {path.name} differs from its network by {parity[stage]['difference']:.2g}, more than "
                f"{_PARITY_TOLERANCE:g}; the bundle was not written"
            )
    return parity


def _export_graph(network: nn.Module, example: Tensor, path: Path, input_name: str, outputs: list[str]) -> None:
    """Write a network to an ONNX file with a variable batch size; ``example`` is an input with a batch dimension."""
    # The exporter warns about four operators of torchvision, which no network here uses.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own future versions
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[input_name],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=18,
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns a program"
    model = program.model_proto
    # Paths and stack frames of this machine do not belong in a shipped file.
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _check_graph(path: Path, example: Tensor) -> None:
    """Raise a `TrainingError` if Clavilux would refuse to open the graph in this file."""
    try:
        graph = read_graph(path.read_bytes())
        for n in {1, BATCH_WINDOWS if path.name == ENCODERS[0] else 1}:
            check_network(graph, NETWORKS[path.name], n, tuple(example.shape[1:]), {})
    except BundleError as error:
        raise TrainingError(
            f"the graph {path.name} {error}, so no reader would accept it; use the versions of constraints.txt, or a "
            "smaller network; the bundle was not written"
        ) from error


def _compare_graph(network: nn.Module, example: Tensor, path: Path, outputs: list[str]) -> dict[str, float]:
    """Return how much the outputs of an ONNX file differ from the outputs of its network for an example input.

    The result has two keys. "difference" is the largest absolute difference over all outputs; if the largest absolute
    value of an output is above 1, the differences of this output are first divided by that value. "largest_value" is
    the largest absolute value of all outputs, but at least 1.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs_of_graph = session.run(outputs, {session.get_inputs()[0].name: example.numpy()})
    with torch.no_grad():
        expected = network(example)
    expected = expected if isinstance(expected, tuple) else (expected,)
    worst, largest = 0.0, 0.0
    for a, b in zip(expected, outputs_of_graph, strict=True):
        reach = max(1.0, float(a.abs().max()))
        worst = max(worst, float(np.abs(a.numpy() - b).max()) / reach)
        largest = max(largest, reach)
    return {"difference": worst, "largest_value": largest}


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Create a temporary folder, and rename it to `folder` at the end of the block; delete it if the block raises."""
    folder = Path(os.path.realpath(folder))  # a symbolic link to the folder is kept
    with writing_to(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield work
            work.chmod(0o755)
            if folder.exists():
                folder.rmdir()  # raises if it is not empty any more
            os.replace(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
