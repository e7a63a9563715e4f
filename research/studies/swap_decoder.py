"""Put a trained decoder of pixels in the place of a bundle's painter: both then answer to the same songs and latents.

    python benchmarks/swap_decoder.py default runs/rival/image-vae.ckpt runs/rival/bundle

The checkpoint is one of `clavilux train image-vae`: of the decoder "implicit", which has kept the picture encoder of
the bundle that it was trained `--from`; or of "pixels", whose encoder is its own. Then songs mean nothing to the new
bundle, whose mapping leads to latents of another encoder: only what it paints of pictures may be read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch

from clavilux.bundle import open_bundle
from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM
from clavilux.models.conv_image_vae import ConvImageVAE
from clavilux.models.implicit_decoder import ImplicitImageVAE
from clavilux.training.export import PixelsGraph, compare_graph, export_graph

TAKEN = ("audio_encoder.onnx", "mapping.onnx")  # what the bundle hears with


def main() -> None:
    """Take, export, compare, say so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    bundle = open_bundle(arguments.bundle)
    saved = torch.load(arguments.checkpoint, weights_only=True)
    network = load_pixels_vae(saved["averaged"])
    generator = torch.Generator().manual_seed(0)
    arguments.output.mkdir(parents=True)
    for file in TAKEN:
        shutil.copy(bundle.folder / file, arguments.output / file)
    parity = {}
    stages = (
        (
            "picture_encoder",
            network,
            "picture",
            torch.rand(2, 3, ENCODER_SIDE_PX, ENCODER_SIDE_PX, generator=generator),
            ["z_image", "logvar"],
        ),
        ("pixels", PixelsGraph(network), "z_image", torch.randn(2, LATENT_DIM, generator=generator), ["picture"]),
    )
    for stage, graph, name, example, outputs in stages:
        path = arguments.output / f"{stage}.onnx"
        export_graph(graph.eval(), example, path, name, outputs)
        parity[stage] = compare_graph(graph, example, path, outputs)["difference"]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(arguments.output.iterdir())}
    kept = ("schema", "clavilux", "created", "descriptors", "variation", "painting", "normalisation", "corpus")
    card = {key: bundle.card[key] for key in kept} | {
        "name": arguments.output.name,
        "decoder": "pixels",
        "kinds": [],
        "config": {"hears_as": bundle.name},
        "measures": {},
        "parity": parity,
        "files": files,
    }
    (arguments.output / "bundle.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    print(f"step {saved['step']}, parity " + ", ".join(f"{stage} {value:.1e}" for stage, value in parity.items()))


def load_pixels_vae(weights: dict[str, torch.Tensor]) -> ConvImageVAE | ImplicitImageVAE:
    """The network that these weights are of."""
    width = len(weights["encoder.0.weight"])
    network: ConvImageVAE | ImplicitImageVAE
    if "waves" in weights:
        network = ImplicitImageVAE(width=width, decoder_width=len(weights["to_grid.0.bias"]) // 16)
    else:
        network = ConvImageVAE(width=width)
    network.load_state_dict(weights)
    return network.eval()


if __name__ == "__main__":
    main()
