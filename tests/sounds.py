"""Synthesised sounds whose answers are known, and writers that turn them into files. Mono (n,) float32 at 22 050 Hz."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from clavilux.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]

C_MAJOR = ((60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67))  # I IV V I, MIDI pitches
A_MINOR = ((57, 60, 64), (62, 65, 69), (64, 68, 71), (57, 60, 64))  # i iv V i

# How each suffix is written: codec, sample format, rate, bits a second.
CODECS = {
    ".wav": ("pcm_s16le", "s16", 44_100, 0),
    ".flac": ("flac", "s16", 44_100, 0),
    ".mp3": ("libmp3lame", "fltp", 44_100, 192_000),
    ".ogg": ("vorbis", "fltp", 44_100, 0),
    ".opus": ("libopus", "flt", 48_000, 160_000),
    ".m4a": ("aac", "fltp", 44_100, 192_000),
    ".aiff": ("pcm_s16be", "s16", 44_100, 0),
    ".mkv": ("aac", "fltp", 44_100, 192_000),
    ".webm": ("libopus", "flt", 48_000, 160_000),
    ".wma": ("wmav2", "fltp", 44_100, 192_000),
}


def sine(hz: float, seconds: float = 3.0, *, peak: float = 0.5, rate: int = SAMPLE_RATE) -> Float32:
    t = np.arange(round(seconds * rate)) / rate
    return np.asarray(peak * np.sin(2 * np.pi * hz * t), np.float32)


def sine_a4(seconds: float = 3.0) -> Float32:
    return sine(440.0, seconds)


def silence(seconds: float = 3.0) -> Float32:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def noise(seconds: float = 3.0, *, peak: float = 0.5, seed: int = 0) -> Float32:
    """White noise, uniform between -peak and peak."""
    return np.asarray(np.random.default_rng(seed).uniform(-peak, peak, round(seconds * SAMPLE_RATE)), np.float32)


def clicks(bpm: float, seconds: float = 20.0, *, seed: int = 0) -> Float32:
    """A short burst of noise on every beat, over noise 60 dB below it."""
    rng = np.random.default_rng(seed)
    sound = 5e-4 * rng.standard_normal(round(seconds * SAMPLE_RATE))
    burst = 0.5 * rng.standard_normal(2_000) * np.exp(-np.arange(2_000) / 300)
    for beat in range(int(seconds * bpm / 60)):
        first = round(beat * 60 / bpm * SAMPLE_RATE)
        room = sound[first : first + burst.size]
        room += burst[: room.size]
    return np.asarray(sound, np.float32)


def chord(pitches: tuple[int, ...], seconds: float = 1.0, *, partials: int = 6) -> Float32:
    """Plucked tones with `partials` harmonics, each half as strong as the one before."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros(t.size)
    for pitch in pitches:
        hz = 440 * 2 ** ((pitch - 69) / 12)
        sound += sum(0.5**k * np.sin(2 * np.pi * k * hz * t) for k in range(1, partials + 1))
    attack = np.minimum(t / 0.01, 1) * np.exp(-1.5 * t)
    return np.asarray(0.25 * sound * attack, np.float32)


def cadence(mode: str, *, times: int = 3, transposed: int = 0) -> Float32:
    """C major (I IV V I) or A minor (i iv V i), a second a chord, played `times` times."""
    chords = {"major": C_MAJOR, "minor": A_MINOR}[mode]
    return np.tile(np.concatenate([chord(tuple(pitch + transposed for pitch in c)) for c in chords]), times)


def song(seconds: float = 12.0, *, seed: int = 0) -> Float32:
    """Something with chords, a pulse, noise and a pause: it has a bit of all that is measured."""
    n = round(seconds * SAMPLE_RATE)
    sound = np.resize(cadence("major", times=1), n) + 0.3 * clicks(120, seconds, seed=seed)
    sound[round(0.6 * n) : round(0.65 * n)] = 0
    return np.asarray(0.7 * sound, np.float32)


def upsample(sound: Float32, rate: int) -> Float32:
    """The same sound at a higher rate, by its Fourier series: exact for what lies below 11 kHz."""
    n = round(sound.size * rate / SAMPLE_RATE)
    spectrum = np.fft.rfft(sound.astype(np.float64))
    return np.asarray(np.fft.irfft(spectrum, n) * (n / sound.size), np.float32)


def write_sound(path: Path, sound: Float32, *, channels: int = 1, rate: int | None = None) -> Path:
    """Write a file whose suffix chooses the codec; every channel is the same.

    Parameters
    ----------
    path : Path
    sound : (n,) float32 at 22 050 Hz, or (channels, n) at `rate`
    channels : int
        Copies of a mono sound; FFmpeg's own encoder of Ogg Vorbis writes two in any case.
    rate : int, optional
        Of the file; that of the codec's entry in `CODECS` if left out, and the sound is brought to it.
    """
    codec, sample_format, usual_rate, bits = CODECS[path.suffix]
    if rate is None:
        rate = usual_rate
        sound = upsample(sound, rate)
    samples = np.tile(sound, (2 if codec == "vorbis" else channels, 1)) if sound.ndim == 1 else sound
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, format=sample_format, options={"strict": "-2"})
        if bits:
            stream.bit_rate = bits
        size = stream.codec_context.frame_size or 4_096
        resampler = av.AudioResampler(format=sample_format, layout=layout, rate=rate, frame_size=size)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = 0
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
    return path


def encode(stream: Any, samples: Float32, rate: int, layout: str = "mono") -> list[Any]:
    """Packets of (channels, n) samples, all of the stream."""
    form, size = stream.codec_context.format.name, stream.codec_context.frame_size or 4_096
    resampler = av.AudioResampler(format=form, layout=layout, rate=rate, frame_size=size)
    packed = np.ascontiguousarray(samples.T.reshape(1, -1), np.float32)  # PyAV cannot make 8 planes and more
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate = rate
    frame.time_base = Fraction(1, rate)
    frame.pts = 0
    pieces = [*resampler.resample(frame), *resampler.resample(None), None]
    return [packet for piece in pieces for packet in stream.encode(piece)]


def write_layout(path: Path, samples: Float32, codec: str, form: str, layout: str, rate: int) -> Path:
    """Write (channels, n) samples at a rate, in a named layout of channels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, format=form, options={"strict": "-2"})
        for packet in encode(stream, samples, rate, layout):
            container.mux(packet)
    return path


def write_container(path: Path, sound: Float32, form: str, codec: str, options: dict[str, str]) -> Path:
    """Write a mono sound into a named container, in a named codec, at 48 kHz (FLV and ASF: 44.1 kHz)."""
    rate = 44_100 if form in ("flv", "asf") else 48_000
    with av.open(str(path), "w", format=form, options=options) as container:
        kind = av.Codec(codec, "w").audio_formats[0].name
        layout = "stereo" if codec == "vorbis" else "mono"
        samples = np.tile(upsample(sound, rate), (2 if layout == "stereo" else 1, 1))
        stream = container.add_stream(codec, rate=rate, layout=layout, format=kind, options={"strict": "-2"})
        stream.bit_rate = 128_000
        for packet in encode(stream, samples, rate, layout):
            container.mux(packet)
    return path


def write_tracks(path: Path, tracks: list[Float32], languages: tuple[str, ...] = ()) -> Path:
    """Write mono sounds at 22 050 Hz as tracks of one file."""
    with av.open(str(path), "w") as container:
        codec, form = ("aac", "fltp") if path.suffix == ".mp4" else ("flac", "s16")
        streams = [container.add_stream(codec, rate=SAMPLE_RATE, layout="mono", format=form) for _ in tracks]
        for stream, language in zip(streams, languages, strict=False):
            stream.metadata["language"] = language
        for stream, track in zip(streams, tracks, strict=True):
            for packet in encode(stream, track[None], SAMPLE_RATE):
                container.mux(packet)
    return path


def write_float_wave(path: Path, samples: NDArray[np.floating], rate: int) -> Path:
    """Write (channels, n) samples of 32 bits as they are, infinite ones too; any number of channels, any rate."""
    channels = len(samples)
    data = np.ascontiguousarray(samples.T, "<f4").tobytes()
    head = np.array([16, 3 | channels << 16, rate, 4 * channels * rate, 4 * channels | 32 << 16], "<u4").tobytes()
    chunks = b"WAVEfmt " + head + b"data" + np.uint32(len(data)).tobytes() + data
    path.write_bytes(b"RIFF" + np.uint32(len(chunks)).tobytes() + chunks)
    return path
