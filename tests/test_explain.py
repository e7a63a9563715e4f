from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeSong

from clavilux.bundle import open_bundle
from clavilux.errors import PictureError
from clavilux.explain import explain_record, explain_report, report_picture
from clavilux.picture import Picture
from clavilux.pipeline import Clavilux
from clavilux.words import LABELS, measured_links, share_below


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
    lines = explain_report(report_picture(picture, Path("a.png"), ("tempo",)), 80).splitlines()
    assert lines[0] == "  measured  0:30; 4 of 6 parts of 5 s are audible"
    assert lines[1].strip() == "tempo: about 120 beats a minute"
    assert lines[2].strip() == "not used for the picture: loudness -14 LUFS"


@pytest.mark.parametrize(("figure", "named"), [("auto", "skull"), ("boat", "boat"), ("none", "none")])
def test_only_the_main_figure_is_named(picture: Picture, figure: str, named: str) -> None:
    controls = dataclasses.replace(picture.controls, kind="glass", second_kind="dots", shapes=6.0, figure=figure)
    report = report_picture(dataclasses.replace(picture, controls=controls), Path("a.png"), ())
    assert report["main_figure"] == named and f"; figure: {named}; surface: " in explain_report(report)


def test_the_angle_is_printed_only_for_marks_that_have_one(picture: Picture) -> None:
    for kind, is_printed in (("stripes", True), ("blobs", False)):
        controls = dataclasses.replace(picture.controls, kind=kind, angle=0.25)
        words = explain_report(report_picture(dataclasses.replace(picture, controls=controls), Path("a.png"), ()))
        assert f"marks: {kind}" in words and "; surface: print" in words
        assert ("at 90 degrees" in words) is is_printed


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
    lines = [line.strip() for line in explain_report(report).splitlines()]
    assert "pace: faster than 84 % of songs" in lines
    assert "pitch: lower than 98 % of songs" in lines
    assert "not used for the picture: key D sharp" in lines


def test_the_reasons_are_those_of_the_song(picture: Picture) -> None:
    song = dataclasses.replace(picture.song, descriptors={"register": -17.92, "valence": 3.0, "arousal": 0.1})
    names = ["register", "valence", "arousal"]
    mean, deviation = [0.0] * 64 + [-14.0, 0.0, 0.0], [1.0] * 64 + [2.0, 1.0, 1.0]
    card = {
        "descriptors": names,
        "normalisation": {"song_mean": mean, "song_deviation": deviation},
        "measures": {"mapping": {"valence": 0.72, "register": 0.5, "arousal": 0.5}},
    }
    picture = dataclasses.replace(picture, song=song)
    report = report_picture(picture, Path("a.png"), tuple(names), card)
    assert report["reasons"] == [
        "happier than 99 % of songs: as a rule warmer and lighter colours (clear)",
        "lower than 98 % of songs: as a rule darker colours and larger marks (moderate)",
    ]
    assert "Happier than 99 % of songs: as a rule warmer and lighter" in explain_report(report)
    assert [link["name"] for link in report["correspondences"]] == ["valence", "arousal", "register"]
    unused = report_picture(picture, Path("a.png"), (), card)
    assert (unused["reasons"], unused["correspondences"]) == ([], [])  # of a bundle that uses no descriptors
    assert "only the sound itself" in explain_report(unused)


def test_the_colours_are_those_that_are_painted(picture: Picture) -> None:
    report = report_picture(picture, Path("a.png"), ())
    assert 0.8 < sum(colour["share"] for colour in report["colours"]) < 1.001
    named = report["description"].partition(", in ")[2].partition(":")[0].partition(" with ")[0]
    shares = {colour["name"]: colour["share"] for colour in report["colours"]}
    stated = [shares[name] for name in named.replace(" and ", ", ").split(", ")]
    assert stated == sorted(stated, reverse=True) and stated[0] == max(shares.values())
    assert len(stated) == min(3, len(shares)), "its colours differ enough for three names"
    text = " ".join(explain_report(report, width=100).split())
    assert all(f"{colour['name']} {colour['hex']} " in text for colour in report["colours"])


@pytest.mark.parametrize("width", [60, 80, 100, 300])
def test_lines_fit_the_terminal(picture: Picture, width: int) -> None:
    lines = explain_report(report_picture(picture, Path("a.png"), ("tempo",), CARD), width).splitlines()
    assert max(map(len, lines)) <= min(width, 100)


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
    assert "the mean values of the training songs" in " ".join(
        explain_report(report_picture(clip, Path("a.png"), ("tempo",))).split()
    )
    silent = Clavilux(fake_bundle).paint(make_song(audible=[False] * 6), size=96)
    words = explain_report(report_picture(silent, Path("a.png"), ("tempo",)))
    assert "silent throughout" in words and "tempo" not in words and "nearest" not in words


def test_without_a_terminal_each_fact_is_one_line(picture: Picture) -> None:
    report = report_picture(picture, Path("a.png"), ("tempo",))
    lines = explain_report(report).splitlines()
    assert lines[0] == "measured:" and report["description"] in lines and "tempo: about 120 beats a minute" in lines
    assert not any(line.startswith(" ") for line in lines)


def test_no_word_is_cut(picture: Picture) -> None:
    long = "x" * 150
    report = report_picture(picture, Path("a.png"), ()) | {"description": f"a {long} b"}
    assert long in explain_report(report, 80) and long in explain_report(report)


def test_what_is_steered_has_no_reason_in_the_song(picture: Picture) -> None:
    song = dataclasses.replace(picture.song, descriptors={"valence": 3.0})
    card = {
        "descriptors": ["valence"],
        "normalisation": {"song_mean": [0.0] * 65, "song_deviation": [1.0] * 65},
        "measures": {"mapping": {"valence": 0.72}},
    }
    for steering, is_told in (
        ({}, True),
        ({"texture": 0.2}, True),
        ({"lightness": -0.5}, False),
        ({"near": {}}, False),
    ):
        record = {**picture.record, "steering": steering}
        report = report_picture(dataclasses.replace(picture, song=song, record=record), Path("a"), ("valence",), card)
        assert bool(report["reasons"]) is is_told, steering


def test_a_record_is_told_in_words(fake_bundle: Path, make_song: MakeSong) -> None:
    picture = Clavilux(fake_bundle).paint(make_song(), size=(96, 64), seed=7, variation=2, lightness=-0.5, dpi=150)
    lines = explain_record(picture.record, picture.description).splitlines()
    assert lines[:2] == ["painted:", picture.description] and lines[-2] == "bundle: fake"
    for fact in ("size: 96 x 64 pixels, 150 per inch", "seed: 7", "Steered: lightness -0.5"):
        assert fact in lines
    assert "variation: 2 (picture 3 of --count), 1 step from the main picture" in lines
    assert not re.search(r"\d\.\d{3}", "".join(lines[2:])), "no numbers of the latent"
    other = explain_record({**picture.record, "clavilux": "0.1.0"}, "")
    assert "the file has no description" in other and "Clavilux 0.1.0" in other
    with pytest.raises(PictureError, match="incomplete"):
        explain_record({"clavilux": "0.2.0"}, "")
    without_latent = {**picture.record, "clavilux": "0.1.0"}
    del without_latent["z_image"]
    with pytest.raises(PictureError, match=r"painted by Clavilux 0\.1\.0, whose painter differs"):
        explain_record(without_latent, "")


def test_a_variation_is_named(fake_bundle: Path, make_song: MakeSong) -> None:
    picture = Clavilux(fake_bundle).paint(make_song(), size=96, variation=3, spread=0.5)
    assert "Variation 3 (picture 4 of --count) is 0.5 steps from the main picture." in explain_report(
        report_picture(picture, Path("a.png"), ())
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("key", 6.0, "F sharp"),
        ("key", 0.0, "C"),
        ("arousal", -0.16, "average"),
        ("arousal", -1.047, "low"),
        ("valence", 1.72, "very high"),
        ("tempo", 97.26, "about 97 beats a minute"),
        ("onset_rate", 3.21987, "3.22 notes a second"),
        ("centroid", 1834.2, "1834 Hz"),
        ("flux", 0.123456, "0.123"),
    ],
)
def test_descriptors_are_printed_in_words(picture: Picture, name: str, value: float, words: str) -> None:
    report = report_picture(picture, Path("a.png"), (name,)) | {"descriptors": {name: value}}
    assert f"            {LABELS.get(name, name)}: {words}\n" in explain_report(report, 80)
