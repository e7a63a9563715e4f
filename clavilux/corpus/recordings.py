"""Decode a recording, and compute what the build of a corpus needs: its duration and an acoustic fingerprint."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import AudioStream
from clavilux.corpus.pictures import Unusable
from clavilux.errors import AudioError

MIN_S = 20.0  # shorter pieces are jingles and effects
PRINT_RATE = 8_000  # Hz; low, because MP3 and Vorbis remove high frequencies
PRINT_FFT = 4_096  # samples, 0.5 s: resolves two semitones at 65 Hz
PRINT_HOP = 2_048  # samples
PRINT_SEGMENTS = 48  # number of equal parts from the first to the last sound of a recording
PRINT_LOWEST_HZ = 62.5
PRINT_OCTAVES = 6  # up to 4 kHz
PRINT_ROWS = 12 + PRINT_OCTAVES
SILENCE_DB = -50.0  # relative to the loudest block
BLOCK_SAMPLES = 160  # 20 ms; the first and the last sound are found in blocks of this length
FLOOR_DB = -30.0  # relative to the mean energy; lower energies depend on the encoder
BROKEN_SHARE = 0.01  # largest allowed fraction of broken packets; some complete files end with a broken packet


@dataclass(frozen=True)
class RecordingMeasure:
    """Duration and fingerprint of a recording."""

    seconds: float  # duration of the decoded sound
    print: NDArray[np.float32]  # (PRINT_SEGMENTS, PRINT_ROWS), see `compute_fingerprint`


def measure_recording(content: bytes) -> RecordingMeasure:
    """Return the duration and the fingerprint of a recording.

    Parameters
    ----------
    content : bytes
        A sound file in any format that `clavilux.audio.decode` reads. If it has several audio tracks, the default track
        is measured.

    Raises
    ------
    Unusable
        If the file has no audio, does not decode, is silent, or is shorter than `MIN_S`.
    """
    stream = AudioStream(content, "the recording", sample_rate=PRINT_RATE)
    try:
        waveform = np.concatenate(list(stream))
    except AudioError as error:
        raise Unusable(f"does not decode: {error}") from error
    if stream.n_damaged_packets > max(1, BROKEN_SHARE * stream.n_packets):
        raise Unusable(f"does not decode: {stream.n_damaged_packets} of {stream.n_packets} packets are broken")
    seconds = len(waveform) / PRINT_RATE
    if seconds < MIN_S:
        raise Unusable(f"too short: {seconds:.1f} s, at least {MIN_S:.0f} are needed")
    return RecordingMeasure(round(seconds, 2), compute_fingerprint(waveform))


def compute_fingerprint(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an acoustic fingerprint (PRINT_SEGMENTS, PRINT_ROWS) float32 of a recording.

    The numbers of a segment are its mean energies in dB in 12 pitch classes, then in 6 octaves, with a floor of
    `FLOOR_DB`. Fingerprints are compared by their correlation. The mean over all segments is subtracted from each of
    the 18 numbers, because otherwise pieces with similar key and timbre would correlate. Then the mean of each segment
    is subtracted, because otherwise recordings with similar fades would correlate. Lossy coding, gain, and silence at
    the ends hardly change the fingerprint.

    Parameters
    ----------
    waveform : (n,) float32
        Mono sound at `PRINT_RATE`.

    Raises
    ------
    Unusable
        If the whole recording is silent.
    """
    waveform = _trim_silence(waveform)
    segments = _segment_means(_band_energies(waveform))
    decibels: NDArray[np.float64] = 10 * np.log10(segments + segments.mean() * 10 ** (FLOOR_DB / 10))
    decibels -= decibels.mean(axis=0)
    decibels -= decibels.mean(axis=1, keepdims=True)
    return decibels.astype(np.float32)


def _band_energies(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the energy of each frame in the pitch classes and octaves: (frames, PRINT_ROWS)."""
    bands = _bands()
    window = np.hanning(PRINT_FFT).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, PRINT_FFT)[::PRINT_HOP]
    energies = np.empty((len(frames), PRINT_ROWS), dtype=np.float64)
    for start in range(0, len(frames), 256):  # the spectra of an hour at once would need a gigabyte
        power = np.abs(np.fft.rfft(frames[start : start + 256] * window, axis=1)) ** 2
        energies[start : start + 256] = power @ bands
    return energies


def _segment_means(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean energies of `PRINT_SEGMENTS` segments of equal length: (PRINT_SEGMENTS, PRINT_ROWS).

    Segments may begin within a frame. If they began at whole frames, the segments of two copies that start a few
    milliseconds apart could differ by a frame.
    """
    running = np.vstack([np.zeros(PRINT_ROWS), np.cumsum(energies, axis=0)])
    borders = np.linspace(0, len(energies), PRINT_SEGMENTS + 1)
    whole = np.minimum(borders.astype(int), len(energies) - 1)
    at_border = running[whole] + (borders - whole)[:, None] * energies[whole]
    return np.asarray(np.diff(at_border, axis=0) / np.diff(borders)[:, None])


def _trim_silence(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a waveform (at least one frame) without silence at its ends, so that copies start at the same note."""
    blocks = waveform[: len(waveform) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    energy = np.square(blocks, dtype=np.float64).mean(axis=1)
    if len(energy) == 0 or energy.max() <= 1e-10:  # -100 dB of full scale
        raise Unusable("silent throughout")
    sounding = np.flatnonzero(energy > energy.max() * 10 ** (SILENCE_DB / 10))
    start = sounding[0] * BLOCK_SAMPLES
    stop = max((sounding[-1] + 1) * BLOCK_SAMPLES, start + PRINT_FFT)
    return np.pad(waveform[start:stop], (0, max(0, stop - len(waveform))))


def _bands() -> NDArray[np.float32]:
    """Return a matrix (bins, PRINT_ROWS) with two ones per FFT bin, in the columns of its pitch class and octave."""
    frequencies = np.fft.rfftfreq(PRINT_FFT, 1 / PRINT_RATE)
    bins = np.flatnonzero(frequencies >= PRINT_LOWEST_HZ)
    pitch_class = np.round(12 * np.log2(frequencies[bins] / 440.0)).astype(int) % 12
    octave = np.log2(frequencies[bins] / PRINT_LOWEST_HZ).astype(int)
    bands = np.zeros((len(frequencies), PRINT_ROWS), dtype=np.float32)
    bands[bins, pitch_class] = 1
    bands[bins, 12 + np.minimum(octave, PRINT_OCTAVES - 1)] = 1
    return bands
