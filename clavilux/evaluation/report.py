"""The report: one HTML file with the table, the pictures and the plots, which needs no network.

Result -> **here** -> text of an HTML page
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clavilux.bundle import Bundle
from clavilux.evaluation.diversity import distances
from clavilux.evaluation.evaluate import Gallery, Result
from clavilux.evaluation.goals import CEILING, FAMILIES, MEASURES, Measure, judge
from clavilux.evaluation.judges import JUDGES
from clavilux.evaluation.likeness import spearman
from clavilux.evaluation.painting import THUMBNAIL_PX, lay_out
from clavilux.evaluation.svg import bars, data_uri, picture_map, scatter
from clavilux.guides import GUIDES
from clavilux.training.transport import principal_components

Floats = NDArray[np.floating]

_SHEET = 100  # songs of the contact sheet
_STRIP = 20  # pictures of each other column
_PAIRS = 12  # nearest songs
_ALIKE = 10  # most alike pictures
_ON_MAP = 70  # songs whose pictures lie on the map; the others are dots

_STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #1d1f23; background: #fff; margin: 2rem auto; max-width: 1180px;
  padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.4rem }
p, li { max-width: 75ch } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; white-space: nowrap }
th, td { padding: .2rem .55rem; text-align: right; border-bottom: 1px solid #e8e9ec }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff }
tr.family th { text-align: left; padding-top: 1.1rem; border-bottom: 1px solid #8b9099 }
td.own { font-weight: 650 } td.met { color: #1a6b34 } td.missed { color: #a8321a } td.p { color: #6b7078 }
img { max-width: 100% } figure { display: inline-block; margin: 0 .8rem .8rem 0; vertical-align: top }
figcaption { font-size: 12px; color: #4a4e55; max-width: 196px }
svg { max-width: 100%; height: auto }
"""


_ABOUT_TABLE = """<p>Judges of pictures: A, a network for photographs (EfficientNet-lite0); B, our numbers for colour,
layout, texture, edges and spectrum. No training has used either. Figures are absolute; <i>of real art</i> is the figure
divided by what as many real training pictures reach against the same held-out art. p is the share of permutations of
songs that do as well by chance. Columns: <i>decoder</i> paints latents of training pictures; <i>linear map</i> is an
affine map from songs to art in closed form, fitted on these very songs without looking at a painting; <i>retrieval</i>
gives each song the real picture nearest to its latent; <i>mean song</i> paints one picture for all.</p>"""
_ABOUT_EARS = """<p>The song code is what the bundle hears, musicnn a network of others, mfcc plain statistics. Pictures
cannot tell more apart than the ear that they are painted from.</p>"""


def to_html(result: Result, bundle: Bundle) -> str:
    """The whole page."""
    gallery = result.gallery
    parts = [
        f"<h1>Clavilux, measured: bundle {html.escape(bundle.name)}</h1>",
        f"<p>{_summary(result)} Bundle {bundle.sha256[:12]}, {html.escape(str(bundle.card.get('created', '')))}.</p>",
        _list([f"{count} {what}" for what, count in result.counts.items()]),
        _list(result.remarks),
        "<h2>The table</h2>",
        _ABOUT_TABLE,
        f'<div class="scroll">{_table(result)}</div>',
        "<h2>What the ears tell apart</h2>",
        _ABOUT_EARS,
        f'<div class="scroll">{_ears(result)}</div>',
        f"<h2>{min(_SHEET, len(gallery.names))} songs</h2>",
        _sheet(gallery, "songs", _SHEET, 10),
        "<h2>The same songs, otherwise</h2>",
        *(_strip(gallery, column) for column in gallery.sights if column != "songs"),
        "<h2>Songs that sound most alike</h2>",
        "<p>The nearest pairs in the song code; the number is the distance of the two pictures (judge B), in units of "
        "a usual pair's.</p>",
        _pairs(gallery, _nearest_pairs(gallery.ears["code"], _PAIRS)),
        "<h2>Pictures of different songs that look most alike</h2>",
        *(
            f"<p>Judge {name}:</p>{_pairs(gallery, _nearest_pairs(gallery.points[name], _ALIKE), name)}"
            for name in JUDGES
        ),
        "<h2>Where the songs lie among real pictures</h2>",
        "<p>The two leading principal components of the latents of real pictures (grey), with the songs on them.</p>",
        _map(gallery),
        "<h2>What is heard, and what is seen</h2>",
        "<p>Each guide, songs ranked on both sides.</p>",
        _scatters(gallery),
        "<h2>What each latent says</h2>",
        _units(gallery),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Clavilux, measured: {html.escape(bundle.name)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def to_markdown(result: Result) -> str:
    """The table for a terminal: the songs against their goals, and the columns beside."""
    others = [column for column in result.table if column != "songs"]
    lines = [
        ", ".join(f"{count} {what}" for what, count in result.counts.items()),
        "",
        "| measure | songs | of real art | goal | met | " + " | ".join(others) + " |",
        "|---|--:|--:|---|---|" + "--:|" * len(others),
    ]
    for measure in MEASURES:
        verdict = judge(measure, result.table, "songs")
        if verdict is None:
            continue
        met = {True: "yes", False: "no", None: ""}[verdict.met]
        cells = [_figure(result.table[column].get(measure.key)) for column in others]
        ratio, goal = _figure(verdict.ratio), "" if measure.goal is None else str(measure.goal)
        lines.append(f"| {measure.title} | {_figure(verdict.value)} | {ratio} | {goal} | {met} | {' | '.join(cells)} |")
    return "\n".join([*lines, *(f"Note: {remark}" for remark in result.remarks)])


def to_json(result: Result, bundle: Bundle) -> dict[str, object]:
    """All figures, and each goal with its verdict, for programs."""
    goals = {}
    for measure in MEASURES:
        verdict = judge(measure, result.table, "songs")
        if verdict is not None:
            goals[measure.key] = {
                "value": verdict.value,
                "of_real_art": verdict.ratio,
                "goal": None if measure.goal is None else str(measure.goal),
                "met": verdict.met,
            }
    return {
        "bundle": {"name": bundle.name, "sha256": bundle.sha256},
        "counts": result.counts,
        "remarks": result.remarks,
        "left_out": result.faults,
        "goals": goals,
        "columns": result.table,
        "ears": result.ears,
    }


def _summary(result: Result) -> str:
    verdicts = [judge(measure, result.table, "songs") for measure in MEASURES]
    decided = [verdict.met for verdict in verdicts if verdict is not None and verdict.met is not None]
    return f"{sum(decided)} of {len(decided)} goals are met."


def _table(result: Result) -> str:
    others = [column for column in result.table if column != "songs"]
    head = ["measure", "songs", "of real art", "goal", "", *others]
    rows = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    for family, measures in FAMILIES.items():
        lines = [_line(result, measure, others) for measure in measures]
        if any(lines):
            rows.append(f'<tr class="family"><th colspan="{len(head)}">{html.escape(family)}</th></tr>')
            rows += [line for line in lines if line]
    return f"<table>{''.join(rows)}</table>"


def _line(result: Result, measure: Measure, others: Sequence[str]) -> str:
    verdict = judge(measure, result.table, "songs")
    if verdict is None:
        return ""
    p = result.table["songs"].get(f"{measure.key}_p")
    value = _figure(verdict.value) + (f' <span title="p">(p {p:.3f})</span>' if p is not None else "")
    mark = {True: ("met", "met"), False: ("missed", "missed"), None: ("", "")}[verdict.met]
    cells = [
        f'<td title="{html.escape(measure.meaning)}">{html.escape(measure.title)}</td>',
        f'<td class="own">{value}</td>',
        f"<td>{_figure(verdict.ratio)}</td>",
        f"<td>{'' if measure.goal is None else html.escape(str(measure.goal))}</td>",
        f'<td class="{mark[0]}">{mark[1]}</td>',
        *(f"<td>{_figure(result.table[column].get(measure.key))}</td>" for column in others),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _ears(result: Result) -> str:
    ears = list(result.ears)
    names = list(dict.fromkeys(name for figures in result.ears.values() for name in figures))
    rows = ["<tr><th></th>" + "".join(f"<th>{html.escape(ear)}</th>" for ear in ears) + "</tr>"]
    for name in names:
        cells = "".join(f"<td>{_figure(result.ears[ear].get(name))}</td>" for ear in ears)
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    if value == 0 or (float(value).is_integer() and abs(value) >= 2):
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _sheet(gallery: Gallery, column: str, n: int, columns: int) -> str:
    pictures = gallery.sights[column].thumbnails[:n]
    names = "; ".join(gallery.names[:n]) if column.startswith("songs") else column
    return (
        f'<img alt="{html.escape(column)}" title="{html.escape(names)}" src="{data_uri(lay_out(pictures, columns))}">'
    )


def _strip(gallery: Gallery, column: str) -> str:
    what = "not of these songs" if column in (CEILING, "decoder", "random latents") else "the first songs of the sheet"
    return f"<p>{html.escape(column)} ({what})</p>{_sheet(gallery, column, _STRIP, 10)}"


def _nearest_pairs(points: Floats, n: int) -> list[tuple[int, int]]:
    rows, columns = np.triu_indices(len(points), 1)
    order = np.argsort(distances(points, points)[rows, columns], kind="stable")[:n]
    return [(int(rows[i]), int(columns[i])) for i in order]


def _pairs(gallery: Gallery, pairs: Sequence[tuple[int, int]], judge_name: str = "B") -> str:
    between = distances(gallery.points[judge_name], gallery.points[judge_name])
    usual = float(np.median(between[np.triu_indices(len(between), 1)]))
    thumbnails = gallery.sights["songs"].thumbnails
    figures = []
    for i, j in pairs:
        picture = data_uri(lay_out(thumbnails[[i, j]], 2))
        names = " / ".join(html.escape(gallery.names[k][:40]) for k in (i, j))
        figures.append(
            f'<figure><img alt="" width="{2 * THUMBNAIL_PX}" src="{picture}"><figcaption>{between[i, j] / usual:.2f}: '
            f"{names}</figcaption></figure>"
        )
    return f"<div>{''.join(figures)}</div>"


def _map(gallery: Gallery) -> str:
    art = np.asarray(gallery.art_latents, np.float64)
    directions = principal_components(art, 2)
    places = (gallery.latents["songs"] - art.mean(axis=0)) @ directions
    return picture_map(
        (art - art.mean(axis=0)) @ directions,
        places,
        list(gallery.sights["songs"].thumbnails[:_ON_MAP]),
        title="songs among real pictures",
        picture_px=34,
    )


def _scatters(gallery: Gallery) -> str:
    return "".join(
        scatter(
            gallery.told[:, i],
            gallery.shown[:, i],
            title=f"{guide.name.replace('_', ' ')}: {spearman(gallery.told[:, i], gallery.shown[:, i]):.2f}",
            x_label=", ".join(guide.heard).replace("_", " "),
            y_label=", ".join(guide.seen).replace("_", " "),
            side=270,
        )
        for i, guide in enumerate(GUIDES)
    )


def _units(gallery: Gallery) -> str:
    """Variance of each latent over real pictures, largest first, and over the songs."""
    art = gallery.art_latents.var(axis=0)
    order = np.argsort(-art)
    return bars(
        art[order],
        gallery.latents["songs"].var(axis=0)[order],
        title="variance of each latent",
        value_name="variance over real pictures",
        mark_name="variance over the songs",
    )


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""
