"""Check of the inputs, outputs, memory and time of an untrusted network, before anything is allocated.

The shape of every tensor must depend only on the shape of the input. One pass over the operators, with the rules of
`clavilux.graphs.rules`, then gives upper bounds of memory and time. They include the constant folding of ONNX Runtime.
"""

from __future__ import annotations

import math

from clavilux.card import Network
from clavilux.graphs.onnx_file import FLOAT32, Graph, GraphError, Shape, Tensor
from clavilux.graphs.rules import SLOW, Call, calculate

MAX_NUMBERS = 2**29  # of all tensors of one run together, 2 GiB as float32; exported networks need up to 2e8
MAX_WORK = 2 * 10**10  # multiplications of one run, one or two seconds; exported networks need up to 6e9


def output_shapes(graph: Graph, inputs: dict[str, Shape]) -> dict[str, Shape]:
    """Return the shapes of the outputs of a network, given those of its inputs; both are name -> shape.

    Raises
    ------
    GraphError
        If an operator is unknown or does not fit its inputs, a shape depends on values of the input, the file declares
        other shapes, or the network exceeds `MAX_NUMBERS` or `MAX_WORK`.
    """
    known = dict(graph.constants)
    symbols: dict[str, int] = {}  # values of the named dimensions of the file
    n_numbers = work = 0
    for name, shape in inputs.items():
        _define(known, name, Tensor(shape), graph, symbols)
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                raise GraphError(f"has an operator {node.op} that reads {name[:40]!r} before it is calculated")
        call = Call(node, [known[name] if name else None for name in node.inputs])
        for name, tensor in zip(node.outputs, calculate(call), strict=True):
            _define(known, name, tensor, graph, symbols)
            n_numbers += math.prod(tensor.shape)
            work += SLOW * math.prod(tensor.shape)
        n_numbers += call.scratch
        work += call.work
        if n_numbers > MAX_NUMBERS or work > MAX_WORK:
            raise GraphError(
                f"needs too much at its operator {node.op}: more than {MAX_NUMBERS:.1e} numbers in memory or "
                f"{MAX_WORK:.1e} multiplications"
            )
    for name in graph.outputs:
        if name not in known:
            raise GraphError(f"has an output {name[:40]!r} that nothing calculates")
    return {name: known[name].shape for name in graph.outputs}


def check_network(graph: Graph, expected: Network, n: int, shape: Shape, letters: dict[str, int], /) -> None:
    """Raise an error unless a network has the expected inputs and outputs and is small enough.

    Parameters
    ----------
    graph : Graph
        From `clavilux.graphs.onnx_file.read_graph`.
    expected : Network
        Names and shapes of the input and the outputs, without the batch dimension.
    n : int
        Batch size.
    shape : tuple of int
        Shape of the input, without the batch dimension.
    letters : dict
        Values of letters, such as D, that stand for sizes in the shapes of ``expected``. Other letters may have any
        value.

    Raises
    ------
    GraphError
        If inputs or outputs differ from ``expected``, or for the reasons of `output_shapes`.
    """
    inputs = {name: declared.sides for name, declared in graph.inputs.items() if name not in graph.constants}
    if list(inputs) != [expected.takes] or (inputs[expected.takes] or ())[1:] != shape:
        given = ", ".join(f"{name} {sides}" for name, sides in inputs.items())[:100]
        raise GraphError(f"takes {given}; it should take {expected.takes} (B, {', '.join(map(str, shape))})")
    if set(graph.outputs) != set(expected.gives):
        given = ", ".join(sorted(graph.outputs))[:100]
        raise GraphError(f"gives {given}; it should give {', '.join(sorted(expected.gives))}")
    if any(declared.elem_type != FLOAT32 for declared in (*graph.inputs.values(), *graph.outputs.values())):
        raise GraphError("takes or gives something else than float32")
    values = dict(letters)
    for name, found in output_shapes(graph, {expected.takes: (n, *shape)}).items():
        sides = (n, *expected.gives[name])
        if not _agrees(found, sides, values):
            agreed = tuple(values.get(side, side) if isinstance(side, str) else side for side in sides)
            raise GraphError(f"gives {name} of shape {found} for {n} inputs; it should give {agreed}")


def _define(known: dict[str, Tensor], name: str, tensor: Tensor, graph: Graph, symbols: dict[str, int]) -> None:
    """Add a tensor to ``known``, and compare its shape with the declarations in the file."""
    if name in known or not name:
        raise GraphError(f"calculates {name[:40]!r} twice")
    known[name] = tensor
    for declared in (graph.inputs, graph.outputs, graph.inner):
        sides = declared[name].sides if name in declared else None
        if sides is not None and not _agrees(tensor.shape, sides, symbols):
            raise GraphError(f"declares another shape of {name[:40]!r} than {tensor.shape}")


def _agrees(shape: Shape, sides: tuple[int | str | None, ...], symbols: dict[str, int]) -> bool:
    """Return whether a shape matches declared sides: None is any size, and a symbol has the size of its first use."""
    return len(shape) == len(sides) and all(
        side is None or size == (symbols.setdefault(side, size) if isinstance(side, str) else side)
        for size, side in zip(shape, sides, strict=True)
    )
