"""Networks are measured before they run: as ONNX Runtime would find them, and refused where they could do harm."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from clavilux.bundle import SHIPPED
from clavilux.card import NETWORKS, Network
from clavilux.engine import BATCH_WINDOWS
from clavilux.graphs.bounds import MAX_NUMBERS, check_network, output_shapes
from clavilux.graphs.onnx_file import MAX_NODES, GraphError, read_graph
from clavilux.graphs.rules import RULES

FLOAT = TensorProto.FLOAT


def write(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any] | None = None,
    *,
    shape: tuple[int, ...] = (2, 3, 8, 8),
    outputs: tuple[str, ...] = ("y",),
    inner: dict[str, tuple[int, ...]] | None = None,
) -> onnx.ModelProto:
    """Make a model with the input x and the given constants."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["B", *shape[1:]])],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
        value_info=[helper.make_tensor_value_info(name, FLOAT, sides) for name, sides in (inner or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def measured(model: onnx.ModelProto, shape: tuple[int, ...] = (2, 3, 8, 8)) -> list[tuple[int, ...]]:
    return list(output_shapes(read_graph(model.SerializeToString()), {"x": shape}).values())


def found(model: onnx.ModelProto, shape: tuple[int, ...] = (2, 3, 8, 8)) -> list[tuple[int, ...]]:
    """Return the shapes that ONNX Runtime gives."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    return [value.shape for value in session.run(None, {entry.name: np.full(shape, 0.5, np.float32)})]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def weights(*shape: int) -> np.ndarray:
    return np.full(shape, 0.1, np.float32)


UNARY = ("Relu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Neg", "Floor", "Reciprocal", "Erf", "Sin", "Cos")
BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Equal", "Greater", "Less")
REDUCE = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2")
CALLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *((op, {}, {}) for op in (*UNARY, "Atan", "Softplus", "Identity", "Softmax", "LogSoftmax")),
    *((op, {"c": weights(*shape)}, {}) for op in BINARY for shape in ((), (8,), (4, 1, 3, 1, 1))),
    *((op, {}, {"axis": axis}) for op in ("Softmax", "LogSoftmax") for axis in (1, -1)),
    *((op, {}, {}) for op in REDUCE),
    *((op, {"c": ints(*axes)}, {"keepdims": keep}) for op in REDUCE for axes in ((1,), (-1, -2)) for keep in (0, 1)),
    ("Clip", {"low": np.float32(0), "high": np.float32(1)}, {}),
    ("InstanceNormalization", {"scale": weights(3), "bias": weights(3)}, {"epsilon": 1e-5}),
    ("Cast", {}, {"to": TensorProto.INT64}),
    ("Where", {}, {}),
    *(("Shape", {}, attributes) for attributes in ({}, {"start": 1}, {"end": -1}, {"start": -3, "end": 2})),
    *(("Reshape", {"c": ints(*sides)}, {}) for sides in ((-1,), (0, -1), (2, 0, 64), (6, 64, 1))),
    ("Reshape", {"c": ints(2, 192)}, {"allowzero": 1}),
    *(("Flatten", {}, {"axis": axis}) for axis in (1, 2, -1)),
    *(("Expand", {"c": ints(*sides)}, {}) for sides in ((1,), (4, 1, 1, 1, 1), (2, 3, 8, 8))),
    *(("Transpose", {}, attributes) for attributes in ({}, {"perm": [0, 2, 3, 1]})),
    *(("Unsqueeze", {"c": ints(*axes)}, {}) for axes in ((0,), (-1,), (1, 3), (3, 1))),
    *(("Gather", {"c": np.zeros(sides, np.int64)}, {"axis": axis}) for sides in ((), (5,), (2, 2)) for axis in (0, -1)),
    ("Slice", {"s": ints(1), "e": ints(2**63 - 1)}, {}),
    ("Slice", {"s": ints(-3, 0), "e": ints(-1, 5), "a": ints(3, -2), "t": ints(1, 2)}, {}),
    ("Slice", {"s": ints(-1), "e": ints(-(2**63)), "a": ints(2), "t": ints(-3)}, {}),
    *(("Resize", {"": 0, "f": np.float32(f)}, {"mode": "linear"}) for f in ([1, 1, 2, 2.6], [1, 1, 0.4, 1])),
    ("Resize", {"": 0, " ": 0, "c": ints(2, 3, 20, 5)}, {"mode": "nearest", "nearest_mode": "floor"}),
    *(("MatMul", {"c": weights(*shape)}, {}) for shape in ((8, 5), (8,), (4, 1, 1, 8, 2))),
    ("Einsum", {"c": weights(3, 4)}, {"equation": "bnhw,nk->bhk"}),
    *(("Conv", {"w": weights(4, 3, *side)}, {}) for side in ((1, 1), (3, 5))),
    ("Conv", {"w": weights(6, 1, 3, 3), "b": weights(6)}, {"group": 3, "pads": [1, 0, 2, 1], "strides": [2, 1]}),
    ("Conv", {"w": weights(6, 3, 2, 3)}, {"dilations": [2, 3], "kernel_shape": [2, 3], "auto_pad": "NOTSET"}),
    ("ConvTranspose", {"w": weights(3, 4, 4, 4)}, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("ConvTranspose", {"w": weights(3, 2, 3, 3)}, {"group": 3, "strides": [3, 2], "output_padding": [1, 0]}),
    ("ConvTranspose", {"w": weights(3, 2, 3, 3)}, {"dilations": [2, 1], "pads": [0, 1, 2, 0]}),
    ("AveragePool", {}, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
]


@pytest.mark.parametrize(("op", "constants", "attributes"), CALLS, ids=lambda value: str(value)[:40].replace(" ", ""))
def test_an_operator_gives_the_shape_that_onnx_runtime_gives(
    op: str, constants: dict[str, Any], attributes: dict[str, Any]
) -> None:
    given = {name: value for name, value in constants.items() if name.strip()}
    before, inputs = [], ["x", *(name.strip() for name in constants)]
    if op == "Where":
        before = [helper.make_node("Equal", ["x", "x"], ["same"])]
        inputs = ["same", "x", "x"]
    model = write([*before, helper.make_node(op, inputs, ["y"], **attributes)], given)
    assert measured(model) == found(model)


def test_every_operator_is_compared_with_onnx_runtime() -> None:
    elsewhere = {"Gemm", "Squeeze", "Concat", "Split"}
    assert {op for op, _, _ in CALLS} | elsewhere == set(RULES)


def test_operators_of_several_steps_give_the_shapes_that_onnx_runtime_gives() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["batch"], end=1),
        helper.make_node("Concat", ["batch", "rest"], ["sides"], axis=0),
        helper.make_node("Reshape", ["x", "sides"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "bias"], ["dense"], transB=1, alpha=1.0),
        helper.make_node("Split", ["dense"], ["a", "b", "c"], axis=1, num_outputs=3),
        helper.make_node("Split", ["dense", "parts"], ["d", "e"], axis=-1),
        helper.make_node("Concat", ["a", "d"], ["f"], axis=1),
        helper.make_node("Unsqueeze", ["f", "one"], ["g"]),
        helper.make_node("Squeeze", ["g", "one"], ["h"]),
    ]
    constants = {"rest": ints(192), "w": weights(7, 192), "bias": weights(7), "parts": ints(2, 5), "one": ints(1)}
    model = write(nodes, constants, outputs=("flat", "dense", "a", "b", "c", "d", "e", "f", "g", "h"))
    assert measured(model) == found(model)
    assert measured(model)[2:5] == [(2, 3), (2, 3), (2, 1)]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*/*.onnx")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_networks_are_measured_tensor_by_tensor(path: Path) -> None:
    """They are not checked each time that they are loaded, so they are checked here."""
    contract = NETWORKS[path.name]
    model = onnx.load(path)
    graph = read_graph(path.read_bytes())
    sides = graph.inputs[contract.takes].sides
    assert sides is not None
    shape = tuple(side for side in sides[1:] if isinstance(side, int))
    for n in (1, 3, BATCH_WINDOWS) if contract.takes == "features" else (1,):
        check_network(graph, contract, n, shape, {})
    every = [name for node in model.graph.node for name in node.output]
    model.graph.output.extend([onnx.ValueInfoProto(name=name) for name in every if name not in contract.gives])
    assert measured_of(model, contract.takes, (2, *shape)) == found(model, (2, *shape))


def measured_of(model: onnx.ModelProto, name: str, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(output_shapes(read_graph(model.SerializeToString()), {name: shape}).values())


# What is refused ---------------------------------------------------------------------------------------------------


def external(constant: onnx.TensorProto) -> None:
    constant.data_location = TensorProto.EXTERNAL
    entry = constant.external_data.add()
    entry.key, entry.value = "location", "secret.bin"


def with_body(op: str, **attributes: Any) -> onnx.ModelProto:
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "b", [], [onnx.ValueInfoProto(name="z")])
    names = {"Loop": ["body"], "Scan": ["body"], "If": ["then_branch", "else_branch"]}[op]
    inputs = {"Loop": ["trips", ""], "Scan": ["x"], "If": ["flag"]}[op]
    node = helper.make_node(op, inputs, ["y"], **dict.fromkeys(names, body), **attributes)
    return write([node], {"trips": np.array(10**12), "flag": np.array(True)})


def in_constant_node() -> onnx.ModelProto:
    constant = numpy_helper.from_array(weights(1), "w")
    external(constant)
    return write([helper.make_node("Constant", [], ["w"], value=constant), helper.make_node("Add", ["x", "w"], ["y"])])


def in_initializer(*, marked: bool) -> onnx.ModelProto:
    model = write([helper.make_node("Add", ["x", "w"], ["y"])], {"w": weights(1)})
    external(model.graph.initializer[0])
    if not marked:
        model.graph.initializer[0].ClearField("data_location")
    return model


def in_sparse() -> onnx.ModelProto:
    model = write([helper.make_node("Relu", ["x"], ["y"])])
    values = numpy_helper.from_array(weights(1), "w")
    external(values)
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(ints(0), "i"), [10**9])
    model.graph.sparse_initializer.append(sparse)
    return model


def in_function() -> onnx.ModelProto:
    model = write([helper.make_node("Mine", ["x"], ["y"], domain="mine")])
    inner = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("mine", "Mine", ["a"], ["b"], [inner], [helper.make_opsetid("", 18)]))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    return model


def of_opset(domain: str, version: int) -> onnx.ModelProto:
    model = write([helper.make_node("Relu", ["x"], ["y"])])
    if not domain:
        del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid(domain, version))
    return model


def typed(kind: int) -> onnx.ModelProto:
    model = write([helper.make_node("Relu", ["x"], ["y"])], {"w": weights(1)})
    model.graph.initializer[0].data_type = kind
    return model


def sized(*sides: int) -> onnx.ModelProto:
    model = write([helper.make_node("Relu", ["x"], ["y"])], {"w": weights(1)})
    model.graph.initializer[0].dims[:] = sides
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (in_initializer(marked=True), "field external_data"),
        (in_initializer(marked=False), "field external_data"),
        (in_constant_node(), "field t,"),
        (in_sparse(), "field sparse_initializer"),
        (in_function(), "field functions"),
        (with_body("Loop"), "field g,"),
        (with_body("Scan", num_scan_inputs=1), "field g,"),
        (with_body("If"), "field g,"),
        (of_opset("com.microsoft", 1), "domain 'com.microsoft'"),
        (of_opset("", 17), "operator set 17"),
        (of_opset("", 2**62), "operator set 4611686018427387904"),
        *((typed(kind), "of type") for kind in (0, 8, 10, 14, 99)),
        *((sized(*sides), "constant 'w'") for sides in ((-1,), (2**62, 2**62), (10**9,), (0,), (1,) * 9)),
        *(
            (write([helper.make_node(op, ["x"], ["y"])]), f"operator '{op}'")
            for op in ("NonZero", "ConstantOfShape", "RandomNormalLike", "Unique", "SequenceConstruct", "Optional", "")
        ),
        (write([helper.make_node("Relu", ["x"], ["y"], axis=1)]), "attribute 'axis'"),
        (write([helper.make_node("Softmax", ["x"], ["y"], axis=0.5)]), "attribute 'axis'"),
        (write([helper.make_node("Transpose", ["x"], ["y"], perm=[0.5])]), "attribute 'perm'"),
        (write([helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2], auto_pad="SAME_UPPER")]), "auto_pad"),
        (write([helper.make_node("Resize", ["x", "", "f"], ["y"], mode="cubic")], {"f": weights(4)}), "mode = 'cubic'"),
        (write([helper.make_node("Relu", ["nowhere"], ["y"])]), "before it is calculated"),
        (write([helper.make_node("Relu", ["y"], ["y"])]), "before it is calculated"),
        (write([helper.make_node("Relu", ["x"], ["x"])]), "'x' twice"),
        (write([helper.make_node("Relu", ["x"], ["y", "z"])]), "2 outputs"),
        (write([helper.make_node("Relu", [], ["y"])]), "without its input"),
        (write([helper.make_node("Relu", ["x"], ["z"])]), "output 'y'"),
        (write([helper.make_node("Reshape", ["x", "s"], ["y"])], {"s": ints(7, -1)}), "does not fit"),
        (write([helper.make_node("Split", ["x"], ["y"], axis=1, num_outputs=0)]), "does not fit"),
        (write([helper.make_node("Slice", ["x", "a", "b", "a", "a"], ["y"])], {"a": ints(0), "b": ints(9)}), "not fit"),
        (write([helper.make_node("Expand", ["x", "x"], ["y"])]), "beforehand"),
        (write([helper.make_node("Relu", ["x"], ["y"])], inner={"y": (10**6, 10**6)}), "another shape"),
        (write([helper.make_node("Relu", ["x"], [f"r{n}"]) for n in range(MAX_NODES + 1)], outputs=()), "2001 nodes"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_an_exported_network_does_not_have_is_refused(model: onnx.ModelProto, reason: str) -> None:
    with pytest.raises(GraphError, match=reason):
        measured(model)


def doubling(op: str, n: int) -> onnx.ModelProto:
    """Make a network whose tensor doubles with each of ``n`` operators."""
    steps = pairwise(["x", *(f"g{i}" for i in range(n - 1)), "y"])
    if op == "Concat":
        return write([helper.make_node("Concat", [a, a], [b], axis=0) for a, b in steps])
    return write([helper.make_node("Resize", [a, "", "two"], [b]) for a, b in steps], {"two": np.float32([1, 1, 2, 2])})


def growing(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    sides = {"huge": ints(10**9, 10**9), "wide": ints(20_000, 20_000)}
    return write([*nodes], {"one": weights(1, 1), **sides, **constants})


@pytest.mark.parametrize(
    "model",
    [
        doubling("Concat", 60),
        doubling("Resize", 60),
        growing(helper.make_node("Expand", ["one", "huge"], ["y"])),
        growing(*(helper.make_node("Expand", ["one", "wide"], [name]) for name in ("a", "y"))),
        growing(
            helper.make_node("Expand", ["one", "side"], ["a"]),
            helper.make_node("MatMul", ["a", "a"], ["y"]),
            side=ints(4_000, 4_000),
        ),
        growing(helper.make_node("Einsum", ["a", "a"], ["y"], equation="ab,cd->abcd"), a=weights(300, 300)),
        growing(helper.make_node("Conv", ["x", "w"], ["y"], pads=[2**40, 0, 0, 0]), w=weights(1, 3, 1, 1)),
        growing(helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[10**6] * 2), w=weights(3, 1, 1, 1)),
        growing(helper.make_node("Gather", ["x", "many"], ["y"]), many=np.zeros((150, 150, 150), np.int64)),
        growing(
            helper.make_node("Unsqueeze", ["long", "zero"], ["a"]),
            helper.make_node("Unsqueeze", ["long", "last"], ["b"]),
            helper.make_node("Mul", ["a", "b"], ["y"]),
            long=weights(50_000),
            zero=ints(0),
            last=ints(1),
        ),
    ],
    ids=["concat", "resize", "expand", "sum", "matmul", "einsum", "pads", "strides", "gather", "outer"],
)
def test_a_network_that_grows_is_refused_at_once(model: onnx.ModelProto) -> None:
    started = time.perf_counter()
    with pytest.raises(GraphError, match="needs too much"):
        measured(model)
    assert time.perf_counter() - started < 2


def test_memory_is_limited_to_the_last_number() -> None:
    side = math.isqrt(MAX_NUMBERS)
    nodes = [helper.make_node("Expand", ["one", "sides"], ["y"])]
    assert measured(write(nodes, {"one": weights(1), "sides": ints(side, side)})) == [(side, side)]
    with pytest.raises(GraphError, match="needs too much"):
        measured(write(nodes, {"one": weights(1), "sides": ints(side + 1, side + 1)}))


def test_a_network_is_measured_for_the_batch_that_it_runs_on() -> None:
    """Harmless for one input, huge for 400."""
    nodes = [
        helper.make_node("Einsum", ["x", "x"], ["square"], equation="an,bn->ab"),
        helper.make_node("Einsum", ["square", "square"], ["fourth"], equation="ab,cd->abcd"),
        helper.make_node("ReduceMean", ["fourth"], ["mean"], keepdims=0),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    model = write(nodes, shape=(1, 5))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, ["B", 5]))
    graph, contract = read_graph(model.SerializeToString()), Network("x", (5,), {"y": (5,)})
    check_network(graph, contract, 1, (5,), {})
    with pytest.raises(GraphError, match="needs too much"):
        check_network(graph, contract, 400, (5,), {})


# The file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"no network", b"\x3a", b"\x3a\xff\xff\xff\xff\x0f", b"\x80" * 20, bytes(100), b"\x3a\x02\x0a\x05"],
)
def test_bytes_that_are_no_network_are_refused(content: bytes) -> None:
    with pytest.raises(GraphError, match=r"ONNX file|field"):
        read_graph(content)


def test_fields_that_come_twice_are_refused() -> None:
    """Protocol Buffers merges them, so another reader could see another network."""
    content = write([helper.make_node("Relu", ["x"], ["y"])]).SerializeToString()
    graph = onnx.ModelProto(graph=write([helper.make_node("Exp", ["x"], ["z"])]).graph).SerializeToString()
    assert len(onnx.load_from_string(content + graph).graph.node) == 2
    with pytest.raises(GraphError, match="field graph twice"):
        read_graph(content + graph)


def test_a_network_that_is_cut_anywhere_is_refused_or_measured() -> None:
    content = write([helper.make_node("Add", ["x", "w"], ["y"])], {"w": weights(1)}).SerializeToString()
    n_refused = 0
    for end in range(len(content)):
        try:
            output_shapes(read_graph(content[:end]), {"x": (2, 3, 8, 8)})
        except GraphError:
            n_refused += 1
    assert n_refused > 0.9 * len(content)
