"""English names of colours."""

from __future__ import annotations

import numpy as np
import pytest

from clavilux.colour import read_hex
from clavilux.colour_names import name_colour, parse_colour


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((1, 1, 1), "white"),
        ((0.5, 0.5, 0.5), "grey"),
        ((1, 0, 0), "red"),
        ((0, 0.6, 0), "green"),
        ((0, 0, 0.5), "dark blue"),
        ((1, 1, 0), "yellow"),
        ((1, 0.5, 0), "orange"),
        ((0.5, 0.3, 0.1), "brown"),
        ((0.29, 0.16, 0.13), "dark brown"),
        ((0.73, 0.52, 0.53), "pink"),
        ((0.5, 0.05, 0.05), "dark red"),
        ((0.9, 0.8, 0.7), "light beige"),
        ((1, 0.7, 0.8), "light pink"),
        ((1, 0, 1), "magenta"),
        ((0.5, 0, 1), "violet"),
        ((0, 0.6, 0.6), "turquoise"),
    ],
)
def test_colours_have_their_usual_names(rgb: tuple[float, float, float], name: str) -> None:
    assert name_colour(np.array(rgb, np.float32)) == name


def test_every_colour_has_a_name() -> None:
    grid = np.linspace(0, 1, 9, dtype=np.float32)
    names = {name_colour(np.array([r, g, b])) for r in grid for g in grid for b in grid}
    assert 20 < len(names) < 60


@pytest.mark.parametrize(
    ("hex_code", "name"),
    [
        ("#926962", "greyish red"),
        ("#966159", "brown"),
        ("#a68ce3", "violet"),
        ("#926170", "mauve"),
        ("#94a485", "greyish green"),
        ("#608393", "greyish blue"),
        ("#270000", "black"),
        ("#001b26", "black"),
        ("#e9f0d6", "white"),
        ("#fbfdf2", "white"),
        ("#da6e60", "red"),
    ],
)
def test_colours_of_low_chroma_are_not_named_as_vivid_ones(hex_code: str, name: str) -> None:
    assert name_colour(read_hex([hex_code])[0]) == name


def test_every_name_that_is_given_can_be_written() -> None:
    grid = np.linspace(0, 1, 9, dtype=np.float32)
    for name in {name_colour(np.array([r, g, b])) for r in grid for g in grid for b in grid}:
        colour = parse_colour(name)
        assert colour is not None
        assert name_colour(read_hex([colour])[0]) == name
        assert (
            parse_colour(f" {name.upper().replace('GREY', 'GRAY')} ") == parse_colour(name.replace(" ", "")) == colour
        )


def test_names_of_css_may_have_spaces() -> None:
    assert parse_colour("dark orange") == parse_colour("darkorange") == "#ff8c00"
    assert parse_colour("Light  Goldenrod Yellow") == "#fafad2"


@pytest.mark.parametrize("text", ["reddish", "light", "grey ish", "#12345", "12 34 56", "rgba(1,2,3,4)", "", None, 3])
def test_other_words_are_no_colours(text: object) -> None:
    assert parse_colour(text) is None
