"""``clavilux evaluate``: measure a bundle on songs and pictures that were not used for training."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from clavilux.bundle import open_bundle
from clavilux.cli.output import complain, say
from clavilux.cli.sections import BUNDLE_HELP, JOBS_HELP
from clavilux.corpus.table import TABLE_NAME
from clavilux.system.files import refuse_inputs, write_whole


@click.command("evaluate")
@click.option(
    "--bundle",
    default="default",
    show_default=True,
    metavar="NAME|DIR",
    help=BUNDLE_HELP,
)
@click.option(
    "--beside",
    multiple=True,
    metavar="NAME|DIR",
    help="Another bundle, measured on the same songs for comparison; may be given several times.",
)
@click.option(
    "--music",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of songs; of a corpus that `clavilux corpus` built, only held-out songs are used, which are kept out "
    "of training.",
)
@click.option(
    "--art",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of pictures. Of a corpus that `clavilux corpus` built, held-out abstract and generative pictures are "
    "used, and training pictures for comparison. Any other folder is split in two: one half stands for the held-out "
    "pictures, the other for the training pictures.",
)
@click.option(
    "--songs",
    type=click.IntRange(4),
    default=200,
    show_default=True,
    metavar="N",
    help="Use at most N songs, chosen by hashes of their names.",
)
@click.option(
    "--pictures",
    type=click.IntRange(20),
    default=400,
    show_default=True,
    metavar="N",
    help="Use at most N held-out pictures and at most N training pictures, chosen by hashes of the names.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(10),
    default=120.0,
    show_default=True,
    metavar="S",
    help="Use only the first S seconds of each song.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed: orders the held-out pictures and splits them in halves, and draws random latents, permutations "
    "and test tunes. It does not choose songs or pictures.",
)
@click.option(
    "--looks",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Log of evaluations on held-out songs. This run appends a line, and the report states how many there are: the "
    "more often choices are made with held-out songs, the less they are held out.",
)
@click.option("--jobs", type=int, default=-1, metavar="N", help=JOBS_HELP)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Report to write: report.html is a page, and its numbers are written to report.json beside it; with "
    "report.json, only the numbers are written.",
)
def evaluate_command(
    bundle: str,
    beside: tuple[str, ...],
    music: Path,
    art: Path,
    songs: int,
    pictures: int,
    max_seconds: float,
    seed: int,
    looks: Path | None,
    jobs: int,
    output: Path | None,
) -> None:
    """Measure trained networks on music and art that were not used for training, and print a table.

    Needs the extra `eval`. docs/measures.md explains the measures.

    \b
    clavilux evaluate --music corpus/music --art corpus/art -o report.html
    """  # noqa: D301  (click: \b keeps line breaks)
    if output is not None and output.suffix not in (".html", ".json"):
        raise click.BadParameter(f"{output} ends neither in .html nor in .json", param_hint="-o")
    import efficientnet_lite_pytorch  # noqa: F401  (first: its absence asks for the extra "eval", that of PyTorch for "train")

    from clavilux.evaluation.evaluate import evaluate
    from clavilux.evaluation.looks import add_look, count_looks
    from clavilux.evaluation.material import find_material
    from clavilux.evaluation.report import to_html, to_json, to_markdown

    if looks is not None:
        count_looks(looks)  # before the work: it may be another file
    from clavilux.painter.compiled import paint_many

    paint_many()
    started = time.monotonic()
    opened = open_bundle(bundle)
    material = find_material(music, art, songs=songs, pictures=pictures, report=complain)
    if output is not None:
        read = [song.path for song in material.songs]
        read += [*material.held_out_art, *material.training_art, *material.trained]
        read += [folder / TABLE_NAME for folder in (music, art)]
        read += [open_bundle(name).folder / "bundle.json" for name in (bundle, *beside)]
        refuse_inputs([output, output.with_suffix(".json")], read)
    result = evaluate(
        bundle,
        material,
        beside=beside,
        seed=seed,
        max_s=max_seconds,
        jobs=jobs,
        log=lambda line: complain(line, prefix=f"[{time.monotonic() - started:5.0f} s] "),
    )
    if looks is not None:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        what = f"{opened.name} {opened.sha256[:12]}"
        n_looks = add_look(looks, date=day, bundle=what, songs=len(result.names), note=f"evaluate, seed {seed}")
        result.remarks.append(f"look {n_looks} at these songs, by {looks}")
    elif material.has_held_out_songs:
        result.remarks.append("this look at held-out songs was not counted (--looks)")
    for fault in result.faults:
        complain(f"{fault}; skipped")
    say(to_markdown(result))
    if output is not None:
        if output.suffix == ".html":
            write_whole(output, to_html(result, opened).encode())
        write_whole(output.with_suffix(".json"), (json.dumps(to_json(result, opened), indent=1) + "\n").encode())
