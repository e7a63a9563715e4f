"""Arousal and valence of a song: linear models of its other descriptors, fitted to ratings of listeners."""

from __future__ import annotations

# This command printed the numbers below. It fits them by ridge regression to the 393 recordings of Emotify in the
# corpus, each rated by 21 listeners:
#
#     python -m clavilux.training.calibrate_mood features/descriptors.csv data.csv --corpus corpus.csv
#
# The correlation with the ratings, in ten-fold cross-validation by artist, is 0.64 for arousal and 0.50 for valence;
# within a genre, it is 0.65 for arousal and 0.44 for valence. With weights from the literature, it is 0.55 for arousal
# and 0.48 for valence. The ratings of other listeners correlate with 0.91 for arousal and 0.72 for valence.
# Loudness as a further descriptor would add 0.01, but it depends on the level of the recording.

# Descriptor -> its mean and standard deviation over the rated songs, and its weights for arousal and for valence.
# Weights apply to standardised descriptors. Over the rated songs, arousal and valence have mean 0 and standard
# deviation 1.
# When the method of the onset strength changed, mean and standard deviation of pulse_clarity and onset_rate were
# converted, so that the standardised values of the 472 training songs of the corpus kept their means and deviations.
MOOD: dict[str, tuple[float, float, float, float]] = {
    "tempo": (123.6, 28.53, 0.165, 0.029),
    "pulse_clarity": (0.3582, 0.2097, 0.100, 0.319),
    "onset_rate": (2.644, 1.230, 0.052, 0.244),
    "loudness_range": (6.314, 3.86, -0.100, -0.003),
    "centroid": (1774.7, 679.5, 0.138, -0.102),
    "bandwidth": (2019.6, 572, -0.482, 0.251),
    "flatness": (-23.21, 7.514, 0.458, -0.253),
    "flux": (0.3389, 0.06947, 0.550, -0.016),
    "roughness": (0.7304, 0.1332, 0.102, -0.074),
    "mode_strength": (0.08206, 0.1241, -0.200, 0.865),
    "register": (65.13, 6.154, -0.004, 0.247),
    "harmonic_change": (0.1701, 0.05151, -0.092, 0.241),
}


def estimate_mood(values: dict[str, float]) -> dict[str, float]:
    """Return estimates of arousal and valence from other descriptors.

    Parameters
    ----------
    values : dict of str to float
        Values of at least the descriptors in `MOOD`.

    Returns
    -------
    dict of str to float
        ``arousal`` and ``valence``, in standard deviations from the mean of the songs that listeners rated.
    """
    # Standardised values are clipped to +-3, about the range of the rated songs.
    scores = {name: min(max((values[name] - mean) / sd, -3.0), 3.0) for name, (mean, sd, _, _) in MOOD.items()}
    return {
        "arousal": sum(weight * scores[name] for name, (_, _, weight, _) in MOOD.items()),
        "valence": sum(weight * scores[name] for name, (_, _, _, weight) in MOOD.items()),
    }
