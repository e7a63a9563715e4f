"""Figures of a training by step, as CSV files and for TensorBoard."""

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
    """Figures by step, as CSV files and for TensorBoard.

    Rows that an interrupted run wrote after its last checkpoint are removed.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    name : str
        Name of the task; figures are written to `<name>.csv`, `<name>-validation.csv` and `tensorboard/<name>`.
    first_step : int
        Step of the checkpoint from which the run is resumed; 0 for a new run.
    log : callable
        Receives one line if figures of an earlier run are damaged.

    Raises
    ------
    TrainingError
        If the folder cannot be written to; `add` and the end of the block raise it too.
    """

    def __init__(self, folder: Path, name: str, first_step: int, log: Callable[[str], None]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._folder, self._name = folder, name
        with writing_to(folder):
            for path in (self._path(""), self._path("-validation")):
                if path.exists():
                    rows, damaged = _read_rows(path)
                    if damaged:
                        log(f"{path}: {damaged} damaged lines are left out")
                    write_whole(path, _to_csv([row for row in rows if float(row["step"]) <= first_step]))
            self._board = SummaryWriter(folder / "tensorboard" / name, purge_step=first_step + 1)

    def add(self, kind: str, step: int, figures: dict[str, float]) -> None:
        """Append a row of figures (name -> value) to `<name><kind>.csv`, and points to the TensorBoard log.

        ``kind`` is "" for training and "-validation" for validation.
        """
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
        """Return whether validation figures of this step are in the CSV file."""
        path = self._path("-validation")
        return path.exists() and any(float(row["step"]) == step for row in _read_rows(path)[0])

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # After another error, an error of writing the curves matters less.
        with suppress(OSError) if kind else writing_to(self._folder):
            self._board.close()

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._name}{kind}.csv"


def last_validation(folder: Path, name: str) -> dict[str, float]:
    """Return the last validation figures of a task, name -> value, including "step"; empty if there are none."""
    path = folder / f"{name}-validation.csv"
    rows = _read_rows(path)[0] if path.is_file() else []
    return {key: float(value) for key, value in rows[-1].items()} if rows else {}


def _read_rows(path: Path) -> tuple[list[Row], int]:
    """Return the valid rows, and the number of damaged lines before the last one.

    The last line may be incomplete because the training was interrupted; it does not count as damaged.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    header, *lines = [line.split(",") for line in text.splitlines()] or [[]]
    if header[:1] != ["step"] or len(set(header)) != len(header):
        return [], len(text.splitlines())
    valid = [len(values) == len(header) and all(_is_number(value) for value in values) for values in lines]
    if text and not text.endswith("\n"):
        valid[-1:] = [False] * len(valid[-1:])
    rows = [dict(zip(header, values, strict=True)) for values, good in zip(lines, valid, strict=True) if good]
    return rows, valid[:-1].count(False)


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
