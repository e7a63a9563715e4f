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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows its only entry."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("n_songs", "n_done", "each_s", "text"),
    [
        (30, 12, 2.225, "12/30 songs, 40 s left"),
        (30, 0, 5, "0/30 songs, 0 s so far"),
        (30, 1, 5, "1/30 songs, 5 s so far"),
        (1, 0, 3.4, "painting, 0 s so far"),
        (302, 2, 10, "2/302 songs, 50 min left"),
        (3002, 2, 10, "2/3002 songs, 8.3 h left"),
    ],
)
def test_the_line_says_how_far_it_is(clock: list[float], n_songs: int, n_done: int, each_s: float, text: str) -> None:
    line = StatusLine(n_songs, "painting")
    for _ in range(n_done):
        clock[0] += each_s
        line.advance()
    assert line.text(clock[0] - 100) == text


@pytest.mark.parametrize("n_workers", [1, 4])
def test_the_time_left_never_rises_if_songs_take_equally_long(clock: list[float], n_workers: int) -> None:
    line = StatusLine(24, "painting")
    left = []
    for second in range(24 // n_workers * 10):
        clock[0] = 100.0 + second
        if second and second % 10 == 0:
            for _ in range(n_workers):
                line.advance()
        text = line.text(second)
        left += [int(text.split()[-3])] if text.endswith(" s left") else []
    assert left == sorted(left, reverse=True)
    assert left[-1] == 1


def test_kept_pictures_do_not_count_as_speed(clock: list[float]) -> None:
    line = StatusLine(14, "painting")
    for _ in range(10):
        clock[0] += 0.1
        line.advance(is_kept=True)
    assert line.text(1) == "10/14 songs, 1 s so far"
    for _ in range(2):
        clock[0] += 10
        line.advance()
    assert line.text(21) == "12/14 songs, 20 s left"


def run_on_terminal(code: str, **environment: str) -> str:
    """What a process prints on a terminal."""
    import pty  # not on Windows

    parent, child = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=child, stderr=child, env=variables | environment) as process:
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
    assert re.search(
        r"\r\x1b\[K0/2 songs, \d s so far(\r\x1b\[K0/2 songs, \d s so far)*\r\x1b\[Kone -> one\.png\r\n", printed
    )
    assert re.search(r"1/2 songs, \d s so far\r\x1b\[Kend\r\n$", printed)


@pytest.mark.skipif(sys.platform != "linux", reason="timers by signal")
@pytest.mark.parametrize(
    ("option", "environment", "is_shown"),
    [
        ("--verbose", {}, True),
        ("--quiet", {}, False),
        ("--no-progress", {}, False),
        ("--verbose", {"TERM": "dumb"}, False),
        ("--verbose", {"NO_COLOR": "1"}, False),
    ],
)
def test_progress_can_be_turned_off(option: str, environment: dict[str, str], is_shown: bool) -> None:
    printed = run_on_terminal(
        "import click, time; from clavilux.cli import progress, options\n"
        "progress.SHOW_AFTER_S, progress._EVERY_S = 0.1, 0.05\n"
        "@click.command()\n"
        "@click.option('--quiet', is_flag=True, callback=progress.turn_off)\n"
        "@click.option('--verbose', is_flag=True)\n"
        "@options.no_progress_option()\n"
        "def command(**given):\n"
        "    with progress.StatusLine(2, 'painting').shown():\n"
        "        time.sleep(0.3)\n"
        f"command(['{option}'])\n",
        **environment,
    )
    assert ("0/2 songs" in printed, "\x1b" in printed) == (is_shown, is_shown)
    assert is_shown or printed == ""


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
    for words in ("paint so", "paint x.wav -o so", "paint x.wav --near so", "bundle show so", "train all --recipe so"):
        assert complete("bash", f"clavilux {words}", len(words.split())) == ["file,so"]
    for words in ("paint --bundle de", "bundle verify de", "train mapping --from de", "evaluate --beside de"):
        assert complete("bash", f"clavilux {words}", len(words.split())) == ["plain,default"]
    assert complete("bash", "clavilux train all --recipe de", 4) == ["plain,default", "plain,debug"]


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
