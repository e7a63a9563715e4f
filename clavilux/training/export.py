"""From trained networks to a bundle: ONNX graphs, weights to train on from, and a card that says what it is.

The graphs are compared with PyTorch stage by stage before the bundle is put in its place; a bundle that differs is not
written.
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

from clavilux.card import CARD, ENCODERS, NETWORKS, SCHEMA, read_card
from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM, MFCC_ROWS, WINDOW_FRAMES
from clavilux.engine import BATCH_WINDOWS
from clavilux.errors import BundleError, TrainingError
from clavilux.graphs.bounds import check_network
from clavilux.graphs.onnx_file import read_graph
from clavilux.models.audio_vae import AudioVAE
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.image_vae import ImageVAE
from clavilux.models.implicit_decoder import EXPORTED_SIDE_PX, ImplicitImageVAE
from clavilux.models.mapping_network import MappingNetwork, PerceptronMapping
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.painter.controls import FINISH_CORRECTIONS
from clavilux.training.writing import prepare_folder, writing_to
from clavilux.version import __version__

PARITY_TOLERANCE = 1e-4  # largest difference, relative to the largest value of the stage where that is above 1
_PARITY_BATCH = 3


class ControlsGraph(nn.Module):
    """The part of the ImageVAE that paints: latents in, named controls out."""

    def __init__(self, network: ImageVAE) -> None:
        super().__init__()
        self.network = network

    def forward(self, z_image: Tensor) -> tuple[Tensor, ...]:
        """z_image (B, 64) -> plan, palette, kind, frequency, angle (turns), chaos, finish."""
        raw = self.network.decode(z_image)
        # ONNX has no atan2; this is the half-angle formula, exact but for the direction (-1, 0).
        cosine, sine = raw.direction[:, 0], raw.direction[:, 1]
        length = torch.sqrt(cosine * cosine + sine * sine + 1e-12)
        twice = 2.0 * torch.atan(sine / (length + cosine + 1e-6))
        angle = twice / (4.0 * math.pi)
        angle = angle - torch.floor(angle * 2.0) / 2.0
        plan = functional.log_softmax(raw.plan, dim=1)
        return plan, raw.palette, raw.kind, raw.frequency, angle, raw.chaos, raw.finish


class PixelsGraph(nn.Module):
    """A decoder of pixels: latents in, pictures out."""

    def __init__(self, network: ConvImageVAE | ImplicitImageVAE) -> None:
        super().__init__()
        self.network = network

    def forward(self, z_image: Tensor) -> Tensor:
        """z_image (B, 64) -> pictures (B, 3, 128, 128) in [0, 1]; (B, 3, 512, 512) of a function of place."""
        if isinstance(self.network, ImplicitImageVAE):
            return self.network.decode(z_image, EXPORTED_SIDE_PX)
        return self.network.decode(z_image)


@dataclass(frozen=True)
class Trained:
    """The networks of one training and what they need."""

    audio_vae: AudioVAE
    image_vae: ImageVAE | ConvImageVAE | ImplicitImageVAE
    mapping: MappingNetwork | PerceptronMapping
    mark_classifier: MarkClassifier | None
    palettes: NDArray[np.float32] | None


def check_output(folder: Path) -> None:
    """Refuse a place for a bundle that cannot be written to, or that is not empty: what is there would be lost.

    Raises
    ------
    TrainingError
        It is a file, a folder that is not empty or cannot be read, or the folder around it cannot be written to.
    """
    prepare_folder(Path(os.path.realpath(folder)).parent)
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
    name: str,
    kinds: Sequence[str],
    descriptors: Sequence[str],
    variation_scale: float,
    painting: Mapping[str, float],
    config: Mapping[str, Any],
    normalisation: Mapping[str, Any],
    corpus: Mapping[str, Any],
    measures: Mapping[str, Any],
    command: str,
) -> dict[str, float]:
    """Write a bundle, whole or not at all, and return the parity of each stage.

    Raises
    ------
    TrainingError
        A graph differs from its network by more than `PARITY_TOLERANCE`; see `check_output` as well.
    """
    check_output(folder)
    with _new_folder(folder) as work:
        parity = _write_graphs(trained, work, len(descriptors))
        if trained.palettes is not None:
            np.save(work / "palettes.npy", trained.palettes.astype(np.float32))
        for file, network in (
            ("audio_vae", trained.audio_vae),
            ("image_vae", trained.image_vae),
            ("mapping_network", trained.mapping),
            ("mark_classifier", trained.mark_classifier),
        ):
            if network is None:
                continue
            weights = _half(network)
            (work / f"{file}.safetensors").write_bytes(save(weights))
        (work / "parity.json").write_text(json.dumps(parity, indent=1) + "\n", "utf-8")
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(work.iterdir())}
        card = {
            "schema": SCHEMA,
            "name": "".join(letter if letter.isprintable() else "_" for letter in name)[:200] or "bundle",
            "clavilux": __version__,
            "created": datetime.now(UTC).date().isoformat(),
            "command": command,
            "config": config,
            "decoder": "painter" if isinstance(trained.image_vae, ImageVAE) else "pixels",
            "kinds": list(kinds),
            "descriptors": list(descriptors),
            "variation": {"scale": variation_scale},
            "painting": dict(painting),
            **({"finish_corrections": FINISH_CORRECTIONS} if isinstance(trained.image_vae, ImageVAE) else {}),
            "normalisation": normalisation,
            "corpus": corpus,
            "measures": measures,
            "parity": {stage: values["difference"] for stage, values in parity.items()},
            "files": files,
        }
        content = (json.dumps(card, indent=1) + "\n").encode()
        try:
            read_card(content, f"the bundle {name}")
        except BundleError as error:
            raise TrainingError(f"{error}; the bundle was not written") from error
        (work / CARD).write_bytes(content)
    return {stage: values["difference"] for stage, values in parity.items()}


def _half(network: nn.Module) -> dict[str, Tensor]:
    """Weights to train on from, in half precision: a start needs no more, and the package is 6 MB smaller.

    Buffers, the normalisations among them, stay as they are.
    """
    learnt = {name for name, _ in network.named_parameters()}
    return {
        name: (value.half() if name in learnt else value).contiguous() for name, value in network.state_dict().items()
    }


def _write_graphs(trained: Trained, work: Path, n_descriptors: int) -> dict[str, dict[str, float]]:
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
        stages.append(("pixels", PixelsGraph(trained.image_vae), "z_image", latents, ["picture"]))
    else:
        outputs = ["plan", "palette", "kind", "frequency", "angle", "chaos", "finish"]
        stages.append(("controls", ControlsGraph(trained.image_vae), "z_image", latents, outputs))
    parity = {}
    for stage, network, input_name, example, outputs in stages:
        path = work / f"{stage}.onnx"
        export_graph(network.eval(), example, path, input_name, outputs)
        _check_graph(path, example)
        parity[stage] = compare_graph(network, example, path, outputs)
        if parity[stage]["difference"] > PARITY_TOLERANCE:
            raise TrainingError(
                f"the graph {path.name} differs from its network by {parity[stage]['difference']:.2g}, more than "
                f"{PARITY_TOLERANCE:g}; the bundle was not written"
            )
    return parity


def export_graph(network: nn.Module, example: Tensor, path: Path, input_name: str, outputs: list[str]) -> None:
    """Write a network as ONNX, without traces of this machine; the batch may have any size."""
    # Says, for each of four operators of torchvision, that it is not installed; no network here has one.
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
    # Traces of the exporting machine (paths, stack frames) have no place in a file that is shipped.
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
    """Check a written graph as every reader of the bundle will."""
    try:
        graph = read_graph(path.read_bytes())
        for n in {1, BATCH_WINDOWS if path.name == ENCODERS[0] else 1}:
            check_network(graph, NETWORKS[path.name], n, tuple(example.shape[1:]), {})
    except BundleError as error:
        raise TrainingError(
            f"the graph {path.name} {error}, so nothing could paint with it; use the versions of constraints.txt, or a "
            "smaller network; the bundle was not written"
        ) from error


def compare_graph(network: nn.Module, example: Tensor, path: Path, outputs: list[str]) -> dict[str, float]:
    """Largest difference of a written graph from its network, relative to the largest value where that is above 1."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(outputs, {session.get_inputs()[0].name: example.numpy()})
    with torch.no_grad():
        wanted = network(example)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    worst, largest = 0.0, 0.0
    for a, b in zip(wanted, found, strict=True):
        reach = max(1.0, float(a.abs().max()))
        worst = max(worst, float(np.abs(a.numpy() - b).max()) / reach)
        largest = max(largest, reach)
    return {"difference": worst, "largest_value": largest}


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder, and move it into place at the end of the block; remove it if the block raises."""
    folder = Path(os.path.realpath(folder))  # a link stays a link
    with writing_to(folder.parent):
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield work
            work.chmod(0o755)
            if folder.exists():
                folder.rmdir()  # it was empty, and must still be so
            os.replace(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
