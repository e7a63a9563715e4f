"""The instruments of the synthesizer.

An instrument is a function ``(frequency_hz, duration_s, velocity, rate, rng)`` that returns mono samples (n,) float64.
The arguments are the fundamental frequency, the time for which the key is held, the velocity in (0, 1], the sample rate
in Hz, and the random generator of the noise. The sound may be longer than `duration_s`. All drums ignore the duration,
and all but `metal` ignore the frequency.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Tone = NDArray[np.float64]
Instrument = Callable[[float, float, float, int, np.random.Generator], Tone]


def piano(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a piano tone: inharmonic partials of two slightly detuned strings, plus a hammer."""
    time = sample_times(duration_s + 0.4, rate)
    tone = np.zeros_like(time)
    stiffness = 3e-4 * (frequency_hz / 262) ** 0.8
    for n in range(1, 21):
        partial_hz = n * frequency_hz * np.sqrt(1 + stiffness * n**2)
        if partial_hz > 0.45 * rate:
            break
        level = (0.15 + abs(np.sin(np.pi * n / 7.3))) / n * np.exp(-n * (0.55 - 0.45 * velocity))
        decay_s = 3.2 * np.sqrt(220 / frequency_hz) / (1 + 0.3 * n)
        strings = sum(np.sin(2 * np.pi * partial_hz * detune * time + rng.uniform(0, 0.3)) for detune in (1, 1.0004))
        tone += level * np.exp(-time / decay_s) * strings
    hammer = lowpass(rng.standard_normal(len(time)) * np.exp(-time / 0.008), 1_500, rate)
    return (0.35 * tone + 0.25 * velocity * hammer) * _gate(time, duration_s, attack_s=0.002, release_s=0.09)


def pluck(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a plucked string (Karplus & Strong 1983, with a fractional delay)."""
    time = sample_times(duration_s + 0.25, rate)
    damping = (0.02 + 0.12 * (1 - velocity)) * min(1.0, 220 / frequency_hz)  # short strings pass the filter more often
    delay = rate / frequency_hz - 1
    whole = int(delay)
    taps = np.convolve([1 - (delay - whole), delay - whole], [damping, 1 - 2 * damping, damping])
    taps *= 0.9995 ** (220 / frequency_hz)
    string = np.zeros(whole + 3 + len(time))
    burst = rng.uniform(-1, 1, whole)
    burst -= burst.mean()
    string[3 : whole + 3] = lowpass(burst, (3 + 14 * velocity) * frequency_hz, rate)
    for first in range(whole + 3, len(string), whole):
        last = min(first + whole, len(string))
        string[first:last] = sum(tap * string[first - whole - k : last - whole - k] for k, tap in enumerate(taps))
    return 1.6 * string[3 : len(time) + 3] * _gate(time, duration_s, attack_s=0.001, release_s=0.06)


def strings(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a string section: five detuned sawtooths with vibrato and a low-pass filter."""
    time = sample_times(duration_s + 0.6, rate)
    vibrato = 0.003 / (2 * np.pi * 5.2) * np.sin(2 * np.pi * 5.2 * time)
    tone = sum(_saw(frequency_hz * 2 ** (cents / 1200), time + vibrato, rate, rng) for cents in (-9, -4, 0, 5, 8))
    tone = lowpass(np.asarray(tone), (3 + 5 * velocity) * frequency_hz, rate)
    return 0.16 * tone * _gate(time, duration_s, attack_s=0.08, release_s=0.15)


def pad(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a slow swell: detuned sawtooths, dark at both ends and brighter in the middle."""
    time = sample_times(duration_s + 4.0, rate)
    tone = np.asarray(sum(_saw(frequency_hz * 2 ** (c / 1200), time, rate, rng) for c in (-11, -6, -2, 3, 7, 12)))
    dark, bright = lowpass(tone, 1.5 * frequency_hz, rate), lowpass(tone, 5 * frequency_hz, rate)
    swell = np.sin(np.pi * np.clip(time / (duration_s + 1), 0, 1)) ** 2
    return 0.12 * (dark + velocity * swell * (bright - dark)) * _gate(time, duration_s, attack_s=2.0, release_s=1.2)


def supersaw(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a bright synthesizer tone: seven detuned sawtooths."""
    time = sample_times(duration_s + 0.15, rate)
    tone = sum(_saw(frequency_hz * 2 ** (c / 1200), time, rate, rng) for c in (-16, -10, -4, 0, 5, 11, 15))
    tone = lowpass(np.asarray(tone), 2_000 + 7_000 * velocity, rate)
    return 0.13 * tone * _gate(time, duration_s, attack_s=0.004, release_s=0.04)


def bass(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a synthesizer bass: a sawtooth that darkens, and a sine."""
    time = sample_times(duration_s + 0.1, rate)
    saw = _saw(frequency_hz, time, rate, rng)
    dark, bright = lowpass(saw, 2 * frequency_hz, rate), lowpass(saw, 14 * frequency_hz, rate)
    tone = dark + velocity * np.exp(-time / 0.09) * (bright - dark) + 0.7 * np.sin(2 * np.pi * frequency_hz * time)
    return 0.55 * tone * _gate(time, duration_s, attack_s=0.003, release_s=0.03)


def pulse(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of the pulse wave of an early game console, with a duty cycle of 25 %."""
    time = sample_times(duration_s + 0.04, rate)
    wave = _saw(frequency_hz, time, rate) - _saw(frequency_hz, time + 0.25 / frequency_hz, rate)
    return 0.4 * wave * (0.6 + 0.4 * np.exp(-time / 0.08)) * _gate(time, duration_s, attack_s=0.001, release_s=0.012)


def triangle(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of the triangle wave of an early game console, quantised to sixteen levels."""
    time = sample_times(duration_s + 0.04, rate)
    wave = 1 - 4 * np.abs((frequency_hz * time) % 1.0 - 0.5)
    return np.round(wave * 7.5) / 7.5 * _gate(time, duration_s, attack_s=0.001, release_s=0.012)


def bell(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a small bell: frequency modulation (Chowning 1973) with an inharmonic ratio."""
    time = sample_times(duration_s + 2.5, rate)
    depth = 2.5 * velocity * np.exp(-time / 0.5)
    tone = np.sin(2 * np.pi * frequency_hz * time + depth * np.sin(2 * np.pi * 3.51 * frequency_hz * time))
    return 0.6 * tone * np.exp(-time / 0.9) * _gate(time, duration_s + 2, attack_s=0.003, release_s=0.2)


def siren(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a whistle like audio feedback, which rises by a whole tone and has vibrato."""
    time = sample_times(duration_s + 0.2, rate)
    phase = frequency_hz * (time + 0.06 * time**2 / duration_s + 0.0008 * np.sin(2 * np.pi * 6.3 * time))
    tone = np.sin(2 * np.pi * phase + 1.5 * np.sin(4 * np.pi * phase))
    return 0.3 * tone * _gate(time, duration_s, attack_s=0.5 * duration_s, release_s=0.05)


def kick(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a bass drum: a sine that falls from 190 to 48 Hz, and a click."""
    time = sample_times(0.35, rate)
    phase = 48 * time + (190 - 48) * 0.028 * (1 - np.exp(-time / 0.028))
    click = highpass(rng.standard_normal(len(time)) * np.exp(-time / 0.002), 2_000, rate)
    return (np.sin(2 * np.pi * phase) * np.exp(-time / 0.11) + 0.1 * click) * _gate(time, 0.3, 0.001, 0.02)


def snare(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a snare drum: two modes of the drumhead, plus noise."""
    time = sample_times(0.3, rate)
    skin = (np.sin(2 * np.pi * 185 * time) + 0.6 * np.sin(2 * np.pi * 331 * time)) * np.exp(-time / 0.05)
    rattle = highpass(rng.standard_normal(len(time)), 1_400, rate) * np.exp(-time / (0.05 + 0.05 * velocity))
    return (0.5 * skin + 0.35 * rattle) * _gate(time, 0.25, 0.001, 0.02)


def clap(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of hand claps: three bursts of noise 11 ms apart, the last one longer."""
    time = sample_times(0.3, rate)
    bursts = ((0.0, 0.004), (0.011, 0.004), (0.022, 0.06))
    burst = sum((time >= start) * np.exp(-np.maximum(time - start, 0) / decay) for start, decay in bursts)
    noise = lowpass(highpass(rng.standard_normal(len(time)), 900, rate), 6_000, rate)
    return 0.45 * noise * burst * _gate(time, 0.28, 0.001, 0.02)


def hat(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a closed hi-hat: a short burst of high-pass filtered noise."""
    time = sample_times(0.14, rate)
    return 0.35 * highpass(rng.standard_normal(len(time)), 6_500, rate) * np.exp(-time / (0.015 + 0.025 * velocity))


def ride(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a ride cymbal: inharmonic modes and decaying noise."""
    time = sample_times(0.9, rate)
    modes = np.asarray(sum(np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in rng.uniform(2_800, 9_000, 14))) / 6
    wash = highpass(rng.standard_normal(len(time)), 5_000, rate)
    return 0.2 * (modes * np.exp(-time / 0.25) + wash * (np.exp(-time / 0.02) + 0.25 * np.exp(-time / 0.3)))


def metal(frequency_hz: float, duration_s: float, velocity: float, rate: int, rng: np.random.Generator) -> Tone:
    """Return the samples (n,) of a struck metal sheet: ten inharmonic partials, the lowest near `frequency_hz`."""
    time = sample_times(0.7, rate)
    ratios = np.array([1, 1.47, 2.09, 2.56, 3.39, 4.08, 5.12, 6.63, 8.21, 9.77]) * rng.uniform(0.98, 1.02, 10)
    modes = sum(np.sin(2 * np.pi * frequency_hz * r * time) * np.exp(-time * (3 + 1.5 * r)) for r in ratios)
    return 0.22 * np.asarray(modes) * _gate(time, 0.6, 0.001, 0.05)


def sample_times(duration_s: float, rate: int) -> Tone:
    """Return the times (n,) in seconds of the samples of a sound with this duration; the first is 0."""
    return np.arange(round(duration_s * rate)) / rate


def _gate(time: Tone, duration_s: float, attack_s: float, release_s: float) -> Tone:
    """Return an envelope: linear attack, hold, exponential release after `duration_s`, and 0 at the last sample."""
    rise = np.clip(time / min(attack_s, duration_s), 0, 1)
    fall = np.exp(-np.maximum(time - duration_s, 0) / release_s)
    return np.asarray(rise * fall * np.clip((time[-1] - time) / 0.005, 0, 1))


def _saw(frequency_hz: float, time: Tone, rate: int, rng: np.random.Generator | None = None) -> Tone:
    """Return a band-limited sawtooth from -1 to 1 (PolyBLEP, Valimaki & Huovilainen 2007).

    The initial phase is random, or 0 without `rng`.
    """
    phase = (frequency_hz * time + (rng.uniform() if rng else 0.0)) % 1.0
    step = frequency_hz / rate
    after, before = np.clip(phase / step, 0, 1), np.clip((phase - 1) / step, -1, 0)
    return np.asarray(2 * phase - 1 + (after - 1) ** 2 - (before + 1) ** 2)


def lowpass(signal: NDArray[np.floating], cutoff_hz: float, rate: int) -> Tone:
    """Return the signal (..., n) after a zero-phase low-pass filter of 12 dB per octave."""
    return _filtered(signal, rate, lambda hz: 1 / np.sqrt(1 + (hz / cutoff_hz) ** 4))


def highpass(signal: NDArray[np.floating], cutoff_hz: float, rate: int) -> Tone:
    """Return the signal (..., n) after a zero-phase high-pass filter of 12 dB per octave."""
    return _filtered(signal, rate, lambda hz: hz**2 / np.sqrt(hz**4 + cutoff_hz**4))


def _filtered(signal: NDArray[np.floating], rate: int, response: Callable[[Tone], Tone]) -> Tone:
    samples = signal.shape[-1]
    padded = 1 << (samples + 255).bit_length()  # no wrap-around, and a fast length
    spectrum = np.fft.rfft(signal, padded) * response(np.asarray(np.fft.rfftfreq(padded, 1 / rate), np.float64))
    return np.asarray(np.fft.irfft(spectrum, padded)[..., :samples])
