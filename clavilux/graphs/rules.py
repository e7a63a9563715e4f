"""Shape inference of ONNX operators: the shapes of their outputs, and the multiplications and the memory they need.

`RULES` has a rule for each allowed operator. Only the operators that `clavilux.training.export` writes are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clavilux.graphs.onnx_file import MAX_RANK, SMALL, Attribute, GraphError, Node, Shape, Tensor

SLOW = 16  # cost of one output number of an operator that is not a matrix product, in multiplications

_ATTRIBUTES: dict[str, type] = {
    **dict.fromkeys(("axis", "start", "end", "allowzero", "keepdims", "noop_with_empty_axes", "num_outputs"), int),
    **dict.fromkeys(("transA", "transB", "group", "antialias", "exclude_outside", "to"), int),
    **dict.fromkeys(("perm", "kernel_shape", "strides", "pads", "dilations", "output_padding"), list),
    **dict.fromkeys(("alpha", "beta", "epsilon", "cubic_coeff_a", "extrapolation_value"), float),
    **dict.fromkeys(("auto_pad", "mode", "nearest_mode", "coordinate_transformation_mode", "equation"), str),
    "keep_aspect_ratio_policy": str,
}
"""Attribute -> its type, which is the same in every operator. Lists contain integers."""

_ONLY: dict[str, tuple[Any, ...]] = {
    "auto_pad": ("NOTSET",),
    "mode": ("nearest", "linear"),
    "antialias": (0,),
    "keep_aspect_ratio_policy": ("stretch",),
    "noop_with_empty_axes": (0,),
}
"""Attribute -> its allowed values, if not all values are allowed."""

_WINDOW = ("auto_pad", "kernel_shape", "strides", "pads", "dilations")
_RESIZE = ("antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value")


@dataclass
class Call:
    """One operator with its inputs. Its rule sets ``work`` and ``scratch``."""

    node: Node
    inputs: list[Tensor | None]  # None for an optional input that is omitted
    work: int = 0  # multiplications
    scratch: int = 0  # temporary numbers in memory, in addition to inputs and outputs

    def tensor(self, index: int) -> Tensor:
        """Return the input with this index, counted from 0. Raise a `GraphError` if it is missing."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise GraphError(f"has an operator {self.node.op} without its input {index}")
        return value

    def has(self, index: int) -> bool:
        """Return whether the optional input with this index, counted from 0, is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def numbers(self, index: int) -> list[Any]:
        """Return the values of a 0- or 1-dimensional input. Raise a `GraphError` if they are not known beforehand."""
        value = self.tensor(index)
        if value.numbers is None or len(value.shape) > 1:
            raise GraphError(f"has an operator {self.node.op} whose size is not known beforehand")
        return [number.item() for number in value.numbers.ravel()]

    def axis(self, default: int, rank: int) -> int:
        """Return the attribute ``axis``, or ``default`` if it is missing, converted to 0 to rank - 1."""
        return _axis(self.attribute("axis", default), rank)

    def attribute(self, name: str, default: Any) -> Any:
        """Return the value of an attribute, or ``default`` if the operator does not have it."""
        return self.node.attributes.get(name, default)


Rule = Callable[[Call], list[Tensor]]
RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {}
"""Allowed operator -> function that returns its outputs, and names of its allowed attributes."""


def calculate(call: Call) -> list[Tensor]:
    """Return the outputs of an operator, and set its cost in ``call``.

    Raises
    ------
    GraphError
        If the operator, one of its attributes, or the shape of an output is not allowed.
    """
    node = call.node
    if node.op not in RULES:
        raise GraphError(f"uses the operator {node.op[:40]!r}; networks that Clavilux exports do not")
    rule, names = RULES[node.op]
    for name, value in node.attributes.items():
        if name not in names or not _has_type(value, _ATTRIBUTES[name]):
            raise GraphError(f"has an operator {node.op} with an attribute {name[:40]!r} that is not supported")
        if name in _ONLY and value not in _ONLY[name]:
            raise GraphError(f"has an operator {node.op} with {name} = {str(value)[:40]!r}, which is not supported")
    misfit = f"has an operator {node.op} that does not fit its inputs"
    try:
        outputs = rule(call)
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise GraphError(misfit) from error
    if len(outputs) != len(node.outputs):
        raise GraphError(f"has an operator {node.op} with {len(node.outputs)} outputs")
    if any(len(tensor.shape) > MAX_RANK or min(tensor.shape, default=1) < 1 for tensor in outputs):
        raise GraphError(misfit)
    return outputs


def _rule(*ops: str, attributes: tuple[str, ...] = ()) -> Callable[[Rule], Rule]:
    """Return a decorator that adds a function to `RULES`, for operators with these attributes."""

    def add(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, (rule, attributes)))
        return rule

    return add


def _has_type(value: Attribute, kind: type) -> bool:
    if isinstance(value, list):
        return kind is list and all(isinstance(number, int) for number in value)
    return isinstance(value, kind)


def _require(fits: bool) -> None:
    if not fits:
        raise ValueError


def _axis(axis: int, rank: int) -> int:
    _require(-rank <= axis < rank)
    return axis % rank


@_rule("Relu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Neg", "Floor", "Reciprocal", "Erf")
@_rule("Sin", "Cos", "Atan", "Softplus", "Identity", "Clip")
@_rule("Softmax", "LogSoftmax", attributes=("axis",))
@_rule("InstanceNormalization", attributes=("epsilon",))
@_rule("Cast", attributes=("to",))
def _same(call: Call) -> list[Tensor]:
    return [Tensor(call.tensor(0).shape)]


@_rule("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Where", "Equal", "Greater", "Less")
def _elementwise(call: Call) -> list[Tensor]:
    return [Tensor(np.broadcast_shapes(*(call.tensor(index).shape for index in range(len(call.inputs)))))]


@_rule("Shape", attributes=("start", "end"))
def _shape(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape[call.attribute("start", 0) : call.attribute("end", None)]
    return [Tensor((len(shape),), np.array(shape, np.int64))]


@_rule("Reshape", attributes=("allowzero",))
def _reshape(call: Call) -> list[Tensor]:
    shape, wanted = call.tensor(0).shape, call.numbers(1)
    sizes = [shape[i] if size == 0 and not call.attribute("allowzero", 0) else size for i, size in enumerate(wanted)]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = math.prod(shape) // math.prod(size for size in sizes if size != -1)
    _require(math.prod(sizes) == math.prod(shape))
    return [Tensor(tuple(sizes))]


@_rule("Flatten", attributes=("axis",))
def _flatten(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    axis = call.axis(1, len(shape))
    return [Tensor((math.prod(shape[:axis]), math.prod(shape[axis:])))]


@_rule("Expand")
def _expand(call: Call) -> list[Tensor]:
    return [Tensor(np.broadcast_shapes(call.tensor(0).shape, tuple(call.numbers(1))))]


@_rule("Transpose", attributes=("perm",))
def _transpose(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    order = call.attribute("perm", list(range(len(shape)))[::-1])
    _require(sorted(order) == list(range(len(shape))))
    return [Tensor(tuple(shape[axis] for axis in order))]


@_rule("Squeeze")
def _squeeze(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    axes = {_axis(axis, len(shape)) for axis in call.numbers(1)}
    _require(all(shape[axis] == 1 for axis in axes))
    return [Tensor(tuple(size for axis, size in enumerate(shape) if axis not in axes))]


@_rule("Unsqueeze")
def _unsqueeze(call: Call) -> list[Tensor]:
    shape, axes = list(call.tensor(0).shape), call.numbers(1)
    for axis in sorted(_axis(axis, len(shape) + len(axes)) for axis in axes):
        shape.insert(axis, 1)
    return [Tensor(tuple(shape))]


@_rule("Concat", attributes=("axis",))
def _concat(call: Call) -> list[Tensor]:
    tensors = [call.tensor(index) for index in range(len(call.inputs))]
    first = tensors[0].shape
    axis = call.axis(0, len(first))
    _require(all(t.shape[:axis] == first[:axis] and t.shape[axis + 1 :] == first[axis + 1 :] for t in tensors))
    shape = (*first[:axis], sum(t.shape[axis] for t in tensors), *first[axis + 1 :])
    numbers = [t.numbers for t in tensors if t.numbers is not None]
    if len(numbers) < len(tensors) or math.prod(shape) > SMALL:
        return [Tensor(shape)]
    return [Tensor(shape, np.concatenate(numbers, axis))]


@_rule("Split", attributes=("axis", "num_outputs"))
def _split(call: Call) -> list[Tensor]:
    shape, n_parts = call.tensor(0).shape, len(call.node.outputs)
    axis = call.axis(0, len(shape))
    if call.has(1):
        sizes = call.numbers(1)
    else:
        size = math.ceil(shape[axis] / call.attribute("num_outputs", n_parts))
        sizes = [size] * (n_parts - 1) + [shape[axis] - size * (n_parts - 1)]
    _require(sum(sizes) == shape[axis] and min(sizes) >= 1)
    return [Tensor((*shape[:axis], size, *shape[axis + 1 :])) for size in sizes]


@_rule("Slice")
def _slice(call: Call) -> list[Tensor]:
    shape, starts, ends = list(call.tensor(0).shape), call.numbers(1), call.numbers(2)
    axes = call.numbers(3) if call.has(3) else range(len(starts))
    steps = call.numbers(4) if call.has(4) else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = _axis(axis, len(shape))
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return [Tensor(tuple(shape))]


@_rule("Gather", attributes=("axis",))
def _gather(call: Call) -> list[Tensor]:
    shape, indices = call.tensor(0).shape, call.tensor(1).shape
    axis = call.axis(0, len(shape))
    return [Tensor((*shape[:axis], *indices, *shape[axis + 1 :]))]


@_rule("Resize", attributes=(*_RESIZE, "keep_aspect_ratio_policy", "mode", "nearest_mode"))
def _resize(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    _require(not call.has(1))  # a region of interest
    if call.has(2):
        factors = call.numbers(2)
        sizes = [int(np.floor(np.float32(size) * np.float32(f))) for size, f in zip(shape, factors, strict=True)]
    else:
        sizes = call.numbers(3)
    _require(len(sizes) == len(shape))
    call.work = 4 * SLOW * math.prod(sizes)
    return [Tensor(tuple(sizes))]


@_rule("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2", attributes=("keepdims", "noop_with_empty_axes"))
def _reduce(call: Call) -> list[Tensor]:
    shape = call.tensor(0).shape
    axes = {_axis(axis, len(shape)) for axis in (call.numbers(1) if call.has(1) else range(len(shape)))}
    keep = call.attribute("keepdims", 1)
    return [Tensor(tuple(1 if axis in axes else n for axis, n in enumerate(shape) if keep or axis not in axes))]


@_rule("MatMul")
def _matmul(call: Call) -> list[Tensor]:
    left, right = call.tensor(0).shape, call.tensor(1).shape
    a = (1, *left) if len(left) == 1 else left
    b = (*right, 1) if len(right) == 1 else right
    _require(a[-1] == b[-2])
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    call.work = math.prod(batch) * a[-2] * a[-1] * b[-1]
    rows, columns = left[-2:-1], b[-1:] if len(right) > 1 else ()
    return [Tensor((*batch, *rows, *columns))]


@_rule("Gemm", attributes=("alpha", "beta", "transA", "transB"))
def _gemm(call: Call) -> list[Tensor]:
    (rows, inner), (other, columns) = (
        call.tensor(index).shape[:: -1 if call.attribute(name, 0) else 1]
        for index, name in ((0, "transA"), (1, "transB"))
    )
    _require(inner == other)
    call.work = rows * inner * columns
    return [Tensor((rows, columns))]


@_rule("Einsum", attributes=("equation",))
def _einsum(call: Call) -> list[Tensor]:
    left, arrow, right = call.attribute("equation", "").replace(" ", "").partition("->")
    terms, sizes = left.split(","), dict[str, int]()
    _require(arrow != "" and set(left) <= set("abcdefghijklmnopqrstuvwxyz,") and len(terms) == len(call.inputs))
    for index, term in enumerate(terms):
        for letter, size in zip(term, call.tensor(index).shape, strict=True):
            _require(sizes.setdefault(letter, size) == size)
    _require(set(right) <= set(sizes) and len(set(right)) == len(right))
    call.work = call.scratch = math.prod(sizes.values())
    return [Tensor(tuple(sizes[letter] for letter in right))]


def _window(call: Call, kernel: Shape, n_spatial: int) -> list[tuple[int, int, int, int]]:
    """Return dilated kernel size, stride, padding before and padding after, for each spatial dimension."""
    strides, dilations = (call.attribute(name, [1] * n_spatial) for name in ("strides", "dilations"))
    pads = call.attribute("pads", [0] * 2 * n_spatial)
    _require(len(kernel) == len(strides) == len(dilations) == n_spatial >= 1 and len(pads) == 2 * n_spatial)
    _require(call.attribute("kernel_shape", list(kernel)) == list(kernel))
    _require(min(*kernel, *strides, *dilations) >= 1 and min(pads) >= 0)
    sides = [dilation * (side - 1) + 1 for side, dilation in zip(kernel, dilations, strict=True)]
    return list(zip(sides, strides, pads[:n_spatial], pads[n_spatial:], strict=True))


def _slide(call: Call, shape: Shape, kernel: Shape) -> Shape:
    """Return the spatial shape of the output of a convolution or pooling over maps (B, C, ...)."""
    windows = _window(call, kernel, len(shape) - 2)
    return tuple(
        (size + before + after - side) // step + 1
        for size, (side, step, before, after) in zip(shape[2:], windows, strict=True)
    )


@_rule("Conv", attributes=(*_WINDOW, "group"))
def _conv(call: Call) -> list[Tensor]:
    shape, weight, group = call.tensor(0).shape, call.tensor(1).shape, call.attribute("group", 1)
    sides = _slide(call, shape, weight[2:])
    _require(group >= 1 and shape[1] == weight[1] * group and weight[0] % group == 0)
    each = math.prod(weight[1:]) * math.prod(sides)  # multiplications per output map
    call.work, call.scratch = shape[0] * weight[0] * each, each * group
    return [Tensor((shape[0], weight[0], *sides))]


@_rule("ConvTranspose", attributes=(*_WINDOW, "group", "output_padding"))
def _conv_transpose(call: Call) -> list[Tensor]:
    shape, weight, group = call.tensor(0).shape, call.tensor(1).shape, call.attribute("group", 1)
    windows = _window(call, weight[2:], len(shape) - 2)
    more = call.attribute("output_padding", [0] * len(windows))
    _require(group >= 1 and shape[1] == weight[0] and weight[0] % group == 0)
    _require(len(more) == len(windows) and min(more) >= 0)
    sides = tuple(
        step * (size - 1) + extra + side - before - after
        for size, (side, step, before, after), extra in zip(shape[2:], windows, more, strict=True)
    )
    each = math.prod(weight[1:]) * math.prod(shape[2:])
    call.work, call.scratch = shape[0] * shape[1] * each, each * group
    return [Tensor((shape[0], weight[1] * group, *sides))]


@_rule("AveragePool", attributes=_WINDOW[:4])
def _pool(call: Call) -> list[Tensor]:
    shape, kernel = call.tensor(0).shape, tuple(call.attribute("kernel_shape", []))
    sides = _slide(call, shape, kernel)
    call.work = SLOW * math.prod(shape[:2]) * math.prod(sides) * math.prod(kernel)
    return [Tensor((*shape[:2], *sides))]
