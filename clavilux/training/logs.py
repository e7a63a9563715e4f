"""Figures of a training by step: CSV files, and curves for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clavilux.system.files import write_whole
from clavilux.training.writing import writing_to

Row = dict[str, str]


class Logs:
    """Figures by step, as CSV and for TensorBoard. What a killed run wrote after its last checkpoint is cut off.

    Parameters
    ----------
    folder : Path
        Of the run.
    name : str
        Of the task: figures go to `<name>.csv`, `<name>-validation.csv` and `tensorboard/<name>`.
    first_step : int
        Step of the checkpoint that the run goes on from; 0 for a new run.
    log : callable
        Takes one line where figures of an earlier run are lost.

    Raises
    ------
    TrainingError
        The folder cannot be written to; `add` and the end of the block raise it too.
    """

    def __init__(self, folder: Path, name: str, first_step: int, log: Callable[[str], None]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._folder, self._name = folder, name
        with writing_to(folder):
            for path in (self._path(""), self._path("-validation")):
                if path.exists():
                    rows, damaged = _read_rows(path)
                    if damaged:
                        log(f"{path}: {damaged} lines were damaged and are left out")
                    write_whole(path, _to_csv([row for row in rows if float(row["step"]) <= first_step]))
            self._board = SummaryWriter(folder / "tensorboard" / name, purge_step=first_step + 1)

    def add(self, kind: str, step: int, figures: dict[str, float]) -> None:
        """Append a row to `<name><kind>.csv` and points to the board."""
        path = self._path(kind)
        row = {"step": float(step), **figures}
        with writing_to(self._folder):
            new = not path.exists() or path.stat().st_size == 0
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, fieldnames=list(row))
                if new:
                    writer.writeheader()
                writer.writerow({key: f"{value:.8g}" for key, value in row.items()})
            for key, value in figures.items():
                self._board.add_scalar(f"{kind.removeprefix('-') or 'training'}/{key}", value, step)

    def has_validation(self, step: int) -> bool:
        """Return whether figures of the validation of a step were written."""
        path = self._path("-validation")
        return path.exists() and any(float(row["step"]) == step for row in _read_rows(path)[0])

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # After a fault, what is left of the curves may fail to be written, and matters less.
        with suppress(OSError) if kind else writing_to(self._folder):
            self._board.close()

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._name}{kind}.csv"


def last_validation(folder: Path, name: str) -> dict[str, float]:
    """Return the last validation figures of a task, with their step; none if there was no validation."""
    path = folder / f"{name}-validation.csv"
    rows = _read_rows(path)[0] if path.is_file() else []
    return {key: float(value) for key, value in rows[-1].items()} if rows else {}


def _read_rows(path: Path) -> tuple[list[Row], int]:
    """Return the rows that are whole, and how many lines before the last one are not.

    The last line may have been cut off by a kill, which is no damage.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    header, *lines = [line.split(",") for line in text.splitlines()] or [[]]
    if header[:1] != ["step"] or len(set(header)) != len(header):
        return [], len(text.splitlines())
    whole = [len(values) == len(header) and all(_is_number(value) for value in values) for values in lines]
    if text and not text.endswith("\n"):
        whole[-1:] = [False] * len(whole[-1:])
    rows = [dict(zip(header, values, strict=True)) for values, good in zip(lines, whole, strict=True) if good]
    return rows, whole[:-1].count(False)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _to_csv(rows: list[Row]) -> bytes:
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue().encode()
