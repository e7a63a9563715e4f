"""What the eye sees of paintings whose controls are known: a confusion matrix of the kinds, and the errors of the rest.

    python benchmarks/eye_confusion.py CORPUS/art [--bundle NAME|DIR] [--studies 2600] [--markdown docs/eye.md]

Studies are painted as for a training (`clavilux/training/studies.py`), over palettes and plans of pictures of the
validation split and with a seed of their own, none of which the eye has learnt from. Half of them have one kind of
marks and half two, of which the larger one is asked for.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from pages import marks_of, put_text
from threadpoolctl import threadpool_limits

from clavilux.bundle import open_bundle
from clavilux.constants import SURFACE
from clavilux.corpus import load_table
from clavilux.errors import PictureError
from clavilux.images import middle_square, read_picture, resize
from clavilux.painter.marks import KINDS
from clavilux.training.analysis import WINDOW_PX, Windows, read_plan
from clavilux.training.stage_pictures import load_eye
from clavilux.training.studies import Studies, paint_studies
from clavilux.training.train_mark_classifier import MarksRead, read_marks

PICTURES = 250  # that lend palettes and plans
SEED = (
    2_000_003  # of the studies; those of a training start at the seed of its recipe and are fewer than the difference
)
SURE = 0.5  # length of a direction from which the eye is sure of it
MARKERS = marks_of("eye_confusion")

Float64 = NDArray[np.float64]


def main() -> None:
    """Paint, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("art", type=Path)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--studies", type=int, default=100 * len(KINDS))
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--markdown", type=Path, help="page whose marked place gets the tables")
    arguments = parser.parse_args()

    bundle = open_bundle(arguments.bundle)
    if tuple(bundle.kinds) != KINDS:
        parser.error(f"the eye of bundle {bundle.name} knows other kinds than {', '.join(KINDS)}")
    windows = read_windows(arguments.art, PICTURES, arguments.jobs)
    studies = paint_studies(windows, arguments.studies, seed=SEED, jobs=arguments.jobs)
    seen = read_marks(load_eye(bundle), studies.pictures)
    head = (
        f"The eye of bundle `{bundle.name}` (sha256 {bundle.sha256[:12]}) on {arguments.studies} studies over "
        f"{len(windows.windows)} pictures of the validation split."
    )
    text = f"{head}\n\n{make_tables(studies, seen)}"
    print(text, end="")
    if arguments.markdown:
        put_text(arguments.markdown, text, MARKERS)


def read_windows(art: Path, n: int, jobs: int) -> Windows:
    """Palettes and plans of the middle squares of n validation pictures, drawn by the hash of their file."""
    rows = [row for row in load_table(art) if row.split == "validation"]
    rows.sort(key=lambda row: hashlib.sha256(row.file.encode()).hexdigest())
    found = Parallel(n_jobs=jobs, batch_size=8)(delayed(_read_window)(art / row.file) for row in rows[:n])
    squares, palettes, shares = zip(*(entry for entry in found if entry is not None), strict=True)
    names = [str(number) for number in range(len(squares))]
    return Windows(
        np.stack(squares), np.stack(palettes), np.stack(shares), np.arange(len(names)), names, ["any"] * len(names)
    )


def _read_window(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]] | None:
    try:
        square = resize(middle_square(read_picture(path)), WINDOW_PX)
    except PictureError:
        return None
    with threadpool_limits(1):
        palette, shares = read_plan(square, np.random.default_rng(0))
    return square, palette, np.rint(shares * 255).astype(np.uint8)


def make_tables(studies: Studies, seen: MarksRead) -> str:
    """All tables as Markdown: kinds at large, the other controls, each kind, and two matrices."""
    one = studies.kind.max(axis=1) == 1
    groups = {"one kind": one, "two kinds": ~one}
    return "\n".join(
        [
            "### Kinds at large",
            "",
            *_kinds_at_large(studies, seen, groups),
            "",
            "### What makes a kind easy to see",
            "",
            *_by_circumstance(studies, seen, one),
            "",
            "### The other controls",
            "",
            *_other_controls(studies, seen),
            "",
            "### Each kind",
            "",
            *_each_kind(studies, seen, one),
            *(line for name, some in groups.items() for line in _matrix(studies.kind[some], seen.kind[some], name)),
            "",
        ]
    )


def _kinds_at_large(studies: Studies, seen: MarksRead, groups: dict[str, NDArray[np.bool_]]) -> list[str]:
    columns = {name: kind_scores(studies.kind[some], seen.kind[some]) for name, some in groups.items()}
    lines = [f"| | {' | '.join(columns)} | by chance |", f"|---|{'--:|' * (len(columns) + 1)}"]
    pictures = " | ".join(str(int(some.sum())) for some in groups.values())
    lines.append(f"| pictures | {pictures} | |")
    n = len(KINDS)
    three = 3 / n
    chance = {"top-1": f"{1 / n:.2f}", "top-3": f"{three:.2f}", "both": f"{three:.2f}, {three * 2 / (n - 1):.2f}"}
    for key, text in (
        ("top-1", "the larger kind is the eye's first"),
        ("top-3", "the larger kind is among its first three"),
        ("both", "all kinds of the picture are among its first three"),
        ("right", "area that it gives to the kinds that are there"),
        ("area", "area that it gives to a wrong kind, or misses (total variation)"),
    ):
        figures = " | ".join(f"{scores[key]:.2f}" for scores in columns.values())
        lines.append(f"| {text} | {figures} | {chance.get(key, '')} |")
    return lines


def _is_bare(surface: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether pictures have nothing of softness, glaze, brush and outline, by their shares of ranges (n, 4)."""
    none = np.array([-low / (high - low) for low, high in SURFACE.values()], np.float32)
    return np.asarray((np.abs(surface - none) < 1e-6).all(axis=1))


def _by_circumstance(studies: Studies, seen: MarksRead, one: NDArray[np.bool_]) -> list[str]:
    """How well the kind is seen in pictures of one kind, by what makes it easy or hard."""
    frequency, bare = np.exp(studies.log_frequency), _is_bare(studies.surface)
    lines = ["| pictures of one kind | pictures | first | among the first three |", "|---|--:|--:|--:|"]
    for text, some in (
        ("fewer than 8 marks along a side", frequency < 8),
        ("8 to 16", (frequency >= 8) & (frequency < 16)),
        ("16 to 28", (frequency >= 16) & (frequency < 28)),
        ("28 and more: below 4.6 pixels each", frequency >= 28),
        ("chaos below 0.6", studies.chaos < 0.6),
        ("chaos 0.6 and more", studies.chaos >= 0.6),
        ("no softness, glaze, brush or outline", bare),
        ("some", ~bare),
        ("chaos 0.6 and more, fewer than 16 marks, bare", (studies.chaos >= 0.6) & (frequency < 16) & bare),
    ):
        if not (one & some).any():
            continue
        scores = kind_scores(studies.kind[one & some], seen.kind[one & some])
        lines.append(f"| {text} | {(one & some).sum()} | {scores['top-1']:.2f} | {scores['top-3']:.2f} |")
    return lines


def kind_scores(truth: NDArray[np.float32], seen: NDArray[np.float32]) -> dict[str, float]:
    """How well areas (n, n_kinds) are seen; each sums to 1 over the kinds."""
    first = np.argsort(-seen, axis=1, kind="stable")[:, :3]
    larger = truth.argmax(axis=1)
    among = np.zeros(truth.shape, bool)
    np.put_along_axis(among, first, True, axis=1)
    return {
        "top-1": float((first[:, 0] == larger).mean()),
        "top-3": float(among[np.arange(len(larger)), larger].mean()),
        "both": float((among | (truth == 0)).all(axis=1).mean()),
        "right": float(np.where(truth > 0, seen, 0).sum(axis=1).mean()),
        "area": float(0.5 * np.abs(truth - seen).sum(axis=1).mean()),
    }


def _other_controls(studies: Studies, seen: MarksRead) -> list[str]:
    lines = ["| control | correlation | typical error (median) | |", "|---|--:|--:|---|"]
    octaves = np.abs(seen.log_frequency - studies.log_frequency) / np.log(2)
    lines.append(
        f"| frequency, in the logarithm | {correlation(seen.log_frequency, studies.log_frequency):.2f} "
        f"| {np.median(octaves):.2f} octaves | |"
    )
    cosine, sure = direction_cosine(studies.angle, seen.direction)
    off = np.degrees(np.median(np.arccos(np.clip(cosine[sure], -1, 1)))) / 2
    lines.append(
        f"| angle | cosine {cosine[sure].mean():.2f} | {off:.0f} degrees | of the {100 * sure.mean():.0f} % of "
        "pictures of whose direction it is sure; cosine of twice the angle between |"
    )
    lines.append(
        f"| chaos | {correlation(seen.chaos, studies.chaos):.2f} "
        f"| {np.median(np.abs(seen.chaos - studies.chaos)):.2f} | |"
    )
    for column, (name, (low, high)) in enumerate(SURFACE.items()):
        truth, said = (low + (high - low) * values[:, column] for values in (studies.surface, seen.surface))
        bare = np.abs(said[np.abs(truth) < 1e-6])
        lines.append(
            f"| {name} | {correlation(said, truth):.2f} | {np.median(np.abs(said - truth)):.2g} | "
            f"of pictures with none it says {np.median(bare):.2g} (median), {np.quantile(bare, 0.95):.2g} "
            "(19 of 20 less) |"
        )
    return lines


def _each_kind(studies: Studies, seen: MarksRead, one: NDArray[np.bool_]) -> list[str]:
    lines = [
        "Found: pictures of this kind alone that are named by it. True: pictures of one kind named by it that are of",
        "it. Frequency and angle: over pictures of it alone; an angle in brackets where the eye is sure of fewer than",
        "a third.",
        "",
        "| | kind | found | true | taken for | frequency | angle |",
        "|--:|---|--:|--:|---|--:|--:|",
    ]
    counts = confusion(studies.kind[one], seen.kind[one])
    cosine, sure = direction_cosine(studies.angle, seen.direction)
    for k, kind in enumerate(KINDS):
        mine = one & (studies.kind.argmax(axis=1) == k)
        if not mine.any():
            continue
        others = [j for j in np.argsort(-counts[k], kind="stable") if j != k and counts[k, j] > 0][:2]
        taken = ", ".join(f"{KINDS[j]} {100 * counts[k, j] / counts[k].sum():.0f} %" for j in others)
        some = mine & sure
        angle = f"{cosine[some].mean():.2f}" if some.any() else ""
        if angle and some.sum() < mine.sum() / 3:
            angle = f"({angle})"
        found, true = counts[k, k] / counts[k].sum(), counts[k, k] / max(1, counts[:, k].sum())
        frequency = correlation(seen.log_frequency[mine], studies.log_frequency[mine])
        lines.append(f"| {k + 1} | {kind} | {found:.2f} | {true:.2f} | {taken} | {frequency:.2f} | {angle} |")
    return lines


def _matrix(truth: NDArray[np.float32], seen: NDArray[np.float32], name: str) -> list[str]:
    counts = confusion(truth, seen)
    percent = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    numbers = range(1, len(KINDS) + 1)
    lines = ["", f"### Confusion, pictures of {name}", ""]
    lines.append(
        "Rows: the larger kind. Columns: what the eye says first. Percent of the row; less than a half is left out."
    )
    lines += ["", f"| | | {' | '.join(map(str, numbers))} |", f"|--:|---|{'--:|' * len(KINDS)}"]
    for k, kind in enumerate(KINDS):
        cells = (f"**{v:.0f}**" if j == k else f"{v:.0f}" if v >= 0.5 else "" for j, v in enumerate(percent[k]))
        lines.append(f"| {k + 1} | {kind} | {' | '.join(cells)} |")
    return lines


def confusion(truth: NDArray[np.float32], seen: NDArray[np.float32]) -> Float64:
    """Pictures by their larger kind (rows) and by the first of the eye's (columns), (n_kinds, n_kinds)."""
    n = truth.shape[1]
    pairs = truth.argmax(axis=1) * n + seen.argmax(axis=1)
    return np.bincount(pairs, minlength=n * n).reshape(n, n).astype(np.float64)


def direction_cosine(
    angle: NDArray[np.float32], direction: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Cosine between true and seen direction, of twice the angle, (n,), and where the eye is sure, (n,)."""
    twice = 4 * np.pi * angle
    length = np.linalg.norm(direction, axis=1)
    along = direction[:, 0] * np.cos(twice) + direction[:, 1] * np.sin(twice)
    return along / np.maximum(length, 1e-9), length > SURE


def correlation(a: Sequence[float] | NDArray[np.float32], b: Sequence[float] | NDArray[np.float32]) -> float:
    """Pearson's; 0 where one of the two does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


if __name__ == "__main__":
    main()
