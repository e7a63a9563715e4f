"""Recipes are differences from the default; errors in them are explained."""

import dataclasses
import json
import tomllib

import pytest

from clavilux.bundle import open_bundle
from clavilux.errors import RecipeError
from clavilux.training.recipe import RECIPES, load_recipe

ONLY_PRINT = "\n".join(f"{name} = 0" for name in ("gouache", "impasto", "collage", "drawing", "layers", "flat"))


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
    ("text", "steps", "epochs"),
    [("steps = 20", 20, 0), ("epochs = 3", 6_000, 3), ("epochs = 0", 6_000, 0), ("steps = 20\nepochs = 3", 20, 3)],
)
def test_steps_replace_the_epochs_of_the_base(tmp_path, text, steps, epochs):
    (tmp_path / "mine.toml").write_text(f'base = "classic"\n[audio_vae]\n{text}\n')
    mine = load_recipe(str(tmp_path / "mine.toml"))
    assert (mine.audio_vae.steps, mine.audio_vae.epochs) == (steps, epochs)
    assert mine.image_vae.epochs == 75


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 1", "unknown key 'stepz'; known are"),
        ("sead = 1", "did you mean seed"),
        ("steps = 1", r"write it below \[track_embedding\] or \[audio_vae\]"),
        ("[audio_vae]\nstepz = 1", r"unknown key 'stepz'; did you mean steps"),
        ("[audio_va]\nsteps = 1", "did you mean audio_vae"),
        ("[audio_vae]\nsteps = 1.5", "steps is 1.5; it is a whole number from 0"),
        ("[audio_vae]\nsteps = true", "steps is True"),
        ("[audio_vae]\nsteps = '7'", "steps is '7'"),
        ("[audio_vae]\nsteps = [7]", r"steps is \[7\]"),
        ("[audio_vae]\nsteps = {}", r"steps is \{\}"),
        ("[audio_vae]\nsteps = 1979-05-27", "steps is datetime"),
        ("[audio_vae]\nlearning_rate = -1", "from 0 to 10"),
        ("[audio_vae]\nlearning_rate = nan", "learning_rate is nan"),
        ("[audio_vae]\nlearning_rate = inf", "learning_rate is inf"),
        ("[audio_vae]\nlearning_rate = 1e300", "learning_rate is 1e"),
        ("[audio_vae]\nwidth = 1000000000", "from 8 to 4096"),
        ("[audio_vae]\nwidth = 33", "a multiple of 8"),
        ("[audio_vae]\nema = 1.0", "below 1"),
        ("[track_embedding]\ndims = 65", "to 64"),
        ("[image_vae]\nplan_weight = 1e9", r"plan_weight is 1000000000\.0"),
        ("seed = -1", "seed is -1"),
        ("seed = 1" + "0" * 100, r"seed is 10+\.\.\."),
        ("seed = 1" + "0" * 5_000, "is not valid TOML"),
        ("[mapping]\nrounds = 0", "rounds is 0; it is a whole number from 1"),
        ("[mapping]\nmethod = 'magic'", "it is one of look-preserving"),
        ("[mapping]\nmethod = ['magic']", "it is one of look-preserving"),
        ("audio_vae = 3", r"it is a table, written \[audio_vae\]"),
        ("[analysis]\nkind_shares = 3", r"it is a table, written \[analysis\.kind_shares\]"),
        ("[analysis]\nfacets = 1", r"write it below \[analysis\.kind_shares\]"),
        ("[analysis.kind_shares]\nfacets = -0.1", r"\[analysis\.kind_shares\]: facets is -0\.1"),
        ("[analysis.kind_shares]\nfacets = nan", "facets is nan"),
        ("[analysis.kind_shares]\nviolin = 1", "unknown key 'violin'"),
        (
            f"[analysis.surface_shares]\n{ONLY_PRINT}",
            r"\[analysis\.surface_shares\]: at least two shares must be above 0",
        ),
        ("[audio_vae", "is not valid TOML"),
        ("a = " + "[" * 5_000, "is not valid TOML"),
        ("seed = 1\nseed = 2", "is not valid TOML"),
        ("", "changes nothing"),
        ("# seed = 1\n", "changes nothing"),
    ],
    ids=lambda value: value[:40].replace("\n", " "),
)
def test_a_wrong_recipe_is_refused_with_a_reason(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as refused:
        load_recipe(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf[audio_vae]\nsteps = 7\n",
        b"[audio_vae]\r\nsteps = 7\r\n",
        "[audio_vae]\nsteps = 7\n".encode("utf-16"),
        "[audio_vae]\nsteps = 7\n".encode("utf-32"),
        b"[audio_vae]\nsteps = 7.0",
    ],
    ids=["byte-order mark", "CRLF", "UTF-16", "UTF-32", "whole float"],
)
def test_a_recipe_of_another_editor_is_read(tmp_path, content):
    path = tmp_path / "MINE.TOML"
    path.write_bytes(content)
    assert load_recipe(str(path)).audio_vae.steps == 7


def test_files_that_are_not_recipes_are_refused(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "link.toml").symlink_to("nowhere")
    (tmp_path / "latin.toml").write_bytes("# Stärke\nseed = 1\n".encode("latin-1"))
    for name, message in {
        "folder": "not a regular file",
        "link": "cannot be read",
        "latin": "save it as UTF-8",
    }.items():
        with pytest.raises(RecipeError, match=message):
            load_recipe(str(tmp_path / f"{name}.toml"))
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe("x" * 5_000 + ".toml")


def test_an_unknown_recipe_names_the_shipped_ones():
    with pytest.raises(RecipeError, match="debug, default"):
        load_recipe("no-such-recipe")


@pytest.mark.parametrize("name", ["default", "classic"])
def test_the_configuration_of_a_shipped_bundle_is_its_recipe(name):
    config = open_bundle(name).card["config"]
    recipe = json.loads(json.dumps(dataclasses.asdict(load_recipe(name))))
    assert config.keys() == recipe.keys()
    for table, values in recipe.items():
        assert config[table] == values, table


def test_a_recipe_has_every_key_of_the_default_file_and_no_other():
    fields = tomllib.loads((RECIPES / "default.toml").read_text(encoding="utf-8"))
    assert fields == json.loads(json.dumps(dataclasses.asdict(load_recipe("default"))))


def test_former_names_of_keys_are_read_with_a_warning(tmp_path, caplog):
    (tmp_path / "old.toml").write_text("[identity]\nsteps = 7\n[mapping]\nguide_weight = 0.5\n")
    recipe = load_recipe(str(tmp_path / "old.toml"))
    assert (recipe.track_embedding.steps, recipe.mapping.correspondence_weight) == (7, 0.5)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "'identity' is now called 'track_embedding'",
        "'guide_weight' is now called 'correspondence_weight'",
    ]
    (tmp_path / "both.toml").write_text("[identity]\nsteps = 7\n[track_embedding]\nsteps = 8\n")
    with pytest.raises(RecipeError, match="mean the same"):
        load_recipe(str(tmp_path / "both.toml"))


def test_a_recipe_may_extend_any_other(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "classic"\nseed = 5\n[audio_vae]\nwidth = 64\n')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.toml").write_text('base = "../mine.toml"\n[audio_vae]\nbatch = 8\n')
    classic, mine = load_recipe("classic"), load_recipe(str(tmp_path / "mine.toml"))
    assert mine == dataclasses.replace(classic, seed=5, audio_vae=dataclasses.replace(classic.audio_vae, width=64))
    more = load_recipe(str(tmp_path / "sub" / "more.toml"))
    assert more == dataclasses.replace(mine, audio_vae=dataclasses.replace(mine.audio_vae, batch=8))
    (tmp_path / "same.toml").write_text('base = "classic"\n')
    assert load_recipe(str(tmp_path / "same.toml")) == classic


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "clasic"', r"a\.toml: there is no base 'clasic'; give one of classic, debug, default"),
        ('base = "rival"', "there is no base 'rival', which is gone since version 0.2; give one of"),
        ('base = "missing.toml"', r"there is no base 'missing\.toml'"),
        ("base = 3", "base is 3; it is the name of a recipe"),
        ('base = "a.toml"', "extends itself through its base"),
        ('base = "b.toml"', "extends itself through its base"),
        ('base = "classic"\n[image_vae]\nwidt = 8', r"a\.toml \[image_vae\]: unknown key 'widt'; did you mean width"),
    ],
)
def test_a_wrong_base_is_named(tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text('base = "a.toml"')
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(tmp_path / "a.toml"))
