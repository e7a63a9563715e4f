"""Measure tempo, pace, pulse clarity and onset rate of a song."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from clavilux.audio import Float32
from clavilux.constants import HOP_SAMPLES, SAMPLE_RATE

FRAMES_PER_S = SAMPLE_RATE / HOP_SAMPLES
TEMPO_RANGE_BPM = (40.0, 220.0)
USUAL_TEMPO_BPM = 120.0  # about the tempo at which listeners prefer to tap; the tempo of songs without a pulse
_PACE_POWER = 4  # exponent of the scores of tempi; a higher exponent makes the pace follow jumps of the tempo more
_PACE_PRIOR = 0.05  # weight of the prior in the pace, so that songs without a pulse have a pace of about 120


def measure_pulse(onset: Float32) -> tuple[float, float, float]:
    """Return the tempo in BPM, the pace in BPM and the pulse clarity (0 to 1), from the onset strength (T,).

    The autocorrelation of the onset strength is computed in segments of 12 s, so that the tempo may drift, and averaged
    over the segments. Each candidate from 40 to 220 BPM has a score: the mean autocorrelation at lags of one to four
    beats, times a prior. The prior is a Gaussian around 120 BPM with a standard deviation of one octave. It is needed
    because half and double the tempo have similar autocorrelations (after Ellis 2007).

    The tempo is the candidate with the highest score. The pulse clarity is the mean autocorrelation at this tempo,
    without the prior; it is 1 if the onsets repeat exactly. The pace is the geometric mean of all candidates, with
    weights (score + 0.05 prior)^4. If a tempo and its double have nearly the same score, a small change of the sound
    may double the tempo, but hardly changes the pace. If the onset strength does not vary, tempo and pace are 120 BPM
    and the pulse clarity is 0.
    """
    segment, hop, upsampling, beats = 512, 128, 8, 4
    onset = np.pad(onset, (0, max(0, segment - onset.size)))
    segments = sliding_window_view(onset, segment)[::hop].astype(np.float64)
    segments = segments - segments.mean(axis=1, keepdims=True)
    energy = np.square(segments).sum(axis=1)
    varying = energy > 1e-6  # dB^2
    if not varying.any():
        return USUAL_TEMPO_BPM, USUAL_TEMPO_BPM, 0.0
    power = np.square(np.abs(np.fft.rfft(segments[varying], 2 * segment, axis=1)))
    spectrum = (power / energy[varying, None]).mean(axis=0)

    # Zero-padding the spectrum interpolates the autocorrelation by a factor of 8: at 140 BPM, one frame is 8 BPM.
    lag = np.arange(segment * 3 // 4 * upsampling) / upsampling
    autocorrelation = np.fft.irfft(spectrum, 2 * segment * upsampling)[: lag.size] * upsampling
    autocorrelation *= segment / (segment - lag)  # the overlap decreases with the lag

    slowest, fastest = TEMPO_RANGE_BPM
    bpm = np.geomspace(slowest, fastest, 1 + round(math.log(fastest / slowest) / 0.002))
    beat = 60 / bpm * FRAMES_PER_S  # in frames; four of the slowest beats are 258, and `lag` ends at 384
    comb = np.mean([np.interp(k * beat, lag, autocorrelation) for k in range(1, beats + 1)], axis=0)
    prior = np.exp(-0.5 * np.square(np.log2(bpm / USUAL_TEMPO_BPM)))
    score = np.maximum(comb * prior, 0)
    best = int(np.argmax(score))
    pace = np.exp(np.average(np.log(bpm), weights=(score + _PACE_PRIOR * prior) ** _PACE_POWER))
    return float(bpm[best]), float(pace), float(np.clip(comb[best], 0, 1))


def measure_onset_rate(onset: Float32) -> float:
    """Return the number of note onsets per second, from the onset strength (T,).

    An onset is a frame whose onset strength is the maximum of the five frames centred on it (116 ms), and exceeds the
    mean of the eleven frames centred on it (255 ms) by more than a margin. The margin is 7 % of the 99th percentile of
    the onset strength of the song, but at least 0.5 dB (Böck et al. 2012).
    """
    highest = sliding_window_view(np.pad(onset, 2), 5).max(axis=1)
    around = sliding_window_view(np.pad(onset, 5, mode="edge"), 11).mean(axis=1)
    margin = max(0.5, 0.07 * float(np.percentile(onset, 99)))
    onsets = (onset == highest) & (onset > around + margin)
    return float(onsets.sum()) / (onset.size / FRAMES_PER_S)
