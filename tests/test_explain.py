from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeSong

from clavilux.explain import explain_report, report_picture
from clavilux.picture import Picture
from clavilux.pipeline import Clavilux


@pytest.fixture
def picture(fake_bundle: Path, make_song: MakeSong) -> Picture:
    return Clavilux(fake_bundle).paint(make_song(audible=[True] * 4 + [False] * 2), size=96)


def test_a_report_is_plain_json_and_complete(picture: Picture) -> None:
    report = report_picture(picture, Path("a.png"), ("tempo", "loudness"))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["heard"] == {"duration_s": 30.0, "windows": 6, "audible_windows": 4}
    assert report["descriptors"] == {"tempo": 120.0, "loudness": -14.0}
    palette = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in report["controls"]["palette"]])
    np.testing.assert_allclose(palette / 255, picture.controls.palette, atol=0.002)
    assert report["z_image_norm"] == pytest.approx(np.linalg.norm(picture.z_image), abs=1e-4)


def test_the_words_say_which_descriptors_the_mapping_takes(picture: Picture) -> None:
    lines = explain_report(report_picture(picture, Path("a.png"), ("tempo",))).splitlines()
    assert lines[0] == "  heard    0:30, 4 of 6 windows audible"
    assert lines[1].split() == ["tempo", "120", "BPM"]
    assert lines[2].split() == ["loudness", "-14", "LUFS", "(the", "mapping", "does", "not", "take", "it)"]


def test_the_angle_is_told_where_it_can_be_seen(picture: Picture) -> None:
    for kind, told in (("stripes", True), ("blobs", False)):
        controls = dataclasses.replace(picture.controls, kind=kind, angle=0.25)
        words = explain_report(report_picture(dataclasses.replace(picture, controls=controls), Path("a.png"), ()))
        assert (f"{kind}, " in words) and ("at 90 degrees" in words) is told


def test_what_was_not_heard_is_not_claimed(fake_bundle: Path, make_song: MakeSong) -> None:
    clip = Clavilux(fake_bundle).paint(make_song(descriptors={}), size=96)
    assert "the mean descriptors of the training songs" in explain_report(
        report_picture(clip, Path("a.png"), ("tempo",))
    )
    silent = Clavilux(fake_bundle).paint(make_song(audible=[False] * 6), size=96)
    assert "silent throughout" in explain_report(report_picture(silent, Path("a.png"), ()))


def test_a_sibling_is_called_one(fake_bundle: Path, make_song: MakeSong) -> None:
    sibling = Clavilux(fake_bundle).paint(make_song(), size=96, sibling=3, variation=0.5)
    assert "Sibling 3: its latent was moved by chance, 0.5 steps." in explain_report(
        report_picture(sibling, Path("a.png"), ())
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("key", 6.0, "F sharp"),
        ("key", 0.0, "C"),
        ("arousal", -1.047, "-1.05 standard deviations from the mean of 393 labelled songs"),
        ("tempo", 97.26, "97.26 BPM"),
    ],
)
def test_descriptors_are_said_in_words(picture: Picture, name: str, value: float, words: str) -> None:
    report = report_picture(picture, Path("a.png"), (name,)) | {"descriptors": {name: value}}
    assert f"           {name:20} {words}\n" in explain_report(report)
