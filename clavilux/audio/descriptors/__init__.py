"""Compute the descriptors of a whole song: features -> **descriptors** -> mapping, card and correspondences.

`DESCRIPTORS` has the unit, range, meaning and source of each descriptor. All descriptors except `loudness` are
independent of the level of the recording, which differs by 40 dB between recordings. All are finite for every sound,
including silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.descriptors.harmony import (
    fold_pitches,
    measure_harmonic_change,
    measure_key,
    measure_register,
    pitch_of,
)
from clavilux.audio.descriptors.loudness import SILENT_LUFS, find_sounding, measure_loudness, measure_loudness_range
from clavilux.audio.descriptors.mood import estimate_mood
from clavilux.audio.descriptors.rhythm import FRAMES_PER_S, TEMPO_RANGE_BPM, measure_onset_rate, measure_pulse
from clavilux.audio.descriptors.roughness import measure_roughness
from clavilux.audio.features import PEAK_BAND_HZ, PEAKS, Features
from clavilux.constants import SAMPLE_RATE

DESCRIPTORS_VERSION = 2  # increase when the same features give different numbers
SILENT_FLATNESS_DB = -80.0  # flatness of a silent song


@dataclass(frozen=True)
class Descriptor:
    """Definition of a descriptor.

    Attributes
    ----------
    name : str
    unit : str
    low, high : float
        Range of its values; infinite where there is no bound.
    about : str
        Its meaning, in one sentence.
    source : str
        Source of the method.
    plain : bool
        Whether the descriptor is an input of the mapping. This is false for the key, whose values form a circle, for
        the tempo, which may double, and for the loudness, which depends on the level of the recording.
    """

    name: str
    unit: str
    low: float
    high: float
    about: str
    source: str
    plain: bool = True


_MEAN = "mean over the frames that are not pauses"

DESCRIPTORS: dict[str, Descriptor] = {
    descriptor.name: descriptor
    for descriptor in (
        Descriptor(
            "tempo",
            "BPM",
            *TEMPO_RANGE_BPM,
            "Beats per minute: the period at which onsets repeat best, with a preference for 120.",
            "autocorrelation comb with log-normal prior, after Ellis 2007",
            plain=False,
        ),
        Descriptor(
            "pace",
            "BPM",
            *TEMPO_RANGE_BPM,
            "Mean of all tempi at which onsets repeat, weighted by how well; unlike the tempo, it has no octave jumps.",
            "geometric mean over the comb of the tempo",
        ),
        Descriptor(
            "pulse_clarity",
            "1",
            0,
            1,
            "How regularly onsets repeat after one to four beats; 1 is a metronome.",
            "after Lartillot et al. 2008",
        ),
        Descriptor(
            "onset_rate",
            "1/s",
            0,
            FRAMES_PER_S / 3,
            "Note onsets per second.",
            "peaks of spectral flux, Bock et al. 2012",
        ),
        Descriptor(
            "loudness",
            "LUFS",
            SILENT_LUFS,
            math.inf,
            "Integrated loudness: gated K-weighted level of the mean of the channels.",
            "ITU-R BS.1770-5, weighted in the frequency domain",
            plain=False,
        ),
        Descriptor(
            "loudness_range",
            "LU",
            0,
            math.inf,
            "Difference between loud and soft passages: 10th to 95th percentile of blocks of 3 s.",
            "EBU Tech 3342, without its absolute gate",
        ),
        Descriptor(
            "centroid",
            "Hz",
            0,
            SAMPLE_RATE / 2,
            f"Brightness: mean frequency of the magnitude spectrum, {_MEAN}.",
            "Peeters 2004",
        ),
        Descriptor(
            "bandwidth",
            "Hz",
            0,
            SAMPLE_RATE / 2,
            f"Standard deviation of frequency in the magnitude spectrum, {_MEAN}.",
            "Peeters 2004",
        ),
        Descriptor(
            "flatness",
            "dB",
            SILENT_FLATNESS_DB,
            0,
            f"From tone to noise: geometric over arithmetic mean of the power spectrum, {_MEAN}; -2.5 for white noise.",
            "Peeters 2004",
        ),
        Descriptor(
            "flux",
            "1",
            0,
            math.sqrt(2),
            f"Change of the shape of the spectrum from frame to frame, {_MEAN}.",
            "Tzanetakis & Cook 2002",
        ),
        Descriptor(
            "roughness",
            "1",
            0,
            math.sqrt(PEAKS / 2),
            "Beating of partials within a critical band, mean over the long frames that are not pauses.",
            "Plomp & Levelt 1965; Hutchinson & Knopoff 1978",
        ),
        Descriptor(
            "mode_strength",
            "1",
            -1,
            1,
            "From minor to major: how much better the best major key fits than the best minor key.",
            "Temperley 1999; Lartillot & Toiviainen 2007",
        ),
        Descriptor(
            "key",
            "pitch class",
            0,
            11,
            "Tonic of the key that fits best, C = 0.",
            "Krumhansl & Schmuckler, in Krumhansl 1990; Temperley 1999",
            plain=False,
        ),
        Descriptor(
            "register",
            "MIDI pitch",
            69 + 12 * math.log2(PEAK_BAND_HZ[0] / 440) - 1,
            69 + 12 * math.log2(PEAK_BAND_HZ[1] / 440) + 1,
            "Mean pitch of the partials from 50 Hz to 5 kHz, weighted by loudness; 12 is an octave.",
            "own method",
        ),
        Descriptor(
            "harmonic_change",
            "1",
            0,
            2 * math.sqrt(2.25),
            "Mean distance between tonal centroids 0.37 s apart.",
            "Harte, Sandler & Gasser 2006",
        ),
        Descriptor(
            "arousal",
            "standard deviations",
            -math.inf,
            math.inf,
            "From calm to excited, as listeners would rate it: a weighted sum of other descriptors.",
            "ridge regression on Emotify (Aljanaki, Wiering & Veltkamp 2016)",
        ),
        Descriptor(
            "valence",
            "standard deviations",
            -math.inf,
            math.inf,
            "From sad or tense to happy, as listeners would rate it: a weighted sum of other descriptors.",
            "ridge regression on Emotify (Aljanaki, Wiering & Veltkamp 2016)",
        ),
    )
}
"""Definitions of all descriptors by name, in the order of `describe`."""


def describe(features: Features) -> dict[str, float]:
    """Return all descriptors of a song.

    Parameters
    ----------
    features : Features
        Features of the whole song.

    Returns
    -------
    dict of str to float
        A finite value for each name in `DESCRIPTORS`, in that order.

    Examples
    --------
    >>> from clavilux.audio.features import measure_features
    >>> sine = 0.1 * np.sin(2 * np.pi * 440 / 22_050 * np.arange(110_250))
    >>> round(describe(measure_features([sine.astype(np.float32)]))["register"], 1)
    69.0
    """
    sounding = find_sounding(features.power)
    long_sounding = find_sounding(np.square(features.peak_amplitude).sum(axis=1))
    hz, amplitude = features.peak_hz[long_sounding], features.peak_amplitude[long_sounding]
    pitch = pitch_of(hz)
    pitch_classes = fold_pitches(pitch, amplitude)

    tempo, pace, pulse_clarity = measure_pulse(features.onset)
    key, mode_strength = measure_key(pitch_classes)
    values = {
        "tempo": tempo,
        "pace": pace,
        "pulse_clarity": pulse_clarity,
        "onset_rate": measure_onset_rate(features.onset),
        "loudness": measure_loudness(features.k_power),
        "loudness_range": measure_loudness_range(features.k_power),
        "centroid": _mean(features.centroid_hz[sounding], 0.0),
        "bandwidth": _mean(features.bandwidth_hz[sounding], 0.0),
        "flatness": _mean(features.flatness_db[sounding], SILENT_FLATNESS_DB),
        "flux": _mean(features.flux[sounding], 0.0),
        "roughness": measure_roughness(hz, amplitude),
        "mode_strength": mode_strength,
        "key": float(key),
        "register": measure_register(pitch, amplitude),
        "harmonic_change": measure_harmonic_change(pitch_classes),
    }
    return values | estimate_mood(values)


def _mean(values: NDArray[np.float32], if_empty: float) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else if_empty
