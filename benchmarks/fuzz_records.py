"""Repaint thousands of damaged pictures: `clavilux paint --again` must paint or refuse each in one line.

    python benchmarks/fuzz_records.py                             2 000 cases of seed 0
    python benchmarks/fuzz_records.py --first 1000 --cases 500    cases 1 000 to 1 499 of the same 2 000

A tiny bundle (tests/fake_bundle.py) paints an audio file and a feature file as PNG, JPEG and WebP. Then the bytes of a
picture are damaged (tests/mutations.py), or the text of its record, or values of the record are changed, removed or
added, and the command repaints the picture. A refused picture must leave no file, and a repainted one must have a
record. Findings are defined in benchmarks/fuzzing.py.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import fuzzing
import numpy as np
import sounds
from fake_bundle import write_fake_bundle
from mutations import make_case
from PIL import Image

from clavilux.cli import Fault, cli
from clavilux.errors import ClaviluxError
from clavilux.picture_file import read_record
from clavilux.pipeline import Clavilux
from clavilux.system.arguments import check_size

SUFFIXES = (".png", ".jpg", ".webp")
SONGS = ("song.wav", "song.npy")
LARGEST_PX = 2**21  # records may ask for 67 megapixels, which is correct but takes a minute
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 63, 64, 96.0, 8_192, 8_193, 2**31, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e-320,
    1e300, float("nan"), float("inf"), "", "7", "nan", "../../x", "\0", "\ud800", "é\n\x1b[31m", "x" * 15_000, [], [1],
    [64, 64], [64, [64]], [64, 64, 64], ["64", "64"], {}, {"name": "x"}, {"": None}, [[[[]]]],
)  # fmt: skip

EXIF_BLOCK, USER_COMMENT = 0x8769, 0x9286


def paint_wholes(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return a picture of each song in each format together with the song: files by name, by format and song."""
    engine = Clavilux(write_fake_bundle(folder / "bundle"))
    sounds.write_sound(folder / SONGS[0], sounds.song(1.0))
    np.save(folder / SONGS[1], np.random.default_rng(0).normal(0, 20, (3, 20, 216)).astype(np.float32))
    wholes = {}
    for song in SONGS:
        clip = 1 if song.endswith(".npy") else None
        picture = engine.paint(folder / song, size=64, variation=1, clip=clip)
        for suffix in SUFFIXES:
            path = folder / f"picture{suffix}"
            picture.save(path)
            wholes[f"{suffix} of {song}"] = {path.name: path.read_bytes(), song: (folder / song).read_bytes()}
    return wholes


def replace_comment(content: bytes, text: bytes) -> bytes:
    """Return the picture with another text instead of its record."""
    with Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        exif.get_ifd(EXIF_BLOCK)[USER_COMMENT] = b"ASCII\0\0\0" + text
        buffer = io.BytesIO()
        image.save(buffer, image.format, exif=exif)
    return buffer.getvalue()


def record_of(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as image:
        comment = image.getexif().get_ifd(EXIF_BLOCK)[USER_COMMENT]
    return json.loads(bytes(comment).removeprefix(b"ASCII\0\0\0"))


# Damage of the record ------------------------------------------------------------------------------------------------


def places(record: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of keys to each value of a record."""
    keys: list[Any] = []
    if isinstance(record, dict):
        keys = list(record)
    elif isinstance(record, list):
        keys = list(range(len(record)))
    return [place for key in keys for place in [(*before, key), *places(record[key], (*before, key))]]


def holder_of(record: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        record = record[key]
    return record


def change_value(record: Any, rng: np.random.Generator) -> bytes:
    """Replace one to three values."""
    for _ in range(int(rng.integers(1, 4))):
        found = places(record)
        place = found[rng.integers(len(found))]
        holder_of(record, place)[place[-1]] = ODD[rng.integers(len(ODD))]
        if not places(record):
            break
    return json.dumps(record).encode()


def remove_value(record: Any, rng: np.random.Generator) -> bytes:
    """Remove a value, or replace the whole record by another value."""
    found = places(record)
    place = found[rng.integers(len(found))]
    del holder_of(record, place)[place[-1]]
    return json.dumps(record if rng.random() < 0.8 else ODD[rng.integers(len(ODD))]).encode()


def add_value(record: Any, rng: np.random.Generator) -> bytes:
    """Add a value with an unknown name, or a name that is there already."""
    found = places(record)
    holder = holder_of(record, found[rng.integers(len(found))])
    if isinstance(holder, dict):
        holder["new"] = ODD[rng.integers(len(ODD))]
    text = json.dumps(record)
    return (text if rng.random() < 0.5 else text[:-1] + f', "seed": {json.dumps(ODD[rng.integers(27)])}}}').encode()


def change_text(record: Any, rng: np.random.Generator) -> bytes:
    """Replace characters of the JSON text, cut it off, or replace it by deep nesting."""
    text = bytearray(json.dumps(record).encode())
    if rng.random() < 0.1:
        return b"[" * int(10 ** rng.integers(1, 5))
    for _ in range(2 ** int(rng.integers(0, 4))):
        text[rng.integers(len(text))] = rng.choice(list(b'0123456789.,:"[]{}-+eE \\u\0\xff'))
    return bytes(text[: rng.integers(len(text))] if rng.random() < 0.1 else text)


def _on_record(mutation: Callable[[Any, np.random.Generator], bytes]) -> Callable[[bytes, np.random.Generator], bytes]:
    """Return the mutation of a record as a mutation of the picture that contains it."""
    return lambda content, rng: replace_comment(content, mutation(record_of(content), rng))


RECORD_MUTATIONS = {
    mutation.__name__: _on_record(mutation) for mutation in (change_value, remove_value, add_value, change_text)
}


# A case --------------------------------------------------------------------------------------------------------------


def repaint(bundle: Path, folder: Path) -> tuple[str, str]:
    """Run the command on the picture and the song of a folder."""
    picture, song = sorted(folder.iterdir())
    out = folder.parent / f"again{picture.suffix}"
    command = ["paint", "--again", str(picture), str(song), "--bundle", str(bundle), "-o", str(out), "--json"]
    try:
        width, height = check_size(read_record(picture).get("size"))
        if width * height > LARGEST_PX:
            command += ["--size", "64"]
    except ClaviluxError:
        pass  # the command below meets it too
    try:
        cli.main(command, standalone_mode=False)
    except Fault as fault:
        message = str(fault.message)
        if out.exists():
            return "refused and written", message
        return fuzzing.REFUSED if len(message.splitlines()) == 1 else "lines", message
    except click.ClickException as error:
        return "wrong usage", error.format_message()
    read_record(out)
    return "repainted", ""


def main() -> int:
    logging.getLogger("clavilux").setLevel(logging.ERROR)  # feature files have no descriptors, which is a warning
    with tempfile.TemporaryDirectory() as folder:
        wholes = paint_wholes(Path(folder))
        cli.get_command(click.Context(cli), "paint")  # import it once for all cases
        return fuzzing.run_fuzzer(
            __doc__,
            lambda seed, number: make_case(wholes, seed, number, RECORD_MUTATIONS),
            lambda case: repaint(Path(folder, "bundle"), case),
            ("repainted",),
        )


if __name__ == "__main__":
    sys.exit(main())
