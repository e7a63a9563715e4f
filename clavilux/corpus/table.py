"""The shipped tables of public sources and files, and the table of a corpus that is built from them.

The shipped tables are in this folder: `sources.tsv` with one git repository or Debian package per line, `art.tsv.gz`
with one picture per line, and `music.tsv.gz` with one recording per line. They describe files, and contain no pictures
and no audio. A build reads these tables and writes `corpus.csv`, which other modules read with `load_table`.
"""

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_args

from clavilux.errors import CorpusError
from clavilux.system.files import normalise_name, write_whole
from clavilux.system.tables import Row, read_number, read_table, table_text

Kind = Literal["art", "music"]
Tier = Literal["free", "research"]
Split = Literal["training", "validation", "held-out"]

KINDS: tuple[Kind, ...] = get_args(Kind)
TIERS: tuple[Tier, ...] = get_args(Tier)
SPLITS: tuple[Split, ...] = get_args(Split)
ROLES = ("abstract", "generative", "wallpaper", "painting", "music", "labelled")  # four of pictures, two of recordings

TABLE_NAME = "corpus.csv"
DROPPED_NAME = "dropped.csv"


@dataclass(frozen=True)
class Source:
    """A git repository (`owner/name` on GitHub) or a Debian package (`debian:name`)."""

    kind: Kind
    core: bool  # whether the source is in the smaller set that is enough for a first training
    name: str
    version: str  # commit of the repository, or version of the package; "" for any
    size_mb: float  # size of the download
    licence: str  # licence, and the file that states it

    @property
    def slug(self) -> str:
        """Folder name of the source: `owner+name` or `debian+package`."""
        return _slug(self.name)

    @property
    def package(self) -> str:
        """Name of the Debian package; "" for a git repository."""
        return self.name.removeprefix("debian:") if self.name.startswith("debian:") else ""


@dataclass(frozen=True)
class Item:
    """A file of a source: a line of a shipped table."""

    kind: Kind
    source: str
    path: str  # inside the source; `archive!/inner` for a file in a .zip or .pk3
    blob: str  # git blob id of the content; "" if unknown
    tier: Tier  # "free" if the licence allows training and passing on, "research" if it allows only evaluation
    role: str  # one of `ROLES`
    genre: str  # of a recording, guessed from folder, tag and title; "" for pictures
    artist: str  # "" if unknown
    licence: str  # licence of the file if the table gives it, else licence of its source

    @property
    def file(self) -> str:
        """Path of the file in a built corpus, relative to the folder of the corpus."""
        return f"files/{_slug(self.source)}/{self.path.replace('!/', '/')}"


@dataclass(frozen=True)
class CorpusRow:
    """A file of a built corpus: a line of `corpus.csv`. `Item` describes the fields that both classes have."""

    file: str  # path relative to the folder of the corpus
    source: str
    path: str
    artist: str
    role: str
    genre: str
    tier: Tier
    licence: str
    sha256: str  # of the content of the file
    width: int  # px; 0 for recordings
    height: int  # px; 0 for recordings
    seconds: float  # 0 for pictures
    split: Split  # training, validation or held-out


def load_sources(kind: Kind) -> list[Source]:
    """Return the shipped sources of pictures or of music, in the order of the table."""
    return [
        Source(
            kind=kind,
            core=row["core"] == "yes",
            name=row["source"],
            version=row["version"],
            size_mb=float(row["mb"] or 0),
            licence=row["licence"],
        )
        for row in _read_shipped("sources.tsv")
        if row["kind"] == kind
    ]


def load_items(kind: Kind) -> list[Item]:
    """Return the shipped files of all sources of a kind, in the order of the table."""
    licences = {source.name: source.licence for source in load_sources(kind)}
    return [
        Item(
            kind=kind,
            source=row["source"],
            path=row["path"],
            blob=row["blob"],
            tier=cast(Tier, row["tier"]),
            role=row["role"],
            genre=row.get("genre", ""),
            artist=row["artist"],
            licence=row.get("licence", "") or licences[row["source"]],
        )
        for row in _read_shipped(f"{kind}.tsv.gz")
    ]


def load_table(directory: Path | str) -> list[CorpusRow]:
    """Return the rows of the table of a corpus, in the order of the table.

    A table that a user wrote needs only some of the columns; texts are then "", and numbers 0.

    Parameters
    ----------
    directory : Path or str
        Folder that was given to `clavilux corpus build` with `-o`.

    Raises
    ------
    CorpusError
        If there is no table, a column is missing, or a value is not allowed in its column.

    Examples
    --------
    >>> rows = load_table("corpus/art")  # doctest: +SKIP
    >>> training = [row for row in rows if row.split == "training" and row.tier == "free"]  # doctest: +SKIP
    """
    path = Path(directory) / TABLE_NAME
    if not path.is_file():
        raise CorpusError(
            f"{path} does not exist. Give the folder of a corpus, which `clavilux corpus build` makes, or write the "
            "table yourself (docs/training.md)"
        )
    return [_parse_row(row) for row in read_rows(path, required=("split", "role", "source", "tier", "licence"))]


def read_rows(path: Path, *, required: Sequence[str]) -> list[Row]:
    """Return the rows of a `corpus.csv` that a build or a user wrote, with splits, tiers and roles in lower case.

    Parameters
    ----------
    path : Path
        The table.
    required : sequence of str
        Columns that the table must have, in addition to `file`.

    Raises
    ------
    CorpusError
        If the table cannot be read, a column is missing, a row names no file, two rows name the same file, or a
        split, tier or role is not one of `SPLITS`, `TIERS` and `ROLES`.
    """
    columns, rows = read_table(path, CorpusError, required=["file", *required])
    lines: dict[str, str] = {}
    for row in rows:
        name = normalise_name(row["file"])
        if not name:
            raise CorpusError(f"{row.where}: names no file; write its path, relative to the folder of the table")
        if name in lines:
            raise CorpusError(f"{row.where}: {name} is in {lines[name]} already; give each file one row")
        lines[name] = row.where.rpartition(", ")[2]
        for column, allowed in (("split", SPLITS), ("tier", TIERS), ("role", ROLES)):
            if column in columns:
                row[column] = row[column].lower()
                if row[column] not in allowed:
                    raise CorpusError(f"{row.where}: {column} is {row[column]!r}; allowed are {', '.join(allowed)}")
    return rows


def write_table(directory: Path, rows: Iterable[CorpusRow]) -> None:
    """Write `corpus.csv` into a folder, atomically."""
    write_csv(directory / TABLE_NAME, [f.name for f in fields(CorpusRow)], [list(asdict(r).values()) for r in rows])


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV, atomically."""
    write_whole(path, table_text(header, rows).encode())


def _read_shipped(name: str) -> list[dict[str, str]]:
    content = resources.files("clavilux.corpus").joinpath(name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))


def _slug(source: str) -> str:
    return source.replace("/", "+").replace(":", "+")


def _parse_row(row: Row) -> CorpusRow:
    values: dict[str, Any] = {field.name: row.get(field.name, "") for field in fields(CorpusRow)}
    values["seconds"] = read_number(row, "seconds", CorpusError) if "seconds" in row else 0.0
    try:
        values |= {side: int(row.get(side, 0)) for side in ("width", "height")}
    except ValueError as error:
        raise CorpusError(f"{row.where} is damaged ({error}). Build the corpus again.") from error
    return CorpusRow(**values)
