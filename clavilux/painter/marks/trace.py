"""Mark fields as lists of steps, so that a compiled loop can carry them out: what the extra `fast` paints with.

a kind's function, on places that stand for all places -> **here** -> `Program` -> `clavilux.painter.compiled.fast`

The functions of the kinds are written for NumPy's arrays. Called with a `Traced` in place of an array they compute
nothing: NumPy hands each operation to it (NEP 13 and 18), and it writes the operation down. So every kind is defined
once. A program is carried out on a block of some hundred places at a time, whose rows of numbers stay in the cache.
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
    """What a step does: names with _C take a constant in the place of the second operand; U are of 32-bit integers."""

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


_PLAIN: dict[tuple[str, bool], Op] = {  # by NumPy's name, and whether on floats
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
    """One operation: values by their number, a constant as its 32 bits."""

    op: Op
    operands: tuple[int, ...]
    constant: int = 0


class Tape:
    """Where operations are written down; values are numbered from 0, the places come first."""

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs = n_inputs
        self.steps: list[_Step] = []
        self.waves: list[tuple[np.float32, np.float32, np.float32]] = []
        self.tables: list[NDArray[np.float32]] = []

    def write(self, op: Op, operands: Sequence[int], constant: int = 0) -> int:
        """Append an operation, return the number of its result."""
        self.steps.append(_Step(op, tuple(operands), constant))
        return self.n_inputs + len(self.steps) - 1

    def made(self, value: int, op: Op) -> _Step | None:
        """The operation that made a value, where it is such a one."""
        step = self.steps[value - self.n_inputs] if value >= self.n_inputs else None
        return step if step is not None and step.op == op else None


class Traced(NDArrayOperatorsMixin):
    """Stands for an array of one number a place, or of one for each slot, (n,) or (SLOTS, n)."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tape: Tape, values: list[int], dtype: np.dtype[Any]) -> None:
        self._tape, self.values, self.dtype = tape, values, dtype

    size = -1  # places are not counted

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: Any) -> Traced:
        return self if key is None else Traced(self._tape, [self.values[key]], self.dtype)

    def __setitem__(self, k: int, row: Traced) -> None:
        (self.values[k],) = row.values

    def view(self, dtype: Any) -> Traced:
        """The same bits as another type; writing into it does not write into this one."""
        return Traced(self._tape, self.values.copy(), np.dtype(dtype))

    def astype(self, dtype: Any) -> Traced:
        """Converted as NumPy does."""
        to = np.dtype(dtype)
        if (self.dtype == FLOAT) == (to == FLOAT):
            return self.view(to)
        return self._write(Op.TO_FLOAT if to == FLOAT else Op.TO_WHOLE, to, self)

    def _write(self, op: Op, dtype: np.dtype[Any], *operands: Traced, constant: int = 0) -> Traced:
        n = max(len(operand) for operand in operands)
        rows = [operand.values * (n // len(operand)) for operand in operands]  # one row serves all slots
        return Traced(self._tape, [self._tape.write(op, some, constant) for some in zip(*rows, strict=True)], dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any) -> Traced:
        if method != "__call__" or options:
            raise NotImplementedError(f"{ufunc.__name__}.{method} of places that are not known yet")
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
        """Type of the result, by NumPy's rules."""
        kinds = [x.dtype if isinstance(x, Traced | np.generic) else x for x in (a, b)]
        common = np.result_type(*kinds)
        if common == np.int64:  # bool with a number of Python's
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
            raise NotImplementedError(f"{name} of places that are not known yet")
        return Traced(self._tape, [self._tape.write(Op.FILL, (), _bits(fill, dtype))], dtype)

    # Steps that are worth a loop of their own.

    def mix(self) -> Traced:
        """`chance.mix`, in place; a constant that was added just before is added in the same step."""
        before = self._tape.made(self.values[0], Op.U_ADD_C)
        if before is None:
            self.values = self._write(Op.MIX, WHOLE, self).values
        else:
            self.values = [self._tape.write(Op.MIX, before.operands, before.constant)]
        return self

    def unit(self) -> Traced:
        """`chance.unit`; what `mix` did just before is done in the same step."""
        before = self._tape.made(self.values[0], Op.MIX)
        if before is None:
            return self._write(Op.UNIT, FLOAT, self)
        return Traced(self._tape, [self._tape.write(Op.MIX_UNIT, before.operands, before.constant)], FLOAT)

    def choose(self, a: Traced, b: Traced) -> Traced:
        """`chance.choose`, of which this is the mask."""
        return self._write(Op.CHOOSE, a.dtype, self, a, b)

    def normal_to_uniform(self) -> Traced:
        """`place.normal_to_uniform`."""
        return self._write(Op.NORMAL_TO_UNIFORM, FLOAT, self)

    def sum_waves(self, t: Traced, waves: Sequence[tuple[np.float32, np.float32, np.float32]]) -> Traced:
        """Sum of plane waves at (this, t)."""
        start = len(self._tape.waves)
        self._tape.waves += waves
        return self._write(Op.WAVES, FLOAT, self, t, constant=start << 8 | len(waves))

    def read_field(self, t: Traced, table: NDArray[np.float32]) -> Traced:
        """`learnt.read_field` at (this, t)."""
        self._tape.tables.append(table)
        return self._write(Op.READ_FIELD, FLOAT, self, t, constant=len(self._tape.tables) - 1)


def one_step(function: F) -> F:
    """Let a function of arrays be one step, the method of `Traced` that has its name."""

    @wraps(function)
    def call(first: Any, *others: Any) -> Any:
        if isinstance(first, Traced):
            return getattr(first, function.__name__)(*others)
        return function(first, *others)

    return call  # type: ignore[return-value]


@dataclass(frozen=True)
class Program:
    """A mark field as a list of steps on rows of numbers; the first rows hold the places.

    Attributes
    ----------
    steps : (n, 6) uint32
        Operation, row of the result, rows of up to three operands, constant as its 32 bits.
    waves : (n_waves, 3) float32
        Plane waves that the steps of `Op.WAVES` name.
    tables : tuple of (side + 1, side + 1) float32
        Fields that the steps of `Op.READ_FIELD` name.
    rows : int
        How many rows of numbers it needs.
    outputs : tuple of int
        Rows of what was asked for.
    """

    steps: NDArray[np.uint32]
    waves: NDArray[np.float32]
    tables: tuple[NDArray[np.float32], ...]
    rows: int
    outputs: tuple[int, ...]


def record(function: Callable[..., Sequence[Any]], n_inputs: int = 2) -> Program:
    """Write down what a function does with arrays of float32, (n,) each.

    Parameters
    ----------
    function : callable
        Arrays -> arrays.

    Returns
    -------
    Program
        Its outputs are the rows of what the function returned, one after the other.
    """
    tape = Tape(n_inputs)
    results = function(*(Traced(tape, [n], FLOAT) for n in range(n_inputs)))
    wanted = [value for result in results for value in result.values]
    last_use = {value: len(tape.steps) for value in wanted}
    needed: list[int] = []
    for number in range(len(tape.steps) - 1, -1, -1):
        if n_inputs + number in last_use:
            needed.append(number)
            for value in tape.steps[number].operands:
                last_use.setdefault(value, number)
    # A row is free again after the last step that reads it; never for the result of that step, so that no loop reads
    # what it writes and all of them run on whole vectors.
    row_of = {n: n for n in range(n_inputs)}
    free: list[int] = []
    n_rows = n_inputs
    steps = np.zeros((len(needed), 6), np.uint32)
    for line, number in zip(steps, reversed(needed), strict=True):
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
    return Program(steps, waves, tuple(tape.tables), n_rows, tuple(row_of[value] for value in wanted))


def _bits(number: Any, dtype: np.dtype[Any]) -> int:
    """32 bits of a constant."""
    if dtype == FLOAT:
        return int(np.float32(number).view(np.uint32))
    return int(number) & 0xFFFFFFFF
