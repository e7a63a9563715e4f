"""Write the result of an evaluation as an HTML page, as Markdown, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from clavilux.bundle import Bundle
from clavilux.evaluation.columns import Result
from clavilux.evaluation.controlled_pairs import EXPECTED
from clavilux.evaluation.goals import CEILING, FAMILIES, MEASURES, Measure, check_goal
from clavilux.evaluation.svg import bars, data_uri, picture_map, scatter
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.diversity import pairwise
from clavilux.measures.similarity import spearman
from clavilux.measures.transport import principal_components

Floats = NDArray[np.floating]

_SONGS = 100  # largest number of songs on the contact sheet
_STRIP = 20  # largest number of pictures shown for each other column
_SIMILAR_SONGS, _SIMILAR_PICTURES = 12, 10  # numbers of pairs shown
_ON_MAP = 70  # number of songs that are shown as pictures on the map; other songs are dots
_WITHOUT_SONGS = (CEILING, "decoder", "random latents")  # columns whose pictures do not belong to songs


def to_html(result: Result, bundle: Bundle) -> str:
    """Return the report as one HTML page that contains all pictures and plots."""
    environment = Environment(
        loader=PackageLoader("clavilux", "evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    points = result.reference.spaces.place(result.pictures["songs"].features)
    return environment.get_template("report.html.jinja").render(
        bundle=bundle,
        result=result,
        summary=_summary(result),
        counts=[f"{count} {what}" for what, count in result.counts.items()],
        columns=_other_columns(result),
        families=_families(result),
        embeddings=_embedding_rows(result.embeddings),
        songs=list(zip(result.names, result.pictures["songs"].thumbnails[:_SONGS], strict=False)),
        strips=[
            (
                column,
                "not of these songs" if column in _WITHOUT_SONGS else "the first songs",
                pictures.thumbnails[:_STRIP],
            )
            for column, pictures in result.pictures.items()
            if column != "songs"
        ],
        similar_songs=_nearest_pairs(result, result.reference.embeddings["code"][0], points["B"], _SIMILAR_SONGS),
        similar_pictures={e: _nearest_pairs(result, points[e], points[e], _SIMILAR_PICTURES) for e in points},
        map=_map(result),
        scatters=_scatters(result),
        sign_columns=_sign_columns(result),
        signs=_sign_rows(result),
        n_art=len(result.art_latents),
        kl_sum=float(result.kl_nats.sum()),
        kl_target=bundle.card.get("config", {}).get("image_vae", {}).get("target_nats"),
        kl_plot=bars(
            np.sort(result.kl_nats)[::-1],
            title="KL divergence of each latent dimension",
            value_name="nats over real pictures",
            x_label="latent dimensions by KL divergence",
        ),
        variance_plot=_variance_plot(result),
    )


def to_markdown(result: Result) -> str:
    """Return the result as Markdown.

    The first table has one row per measure: value, interval, ceiling and goal for the column "songs", then the values
    for the other columns. The second table says how well the audio embeddings distinguish songs. Remarks come last.
    """
    others = _other_columns(result)
    lines = [
        ", ".join(f"{count} {what}" for what, count in result.counts.items()),
        "",
        "| measure | songs | 95 % | ceiling | of ceiling | goal | met | " + " | ".join(others) + " |",
        "|---|--:|---|--:|--:|---|---|" + "--:|" * len(others),
    ]
    for _, rows in _families(result):
        for row in rows:
            met = {"met": "yes", "missed": "no", "": ""}[row["met"]]
            cells = [*(row[name] for name in ("title", "value", "interval", "ceiling", "ratio", "goal")), met]
            lines.append(f"| {' | '.join([*cells, *row['cells']])} |")
    lines += ["", f"| audio embedding | {' | '.join(result.embeddings)} |", "|---|" + "--:|" * len(result.embeddings)]
    lines += [f"| {' | '.join([name, *cells])} |" for name, cells in _embedding_rows(result.embeddings)]
    return "\n".join([*lines, "", *(f"Note: {remark}" for remark in result.remarks)])


def to_json(result: Result, bundle: Bundle) -> dict[str, object]:
    """Return all values and verdicts as a dict of JSON values."""
    goals = {}
    for measure in MEASURES:
        verdict = check_goal(measure, result.table, "songs")
        if verdict is not None:
            goals[measure.key] = {
                "value": verdict.value,
                **{end: result.table["songs"].get(f"{measure.key}_{end}") for end in ("low", "high")},
                "ceiling": verdict.ceiling,
                "of_ceiling": verdict.ratio,
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
        "audio_embeddings": result.embeddings,
        "kl_of_latents": [float(f"{nats:.4g}") for nats in result.kl_nats],
    }


def _other_columns(result: Result) -> list[str]:
    return [column for column in result.table if column != "songs"]


def _summary(result: Result) -> str:
    verdicts = [check_goal(measure, result.table, "songs") for measure in MEASURES]
    decided = [verdict.met for verdict in verdicts if verdict is not None and verdict.met is not None]
    return f"{sum(decided)} of {len(decided)} goals are met."


def _families(result: Result) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the rows of each family of measures, without families that have no row."""
    families = ((family, [_row(result, measure) for measure in measures]) for family, measures in FAMILIES.items())
    return [(family, [row for row in rows if row]) for family, rows in families if any(rows)]


def _row(result: Result, measure: Measure) -> dict[str, Any]:
    """Return the cells of a measure as text, by name; an empty dict if the column "songs" has no value."""
    verdict = check_goal(measure, result.table, "songs")
    if verdict is None:
        return {}
    p, low, high = (result.table["songs"].get(f"{measure.key}_{part}") for part in ("p", "low", "high"))
    return {
        "title": measure.title,
        "meaning": measure.meaning,
        "interval": "" if low is None else f"{_format(low)} to {_format(high)}",
        "ceiling": _format(verdict.ceiling, measure.is_count),
        "value": _format(verdict.value, measure.is_count),
        "p": "" if p is None else f"{p:.3f}",
        "ratio": _format(verdict.ratio),
        "goal": "" if measure.goal is None else str(measure.goal),
        "met": {True: "met", False: "missed", None: ""}[verdict.met],
        "cells": [
            _format(result.table[column].get(measure.key), measure.is_count) for column in _other_columns(result)
        ],
    }


def _format(value: float | None, is_count: bool = False) -> str:
    """Return a value as text: counts as whole numbers, others with two decimals, or three below 0.1; None as ""."""
    if value is None:
        return ""
    if is_count or value == 0 or (float(value).is_integer() and abs(value) >= 2):
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _embedding_rows(embeddings: Mapping[str, Mapping[str, float]]) -> list[tuple[str, list[str]]]:
    """Return one table row per measure: its name, and one cell per audio embedding."""
    names = dict.fromkeys(name for figures in embeddings.values() for name in figures)
    return [(name, [_format(figures.get(name)) for figures in embeddings.values()]) for name in names]


def _nearest_pairs(result: Result, points: Floats, pictures: Floats, n: int) -> list[dict[str, Any]]:
    """Return the n pairs of songs whose `points` are nearest to each other, with their names and thumbnails.

    Row i of `points` and of `pictures` belongs to song i. The key "distance" has the distance between the two songs in
    `pictures`, divided by the median over all pairs.
    """
    rows, columns = np.triu_indices(len(points), 1)
    apart = pairwise(pictures)
    apart /= np.median(apart)
    thumbnails = result.pictures["songs"].thumbnails
    gap = np.full_like(thumbnails[0][:, :2], 255)
    return [
        {
            "distance": apart[k],
            "names": [result.names[i][:40] for i in (rows[k], columns[k])],
            "picture": np.hstack([thumbnails[rows[k]], gap, thumbnails[columns[k]]]),
        }
        for k in np.argsort(pairwise(points), kind="stable")[:n]
    ]


def _map(result: Result) -> str:
    """Return a plot of the latents of songs and real pictures on the first two principal components of the pictures."""
    art = np.asarray(result.art_latents, np.float64)
    directions = principal_components(art, 2)
    ground = (art - art.mean(axis=0)) @ directions
    share = ground.var(axis=0) / art.var(axis=0).sum()
    return picture_map(
        ground,
        (result.latents["songs"] - art.mean(axis=0)) @ directions,
        list(result.pictures["songs"].thumbnails[:_ON_MAP]),
        title="songs among real pictures",
        x_label=f"first component, {100 * share[0]:.0f} % of the variance",
        y_label=f"second component, {100 * share[1]:.0f} %",
        ground_name=f"{len(art)} real pictures",
        place_name="songs whose picture is not shown",
    )


def _scatters(result: Result) -> list[str]:
    song_scores, plots = result.reference.scores, []
    picture_scores = correspondence_values(result.pictures["songs"].image_features, "image_features")
    for i, each in enumerate(CORRESPONDENCES):
        correlation = spearman(song_scores[:, i], picture_scores[:, i])
        p = result.table["songs"][f"correspondence_{each.name}_p"]
        plots.append(
            scatter(
                song_scores[:, i],
                picture_scores[:, i],
                title=f"{_words([each.name])}: {correlation:.2f}, p {p:.3f}",
                x_label=_words(each.descriptors),
                y_label=_words(each.image_features),
            )
        )
    return plots


def _sign_columns(result: Result) -> list[str]:
    return [column for column, figures in result.table.items() if "signs_alone" in figures]


def _sign_rows(result: Result) -> list[tuple[str, list[str], str]]:
    """Return a table row for each axis of the controlled pairs: axis, one cell per column, expected correspondences."""
    columns = _sign_columns(result)
    return [
        (axis, [_format(result.table[column].get(f"signs_{axis}")) for column in columns], _words(names))
        for axis, names in EXPECTED.items()
    ]


def _variance_plot(result: Result) -> str:
    order = np.argsort(-result.kl_nats, kind="stable")
    return bars(
        result.art_latents.var(axis=0)[order],
        result.latents["songs"].var(axis=0)[order],
        title="variance of each latent dimension",
        value_name="variance over real pictures",
        mark_name="variance over the songs",
        x_label="latent dimensions by KL divergence",
    )


def _words(names: Sequence[str] | Mapping[str, float]) -> str:
    return ", ".join(names).replace("_", " ")
