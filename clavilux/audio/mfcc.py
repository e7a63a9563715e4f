"""Compute the MFCC of a window with given settings, and read the settings of a feature file.

The networks of a bundle need MFCC with the settings that they were trained with; ``bundle.json`` states these settings.
A feature file states its settings after the array; NumPy ignores these bytes. If the file states no settings, its MFCC
were computed with the defaults of librosa.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from clavilux.audio import Float32
from clavilux.audio.filters import dct_basis, hann, mel_filters
from clavilux.constants import FFT_SAMPLES, HOP_SAMPLES, SAMPLE_RATE

Level = Literal["absolute", "relative"]

FMAX_RANGE_HZ = (1_000.0, SAMPLE_RATE / 2)  # allowed `FeatureSettings.fmax_hz`
RANGE_RANGE_DB = (10.0, 120.0)  # allowed `FeatureSettings.range_db`

_POWER_FLOOR: dict[str, float] = {"absolute": 1e-10, "relative": 1e-30}  # librosa's amin
_NUMBER = rb"([0-9]{1,6}(?:[.][0-9]{1,6})?)"
_MARK = re.compile(rb"\nclavilux mfcc fmax_hz=%b range_db=%b level=([a-z]{1,12})\n\Z" % (_NUMBER, _NUMBER))
_LONGEST_MARK = 100  # bytes


@dataclass(frozen=True)
class FeatureSettings:
    """Settings of the MFCC; the defaults are those of librosa."""

    fmax_hz: float = SAMPLE_RATE / 2  # highest frequency of the mel bands; lossy codecs leave gaps above 7 kHz
    # Dynamic range of a window (librosa's `top_db`): mel bands more than this below the maximum of the window are
    # raised to that limit. With 80 dB, the noise floor of a codec counts as much as the music.
    range_db: float = 80.0
    # Power at 0 dB. "absolute": 1, as in librosa. "relative": the maximum of the window (librosa's `ref=np.max`), so
    # that a gain changes nothing.
    level: Level = "absolute"

    def __str__(self) -> str:
        """Return the settings as text for messages and tables, such as "7000 Hz, 40 dB, relative"."""
        return f"{self.fmax_hz:g} Hz, {self.range_db:g} dB, {self.level}"

    def mark(self) -> bytes:
        """Return the bytes that state these settings at the end of a feature file; empty for the librosa defaults."""
        if self == LIBROSA:
            return b""
        return f"\nclavilux mfcc fmax_hz={self.fmax_hz:g} range_db={self.range_db:g} level={self.level}\n".encode()

    @classmethod
    def of_mark(cls, end: bytes) -> FeatureSettings:
        """Return the settings that the last bytes of a feature file state; `LIBROSA` if they state none."""
        found = _MARK.search(end)
        if found is None:
            return LIBROSA
        values: dict[str, Any] = {"fmax_hz": float(found[1]), "range_db": float(found[2]), "level": found[3].decode()}
        return cls(**values) if are_settings(values) else LIBROSA


LIBROSA = FeatureSettings()
"""The defaults of `librosa.feature.mfcc`, with which the bundle `classic` was trained."""


def are_settings(values: Any) -> bool:
    """Return whether a value is a dict with the fields of `FeatureSettings`, each with an allowed value."""
    if not isinstance(values, dict) or set(values) != {"fmax_hz", "range_db", "level"}:
        return False
    numbers = ((values["fmax_hz"], FMAX_RANGE_HZ), (values["range_db"], RANGE_RANGE_DB))
    return values["level"] in ("absolute", "relative") and all(
        isinstance(number, int | float) and not isinstance(number, bool) and low <= number <= high
        for number, (low, high) in numbers
    )


def read_settings(path: Path) -> FeatureSettings:
    """Return the settings that a feature file states; `LIBROSA` if it states none.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LONGEST_MARK))
        return FeatureSettings.of_mark(file.read())


def mfcc(window: Float32, settings: FeatureSettings = LIBROSA) -> Float32:
    """Return the MFCC of one window, equal to those of librosa.

    The equivalent call is `librosa.feature.mfcc(S=power_to_db(melspectrogram(fmax=fmax_hz), top_db=range_db))`. If
    ``settings.level`` is "relative", `power_to_db` also gets `ref=np.max` and `amin=1e-30`.

    Parameters
    ----------
    window : (n,) float32
        Mono sound at 22 050 Hz.
    settings : FeatureSettings

    Returns
    -------
    (20, 1 + n // 512) float32
        For each frame, the first 20 cepstral coefficients (Davis & Mermelstein 1980) of 128 Slaney mel bands in dB.
    """
    padded = np.pad(window, FFT_SAMPLES // 2)
    power = power_spectra(sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES])
    bands_db = decibel(power @ mel_filters(settings.fmax_hz), _POWER_FLOOR[settings.level])
    loudest = bands_db.max()
    np.maximum(bands_db, loudest - settings.range_db, out=bands_db)
    if settings.level == "relative":
        bands_db -= loudest
    # In float32, a sum of 128 values near -90 has a rounding error of 0.001.
    return np.ascontiguousarray((bands_db.astype(np.float64) @ dct_basis()).T, np.float32)


def power_spectra(frames: Float32) -> Float32:
    """Return the power spectra |rfft|^2 (T, 1025) of frames (T, 2048), after multiplication by a Hann window."""
    spectrum = np.fft.rfft(frames * hann(FFT_SAMPLES), axis=1)
    real, imaginary = spectrum.real, spectrum.imag
    return np.asarray(real * real + imaginary * imaginary)


def decibel(power: Float32, floor: float = _POWER_FLOOR["absolute"]) -> Float32:
    """Return power in dB, 10 log10 of each value; values below `floor` count as `floor`."""
    return np.asarray(np.float32(10) * np.log10(np.maximum(power, np.float32(floor))))
