"""Vector pictures, rendered again by resvg and PDFium."""

from __future__ import annotations

import dataclasses
import io
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import sounds
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image
from test_painter import make_controls

import clavilux
from clavilux.cli import cli
from clavilux.colour import lab_to_srgb, to_bytes
from clavilux.constants import SURFACE_NAMES
from clavilux.errors import PictureError
from clavilux.painter.composition import SIDE
from clavilux.painter.paint import composition_of
from clavilux.painter.raster import find_edges, widen
from clavilux.painter.surfaces import SURFACES
from clavilux.picture import Picture
from clavilux.picture_file import read_description, read_record

pytest.importorskip("contourpy", reason="needs the extra vector")
resvg = pytest.importorskip("resvg_py", reason="needs the extra dev")
pdfium = pytest.importorskip("pypdfium2", reason="needs the extra dev")

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sounds.write_sound(tmp_path_factory.mktemp("songs") / "song.flac", sounds.song(8.0))


def painted(surface: str, **changes: object) -> Picture:
    return clavilux.paint(make_controls("shards", surface=surface, **changes), size=(512, 512), seed=3)


def saved(picture: Picture, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def render(content: bytes, px: int = 512) -> NDArray[np.int64]:
    if content.startswith(b"%PDF"):
        page = pdfium.PdfDocument(content)[0]
        image = page.render(scale=px / page.get_width()).to_pil()
    else:
        png = resvg.svg_to_bytes(svg_string=content.decode(), width=px, dpi=96.0, background="#ffffff")
        image = Image.open(io.BytesIO(bytes(png)))
    return np.asarray(image.convert("RGB")).astype(int)[:px, :px]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_areas_have_their_colours_away_from_borders(kind: str) -> None:
    picture = painted("flat")
    assert picture.controls is not None
    composition = composition_of(picture.controls, width=512, height=512, seed=3)
    assert composition.slots.shape == (SIDE, SIDE)
    wanted = to_bytes(lab_to_srgb(composition.palette))[composition.slots].astype(int)
    inside = ~widen(find_edges(composition.slots), 2)
    assert inside.mean() > 0.6
    assert np.abs(render(saved(picture, kind)) - wanted)[inside].mean() < 2


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_no_third_colour_shows_between_two_areas(kind: str) -> None:
    palette = np.repeat([[0.02], [0.5], [0.9]], (3, 2, 3), axis=0) * [[1, 1, 1]]
    palette[3:5] = 1.0, 0.2, 0.0  # only between dark and light
    flat = make_controls("shards", surface="flat", texture=0.0)
    controls = dataclasses.replace(flat, palette=palette.astype(np.float32), exact_palette=True)
    picture = clavilux.paint(controls, size=(512, 512), seed=3)
    assert picture.controls is not None
    slots = composition_of(picture.controls, width=512, height=512, seed=3).slots
    near = widen(np.isin(slots, (3, 4)), 4)
    assert 0.1 < near.mean() < 0.9
    red = render(saved(picture, kind)) @ [1, -0.5, -0.5]
    assert (find_edges(slots) & ~near).sum() > 500
    assert red[~near].max() < 40 < red[~widen(~np.isin(slots, (3, 4)), 3)].min()


def test_the_upper_areas_of_layers_leave_figures_free() -> None:
    picture = painted("layers", figure="guitar")
    assert picture.controls is not None
    figures = composition_of(picture.controls, width=512, height=512, seed=3).figures.cells
    alone, plain = (render(saved(p, "svg")) for p in (picture, painted("flat", figure="guitar")))
    inside = ~widen(~figures, 3)
    ratio = np.abs(alone - plain)[inside].mean() / np.abs(alone - plain)[~widen(figures, 3)].mean()
    assert inside.any() and ratio < 0.5


@pytest.mark.parametrize("surface", SURFACE_NAMES)
def test_a_vector_picture_looks_like_the_painting(surface: str) -> None:
    """Light and shade within areas, bristles and grain are missing."""
    picture = painted(surface, outline=0.9)
    svg, pdf = (render(saved(picture, kind)) for kind in ("svg", "pdf"))
    assert np.abs(svg - pdf).mean() < 3
    small = [np.asarray(p, float).reshape(32, 16, 32, 16, 3).mean(axis=(1, 3)) for p in (svg, picture.pixels)]
    assert np.abs(small[0] - small[1]).mean() < (21 if surface in ("flat", "print", "layers") else 12)
    assert np.abs(small[0] - small[1][::-1]).mean() > 1.5 * np.abs(small[0] - small[1]).mean()


def test_layers_have_names_and_sizes_are_millimetres() -> None:
    picture = painted("gouache")
    root = ElementTree.fromstring(saved(picture, "svg", dpi=254))
    assert (root.get("width"), root.get("viewBox")) == ("51.200mm", "0 0 512 512")
    groups = root.findall(f"{SVG}g")
    assert picture.controls is not None
    strokes = SURFACES["gouache"](composition_of(picture.controls, width=512, height=512, seed=3)).strokes
    slots = np.unique(strokes.slot).tolist()
    assert [group.get("id") for group in groups] == ["areas", *(f"strokes-{slot + 1}" for slot in slots)]
    assert sum(map(len, groups[1:])) == len(strokes.slot) > 100
    clips = {clip.get("id") for clip in root.findall(f"{SVG}clipPath")}
    assert {group.get("clip-path") for group in groups[1:]} == {f"url(#{clip})" for clip in clips}
    assert root.findtext(f"{SVG}desc") == picture.description
    content = saved(picture, "pdf", dpi=254)
    page = pdfium.PdfDocument(content)[0]
    assert page.get_width() == pytest.approx(51.2 / 25.4 * 72, abs=0.01)
    assert b"/Type /OCG" in content


@pytest.mark.parametrize(("name", "title"), [("Rain & <wind>", "Rain & <wind>"), ("a\x07\udcffb", "a\ufffd\ufffdb")])
def test_a_file_is_called_by_its_song_and_described(name: str, title: str, tmp_path: Path) -> None:
    picture = painted("flat")
    picture = dataclasses.replace(picture, record={**picture.record, "name": name})
    root = ElementTree.fromstring(saved(picture, "svg"))
    texts = {element.get("id"): element.text for element in root.iter()}
    assert [texts[part] for part in root.get("aria-labelledby", "").split()] == [title, picture.description]
    document = pdfium.PdfDocument(saved(picture, "pdf"))
    about = document.get_metadata_dict()
    assert (about["Title"], about["Subject"]) == (title, picture.description) and "Clavilux" in about["Creator"]
    content = saved(picture, "pdf")
    assert b"/Lang (en)" in content and b"/Marked true" in content
    (alt,) = re.findall(rb"/S /Figure .*/Alt <FEFF([0-9A-F]*)>", content)
    assert bytes.fromhex(alt.decode()).decode("utf-16-be") == picture.description
    for kind in ("svg", "pdf", "png"):
        picture.save(tmp_path / f"a.{kind}")
        assert read_description(tmp_path / f"a.{kind}") == picture.description


def test_a_plot_has_lines_only() -> None:
    for surface in ("gouache", "flat", "drawing"):
        text = saved(painted(surface), "svg", plot=True, dpi=254).decode()
        paths = re.findall(r"<path [^>]*>", text)
        assert len(paths) > 3
        assert all('fill="none"' in path and 'stroke-width="4"' in path for path in paths)  # 0.4 mm
        pens = ElementTree.fromstring(text).findall(f"{SVG}g")
        assert [len({path.get("stroke") for path in pen}) for pen in pens] == [1] * len(pens), "one colour for each pen"
        assert all(str(pen.get("id")).startswith("pen-") for pen in pens)
        for path in paths:  # the middle point of a curve on the page can be beside it
            places = [float(number) for number in re.findall(r"-?[\d.]+", path.partition('d="')[2].partition('"')[0])]
            assert min(places) > -26 and max(places) < 538, "a plotter must not draw beside the page"
    lines = re.findall(r'd="M([^"Q]*)"', saved(painted("flat"), "svg", plot=True).decode())
    segments = [frozenset(pair) for line in lines for pair in pairwise(line.split("L"))]
    assert len(segments) > 1000
    assert len(set(segments)) > 0.999 * len(segments), "no border is drawn twice, but for rounding"
    with pytest.raises(PictureError, match="a plot has lines and no pixels"):
        saved(painted("flat"), "png", plot=True)


def test_the_same_picture_gives_the_same_bytes() -> None:
    for kind in ("svg", "pdf"):
        assert saved(painted("impasto"), kind) == saved(painted("impasto"), kind)


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_the_command_writes_vectors_and_paints_them_again(
    fake_bundle: Path, song: Path, tmp_path: Path, kind: str
) -> None:
    first = tmp_path / f"a&b.{kind}"
    done = run("paint", song, "--bundle", fake_bundle, "--size", "96x64", "-o", first)
    assert done.exit_code == 0, done.output
    record = read_record(first)
    assert record["size"] == [96, 64]
    done = run("paint", "--again", first, "--bundle", fake_bundle, "-o", tmp_path / f"again.{kind}")
    assert done.exit_code == 0, done.output
    assert (tmp_path / f"again.{kind}").read_bytes() == first.read_bytes()
    done = run("paint", "--again", first, "--bundle", fake_bundle, "-o", tmp_path / "again.png")
    assert done.exit_code == 0, done.output
    assert read_record(tmp_path / "again.png") == record
    done = run("paint", song, "--bundle", fake_bundle, "--size", "96x64", "--resume", "-o", first)
    assert "skipped 1 picture that exists" in done.stderr
    done = run("paint", song, "--bundle", fake_bundle, "--size", 64, "-o", tmp_path / f"plot.{kind}", "--plot")
    assert done.exit_code == 0, done.output


def test_wrong_usage_is_named(song: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (["--plot", "-o", tmp_path / "a.png"], "--plot draws lines"),
        (["--sheet", tmp_path / "s.png", "--format", "svg"], "--sheet shows pictures of pixels"),
        (["--sheet", tmp_path / "s.svg"], "a picture ends in .png"),
    ):
        done = run("paint", song, *arguments)
        assert done.exit_code == 2
        assert words in done.stderr
    assert run("marks", "-o", tmp_path / "marks.svg").exit_code == 1


def test_pixels_have_no_shapes(song: Path, tmp_path: Path) -> None:
    done = run("paint", song, "--bundle", "classic", "--size", 64, "-o", tmp_path / "a.svg")
    assert done.exit_code == 1
    assert "decodes pixels, which have no shapes" in done.stderr
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.svg", b"<svg/>"),
        ("a.pdf", b"%PDF-1.5\n"),
        ("a.svg", b'<metadata id="clavilux">{"clavilux": </metadata>'),
        ("a.svg", b'<metadata id="clavilux">[1]</metadata>'),
        ("a.svg", b'<metadata id="clavilux">' + b"[" * 100_000 + b"</metadata>"),
        ("a.pdf", b"%clavilux \xff\xfe\n"),
        ("a.svg", b""),
    ],
)
def test_files_without_a_record_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PictureError, match=name):
        read_record(tmp_path / name)
