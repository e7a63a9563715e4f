"""Arousal and valence of a song: linear models of its other descriptors, fitted to ratings of listeners."""

from __future__ import annotations

# Fitted by ridge regression to the 393 recordings of Emotify in the corpus, with 21 listeners each, and printed by
#
#     python -m clavilux.training.calibrate_mood features/descriptors.csv data.csv --corpus corpus.csv
#
# Correlation with the listeners in ten-fold cross-validation by artist: arousal 0.64, valence 0.50; within a genre 0.65
# and 0.44. Weights from the literature reach 0.55 and 0.48, other listeners 0.91 and 0.72. Loudness would add 0.01; it
# is not used because it depends on the level of the recording.

# Mean and standard deviation of each descriptor over the labelled songs. Those of pulse_clarity and onset_rate were
# converted when the bands of the onset strength changed, so that the standardised values of the 472 training songs of
# the corpus kept their means and deviations.
MOOD_SCALE: dict[str, tuple[float, float]] = {
    "tempo": (123.6, 28.53),
    "pulse_clarity": (0.3582, 0.2097),
    "onset_rate": (2.644, 1.230),
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
# Weights of the standardised descriptors. Arousal and valence have mean 0 and standard deviation 1 there.
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


def estimate_mood(values: dict[str, float]) -> dict[str, float]:
    """Return arousal and valence, estimated from the other descriptors.

    Parameters
    ----------
    values : dict of str to float
        Values of at least the descriptors in `MOOD_SCALE`.

    Returns
    -------
    dict of str to float
        ``arousal`` and ``valence``, in standard deviations from the mean of the songs that listeners rated.
    """
    # Values outside the range of the labelled songs are clipped to +-3 standard deviations.
    scores = {name: min(max((values[name] - mean) / sd, -3.0), 3.0) for name, (mean, sd) in MOOD_SCALE.items()}
    return {
        "arousal": sum(weight * scores[name] for name, weight in AROUSAL_WEIGHTS.items()),
        "valence": sum(weight * scores[name] for name, weight in VALENCE_WEIGHTS.items()),
    }
