"""Recipes are differences from the default; a mistake in one is named."""

import dataclasses

import pytest

from clavilux.errors import RecipeError
from clavilux.training.recipe import RECIPES, load_recipe


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads(path):
    assert load_recipe(path.stem).seed >= 0


def test_a_recipe_changes_only_what_it_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[audio_vae]\nsteps = 7\n")
    default, mine = load_recipe("default"), load_recipe(str(path))
    assert mine.audio_vae == dataclasses.replace(default.audio_vae, steps=7)
    assert mine.image_vae == default.image_vae


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 1", "unknown key 'stepz'"),
        ("[audio_vae]\nstepz = 1", r"unknown key 'stepz'"),
        ("[audio_vae]\nsteps = 1.5", "steps is 1.5; it is int"),
        ("[audio_vae]\nlearning_rate = -1", "zero or more"),
        ("[mapping]\nrounds = 0", "rounds is 0; it is int, one or more"),
        ("[mapping]\nmethod = 'magic'", "it is one of look-preserving"),
        ("audio_vae = 3", "is a table"),
        ("[audio_vae", "is no TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_a_reason(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(path))


def test_an_unknown_recipe_names_the_shipped_ones():
    with pytest.raises(RecipeError, match="debug, default"):
        load_recipe("no-such-recipe")
