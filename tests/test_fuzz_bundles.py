"""Damaged bundles give a picture or a `ClaviluxError`; `test_fuzz.py` runs sixty of `benchmarks/fuzz_bundles.py`."""

from __future__ import annotations

from pathlib import Path

import bundle_mutations
import pytest

from clavilux.bundle import open_bundle
from clavilux.errors import ClaviluxError


def test_a_number_and_a_seed_give_the_same_bundle(tmp_path: Path) -> None:
    base = bundle_mutations.write_base(tmp_path / "base", with_weights=False)
    turns = len(bundle_mutations.TURNS)
    for number in range(turns - 1):
        if bundle_mutations.mutation_of(number, with_weights=False) is bundle_mutations.files:
            continue  # pipes and devices cannot be compared
        contents = []
        for folder in (tmp_path / f"a{number}", tmp_path / f"b{number}"):
            bundle_mutations.mutate(base, folder, 3, number, with_weights=False)
            contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert contents[0] == contents[1]


def test_the_whole_bundle_is_painted_from(tmp_path: Path) -> None:
    base = bundle_mutations.write_base(tmp_path / "base", with_weights=False)
    outcome = bundle_mutations.try_bundle(base, bundle_mutations.make_song(), with_weights=False)
    assert outcome == ("picture", "")
    assert open_bundle(base).name == "base"


@pytest.mark.parametrize("message", ["two\nlines", "x" * 1_000])
def test_a_message_of_several_lines_or_too_long_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise ClaviluxError(message)

    base = bundle_mutations.write_base(tmp_path / "base", with_weights=False)
    monkeypatch.setattr(bundle_mutations.show, "main", refuse)
    with pytest.raises(AssertionError, match="the message"):
        bundle_mutations.try_bundle(base, bundle_mutations.make_song(), with_weights=False)
