"""What long commands show, what `clavilux` alone says, and what a shell completes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from clavilux.cli import COMMANDS, cli, output
from clavilux.cli.progress import StatusLine


@pytest.mark.parametrize(
    ("n_songs", "n_done", "elapsed_s", "text"),
    [
        (30, 12, 26.7, "12/30 songs, 40 s left"),
        (30, 0, 5, "0/30 songs, 5 s"),
        (1, 0, 3.4, "painting, 3 s"),
        (300, 1, 10, "1/300 songs, 50 min left"),
        (3000, 1, 10, "1/3000 songs, 8.3 h left"),
    ],
)
def test_the_line_says_how_far_it_is(n_songs: int, n_done: int, elapsed_s: float, text: str) -> None:
    line = StatusLine(n_songs, "painting")
    for _ in range(n_done):
        line.advance()
    assert line.text(elapsed_s) == text


def run_on_terminal(code: str) -> str:
    """What a process prints on a terminal."""
    import pty  # not on Windows

    parent, child = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stdout=child, stderr=child) as process:
        os.close(child)
        parts = []
        while True:
            try:
                part = os.read(parent, 4096)
            except OSError:  # the terminal is closed
                break
            if not part:
                break
            parts.append(part)
        assert process.wait() == 0
    os.close(parent)
    return b"".join(parts).decode()


@pytest.mark.skipif(sys.platform != "linux", reason="timers by signal")
def test_the_line_is_shown_on_a_terminal_and_removed_before_anything_is_printed() -> None:
    printed = run_on_terminal(
        "import time; from clavilux.cli import progress, output\n"
        "progress.SHOW_AFTER_S, progress._EVERY_S = 0.1, 0.05\n"
        "line = progress.StatusLine(2, 'painting')\n"
        "with line.shown():\n"
        "    time.sleep(0.4)\n"
        "    line.advance(); output.say('one -> one.png')\n"
        "    time.sleep(0.3)\n"
        "output.say('end')\n"
    )
    assert re.search(r"\r\x1b\[K0/2 songs, \d s(\r\x1b\[K0/2 songs, \d s)*\r\x1b\[Kone -> one\.png\r\n", printed)
    assert re.search(r"1/2 songs, \d s left\r\x1b\[Kend\r\n$", printed)


@pytest.mark.skipif(sys.platform != "linux", reason="timers by signal")
def test_a_fast_command_shows_nothing() -> None:
    printed = run_on_terminal(
        "from clavilux.cli import progress, output\n"
        "with progress.StatusLine(2, 'painting').shown():\n    output.say('one')\n"
    )
    assert printed == "one\r\n"


def test_without_a_terminal_a_line_is_printed_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    line = StatusLine(4, "painting")
    with line.shown():
        for _ in range(4):
            now += 20
            line.advance()
    assert capsys.readouterr().err == "2/4 songs, 40 s left\n"
    assert output.clear_status == []


# The command ---------------------------------------------------------------------------------------------------------


def test_clavilux_alone_shows_three_commands() -> None:
    done = CliRunner().invoke(cli, [], prog_name="clavilux")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.startswith("clavilux paint ") for line in lines] == [True] * 3 + [False] * 2
    assert "`clavilux --help`" in done.stdout


def test_the_version_has_a_short_option() -> None:
    runs = [CliRunner().invoke(cli, [option], prog_name="clavilux").stdout for option in ("-V", "--version")]
    assert runs[0] == runs[1] and runs[0].startswith("clavilux ")


def test_help_has_groups_examples_and_exit_codes() -> None:
    text = CliRunner().invoke(cli, ["paint", "--help"], prog_name="clavilux").stdout
    titles = re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)
    assert titles == ["What is painted", "Steering", "Files", "Messages", "Options", "Advanced"]
    assert len(re.findall(r"^  clavilux paint ", text, re.MULTILINE)) >= 5
    main = CliRunner().invoke(cli, ["--help"], prog_name="clavilux").stdout
    assert re.findall(r"^(\w[\w ]*):$", main, re.MULTILINE) == ["Options", "Paint", "Train and measure"]
    for code in ("0 success", "1 something failed", "2 wrong usage", "130 interrupted", "143 ended"):
        assert code in " ".join(main.split())


def complete(shell: str, words: str, index: int) -> list[str]:
    environment = os.environ | {
        "_CLAVILUX_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(index),
    }
    done = subprocess.run(
        [sys.executable, "-m", "clavilux"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_completes_commands_options_and_values() -> None:
    assert complete("bash", "clavilux ", 1) == [f"plain,{name}" for name in COMMANDS]
    assert complete("bash", "clavilux pa", 1) == ["plain,paint"]
    assert complete("bash", "clavilux paint --fo", 2) == ["plain,--format", "plain,--folder-image"]
    assert complete("bash", "clavilux paint --format ti", 3) == ["plain,tif", "plain,tiff"]
    assert complete("bash", "clavilux paint so", 2) == ["file,so"]


def test_zsh_shows_what_a_command_does() -> None:
    assert complete("zsh", "clavilux pa", 1) == ["plain", "paint", COMMANDS["paint"].help]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    if shell == "bash" and not Path("/bin/bash").exists():
        pytest.skip("click asks bash for its version")
    environment = os.environ | {"_CLAVILUX_COMPLETE": f"{shell}_source"}
    done = subprocess.run(
        [sys.executable, "-m", "clavilux"], env=environment, capture_output=True, text=True, check=True
    )
    assert f"_CLAVILUX_COMPLETE={shell}_complete" in done.stdout


def test_completing_a_command_imports_none() -> None:
    code = (
        "import sys; from click.shell_completion import ShellComplete; from clavilux.cli import cli\n"
        "print([i.value for i in ShellComplete(cli, {}, 'clavilux', '_X').get_completions([], 't')])\n"
        "print([m for m in ('numpy', 'torch', 'clavilux.cli.train') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['train']\n[]\n"
