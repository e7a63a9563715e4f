from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeSong

from clavilux.bundle import open_bundle
from clavilux.explain import explain_report, report_picture
from clavilux.picture import Picture
from clavilux.pipeline import Clavilux
from clavilux.words import measured_links, share_below


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
    assert lines[1].strip() == "tempo: about 120 beats a minute"
    assert lines[2].strip() == "loudness: -14 LUFS (not used for the picture)"


def test_the_angle_is_printed_only_for_marks_that_have_one(picture: Picture) -> None:
    for kind, is_printed in (("stripes", True), ("blobs", False)):
        controls = dataclasses.replace(picture.controls, kind=kind, angle=0.25)
        words = explain_report(report_picture(dataclasses.replace(picture, controls=controls), Path("a.png"), ()))
        assert (f"{kind}, " in words) and ("at 90 degrees" in words) is is_printed


CARD = {
    "descriptors": ["pace", "register"],
    "normalisation": {
        "song_mean": [0.0] * 64 + [120.0, -14.0],
        "song_deviation": [1.0] * 64 + [20.0, 2.0],
    },
    "measures": {"mapping": {"valence": 0.72, "onset_rate": 0.41, "arousal": 0.5, "register": "x", "geometry": 0.9}},
}


def test_a_song_is_compared_with_the_training_songs(picture: Picture) -> None:
    song = dataclasses.replace(picture.song, descriptors={"pace": 140.0, "register": -17.92, "key": 3.0})
    report = report_picture(dataclasses.replace(picture, song=song), Path("a.png"), ("pace", "register"), CARD)
    assert report["shares_of_songs_below"] == {"pace": 0.841, "register": 0.025}  # one above, 1.96 below the mean
    text = explain_report(report)
    assert " pace: 140 BPM, faster than 84 % of the songs we know\n" in text
    assert ", lower than 98 % of the songs we know\n" in text
    assert " key: D sharp (not used for the picture)\n" in text


def test_correspondences_are_named_with_their_measured_strength(picture: Picture) -> None:
    lines = explain_report(report_picture(picture, Path("a.png"), (), CARD)).splitlines()
    (first,) = (k for k, line in enumerate(lines) if "sound and picture correspond" in line)
    assert [line.strip() for line in lines[first + 1 : first + 4]] == [
        "the happier it sounds, the warmer and lighter the colours: clear (0.72)",
        "the more excited it sounds, the more colourful and contrasted: moderate (0.50)",
        "the more notes a second, the smaller and more numerous the marks: weak (0.41)",
    ]
    assert "correspond" not in explain_report(report_picture(picture, Path("a.png"), ()))


def test_the_words_are_about_the_correspondences_that_are_measured() -> None:
    from clavilux.audio.descriptors import DESCRIPTORS
    from clavilux.measures.crossmodal import CORRESPONDENCES
    from clavilux.words import COMPARATIVES, LINKS

    assert set(LINKS) == {correspondence.name for correspondence in CORRESPONDENCES}
    assert set(COMPARATIVES) == {name for name, descriptor in DESCRIPTORS.items() if descriptor.plain}
    card = open_bundle("default").card
    assert {link.name for link in measured_links(card)} == set(LINKS)
    assert all(share_below(name, 0.0, card) is not None for name in card["descriptors"])


@pytest.mark.parametrize("measures", [None, [], {"mapping": None}, {"mapping": {"arousal": 9.0, "valence": True}}])
def test_strengths_of_a_strangers_bundle_are_not_trusted(measures: object) -> None:
    assert [link.name for link in measured_links({"measures": measures})] == []


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
        ("tempo", 97.26, "about 97 beats a minute"),
        ("onset_rate", 3.21987, "3.22 notes a second"),
        ("centroid", 1834.2, "1834 Hz"),
        ("flux", 0.123456, "0.123"),
    ],
)
def test_descriptors_are_printed_in_words(picture: Picture, name: str, value: float, words: str) -> None:
    report = report_picture(picture, Path("a.png"), (name,)) | {"descriptors": {name: value}}
    assert f"            {name.replace('_', ' ')}: {words}\n" in explain_report(report)
