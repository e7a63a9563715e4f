"""`clavilux evaluate`: does every song have a picture of its own, and do songs that sound alike look alike?"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click

from clavilux.evaluation.evaluate import Material, Result, evaluate
from clavilux.evaluation.material import find_art, find_songs

# Measures in the order of the printed table; what else was measured stands in the JSON.
SHOWN = {
    "diversity": "diversity",
    "vendi": "Vendi",
    "coverage": "coverage",
    "recall": "recall",
    "precision": "precision",
    "density": "density",
    "kid": "KID",
    "same_song_auc": "same song",
    "geometry": "geometry",
    "neighbours_kept": "10 nearest",
    "arousal-chroma": "arousal, chroma",
    "valence-warmth": "valence, warmth",
    "onset_rate-spatial_frequency": "onsets, frequency",
    "register-lightness": "register, lightness",
    "identity": "identity",
    "hubs": "hubs",
}


@click.command("evaluate")
@click.option("--bundle", default="default", show_default=True, metavar="NAME|DIR", help="Trained networks.")
@click.option(
    "--music",
    type=click.Path(path_type=Path),
    required=True,
    help="Corpus of music (its held-out songs), or any folder of songs.",
)
@click.option(
    "--art",
    type=click.Path(path_type=Path),
    required=True,
    help="Corpus of art (its held-out abstract pictures), or any folder of pictures.",
)
@click.option("--songs", type=click.IntRange(4), default=200, show_default=True, help="Songs at most.")
@click.option("--pictures", type=click.IntRange(20), default=400, show_default=True, help="Pictures a side at most.")
@click.option("--max-seconds", type=click.FloatRange(10), default=180.0, show_default=True, help="Listened to of each.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws equal numbers on all sides.")
@click.option("--jobs", type=int, default=-1, help="Processes.  [default: all cores]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="JSON with every figure.")
def evaluate_command(
    bundle: str,
    music: Path,
    art: Path,
    songs: int,
    pictures: int,
    max_seconds: float,
    seed: int,
    jobs: int,
    output: Path | None,
) -> None:
    """Measure a bundle on music and art that it has not learnt from, and print the table."""
    started = time.monotonic()
    held_out, training = find_art(art, pictures)
    material = Material(find_songs(music, songs), held_out, training)
    result = evaluate(
        bundle,
        material,
        seed=seed,
        max_s=max_seconds,
        jobs=jobs,
        log=lambda line: click.echo(f"[{time.monotonic() - started:5.0f} s] {line}", err=True),
    )
    for fault in result.faults:
        click.echo(f"clavilux: {fault}; left out", err=True)
    click.echo(to_markdown(result))
    if output:
        temporary = output.with_name(f".{os.getpid()}.{output.name}")
        temporary.write_text(
            json.dumps({"bundle": bundle, "counts": result.counts, "table": result.table}, indent=1) + "\n", "utf-8"
        )
        os.replace(temporary, output)


def to_markdown(result: Result) -> str:
    """The table, a measure a line."""
    rows = list(result.table)
    lines = [
        ", ".join(f"{count} {what}" for what, count in result.counts.items()),
        "",
        "| measure | " + " | ".join(rows) + " |",
        "|---|" + "--:|" * len(rows),
    ]
    for key, title in SHOWN.items():
        cells = [f"{result.table[row][key]:.2f}" if key in result.table[row] else "" for row in rows]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
