"""Writing the output of benchmarks into pages."""

import pytest
from pages import marks_of, put_text


def test_a_text_is_put_into_its_place_again_and_again(tmp_path):
    page = tmp_path / "page.md"
    begin, end = marks = marks_of("speed")
    page.write_text(f"before\n\n{begin}\nold\n{end}\nafter\n", "utf-8")
    for text in ("first\n", "| new |\n"):
        put_text(page, text, marks)
        assert page.read_text("utf-8") == f"before\n\n{begin}\n\n{text}\n{end}\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_a_page_without_a_place_is_refused_and_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks", "utf-8")
    with pytest.raises(SystemExit, match="no place"):
        put_text(page, "text", marks_of("speed"))
    assert page.read_text("utf-8") == "no marks"
