"""What can be said about a whole song in named numbers: features -> **here** -> mapping, card and guides.

`DESCRIPTORS` gives each number's unit, range, meaning and source. Recordings of the same music differ in level by 40
dB, so everything but `loudness` is the same at any level. All are finite for every sound, silence included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from clavilux.audio.features import LONG_HOP_SAMPLES, PEAK_BAND_HZ, PEAKS, Features
from clavilux.constants import HOP_SAMPLES, SAMPLE_RATE

Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

DESCRIPTORS_VERSION = 1  # raised whenever the same features give other numbers

FRAMES_PER_S = SAMPLE_RATE / HOP_SAMPLES
LONG_FRAMES_PER_S = SAMPLE_RATE / LONG_HOP_SAMPLES

SOUNDING_DB = 40.0  # a frame counts when its level is at most this far below the 95th percentile of the song
SILENT_POWER = 1e-14  # mean square of a frame below which nothing counts as sound

TEMPO_RANGE_BPM = (40.0, 220.0)
USUAL_TEMPO_BPM = 120.0  # where listeners tap, and what a song without any pulse is given
USUAL_PITCH = 60.0  # MIDI number that a song without any pitch is given, middle C
FLATTEST_DB, SILENT_FLATNESS_DB = 0.0, -80.0
SILENT_LUFS = -70.0  # absolute gate of ITU-R BS.1770

# Temperley 1999, "What's key for key?": how well each pitch class fits a key, from its tonic upwards.
MAJOR_PROFILE = (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0)
MINOR_PROFILE = (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0)
KEY_STRETCH_FRAMES = 43  # long frames, 8 s: about a phrase, after which a song may be in another key


@dataclass(frozen=True)
class Descriptor:
    """One named number of a song.

    Attributes
    ----------
    name, unit : str
    low, high : float
        Range of its values; infinite where there is no bound.
    about : str
        What it says, in one sentence.
    source : str
        Where the method comes from.
    plain : bool
        Whether more or less of it means something, as a mapping needs; the key goes round in a circle.
    """

    name: str
    unit: str
    low: float
    high: float
    about: str
    source: str
    plain: bool = True


_MEAN = "mean over the frames that sound"

DESCRIPTORS: dict[str, Descriptor] = {
    descriptor.name: descriptor
    for descriptor in (
        Descriptor(
            "tempo",
            "BPM",
            *TEMPO_RANGE_BPM,
            "Beats a minute: the period at which onsets repeat best, the usual tempo of 120 preferred.",
            "autocorrelation comb with log-normal prior, after Ellis 2007",
        ),
        Descriptor(
            "pulse_clarity",
            "1",
            0,
            1,
            "How well onsets repeat after one to four beats; 1 is a metronome.",
            "after Lartillot et al. 2008",
        ),
        Descriptor(
            "onset_rate",
            "1/s",
            0,
            FRAMES_PER_S / 3,
            "Note attacks a second.",
            "peaks of spectral flux, Bock et al. 2012",
        ),
        Descriptor(
            "loudness",
            "LUFS",
            SILENT_LUFS,
            math.inf,
            "Gated K-weighted level of the mean of the channels.",
            "ITU-R BS.1770-5, weighted in the frequency domain",
        ),
        Descriptor(
            "loudness_range",
            "LU",
            0,
            math.inf,
            "Distance of loud and soft passages: 10th to 95th percentile of 3 s blocks.",
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
            FLATTEST_DB,
            f"Noise against tone: geometric over arithmetic mean of the power spectrum, {_MEAN}; white noise has -2.5.",
            "Peeters 2004",
        ),
        Descriptor(
            "flux",
            "1",
            0,
            math.sqrt(2),
            f"Change of the spectrum's shape from frame to frame, {_MEAN}.",
            "Tzanetakis & Cook 2002",
        ),
        Descriptor(
            "roughness",
            "1",
            0,
            math.sqrt(PEAKS / 2),
            "Beating of partials closer than a critical band, mean over the long frames that sound.",
            "Plomp & Levelt 1965; Hutchinson & Knopoff 1978",
        ),
        Descriptor(
            "mode_strength",
            "1",
            -1,
            1,
            "Major against minor: how much better the best major key fits than the best minor key.",
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
            "Mean pitch of the partials from 50 Hz to 5 kHz, weighted by how loud they are; 12 are an octave.",
            "own definition",
        ),
        Descriptor(
            "harmonic_change",
            "1",
            0,
            2 * math.sqrt(2.25),
            "Mean distance in tonal space between harmonies 0.37 s apart.",
            "Harte, Sandler & Gasser 2006",
        ),
        Descriptor(
            "arousal",
            "standard deviations",
            -math.inf,
            math.inf,
            "Calm to excited, as listeners would say: a weighted sum of other descriptors.",
            "ridge regression on Emotify (Aljanaki, Wiering & Veltkamp 2016)",
        ),
        Descriptor(
            "valence",
            "standard deviations",
            -math.inf,
            math.inf,
            "Sad or tense to happy, as listeners would say: a weighted sum of other descriptors.",
            "ridge regression on Emotify (Aljanaki, Wiering & Veltkamp 2016)",
        ),
    )
}
"""All descriptors in the order of `describe`."""


# Calibrated on the 393 recordings of Emotify in the corpus, 21 listeners each. Printed by
#
#     python -m clavilux.training.calibrate_mood features/descriptors.csv data.csv --corpus corpus.csv
#
# Correlation with the listeners, read in ten folds on artists that had no part in the weights: arousal 0.64, valence
# 0.50; within a genre 0.65 and 0.44. Weights from the literature reach 0.55 and 0.48; other listeners, 0.91 and 0.72.
# Loudness would add 0.01 and is left out. Mean and standard deviation over the labelled songs come first, weights
# after them; arousal and valence have mean 0 and standard deviation 1 there.
MOOD_SCALE: dict[str, tuple[float, float]] = {
    "tempo": (123.6, 28.53),
    "pulse_clarity": (0.3961, 0.2261),
    "onset_rate": (4.007, 1.271),
    "loudness_range": (6.314, 3.86),
    "centroid": (1774.7, 679.5),
    "bandwidth": (2019.6, 572),
    "flatness": (-23.21, 7.514),
    "flux": (0.3389, 0.06947),
    "roughness": (0.7304, 0.1332),
    "mode_strength": (0.08206, 0.1241),
    "register": (65.13, 6.154),
    "harmonic_change": (0.1701, 0.05151),
}
AROUSAL_WEIGHTS: dict[str, float] = {
    "tempo": 0.165,
    "pulse_clarity": 0.100,
    "onset_rate": 0.052,
    "loudness_range": -0.100,
    "centroid": 0.138,
    "bandwidth": -0.482,
    "flatness": 0.458,
    "flux": 0.550,
    "roughness": 0.102,
    "mode_strength": -0.200,
    "register": -0.004,
    "harmonic_change": -0.092,
}
VALENCE_WEIGHTS: dict[str, float] = {
    "tempo": 0.029,
    "pulse_clarity": 0.319,
    "onset_rate": 0.244,
    "loudness_range": -0.003,
    "centroid": -0.102,
    "bandwidth": 0.251,
    "flatness": -0.253,
    "flux": -0.016,
    "roughness": -0.074,
    "mode_strength": 0.865,
    "register": 0.247,
    "harmonic_change": 0.241,
}


def describe(features: Features) -> dict[str, float]:
    """All descriptors of a song.

    Parameters
    ----------
    features : Features
        Of the whole song.

    Returns
    -------
    dict of str to float
        One finite number for each name of `DESCRIPTORS`, in that order.

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

    tempo, pulse_clarity = measure_pulse(features.onset)
    key, mode_strength = measure_key(pitch_classes)
    values = {
        "tempo": tempo,
        "pulse_clarity": pulse_clarity,
        "onset_rate": measure_onset_rate(features.onset),
        "loudness": measure_loudness(features.k_power),
        "loudness_range": measure_loudness_range(features.k_power),
        "centroid": _mean_of(features.centroid_hz[sounding], 0.0),
        "bandwidth": _mean_of(features.bandwidth_hz[sounding], 0.0),
        "flatness": _mean_of(features.flatness_db[sounding], SILENT_FLATNESS_DB),
        "flux": _mean_of(features.flux[sounding], 0.0),
        "roughness": measure_roughness(hz, amplitude),
        "mode_strength": mode_strength,
        "key": float(key),
        "register": measure_register(pitch, amplitude),
        "harmonic_change": measure_harmonic_change(pitch_classes),
    }
    return values | estimate_mood(values)


def estimate_mood(values: dict[str, float]) -> dict[str, float]:
    """Arousal and valence from the other descriptors.

    Parameters
    ----------
    values : dict of str to float
        At least the descriptors that `MOOD_SCALE` names.

    Returns
    -------
    dict
        `arousal` and `valence`.
    """
    # What lies further out than any labelled song says no more than the outermost of them.
    scores = {name: min(max((values[name] - mean) / sd, -3.0), 3.0) for name, (mean, sd) in MOOD_SCALE.items()}
    return {
        "arousal": sum(weight * scores[name] for name, weight in AROUSAL_WEIGHTS.items()),
        "valence": sum(weight * scores[name] for name, weight in VALENCE_WEIGHTS.items()),
    }


# Frames and partials -----------------------------------------------------------------------------------------------


def find_sounding(power: Float32) -> Bool:
    """Frames that are not a pause: (T,) mean squares -> (T,) bool."""
    loud = float(np.percentile(power, 95))
    return np.asarray(power > max(loud * 10 ** (-SOUNDING_DB / 10), SILENT_POWER))


def pitch_of(hz: Float32) -> Float64:
    """MIDI pitch of frequencies, 69 at 440 Hz; below 1 Hz counts as 1 Hz."""
    return np.asarray(69 + 12 * np.log2(np.maximum(hz.astype(np.float64), 1.0) / 440))


def fold_pitches(pitch: Float64, amplitude: Float32) -> Float64:
    """Share of the pitch classes C, C#, ..., B in each frame: partials (L, P) -> (L, 12), rows of sum 1 or 0.

    Concert pitch is not assumed: the tuning of the song is the mean deviation of its partials from the tempered
    scale, taken on the circle. A partial between two semitones counts for both.
    """
    weight = np.where(pitch < 96, amplitude, 0).astype(np.float64)  # above C7 are overtones rather than notes
    tuning = np.angle((weight * np.exp(2j * np.pi * pitch)).sum()) / (2 * np.pi)
    low = np.floor(pitch - tuning)
    share = pitch - tuning - low
    row = np.arange(len(pitch))[:, None]
    flat = np.concatenate([row * 12 + low.astype(int) % 12, row * 12 + (low.astype(int) + 1) % 12], axis=1)
    weights = np.concatenate([weight * (1 - share), weight * share], axis=1)
    classes = np.bincount(flat.ravel(), weights.ravel(), 12 * len(pitch)).reshape(len(pitch), 12)
    return np.asarray(classes / np.maximum(classes.sum(axis=1, keepdims=True), 1e-30))


# Time --------------------------------------------------------------------------------------------------------------


def measure_pulse(onset: Float32) -> tuple[float, float]:
    """Tempo in BPM, and how clear the pulse is (0 to 1).

    The autocorrelation of onset strength, the mean over segments of 12 s (a song may drift), is averaged at one, two,
    three and four beats for every tempo: a period that is not the beat fails at one of them. Periods of twice and
    half the beat repeat as well, so tempos are weighted by a Gaussian of one octave around 120 BPM. The clarity is
    the autocorrelation there, 1 for onsets that repeat exactly.
    """
    segment, hop, finer, beats = 512, 128, 8, 4
    onset = np.pad(onset, (0, max(0, segment - onset.size)))
    segments = sliding_window_view(onset, segment)[::hop].astype(np.float64)
    segments = segments - segments.mean(axis=1, keepdims=True)
    energy = np.square(segments).sum(axis=1)
    moving = energy > 1e-6  # dB^2
    if not moving.any():
        return USUAL_TEMPO_BPM, 0.0
    power = np.square(np.abs(np.fft.rfft(segments[moving], 2 * segment, axis=1)))
    spectrum = (power / energy[moving, None]).mean(axis=0)

    # An inverse transform of eight times the length reads the autocorrelation between frames: at 140 BPM one frame is
    # 8 BPM.
    lag = np.arange(segment * 3 // 4 * finer) / finer
    repeats = np.fft.irfft(spectrum, 2 * segment * finer)[: lag.size] * finer
    repeats *= segment / (segment - lag)  # the overlap shrinks with the lag

    slowest, fastest = TEMPO_RANGE_BPM
    bpm = np.geomspace(slowest, fastest, 1 + round(math.log(fastest / slowest) / 0.002))
    beat = 60 / bpm * FRAMES_PER_S  # four of the slowest are 258 frames, within the 384 of `lag`
    comb = np.mean([np.interp(k * beat, lag, repeats) for k in range(1, beats + 1)], axis=0)
    prior = np.exp(-0.5 * np.square(np.log2(bpm / USUAL_TEMPO_BPM)))
    best = int(np.argmax(comb * prior))
    return float(bpm[best]), float(np.clip(comb[best], 0, 1))


def measure_onset_rate(onset: Float32) -> float:
    """Note attacks a second.

    An attack is the highest of five frames (116 ms) and stands above the mean of its eleven (255 ms) by 0.5 dB or by
    7 % of the song's strong onsets, whichever is more.
    """
    highest = sliding_window_view(np.pad(onset, 2), 5).max(axis=1)
    around = sliding_window_view(np.pad(onset, 5, mode="edge"), 11).mean(axis=1)
    margin = max(0.5, 0.07 * float(np.percentile(onset, 99)))
    attacks = (onset == highest) & (onset > around + margin)
    return float(attacks.sum()) / (onset.size / FRAMES_PER_S)


# Level -------------------------------------------------------------------------------------------------------------


def measure_loudness(k_power: Float32) -> float:
    """Integrated loudness in LUFS: blocks of 0.4 s every 0.1 s, gated at -70 LUFS and 10 LU below their mean.

    BS.1770 adds the channels' powers. Here their mean is one channel: a stereo recording of equal channels reads 3 LU
    lower.
    """
    blocks = _block_loudness(k_power, 17, 4)
    blocks = blocks[blocks > SILENT_LUFS]
    if not blocks.size:
        return SILENT_LUFS
    return _mean_level(blocks[blocks > _mean_level(blocks) - 10])


def measure_loudness_range(k_power: Float32) -> float:
    """Loudness range in LU: 10th to 95th percentile of blocks of 3 s every second, those 20 LU below the mean left out.

    The absolute gate of EBU Tech 3342 is left out with them, so that a quiet copy has the same range.
    """
    blocks = _block_loudness(k_power, 129, 43)
    blocks = blocks[blocks > 10 * math.log10(SILENT_POWER)]
    if not blocks.size:
        return 0.0
    blocks = blocks[blocks > _mean_level(blocks) - 20]
    return float(np.percentile(blocks, 95) - np.percentile(blocks, 10))


def _block_loudness(k_power: Float32, length: int, hop: int) -> Float64:
    """LUFS of blocks of `length` frames every `hop`; a song shorter than a block is one block."""
    length = min(length, k_power.size)
    total = np.cumsum(k_power, dtype=np.float64)
    mean_square = (total[length - 1 :] - np.concatenate([[0.0], total[:-length]]))[::hop] / length
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(mean_square, 1e-20)))


def _mean_level(db: Float64) -> float:
    return float(10 * np.log10((10 ** (db / 10)).mean()))


# Harmony -----------------------------------------------------------------------------------------------------------


def measure_key(pitch_classes: Float64) -> tuple[int, float]:
    """Pitch class of the tonic (C = 0), and major against minor (-1 to 1).

    The song is cut into stretches of 8 s, and the profile of each is correlated with the profiles of the 24 keys. The
    key is the one that fits best on average. The mode is the mean of the best major minus the best minor correlation.
    Without any pitch the key is C and the mode 0.

    Temperley's profiles and the stretches were chosen by how well the mode alone follows the valence that listeners
    gave 393 songs: r = 0.48, against 0.33 for the profiles of Krumhansl & Kessler 1982 on the song as a whole.
    """
    keys = np.stack([np.roll(profile, tonic) for profile in (MAJOR_PROFILE, MINOR_PROFILE) for tonic in range(12)])
    n_stretches = max(1, len(pitch_classes) // KEY_STRETCH_FRAMES)
    profiles = np.stack([stretch.sum(axis=0) for stretch in np.array_split(pitch_classes, n_stretches)])
    fit = _unit_rows(profiles) @ _unit_rows(keys).T
    mode = fit[:, :12].max(axis=1) - fit[:, 12:].max(axis=1)
    return int(fit.mean(axis=0).argmax()) % 12, float(np.clip(mode.mean(), -1, 1))


def _unit_rows(rows: Float64) -> Float64:
    """Rows without their mean, of length 1: products of two are correlations. Constant rows become zeros."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-9, rows / np.maximum(length, 1e-9), 0.0))


def measure_register(pitch: Float64, amplitude: Float32) -> float:
    """Mean MIDI pitch of the partials, weighted by amplitude^0.6 (loudness in sones), each frame counting the same."""
    if not len(pitch):
        return USUAL_PITCH
    weight = amplitude.astype(np.float64) ** 0.6
    return float(((weight * pitch).sum(axis=1) / weight.sum(axis=1)).mean())


def measure_harmonic_change(pitch_classes: Float64) -> float:
    """Mean distance between tonal centroids 0.37 s apart, smoothed over 0.3 s.

    The tonal centroid lays pitch classes on the circles of fifths, of minor and of major thirds.
    """
    smooth = np.exp(-0.5 * np.square(np.arange(-4, 5) / 1.5))
    if len(pitch_classes) < smooth.size + 2:
        return 0.0
    step = np.arange(12)
    circles = ((1.0, 7 / 6), (1.0, 3 / 2), (0.5, 2 / 3))
    centroid = pitch_classes @ np.stack([r * f(a * np.pi * step) for r, a in circles for f in (np.sin, np.cos)], axis=1)
    centroid = np.stack([np.convolve(column, smooth / smooth.sum(), "valid") for column in centroid.T], axis=1)
    return float(np.linalg.norm(centroid[2:] - centroid[:-2], axis=1).mean())


def measure_roughness(hz: Float32, amplitude: Float32) -> float:
    """Root of the mean over frames of: sum over pairs of partials of a_i a_j g(distance), over the sum of a^2.

    g of the distance in frequency has its maximum 1 at a quarter of a critical band (1.72 f^0.65 Hz) and is 0 beyond
    1.2 of them. The root, which makes it a ratio of amplitudes, keeps a few songs of dense noise from lying far
    outside all others.
    """
    if not len(hz):
        return 0.0
    total = 0.0
    for first in range(0, len(hz), 256):  # 24 x 24 pairs a frame: in pieces that stay in the cache
        f, a = hz[first : first + 256], amplitude[first : first + 256]
        critical_band = np.float32(1.72) * (np.float32(0.5) * (f[:, :, None] + f[:, None, :])) ** np.float32(0.65)
        distance = np.abs(f[:, :, None] - f[:, None, :]) / critical_band
        quarter = distance * np.float32(4)
        beating = np.where(distance < 1.2, np.square(quarter * np.exp(1 - quarter)), np.float32(0))
        # Every pair is there twice.
        total += float((0.5 * np.einsum("ti,tij,tj->t", a, beating, a) / np.square(a).sum(axis=1)).sum())
    return math.sqrt(total / len(hz))


def _mean_of(values: Float32, without_any: float) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else without_any
