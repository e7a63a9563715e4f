"""Degraded copies of a recording, as they occur in practice: lossy codecs, gain, filters, mono, silence, noise.

recording -> `read_stereo` -> sound (2, n) at 44.1 kHz -> `COPIES` or `random_copy` -> mono sound at 22 050 Hz

No files are written. A random generator in the same state gives the same copy.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream as EncodedStream
from numpy.typing import NDArray

from clavilux.audio import Float32
from clavilux.audio.decode import AudioStream
from clavilux.audio.open_audio import av_errors, open_container, open_file
from clavilux.errors import AudioError

Codec = Literal["flac", "mp3", "aac", "opus"]

COPY_RATE = 44_100  # sample rate in Hz of the sound before it is encoded

# Codec -> encoder, container and sample rate; Opus does not support 44.1 kHz. Vorbis is missing, because its only
# encoder in PyAV aborts the process for some sounds.
_ENCODERS: dict[str, tuple[str, str, int]] = {
    "flac": ("flac", "flac", COPY_RATE),
    "mp3": ("libmp3lame", "mp3", COPY_RATE),
    "aac": ("aac", "adts", COPY_RATE),
    "opus": ("libopus", "ogg", 48_000),
}
_QUICK = {"mp3": "8", "opus": "3"}  # compression levels that need half the time of the defaults
_LONGEST_S = 1e6  # no copy is longer

COPIES: dict[str, Callable[[Float32], Float32]] = {
    "FLAC": lambda sound: through(sound, "flac"),
    "MP3 64": lambda sound: through(sound, "mp3", 64),
    "MP3 128": lambda sound: through(sound, "mp3", 128),
    "Opus 64": lambda sound: through(sound, "opus", 64),
    "AAC 96": lambda sound: through(sound, "aac", 96),
    "gain +6 dB": lambda sound: through(sound * np.float32(10 ** (6 / 20)), "flac"),
    "gain -6 dB": lambda sound: through(sound * np.float32(10 ** (-6 / 20)), "flac"),
    "mono": lambda sound: through(_mono(sound), "flac"),
    "2 s of silence before": lambda sound: through(_pad(sound, 2.0, 0.0), "flac"),
}
"""Copies that measures compare: name -> function from stereo to mono sound. "FLAC" is lossless, like the original."""


def read_stereo(path: Path, *, start_s: float = 0.0, max_s: float) -> Float32:
    """Return at most `max_s` seconds of a sound file as (2, n) float32 at 44.1 kHz; mono is copied to both channels.

    The sound begins at the last frame of the codec, or in some formats the last key frame, before `start_s`.

    Raises
    ------
    AudioError
        If the file cannot be decoded, or has no samples after `start_s`.
    """
    parts: list[Float32] = []
    wanted = round(max_s * COPY_RATE)
    n = 0
    try:
        with open_file(path) as file, open_container(file, path) as container:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=COPY_RATE)
            if start_s > 0:
                container.seek(int(start_s * av.time_base))
            for frame in container.decode(audio=0):
                frame.pts = None
                for part in resampler.resample(frame):
                    parts.append(np.asarray(part.to_ndarray(), np.float32))
                    n += part.samples
                if n >= wanted:
                    break
    except av_errors() as error:
        if not parts:  # otherwise, the sound up to the damaged place is returned
            raise AudioError(f"{path}: cannot be decoded ({error})") from error
    if not parts:
        raise AudioError(f"{path}: has no sound after {start_s:.0f} s")
    return np.concatenate(parts, axis=1)[:, :wanted]


def encode(sound: Float32, codec: Codec, kbit_s: float = 0.0, *, quick: bool = False) -> bytes:
    """Return sound as the bytes of an encoded file.

    Parameters
    ----------
    sound : (2, n) float32
        Stereo sound at 44.1 kHz; it is clipped to [-1, 1].
    codec : str
        "flac", "mp3", "aac" or "opus".
    kbit_s : float
        Bit rate of a lossy codec in kbit/s; 0 uses the default of the encoder.
    quick : bool
        Encode MP3 and Opus in half the time, at a slightly lower quality.
    """
    encoder, container, rate = _ENCODERS[codec]
    options = {"compression_level": _QUICK[codec]} if quick and codec in _QUICK else {}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(encoder, rate=rate, options=options)
        assert isinstance(stream, EncodedStream)
        stream.layout = "stereo"
        if kbit_s:
            stream.bit_rate = round(kbit_s * 1_000)
        resampler = av.AudioResampler(format=stream.format.name, layout="stereo", rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.clip(-1, 1), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.time_base = COPY_RATE, Fraction(1, COPY_RATE)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def through(sound: Float32, codec: Codec, kbit_s: float = 0.0, *, quick: bool = False) -> Float32:
    """Encode and decode stereo sound, and return it as mono sound (m,) float32 at 22 050 Hz.

    The parameters are the same as in `encode`.
    """
    content = encode(sound, codec, kbit_s, quick=quick)
    return np.concatenate(list(AudioStream(content, f"a copy as {codec}", max_s=_LONGEST_S)))


def random_copy(sound: Float32, rng: np.random.Generator) -> Float32:
    """Return a randomly degraded copy of stereo sound (2, n) at 44.1 kHz, as mono sound (m,) float32 at 22 050 Hz.

    Each of these effects is applied with a probability of 0.3: gain, spectral tilt, low-pass filter, low sample rate,
    noise, silence at the ends, a mix to mono. Then the copy is encoded and decoded: with a probability of 0.9 as MP3,
    AAC or Opus at a random bit rate between 32 and 192 kbit/s, otherwise as FLAC.
    """
    for effect in (_random_gain, _random_tilt, _random_low_pass, _random_rate, _random_noise, _random_silence):
        if rng.random() < 0.3:
            sound = effect(sound, rng)
    if rng.random() < 0.3:
        sound = _mono(sound)
    codecs: tuple[Codec, ...] = ("mp3", "aac", "opus")
    codec = codecs[rng.choice(3, p=(0.35, 0.25, 0.4))]
    kbit_s = 8 * round(float(np.exp(rng.uniform(np.log(32), np.log(192)))) / 8)
    return through(sound, codec, kbit_s, quick=True) if rng.random() < 0.9 else through(sound, "flac")


def _mono(sound: Float32) -> Float32:
    return np.repeat(sound.mean(axis=0, keepdims=True), 2, axis=0)


def _pad(sound: Float32, before_s: float, after_s: float) -> Float32:
    return np.pad(sound, ((0, 0), (round(before_s * COPY_RATE), round(after_s * COPY_RATE))))


def _random_gain(sound: Float32, rng: np.random.Generator) -> Float32:
    return sound * np.float32(10 ** (rng.uniform(-6, 6) / 20))


def _random_silence(sound: Float32, rng: np.random.Generator) -> Float32:
    return _pad(sound, rng.uniform(0, 5), rng.uniform(0, 5))


def _random_noise(sound: Float32, rng: np.random.Generator) -> Float32:
    """Add white noise at a random level between 40 and 70 dB below the level of the sound."""
    level = float(np.sqrt(np.square(sound, dtype=np.float64).mean())) * 10 ** (rng.uniform(-70, -40) / 20)
    return sound + np.float32(level) * rng.standard_normal(sound.shape, np.float32)


def _random_tilt(sound: Float32, rng: np.random.Generator) -> Float32:
    """Tilt the spectrum around 1 kHz by a random slope between -1.5 and 1.5 dB per octave, like a tone control."""
    slope = rng.uniform(-1.5, 1.5)
    return _filtered(sound, lambda hz: 10 ** (slope * np.log2(np.clip(hz, 50, 12_800) / 1_000) / 20))


def _random_low_pass(sound: Float32, rng: np.random.Generator) -> Float32:
    """Remove all sound above a random cutoff frequency between 5 and 16 kHz; the transition is 0.1 octaves wide."""
    corner = float(np.exp(rng.uniform(np.log(5_000), np.log(16_000))))
    return _filtered(sound, lambda hz: np.clip(1 - np.log2(np.maximum(hz, 1) / corner) / 0.1, 0, 1))


def _random_rate(sound: Float32, rng: np.random.Generator) -> Float32:
    """Resample to a random sample rate between 11 025 and 32 000 Hz, and back to 44.1 kHz."""
    rate = int(rng.choice((11_025, 16_000, 22_050, 32_000)))
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", "stereo")
    frame.sample_rate, frame.time_base = COPY_RATE, Fraction(1, COPY_RATE)
    down, up = (av.AudioResampler(format="fltp", layout="stereo", rate=to) for to in (rate, COPY_RATE))
    low = [*down.resample(frame), *down.resample(None)]
    high = [part for each in low for part in up.resample(each)] + up.resample(None)
    return np.concatenate([part.to_ndarray() for part in high], axis=1)


def _filtered(sound: Float32, gain: Callable[[NDArray[np.floating]], NDArray[np.floating]]) -> Float32:
    """Return the sound with its spectrum multiplied by `gain`, a function of the frequency in Hz."""
    n = sound.shape[1]
    spectrum = np.fft.rfft(sound, axis=1)
    return np.asarray(np.fft.irfft(spectrum * gain(np.fft.rfftfreq(n, 1 / COPY_RATE)), n, axis=1), np.float32)
