"""Strict parser of ONNX files that does not need the ``onnx`` package.

Networks come from bundles, which are untrusted input. Everything that exported networks do not need is refused:
external weights, subgraphs (loops, branches), functions, operators of other domains, sparse and quantised weights.
Fields that are not listed here are refused too, so that this parser and ONNX Runtime cannot interpret a file
differently.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clavilux.errors import BundleError

MAX_NODES = 2_000  # the largest exported network has 140
MAX_CONSTANTS = 4_000
MAX_RANK = 8
OPSET = 18  # the version that clavilux.training.export writes
SMALL = 64  # numbers of the largest constant whose values are read: shapes, axes, factors
FLOAT32 = 1  # ONNX data type

_DTYPES = {FLOAT32: "<f4", 6: "<i4", 7: "<i8", 9: "|b1", 11: "<f8"}  # ONNX data type -> NumPy dtype of constants

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types of Protocol Buffers
_INT, _TEXT, _BLOB, _FLOAT = "int", "text", "blob", "float"
_ONE, _MANY = False, True

# Fields of each message of the ONNX format: number -> name, type, whether it is repeated. Type None means refused.
_Spec = dict[int, tuple[str, str | None, bool]]
_MODEL: _Spec = {
    1: ("ir_version", _INT, _ONE),
    2: ("producer_name", _TEXT, _ONE),
    3: ("producer_version", _TEXT, _ONE),
    4: ("domain", _TEXT, _ONE),
    5: ("model_version", _INT, _ONE),
    6: ("doc_string", _TEXT, _ONE),
    7: ("graph", _BLOB, _ONE),
    8: ("opset_import", _BLOB, _MANY),
    14: ("metadata_props", _BLOB, _MANY),
    20: ("training_info", None, _MANY),
    25: ("functions", None, _MANY),
}
_OPSET: _Spec = {1: ("domain", _TEXT, _ONE), 2: ("version", _INT, _ONE)}
_GRAPH: _Spec = {
    1: ("node", _BLOB, _MANY),
    2: ("name", _TEXT, _ONE),
    5: ("initializer", _BLOB, _MANY),
    10: ("doc_string", _TEXT, _ONE),
    11: ("input", _BLOB, _MANY),
    12: ("output", _BLOB, _MANY),
    13: ("value_info", _BLOB, _MANY),
    14: ("quantization_annotation", None, _MANY),
    15: ("sparse_initializer", None, _MANY),
    16: ("metadata_props", _BLOB, _MANY),
}
_NODE: _Spec = {
    1: ("input", _TEXT, _MANY),
    2: ("output", _TEXT, _MANY),
    3: ("name", _TEXT, _ONE),
    4: ("op_type", _TEXT, _ONE),
    5: ("attribute", _BLOB, _MANY),
    6: ("doc_string", _TEXT, _ONE),
    7: ("domain", _TEXT, _ONE),
    9: ("metadata_props", _BLOB, _MANY),
}
_ATTRIBUTE: _Spec = {
    1: ("name", _TEXT, _ONE),
    2: ("f", _FLOAT, _ONE),
    3: ("i", _INT, _ONE),
    4: ("s", _TEXT, _ONE),
    5: ("t", None, _ONE),
    6: ("g", None, _ONE),
    7: ("floats", _FLOAT, _MANY),
    8: ("ints", _INT, _MANY),
    11: ("graphs", None, _MANY),
    13: ("doc_string", _TEXT, _ONE),
    20: ("type", _INT, _ONE),
    21: ("ref_attr_name", None, _ONE),
    22: ("sparse_tensor", None, _ONE),
}
_TENSOR: _Spec = {
    1: ("dims", _INT, _MANY),
    2: ("data_type", _INT, _ONE),
    8: ("name", _TEXT, _ONE),
    9: ("raw_data", _BLOB, _ONE),
    12: ("doc_string", _TEXT, _ONE),
    13: ("external_data", None, _MANY),
    14: ("data_location", None, _ONE),
    16: ("metadata_props", _BLOB, _MANY),
}
_VALUE: _Spec = {
    1: ("name", _TEXT, _ONE),
    2: ("type", _BLOB, _ONE),
    3: ("doc_string", _TEXT, _ONE),
    4: ("metadata_props", _BLOB, _MANY),
}
_TYPE: _Spec = {1: ("tensor_type", _BLOB, _ONE), 6: ("denotation", _TEXT, _ONE)}
_TENSOR_TYPE: _Spec = {1: ("elem_type", _INT, _ONE), 2: ("shape", _BLOB, _ONE)}
_SHAPE: _Spec = {1: ("dim", _BLOB, _MANY)}
_DIM: _Spec = {1: ("dim_value", _INT, _ONE), 2: ("dim_param", _TEXT, _ONE), 3: ("denotation", _TEXT, _ONE)}

# ONNX attribute type -> field of its value.
_ATTRIBUTE_FIELDS = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints"}

Attribute = int | float | str | list[int] | list[float]
Shape = tuple[int, ...]
_Value = TypeVar("_Value")


class GraphError(BundleError):
    """A network is refused. The message is the end of a sentence that begins with the file name."""


@dataclass(frozen=True)
class Tensor:
    """Shape of a tensor, and its values if they are needed and known before the network runs."""

    shape: Shape
    numbers: NDArray[Any] | None = None  # None also for constants of more than `SMALL` numbers


@dataclass(frozen=True)
class Declared:
    """Data type and shape of a tensor, as a file declares them."""

    elem_type: int  # ONNX data type
    sides: tuple[int | str | None, ...] | None  # None if the rank is unknown; a side is a number, a name or unknown


@dataclass(frozen=True)
class Node:
    """One operator of a network."""

    op: str  # type of the operator, such as "Conv"
    inputs: tuple[str, ...]  # names of tensors; "" for an omitted optional input
    outputs: tuple[str, ...]  # names of tensors
    attributes: dict[str, Attribute] = field(default_factory=dict)  # by name


@dataclass(frozen=True)
class Graph:
    """A network. The keys of the dicts are names of tensors."""

    nodes: tuple[Node, ...]  # in the order of execution
    constants: dict[str, Tensor]
    inputs: dict[str, Declared]
    outputs: dict[str, Declared]
    inner: dict[str, Declared]  # tensors between inputs and outputs


def read_graph(content: bytes) -> Graph:
    """Return the network of an ONNX file, given the bytes of the file.

    Raises
    ------
    GraphError
        If the bytes are no ONNX file, or the network has parts that Clavilux does not export.
    """
    model = _message(memoryview(content), _MODEL)
    if "graph" not in model:
        raise GraphError("is no ONNX file")
    for entry in model.get("opset_import", []):
        opset = _message(entry, _OPSET)
        if opset.get("domain", "") not in ("", "ai.onnx"):
            raise GraphError(f"uses operators of the domain {opset['domain'][:40]!r}")
        if opset.get("version") != OPSET:
            raise GraphError(f"uses operator set {opset.get('version')}; Clavilux runs set {OPSET}")
    parts = _message(model["graph"], _GRAPH)
    nodes, constants = parts.get("node", []), parts.get("initializer", [])
    if len(nodes) > MAX_NODES or len(constants) > MAX_CONSTANTS:
        raise GraphError(
            f"has {len(nodes)} nodes and {len(constants)} constants; {MAX_NODES} and {MAX_CONSTANTS} are allowed"
        )
    return Graph(
        nodes=tuple(_node(entry) for entry in nodes),
        constants=_by_name(_constant, constants),
        inputs=_by_name(_declared, parts.get("input", [])),
        outputs=_by_name(_declared, parts.get("output", [])),
        inner=_by_name(_declared, parts.get("value_info", [])),
    )


def _by_name(parse: Callable[[memoryview], tuple[str, _Value]], entries: list[memoryview]) -> dict[str, _Value]:
    """Return the parsed entries by name. Raise a `GraphError` if two have the same name."""
    values = dict(map(parse, entries))
    if len(values) != len(entries):
        raise GraphError("uses a name twice")
    return values


def _node(view: memoryview) -> Node:
    parts = _message(view, _NODE)
    op = parts.get("op_type", "")
    if parts.get("domain", "") not in ("", "ai.onnx"):
        raise GraphError(f"uses the operator {op[:40]!r} of the domain {parts['domain'][:40]!r}")
    attributes = _by_name(_attribute, parts.get("attribute", []))
    return Node(op, tuple(parts.get("input", ())), tuple(parts.get("output", ())), attributes)


def _attribute(view: memoryview) -> tuple[str, Attribute]:
    parts = _message(view, _ATTRIBUTE)
    name, holder = parts.get("name", ""), _ATTRIBUTE_FIELDS.get(parts.get("type", 0))
    given = set(parts) & set(_ATTRIBUTE_FIELDS.values())
    if holder is None or not given <= {holder}:
        raise GraphError(f"has an attribute {name[:40]!r} of a type that is not supported")
    empty: dict[str, Attribute] = {"f": 0.0, "i": 0, "s": "", "floats": [], "ints": []}
    return name, parts.get(holder, empty[holder])


def _constant(view: memoryview) -> tuple[str, Tensor]:
    parts = _message(view, _TENSOR)
    name, shape, raw = parts.get("name", ""), tuple(parts.get("dims", ())), parts.get("raw_data", b"")
    dtype = _DTYPES.get(parts.get("data_type", 0))
    if dtype is None:
        raise GraphError(f"has a constant {name[:40]!r} of type {parts.get('data_type')}, which is not supported")
    if len(shape) > MAX_RANK or min(shape, default=1) < 1:
        raise GraphError(f"has a constant {name[:40]!r} of an impossible shape")
    n_numbers = math.prod(shape)
    if n_numbers * np.dtype(dtype).itemsize != len(raw):
        raise GraphError(f"has a constant {name[:40]!r} with {len(raw)} bytes for {n_numbers} numbers")
    return name, Tensor(shape, np.frombuffer(raw, dtype).reshape(shape) if n_numbers <= SMALL else None)


def _declared(view: memoryview) -> tuple[str, Declared]:
    parts = _message(view, _VALUE)
    name = parts.get("name", "")
    kind = _message(_message(parts.get("type", b""), _TYPE).get("tensor_type", b""), _TENSOR_TYPE)
    if "shape" not in kind:
        return name, Declared(kind.get("elem_type", 0), None)
    sides: list[int | str | None] = []
    for entry in _message(kind["shape"], _SHAPE).get("dim", []):
        side = _message(entry, _DIM)
        if "dim_value" in side and "dim_param" in side:
            raise GraphError(f"declares a side of {name[:40]!r} twice")
        sides.append(side.get("dim_value", side.get("dim_param") or None))
    return name, Declared(kind.get("elem_type", 0), tuple(sides))


# Protocol Buffers --------------------------------------------------------------------------------------------------


def _message(view: memoryview | bytes, spec: _Spec) -> dict[str, Any]:
    """Return the fields of a message by name. Repeated fields are lists."""
    found: dict[str, Any] = {}
    for number, wire, value in _fields(memoryview(view)):
        name, kind, many = spec.get(number, (f"of number {number}", None, _ONE))
        if kind is None:
            raise GraphError(f"has a field {name}, which Clavilux does not export")
        values = _values(wire, value, kind, many)
        if many:
            found.setdefault(name, []).extend(values)
        elif name in found:  # Protocol Buffers would merge the two
            raise GraphError(f"has the field {name} twice")
        else:
            found[name] = values[0]
    return found


def _values(wire: int, value: Any, kind: str, many: bool) -> list[Any]:
    """Return the values of one field: several if the field is packed, otherwise one."""
    if kind == _INT and wire == _VARINT:
        return [_signed(value)]
    if kind == _FLOAT and wire == _FOUR_BYTES:
        return [struct.unpack("<f", value)[0]]
    if kind == _BLOB and wire == _BYTES:
        return [value]
    if kind == _TEXT and wire == _BYTES:
        try:
            return [str(value, "utf-8")]
        except UnicodeDecodeError as error:
            raise GraphError("has a name that is not UTF-8") from error
    if many and wire == _BYTES and kind == _FLOAT and len(value) % 4 == 0:
        return list(struct.unpack(f"<{len(value) // 4}f", value))
    if many and wire == _BYTES and kind == _INT:
        numbers, at = [], 0
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(_signed(number))
        return numbers
    raise GraphError("is no ONNX file, or a damaged one")


def _fields(view: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield field number, wire type and value of each field of a message."""
    at, end = 0, len(view)
    while at < end:
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield number, wire, value
            continue
        size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire)
        if wire == _BYTES:
            size, at = _varint(view, at)
        if size is None or size > end - at or number == 0:
            raise GraphError("is no ONNX file, or a damaged one")
        yield number, wire, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the variable-length integer at a position, and the position after it."""
    number = 0
    for shift in range(0, 64, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise GraphError("is no ONNX file, or a damaged one")


def _signed(number: int) -> int:
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number
