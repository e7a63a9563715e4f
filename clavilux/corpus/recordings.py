"""Decode a recording once, and compute its duration and an acoustic fingerprint, which the build needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clavilux.audio.decode import AudioStream
from clavilux.corpus.pictures import Unusable
from clavilux.errors import AudioError

MIN_S = 20.0  # shorter pieces are jingles and effects
PRINT_RATE = 8_000  # Hz; the frequencies that MP3 and Vorbis remove are above its Nyquist frequency
PRINT_FFT = 4_096  # 0.5 s: resolves two semitones at 65 Hz
PRINT_HOP = 2_048
PRINT_SEGMENTS = 48  # equal parts of the recording between its first and last sound
PRINT_OCTAVES = 6  # from 62.5 Hz to 4 kHz
PRINT_ROWS = 12 + PRINT_OCTAVES
SILENCE_DB = -50.0  # relative to the loudest block of `BLOCK_SAMPLES`
BLOCK_SAMPLES = 160  # 20 ms: resolution of the first and the last sound
FLOOR_DB = -30.0  # relative to the mean; below it, encoders differ
BROKEN_SHARE = 0.01  # of the packets; some complete files end with a broken packet


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
        A sound file in any format that `clavilux.audio.decode` reads. If it has several audio tracks, the default one
        is measured.

    Raises
    ------
    Unusable
        If the file has no audio, does not decode, is silent, or is shorter than `MIN_S`.
    """
    waveform = _decode(content)
    seconds = len(waveform) / PRINT_RATE
    if seconds < MIN_S:
        raise Unusable(f"too short: {seconds:.1f} s, at least {MIN_S:.0f} are needed")
    return RecordingMeasure(round(seconds, 2), compute_fingerprint(waveform))


def compute_fingerprint(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a fingerprint that is robust to lossy coding, gain, and silence added at the ends.

    Parameters
    ----------
    waveform : (n,) float32
        Mono at `PRINT_RATE`.

    Returns
    -------
    (PRINT_SEGMENTS, PRINT_ROWS) float32
        Mean energy of each segment in 12 pitch classes and 6 octaves, in dB, with a floor of `FLOOR_DB`. The mean of
        each column and the mean of each row are subtracted: the first describes key and timbre, which are similar in
        pieces of one album, and the second describes the envelope, which is similar in all fades. The dot product of
        two fingerprints of unit length is therefore their correlation.

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
    n_frames = 1 + (len(waveform) - PRINT_FFT) // PRINT_HOP
    pitch, octave = _bands()
    window = np.hanning(PRINT_FFT).astype(np.float32)
    energies = np.empty((n_frames, PRINT_ROWS), dtype=np.float64)
    for start in range(0, n_frames, 256):  # in parts: an hour of frames at once would need a gigabyte
        stop = min(n_frames, start + 256)
        frames = np.lib.stride_tricks.sliding_window_view(
            waveform[start * PRINT_HOP : (stop - 1) * PRINT_HOP + PRINT_FFT], PRINT_FFT
        )[::PRINT_HOP]
        power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
        energies[start:stop, :12] = power @ pitch
        energies[start:stop, 12:] = power @ octave
    return energies


def _segment_means(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean energies of `PRINT_SEGMENTS` segments of equal length: (PRINT_SEGMENTS, PRINT_ROWS).

    Borders are fractions of frames, as with whole frames copies that start a few milliseconds apart could differ by a
    frame.
    """
    running = np.vstack([np.zeros(PRINT_ROWS), np.cumsum(energies, axis=0)])
    borders = np.linspace(0, len(energies), PRINT_SEGMENTS + 1)
    whole = np.minimum(borders.astype(int), len(energies) - 1)
    at_border = running[whole] + (borders - whole)[:, None] * energies[whole]
    return np.asarray(np.diff(at_border, axis=0) / np.diff(borders)[:, None])


def _trim_silence(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove silence at both ends, so that copies start at the same note; the result has at least one frame."""
    blocks = waveform[: len(waveform) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    energy = np.square(blocks, dtype=np.float64).mean(axis=1)
    if len(energy) == 0 or energy.max() <= 1e-10:  # -100 dB of full scale
        raise Unusable("silent throughout")
    sounding = np.flatnonzero(energy > energy.max() * 10 ** (SILENCE_DB / 10))
    start = sounding[0] * BLOCK_SAMPLES
    stop = max((sounding[-1] + 1) * BLOCK_SAMPLES, start + PRINT_FFT)
    return np.pad(waveform[start:stop], (0, max(0, stop - len(waveform))))


def _bands() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return pitch class and octave of each FFT bin as matrices of 0 and 1: (bins, 12), (bins, PRINT_OCTAVES)."""
    frequencies = np.fft.rfftfreq(PRINT_FFT, 1 / PRINT_RATE)
    usable = frequencies >= 62.5
    with np.errstate(divide="ignore"):
        semitone = np.round(12 * np.log2(frequencies / 440.0))
        octave = np.floor(np.log2(frequencies / 62.5))
    pitch = np.zeros((len(frequencies), 12), dtype=np.float32)
    octaves = np.zeros((len(frequencies), PRINT_OCTAVES), dtype=np.float32)
    bins = np.flatnonzero(usable)
    pitch[bins, semitone[bins].astype(int) % 12] = 1
    octaves[bins, np.minimum(octave[bins].astype(int), PRINT_OCTAVES - 1)] = 1
    return pitch, octaves


def _decode(content: bytes) -> NDArray[np.float32]:
    stream = AudioStream(content, "the recording", sample_rate=PRINT_RATE)
    try:
        pieces = list(stream)
    except AudioError as error:
        raise Unusable(f"does not decode: {error}") from error
    if stream.n_damaged_packets > max(1, BROKEN_SHARE * stream.n_packets):
        raise Unusable(f"does not decode: {stream.n_damaged_packets} of {stream.n_packets} packets are broken")
    return np.concatenate(pieces)
