"""All measures of a bundle on music and art that it has not learnt from.

music, art -> songs.py, painting.py, judges.py -> **here** -> {column: {measure: figure}} -> report.py

Columns: `songs` (the bundle's paintings), `songs, NAME` (another bundle on the same songs), and what they must be read
against:

    real art        as many real pictures of the training split, against the same held-out art: the ceiling
    decoder         paintings of the posterior means of training pictures: the painter's own ceiling
    linear map      the affine map of `baselines.py` in the place of the mapping
    retrieval       the real picture whose latent is nearest to the song's
    random latents  paintings of normal latents, which know nothing of songs
    shuffled songs  the bundle's paintings given to the wrong songs
    mean song       every song at the middle of the cloud: the collapse
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clavilux.errors import CorpusError
from clavilux.evaluation.baselines import fit_linear_map
from clavilux.evaluation.distinctness import indistinguishable, recitation, steadiness, variations
from clavilux.evaluation.evaluators import EVALUATORS, Spaces
from clavilux.evaluation.finish import (
    active_units,
    fine_energy_of_files,
    fine_energy_of_latents,
    kl_of_latents,
    sharpness,
    stated_kl,
    tone_spread,
)
from clavilux.evaluation.goals import CEILING
from clavilux.evaluation.manifold import compare_clouds
from clavilux.evaluation.material import Material
from clavilux.evaluation.painting import Sight, encode_files, measure_files, measure_latents, open_engine
from clavilux.evaluation.pairs import measure_pairs, right_signs
from clavilux.evaluation.songs import measure_copies, measure_songs, place_embeddings
from clavilux.measures.crossmodal import CORRESPONDENCES, correspondence_values
from clavilux.measures.diversity import distances, kernel_width
from clavilux.measures.similarity import (
    NEIGHBOURS,
    correlation_with_p,
    geometry,
    hubs,
    neighbours_kept,
    same_genre,
    same_song,
)

Float32 = NDArray[np.float32]
Floats = NDArray[np.floating]
Points = dict[str, Float32]
Table = dict[str, dict[str, float]]

LEAST = 12  # songs, and pictures on each side
COMPARABLE = 100  # songs and pictures from which the goals mean something
_FAMILIES, _VARIATIONS = 20, 3  # songs whose variations are painted, and variations of each beside its own picture
_COPIED, _COPIED_S = 20, 60.0  # songs that are written as FLAC and MP3, and seconds of each
_SHARP = 48  # paintings at 512 px


@dataclass(frozen=True)
class Gallery:
    """What the report shows: n songs, m training pictures.

    names, genres : of the songs. sights : pictures of columns, row i of song i where the column has songs. points : of
    the songs' paintings. latents : of each column that has songs. art_latents : (m, 64). rates : (64,) nats of each
    latent over these pictures. ears : points of whole songs. told, shown : (n, G) sides of the guides.
    """

    names: list[str]
    genres: list[str]
    sights: dict[str, Sight]
    points: Points
    latents: dict[str, Float32]
    art_latents: Float32
    rates: Floats
    embeddings: dict[str, Floats]
    told: Floats
    shown: Floats


@dataclass(frozen=True)
class Result:
    """Everything that was measured: figures by column and measure, those of the ears, counts, remarks, faults."""

    table: Table
    embeddings: Table
    counts: dict[str, int]
    remarks: list[str]
    faults: list[str]
    gallery: Gallery


@dataclass(frozen=True)
class _Ground:
    """What every column is read against."""

    spaces: Spaces
    art: Points  # n held-out pictures
    tone: Float32
    widths: dict[str, float]
    training: Points
    n: int  # pictures a side
    embeddings: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    told: NDArray[np.float64]
    genres: list[str]
    rng: np.random.Generator


def evaluate(
    bundle: str,
    material: Material,
    *,
    beside: Sequence[str] = (),
    seed: int,
    max_s: float,
    jobs: int,
    log: Callable[[str], None],
) -> Result:
    """Measure a bundle.

    Parameters
    ----------
    bundle : str
        Name or folder.
    material : Material
    beside : sequence of str
        Other bundles, measured on the same songs; they are compared by the ear of the first.
    seed : int
        For drawing equal numbers on all sides, random latents and permutations.
    max_s : float
        Seconds that are listened to of each song.
    jobs : int
        Processes.
    log : callable
        Takes lines about progress.

    Raises
    ------
    CorpusError
        Fewer than `LEAST` pictures or songs on one of the sides can be read.
    """
    rng = np.random.default_rng(seed)
    bundles = [bundle, *(other for other in dict.fromkeys(beside) if other != bundle)]
    columns = {b: "songs" if b == bundle else f"songs, {open_engine(b).bundle.name}" for b in bundles}
    log(f"listening to {len(material.songs)} songs")
    files = [song.path for song in material.songs]
    heard = measure_songs(files, bundles, max_s=max_s, jobs=jobs)
    songs = [material.songs[i] for i in heard.chosen]
    log(f"looking at {len(material.held_out_art)} held-out and {len(material.training_art)} training pictures")
    held_out, _, faults = measure_files(material.held_out_art, (), jobs=jobs)
    training, posteriors, more_faults = measure_files(material.training_art, bundles, jobs=jobs)
    art_latents = {b: posterior[:, 0] for b, posterior in posteriors.items()}
    n = min(len(songs), len(held_out), len(training))
    if n < LEAST:
        raise CorpusError(f"{n} pictures or songs on one side are too few to compare; give at least {LEAST} of each")

    spaces = Spaces.of(training.features)
    chosen_art = held_out.take(rng.permutation(len(held_out))[:n])
    art = spaces.place(chosen_art.features)
    ground = _Ground(
        spaces=spaces,
        art=art,
        tone=held_out.tone,
        widths={evaluator: kernel_width(art[evaluator]) for evaluator in EVALUATORS},
        training=spaces.place(training.features),
        n=n,
        embeddings=place_embeddings(heard, bundle),
        told=correspondence_values(heard.descriptors, "heard"),
        genres=[song.genre for song in songs],
        rng=rng,
    )
    log("listening to FLAC against MP3, and to controlled pairs")
    copied = measure_copies([song.path for song in songs[:_COPIED]], bundles, max_s=min(max_s, _COPIED_S), jobs=jobs)
    axes, pairs = measure_pairs(bundles, jobs=jobs)
    real_energy = fine_energy_of_files(material.held_out_art, jobs=jobs)

    table: Table = {}
    sights: dict[str, Sight] = {}
    latents: dict[str, Float32] = {}
    halves: dict[str, tuple[Sight, Sight]] = {}
    learnt_by = {b: encode_files(material.learnt, b, jobs=jobs) for b in bundles}
    for b, column in columns.items():
        log(f"painting {column}: whole, as halves, as variations, as FLAC and MP3, and the controlled pairs")
        z = latents[column] = _map(b, heard.codes[b])
        whole = sights[column] = measure_latents(b, z, jobs=jobs, copies=True)
        halves[column] = _look_at_pair(b, [_map(b, heard.halves[b][:, side]) for side in range(2)], jobs)
        versions = _look_at_pair(b, [_map(b, copied[b][:, side]) for side in range(2)], jobs)
        low, high = _look_at_pair(b, [_map(b, pairs[b][:, side]) for side in range(2)], jobs)
        figures = _of_pictures(whole, ground) | _of_songs(whole, ground) | _of_halves(halves[column], whole, ground)
        figures |= _of_own(whole, versions, _look_at_families(b, z, rng, jobs), ground)
        signs = right_signs(axes, low.image_features, high.image_features, whole.image_features)
        figures |= {f"signs_{axis}": share for axis, share in signs.items()}
        figures["geometry_latent"] = geometry(ground.embeddings["code"][0], z, rng=rng)[0]
        figures["variance_ratio"] = float(z.var(axis=0).sum() / art_latents[b].var(axis=0).sum())
        figures["active_units"] = active_units(art_latents[b])
        figures["hubs"] = hubs(z, learnt_by[b])
        rate = stated_kl(open_engine(b).bundle.card)
        if rate is not None:
            figures["kl_nats"] = rate
        if len(real_energy) >= LEAST:
            figures["sharpness"] = sharpness(fine_energy_of_latents(b, z[:_SHARP], jobs=jobs), real_energy)
        table[column] = figures

    log("painting what the songs are read against")
    z, z_art = latents["songs"], art_latents[bundle]
    learnt = learnt_by[bundle]
    linear = fit_linear_map(
        ground.embeddings["code"][0],
        ground.told,
        np.asarray(z_art, np.float64),
        correspondence_values(training.image_features, "seen"),
    )
    latents["linear map"] = linear(ground.embeddings["code"][0])
    latents["random latents"] = rng.standard_normal(z.shape).astype(np.float32)
    for column in ("linear map", "random latents"):
        sights[column] = measure_latents(bundle, latents[column], jobs=jobs)
        table[column] = _of_pictures(sights[column], ground) | _of_songs(sights[column], ground)
        table[column]["hubs"] = hubs(latents[column], learnt)
    linear_halves = [linear(ground.embeddings["code"][1][:, side]) for side in range(2)]
    table["linear map"] |= _of_halves(_look_at_pair(bundle, linear_halves, jobs), sights["linear map"], ground)
    table["linear map"]["geometry_latent"] = geometry(ground.embeddings["code"][0], latents["linear map"], rng=rng)[0]

    nearest = [
        distances(part, z_art).argmin(axis=1)
        for part in (z, *(_map(bundle, heard.halves[bundle][:, side]) for side in range(2)))
    ]
    sights["retrieval"] = training.take(nearest[0])
    table["retrieval"] = _of_pictures(sights["retrieval"], ground) | _of_songs(sights["retrieval"], ground)
    table["retrieval"] |= _of_halves(
        (training.take(nearest[1]), training.take(nearest[2])), sights["retrieval"], ground
    )

    shuffled = rng.permutation(len(z))
    table["shuffled songs"] = _of_songs(sights["songs"].take(shuffled), ground)
    table["shuffled songs"] |= _of_halves(
        (halves["songs"][0], halves["songs"][1].take(shuffled)), sights["songs"], ground
    )
    table["mean song"] = _of_pictures(
        measure_latents(bundle, z.mean(axis=0, keepdims=True), jobs=1).take(np.zeros(n, int)), ground
    )
    some = rng.permutation(len(z_art))[:n]
    sights["decoder"] = measure_latents(bundle, z_art[some], jobs=jobs)
    sights[CEILING] = training.take(some)
    table["decoder"], table[CEILING] = _of_pictures(sights["decoder"], ground), _of_pictures(sights[CEILING], ground)
    if len(real_energy) >= LEAST:
        table["decoder"]["sharpness"] = sharpness(
            fine_energy_of_latents(bundle, z_art[some[:_SHARP]], jobs=jobs), real_energy
        )
        learnt_energy = fine_energy_of_files(material.training_art, jobs=jobs)
        if len(learnt_energy) >= LEAST:
            table[CEILING]["sharpness"] = sharpness(learnt_energy, real_energy)
    for column in ("songs", "linear map", "random latents"):
        for key in (f"{name}_{j}" for name in ("diversity", "vendi", "coverage", "recall") for j in EVALUATORS):
            if table["decoder"][key] > 0:
                table[column][f"used_{key}"] = table[column][key] / table["decoder"][key]
    # Real art cannot recite itself; what held-out art reaches is what a painting may reach.
    table[CEILING] |= {f"recitation_{j}": recitation(ground.art[j], ground.training[j]) for j in EVALUATORS}

    order = ["songs", *(columns[b] for b in bundles[1:]), CEILING, "decoder", "linear map", "retrieval"]
    order += ["random latents", "shuffled songs", "mean song"]
    remarks = []
    if n < COMPARABLE:
        remarks.append(
            f"{n} songs and pictures a side are too few to hold against the goals, which are meant for {COMPARABLE} "
            f"and more: by chance alone {min(1.0, NEIGHBOURS / (len(songs) - 1)):.2f} of the 10 nearest songs are kept"
        )
    if len(real_energy) < LEAST:
        remarks.append(
            f"sharpness needs {LEAST} held-out pictures of 512 pixels a side and there are {len(real_energy)}"
        )
    gallery = Gallery(
        names=[song.name for song in songs],
        genres=ground.genres,
        sights=sights,
        points=spaces.place(sights["songs"].features),
        latents=latents,
        art_latents=z_art,
        rates=kl_of_latents(posteriors[bundle][:, 0], posteriors[bundle][:, 1]),
        embeddings={embedding: whole for embedding, (whole, _) in ground.embeddings.items()},
        told=ground.told,
        shown=correspondence_values(sights["songs"].image_features, "seen"),
    )
    counts = dict(material.counts) | {
        "songs listened to": len(songs),
        "pictures a side": n,
        "held-out pictures of 512 px and more": len(real_energy),
        "pictures learnt from, for hubs": len(learnt),
    }
    return Result(
        {column: table[column] for column in order},
        _of_embeddings(ground),
        counts,
        remarks,
        [*heard.faults, *faults, *more_faults],
        gallery,
    )


# Families of measures on one column ----------------------------------------------------------------------------------


def _of_pictures(sight: Sight, ground: _Ground) -> dict[str, float]:
    """Measures that know nothing of songs, on the first n pictures."""
    points = ground.spaces.place(sight.features)
    figures: dict[str, float] = {}
    for evaluator in EVALUATORS:
        found, art, width = points[evaluator][: ground.n], ground.art[evaluator], ground.widths[evaluator]
        compared = compare_clouds(art, found, width=width, rng=ground.rng)
        figures |= {f"{name}_{evaluator}": value for name, value in compared.items()}
        figures[f"recitation_{evaluator}"] = recitation(found, ground.training[evaluator])
    figures["lightness_spread"], figures["chroma_spread"] = tone_spread(sight.tone[: ground.n], ground.tone)
    return figures


def _of_songs(sight: Sight, ground: _Ground) -> dict[str, float]:
    """Measures of pictures of which each belongs to a song."""
    points = ground.spaces.place(sight.features)
    figures: dict[str, float] = {}
    for evaluator in EVALUATORS:
        for embedding in ("code", "musicnn"):
            if embedding in ground.embeddings:
                whole = ground.embeddings[embedding][0]
                found, p = geometry(whole, points[evaluator], rng=ground.rng)
                figures |= {f"geometry_{embedding}_{evaluator}": found, f"geometry_{embedding}_{evaluator}_p": p}
                figures[f"nearest_{embedding}_{evaluator}"] = neighbours_kept(whole, points[evaluator])
        genre = same_genre(points[evaluator], ground.genres)
        if genre is not None:
            figures[f"same_genre_{evaluator}"] = genre
    shown = correspondence_values(sight.image_features, "seen")
    for i, correspondence in enumerate(CORRESPONDENCES):
        found, p = correlation_with_p(ground.told[:, i], shown[:, i], rng=ground.rng)
        figures |= {f"guide_{correspondence.name}": found, f"guide_{correspondence.name}_p": p}
    return figures


def _of_halves(halves: tuple[Sight, Sight], whole: Sight, ground: _Ground) -> dict[str, float]:
    """Measures of pictures of two halves of each song."""
    first, second, songs = (ground.spaces.place(sight.features) for sight in (*halves, whole))
    figures: dict[str, float] = {}
    for evaluator in EVALUATORS:
        auc, top1 = same_song(first[evaluator], second[evaluator])
        figures |= {f"same_song_auc_{evaluator}": auc, f"same_song_top1_{evaluator}": top1}
        figures[f"half_distance_{evaluator}"] = steadiness(first[evaluator], second[evaluator], songs[evaluator])
    return figures


def _of_own(whole: Sight, versions: tuple[Sight, Sight], families: Sight, ground: _Ground) -> dict[str, float]:
    """Measures of a song's picture against copies, versions and variations of it."""
    assert whole.copies is not None, "copies were asked for"
    points, copies = ground.spaces.place(whole.features), ground.spaces.place(whole.copies)
    first, second, related = (ground.spaces.place(s.features) for s in (*versions, families))
    figures: dict[str, float] = {}
    for evaluator in EVALUATORS:
        figures[f"identity_{evaluator}"] = indistinguishable(points[evaluator], copies[evaluator])
        figures[f"steadiness_{evaluator}"] = steadiness(first[evaluator], second[evaluator], points[evaluator])
        shaped = related[evaluator].reshape(-1, _VARIATIONS + 1, related[evaluator].shape[1])
        near, change = variations(shaped, copies[evaluator][: len(shaped)])
        figures |= {f"variation_auc_{evaluator}": near, f"variation_change_{evaluator}": change}
    return figures


def _of_embeddings(ground: _Ground) -> Table:
    """What the ears themselves tell apart: the most that pictures of what they hear can show."""
    table: Table = {}
    code = ground.embeddings["code"][0]
    for embedding, (whole, halves) in ground.embeddings.items():
        auc, top1 = same_song(halves[:, 0], halves[:, 1])
        table[embedding] = {"same song": auc, "same song, first": top1}
        genre = same_genre(whole, ground.genres)
        if genre is not None:
            table[embedding]["same genre"] = genre
        table[embedding]["geometry against the song code"] = geometry(code, whole, rng=ground.rng)[0]
        table[embedding]["10 nearest against the song code"] = neighbours_kept(code, whole)
    return table


# Painting -------------------------------------------------------------------------------------------------------------


def _map(bundle: str, codes: Float32) -> Float32:
    engine = open_engine(bundle).engine
    return np.stack([engine.map_song(code) for code in codes])


def _look_at_pair(bundle: str, latents: Sequence[Float32], jobs: int) -> tuple[Sight, Sight]:
    """Two rows of latents of one length, painted in one go."""
    seen = measure_latents(bundle, np.concatenate(latents), jobs=jobs)
    n = len(latents[0])
    return seen.take(np.arange(n)), seen.take(np.arange(n, 2 * n))


def _look_at_families(bundle: str, latents: Float32, rng: np.random.Generator, jobs: int) -> Sight:
    """Variations of the first songs as `Clavilux.variations` makes them, each song's own picture first."""
    own = latents[:_FAMILIES]
    directions = rng.standard_normal((len(own), _VARIATIONS, own.shape[1]))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    moved = own[:, None] + open_engine(bundle).bundle.variation_scale * directions
    families = np.concatenate([own[:, None], moved], axis=1).reshape(-1, own.shape[1]).astype(np.float32)
    return measure_latents(bundle, families, jobs=jobs, seeds=list(range(_VARIATIONS + 1)) * len(own))
