"""Read and write a file that counts looks; a look is an evaluation on held-out songs.

Whoever sees the result of an evaluation may base decisions on it. Then the networks are no longer independent of the
held-out songs, so the report says how many looks there were. `docs/held-out-looks.tsv` lists the looks of this project.
"""

from __future__ import annotations

from pathlib import Path

from clavilux.errors import ClaviluxError, OutputError
from clavilux.system.files import write_whole

HEADER = "looks\tdate\tbundle\tsongs\tnote"


def count_looks(file: Path) -> int:
    """Return the number of looks in a file, the sum of its first column; 0 if the file does not exist.

    Raises
    ------
    OutputError
        If the file is not a file of looks.
    ClaviluxError
        If the file cannot be read.
    """
    return sum(looks for looks, _ in _read(file))


def add_look(file: Path, *, date: str, bundle: str, songs: int, note: str) -> int:
    """Add a line for one look (an evaluation on held-out songs) to a file, and return the new number of looks.

    A missing file is created. ``songs`` is the number of songs of this evaluation.

    Raises
    ------
    OutputError
        If the file is not a file of looks.
    ClaviluxError
        If the file cannot be read.
    """
    lines = [line for _, line in _read(file)]
    fields = ["1", date, bundle, str(songs), note]
    lines.append("\t".join(" ".join(field.split()) for field in fields))
    write_whole(file, "\n".join([HEADER, *lines, ""]).encode())
    return count_looks(file)


def _read(file: Path) -> list[tuple[int, str]]:
    """Return (number of looks, text) of each line after the header; an empty list if the file does not exist."""
    try:
        first, *lines = file.read_text("utf-8").splitlines()
        if first != HEADER:
            raise ValueError
        return [(int(line.partition("\t")[0]), line) for line in lines]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ClaviluxError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError:
        raise OutputError(
            f"{file} is no file of looks (its first line is not {HEADER.split()}); give another"
        ) from None
