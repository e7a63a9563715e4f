"""Read CSV files of any common dialect, as spreadsheets and text editors write them, and write CSV files."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from clavilux.errors import ClaviluxError
from clavilux.system.files import DOWNLOAD_IT, check_shortage, web_address

SEPARATORS = ",;\t"

# Spreadsheets evaluate a cell that begins like this as a formula; an apostrophe before it makes it text.
_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")

_ENCODINGS = {  # by byte-order mark; UTF-32 first, because its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Row(dict[str, str]):
    """A row of a table: column name -> text.

    ``where`` is the path of the table and the line number of the row, for messages.
    """

    def __init__(self, values: Mapping[str, str], where: str) -> None:
        super().__init__(values)
        self.where = where


def read_text(path: Path, fault: type[ClaviluxError]) -> str:
    """Read a text file in UTF-8, UTF-16 or UTF-32, and return its text without the byte-order mark.

    ``fault`` is raised if the file cannot be read or has another encoding.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe may block forever
            raise fault(f"{path}: is not a regular file; give a text file")
        content = path.read_bytes()
    except OSError as error:
        check_shortage(error)
        if address := web_address(path):
            raise fault(f"{address}: {DOWNLOAD_IT}") from error
        raise fault(f"{path}: cannot be read ({error.strerror or error})") from error
    encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig").upper()
        raise fault(
            f"{path}: is not text in {name} ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    if "\0" in text:
        raise fault(f"{path}: has zero bytes, so it is not text in UTF-8; save it as UTF-8")
    return text


def read_table(
    path: Path,
    fault: type[ClaviluxError],
    *,
    required: Sequence[str] = (),
    skip: Callable[[str], None] | None = None,
) -> tuple[list[str], list[Row]]:
    """Return the column names and the rows of a CSV file.

    The separator is the comma, semicolon or tab that divides the header into most columns; a first line such as
    ``sep=;`` takes precedence. Column names are converted to lower case. Spaces around names and values, empty lines,
    and empty columns at the end are removed. Values that `table_text` has escaped are restored.

    Parameters
    ----------
    path : Path
    fault : type of ClaviluxError
        Raised if the table cannot be read, has no header, lacks a required column, has two columns of the same name, or
        has a row with more or fewer values than columns. The message names the line of a bad row.
    required : sequence of str
        Columns that the table must have, in any order; more are allowed.
    skip : callable, optional
        Called with a message for each row with more or fewer values than columns; the row is then skipped. By default,
        such a row raises ``fault``.
    """
    text = read_text(path, fault).lstrip("\r\n")
    first_line = re.split("[\r\n]", text, maxsplit=1)[0]
    named = re.fullmatch(r"sep=(.)", first_line.strip(' "'), re.IGNORECASE)  # a line for spreadsheets
    separator = named[1] if named else max(SEPARATORS, key=lambda mark: len(_split_header(first_line, mark)))
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    columns: list[str] = []
    rows: list[Row] = []
    try:
        if named:
            next(lines)
        for values in lines:
            values = [value.strip() for value in values]
            if not any(values):
                continue
            if not columns:
                columns = _check_columns([name.lower() for name in values], path, fault, required)
                continue
            where = f"{path}, line {lines.line_num}"
            while len(values) > len(columns) and not values[-1]:
                values.pop()
            if len(values) != len(columns):
                damage = (
                    f"{where}: is damaged, it has {len(values)} values for {len(columns)} columns; put quotation marks "
                    "around values that contain a separator"
                )
                if skip is None:
                    raise fault(damage)
                skip(damage)
                continue
            rows.append(Row(dict(zip(columns, map(unescape_cell, values), strict=True)), where))
    except csv.Error as error:
        raise fault(f"{path}, line {lines.line_num}: cannot be read as CSV ({error})") from error
    if not columns:
        raise fault(f"{path}: is empty; the first line names the columns")
    return columns, rows


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV text: a line with the column names, then one line for each row.

    Values are converted to text and escaped by `escape_cell`.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([escape_cell(str(value)) for value in row] for row in rows)
    return text.getvalue()


def escape_cell(value: str) -> str:
    """Return the text of a cell: the value, with an apostrophe before it if a spreadsheet would read it as a formula.

    Numbers are unchanged, even negative numbers.

    Examples
    --------
    >>> escape_cell("=HYPERLINK(A1).mp3"), escape_cell("-12.5")
    ("'=HYPERLINK(A1).mp3", '-12.5')
    """
    return f"'{value}" if _FORMULA.match(value) and not _is_number(value) else value


def unescape_cell(value: str) -> str:
    """Return the original text of a cell; the inverse of `escape_cell`."""
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return value.isprintable() and "_" not in value


def read_number(row: Row, column: str, fault: type[ClaviluxError]) -> float:
    """Return the number in a column of a row; raise ``fault`` if the value is not a finite number."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise fault(f"{row.where}: {column} is {row[column]!r}; it must be a number such as 0.5")
    return value


def _split_header(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:  # too long for a header; reading the whole table reports it
        return []


def _check_columns(columns: list[str], path: Path, fault: type[ClaviluxError], required: Sequence[str]) -> list[str]:
    while not columns[-1]:
        columns.pop()
    repeated = [name for name in columns if columns.count(name) > 1]
    if repeated:
        name = f"the column {repeated[0]!r} twice" if repeated[0] else "two columns without a name"
        raise fault(f"{path}: has {name}; give each column its own name")
    missing = [name for name in required if name not in columns]
    if missing:
        raise fault(f"{path}: has the columns {', '.join(columns)[:200]}; missing: {', '.join(missing)}")
    return columns
