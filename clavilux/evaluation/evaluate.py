"""Evaluate a bundle on music and art that it was not trained on.

The result is a table of measures (`goals.py`). Each column is a set of pictures, and all columns are compared with the
same held-out art:

    songs           paintings of the songs by the evaluated bundle
    songs, NAME     paintings of the same songs by another bundle
    GROUP songs     paintings of one group of songs (`SongFile.group`): "free", "labelled" or "research"
    real art        other held-out pictures, in the same number as the paintings: the upper bound
    training art    pictures of the training split, in the same number as the paintings
    decoder         paintings of the posterior means of training pictures: the best that the painter can do
    linear map      paintings of the latents that the linear baseline (`baselines.py`) computes from the songs
    retrieval       for each song, the training picture whose latent is nearest to the latent of the song
    random latents  paintings of latents drawn from N(0, 1), independent of songs
    shuffled songs  the paintings of the column "songs", assigned to songs at random: the level of chance
    mean song       the painting of the mean latent, the same for every song: the worst case
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clavilux.directions import Variations
from clavilux.errors import CorpusError
from clavilux.evaluation.baselines import fit_linear_map
from clavilux.evaluation.columns import (
    Pair,
    Reference,
    Result,
    Table,
    measure_ceilings,
    measure_changes,
    measure_column,
    measure_distribution,
    measure_embeddings,
    measure_halves,
    measure_similarity,
)
from clavilux.evaluation.controlled_pairs import measure_pairs, right_signs
from clavilux.evaluation.evaluators import Spaces
from clavilux.evaluation.goals import CEILING
from clavilux.evaluation.inception import COMMAND
from clavilux.evaluation.material import Material
from clavilux.evaluation.painting import (
    Arrays,
    Float32,
    MeasuredPictures,
    encode_files,
    fine_energy_of_files,
    fine_energy_of_latents,
    measure_files,
    measure_latents,
    open_clavilux,
)
from clavilux.evaluation.point_measures import active_units, kl_of_latents, memorisation
from clavilux.evaluation.songs import measure_copies, measure_songs, place_embeddings
from clavilux.measures.crossmodal import correspondence_values
from clavilux.measures.diversity import distances
from clavilux.measures.similarity import NEIGHBOURS, geometry, hubs

LEAST = 12  # least number of songs, of generated pictures, and of real pictures
COMPARABLE = 100  # number of songs and of pictures that the goals assume
N_COPIED, COPIED_S = 20, 60.0  # number of songs that are encoded as FLAC and MP3, and seconds of each song
N_WITH_VARIATIONS, N_VARIATIONS = 20, 3  # number of songs whose variations are painted, and of variations per song
N_SHARP = 48  # number of paintings at 512 px, for the measure "sharpness"


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
    """Measure a bundle, and return the result.

    Parameters
    ----------
    bundle : str
        Name of a shipped bundle, or the folder of one.
    material : Material
        Songs and pictures.
    beside : sequence of str
        Other bundles, by name or folder, which are measured on the same songs. For all bundles, the distance between
        two songs is computed from the song codes of `bundle`.
    seed : int
        Random seed of samples, random latents, permutations, and the tunes of controlled pairs.
    max_s : float
        Only the first `max_s` seconds of each song are used.
    jobs : int
        Number of worker processes; -1 for one per core.
    log : callable
        Called with each line that reports progress.

    Raises
    ------
    CorpusError
        If fewer than `LEAST` songs, held-out pictures or training pictures can be read.
    AudioError
        If fewer than two songs can be decoded.
    PictureError
        If no held-out picture or no training picture can be read.
    """
    others = [other for other in dict.fromkeys(beside) if other != bundle]
    run = _Evaluation([bundle, *others], material, seed=seed, max_s=max_s, jobs=jobs, log=log)
    for each in run.bundles:
        run.add_bundle(each)
    run.add_groups()
    run.log("painting for comparison: linear map, random latents")
    run.add_linear_map_and_random_latents()
    run.add_retrieval()
    run.add_shuffled_songs_and_mean_song()
    run.log("painting for comparison: training pictures by the decoder")
    run.add_decoder_and_real_art()
    return run.result()


def _refuse_few(n_songs: int, n_art: int, n_training: int) -> None:
    """Raise a `CorpusError` if there are fewer than `LEAST` songs, pictures to compare with, or training pictures."""
    counts = {"songs": n_songs, "pictures in half of the held-out ones": n_art, "training pictures": n_training}
    if few := [f"{n} {what}" for what, n in counts.items() if n < LEAST]:
        raise CorpusError(
            f"{', '.join(few)}: too few to compare; at least {LEAST} of each are needed. Pictures are split into two "
            f"halves, so give at least {LEAST} songs and {2 * LEAST} pictures; the corpus.csv of a "
            "folder decides which of its files are held out"
        )


class _Evaluation:
    """One evaluation: the constructor measures songs and pictures; the `add_` methods add columns to the table.

    The methods share one random generator, so the values depend on the order in which the methods are called.
    """

    def __init__(
        self, bundles: list[str], material: Material, *, seed: int, max_s: float, jobs: int, log: Callable[[str], None]
    ) -> None:
        self.bundles, self.material, self.jobs, self.log = bundles, material, jobs, log
        self.bundle = bundles[0]
        self.columns = {self.bundle: "songs"} | {b: f"songs, {open_clavilux(b).bundle.name}" for b in bundles[1:]}
        self.table: Table = {}
        self.pictures: dict[str, MeasuredPictures] = {}
        self.latents: Arrays = {}
        self.half_latents: dict[str, list[Float32]] = {}
        self.halves: dict[str, Pair] = {}

        halves = 2 if material.has_held_out_art else 1  # see below
        _refuse_few(len(material.songs), len(material.held_out_art) // halves, len(material.training_art))
        log(f"measuring {len(material.songs)} songs")
        self.songs = measure_songs([song.path for song in material.songs], bundles, max_s=max_s, jobs=jobs)
        chosen = [material.songs[i] for i in self.songs.chosen]
        self.names = [song.name for song in chosen]
        self.groups = [song.group for song in chosen]
        log(f"measuring {len(material.held_out_art)} held-out and {len(material.training_art)} training pictures")
        held_out, _, faults = measure_files(material.held_out_art, (), jobs=jobs)
        self.training, posteriors, more_faults = measure_files(material.training_art, bundles, jobs=jobs)
        self.art_latents = {b: posteriors[b][:, 0] for b in bundles}
        self.kl_nats = kl_of_latents(self.art_latents[self.bundle], posteriors[self.bundle][:, 1])
        self.faults = [*self.songs.faults, *faults, *more_faults]
        rng = np.random.default_rng(seed)
        held_out = held_out.take(rng.permutation(len(held_out)))
        # The held-out pictures of a corpus are split here: one half is what all columns are compared with, the other
        # half is the column "real art". The pictures of a plain folder are split already (`find_pictures`).
        middle = len(held_out) // 2 if material.has_held_out_art else len(held_out)
        art = held_out.take(np.arange(middle))
        self.other_art = held_out.take(np.arange(middle, len(held_out))) if material.has_held_out_art else self.training
        _refuse_few(len(chosen), len(art), len(self.training))
        n = min(len(chosen), len(art), len(self.other_art), len(self.training))
        spaces = Spaces.of(self.training.features)
        self.reference = Reference(
            spaces=spaces,
            art=spaces.place(art.take(np.arange(n)).features),
            training=spaces.place(self.training.features),
            tone=held_out.tone,
            n=n,
            embeddings=place_embeddings(self.songs, self.bundle),
            scores=correspondence_values(self.songs.descriptors, "descriptors"),
            genres=[song.genre for song in chosen],
            rng=rng,
        )
        files = [song.path for song in chosen[:N_COPIED]]
        log(f"measuring {len(files)} songs as FLAC and MP3")
        self.codec_codes = measure_copies(files, bundles, max_s=min(max_s, COPIED_S), jobs=jobs)
        log("measuring controlled pairs of synthesised tunes")
        self.axes, self.pair_codes = measure_pairs(bundles, seed=seed, jobs=jobs)
        log(f"measuring fine detail in held-out pictures, and {len(material.trained)} training pictures for hubs")
        self.art_energy = fine_energy_of_files(material.held_out_art, jobs=jobs)
        self.trained = {b: encode_files(material.trained, b, jobs=jobs) for b in bundles}

    def add_bundle(self, bundle: str) -> None:
        """Add the column of a bundle: the figures of its paintings of the songs.

        The latents and the measurements are kept, because later columns use those of the evaluated bundle.
        """
        column, reference = self.columns[bundle], self.reference
        self.log(f"painting {column}: {len(self.names)} whole")
        z = self.latents[column] = _map_codes(bundle, self.songs.codes[bundle])
        self.half_latents[column] = _map_sides(bundle, self.songs.halves[bundle])
        whole = self.pictures[column] = measure_latents(bundle, z, jobs=self.jobs, degraded=True)
        self.log(f"painting {column}: halves")
        self.halves[column] = self._paint_sides(bundle, self.half_latents[column])
        self.log(f"painting {column}: FLAC and MP3, {len(self.axes)} controlled pairs")
        codecs = self._paint_sides(bundle, _map_sides(bundle, self.codec_codes[bundle]))
        low, high = self._paint_sides(bundle, _map_sides(bundle, self.pair_codes[bundle]))
        self.log(f"painting {column}: {len(z)} with another seed")
        again = measure_latents(bundle, z, seeds=[1] * len(z), jobs=self.jobs)
        self.log(f"painting {column}: variations")
        variations = self._paint_variations(bundle, z)

        figures = measure_column(whole, self.halves[column], reference, least=LEAST)
        figures |= measure_ceilings(whole, again, reference)
        figures |= measure_changes(whole, codecs, variations, N_VARIATIONS, reference)
        signs = right_signs(self.axes, low.image_features, high.image_features, whole.image_features)
        figures |= {f"signs_{axis}": share for axis, share in signs.items()}
        figures["geometry_latent"] = geometry(reference.embeddings["code"][0], z, rng=reference.rng)[0]
        figures["variance_ratio"] = float(z.var(axis=0).sum() / self.art_latents[bundle].var(axis=0).sum())
        figures["active_units"] = active_units(self.art_latents[bundle])
        figures["hubs"] = hubs(z, self.trained[bundle])
        kl_nats = _stated_kl(open_clavilux(bundle).bundle.card)
        if kl_nats is not None:
            figures["kl_nats"] = kl_nats
        if len(self.art_energy) >= LEAST:
            figures["sharpness"] = self._sharpness(bundle, z)
        self.table[column] = figures

    def add_groups(self) -> None:
        """Add a column for each group of at least `LEAST` songs, if there are at least two such groups."""
        members = {group: np.flatnonzero([each == group for each in self.groups]) for group in sorted({*self.groups})}
        members = {group: index for group, index in members.items() if group and len(index) >= LEAST}
        for group, index in members.items() if len(members) > 1 else ():
            whole, (first, second) = self.pictures["songs"].take(index), self.halves["songs"]
            self.table[f"{group} songs"] = measure_column(
                whole,
                (first.take(index), second.take(index)),
                self.reference.take(index, is_sample=False),
                least=LEAST,
                with_distribution=False,
            )

    def add_linear_map_and_random_latents(self) -> None:
        """Add the columns "linear map" and "random latents"."""
        reference, table = self.reference, self.table
        whole, halves = reference.embeddings["code"]
        linear_map = fit_linear_map(
            whole,
            reference.scores,
            np.asarray(self.art_latents[self.bundle], np.float64),
            correspondence_values(self.training.image_features, "image_features"),
        )
        self.latents["linear map"] = linear_map(whole)
        self.latents["random latents"] = reference.rng.standard_normal(self.latents["songs"].shape).astype(np.float32)
        for column in ("linear map", "random latents"):
            pictures = self.pictures[column] = measure_latents(self.bundle, self.latents[column], jobs=self.jobs)
            table[column] = measure_distribution(pictures, reference) | measure_similarity(pictures, reference)
            table[column]["hubs"] = hubs(self.latents[column], self.trained[self.bundle])
        painted = self._paint_sides(self.bundle, [linear_map(halves[:, side]) for side in range(2)])
        table["linear map"] |= measure_halves(painted, self.pictures["linear map"], reference)
        correlation, _ = geometry(whole, self.latents["linear map"], rng=reference.rng)
        table["linear map"]["geometry_latent"] = correlation

    def add_retrieval(self) -> None:
        """Add the column "retrieval": for each song, the training picture whose latent is nearest."""
        whole, first, second = (
            self.training.take(distances(z, self.art_latents[self.bundle]).argmin(axis=1))
            for z in (self.latents["songs"], *self.half_latents["songs"])
        )
        self.pictures["retrieval"] = whole
        figures = measure_distribution(whole, self.reference) | measure_similarity(whole, self.reference)
        self.table["retrieval"] = figures | measure_halves((first, second), whole, self.reference)

    def add_shuffled_songs_and_mean_song(self) -> None:
        """Add the columns "shuffled songs" and "mean song", which show how bad values can be."""
        songs, (first, second) = self.pictures["songs"], self.halves["songs"]
        order = self.reference.rng.permutation(len(songs))
        figures = measure_similarity(songs.take(order), self.reference)
        figures |= measure_halves((first, second.take(order)), songs, self.reference)
        self.table["shuffled songs"] = figures
        mean = measure_latents(self.bundle, self.latents["songs"].mean(axis=0, keepdims=True), jobs=1)
        repeated = mean.take(np.zeros(self.reference.n, int))
        self.table["mean song"] = measure_distribution(repeated, self.reference)

    def add_decoder_and_real_art(self) -> None:
        """Add the columns "decoder", "real art" and "training art", which show what is possible."""
        reference, table, art_latents = self.reference, self.table, self.art_latents[self.bundle]
        chosen = reference.rng.permutation(len(art_latents))[: reference.n]
        self.pictures["decoder"] = measure_latents(self.bundle, art_latents[chosen], jobs=self.jobs)
        self.pictures[CEILING] = self.other_art.take(np.arange(reference.n))
        if self.material.has_held_out_art:
            self.pictures["training art"] = self.training.take(chosen)
        real = [column for column in (CEILING, "training art") if column in self.pictures]
        for column in ("decoder", *real):
            table[column] = measure_distribution(self.pictures[column], reference)
        if len(self.art_energy) >= LEAST:
            table["decoder"]["sharpness"] = self._sharpness(self.bundle, art_latents[chosen])
            training_energy = fine_energy_of_files(self.material.training_art, jobs=self.jobs)
            if len(training_energy) >= LEAST:
                table[real[-1]]["sharpness"] = float(np.median(training_energy) / np.median(self.art_energy))
        for key in (f"{name}_{e}" for name in ("diversity", "vendi", "coverage", "recall") for e in reference.art):
            for column in ("songs", "linear map", "random latents"):
                if table["decoder"][key] > 0:
                    table[column][f"used_{key}"] = table[column][key] / table["decoder"][key]
        # Training pictures are at distance 0 from training art, so both columns of real pictures get the value of
        # held-out art: how near new pictures are to training art.
        for evaluator in reference.art:
            near = memorisation(reference.art[evaluator], reference.training[evaluator])
            for column in real:
                table[column][f"memorisation_{evaluator}"] = near

    def result(self) -> Result:
        """Return everything that was measured, with the columns in the order of the report."""
        groups = [f"{group} songs" for group in sorted({*self.groups})]
        order = [*self.columns.values(), *groups, CEILING, "training art", "decoder", "linear map", "retrieval"]
        order += ["random latents", "shuffled songs", "mean song"]
        counts = dict(self.material.counts) | {
            "songs measured": len(self.names),
            "pictures per side": self.reference.n,
            "held-out pictures of 512 px and more": len(self.art_energy),
            "training pictures for hubs": len(self.trained[self.bundle]),
        }
        return Result(
            table={column: self.table[column] for column in order if column in self.table},
            embeddings=measure_embeddings(self.reference),
            counts=counts,
            remarks=self._remarks(),
            faults=self.faults,
            names=self.names,
            pictures=self.pictures,
            latents=self.latents,
            art_latents=self.art_latents[self.bundle],
            kl_nats=self.kl_nats,
            reference=self.reference,
        )

    def _remarks(self) -> list[str]:
        remarks, n_sharp = [], len(self.art_energy)
        if self.reference.n < COMPARABLE:
            chance = min(1.0, NEIGHBOURS / (len(self.names) - 1))
            remarks.append(
                f"{self.reference.n} songs and pictures per side are too few for the goals, which assume {COMPARABLE} "
                f"or more: even unrelated pictures keep {chance:.2f} of the 10 nearest songs"
            )
        if "C" not in self.reference.art:
            remarks.append(
                f"evaluator C (InceptionV3) is absent: `{COMMAND}` makes it from a package, see docs/measures.md"
            )
        if len(self.names) < 2 * LEAST:
            remarks.append(f"intervals need {2 * LEAST} songs; there are {len(self.names)}")
        if n_sharp < LEAST:
            remarks.append(f"sharpness needs {LEAST} held-out pictures of 512 pixels a side; there are {n_sharp}")
        return remarks

    def _sharpness(self, bundle: str, latents: Float32) -> float:
        energy = fine_energy_of_latents(bundle, latents[:N_SHARP], jobs=self.jobs)
        return float(np.median(energy) / np.median(self.art_energy))

    def _paint_sides(self, bundle: str, latents: Sequence[Float32]) -> Pair:
        """Paint two arrays of latents of equal length, and return the measurements of both sets of paintings."""
        pictures = measure_latents(bundle, np.concatenate(latents), jobs=self.jobs)
        n = len(latents[0])
        return pictures.take(np.arange(n)), pictures.take(np.arange(n, 2 * n))

    def _paint_variations(self, bundle: str, latents: Float32) -> MeasuredPictures:
        """Paint the first `N_WITH_VARIATIONS` songs, each followed by its variations, and return the measurements."""
        variations, numbers = Variations(open_clavilux(bundle).engine), range(N_VARIATIONS + 1)
        own = latents[:N_WITH_VARIATIONS]
        groups = np.stack([variations.vary(z, str(k), number, 1.0) for k, z in enumerate(own) for number in numbers])
        return measure_latents(bundle, groups, jobs=self.jobs, seeds=[*numbers] * len(own))


def _map_codes(bundle: str, codes: Float32) -> Float32:
    """Return the latents (n, 64) to which a bundle maps song codes (n, S)."""
    engine = open_clavilux(bundle).engine
    return np.stack([engine.map_song(code) for code in codes])


def _map_sides(bundle: str, codes: Float32) -> list[Float32]:
    """Map song codes (n, 2, S), and return two arrays of latents (n, 64): of codes[:, 0] and of codes[:, 1]."""
    return [_map_codes(bundle, codes[:, side]) for side in range(2)]


def _stated_kl(card: Mapping[str, Any]) -> float | None:
    """Return the KL divergence in the card of a bundle, divided by its target; None if the card lacks one of them."""
    kl_nats = card.get("measures", {}).get("image_vae", {}).get("kl_nats")
    target = card.get("config", {}).get("image_vae", {}).get("target_nats")
    return float(kl_nats) / float(target) if kl_nats and target else None
