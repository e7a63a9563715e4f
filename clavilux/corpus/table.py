"""The tables: the shipped lists of public sources and files, and the table of a corpus that was built from them.

Shipped beside this module: `sources.tsv` (a line is a git repository or a Debian package), `art.tsv.gz` and
`music.tsv.gz` (a line is a picture or a recording). They hold addresses and facts, no pictures and no sound. A build
reads them and writes `corpus.csv`, which every other part reads through `load_table`.
"""

import csv
import gzip
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from clavilux.errors import CorpusError
from clavilux.system.files import normalise_name
from clavilux.system.tables import Row, read_number, read_table, table_text

Kind = Literal["art", "music"]
Tier = Literal["free", "research"]
Split = Literal["training", "validation", "held-out"]

KINDS: tuple[Kind, ...] = get_args(Kind)
TIERS: tuple[Tier, ...] = get_args(Tier)
SPLITS: tuple[Split, ...] = get_args(Split)

TABLE_NAME = "corpus.csv"
DROPPED_NAME = "dropped.csv"


@dataclass(frozen=True)
class Source:
    """A git repository (`owner/name` on GitHub) or a Debian package (`debian:name`)."""

    kind: Kind
    core: bool  # belongs to the smaller set that a first training needs
    name: str
    version: str  # commit, or version of the package; "" where any will do
    size_mb: float  # of the download
    licence: str  # and the file that states it

    @property
    def slug(self) -> str:
        """Name of the source's folder: `owner+name` or `debian+package`."""
        return self.name.replace("/", "+").replace(":", "+")

    @property
    def package(self) -> str:
        """Name of the Debian package, "" for a git repository."""
        return self.name.removeprefix("debian:") if self.name.startswith("debian:") else ""


@dataclass(frozen=True)
class Item:
    """A file of a source, as the shipped table names it."""

    kind: Kind
    source: str
    path: str  # inside the source; `archive!/inner` for a file in a .zip or .pk3
    blob: str  # git blob id of the content, "" where unknown
    tier: Tier
    role: str  # abstract, generative, wallpaper, painting; music, labelled
    genre: str  # of a recording, guessed from folder, tag and title
    artist: str  # "" where unknown
    licence: str  # of this file, or else of its source

    @property
    def file(self) -> str:
        """Where a build puts the file, relative to its folder."""
        return f"files/{self.source.replace('/', '+').replace(':', '+')}/{self.path.replace('!/', '/')}"


@dataclass(frozen=True)
class CorpusRow:
    """A picture or a recording of a corpus that was built."""

    file: str  # relative to the folder of the corpus
    source: str
    path: str  # inside the source
    artist: str  # "" where unknown
    role: str  # abstract, generative, wallpaper, painting; music, labelled
    genre: str  # "" for pictures
    tier: Tier
    licence: str
    sha256: str
    width: int  # px, 0 for recordings
    height: int  # px, 0 for recordings
    seconds: float  # 0 for pictures
    split: Split


def load_sources(kind: Kind) -> list[Source]:
    """The shipped sources of pictures or of music, in the order of the table."""
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
    """The shipped files of all sources of a kind, in the order of the table, with the licence of each."""
    licences = {source.name: source.licence for source in load_sources(kind)}
    return [
        Item(
            kind=kind,
            source=row["source"],
            path=row["path"],
            blob=row["blob"],
            tier=_as_tier(row["tier"], where=f"{kind}.tsv.gz"),
            role=row["role"],
            genre=row.get("genre", ""),
            artist=row["artist"],
            licence=row.get("licence", "") or licences[row["source"]],
        )
        for row in _read_shipped(f"{kind}.tsv.gz")
    ]


def load_table(directory: Path | str) -> list[CorpusRow]:
    """Read the table of a corpus that `clavilux corpus build` made.

    Parameters
    ----------
    directory : Path or str
        The folder given to the build with `-o`.

    Returns
    -------
    list of CorpusRow
        In the order of the shipped table.

    Raises
    ------
    CorpusError
        If there is no table, a column is missing, or a value is none that the column allows.

    Examples
    --------
    >>> rows = load_table("corpus/art")  # doctest: +SKIP
    >>> training = [row for row in rows if row.split == "training" and row.tier == "free"]  # doctest: +SKIP
    """
    path = Path(directory) / TABLE_NAME
    if not path.is_file():
        raise CorpusError(
            f"{path} does not exist. Give the folder of a corpus; clavilux corpus build --art -o {directory} makes one."
        )
    return [_parse_row(row) for row in read_rows(path, required=[field.name for field in fields(CorpusRow)])]


def read_rows(path: Path, *, required: Sequence[str]) -> list[Row]:
    """Return the rows of a `corpus.csv`, written by a build or by hand.

    Parameters
    ----------
    path : Path
    required : sequence of str
        Columns that the table must have; `file` is one of them in any case.

    Raises
    ------
    CorpusError
        If the table cannot be read, lacks a column, names a file twice or not at all, or has a split or a tier that is
        not one of `SPLITS` and `TIERS`. Splits, tiers and roles are returned in lower case.
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
        for column, allowed in (("split", SPLITS), ("tier", TIERS), ("role", None)):
            if column in columns:
                row[column] = row[column].lower()
                if allowed and row[column] not in allowed:
                    raise CorpusError(f"{row.where}: {column} is {row[column]!r}; allowed are {', '.join(allowed)}")
    return rows


def write_table(directory: Path, rows: Iterable[CorpusRow]) -> None:
    """Write `corpus.csv`, whole or not at all."""
    write_csv(directory / TABLE_NAME, [f.name for f in fields(CorpusRow)], [list(asdict(r).values()) for r in rows])


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV under a temporary name and move it into place."""
    write_bytes(path, table_text(header, rows).encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in the same folder and move it into place."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _read_shipped(name: str) -> list[dict[str, str]]:
    content = resources.files("clavilux.corpus").joinpath(name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))


def _parse_row(row: Row) -> CorpusRow:
    try:
        return CorpusRow(
            file=row["file"],
            source=row["source"],
            path=row["path"],
            artist=row["artist"],
            role=row["role"],
            genre=row["genre"],
            tier=_as_tier(row["tier"], where=row.where),
            licence=row["licence"],
            sha256=row["sha256"],
            width=int(row["width"]),
            height=int(row["height"]),
            seconds=read_number(row, "seconds", CorpusError),
            split=_as_split(row["split"], where=row.where),
        )
    except ValueError as error:
        raise CorpusError(f"{row.where} is damaged ({error}). Build the corpus again.") from error


def _as_tier(text: str, *, where: str) -> Tier:
    for tier in TIERS:
        if text == tier:
            return tier
    raise CorpusError(f"{where}: tier is {text!r}; allowed are {', '.join(TIERS)}. Build the corpus again.")


def _as_split(text: str, *, where: str) -> Split:
    for split in SPLITS:
        if text == split:
            return split
    raise CorpusError(f"{where}: split is {text!r}; allowed are {', '.join(SPLITS)}. Build the corpus again.")
