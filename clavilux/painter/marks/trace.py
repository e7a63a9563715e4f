"""Recording of mark fields as lists of operations, which compiled code can run.

function of a kind, called with `Traced` arrays -> **record** -> `Program` -> `clavilux.painter.compiled.programs`

The functions of the kinds are written for NumPy arrays. Called with a `Traced` instead of an array, they compute
nothing: NumPy passes each operation to the `Traced` (NEP 13 and NEP 18), which records it. Every kind is therefore
defined once. A program is run on a block of places at a time, whose intermediate results stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

FLOAT, WHOLE, BOOL, SIGNED = (np.dtype(t) for t in (np.float32, np.uint32, np.bool_, np.int32))


class Op(IntEnum):
    """Operations. Those with _C have a constant as second operand, those with C_ as first; U_ are of uint32."""

    ADD = 0
    ADD_C = auto()
    SUB = auto()
    C_SUB = auto()
    MUL = auto()
    MUL_C = auto()
    DIV = auto()
    DIV_C = auto()
    C_DIV = auto()
    MIN = auto()
    MIN_C = auto()
    MAX = auto()
    MAX_C = auto()
    FLOOR = auto()
    SQRT = auto()
    ABS = auto()
    SIN = auto()
    COS = auto()
    LOG = auto()
    EXP = auto()
    LESS = auto()
    LESS_C = auto()
    MORE_C = auto()
    AT_LEAST_C = auto()
    U_ADD = auto()
    U_ADD_C = auto()
    U_MUL = auto()
    U_MUL_C = auto()
    U_XOR = auto()
    U_XOR_C = auto()
    U_AND = auto()
    U_AND_C = auto()
    U_OR = auto()
    U_OR_C = auto()
    U_SHIFT_C = auto()
    U_MIN = auto()
    U_MAX = auto()
    U_LESS_C = auto()
    U_MORE_C = auto()
    TO_WHOLE = auto()
    TO_FLOAT = auto()
    FILL = auto()
    MIX = auto()
    UNIT = auto()
    MIX_UNIT = auto()
    CHOOSE = auto()
    NORMAL_TO_UNIFORM = auto()
    WAVES = auto()
    READ_FIELD = auto()


_PLAIN: dict[tuple[str, bool], Op] = {  # by NumPy's name, and whether the operands are floats
    ("floor", True): Op.FLOOR,
    ("sqrt", True): Op.SQRT,
    ("absolute", True): Op.ABS,
    ("sin", True): Op.SIN,
    ("cos", True): Op.COS,
    ("log", True): Op.LOG,
    ("exp", True): Op.EXP,
    ("add", True): Op.ADD,
    ("subtract", True): Op.SUB,
    ("multiply", True): Op.MUL,
    ("divide", True): Op.DIV,
    ("minimum", True): Op.MIN,
    ("maximum", True): Op.MAX,
    ("less", True): Op.LESS,
    ("add", False): Op.U_ADD,
    ("multiply", False): Op.U_MUL,
    ("bitwise_xor", False): Op.U_XOR,
    ("bitwise_and", False): Op.U_AND,
    ("bitwise_or", False): Op.U_OR,
    ("minimum", False): Op.U_MIN,
    ("maximum", False): Op.U_MAX,
}
_WITH_CONSTANT: dict[tuple[str, bool], Op] = {
    ("add", True): Op.ADD_C,
    ("multiply", True): Op.MUL_C,
    ("divide", True): Op.DIV_C,
    ("minimum", True): Op.MIN_C,
    ("maximum", True): Op.MAX_C,
    ("less", True): Op.LESS_C,
    ("greater", True): Op.MORE_C,
    ("greater_equal", True): Op.AT_LEAST_C,
    ("add", False): Op.U_ADD_C,
    ("multiply", False): Op.U_MUL_C,
    ("bitwise_xor", False): Op.U_XOR_C,
    ("bitwise_and", False): Op.U_AND_C,
    ("bitwise_or", False): Op.U_OR_C,
    ("right_shift", False): Op.U_SHIFT_C,
    ("less", False): Op.U_LESS_C,
    ("greater", False): Op.U_MORE_C,
}
_CONSTANT_FIRST = {"subtract": Op.C_SUB, "divide": Op.C_DIV}
_EITHER_WAY = ("add", "multiply", "minimum", "maximum", "bitwise_xor", "bitwise_and", "bitwise_or")
_COMPARE = ("less", "greater", "greater_equal")


@dataclass
class _Step:
    """One operation: the numbers of its operands, and the 32 bits of its constant."""

    op: Op
    operands: tuple[int, ...]
    constant: int = 0


class Tape:
    """The list of recorded operations. Values are numbered from 0; the inputs come first."""

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs = n_inputs
        self.steps: list[_Step] = []
        self.waves: list[tuple[np.float32, np.float32, np.float32]] = []
        self.tables: list[NDArray[np.float32]] = []

    def write(self, op: Op, operands: Sequence[int], constant: int = 0) -> int:
        """Append an operation and return the number of its result."""
        self.steps.append(_Step(op, tuple(operands), constant))
        return self.n_inputs + len(self.steps) - 1

    def find(self, value: int, op: Op) -> _Step | None:
        """Return the operation that computed a value if it is `op`, else None."""
        step = self.steps[value - self.n_inputs] if value >= self.n_inputs else None
        return step if step is not None and step.op == op else None


class Traced(NDArrayOperatorsMixin):
    """A stand-in for an array of n places, (n,) or (SLOTS, n), that records what is done with it."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tape: Tape, values: list[int], dtype: np.dtype[Any]) -> None:
        self._tape, self.values, self.dtype = tape, values, dtype

    size = -1  # the number of places is not known while recording

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: Any) -> Traced:
        return self if key is None else Traced(self._tape, [self.values[key]], self.dtype)

    def __setitem__(self, k: int, row: Traced) -> None:
        (self.values[k],) = row.values

    def view(self, dtype: Any) -> Traced:
        """Return the same bits as another type; unlike a NumPy view, it does not share later changes."""
        return Traced(self._tape, self.values.copy(), np.dtype(dtype))

    def astype(self, dtype: Any) -> Traced:
        """Return the values converted to a type, as NumPy converts them."""
        to = np.dtype(dtype)
        if (self.dtype == FLOAT) == (to == FLOAT):
            return self.view(to)
        return self._write(Op.TO_FLOAT if to == FLOAT else Op.TO_WHOLE, to, self)

    def _write(self, op: Op, dtype: np.dtype[Any], *operands: Traced, constant: int = 0) -> Traced:
        n = max(len(operand) for operand in operands)
        rows = [operand.values * (n // len(operand)) for operand in operands]  # one row is repeated for all slots
        return Traced(self._tape, [self._tape.write(op, some, constant) for some in zip(*rows, strict=True)], dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any) -> Traced:
        if method != "__call__" or options:
            raise NotImplementedError(f"{ufunc.__name__}.{method} cannot be recorded in a mark field")
        result = self._call(ufunc.__name__, *inputs)
        if not out:
            return result
        (target,) = out
        target.values = result.astype(target.dtype).values
        return target  # type: ignore[no-any-return]

    def _call(self, name: str, a: Any, b: Any = None) -> Traced:
        if name == "negative":
            return self._call("multiply", np.float32(-1), a) if a.dtype == FLOAT else self._call("add", ~a, 1)
        if name == "reciprocal":
            return self._call("divide", np.float32(1), a)
        if name == "power" and b == 2:
            return self._call("multiply", a, a)
        if name == "invert":
            return self._call("bitwise_xor", a, np.uint32(1 if a.dtype == BOOL else 0xFFFFFFFF)).view(a.dtype)
        if b is None:
            return self._write(_PLAIN[name, a.dtype == FLOAT], a.dtype, a)
        if not isinstance(a, Traced) and name in (*_EITHER_WAY, *_COMPARE):
            turned = {"less": "greater", "greater": "less"}
            a, b, name = b, a, turned.get(name, name) if name in _COMPARE else name
        dtype = self._common(a, b)
        result = BOOL if name in _COMPARE else dtype
        if isinstance(a, Traced) and isinstance(b, Traced):
            if name == "greater":
                a, b, name = b, a, "less"
            return self._write(_PLAIN[name, dtype == FLOAT], result, a.astype(dtype), b.astype(dtype))
        if not isinstance(a, Traced):
            return self._write(_CONSTANT_FIRST[name], result, b.astype(dtype), constant=_bits(a, dtype))
        if name == "subtract":
            name, b = "add", -b
        return self._write(_WITH_CONSTANT[name, dtype == FLOAT], result, a.astype(dtype), constant=_bits(b, dtype))

    @staticmethod
    def _common(a: Any, b: Any) -> np.dtype[Any]:
        """Return the type of the result by NumPy's rules."""
        kinds = [x.dtype if isinstance(x, Traced | np.generic) else x for x in (a, b)]
        common = np.result_type(*kinds)
        if common == np.int64:  # bool with a Python int
            common = SIGNED
        if common not in (FLOAT, WHOLE, BOOL, SIGNED):
            raise NotImplementedError(f"{common} in a mark field")
        return common

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        name = function.__name__
        if name == "clip":
            low, high = args[1:]
            return np.maximum(np.minimum(args[0], np.float32(high)), np.float32(low), **options)
        dtype = np.dtype(args[1 if name != "full_like" else 2] if len(args) > 1 + (name == "full_like") else self.dtype)
        if name == "empty_like":
            return Traced(self._tape, [-1] * options["shape"][0], dtype)
        fill = {"zeros_like": 0, "ones_like": 1}.get(name, args[1] if name == "full_like" else None)
        if fill is None:
            raise NotImplementedError(f"{name} cannot be recorded in a mark field")
        return Traced(self._tape, [self._tape.write(Op.FILL, (), _bits(fill, dtype))], dtype)

    # Functions that are one operation of a program.

    def mix(self) -> Traced:
        """Record `hashing.mix`, in place; the addition of a constant just before it becomes part of the operation."""
        before = self._tape.find(self.values[0], Op.U_ADD_C)
        if before is None:
            self.values = self._write(Op.MIX, WHOLE, self).values
        else:
            self.values = [self._tape.write(Op.MIX, before.operands, before.constant)]
        return self

    def unit(self) -> Traced:
        """Record `hashing.unit`; a `mix` just before it becomes part of the operation."""
        before = self._tape.find(self.values[0], Op.MIX)
        if before is None:
            return self._write(Op.UNIT, FLOAT, self)
        return Traced(self._tape, [self._tape.write(Op.MIX_UNIT, before.operands, before.constant)], FLOAT)

    def choose(self, a: Traced, b: Traced) -> Traced:
        """Record `hashing.choose` with this mask."""
        return self._write(Op.CHOOSE, a.dtype, self, a, b)

    def normal_to_uniform(self) -> Traced:
        """Record `place.normal_to_uniform`."""
        return self._write(Op.NORMAL_TO_UNIFORM, FLOAT, self)

    def sum_waves(self, t: Traced, waves: Sequence[tuple[np.float32, np.float32, np.float32]]) -> Traced:
        """Record the sum of plane waves at (self, t)."""
        start = len(self._tape.waves)
        self._tape.waves += waves
        return self._write(Op.WAVES, FLOAT, self, t, constant=start << 8 | len(waves))

    def read_field(self, t: Traced, table: NDArray[np.float32]) -> Traced:
        """Record `learnt.read_field` at (self, t)."""
        self._tape.tables.append(table)
        return self._write(Op.READ_FIELD, FLOAT, self, t, constant=len(self._tape.tables) - 1)


def one_step(function: F) -> F:
    """Make a function of arrays record one operation, by the method of `Traced` of the same name."""

    @wraps(function)
    def call(first: Any, *others: Any) -> Any:
        if isinstance(first, Traced):
            return getattr(first, function.__name__)(*others)
        return function(first, *others)

    return call  # type: ignore[return-value]


@dataclass(frozen=True)
class Program:
    """A recorded function: operations on rows of numbers, one number per place. The first rows are the inputs.

    Attributes
    ----------
    steps : (n, 6) uint32
        `Op`, row of the result, rows of up to three operands, 32 bits of the constant.
    waves : (n_waves, 3) float32
        Plane waves of the operations `Op.WAVES`: frequencies along s and t and phase, in radians.
    tables : tuple of (side + 1, side + 1) float32
        Tables of the operations `Op.READ_FIELD`.
    rows : int
        Number of rows.
    outputs : tuple of int
        Rows of the results.
    """

    steps: NDArray[np.uint32]
    waves: NDArray[np.float32]
    tables: tuple[NDArray[np.float32], ...]
    rows: int
    outputs: tuple[int, ...]


def record(function: Callable[..., Sequence[Any]], n_inputs: int = 2) -> Program:
    """Record what a function does with arrays.

    Parameters
    ----------
    function : callable
        Arrays of float32, (n,) each -> arrays.
    n_inputs : int
        Number of its arguments.

    Returns
    -------
    Program
        Its outputs are the rows of the returned arrays, one after the other.
    """
    tape = Tape(n_inputs)
    results = function(*(Traced(tape, [n], FLOAT) for n in range(n_inputs)))
    outputs = [value for result in results for value in result.values]
    needed, last_use = _find_needed(tape, outputs)
    # A row is free again after the last operation that reads it, but not for the result of that operation: no loop
    # reads the row that it writes, so that all of them can be vectorised.
    row_of = {n: n for n in range(n_inputs)}
    free: list[int] = []
    n_rows = n_inputs
    steps = np.zeros((len(needed), 6), np.uint32)
    for line, number in zip(steps, needed, strict=True):
        step = tape.steps[number]
        if free:
            row = free.pop()
        else:
            row, n_rows = n_rows, n_rows + 1
        rows = [row_of[value] for value in step.operands]
        line[:] = step.op, row, *(rows + [0] * (3 - len(rows))), step.constant
        row_of[n_inputs + number] = row
        free += {row_of[value] for value in step.operands if last_use[value] == number and value >= n_inputs}
    waves = np.array(tape.waves, np.float32).reshape(-1, 3)
    return Program(steps, waves, tuple(tape.tables), n_rows, tuple(row_of[value] for value in outputs))


def _find_needed(tape: Tape, outputs: Sequence[int]) -> tuple[list[int], dict[int, int]]:
    """Return the operations that the outputs depend on, in order, and the last operation that reads each value."""
    last_use = {value: len(tape.steps) for value in outputs}
    needed: list[int] = []
    for number in range(len(tape.steps) - 1, -1, -1):
        if tape.n_inputs + number in last_use:
            needed.append(number)
            for value in tape.steps[number].operands:
                last_use.setdefault(value, number)
    return needed[::-1], last_use


def _bits(number: Any, dtype: np.dtype[Any]) -> int:
    """Return a constant as 32 bits."""
    if dtype == FLOAT:
        return int(np.float32(number).view(np.uint32))
    return int(number) & 0xFFFFFFFF
