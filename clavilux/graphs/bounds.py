"""Memory and time that an untrusted network needs, computed before anything is allocated.

The shape of every tensor must depend only on the shape of the input. One pass over the operators, with the rules of
`clavilux.graphs.rules`, then bounds memory and time, including the constant folding of ONNX Runtime.
"""

from __future__ import annotations

import math
from typing import Any

from clavilux.card import Network
from clavilux.graphs.onnx_file import FLOAT32, Constant, Declared, Graph, GraphError
from clavilux.graphs.rules import SLOW, Call, Shape, Tensor, calculate

MAX_NUMBERS = 2**29  # of all tensors of one run together, 2 GiB as float32; exported networks need up to 2e8
MAX_WORK = 2 * 10**10  # multiplications of one run, one or two seconds; exported networks need up to 6e9


def output_shapes(graph: Graph, inputs: dict[str, Shape]) -> dict[str, Shape]:
    """Return the shapes of the outputs of a network by name, for given shapes of its inputs by name.

    Raises
    ------
    GraphError
        If an operator is unknown or does not fit its inputs, a shape depends on values of the input, the file declares
        other shapes, or the network exceeds `MAX_NUMBERS` or `MAX_WORK`.
    """
    known: dict[str, Tensor] = {name: _of_constant(constant) for name, constant in graph.constants.items()}
    sides: dict[str, int] = {}  # values of the symbolic dimensions of the file
    n_numbers = work = 0
    for name, shape in inputs.items():
        _define(known, name, Tensor(shape), graph, sides)
    for node in graph.nodes:
        call = Call(node, [_used(known, name, node.op) for name in node.inputs])
        for name, tensor in zip(node.outputs, calculate(call), strict=True):
            _define(known, name, tensor, graph, sides)
            n_numbers += math.prod(tensor.shape)
            work += SLOW * math.prod(tensor.shape)
        n_numbers += call.scratch
        work += call.work
        if n_numbers > MAX_NUMBERS or work > MAX_WORK:
            raise GraphError(
                f"needs too much at its operator {node.op}: more than {MAX_NUMBERS:.1e} numbers in memory or "
                f"{MAX_WORK:.1e} multiplications"
            )
    absent = [name for name in graph.outputs if name not in known]
    if absent:
        raise GraphError(f"has an output {absent[0][:40]!r} that nothing calculates")
    return {name: known[name].shape for name in graph.outputs}


def check_network(graph: Graph, contract: Network, n: int, sides: Shape, letters: dict[str, int], /) -> None:
    """Raise a `GraphError` unless a network has the required inputs and outputs and is small enough.

    Parameters
    ----------
    graph : Graph
        From `clavilux.graphs.onnx_file.read_graph`.
    contract : Network
        Required names and shapes of input and outputs, without the batch dimension.
    n : int
        Batch size.
    sides : tuple of int
        Shape of one input.
    letters : dict
        Values of letters in ``contract``; other letters may have any value.

    Raises
    ------
    GraphError
        If inputs or outputs differ from ``contract``, or the network is too large (`output_shapes`).
    """
    inputs = {name: declared.sides for name, declared in graph.inputs.items() if name not in graph.constants}
    if list(inputs) != [contract.takes] or (inputs[contract.takes] or ())[1:] != sides:
        wanted = ", ".join(str(side) for side in sides)
        raise GraphError(f"takes {_shown(inputs)}; it should take {contract.takes} (B, {wanted})")
    if set(graph.outputs) != set(contract.gives):
        given = ", ".join(sorted(graph.outputs))[:100]
        raise GraphError(f"gives {given}; it should give {', '.join(sorted(contract.gives))}")
    if any(declared.elem_type != FLOAT32 for declared in (*graph.inputs.values(), *graph.outputs.values())):
        raise GraphError("takes or gives something else than float32")
    letters = dict(letters)
    for name, shape in output_shapes(graph, {contract.takes: (n, *sides)}).items():
        found = shape[1:]
        wanted_sides = contract.gives[name]
        as_wanted = len(found) == len(wanted_sides) and all(
            size == (letters.setdefault(side, size) if isinstance(side, str) else side)
            for size, side in zip(found, wanted_sides, strict=True)
        )
        if shape[:1] != (n,) or not as_wanted:
            agreed = tuple(letters.get(side, side) if isinstance(side, str) else side for side in wanted_sides)
            raise GraphError(f"gives {name} of shape {shape} for {n} inputs; it should give {(n, *agreed)}")


def _shown(inputs: dict[str, Any]) -> str:
    return ", ".join(f"{name} {sides}" for name, sides in inputs.items())[:100]


def _of_constant(constant: Constant) -> Tensor:
    if 0 in constant.shape:
        raise GraphError("has a constant without numbers")
    return Tensor(constant.shape, constant.numbers)


def _used(known: dict[str, Tensor], name: str, op: str) -> Tensor | None:
    if name == "":
        return None
    if name not in known:
        raise GraphError(f"has an operator {op} that reads {name[:40]!r} before it is calculated")
    return known[name]


def _define(known: dict[str, Tensor], name: str, tensor: Tensor, graph: Graph, sides: dict[str, int]) -> None:
    """Add a tensor to ``known``, and compare its shape with the declarations in the file."""
    if name in known or not name:
        raise GraphError(f"calculates {name[:40]!r} twice")
    known[name] = tensor
    for declared in (graph.inputs, graph.outputs, graph.inner):
        if name in declared and not _as_declared(tensor.shape, declared[name], sides):
            raise GraphError(f"declares another shape of {name[:40]!r} than {tensor.shape}")


def _as_declared(shape: Shape, declared: Declared, sides: dict[str, int]) -> bool:
    if declared.sides is None:
        return True
    return len(shape) == len(declared.sides) and all(
        said is None or size == (said if isinstance(said, int) else sides.setdefault(said, size))
        for size, said in zip(shape, declared.sides, strict=True)
    )
