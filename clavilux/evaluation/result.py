"""The result of an evaluation, which `report.py` shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clavilux.evaluation.columns import Figures, Reference
from clavilux.evaluation.painting import Arrays, Float32, MeasuredPictures

Table = dict[str, Figures]


@dataclass(frozen=True)
class Result:
    """The result of an evaluation, with the data that its report shows.

    Attributes
    ----------
    table : dict
        Column -> measure key -> value.
    embeddings : dict
        Audio embedding -> measure -> value, from `measure_embeddings`.
    counts : dict
        What was measured, in words -> number.
    remarks : list of str
        Limits of this evaluation, one sentence each.
    faults : list of str
        One line for each file that could not be read.
    names : list of str
        Names of the n songs.
    pictures : dict
        Column -> measured pictures; picture i belongs to song i in columns whose pictures belong to songs.
    latents : dict
        Column -> latents (n, 64), for columns of painted latents.
    art_latents : (m, 64)
        Posterior means of training pictures.
    kl_nats : (64,)
        Mean KL divergence of each latent dimension over these pictures.
    reference : Reference
    """

    table: Table
    embeddings: Table
    counts: dict[str, int]
    remarks: list[str]
    faults: list[str]
    names: list[str]
    pictures: dict[str, MeasuredPictures]
    latents: Arrays
    art_latents: Float32
    kl_nats: NDArray[np.floating]
    reference: Reference
