"""A file that counts looks: evaluations on held-out songs.

Songs are held out only as long as nothing is chosen by them. Each evaluation on them can lead to a choice, so the
report says how many there were. `docs/held-out-looks.tsv` counts the looks of this project.
"""

from __future__ import annotations

from pathlib import Path

from clavilux.errors import ClaviluxError, OutputError
from clavilux.system.files import write_whole

HEADER = "looks\tdate\tbundle\tsongs\tnote"


def count_looks(file: Path) -> int:
    """Return the number of looks (evaluations on held-out songs) in a file; 0 if the file does not exist.

    It is the sum of the first column.

    Raises
    ------
    OutputError
        If the file is not a file of looks.
    ClaviluxError
        If the file cannot be read.
    """
    return sum(looks for looks, _ in _read(file))


def add_look(file: Path, *, date: str, bundle: str, songs: int, note: str) -> int:
    """Add a line for one look to a file, which is created if it is missing, and return the new number of looks.

    Raises
    ------
    OutputError
        If the file is not a file of looks.
    ClaviluxError
        If the file cannot be read.
    """
    rows = [line for _, line in _read(file)]
    fields = ["1", date, bundle, str(songs), note]
    rows.append("\t".join(" ".join(field.split()) for field in fields))
    write_whole(file, "\n".join([HEADER, *rows, ""]).encode())
    return count_looks(file)


def _read(file: Path) -> list[tuple[int, str]]:
    """Return the number of looks and the text of each line."""
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
