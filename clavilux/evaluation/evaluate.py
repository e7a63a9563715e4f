"""All measures of a bundle on music and art that it has not learnt from.

music, art -> songs.py, looks.py -> **here** -> {row: {measure: value}}

Rows: `songs` (the bundle's paintings), and beside them what they must be read against: `training art` (as many real
pictures of the training split: the ceiling), `decoder` (paintings of the posterior means of training pictures: the
painter's own ceiling), `random latents`, `shuffled songs` (paintings given to the wrong songs), `retrieval` (the real
picture nearest to each song's latent) and `mean song` (every song at the middle of the cloud: the collapse).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from clavilux.bundle import open_bundle
from clavilux.controls import Controls
from clavilux.engine import Engine
from clavilux.errors import CorpusError, PictureError
from clavilux.evaluation.diversity import distances, kernel_width, mean_pairwise_distance, pairwise, vendi_score
from clavilux.evaluation.likeness import correspondence, geometry, hubs, neighbours_kept, same_song
from clavilux.evaluation.looks import SIDE, Looks, measure_looks
from clavilux.evaluation.manifold import density_coverage, kid, precision_recall
from clavilux.evaluation.songs import Heard, hear_songs
from clavilux.guides import GUIDES, guide_values
from clavilux.painter import paint
from clavilux.pixels import middle_square, read_picture, resize
from clavilux.traits import measure_traits

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]
Table = dict[str, dict[str, float]]

PAINTED_PX = 256  # paintings are measured at this side, averaged down by the measures themselves
PRINCIPAL_PAIRS = (
    ("arousal", "chroma"),
    ("valence", "warmth"),
    ("onset_rate", "spatial_frequency"),
    ("register", "lightness"),
)


@dataclass(frozen=True)
class Material:
    """What a bundle is judged on: held-out songs, held-out art and training art, as files."""

    songs: Sequence[Path]
    held_out_art: Sequence[Path]
    training_art: Sequence[Path]


@dataclass(frozen=True)
class Result:
    """Everything that was measured: figures by row and measure, counts, and lines about files left out."""

    table: Table
    counts: dict[str, int]
    faults: list[str]


def evaluate(
    bundle: str, material: Material, *, seed: int, max_s: float, jobs: int, log: Callable[[str], None]
) -> Result:
    """Measure a bundle.

    Parameters
    ----------
    bundle : str
        Name or folder.
    material : Material
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
        Fewer than twelve pictures or songs on one of the sides can be read.
    """
    rng = np.random.default_rng(seed)
    log(f"listening to {len(material.songs)} songs")
    heard = hear_songs(material.songs, bundle, max_s=max_s, jobs=jobs)
    engine = Engine(open_bundle(bundle))
    latents = _map(engine, heard.codes)
    halves = [_map(engine, heard.halves[:, side]) for side in range(2)]

    log(f"looking at {len(material.held_out_art)} held-out and {len(material.training_art)} training pictures")
    held_out, faults = _read(material.held_out_art, jobs)
    training, more_faults = _read(material.training_art, jobs)
    n = min(len(latents), len(held_out), len(training))
    if n < 12:
        raise CorpusError(f"{n} pictures or songs on one side are too few to compare; give at least 12 of each")
    art_latents = np.stack([engine.encode_picture(rgb) for rgb in training])

    log(f"painting {len(latents)} songs, their halves and what they are compared with")
    nearest = distances(latents, art_latents).argmin(axis=1)
    clouds: dict[str, NDArray[np.float32]] = {
        "songs": latents,
        "decoder": art_latents[rng.permutation(len(art_latents))[:n]],
        "random latents": rng.standard_normal((n, latents.shape[1])).astype(np.float32),
        "mean song": np.repeat(latents.mean(axis=0, keepdims=True), n, axis=0),
    }
    painted = {name: _paint(engine, cloud, jobs) for name, cloud in clouds.items()}
    painted_halves = [_paint(engine, half, jobs) for half in halves]
    pictures = painted | {
        "training art": [training[i] for i in rng.permutation(len(training))[:n]],
        "retrieval": [training[i] for i in nearest],
    }
    space = Looks.of(_looks(training, jobs))
    art = space.place(_looks([held_out[i] for i in rng.permutation(len(held_out))[:n]], jobs))
    points = {name: space.place(_looks(found, jobs)) for name, found in pictures.items()}
    half_points = [space.place(_looks(found, jobs)) for found in painted_halves]

    log("measuring")
    width = kernel_width(art)
    table: Table = {}
    for name, found in points.items():
        table[name] = _of_pictures(found[:n], art, width, rng)
    standard = heard.codes - heard.codes.mean(axis=0)
    standard = standard / np.maximum(standard.std(axis=0), 1e-6)
    shuffled = rng.permutation(len(latents))
    traits = [measure_traits(rgb) for rgb in painted["songs"]]
    for name, order in (("songs", np.arange(len(latents))), ("shuffled songs", shuffled)):
        table.setdefault(name, {}).update(
            _of_songs(heard, standard, points["songs"][order], [traits[i] for i in order], rng)
        )
    own, top1 = same_song(half_points[0], half_points[1])
    table["songs"] |= {
        "same_song_auc": own,
        "same_song_top1": top1,
        "hubs": hubs(latents, art_latents),
        "identity": identity(painted["songs"], space, points["songs"], jobs),
        "variance_ratio": float(latents.var(axis=0).sum() / art_latents.var(axis=0).sum()),
    }
    spread = heard.mfcc.reshape(-1, heard.mfcc.shape[-1]).std(axis=0)
    auc, top1 = same_song(heard.mfcc[:, 0] / spread, heard.mfcc[:, 1] / spread)
    table["raw MFCC statistics"] = {"same_song_auc": auc, "same_song_top1": top1}
    counts = {"songs": len(latents), "held-out pictures": len(held_out), "training pictures": len(training), "n": n}
    return Result(table, counts, [*heard.faults, *faults, *more_faults])


def identity(pictures: Sequence[Pixels], space: Looks, points: Floats, jobs: int) -> float:
    """Pairs of songs that look more alike than a picture and its own copy on a bad phone.

    The copy is cropped by 5 % and saved as JPEG of quality 50; a pair counts when its distance is below that between
    one of the two and its copy. 0 is right.
    """
    copies = space.place(_looks([_bad_copy(rgb) for rgb in pictures], jobs))
    own = np.sqrt(((np.asarray(points) - copies) ** 2).sum(axis=1))
    rows, columns = np.triu_indices(len(points), 1)
    return float((pairwise(points) < np.minimum(own[rows], own[columns])).sum())


def _of_pictures(found: Floats, art: Floats, width: float, rng: np.random.Generator) -> dict[str, float]:
    precision, recall = precision_recall(art, found)
    density, coverage = density_coverage(art, found)
    return {
        "diversity": mean_pairwise_distance(found) / mean_pairwise_distance(art),
        "vendi": vendi_score(found, width) / vendi_score(art, width),
        "coverage": coverage,
        "recall": recall,
        "precision": precision,
        "density": density,
        "kid": kid(art, found, rng=rng)[0],
    }


def _of_songs(
    heard: Heard, standard: Floats, points: Floats, traits: Sequence[dict[str, float]], rng: np.random.Generator
) -> dict[str, float]:
    found, p = geometry(standard, points, rng=rng)
    figures = {"geometry": found, "geometry_p": p, "neighbours_kept": neighbours_kept(standard, points)}
    columns = {name: np.array([t[name] for t in traits]) for name in traits[0]}
    for descriptor, trait in PRINCIPAL_PAIRS:
        rho, p = correspondence(heard.descriptors[descriptor], columns[trait], rng=rng)
        figures[f"{descriptor}-{trait}"] = rho
        figures[f"{descriptor}-{trait}_p"] = p
    told, shown = guide_values(heard.descriptors, "heard"), guide_values(columns, "seen")
    for i, guide in enumerate(GUIDES):
        figures[f"guide {guide.name}"] = correspondence(told[:, i], shown[:, i], rng=rng)[0]
    return figures


def _map(engine: Engine, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([engine.z_image(code) for code in codes])


def _paint(engine: Engine, latents: NDArray[np.float32], jobs: int) -> list[Pixels]:
    controls = [engine.controls(z) for z in latents]
    return list(Parallel(n_jobs=jobs, batch_size=8)(delayed(_paint_one)(c) for c in controls))


def _paint_one(controls: Controls) -> Pixels:
    with threadpool_limits(1):
        return paint(controls, width=PAINTED_PX, height=PAINTED_PX, seed=0)


def _looks(pictures: Sequence[Pixels], jobs: int) -> NDArray[np.float32]:
    return np.stack(Parallel(n_jobs=jobs, batch_size=16)(delayed(_look_one)(rgb) for rgb in pictures))


def _look_one(rgb: Pixels) -> NDArray[np.float32]:
    with threadpool_limits(1):
        return measure_looks(rgb)


def _read(files: Sequence[Path], jobs: int) -> tuple[list[Pixels], list[str]]:
    results = Parallel(n_jobs=jobs, batch_size=16)(delayed(_read_one)(file) for file in files)
    return [r for r in results if not isinstance(r, str)], [r for r in results if isinstance(r, str)]


def _read_one(file: Path) -> Pixels | str:
    try:
        square = middle_square(read_picture(file))
    except PictureError as error:
        return str(error)
    return resize(square, max(SIDE, min(PAINTED_PX, len(square))))


def _bad_copy(rgb: Pixels) -> Pixels:
    height, width = rgb.shape[:2]
    top, left = round(0.025 * height), round(0.025 * width)
    buffer = io.BytesIO()
    Image.fromarray(rgb[top : height - top, left : width - left]).save(buffer, "JPEG", quality=50)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"), np.uint8)
