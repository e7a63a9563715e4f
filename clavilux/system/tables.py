"""Tables: CSV files of any common dialect, as people write them by hand, become rows of text, and are written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from clavilux.errors import ClaviluxError

SEPARATORS = ",;\t"

# A spreadsheet takes a cell that begins so for a formula and carries it out; an apostrophe before it makes it text.
_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")


def read_text(path: Path, fault: type[ClaviluxError]) -> str:
    """Return the text of a file in UTF-8 or UTF-16, without its byte-order mark.

    Parameters
    ----------
    path : Path
    fault : type of ClaviluxError
        Raised, in one line, if the file cannot be read or is in another encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise fault(f"{path}: cannot be read ({error.strerror or error})") from error
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise fault(
            f"{path}: is not text in UTF-8 (byte {error.start} is {content[error.start]:#04x}); save it as UTF-8"
        ) from error
    if "\0" in text:
        raise fault(f"{path}: holds zero bytes and is no text; save it as UTF-8")
    return text


def read_table(path: Path, fault: type[ClaviluxError]) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and the rows of a CSV file.

    Comma, semicolon and tabulator separate columns; the one that the header uses is taken. Spaces around names of
    columns and around values are removed; empty lines are passed over. Values are as `table_text` was given them.

    Parameters
    ----------
    path : Path
    fault : type of ClaviluxError
        Raised, in one line with the number of the line, if the table cannot be read, has no header, names a column
        twice, or has a row with more or fewer values than columns.
    """
    text = read_text(path, fault)
    header_line = text.lstrip("\r\n").partition("\n")[0]
    separator = max(SEPARATORS, key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns: list[str] = []
    rows: list[dict[str, str]] = []
    try:
        for values in reader:
            values = [value.strip() for value in values]
            if not any(values):
                continue
            if not columns:
                columns = values
                repeated = sorted({name for name in columns if columns.count(name) > 1})
                if repeated:
                    raise fault(f"{path}: names the column {repeated[0]!r} twice; give each column its own name")
                continue
            if len(values) != len(columns):
                raise fault(
                    f"{path}, line {reader.line_num}: has {len(values)} values and the header names {len(columns)} "
                    "columns; put quotation marks around values that contain a separator"
                )
            rows.append(dict(zip(columns, map(unescape_cell, values), strict=True)))
    except csv.Error as error:
        raise fault(f"{path}, line {reader.line_num}: is no CSV ({error})") from error
    if not columns:
        raise fault(f"{path}: is empty; the first line names the columns")
    return columns, rows


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV, separated by commas, in which no spreadsheet finds a formula; see `escape_cell`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([escape_cell(str(value)) for value in row] for row in rows)
    return text.getvalue()


def escape_cell(value: str) -> str:
    """Return the text of a cell with an apostrophe before it if a spreadsheet would take it for a formula.

    A number stays as it is, negative too.

    Examples
    --------
    >>> escape_cell("=HYPERLINK(A1).mp3"), escape_cell("-12.5")
    ("'=HYPERLINK(A1).mp3", '-12.5')
    """
    return f"'{value}" if _FORMULA.match(value) and not _is_number(value) else value


def unescape_cell(value: str) -> str:
    """Return what `escape_cell` was given."""
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return value.isprintable() and "_" not in value
