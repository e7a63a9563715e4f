"""Weights of an untrusted bundle fit the network, or are refused before a network of their size is created."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fake_bundle import write_fake_bundle
from safetensors.torch import save
from test_bundle import replace_file

from clavilux.bundle import open_bundle
from clavilux.errors import BundleError, TrainingError
from clavilux.models.mark_classifier import MarkClassifier
from clavilux.models.weights import read_weights
from clavilux.painter.marks import KINDS
from clavilux.training.run import start_bundle

pytestmark = pytest.mark.torch

Weights = dict[str, torch.Tensor]
CLASSIFIER = {name: value.half() for name, value in MarkClassifier(n_kinds=len(KINDS), width=8).state_dict().items()}
FIRST = "features.0.weight"


def bundle_with(folder: Path, content: bytes, part: str = "mark_classifier") -> Path:
    write_fake_bundle(folder)
    (folder / "image_vae.safetensors").unlink()
    card = json.loads((folder / "bundle.json").read_text())
    del card["files"]["image_vae.safetensors"]
    (folder / "bundle.json").write_text(json.dumps(card))
    replace_file(folder, f"{part}.safetensors", content)
    return folder


def test_weights_are_read_as_written(tmp_path: Path) -> None:
    bundle = open_bundle(bundle_with(tmp_path / "b", save(CLASSIFIER)))
    assert all(torch.equal(value, CLASSIFIER[name]) for name, value in read_weights(bundle, "mark_classifier").items())
    mark_classifier = MarkClassifier.from_bundle(bundle)
    assert torch.equal(mark_classifier.state_dict()[FIRST], CLASSIFIER[FIRST].float())


def header(change: Callable[[dict[str, dict[str, object]]], object]) -> bytes:
    content = save(CLASSIFIER)
    size = struct.unpack("<Q", content[:8])[0]
    fields = json.loads(content[8 : 8 + size])
    change(fields)
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no weights",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10) + b"[" * 10,
        save(CLASSIFIER)[:-1],
        save(CLASSIFIER)[:100],
        header(lambda fields: fields[FIRST].update(shape=[2**40, 2**40])),
        header(lambda fields: fields[FIRST].update(dtype="odd")),
        header(lambda fields: fields[FIRST].update(data_offsets=[0, 2**60])),
        header(lambda fields: fields[FIRST].update(data_offsets=[-1, 5])),
        *(save(CLASSIFIER | {FIRST: torch.zeros(8, dtype=kind)}) for kind in (torch.int64, torch.bool, torch.uint8)),
        *(save(CLASSIFIER | {FIRST: torch.full_like(CLASSIFIER[FIRST], odd)}) for odd in (torch.nan, torch.inf)),
    ],
)
def test_files_without_weights_are_refused_before_training(tmp_path: Path, content: bytes) -> None:
    folder = bundle_with(tmp_path / "b", content)
    with pytest.raises(BundleError, match=r"mark_classifier\.safetensors contains") as caught:
        start_bundle(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {FIRST: torch.zeros(())},
        {FIRST: torch.zeros(0, 3)},
        {FIRST: torch.zeros(7, 3)},
        {FIRST: torch.zeros(2_000_000, 1)},
        {FIRST: torch.zeros(800_000, 1)},
        {FIRST: CLASSIFIER[FIRST].reshape(-1, 1).clone()},
        {"other": torch.zeros(1)},
        {"head.0.bias": torch.zeros(3)},
    ],
    ids=lambda change: str({name: tuple(value.shape) for name, value in change.items()}),
)
def test_weights_of_another_shape_are_refused_without_a_network_of_that_size(tmp_path: Path, change: Weights) -> None:
    bundle = open_bundle(bundle_with(tmp_path / "b", save(CLASSIFIER | change)))
    with pytest.raises((BundleError, TrainingError), match=r"mark_classifier.*(shapes|widths|usable)"):
        MarkClassifier.from_bundle(bundle)
