"""Read thousands of damaged tables and recipes: each must be read or refused in one line.

    python benchmarks/fuzz_tables.py                             2 000 cases of seed 0
    python benchmarks/fuzz_tables.py --first 1000 --cases 500    cases 1 000 to 1 499 of the same 2 000

In a small corpus, a folder of features and a recipe, the file that users edit is damaged: its bytes
(tests/mutations.py), encoding, separators, line ends, columns, rows or values. Then the function that training calls
reads it. Findings are defined in benchmarks/fuzzing.py. Needs the extra ``train``.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import fuzzing
import numpy as np
import sounds
from fuzzing import Case
from mutations import make_case
from PIL import Image

from clavilux.audio.feature_files import write_features
from clavilux.audio.feature_table import TABLE
from clavilux.corpus.table import TABLE_NAME, CorpusRow, load_table, write_table
from clavilux.errors import CorpusError
from clavilux.system.tables import read_table
from clavilux.training.datasets import PICTURE_SUFFIXES, list_entries
from clavilux.training.recipe import RECIPES, load_recipe

LIMIT_MB = 900.0  # PyTorch alone needs about 300
N_PICTURES = 6
ODD = (
    "", " ", "0", "-1", "1e999", "nan", "inf", "9" * 5_000, "1_000", "٣", "é", "e\u0301", "\U0001f3b5", "NULL", "None",
    "yes", "../../victim.txt", "/etc/passwd", "C:\\x.png", "files\\a0.png", "./files/a0.png", "a" * 300, "=1+1", '"',
    "a\nb", "a,b", "a;b", "\0", "training ", "Training", "free", "\ufeff", "x" * 200_000,
)  # fmt: skip
TOML_VALUES = (
    "true", "-1", "0", "1.5", "1e400", "nan", "-inf", '"5"', "[]", "{}", "[5]", "1979-05-27", "0x10", "9" * 5_000,
    "'''two\nlines'''",
)  # fmt: skip
RECIPE = b"""# a recipe
seed = 3

[image_vae]
steps = 5
learning_rate = 1e-3
decoder = "painter"
objective = "kl_target"

[mapping]
method = "pca-match"
epochs = 2
"""


def whole_folders() -> dict[str, dict[str, bytes]]:
    """Return the folders by what is read in them: files by name; the first one will be damaged."""
    with tempfile.TemporaryDirectory() as temporary:
        corpus, music = Path(temporary, "corpus"), Path(temporary, "music")
        (corpus / "files").mkdir(parents=True)
        music.mkdir()
        rows = []
        for n in range(N_PICTURES):
            name = f"files/a{n}.png"
            Image.new("RGB", (8, 8), (n, n, n)).save(corpus / name)
            rows.append(
                CorpusRow(
                    file=name,
                    source="someone/something",
                    path=f"a{n}.png",
                    artist='Näcken; "The" Third, junior',
                    role="abstract",
                    genre="",
                    tier="free",
                    licence="CC0-1.0",
                    sha256="ab" * 32,
                    width=8,
                    height=8,
                    seconds=0.0,
                    split=("training", "validation", "held-out")[n % 3],
                )
            )
        write_table(corpus, rows)
        for n in range(2):
            sounds.write_sound(music / f"s{n}.wav", sounds.song(1.0, seed=n))
        write_features(music, Path(temporary, "features"), jobs=1)
        features = {
            TABLE: Path(temporary, "features", TABLE).read_bytes(),
            **{f"{path.stem}.npy": path.read_bytes() for path in Path(temporary, "features").glob("*.npy")},
            **{f"music/{path.name}": path.read_bytes() for path in music.iterdir()},
        }
        pictures = {
            TABLE_NAME: (corpus / TABLE_NAME).read_bytes(),
            **{f"files/{path.name}": path.read_bytes() for path in (corpus / "files").iterdir()},
        }
    return {
        "splits": pictures,
        "corpus.csv": pictures,
        "descriptors.csv": features,
        "any table": pictures,
        "recipe": {"recipe.toml": RECIPE},
        "whole recipe": {"recipe.toml": (RECIPES / "default.toml").read_bytes()},
    }


# Damage of the text --------------------------------------------------------------------------------------------------


def encode(content: bytes, rng: np.random.Generator) -> bytes:
    """Save as another program would: with a byte-order mark, another encoding or other line ends."""
    text = content.decode()
    name = ("utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "mac-roman", "utf-7")[rng.integers(7)]
    text = text.replace("\n", ("\n", "\r\n", "\r", "\n\n", "\u2028")[rng.integers(5)])
    return text.encode(name, errors="replace")


def separate(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace the separator in all or some lines."""
    lines = content.decode().splitlines(keepends=True)
    new = (";", "\t", "|", " ", ",,", ", ", "=", "'")[rng.integers(8)]
    share = float(rng.choice([1.0, 1.0, 0.3]))
    old = "," if "," in lines[0] else "="
    return "".join(line.replace(old, new) if rng.random() < share else line for line in lines).encode()


def change_lines(content: bytes, rng: np.random.Generator) -> bytes:
    """Remove, repeat, swap, cut or join lines, or cut off the end."""
    lines = content.decode().splitlines(keepends=True)
    for _ in range(int(rng.integers(1, 4))):
        a, b = (int(rng.integers(len(lines))) for _ in range(2))
        match int(rng.integers(6)):
            case 0 if len(lines) > 1:
                del lines[a]
            case 1:
                lines.insert(b, lines[a])
            case 2:
                lines[a], lines[b] = lines[b], lines[a]
            case 3:
                lines[a] = lines[a][: int(rng.integers(len(lines[a]) + 1))]
            case 4:
                lines[a] = lines[a].rstrip("\n")
            case _:
                lines = lines[: a + 1]
    return "".join(lines).encode()


def is_recipe(content: bytes) -> bool:
    return b"[mapping]" in content


def change_columns(content: bytes, rng: np.random.Generator) -> bytes:
    """Remove, repeat, rename or move a column, in the header or in all rows; in a recipe, change a key."""
    if is_recipe(content):
        lines = content.decode().splitlines()
        keyed = [number for number, line in enumerate(lines) if "=" in line or line.startswith("[")]
        number = int(rng.choice(keyed))
        key, _, value = lines[number].partition("=")
        other = str(rng.choice([key.upper(), f"x{key}", f"{key}.more", f'"{key}"', "", "[[mapping]]", "[new]"]))
        lines[number] = f"{other} = {value}" if value and rng.random() < 0.9 else other
        return "\n".join(lines).encode()
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    column, whole = int(rng.integers(len(rows[0]))), rng.random() < 0.6
    kind = int(rng.integers(4))
    name = ODD[rng.integers(len(ODD))]
    for number, row in enumerate(rows):
        if number and not whole:
            break
        if kind == 0:
            del row[column]
        elif kind == 1:
            row.append(row[column])
        elif kind == 2 and number == 0:
            row[column] = name
        elif kind == 3:
            row.insert(0, row.pop(column))
    return write_rows(rows)


def change_values(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace one to three values; in a recipe, by values of any TOML type."""
    if not is_recipe(content):
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        for _ in range(int(rng.integers(1, 4))):
            row = rows[rng.integers(1, len(rows))]
            row[rng.integers(len(row))] = ODD[rng.integers(len(ODD))]
        return write_rows(rows)
    lines = content.decode().splitlines()
    keyed = [number for number, line in enumerate(lines) if "=" in line]
    for _ in range(int(rng.integers(1, 4))):
        number = int(rng.choice(keyed))
        lines[number] = f"{lines[number].partition('=')[0]} = {TOML_VALUES[rng.integers(len(TOML_VALUES))]}"
    return "\n".join(lines).encode()


def write_rows(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="surrogatepass")


TEXT_MUTATIONS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    mutation.__name__: mutation for mutation in (encode, separate, change_lines, change_columns, change_values)
}


# A case --------------------------------------------------------------------------------------------------------------


def read(folder: Path) -> tuple[str, str]:
    """Read a folder as training does, with the reader that the file `row` names."""
    outside = folder.parent / "victim.txt"
    outside.write_text("outside")
    row = (folder / "row").read_text()
    if row == "splits":
        entries = list_entries(folder, PICTURE_SUFFIXES, report=lambda line: None)
        if not {entry.split for entry in entries} <= {"training", "validation", "held-out"}:
            return "another split", str(entries)
    elif row == "corpus.csv":
        if not all(np.isfinite(entry.seconds) and entry.width >= 0 for entry in load_table(folder)):
            return "no number", ""
    elif row == "any table":
        columns, rows = read_table(folder / TABLE_NAME, CorpusError)
        if not all(list(values) == columns for values in rows):
            return "rows without columns", ""
    elif row == "descriptors.csv":
        summary = write_features(folder / "music", folder, jobs=1)
        if summary.faults or summary.measured + summary.kept != 2 or not np.isfinite(summary.seconds):
            return "not measured", str(summary)
    else:
        load_recipe(str(folder / "recipe.toml"))
    return ("read", "") if outside.read_text() == "outside" else ("another file changed", "")


def main() -> int:
    wholes = whole_folders()

    def make(seed: int, number: int) -> Case:
        case = make_case(wholes, seed, number, TEXT_MUTATIONS)
        return Case(case.row, case.column, {**case.files, "row": case.row.encode()})

    return fuzzing.run_fuzzer(__doc__, make, read, ("read",), limit_mb=LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
