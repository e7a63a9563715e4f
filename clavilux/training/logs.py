"""Write the lines about the progress of a training and its metrics, such as losses, to files; read metrics back."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clavilux.system.files import write_whole
from clavilux.training.writing import writing_to

Row = dict[str, str]

LOG_SECONDS = 5.0  # least time between two lines about progress


def log_to_file(folder: Path, title: str, say: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that logs a line: it gives the line to ``say``, and appends it to `train.log` in ``folder``.

    Both begin with the seconds since this call. In the file, the first line is preceded by the date and ``title``. As
    long as there is no folder, lines are kept in memory: commands that are refused leave no folder behind.
    """
    started = time.monotonic()
    waiting = [f"{time.strftime('%Y-%m-%d %H:%M:%S')} {title}"]

    def log(line: str) -> None:
        line = f"[{time.monotonic() - started:7.1f} s] {line}"
        say(line)
        waiting.append(line)
        if folder.is_dir():
            with writing_to(folder), (folder / "train.log").open("a", encoding="utf-8", errors="replace") as file:
                file.writelines(f"{each}\n" for each in waiting)
            waiting.clear()

    return log


def log_counts(log: Callable[[str], None], text: str, total: int) -> Callable[[int], None]:
    """Return a function to be called with the number of items done: it logs ``text``, this number and the total.

    It logs a line only if 5 s have passed since its last line or, for the first line, since it was returned.
    """
    logged = time.monotonic()

    def counted(done: int) -> None:
        nonlocal logged
        if time.monotonic() - logged >= LOG_SECONDS:
            logged = time.monotonic()
            log(f"{text} {done}/{total}")

    return counted


class Logs:
    """Context manager that writes the metrics of one task to CSV files and to a TensorBoard log.

    The files are `<name>.csv`, `<name>-validation.csv` and `tensorboard/<name>` in the run folder. ``first_step`` is
    the step of the checkpoint from which the training continues, or 0. Rows with a later step, which an interrupted
    run wrote after this checkpoint, are removed. ``log`` receives a line if a CSV file of an earlier run is damaged.

    Raises
    ------
    TrainingError
        If the folder cannot be written to; also raised by `add` and at the end of the ``with`` block.
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

    def add(self, kind: str, step: int, metrics: dict[str, float]) -> None:
        """Append the metrics of a step to the TensorBoard log and to the CSV file.

        ``metrics`` are values by name. ``kind`` is "" for training and "-validation" for validation.
        """
        row = {"step": float(step), **metrics}
        with writing_to(self._folder):
            with self._path(kind).open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, fieldnames=list(row))
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow({key: f"{value:.8g}" for key, value in row.items()})
            for key, value in metrics.items():
                self._board.add_scalar(f"{kind.removeprefix('-') or 'training'}/{key}", value, step)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # If the block raised another error, that error is reported.
        with suppress(OSError) if kind else writing_to(self._folder):
            self._board.close()

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._name}{kind}.csv"


def last_validation(folder: Path, name: str) -> dict[str, float]:
    """Return the last validation metrics of a task and their "step", by name; an empty dict if there are none."""
    path = folder / f"{name}-validation.csv"
    rows = _read_rows(path)[0] if path.is_file() else []
    return {key: float(value) for key, value in rows[-1].items()} if rows else {}


def _read_rows(path: Path) -> tuple[list[Row], int]:
    """Return the valid rows of a CSV file, and the number of damaged lines before the last line.

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
