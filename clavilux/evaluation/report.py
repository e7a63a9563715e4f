"""The report: one HTML file with the table, the pictures and the plots, which needs no network.

Result -> **here** -> text of an HTML page
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clavilux.bundle import Bundle
from clavilux.evaluation.evaluate import Gallery, Result
from clavilux.evaluation.evaluators import EVALUATORS
from clavilux.evaluation.goals import CEILING, FAMILIES, MEASURES, Measure, evaluator
from clavilux.evaluation.painting import Pixels, lay_out
from clavilux.evaluation.pairs import EXPECTED
from clavilux.evaluation.svg import bars, data_uri, picture_map, scatter
from clavilux.measures.crossmodal import CORRESPONDENCES
from clavilux.measures.diversity import distances
from clavilux.measures.similarity import spearman
from clavilux.measures.transport import principal_components

Floats = NDArray[np.floating]

_SHEET = 100  # songs of the contact sheet
_STRIP = 20  # pictures of each other column
_PAIRS = 12  # nearest songs
_ALIKE = 10  # most alike pictures
_ON_MAP = 70  # songs whose pictures lie on the map; the others are dots

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1d1f23; --quiet: #5c6169; --rule: #e8e9ec; --edge: #8b9099;
  --met: #1a6b34; --missed: #a8321a }
@media (prefers-color-scheme: dark) {
  :root { --ground: #17181b; --text: #e4e5e8; --quiet: #9fa4ad; --rule: #303238; --edge: #6f747d; --met: #6cc58a;
    --missed: #f0876d; --blue: #6ea8e8; --orange: #e6925a; --grey: #5a5e66; --ink: #c9ccd2; --line: #303238 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); margin: 2rem auto;
  max-width: 1180px; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.4rem }
p { max-width: 75ch } ul { columns: 22rem; padding-left: 1.2rem } li { break-inside: avoid }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px }
th, td { padding: .2rem .4rem; text-align: right; border-bottom: 1px solid var(--rule) }
th { vertical-align: bottom } td { white-space: nowrap }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--ground) }
tr.family th { text-align: left; padding-top: 1.1rem; border-bottom: 1px solid var(--edge) }
td.own { font-weight: 650 } td.met { color: var(--met) } td.missed { color: var(--missed) } td.p { color: var(--quiet) }
.grid { display: grid; gap: 4px; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); margin: .6rem 0 }
.strip { grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)) }
.pairs { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); margin: .6rem 0 }
.plots { display: flex; flex-wrap: wrap; gap: 6px }
figure { margin: 0; min-width: 0 }
img { display: block; width: 100%; height: auto; outline: 1px solid var(--rule); outline-offset: -1px }
figcaption { font-size: 11px; line-height: 1.35; color: var(--quiet); overflow-wrap: anywhere }
.grid figcaption { white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
svg { height: auto; max-width: 100% } .scroll svg { min-width: 640px }
"""


_ABOUT_TABLE = """<p>Judges of pictures: A, a network for photographs (EfficientNet-lite0); B, our numbers for colour,
layout, texture, edges and spectrum. No training has used either. Figures are absolute; <i>of real art</i> is the figure
divided by what as many real training pictures reach against the same held-out art. p is the share of permutations of
songs that do as well by chance. Columns: <i>decoder</i> paints latents of training pictures; <i>linear map</i> is an
affine map from songs to art in closed form, fitted on these very songs without looking at a painting; <i>retrieval</i>
gives each song the real picture nearest to its latent; <i>mean song</i> paints one picture for all.</p>"""
_ABOUT_EMBEDDINGS = """<p>The song code is what the bundle hears, musicnn a network of others, mfcc plain statistics. Pictures
cannot tell more apart than the ear that they are painted from.</p>"""
_ABOUT_MAP = """The two leading principal components of the latents of real pictures, with the songs on them. Where
songs are, real pictures should be, and the other way round."""
_ABOUT_CORRESPONDENCES = """Each guide with its rank correlation and p, the share of permutations of songs that do as well by
chance. Songs are ranked on both sides; on the line, both ranks are the same."""
_ABOUT_SIGNS = """One tune of our own on four instruments, changed in one thing alone: how often the guides that belong
to it change the right way. <i>together</i>: all at once."""


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
        _ABOUT_EMBEDDINGS,
        f'<div class="scroll">{_embeddings(result)}</div>',
        f"<h2>{min(_SHEET, len(gallery.names))} songs</h2>",
        _sheet(gallery.sights["songs"].thumbnails[:_SHEET], gallery.names),
        "<h2>The same songs, otherwise</h2>",
        *(_strip(gallery, column) for column in gallery.sights if column != "songs"),
        "<h2>Songs that sound most alike</h2>",
        "<p>The nearest pairs in the song code; the number is the distance of the two pictures (judge B), in units of "
        "a usual pair's.</p>",
        _pairs(gallery, _nearest_pairs(gallery.embeddings["code"], _PAIRS)),
        "<h2>Pictures of different songs that look most alike</h2>",
        *(
            f"<p>Judge {name}:</p>{_pairs(gallery, _nearest_pairs(gallery.points[name], _ALIKE), name)}"
            for name in EVALUATORS
        ),
        "<h2>Where the songs lie among real pictures</h2>",
        f"<p>{_ABOUT_MAP}</p>",
        f'<div class="scroll">{_map(gallery)}</div>',
        "<h2>What is heard, and what is seen</h2>",
        f"<p>{_ABOUT_CORRESPONDENCES}</p>",
        f'<div class="plots">{_scatters(result)}</div>',
        "<h2>What changes when one thing of the music changes</h2>",
        f"<p>{_ABOUT_SIGNS}</p>",
        f'<div class="scroll">{_signs(result)}</div>',
        "<h2>What each latent says</h2>",
        f"<p>{_about_kl(gallery, bundle)}</p>",
        f'<div class="scroll">{_rates(gallery)}</div>',
        f'<div class="scroll">{_variances(gallery)}</div>',
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
        verdict = evaluator(measure, result.table, "songs")
        if verdict is None:
            continue
        met = {True: "yes", False: "no", None: ""}[verdict.met]
        value, *cells = (
            _figure(figure, measure.is_count)
            for figure in (verdict.value, *(result.table[column].get(measure.key) for column in others))
        )
        ratio, goal = _figure(verdict.ratio), "" if measure.goal is None else str(measure.goal)
        lines.append(f"| {measure.title} | {value} | {ratio} | {goal} | {met} | {' | '.join(cells)} |")
    return "\n".join([*lines, *(f"Note: {remark}" for remark in result.remarks)])


def to_json(result: Result, bundle: Bundle) -> dict[str, object]:
    """All figures, and each goal with its verdict, for programs."""
    goals = {}
    for measure in MEASURES:
        verdict = evaluator(measure, result.table, "songs")
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
        "ears": result.embeddings,
        "kl_of_latents": [float(f"{rate:.4g}") for rate in result.gallery.rates],
    }


def _summary(result: Result) -> str:
    verdicts = [evaluator(measure, result.table, "songs") for measure in MEASURES]
    decided = [verdict.met for verdict in verdicts if verdict is not None and verdict.met is not None]
    return f"{sum(decided)} of {len(decided)} goals are met."


def _table(result: Result) -> str:
    others = [column for column in result.table if column != "songs"]
    head = ["measure", "songs", "p", "of real art", "goal", "", *others]
    rows = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    for family, measures in FAMILIES.items():
        lines = [_line(result, measure, others) for measure in measures]
        if any(lines):
            rows.append(f'<tr class="family"><th colspan="{len(head)}">{html.escape(family)}</th></tr>')
            rows += [line for line in lines if line]
    return f"<table>{''.join(rows)}</table>"


def _line(result: Result, measure: Measure, others: Sequence[str]) -> str:
    verdict = evaluator(measure, result.table, "songs")
    if verdict is None:
        return ""
    p = result.table["songs"].get(f"{measure.key}_p")
    mark = {True: ("met", "met"), False: ("missed", "missed"), None: ("", "")}[verdict.met]
    cells = [
        f'<td title="{html.escape(measure.meaning)}">{html.escape(measure.title)}</td>',
        f'<td class="own">{_figure(verdict.value, measure.is_count)}</td>',
        f'<td class="p">{"" if p is None else f"{p:.3f}"}</td>',
        f"<td>{_figure(verdict.ratio)}</td>",
        f"<td>{'' if measure.goal is None else html.escape(str(measure.goal))}</td>",
        f'<td class="{mark[0]}">{mark[1]}</td>',
        *(f"<td>{_figure(result.table[column].get(measure.key), measure.is_count)}</td>" for column in others),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _embeddings(result: Result) -> str:
    embeddings = list(result.embeddings)
    names = list(dict.fromkeys(name for figures in result.embeddings.values() for name in figures))
    rows = ["<tr><th></th>" + "".join(f"<th>{html.escape(embedding)}</th>" for embedding in embeddings) + "</tr>"]
    for name in names:
        cells = "".join(f"<td>{_figure(result.embeddings[embedding].get(name))}</td>" for embedding in embeddings)
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _figure(value: float | None, is_count: bool = False) -> str:
    if value is None:
        return ""
    if is_count or value == 0 or (float(value).is_integer() and abs(value) >= 2):
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _sheet(pictures: Pixels, names: Sequence[str] = ()) -> str:
    """Pictures in rows, as many in a row as there is room for, with names below where there are names."""
    figures = []
    for i, picture in enumerate(pictures):
        name = html.escape(names[i]) if names else ""
        below = f'<figcaption title="{name}">{name}</figcaption>' if names else ""
        figures.append(f'<figure><img alt="{name}" src="{data_uri(picture)}">{below}</figure>')
    return f'<div class="{"grid" if names else "grid strip"}">{"".join(figures)}</div>'


def _strip(gallery: Gallery, column: str) -> str:
    what = "not of these songs" if column in (CEILING, "decoder", "random latents") else "the first songs of the sheet"
    return f"<p>{html.escape(column)} ({what})</p>{_sheet(gallery.sights[column].thumbnails[:_STRIP])}"


def _nearest_pairs(points: Floats, n: int) -> list[tuple[int, int]]:
    rows, columns = np.triu_indices(len(points), 1)
    order = np.argsort(distances(points, points)[rows, columns], kind="stable")[:n]
    return [(int(rows[i]), int(columns[i])) for i in order]


def _pairs(gallery: Gallery, pairs: Sequence[tuple[int, int]], evaluator_name: str = "B") -> str:
    between = distances(gallery.points[evaluator_name], gallery.points[evaluator_name])
    usual = float(np.median(between[np.triu_indices(len(between), 1)]))
    thumbnails = gallery.sights["songs"].thumbnails
    figures = []
    for i, j in pairs:
        picture = data_uri(lay_out(thumbnails[[i, j]], 2))
        names = " / ".join(html.escape(gallery.names[k][:40]) for k in (i, j))
        figures.append(
            f'<figure><img alt="" src="{picture}">'
            f"<figcaption>{between[i, j] / usual:.2f}: {names}</figcaption></figure>"
        )
    return f'<div class="pairs">{"".join(figures)}</div>'


def _map(gallery: Gallery) -> str:
    art = np.asarray(gallery.art_latents, np.float64)
    directions = principal_components(art, 2)
    ground = (art - art.mean(axis=0)) @ directions
    share = ground.var(axis=0) / art.var(axis=0).sum()
    return picture_map(
        ground,
        (gallery.latents["songs"] - art.mean(axis=0)) @ directions,
        list(gallery.sights["songs"].thumbnails[:_ON_MAP]),
        title="songs among real pictures",
        x_label=f"first component, {100 * share[0]:.0f} % of the variance",
        y_label=f"second component, {100 * share[1]:.0f} %",
        ground_name=f"{len(art)} real pictures",
        place_name="songs whose picture is not shown",
        picture_px=34,
    )


def _scatters(result: Result) -> str:
    gallery, plots = result.gallery, []
    for i, correspondence in enumerate(CORRESPONDENCES):
        found = spearman(gallery.told[:, i], gallery.shown[:, i])
        p = result.table["songs"][f"guide_{correspondence.name}_p"]
        plots.append(
            scatter(
                gallery.told[:, i],
                gallery.shown[:, i],
                title=f"{correspondence.name.replace('_', ' ')}: {found:.2f}, p {p:.3f}",
                x_label=", ".join(correspondence.heard).replace("_", " "),
                y_label=", ".join(correspondence.seen).replace("_", " "),
                side=280,
            )
        )
    return "".join(plots)


def _signs(result: Result) -> str:
    """Share of right signs on each axis of the controlled pairs, for each bundle."""
    columns = [column for column, figures in result.table.items() if "signs_alone" in figures]
    head = ["changed", *columns, "should rise"]
    rows = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    for axis, correspondences in EXPECTED.items():
        cells = "".join(f"<td>{_figure(result.table[column].get(f'signs_{axis}'))}</td>" for column in columns)
        rows.append(f"<tr><td>{axis}</td>{cells}<td>{', '.join(correspondences).replace('_', ' ')}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _about_kl(gallery: Gallery, bundle: Bundle) -> str:
    target = bundle.card.get("config", {}).get("image_vae", {}).get("target_nats")
    aimed = f"; the training held it at {target:g} over windows of its pictures" if target else ""
    return (
        f"Above, nats of each latent over {len(gallery.art_latents)} real pictures: the mean divergence of their "
        f"posteriors from the prior, {gallery.rates.sum():.1f} in all{aimed}. A latent at 0 says nothing. Below, in "
        "the same order, how much each varies over pictures and over songs."
    )


def _rates(gallery: Gallery) -> str:
    """Rate of each latent, largest first."""
    return bars(
        np.sort(gallery.rates)[::-1],
        title="rate of each latent",
        value_name="nats over real pictures",
        x_label="latents by their rate",
    )


def _variances(gallery: Gallery) -> str:
    """Variance of each latent over real pictures and over the songs, in the order of the rates."""
    order = np.argsort(-gallery.rates, kind="stable")
    return bars(
        gallery.art_latents.var(axis=0)[order],
        gallery.latents["songs"].var(axis=0)[order],
        title="variance of each latent",
        value_name="variance over real pictures",
        mark_name="variance over the songs",
        x_label="latents by their rate",
    )


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""
