"""A tiny bundle of random networks that keeps the whole contract, for tests of everything around the networks.

The networks are single layers with seeded weights: the audio encoder averages over time, the picture encoder over
areas, and what comes out depends smoothly on what goes in, so that different songs get different pictures.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from clavilux.constants import (
    ENCODER_SIDE_PX,
    FINISH,
    LATENT_DIM,
    MFCC_ROWS,
    PLAN_SIDE,
    SLOTS,
    WINDOW_FRAMES,
)

Float32 = NDArray[np.float32]

KINDS = ["facets", "stripes", "blobs", "rings", "tiles"]
SURFACES = ["flat", "gouache", "print"]
DESCRIPTORS = ["tempo", "loudness"]
DESCRIPTOR_MEAN = [110.0, -20.0]
N_PALETTES = 6
VARIATION_SCALE = 0.5


def write_fake_bundle(
    folder: Path,
    *,
    descriptors: list[str] | None = None,
    descriptor_mean: list[float] | None = None,
    seed: int = 0,
    **changes: Any,
) -> Path:
    """Write the bundle; ``changes`` replace fields of bundle.json (None leaves a field out)."""
    names = DESCRIPTORS if descriptors is None else descriptors
    mean = DESCRIPTOR_MEAN if descriptor_mean is None else descriptor_mean
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    networks = {
        "audio_encoder.onnx": _audio_encoder(rng),
        "mapping.onnx": _mapping(rng, mean),
        "picture_encoder.onnx": _picture_encoder(rng),
        "controls.onnx": _controls(rng),
    }
    for file, network in networks.items():
        (folder / file).write_bytes(network.SerializeToString())
    palettes = np.sort(rng.random((N_PALETTES, SLOTS, 3)).astype(np.float32), axis=1)
    np.save(folder / "palettes.npy", palettes)
    (folder / "image_vae.safetensors").write_bytes(b"weights that painting does not read")
    card = {
        "schema": 7,
        "decoder": "painter",
        "painting": {"noise_std": 0.0, "logvar_scale": 0.0},
        "name": folder.name,
        "clavilux": "0.1.0",
        "created": "2026-01-01",
        "command": "tests/fake_bundle.py",
        "config": {},
        "kinds": KINDS,
        "surfaces": SURFACES,
        "descriptors": names,
        "variation": {"scale": VARIATION_SCALE},
        "normalisation": {"descriptor_mean": mean},
        "corpus": {"songs": 0, "pictures": 0},
        "measures": {},
        "parity": {},
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())},
    }
    card = {key: value for key, value in {**card, **changes}.items() if value is not None}
    (folder / "bundle.json").write_text(json.dumps(card))
    return folder


def _audio_encoder(rng: np.random.Generator) -> onnx.ModelProto:
    scale = np.full(MFCC_ROWS, 0.05, np.float32)
    scale[0] = 0.005  # row 0 follows the level and is ten times as large as the others
    return _network(
        [
            helper.make_node("ReduceMean", ["features", "time"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
            helper.make_node("MatMul", ["scaled", "weight"], ["z_audio"]),
            helper.make_node("Sub", ["z_audio", "z_audio"], ["logvar"]),
        ],
        {"features": (MFCC_ROWS, WINDOW_FRAMES)},
        {"z_audio": (LATENT_DIM,), "logvar": (LATENT_DIM,)},
        {"time": np.array([2]), "scale": scale, "weight": _weight(rng, MFCC_ROWS, LATENT_DIM)},
    )


def _mapping(rng: np.random.Generator, mean: list[float]) -> onnx.ModelProto:
    n = LATENT_DIM + len(mean)
    centre = np.concatenate([np.zeros(LATENT_DIM), mean]).astype(np.float32)
    return _network(
        [
            helper.make_node("Sub", ["song", "centre"], ["centred"]),
            helper.make_node("MatMul", ["centred", "weight"], ["z_image"]),
        ],
        {"song": (n,)},
        {"z_image": (LATENT_DIM,)},
        {"centre": centre, "weight": _weight(rng, n, LATENT_DIM)},
    )


def _picture_encoder(rng: np.random.Generator) -> onnx.ModelProto:
    return _network(
        [
            helper.make_node("AveragePool", ["picture"], ["areas"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("Flatten", ["areas"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["z_image"]),
            helper.make_node("Sub", ["z_image", "z_image"], ["logvar"]),
        ],
        {"picture": (3, ENCODER_SIDE_PX, ENCODER_SIDE_PX)},
        {"z_image": (LATENT_DIM,), "logvar": (LATENT_DIM,)},
        {"weight": _weight(rng, 48, LATENT_DIM)},
    )


def _controls(rng: np.random.Generator) -> onnx.ModelProto:
    coarse = SLOTS * 4 * 4
    return _network(
        [
            helper.make_node("MatMul", ["z_image", "plan_weight"], ["cells"]),
            helper.make_node("Reshape", ["cells", "coarse"], ["coarse_plan"]),
            helper.make_node("Resize", ["coarse_plan", "", "factors"], ["logits"], mode="linear"),
            helper.make_node("LogSoftmax", ["logits"], ["plan"], axis=1),
            helper.make_node("MatMul", ["z_image", "palette_weight"], ["palette"]),
            helper.make_node("MatMul", ["z_image", "kind_weight"], ["kind"]),
            helper.make_node("MatMul", ["z_image", "surface_weight"], ["surface"]),
            helper.make_node("MatMul", ["z_image", "frequency_weight"], ["log_frequency"]),
            helper.make_node("Add", ["log_frequency", "middle"], ["shifted"]),
            helper.make_node("Exp", ["shifted"], ["frequency"]),
            helper.make_node("MatMul", ["z_image", "angle_weight"], ["angle"]),
            helper.make_node("MatMul", ["z_image", "chaos_weight"], ["free_chaos"]),
            helper.make_node("Sigmoid", ["free_chaos"], ["chaos"]),
            helper.make_node("MatMul", ["z_image", "finish_weight"], ["free_finish"]),
            helper.make_node("Sigmoid", ["free_finish"], ["finish"]),
        ],
        {"z_image": (LATENT_DIM,)},
        {
            "plan": (SLOTS, PLAN_SIDE, PLAN_SIDE),
            "palette": (N_PALETTES,),
            "kind": (len(KINDS),),
            "surface": (len(SURFACES),),
            "frequency": (),
            "angle": (),
            "chaos": (),
            "finish": (len(FINISH),),
        },
        {
            "plan_weight": 3 * _weight(rng, LATENT_DIM, coarse),
            "coarse": np.array([-1, SLOTS, 4, 4]),
            "factors": np.array([1, 1, PLAN_SIDE / 4, PLAN_SIDE / 4], np.float32),
            "palette_weight": _weight(rng, LATENT_DIM, N_PALETTES),
            "kind_weight": _weight(rng, LATENT_DIM, len(KINDS)),
            "surface_weight": _weight(rng, LATENT_DIM, len(SURFACES)),
            "frequency_weight": _weight(rng, LATENT_DIM, 1)[:, 0],
            "middle": np.float32(np.log(10)),
            "angle_weight": _weight(rng, LATENT_DIM, 1)[:, 0],
            "chaos_weight": _weight(rng, LATENT_DIM, 1)[:, 0],
            "finish_weight": _weight(rng, LATENT_DIM, len(FINISH)),
        },
    )


def _weight(rng: np.random.Generator, n_in: int, n_out: int) -> Float32:
    return (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(np.float32)


def _network(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
    constants: dict[str, Any],
) -> onnx.ModelProto:
    def values(shapes: dict[str, tuple[int, ...]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", *shape]) for name, shape in shapes.items()]

    graph = helper.make_graph(
        nodes,
        "fake",
        values(inputs),
        values(outputs),
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model
