"""Compute the descriptors of a whole song: features -> **descriptors** -> `Song` -> mapping network and evaluation.

A descriptor is a named number, such as the tempo. `DESCRIPTORS` has the unit, range, meaning and source of each.

The levels of recordings differ by up to 40 dB, so no descriptor except `loudness` depends on the level. All descriptors
are finite for every sound, including silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clavilux.audio import Float32
from clavilux.audio.descriptors.harmony import (
    fold_pitches,
    measure_harmonic_change,
    measure_key,
    measure_register,
    measure_roughness,
    pitch_of,
)
from clavilux.audio.descriptors.loudness import SILENT_LUFS, find_sounding, measure_loudness, measure_loudness_range
from clavilux.audio.descriptors.mood import estimate_mood
from clavilux.audio.descriptors.rhythm import FRAMES_PER_S, TEMPO_RANGE_BPM, measure_onset_rate, measure_pulse
from clavilux.audio.features import PEAK_BAND_HZ, PEAKS, Features
from clavilux.constants import SAMPLE_RATE

DESCRIPTORS_VERSION = 2  # increase when the same features give different numbers
SILENT_FLATNESS_DB = -80.0  # flatness of a silent song


@dataclass(frozen=True)
class Descriptor:
    """Definition of a descriptor."""

    unit: str
    limits: tuple[float, float]  # smallest and largest possible value; infinite where there is no bound
    about: str  # the meaning, in one sentence
    source: str  # source of the method
    # Whether the mapping from songs to pictures uses the descriptor. It uses neither the key (its values form a circle)
    # nor the tempo (a small change of the sound may double it) nor the loudness (it depends on the recording level).
    plain: bool = True


_MEAN = "averaged over the frames that are not pauses"

DESCRIPTORS: dict[str, Descriptor] = {
    "tempo": Descriptor(
        "BPM",
        TEMPO_RANGE_BPM,
        "Beats per minute: the tempo at which onsets repeat best, with a preference for tempi near 120.",
        "autocorrelation comb with log-normal prior, after Ellis 2007",
        plain=False,
    ),
    "pace": Descriptor(
        "BPM",
        TEMPO_RANGE_BPM,
        "Mean of all tempi, weighted by how well onsets repeat at them; unlike the tempo, it never jumps by an octave.",
        "geometric mean over the comb of the tempo",
    ),
    "pulse_clarity": Descriptor(
        "1",
        (0, 1),
        "How regularly onsets repeat after one to four beats, from 0 to 1; a metronome has 1.",
        "after Lartillot et al. 2008",
    ),
    "onset_rate": Descriptor(
        "1/s",
        (0, FRAMES_PER_S / 3),
        "Note onsets per second.",
        "peaks of spectral flux, Bock et al. 2012",
    ),
    "loudness": Descriptor(
        "LUFS",
        (SILENT_LUFS, math.inf),
        "Integrated loudness: gated K-weighted level of the mean of the channels.",
        "ITU-R BS.1770-5, weighted in the frequency domain",
        plain=False,
    ),
    "loudness_range": Descriptor(
        "LU",
        (0, math.inf),
        "Difference between loud and soft passages: 10th to 95th percentile of blocks of 3 s.",
        "EBU Tech 3342, without its absolute gate",
    ),
    "centroid": Descriptor(
        "Hz",
        (0, SAMPLE_RATE / 2),
        f"Brightness: mean frequency of the magnitude spectrum, {_MEAN}.",
        "Peeters 2004",
    ),
    "bandwidth": Descriptor(
        "Hz",
        (0, SAMPLE_RATE / 2),
        f"Standard deviation of frequency in the magnitude spectrum, {_MEAN}.",
        "Peeters 2004",
    ),
    "flatness": Descriptor(
        "dB",
        (SILENT_FLATNESS_DB, 0),
        f"From tone to white noise (-2.5): ratio of geometric to arithmetic mean of the power spectrum, {_MEAN}.",
        "Peeters 2004",
    ),
    "flux": Descriptor(
        "1",
        (0, math.sqrt(2)),
        f"Change of the shape of the spectrum from frame to frame, {_MEAN}.",
        "Tzanetakis & Cook 2002",
    ),
    "roughness": Descriptor(
        "1",
        (0, math.sqrt(PEAKS / 2)),
        "Beating of partials within a critical band, averaged over the long frames that are not pauses.",
        "Plomp & Levelt 1965; Hutchinson & Knopoff 1978",
    ),
    "mode_strength": Descriptor(
        "1",
        (-1, 1),
        "From minor to major: how much better the best major key fits than the best minor key.",
        "Temperley 1999; Lartillot & Toiviainen 2007",
    ),
    "key": Descriptor(
        "pitch class",
        (0, 11),
        "Tonic of the key that fits best, C = 0.",
        "Krumhansl & Schmuckler, in Krumhansl 1990; Temperley 1999",
        plain=False,
    ),
    "register": Descriptor(
        "MIDI pitch",
        (69 + 12 * math.log2(PEAK_BAND_HZ[0] / 440) - 1, 69 + 12 * math.log2(PEAK_BAND_HZ[1] / 440) + 1),
        "Mean pitch of the partials from 50 Hz to 5 kHz, weighted by loudness; 12 is an octave.",
        "own method",
    ),
    "harmonic_change": Descriptor(
        "1",
        (0, 2 * math.sqrt(2.25)),
        "Mean distance between tonal centroids 0.37 s apart.",
        "Harte, Sandler & Gasser 2006",
    ),
    "arousal": Descriptor(
        "standard deviations",
        (-math.inf, math.inf),
        "From calm to excited, as listeners would rate it: a weighted sum of other descriptors.",
        "ridge regression on Emotify (Aljanaki, Wiering & Veltkamp 2016)",
    ),
    "valence": Descriptor(
        "standard deviations",
        (-math.inf, math.inf),
        "From sad or tense to happy, as listeners would rate it: a weighted sum of other descriptors.",
        "ridge regression on Emotify (Aljanaki, Wiering & Veltkamp 2016)",
    ),
}
"""Name of a descriptor -> its definition, in the order in which `describe` returns the values."""


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
    # Rounding, which depends on the processor, can exceed a limit by the last digit.
    values = {name: float(np.clip(value, *DESCRIPTORS[name].limits)) for name, value in values.items()}
    return values | estimate_mood(values)


def _mean(values: Float32, if_empty: float) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else if_empty
