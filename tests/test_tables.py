"""Tables of every common dialect are read alike; what cannot be read is refused with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clavilux.errors import AudioError, CorpusError
from clavilux.system.tables import read_number, read_table, read_text

PLAIN = 'file,split,note\na.png,training,"one, two"\nä.png,validation,\n'
COLUMNS = ["file", "split", "note"]
ROWS = [
    {"file": "a.png", "split": "training", "note": "one, two"},
    {"file": "ä.png", "split": "validation", "note": ""},
]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le").join([b"\xff\xfe", b""]),
        PLAIN.encode("utf-16-be").join([b"\xfe\xff", b""]),
        PLAIN.encode("utf-32"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.rstrip("\n").encode(),
        ("\n\n" + PLAIN.replace("\n", "\n\n") + ",,\n \n\n").encode(),
        PLAIN.replace("file,split,note", " FILE , Split,\"note\"").encode(),
        PLAIN.replace("a.png,training,", "a.png, training , ").encode(),
        'file;split;note\na.png;training;one, two\nä.png;validation;\n'.encode(),
        'file\tsplit\tnote\na.png\ttraining\tone, two\nä.png\tvalidation\t\n'.encode(),
        'sep=;\r\nfile;split;note\r\na.png;training;one, two\r\nä.png;validation;\r\n'.encode(),
        'file,split,note,,\na.png,training,"one, two",,\nä.png,validation,,,\n'.encode(),
        '"file";"split";"note"\n"a.png";"training";"one, two"\n"ä.png";"validation";""\n'.encode(),
    ],
    ids=[
        "plain", "byte-order mark", "UTF-16", "UTF-16 LE", "UTF-16 BE", "UTF-32", "CRLF", "CR", "no last newline",
        "empty lines", "capitals", "spaces", "semicolons", "tabs", "sep=", "empty columns", "all quoted",
    ],
)  # fmt: skip
def test_every_dialect_gives_the_same_rows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    columns, rows = read_table(path, CorpusError, required=["note", "file"])
    assert (columns, rows) == (COLUMNS, ROWS)
    assert all(row.where.startswith(f"{path}, line ") for row in rows)


def test_a_row_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('file,note\na,1\n\n"b\nb",x\n')
    rows = read_table(path, CorpusError)[1]
    assert [row.where.rpartition(" ")[2] for row in rows] == ["2", "5"]
    assert read_number(rows[0], "note", CorpusError) == 1.0
    with pytest.raises(CorpusError, match=r"line 5: note is 'x'; it must be a number"):
        read_number(rows[1], "note", CorpusError)


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-inf", "1e999", "0,5", "1 2"])
def test_what_is_not_a_finite_number_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'file,value\na,"{text}"\n')
    with pytest.raises(CorpusError, match="line 2: value is"):
        read_number(read_table(path, CorpusError)[1][0], "value", CorpusError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\r\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"file,split,FILE\n", "the column 'file' twice"),
        (b"file,,,split\n", "two columns without a name"),
        (b"file|split\n", r"columns file\|split; missing: file, split"),
        (b"split,role\na,b\n", "columns split, role; missing: file"),
        (b"file,split\na\n", "line 2: is damaged, it has 1 values for 2 columns"),
        (b"file,split\na,b\nc,d,e\n", "line 3: is damaged, it has 3 values"),
        (b'file,split\n"a,b\nc,d\n', "cannot be read as CSV"),
        (b'file,split\n"a"x,b\n', "line 2: cannot be read as CSV"),
        (b"file,split\n" + b"x" * 200_000 + b",b\n", "line 2: cannot be read as CSV"),
        ("file,split\nä,b\n".encode("latin-1"), "is not text in UTF-8 .* at byte 11.*save it as UTF-8"),
        ("file,split\na,b\n".encode("utf-16-le"), "zero bytes"),
        ("file,split\n".encode("utf-16") + b"x", "is not text in UTF-16"),
        (bytes(range(256)), "is not text"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as refused:
        read_table(path, CorpusError, required=["file", "split"])
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)


def test_what_is_not_a_file_of_text_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for name, message in (
        ("", "not a regular"),
        ("pipe", "not a regular"),
        ("link", "cannot be read"),
        ("x", "No such"),
    ):
        with pytest.raises(AudioError, match=message):
            read_text(tmp_path / name, AudioError)
