"""Copies of a recording: codecs, gain, filters, noise and silence; and what the training makes of them."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sounds
import torch
from test_training import save_features

from clavilux.audio.descriptors import DESCRIPTORS, describe
from clavilux.audio.feature_files import write_features
from clavilux.audio.features import measure_features
from clavilux.audio.mfcc import FeatureSettings
from clavilux.constants import SAMPLE_RATE
from clavilux.errors import AudioError, TrainingError
from clavilux.measures import copies
from clavilux.measures.copies import COPIES, COPY_RATE, encode, random_copy, read_stereo, through
from clavilux.models.audio_vae import TrackEmbedding, window_statistics
from clavilux.training.datasets import TRAINING, AudioFeatureDataset
from clavilux.training.recipe import load_recipe
from clavilux.training.run import Run
from clavilux.training.songs import SongCodes, song_weights, wiener_gains
from clavilux.training.track_copies import TrackCopies, check_recordings, copy_tracks
from clavilux.training.train_track_embedding import TrackEmbeddingTask


def stereo(seconds: float) -> np.ndarray:
    """Return a song in stereo at the sample rate of copies."""
    mono = np.repeat(sounds.song(seconds), COPY_RATE // SAMPLE_RATE)
    return np.stack([mono, 0.5 * mono]).astype(np.float32)


@pytest.mark.parametrize("name", COPIES)
def test_copies_have_the_sound_and_the_length_of_the_song(name: str) -> None:
    sound = stereo(8.0)
    copy = COPIES[name](sound)
    expected = sound.mean(axis=0)[:: COPY_RATE // SAMPLE_RATE] * {"gain +6 dB": 2.0, "gain -6 dB": 0.5}.get(name, 1.0)
    if name == "2 s of silence before":
        assert np.abs(copy[: 2 * SAMPLE_RATE - 100]).max() < 1e-3
        copy = copy[2 * SAMPLE_RATE :]
    assert copy.dtype == np.float32 and copy.ndim == 1
    assert copy.size / SAMPLE_RATE == pytest.approx(8.0, abs=0.1)
    level, wanted = (np.sqrt(np.mean(np.square(part, dtype=np.float64))) for part in (copy, expected))
    assert level == pytest.approx(wanted, rel=0.08)


@pytest.mark.parametrize(("codec", "kbit_s"), [("mp3", 64), ("aac", 96), ("opus", 64)])
def test_a_bit_rate_is_kept(codec: copies.Codec, kbit_s: float) -> None:
    sound = 0.2 * np.random.default_rng(0).standard_normal((2, 10 * COPY_RATE), np.float32)
    assert len(encode(sound, codec, kbit_s)) * 8 / 10 / 1_000 == pytest.approx(kbit_s, rel=0.25)


def test_the_same_generator_gives_the_same_copy() -> None:
    sound = stereo(5.0)
    one, again, other = (random_copy(sound, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert one.size != other.size or not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("effect", "low_hz", "high_hz"),
    [(copies._random_low_pass, 100, 17_000), (copies._random_rate, 100, 17_000), (copies._random_tilt, 100, 10_000)],
)
def test_filters_change_the_balance_of_low_and_high(effect, low_hz: float, high_hz: float) -> None:
    time = np.arange(2 * COPY_RATE) / COPY_RATE
    low, high = (0.1 * np.sin(2 * np.pi * hz * time).astype(np.float32) for hz in (low_hz, high_hz))
    sound = effect(np.stack([low + high] * 2), np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(sound[0])) / (0.1 * COPY_RATE)
    assert spectrum[2 * low_hz] == pytest.approx(1, abs=0.5)
    ratio = spectrum[2 * high_hz] / spectrum[2 * low_hz]
    assert ratio < 0.1 if effect is not copies._random_tilt else not 0.9 < ratio < 1.1


def test_noise_is_forty_to_seventy_db_below_the_sound() -> None:
    sound = stereo(3.0)
    for seed in range(5):
        noise = copies._random_noise(sound, np.random.default_rng(seed)) - sound
        assert -71 < 10 * np.log10(np.mean(noise**2) / np.mean(sound**2)) < -39


def test_an_excerpt_is_read_from_the_middle(tmp_path: Path) -> None:
    sounds.write_sound(tmp_path / "a.flac", sounds.clicks(60, 12.0))
    assert read_stereo(tmp_path / "a.flac", max_s=60).shape[1] == pytest.approx(12 * COPY_RATE, abs=2_000)
    assert read_stereo(tmp_path / "a.flac", start_s=6, max_s=3).shape == (2, 3 * COPY_RATE)
    (tmp_path / "b.flac").write_text("no sound")
    with pytest.raises(AudioError, match=r"b\.flac: has no sound"):
        read_stereo(tmp_path / "b.flac", max_s=60)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["mp3", "opus", "aac"])
def test_the_features_of_the_default_recipe_hardly_feel_a_codec(codec: copies.Codec) -> None:
    """A codec moves the statistics of a window less than a tenth as far as another sound does."""
    settings = load_recipe("default").features
    sound = stereo(10.0)
    kept, compressed = (through(sound, c, k) for c, k in (("flac", 0), (codec, 64)))  # type: ignore[arg-type]
    other = sounds.noise(10.0)
    points = [
        window_statistics(torch.from_numpy(measure_features([each], settings).mfcc)).mean(dim=0).numpy()
        for each in (kept, compressed, other)
    ]
    assert np.linalg.norm(points[1] - points[0]) < 0.1 * np.linalg.norm(points[2] - points[0])


# Training ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose music is four recordings that it has measured."""
    (tmp_path / "music" / "album").mkdir(parents=True)
    for index, sound in enumerate((sounds.song(12.0), sounds.clicks(90, 12.0), sounds.noise(12.0), sounds.song(30.0))):
        sounds.write_sound(tmp_path / "music" / "album" / f"{index}.flac", sound)
    (tmp_path / "music" / "corpus.csv").write_text(
        "file,split,role,source,tier,licence\n"
        + "".join(f"album/{index}.flac,training,music,mine,free,mine\n" for index in range(4))
    )
    recipe = load_recipe("default")
    write_features(tmp_path / "music", tmp_path / "run" / "features", settings=recipe.features, jobs=1)
    return Run(
        recipe=recipe,
        folder=tmp_path / "run",
        art=tmp_path / "art",
        features=tmp_path / "run" / "features",
        resume=False,
        start=None,
        classifier_from=None,
        jobs=1,
        log=lambda line: None,
        music=tmp_path / "music",
    )


@pytest.mark.slow
def test_copies_are_made_once_and_the_same_in_every_run(run: Run, tmp_path: Path) -> None:
    dataset = AudioFeatureDataset(run.features, TRAINING)
    made = copy_tracks(run, dataset, TRAINING)
    n_copies = run.recipe.track_embedding.copies
    assert made.names == [f"album/{index}.npy" for index in range(4)]
    assert made.descriptors.shape == (4, 1 + n_copies, len(DESCRIPTORS))
    assert set(zip(made.track.tolist(), made.copy.tolist(), strict=True)) == {
        (track, copy) for track in range(4) for copy in range(1 + n_copies)
    }
    assert all(len(rows) >= n_copies for rows in made.of_tracks())
    # Copy 0 is the excerpt itself: the clicks have their tempo, and their level is that of the recording.
    assert made.descriptors[1, 0, list(DESCRIPTORS).index("tempo")] == pytest.approx(90, abs=2)
    other_run = dataclasses.replace(run, folder=tmp_path / "other run")
    again = copy_tracks(other_run, dataset, TRAINING)
    np.testing.assert_array_equal(again.statistics, made.statistics)
    # Without recordings, a run can use copies that were made before, and cannot make them.
    without = dataclasses.replace(run, music=None)
    np.testing.assert_array_equal(copy_tracks(without, dataset, TRAINING).statistics, made.statistics)
    check_recordings(without)
    third = dataclasses.replace(without, folder=tmp_path / "third run")
    for check in (partial(copy_tracks, third, dataset, TRAINING), partial(check_recordings, third)):
        with pytest.raises(TrainingError, match="there are only feature files; give --audio the folder of music"):
            check()
    (run.music / "album" / "2.flac").unlink()  # type: ignore[operator]
    with pytest.raises(TrainingError, match=r"2\.flac: is missing"):
        copy_tracks(dataclasses.replace(run, folder=tmp_path / "fourth run"), dataset, TRAINING)


def made_copies(n: int, rng: np.random.Generator) -> TrackCopies:
    """Return two windows of an excerpt and of one copy of each of n tracks, which are 1 apart in every statistic."""
    own = np.repeat(rng.standard_normal((n, 100)), 4, axis=0)
    copy = np.tile([0, 0, 1, 1], n)
    return TrackCopies(
        [str(index) for index in range(n)],
        np.repeat(np.arange(n), 4),
        copy,
        (own + copy[:, None]).astype(np.float32),
        rng.standard_normal((n, 2, len(DESCRIPTORS))),
    )


def test_a_share_of_the_second_windows_is_of_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "features").mkdir()
    for index in range(40):
        save_features(tmp_path / "features" / f"{index}.npy", rng.standard_normal((5, 20, 216)))
    training = AudioFeatureDataset(tmp_path / "features")
    validation = AudioFeatureDataset(tmp_path / "features", "validation")
    copies_of = made_copies(len(training.entries), rng)
    checked = made_copies(len(validation.entries), rng)
    for share, low, high in ((0.0, 0.0, 0.0), (0.5, 0.2, 0.8), (1.0, 1.0, 1.0)):
        recipe = dataclasses.replace(load_recipe("default").track_embedding, jitter=0.0, copy_share=share)
        task = TrackEmbeddingTask(
            TrackEmbedding(8),
            training,
            validation,
            recipe,
            level_jitter_db=0.0,
            copies=copies_of,
            validation_copies=checked,
        )
        batch = task.batch(torch.arange(task.n_items), torch.Generator().manual_seed(0))["standard"]
        first, second = batch.chunk(2)
        from_copies = [
            min(float((task.network.standardise(copies_of.of_tracks()[track]) - row).abs().max(dim=1).values.min()), 1)
            < 1e-6
            for track, row in enumerate(second)
        ]
        assert low <= np.mean(from_copies) <= high
        assert all(
            float((task.network.standardise(task.training_tracks[track]) - row).abs().max(dim=1).values.min()) < 1e-6
            for track, row in enumerate(first)
        )
        with torch.no_grad():
            figures = task.validate()
        assert 0 <= figures["copy_top1"] <= 1 and figures["copy_distance"] > 0


def test_means_are_those_of_the_windows_of_a_copy() -> None:
    made = made_copies(3, np.random.default_rng(0))
    means = made.means(lambda rows: rows[:, :5])
    assert means.shape == (3, 2, 5)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0, atol=1e-6)


def test_wiener_gains_are_the_share_of_variance_that_is_not_within_songs() -> None:
    rng = np.random.default_rng(0)
    n, noise = 4_000, np.array([0.0, 0.5, 1.0, 3.0])
    between = rng.standard_normal((n, 4))
    halves = between[:, None] + noise * rng.standard_normal((n, 2, 4))
    songs = SongCodes([], between, halves, {})
    np.testing.assert_allclose(wiener_gains(songs), [1.0, 0.75, 0.05, 0.05], atol=0.05)
    copied = between[:, None] + 0.5 * rng.standard_normal((n, 3, 4))
    with_copies = dataclasses.replace(songs, copies=copied)
    np.testing.assert_allclose(wiener_gains(with_copies), [0.75, 0.5, 0.05, 0.05], atol=0.05)


def test_steadiness_0_leaves_all_numbers_of_a_song_code_equal() -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((50, 66))
    songs = SongCodes([], codes, codes[:, None] + 0.5 * rng.standard_normal((50, 2, 66)), {}, track_dims=32)
    recipe = load_recipe("default").mapping
    steady, plain = (song_weights(songs, dataclasses.replace(recipe, steadiness=power)) for power in (1.0, 0.0))
    np.testing.assert_array_equal(plain, [1.0] * 32 + [recipe.detail_weight] * 32 + [recipe.descriptor_weight] * 2)
    assert (steady[:32] < 0.95).all() and (steady[:32] > 0.4).all()


def test_descriptors_of_rhythm_hold_under_a_codec() -> None:
    sound = np.stack([np.repeat(sounds.clicks(96, 15.0), 2)] * 2)
    kept, compressed = (
        describe(measure_features([through(sound, c, k)], FeatureSettings()))  # type: ignore[arg-type]
        for c, k in (("flac", 0), ("mp3", 64))
    )
    for name in ("tempo", "pace", "onset_rate"):
        assert compressed[name] == pytest.approx(kept[name], rel=0.03), name
