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
    assert report["measured"] == {"duration_s": 30.0, "windows": 6, "audible_windows": 4}
    assert report["descriptors"] == {"tempo": 120.0, "loudness": -14.0}
    palette = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in report["controls"]["palette"]])
    np.testing.assert_allclose(palette / 255, picture.controls.palette, atol=0.002)
    assert report["z_image_norm"] == pytest.approx(np.linalg.norm(picture.z_image), abs=1e-4)


def test_descriptors_that_are_not_used_are_marked(picture: Picture) -> None:
    lines = explain_report(report_picture(picture, Path("a.png"), ("tempo",))).splitlines()
    assert lines[0] == "  measured  0:30, 4 of 6 windows audible"
    assert lines[1].strip() == "tempo: 120 BPM"
    assert lines[2].strip() == "loudness: -14 LUFS (not used for the picture)"


def test_the_angle_is_printed_only_for_marks_that_have_one(picture: Picture) -> None:
    for kind, is_printed in (("stripes", True), ("blobs", False)):
        controls = dataclasses.replace(picture.controls, kind=kind, angle=0.25)
        words = explain_report(report_picture(dataclasses.replace(picture, controls=controls), Path("a.png"), ()))
        assert (f"{kind}, " in words) and ("at 90 degrees" in words) is is_printed


def test_missing_descriptors_and_silence_are_stated(fake_bundle: Path, make_song: MakeSong) -> None:
    clip = Clavilux(fake_bundle).paint(make_song(descriptors={}), size=96)
    assert "the mean descriptors of the training songs" in explain_report(
        report_picture(clip, Path("a.png"), ("tempo",))
    )
    silent = Clavilux(fake_bundle).paint(make_song(audible=[False] * 6), size=96)
    assert "silent throughout" in explain_report(report_picture(silent, Path("a.png"), ()))


def test_a_variation_is_named(fake_bundle: Path, make_song: MakeSong) -> None:
    picture = Clavilux(fake_bundle).paint(make_song(), size=96, variation=3, spread=0.5)
    assert "Variation 3: the latent was moved by 0.5 steps in a random direction." in explain_report(
        report_picture(picture, Path("a.png"), ())
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("key", 6.0, "F sharp"),
        ("key", 0.0, "C"),
        ("arousal", -0.16, "average (-0.2)"),
        ("arousal", -1.047, "low (-1.0)"),
        ("valence", 1.72, "very high (+1.7)"),
        ("tempo", 97.26, "97.26 BPM"),
    ],
)
def test_descriptors_are_printed_in_words(picture: Picture, name: str, value: float, words: str) -> None:
    report = report_picture(picture, Path("a.png"), (name,)) | {"descriptors": {name: value}}
    assert f"            {name}: {words}\n" in explain_report(report)
