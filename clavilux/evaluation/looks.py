"""A file that counts how often held-out songs were looked at.

Songs are held out only as long as nothing is chosen by them. Each evaluation on them is a look that can lead to a
choice, so the report says how many there were. `docs/held-out-looks.tsv` counts those of this project.
"""

from __future__ import annotations

from pathlib import Path

from clavilux.errors import ClaviluxError, OutputError
from clavilux.system.files import write_whole

HEADER = "looks\tdate\tbundle\tsongs\tnote"


def count_looks(file: Path) -> int:
    """Return the sum of the first column of a file of looks; 0 if there is no file.

    Raises
    ------
    OutputError
        If it is no such file.
    """
    return sum(looks for looks, _ in _read(file))


def add_look(file: Path, *, date: str, bundle: str, songs: int, note: str) -> int:
    """Add a line for one look, and return the number of looks with this one.

    Raises
    ------
    OutputError
        If the file is something else.
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
