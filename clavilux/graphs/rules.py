"""Shape inference of ONNX operators: shapes of the outputs and number of multiplications.

`RULES` has all allowed operators: those that `clavilux.training.export` writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.graphs.onnx_file import MAX_RANK, SMALL, GraphError, Node

SLOW = 16  # cost, in multiplications, of one output number of an operator that is not a matrix product

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """Shape of a tensor, and its values if they are known before the network runs."""

    shape: Shape
    numbers: NDArray[Any] | None = None  # None if the values depend on the input of the network, or are not needed


class Call:
    """One operator with its inputs and, once its rule has run, its cost.

    Attributes
    ----------
    node : Node
    inputs : list of Tensor or None
        None for an omitted optional input.
    work : int
        Multiplications.
    scratch : int
        Temporary numbers in memory besides inputs and outputs.
    """

    def __init__(self, node: Node, inputs: list[Tensor | None]) -> None:
        self.node, self.inputs = node, inputs
        self.work = self.scratch = 0

    def tensor(self, place: int) -> Tensor:
        """Return the required input number ``place``, from 0; raise a `GraphError` if it is missing."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if value is None:
            raise GraphError(f"has an operator {self.node.op} without its input {place}")
        return value

    def has(self, place: int) -> bool:
        """Return whether the optional input number ``place``, from 0, is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def numbers(self, place: int) -> list[Any]:
        """Return the values of input number ``place``, which determines shapes; raise a `GraphError` if not known."""
        value = self.tensor(place)
        if value.numbers is None or len(value.shape) > 1:
            raise GraphError(f"has an operator {self.node.op} whose size is not known beforehand")
        return [number.item() for number in value.numbers.ravel()]

    def axis(self, default: int, rank: int) -> int:
        """Return the attribute ``axis``, or ``default``, as an axis from 0 to rank - 1."""
        return _axis(self.attribute("axis", default), rank)

    def attribute(self, name: str, default: Any) -> Any:
        """Return the value of an attribute, or ``default`` if the operator does not state it."""
        return self.node.attributes.get(name, default)


Rule = Callable[[Call], list[Tensor]]


def calculate(call: Call) -> list[Tensor]:
    """Return the outputs of an operator; raise a `GraphError` if it, its attributes or its outputs are not allowed."""
    node = call.node
    if node.op not in RULES:
        raise GraphError(f"uses the operator {node.op[:40]!r}; networks that Clavilux exports do not")
    rule, names = RULES[node.op]
    for name, value in node.attributes.items():
        kind = _ATTRIBUTES.get(name) if name in names else None
        fits = isinstance(value, list) and all(isinstance(v, int) for v in value) if kind is list else None
        if kind is None or (not isinstance(value, kind) if fits is None else not fits):
            raise GraphError(f"has an operator {node.op} with an attribute {name[:40]!r} that is not run")
        if name in _ONLY and value not in _ONLY[name]:
            raise GraphError(f"has an operator {node.op} with {name} = {str(value)[:40]!r}, which is not run")
    try:
        outputs = rule(call)
    except (ValueError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise GraphError(f"has an operator {node.op} that does not fit its inputs") from error
    if len(outputs) != len(node.outputs):
        raise GraphError(f"has an operator {node.op} with {len(node.outputs)} outputs")
    for tensor in outputs:
        if len(tensor.shape) > MAX_RANK or min(tensor.shape, default=1) < 1:
            raise GraphError(f"has an operator {node.op} that does not fit its inputs")
    return outputs


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError
    return axis % rank


def _broadcast(*shapes: Shape) -> Shape:
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    if any(size not in (1, wanted) for shape in padded for size, wanted in zip(shape, result, strict=True)):
        raise ValueError
    return result


def _same(call: Call) -> list[Tensor]:
    return [Tensor(call.tensor(0).shape)]


def _elementwise(call: Call) -> list[Tensor]:
    return [Tensor(_broadcast(*(call.tensor(place).shape for place in range(len(call.inputs)))))]


def _shape(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape[call.attribute("start", 0) : call.attribute("end", None)]
    return [Tensor((len(shape),), np.array(shape, np.int64))]


def _reshape(call: Call) -> list[Tensor]:
    shape, wanted = call.tensor(0).shape, call.numbers(1)
    sizes = [shape[i] if size == 0 and not call.attribute("allowzero", 0) else size for i, size in enumerate(wanted)]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = math.prod(shape) // math.prod(size for size in sizes if size != -1)
    if math.prod(sizes) != math.prod(shape):
        raise ValueError
    return [Tensor(tuple(sizes))]


def _flatten(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    axis = call.axis(1, len(shape))
    return [Tensor((math.prod(shape[:axis]), math.prod(shape[axis:])))]


def _expand(call: Call) -> list[Tensor]:
    return [Tensor(_broadcast(call.tensor(0).shape, tuple(call.numbers(1))))]


def _transpose(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    order = call.attribute("perm", list(range(len(shape)))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise ValueError
    return [Tensor(tuple(shape[axis] for axis in order))]


def _squeeze(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    axes = {_axis(axis, len(shape)) for axis in call.numbers(1)}
    if any(shape[axis] != 1 for axis in axes):
        raise ValueError
    return [Tensor(tuple(size for axis, size in enumerate(shape) if axis not in axes))]


def _unsqueeze(call: Call) -> list[Tensor]:
    shape, axes = list(call.tensor(0).shape), call.numbers(1)
    for axis in sorted(_axis(axis, len(shape) + len(axes)) for axis in axes):
        shape.insert(axis, 1)
    return [Tensor(tuple(shape))]


def _concat(call: Call) -> list[Tensor]:
    tensors = [call.tensor(place) for place in range(len(call.inputs))]
    first = tensors[0].shape
    axis = call.axis(0, len(first))
    if any(t.shape[:axis] != first[:axis] or t.shape[axis + 1 :] != first[axis + 1 :] for t in tensors):
        raise ValueError
    shape = (*first[:axis], sum(t.shape[axis] for t in tensors), *first[axis + 1 :])
    numbers = [t.numbers for t in tensors if t.numbers is not None]
    if len(numbers) < len(tensors) or math.prod(shape) > SMALL:
        return [Tensor(shape)]
    return [Tensor(shape, np.concatenate(numbers, axis))]


def _split(call: Call) -> list[Tensor]:
    shape, n_parts = call.tensor(0).shape, len(call.node.outputs)
    axis = call.axis(0, len(shape))
    if call.has(1):
        sizes = call.numbers(1)
    else:
        size = math.ceil(shape[axis] / call.attribute("num_outputs", n_parts))
        sizes = [size] * (n_parts - 1) + [shape[axis] - size * (n_parts - 1)]
    if sum(sizes) != shape[axis] or min(sizes) < 1:
        raise ValueError
    return [Tensor((*shape[:axis], size, *shape[axis + 1 :])) for size in sizes]


def _slice(call: Call) -> list[Tensor]:
    shape, starts, ends = list(call.tensor(0).shape), call.numbers(1), call.numbers(2)
    axes = call.numbers(3) if call.has(3) else range(len(starts))
    steps = call.numbers(4) if call.has(4) else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = _axis(axis, len(shape))
        shape[place] = len(range(*slice(start, end, step).indices(shape[place])))
    return [Tensor(tuple(shape))]


def _gather(call: Call) -> list[Tensor]:
    shape, indices = call.tensor(0).shape, call.tensor(1).shape
    axis = call.axis(0, len(shape))
    return [Tensor((*shape[:axis], *indices, *shape[axis + 1 :]))]


def _resize(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    if call.has(1):
        raise ValueError
    if call.has(2):
        factors = call.numbers(2)
        sizes = [int(np.floor(np.float32(size) * np.float32(f))) for size, f in zip(shape, factors, strict=True)]
    else:
        sizes = call.numbers(3)
    if len(sizes) != len(shape):
        raise ValueError
    call.work = 4 * SLOW * math.prod(sizes)
    return [Tensor(tuple(sizes))]


def _reduce(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    axes = {_axis(axis, len(shape)) for axis in (call.numbers(1) if call.has(1) else range(len(shape)))}
    kept = [1] if call.attribute("keepdims", 1) else []
    sides = [kept if axis in axes else [size] for axis, size in enumerate(shape)]
    return [Tensor(tuple(size for side in sides for size in side))]


def _matmul(call: Call) -> list[Tensor]:
    left, right = call.tensor(0).shape, call.tensor(1).shape
    a = (1, *left) if len(left) == 1 else left
    b = (*right, 1) if len(right) == 1 else right
    if a[-1] != b[-2]:
        raise ValueError
    batch = _broadcast(a[:-2], b[:-2]) if len(a) > 2 or len(b) > 2 else ()
    call.work = math.prod(batch) * a[-2] * a[-1] * b[-1]
    return [Tensor((*batch, *a[-2:-1][: len(left) > 1], *b[-1:][: len(right) > 1]))]


def _gemm(call: Call) -> list[Tensor]:
    (rows, inner), (other, columns) = (
        call.tensor(place).shape[:: -1 if call.attribute(name, 0) else 1]
        for place, name in ((0, "transA"), (1, "transB"))
    )
    if inner != other:
        raise ValueError
    call.work = rows * inner * columns
    return [Tensor((rows, columns))]


def _einsum(call: Call) -> list[Tensor]:
    left, arrow, right = call.attribute("equation", "").replace(" ", "").partition("->")
    terms, sizes = left.split(","), dict[str, int]()
    if not arrow or not set(left + right) <= set("abcdefghijklmnopqrstuvwxyz,") or "," in right:
        raise ValueError
    for place, term in enumerate(terms):
        for letter, size in zip(term, call.tensor(place).shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError
    if len(terms) != len(call.inputs) or not set(right) <= set(sizes) or len(set(right)) != len(right):
        raise ValueError
    call.work = call.scratch = math.prod(sizes.values())
    return [Tensor(tuple(sizes[letter] for letter in right))]


def _window(call: Call, kernel: Shape, n_spatial: int) -> list[tuple[int, int, int, int]]:
    """Return dilated kernel size, stride, padding before and padding after, for each spatial dimension."""
    strides, dilations = (call.attribute(name, [1] * n_spatial) for name in ("strides", "dilations"))
    pads = call.attribute("pads", [0] * 2 * n_spatial)
    if not len(kernel) == len(strides) == len(dilations) == n_spatial or len(pads) != 2 * n_spatial or n_spatial < 1:
        raise ValueError
    if list(call.attribute("kernel_shape", list(kernel))) != list(kernel):
        raise ValueError
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError
    return [
        (gap * (side - 1) + 1, step, before, behind)
        for side, gap, step, before, behind in zip(
            kernel, dilations, strides, pads[:n_spatial], pads[n_spatial:], strict=True
        )
    ]


def _slide(call: Call, shape: Shape, kernel: Shape) -> Shape:
    """Return the spatial shape of the output of a convolution or pooling over maps (B, C, ...)."""
    windows = _window(call, kernel, len(shape) - 2)
    return tuple(
        (size + before + behind - reach) // step + 1
        for size, (reach, step, before, behind) in zip(shape[2:], windows, strict=True)
    )


def _conv(call: Call) -> list[Tensor]:
    shape, weight, group = call.tensor(0).shape, call.tensor(1).shape, call.attribute("group", 1)
    sides = _slide(call, shape, weight[2:])
    if group < 1 or shape[1] != weight[1] * group or weight[0] % group:
        raise ValueError
    each = math.prod(weight[1:]) * math.prod(sides)  # multiplications per output map
    call.work, call.scratch = shape[0] * weight[0] * each, each * group
    return [Tensor((shape[0], weight[0], *sides))]


def _conv_transpose(call: Call) -> list[Tensor]:
    shape, weight, group = call.tensor(0).shape, call.tensor(1).shape, call.attribute("group", 1)
    windows = _window(call, weight[2:], len(shape) - 2)
    more = call.attribute("output_padding", [0] * len(windows))
    if group < 1 or shape[1] != weight[0] or weight[0] % group or len(more) != len(windows) or min(more) < 0:
        raise ValueError
    sides = tuple(
        step * (size - 1) + extra + reach - before - behind
        for size, (reach, step, before, behind), extra in zip(shape[2:], windows, more, strict=True)
    )
    each = math.prod(weight[1:]) * math.prod(shape[2:])
    call.work, call.scratch = shape[0] * shape[1] * each, each * group
    return [Tensor((shape[0], weight[1] * group, *sides))]


def _pool(call: Call) -> list[Tensor]:
    shape, kernel = call.tensor(0).shape, tuple(call.attribute("kernel_shape", []))
    sides = _slide(call, shape, kernel)
    call.work = SLOW * math.prod(shape[:2]) * math.prod(sides) * math.prod(kernel)
    return [Tensor((*shape[:2], *sides))]


_ATTRIBUTES: dict[str, type] = {
    **dict.fromkeys(("axis", "start", "end", "allowzero", "keepdims", "noop_with_empty_axes", "num_outputs"), int),
    **dict.fromkeys(("transA", "transB", "group", "antialias", "exclude_outside", "to"), int),
    **dict.fromkeys(("perm", "kernel_shape", "strides", "pads", "dilations", "output_padding"), list),
    **dict.fromkeys(("alpha", "beta", "epsilon", "cubic_coeff_a", "extrapolation_value"), float),
    **dict.fromkeys(("auto_pad", "mode", "nearest_mode", "coordinate_transformation_mode", "equation"), str),
    "keep_aspect_ratio_policy": str,
}
"""Attribute -> its type, the same in every operator."""

_ONLY: dict[str, tuple[Any, ...]] = {
    "auto_pad": ("NOTSET",),
    "mode": ("nearest", "linear"),
    "antialias": (0,),
    "keep_aspect_ratio_policy": ("stretch",),
    "noop_with_empty_axes": (0,),
}
"""Attribute -> its allowed values."""

_SLIDING = ("auto_pad", "kernel_shape", "strides", "pads", "dilations")
RULES: dict[str, tuple[Rule, frozenset[str]]] = {
    op: (rule, frozenset(names))
    for rule, ops, names in (
        (_same, ("Relu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Neg", "Floor", "Reciprocal", "Erf"), ()),
        (_same, ("Sin", "Cos", "Atan", "Softplus", "Identity", "Clip"), ()),
        (_same, ("Softmax", "LogSoftmax"), ("axis",)),
        (_same, ("InstanceNormalization",), ("epsilon",)),
        (_same, ("Cast",), ("to",)),
        (_elementwise, ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Where", "Equal", "Greater", "Less"), ()),
        (_shape, ("Shape",), ("start", "end")),
        (_reshape, ("Reshape",), ("allowzero",)),
        (_flatten, ("Flatten",), ("axis",)),
        (_expand, ("Expand",), ()),
        (_transpose, ("Transpose",), ("perm",)),
        (_squeeze, ("Squeeze",), ()),
        (_unsqueeze, ("Unsqueeze",), ()),
        (_concat, ("Concat",), ("axis",)),
        (_split, ("Split",), ("axis", "num_outputs")),
        (_slice, ("Slice",), ()),
        (_gather, ("Gather",), ("axis",)),
        (
            _resize,
            ("Resize",),
            (
                *("antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside"),
                *("extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"),
            ),
        ),
        (_reduce, ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"), ("keepdims", "noop_with_empty_axes")),
        (_matmul, ("MatMul",), ()),
        (_gemm, ("Gemm",), ("alpha", "beta", "transA", "transB")),
        (_einsum, ("Einsum",), ("equation",)),
        (_conv, ("Conv",), (*_SLIDING, "group")),
        (_conv_transpose, ("ConvTranspose",), (*_SLIDING, "group", "output_padding")),
        (_pool, ("AveragePool",), (*_SLIDING[:4],)),
    )
    for op in ops
}
"""Allowed operator -> rule of its shapes, allowed attributes."""
