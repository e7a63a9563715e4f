"""The choice of songs and pictures for an evaluation."""

from clavilux.evaluation.material import find_material, find_pictures

CORPUS = "file,source,path,artist,role,genre,tier,licence,sha256,width,height,seconds,split\n"


def _table(folder, rows):
    folder.mkdir()
    lines = [
        f"{name},s,{name},a,{role},{genre},{tier},l,00,1,1,1.0,{split}\n" for name, role, genre, tier, split in rows
    ]
    (folder / "corpus.csv").write_text(CORPUS + "".join(lines))
    return folder


def test_a_corpus_gives_held_out_songs_and_pictures_of_both_tiers(tmp_path):
    music = _table(
        tmp_path / "music",
        [(f"m{i}", "music", "rock", "free", "held-out") for i in range(9)]
        + [(f"l{i}", "labelled", "jazz", "research", "held-out") for i in range(3)]
        + [("t", "music", "rock", "free", "training")],
    )
    art = _table(
        tmp_path / "art",
        [(f"{role}{tier}{split}", role, "", tier, split)
         for role in ("abstract", "generative", "painting", "wallpaper")
         for tier, split in (("free", "held-out"), ("research", "held-out"), ("free", "training"))],
    )  # fmt: skip
    material = find_material(music, art, songs=8, pictures=100)
    assert (
        sorted(song.genre for song in material.songs) == [""] * 5 + ["jazz"] * 3
    )  # few labelled songs, so more free ones
    assert {p.name for p in material.held_out_art} == {
        f"{role}{tier}held-out" for role in ("abstract", "generative") for tier in ("free", "research")
    }
    assert {p.name for p in material.training_art} == {"abstractfreetraining", "generativefreetraining"}
    assert len(material.trained) == 4


def test_table_rows_match_files_and_missing_files_are_reported(tmp_path):
    rows = [("sub\\\\A.png", "abstract", "", "free", "held-out"), ("gone.png", "abstract", "", "free", "training")]
    art = _table(tmp_path / "art", [(name.replace("\\\\", "\\"), *rest) for name, *rest in rows])
    (art / "sub").mkdir()
    for name in ("sub/a.png", "._a.png", "b.heic"):
        (art / name).touch()
    reported = []
    held_out, _, _, _ = find_pictures(art, 10, report=reported.append)
    assert held_out == [art / "sub" / "a.png"]
    unsupported, missing = reported
    assert unsupported.startswith(f"{art / 'b.heic'}: ")
    assert "is not supported" in unsupported
    assert missing == f"{art}: missing, though they have a row in corpus.csv: gone.png (1 in all)"


def test_the_same_folders_give_the_same_material(tmp_path):
    for genre in ("slow", "fast"):
        (tmp_path / "songs" / genre).mkdir(parents=True)
    (tmp_path / "art").mkdir()
    for index in range(7):
        (tmp_path / "songs" / ("slow", "fast")[index % 2] / f"{index}.wav").touch()
    for index in range(28):
        (tmp_path / "art" / f"{index}.png").touch()
    first, again = (find_material(tmp_path / "songs", tmp_path / "art", songs=5, pictures=100) for _ in range(2))
    assert first == again
    assert len(first.songs) == 5
    assert {song.genre for song in first.songs} <= {"slow", "fast", ""}
    assert not set(first.held_out_art) & set(first.training_art)
    assert len(first.held_out_art) + len(first.training_art) == 28
