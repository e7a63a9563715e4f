"""``clavilux evaluate``: measure trained networks on songs and pictures that were not used for training."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from clavilux.bundle import open_bundle
from clavilux.cli.hints import HintedCommand
from clavilux.cli.options import (
    ADVANCED,
    FILE,
    OTHERS,
    PATH,
    FiniteRange,
    WholeRange,
    advanced_option,
    bundle_names,
    bundle_option,
    check_suffix,
    file_option,
    jobs_option,
    option,
    seed_option,
)
from clavilux.cli.output import complain, say, write_output
from clavilux.corpus.table import TABLE_NAME
from clavilux.system.extras import EXTRAS, require
from clavilux.system.files import refuse_inputs


@click.command("evaluate", cls=HintedCommand)
@bundle_option(section=OTHERS)
@option(
    "--beside",
    multiple=True,
    metavar="NAME|DIR",
    shell_complete=bundle_names,
    help="Another bundle of trained networks, such as `classic`, to measure on the same songs for comparison; may be "
    "given several times.",
)
@option(
    "--music",
    type=PATH,
    required=True,
    metavar="DIR",
    help="Folder of songs. If `clavilux corpus` built it, only its held-out songs are used, because no network is "
    "trained on them.",
)
@option(
    "--art",
    type=PATH,
    required=True,
    metavar="DIR",
    help="Folder of pictures. If `clavilux corpus` built it, its held-out abstract and generative pictures are used, "
    "and the training pictures serve for comparison. In any other folder, half of the pictures are treated as held-out "
    "pictures, and the other half take the place of the training pictures.",
)
@option(
    "--songs",
    type=WholeRange(12),
    default=200,
    metavar="N",
    help="Use at most N songs. Which songs are used depends only on the file names.",
)
@option(
    "--pictures",
    type=WholeRange(24),
    default=400,
    metavar="N",
    help="Use at most N held-out pictures and at most N training pictures. Which pictures are used depends only on the "
    "file names.",
)
@option(
    "--max-seconds",
    type=FiniteRange(10),
    default=120.0,
    metavar="S",
    help="Use only the first S seconds of each song.",
)
@seed_option(
    "it decides which random latents, permutations and test tunes are drawn. If --art is a corpus, the "
    "report also compares one half of its held-out pictures with the other, to show which values real art reaches, and "
    "the seed decides which pictures are in which half. It has no effect on which songs and pictures are used.",
    section=ADVANCED,
)
@advanced_option(
    "--looks",
    type=FILE,
    metavar="FILE",
    help="Text file that counts the evaluations (looks) on these songs: this evaluation adds a line, and the report "
    "states how many there were. The more often networks are chosen by their results on the same songs, the less these "
    "results say about other songs.",
)
@jobs_option()
@file_option(
    "Report to write. If FILE ends in .html, it is a page, and its numbers are also written to a .json file of the "
    "same name. If FILE ends in .json, it has only the numbers.  [default: only print a table]"
)
def evaluate(
    bundle: str,
    beside: tuple[str, ...],
    music: Path,
    art: Path,
    songs: int,
    pictures: int,
    max_seconds: float,
    seed: int,
    looks: Path | None,
    jobs: int | None,
    output: Path | None,
) -> None:
    """Measure trained networks on songs and pictures that were not used for training, and print a table.

    Needs the extra `eval`: run `pip install ".[eval]"` in the source folder. docs/measures.md explains the measures.
    Sixteen songs take about 2 minutes on two cores, 200 about 11; a line on stderr names each part of the work.

    \b
    clavilux evaluate --music corpus/music --art corpus/art -o report.html
    """  # noqa: D301  (click: \b keeps line breaks)
    check_suffix(output, ".html", ".json")
    for module in EXTRAS["eval"]:
        require(module, "eval")  # before any work

    from clavilux.evaluation.evaluate import evaluate as measure
    from clavilux.evaluation.looks import add_look, count_looks
    from clavilux.evaluation.material import find_material
    from clavilux.evaluation.report import to_html, to_json, to_markdown

    if looks is not None:
        count_looks(looks)  # before the work, because the file may not be a file of looks
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
    try:
        result = measure(
            bundle,
            material,
            beside=beside,
            seed=seed,
            max_s=max_seconds,
            jobs=jobs or -1,
            log=lambda line: complain(line, prefix=f"[{time.monotonic() - started:5.0f} s] "),
        )
    except KeyboardInterrupt:
        complain("interrupted; the figures are complete only at the end, so nothing was written")
        raise
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
        if output.suffix.lower() == ".html":
            write_output(output, to_html(result, opened).encode())
        write_output(output.with_suffix(".json"), (json.dumps(to_json(result, opened), indent=1) + "\n").encode())
