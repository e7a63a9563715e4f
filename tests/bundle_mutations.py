"""Damage bundles reproducibly, for `benchmarks/fuzz_bundles.py` and `test_fuzz_bundles.py`.

the tiny bundle of `fake_bundle` -> mutation number i of seed s, with correct hashes -> `try_bundle`
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from fake_bundle import write_fake_bundle
from onnx import TensorProto, helper, numpy_helper

from clavilux.audio.song import Song
from clavilux.bundle import open_bundle
from clavilux.cli.bundle import show
from clavilux.constants import MFCC_ROWS, WINDOW_FRAMES
from clavilux.errors import ClaviluxError
from clavilux.pipeline import Clavilux

NETWORKS = ("audio_encoder.onnx", "mapping.onnx", "picture_encoder.onnx", "controls.onnx")
HUGE = (2**31 - 1, 2**31, 2**62, 2**63 - 1, -1, 0, -(2**63), 10**9, 65_536, 1_000)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 5, 2**63, 10**400, 0.5, -0.0, 1e308, -1e308, float("nan"), float("inf")),
    *("", "a", "\x1b[2J", "\ud800", "../x", "/etc/passwd", "painter", "pixels", "tempo", "blobs", "x" * 10_000),
    *([], {}, [[]], [None], [1], ["blobs", "blobs"], {"": ""}, {"scale": "1"}, [0.0] * 66, [float("nan")] * 2),
    *([1e308] * 20, [10**400] * 2, [True, False], ["\x07"], [{}], {"a": {"b": {"c": []}}}),
)
"""Values that a field of bundle.json is set to."""


def write_base(folder: Path, *, with_weights: bool) -> Path:
    """Write the whole bundle, with weights of a mark classifier on request, which needs PyTorch."""
    write_fake_bundle(folder, kinds=["facets", "stripes", "blobs", "rings", "tiles"])
    if with_weights:
        from safetensors.torch import save

        from clavilux.models.mark_classifier import MarkClassifier
        from clavilux.painter.marks import KINDS

        replace(
            folder, "mark_classifier.safetensors", save(MarkClassifier(n_kinds=len(KINDS), width=8).half().state_dict())
        )
    return folder


def replace(folder: Path, file: str, content: bytes) -> None:
    """Write a file of a bundle and its hash, so that the hash does not hide the damage."""
    (folder / file).write_bytes(content)
    card = json.loads((folder / "bundle.json").read_bytes())
    card["files"][file] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(card))


# Mutations ---------------------------------------------------------------------------------------------------------


def field(folder: Path, rng: np.random.Generator) -> None:
    """Replace, remove or nest fields of bundle.json at any depth."""
    card = json.loads((folder / "bundle.json").read_bytes())
    for _ in range(int(rng.integers(1, 3))):
        holder, key = _pick(card, rng)
        change = rng.random()
        if change < 0.15:
            del holder[key]
        elif change < 0.25:
            holder[key] = [holder[key]] * int(rng.integers(1, 4))
        else:
            holder[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    (folder / "bundle.json").write_text(json.dumps(card))


def _pick(card: dict[str, Any], rng: np.random.Generator) -> tuple[Any, Any]:
    """Return a place in nested fields: the dict or list, and the key or index."""
    holder: Any = card
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[rng.integers(len(keys))]
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.5:
            return holder, key
        holder = inner


def description(folder: Path, rng: np.random.Generator) -> None:
    """Damage the bytes of bundle.json, change its encoding, or write something that is not JSON."""
    path = folder / "bundle.json"
    content = path.read_bytes()
    made: list[Callable[[], bytes]] = [
        lambda: _damage(content, rng),
        lambda: content.decode().encode("utf-16"),
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content[:-1] + b',"name":"twice"}',
        lambda: content.replace(b'"config": {}', b'"config": ' + b"[" * 900 + b"]" * 900),
        lambda: content.replace(b'"config": {}', b'"config": ' + b'{"a":' * 60_000),
        lambda: content.replace(b"0.5", b"9" * 5_000),
        lambda: content + b" " * 5_000_000,
        lambda: b"",
        lambda: bytes(200),
    ]
    path.write_bytes(made[rng.integers(len(made))]())


def damage(folder: Path, rng: np.random.Generator) -> None:
    """Damage the bytes of a network or of the palettes and update the hash."""
    file = (*NETWORKS, "palettes.npy")[rng.integers(5)]
    replace(folder, file, _damage((folder / file).read_bytes(), rng))


def _damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut, repeat or zero bytes; the first kilobyte more often than the rest."""
    data = bytearray(content)
    at = int(rng.integers(0, min(1_024, len(data)) if rng.random() < 0.6 else len(data)))
    change = rng.random()
    if change < 0.5:
        for _ in range(2 ** int(rng.integers(0, 5))):
            data[int(rng.integers(0, min(at + 64, len(data))))] = int(rng.integers(0, 256))
    elif change < 0.7:
        del data[at:]
    elif change < 0.85:
        data[at:at] = data[at : at + int(rng.integers(1, 400))]
    else:
        data[at : at + int(rng.integers(1, 64))] = bytes(int(rng.integers(1, 64)))
    return bytes(data)


def palettes(folder: Path, rng: np.random.Generator) -> None:
    """Change the type, shape, order, header or numbers of the palettes."""
    whole = np.load(folder / "palettes.npy")
    flat = (folder / "palettes.npy").read_bytes()
    numbers = whole.copy()
    numbers.flat[int(rng.integers(numbers.size))] = rng.choice(np.float32([np.nan, np.inf, -1, 1.5, 1e38]))
    made: list[Any] = [
        *(whole.astype(kind) for kind in (">f4", "<f8", "<f2", "<i8", "<c8", "|b1", "<U3", "<M8[s]")),
        *(np.asfortranarray(whole), whole[:0], whole[0], whole[None], whole[:, :7], whole[..., :2], np.float32(1)),
        *(whole[:1], numbers, np.zeros((6, 8, 3, 1, 1, 1), np.float32), whole.reshape(-1)),
        *(flat.replace(b"(6, 8, 3)", shape) for shape in (b"(1000000000, 8, 3)", b"(-6, 8, 3)", b"(True, 8, 3)")),
        *(flat.replace(b"'<f4'", kind) for kind in (b"'|O'", b"'<f8'", b"'<V9'", b"[('a','<f4')]", b"''")),
        *(flat.replace(b"\x01\x00", version, 1) for version in (b"\x02\x00", b"\x03\x00", b"\x09\x09")),
        *(flat + b"\0", flat[:-1], flat[:80], b"", b"PK\x03\x04" + flat, pickle.dumps(whole)),
    ]
    choice = made[rng.integers(len(made))]
    if isinstance(choice, bytes):
        replace(folder, "palettes.npy", choice)
    else:
        buffer = io.BytesIO()
        np.save(buffer, choice)
        replace(folder, "palettes.npy", buffer.getvalue())


def graph(folder: Path, rng: np.random.Generator) -> None:
    """Edit a network: operators, attributes, shapes, constants, types, and parts that Clavilux does not use."""
    file = NETWORKS[rng.integers(4)]
    model = onnx.load_from_string((folder / file).read_bytes())
    for _ in range(int(rng.integers(1, 3))):
        edit = EDITS[rng.integers(len(EDITS))]
        # An edit may not apply: a node without inputs, or a constant whose numbers an earlier edit put elsewhere.
        with contextlib.suppress(ValueError, TypeError, onnx.checker.ValidationError):
            edit(model, rng)
    replace(folder, file, model.SerializeToString())


Edit = Callable[[onnx.ModelProto, np.random.Generator], None]


def _any(entries: Any, rng: np.random.Generator) -> Any:
    if not len(entries):
        raise ValueError("nothing to edit")
    return entries[rng.integers(len(entries))]


def _edit_operator(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = _any(model.graph.node, rng)
    names = ("Loop", "If", "Scan", "Tile", "ConstantOfShape", "Range", "NonZero", "SequenceEmpty", "Optional", "Pad")
    more = ("Expand", "Resize", "MatMul", "Concat", "Shape", "Einsum", "Conv", "RandomNormal", "Cast", "Nothing", "")
    node.op_type = _any([*names, *more, *(other.op_type for other in model.graph.node)], rng)


def _edit_attribute(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = _any(model.graph.node, rng)
    names = ("axis", "axes", "pads", "strides", "kernel_shape", "dilations", "group", "to", "perm", "num_outputs")
    name = _any([*names, *(attribute.name for attribute in node.attribute)], rng)
    size = int(_any(HUGE, rng))
    value = _any([size, [size], [size] * 2, [1, size, 1, size], 1.5, "text", [0.5], np.zeros(3, np.float32)], rng)
    kept = [attribute for attribute in node.attribute if attribute.name != name or rng.random() < 0.1]
    del node.attribute[:]
    made = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
    node.attribute.extend([*kept, helper.make_attribute(name, made)])


def _edit_wires(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    node = _any(model.graph.node, rng)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)] + ["nowhere", ""]
    if rng.random() < 0.5:
        node.input[rng.integers(len(node.input))] = _any(names, rng)
    elif rng.random() < 0.5:
        node.output[rng.integers(len(node.output))] = _any(names, rng)
    elif rng.random() < 0.5:
        node.input.append(_any(names, rng))
    else:
        del node.input[-1:]


def _edit_nodes(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    nodes = list(model.graph.node)
    place = int(rng.integers(len(nodes)))
    if rng.random() < 0.5:
        del nodes[place]
    else:
        nodes.insert(int(rng.integers(len(nodes))), nodes.pop(place))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _edit_constant(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    constant = _any(model.graph.initializer, rng)
    values = numpy_helper.to_array(constant).copy()
    change = rng.random()
    if change < 0.35:
        low = values.dtype.kind == "i"
        values.reshape(-1)[...] = int(_any(HUGE, rng)) if low else _any([np.nan, np.inf, 1e30, -1e38, 0.0, 1e9], rng)
    elif change < 0.5:
        values = values.astype(_any(["<f8", "<i8", "<i4", "|b1", "<f2", "<U4", "<c8"], rng))
    elif change < 0.65:
        values = values.reshape(_any([(-1,), (1, 1, -1), (-1, 1)], rng))
    elif change < 0.8:
        constant.dims[:] = [int(_any(HUGE, rng)) for _ in range(rng.integers(0, 4))]
        return
    elif change < 0.9:
        constant.raw_data = constant.raw_data[: rng.integers(len(constant.raw_data))]
        return
    else:
        constant.data_type = int(rng.integers(0, 30))
        return
    constant.CopyFrom(numpy_helper.from_array(values, constant.name))


def _edit_types(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    value = _any([*model.graph.input, *model.graph.output], rng)
    change = rng.random()
    if change < 0.3:
        value.type.tensor_type.elem_type = int(rng.integers(0, 24))
    elif change < 0.6:
        side = _any(value.type.tensor_type.shape.dim, rng)
        side.dim_value = int(_any(HUGE, rng))
    elif change < 0.7:
        value.name = _any(["", "other", "z_image", "\x1b[2J"], rng)
    elif change < 0.8:
        value.type.CopyFrom(helper.make_sequence_type_proto(value.type))
    elif change < 0.9:
        value.type.CopyFrom(helper.make_optional_type_proto(value.type))
    else:
        shape = [int(_any(HUGE, rng))] * 2
        names = [name for node in model.graph.node for name in node.output]
        model.graph.value_info.append(helper.make_tensor_value_info(_any(names, rng), TensorProto.FLOAT, shape))


def _edit_model(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    change = int(rng.integers(7))
    if change == 0:
        model.ir_version = int(_any((0, 1, 3, 12, 99, 2**62), rng))
    elif change == 1:
        model.opset_import[0].version = int(_any((0, 1, 7, 13, 21, 99, 2**62), rng))
    elif change == 2:
        model.opset_import.append(helper.make_opsetid(_any(["com.microsoft", "evil", "ai.onnx.ml"], rng), 1))
    elif change == 3:
        node = _any(model.graph.node, rng)
        node.domain = _any(["com.microsoft", "evil", "ai.onnx.ml"], rng)
    elif change == 4:
        inner = helper.make_node("Identity", ["x"], ["y"])
        opset = [helper.make_opsetid("", 18)]
        model.functions.append(helper.make_function("evil", "Relu", ["x"], ["y"], [inner], opset))
    elif change == 5:
        constant = _any(model.graph.initializer, rng)
        index = numpy_helper.from_array(np.array([0]), "index")
        values = numpy_helper.from_array(np.array([1.0], np.float32), constant.name)
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, index, [10**9]))
    else:
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["B", 2]))


def _edit_location(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """Move weights to an external file."""
    constant = _any(model.graph.initializer, rng)
    location = constant.external_data.add()
    location.key, location.value = "location", _any(["bundle.json", "/etc/passwd", "../x", "/dev/zero"], rng)
    constant.data_location = TensorProto.EXTERNAL
    if rng.random() < 0.5:
        constant.ClearField("raw_data")


def _edit_growth(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """Compute something large from a constant or from the input and discard it."""
    side = int(_any((10**6, 10**9, 2**40, 30_000), rng))
    source = _any([model.graph.input[0].name, model.graph.initializer[0].name], rng)
    shape = numpy_helper.from_array(np.array([side, side]), "huge")
    model.graph.initializer.append(shape)
    one = numpy_helper.from_array(np.ones((1, 1), np.float32), "one")
    model.graph.initializer.append(one)
    made = [
        [helper.make_node("Expand", ["one", "huge"], ["grown"])],
        [helper.make_node("ConstantOfShape", ["huge"], ["grown"])],
        [helper.make_node("Tile", ["one", "huge"], ["grown"])],
        [helper.make_node("Expand", [source, "huge"], ["grown"])],
        [
            helper.make_node("Concat", [f"g{n - 1}" if n else source] * 2, [f"g{n}"], axis=-1)
            for n in range(int(rng.integers(10, 60)))
        ],
        [
            helper.make_node("Expand", ["one", "huge"], ["grown"]),
            helper.make_node("MatMul", ["grown", "grown"], ["worked"]),
        ],
    ]
    nodes = [*_any(made, rng), *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


EDITS: tuple[Edit, ...] = (
    *(_edit_operator, _edit_attribute, _edit_attribute, _edit_wires, _edit_nodes, _edit_constant, _edit_constant),
    *(_edit_types, _edit_model, _edit_location, _edit_growth),
)


def files(folder: Path, rng: np.random.Generator) -> None:
    """Replace a file by a pipe, a folder, a device, a link or a huge file, or remove it."""
    file = folder / ("bundle.json", "palettes.npy", *NETWORKS)[rng.integers(6)]
    content = file.read_bytes()
    file.unlink()
    change = int(rng.integers(8))
    if change == 0:
        os.mkfifo(file)
    elif change == 1:
        file.mkdir()
    elif change == 2:
        file.symlink_to("/dev/zero")
    elif change == 3:
        file.symlink_to("nowhere")
    elif change == 4:
        file.symlink_to(file.name)
    elif change == 5:
        outside = folder.parent / f"{folder.name}-outside"
        outside.write_bytes(content)
        file.symlink_to(outside)
    elif change == 6:
        with file.open("wb") as handle:
            handle.truncate(10**12)


def weights(folder: Path, rng: np.random.Generator) -> None:
    """Change names, shapes, types or numbers of the weights of the mark classifier, or damage their header."""
    content = (folder / "mark_classifier.safetensors").read_bytes()
    if rng.random() < 0.3:
        replace(folder, "mark_classifier.safetensors", _damage(content, rng))
        return
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    name = list(header)[rng.integers(len(header))] if rng.random() < 0.5 else "features.0.weight"
    entry, change = header[name], int(rng.integers(8))
    if change == 0:
        del header[name]
    elif change == 1:
        header["other"] = header.pop(name)
    elif change == 2:
        entry["shape"] = [int(_any(HUGE, rng)) for _ in range(rng.integers(0, 4))]
    elif change == 3:
        entry["dtype"] = _any(["I64", "BF16", "F8_E4M3", "BOOL", "C64", "U8", "I16", "odd", 5], rng)
    elif change == 4:
        entry["data_offsets"] = [int(_any(HUGE, rng)) for _ in range(2)]
    elif change == 5:
        entry["shape"] = [int(np.prod(entry["shape"])), 1]
    elif change == 6:
        data = struct.pack("<e", _any([float("nan"), float("inf")], rng)) + data[2:]
    else:
        header[name] = _any([None, [], "", 5, {"shape": 1}], rng)
    text = json.dumps(header).encode()
    n_header = len(text) if rng.random() < 0.9 else int(abs(_any(HUGE, rng)))
    replace(folder, "mark_classifier.safetensors", struct.pack("<Q", n_header) + text + data)


Mutation = Callable[[Path, np.random.Generator], None]
TURNS: tuple[Mutation, ...] = (
    *(field, graph, damage, graph, palettes, field, graph, description, graph, files, weights),
)
"""Mutations in the order in which they are applied to bundles."""


def mutation_of(number: int, *, with_weights: bool) -> Mutation:
    """Return the mutation of bundle ``number``."""
    turns = TURNS if with_weights else TURNS[:-1]
    return turns[number % len(turns)]


def mutate(base: Path, folder: Path, seed: int, number: int, *, with_weights: bool) -> None:
    """Write bundle ``number`` of a seed."""
    shutil.copytree(base, folder)
    mutation_of(number, with_weights=with_weights)(folder, np.random.default_rng([seed, number]))


# Trials ------------------------------------------------------------------------------------------------------------


def make_song() -> Song:
    """Return a song of three windows without sound."""
    rng = np.random.default_rng(0)
    windows = 30 * rng.standard_normal((3, MFCC_ROWS, WINDOW_FRAMES))
    return Song(
        path=Path("song.flac"),
        name="song",
        sha256="0" * 64,
        duration_s=15.0,
        windows=windows.astype(np.float32),
        window_db=np.full(3, -20.0, np.float32),
        audible=np.ones(3, bool),
        is_silent=False,
        descriptors={"tempo": 120.0, "loudness": -14.0},
        warnings=(),
    )


def try_bundle(folder: Path, song: Song, *, with_weights: bool) -> tuple[str, str]:
    """Use a bundle in every way and return the result: ``picture`` or ``refused``, with the message.

    Whatever else happens is raised.
    """
    refused = ""
    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)

    def paint() -> None:
        engine = Clavilux(folder)
        pixels = engine.paint(song, size=64, variation=1).pixels
        assert pixels.shape == (64, 64, 3)
        again = pickle.loads(pickle.dumps(copy.deepcopy(engine)))
        np.testing.assert_array_equal(again.paint(song, size=64, variation=1).pixels, pixels)

    def see() -> None:
        assert np.isfinite(Clavilux(folder).engine.encode_picture(picture)[0]).all()

    def describe() -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            # click keeps the names of the help option of the first call, and other tests print the help.
            show.main(["--bundle", str(folder)], standalone_mode=False, help_option_names=["-h", "--help"])
        assert said.getvalue().replace("\n", "").isprintable()

    def verify() -> None:
        bundle = open_bundle(folder)
        bundle.verify()
        Clavilux(folder).engine.check()

    def go_on() -> None:
        from clavilux.models.mark_classifier import MarkClassifier

        MarkClassifier.from_bundle(open_bundle(folder))

    for use in (paint, see, describe, verify, *((go_on,) if with_weights else ())):
        try:
            use()
        except ClaviluxError as error:
            refused = refused or str(error)
            assert "\n" not in str(error), "the message has several lines"
            assert len(str(error)) < 1_000, "the message is too long"
    return ("refused", refused) if refused else ("picture", "")
