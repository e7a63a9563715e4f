"""The commands and the code of README.md and of the other pages work as written.

Blocks marked ```console have a command on each line that begins with "$ "; the lines below it are what it prints.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import sounds

from clavilux.cli import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = {"paint", "features", "bundle", "controls"}  # sub-commands that need neither training data nor PyTorch
NOT_RUN = {"--scheduler", "mybundle"}  # need a cluster, or a training
OTHER_PROGRAMS = {
    "pip",
    "npm",
    "ruff",
    "mypy",
    "pytest",
    ".",
    "source",
    "cd",
    "git",
    "dask",
    "find",
    "sort",
    "split",
    "xargs",
}


@dataclass(frozen=True)
class Command:
    """A command of a page, in words, and the lines that the page shows as its output."""

    page: str
    words: tuple[str, ...]
    output: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def read_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def read_commands(path: Path) -> list[Command]:
    commands = []
    for block in read_blocks(path, "console"):
        for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            line, *output = part.rstrip().split("\n")
            *earlier, last = (shlex.split(piece, comments=True) for piece in re.split(r" (?:&&|\|) ", line))
            for words in earlier:
                commands.append(Command(path.name, plain(words)))
            commands.append(Command(path.name, plain(last), tuple(output)))
    return commands


def plain(words: list[str]) -> tuple[str, ...]:
    """The words without the folder of an environment, and from `clavilux` on where another program starts it."""
    words = [word.removeprefix(".venv/bin/") for word in words]
    if words[:3] == ["python", "-m", "clavilux"]:
        return ("clavilux", *words[3:])
    return tuple(words[words.index("clavilux") :] if words[0] == "xargs" else words)


COMMANDS = [command for page in PAGES for command in read_commands(page)]


def is_run(command: Command) -> bool:
    return (
        command.page == "README.md"
        and command.words[0] == "clavilux"
        and command.words[1] in RUN
        and not NOT_RUN.intersection(command.words)
    )


def test_pages_have_commands_of_every_kind() -> None:
    first = {command.words[0] for command in COMMANDS}
    assert {"clavilux", "pip", "python"} <= first
    assert sum(map(is_run, COMMANDS)) >= 5


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_the_pages_exists_with_its_options(command: Command) -> None:
    program, *words = command.words
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    if program == "clavilux":
        check_clavilux(words, options)
    elif program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    elif program.startswith("python") and words[0] == "-m" and words[1].startswith("clavilux"):
        assert_options((ROOT / words[1].replace(".", "/")).with_suffix(".py"), options[1:])
    elif program.startswith("python") and words[0] != "-m":
        assert_options(ROOT / words[0], options)
    elif "-c" in words and program == "pip":
        assert (ROOT / words[words.index("-c") + 1]).is_file()
    else:
        assert program in OTHER_PROGRAMS or words[:1] == ["-m"], f"tests/test_readme.py does not know {program}"


def check_clavilux(words: list[str], options: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    names = list(words)
    while isinstance(command, click.Group) and names and not names[0].startswith("-"):
        if names[0] in ("train", "evaluate"):
            pytest.importorskip("torch", reason="these commands import PyTorch")
        found = command.get_command(context, names.pop(0))
        assert found is not None, f"clavilux has no command {' '.join(words)}"
        command = found
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert set(options) <= known | {"-h", "--help"}, f"clavilux {words[0]} has no such option"


def assert_options(script: Path, options: list[str]) -> None:
    """Check that a script names its options; the framework of the fuzzers counts too."""
    text = script.read_text("utf-8")
    if "run_fuzzer" in text:
        text += (ROOT / "benchmarks" / "fuzzing.py").read_text("utf-8")
    assert [option for option in options if f'"{option}"' not in text] == []


# Run -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples, and with music under the names that the README uses."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    for place in ("album", "music"):
        (folder / place).mkdir()
        for number in range(2):
            sounds.write_sound(folder / place / f"{number}.mp3", sounds.song(30.0, seed=number))
    shutil.copy(folder / "album" / "0.mp3", folder / "song.mp3")
    shutil.copy(ROOT / "docs" / "images" / "held-out.jpg", folder / "photo.jpg")
    shutil.copytree(ROOT / "clavilux" / "bundles" / "default", folder / "mine")  # what a training would have written
    return folder


def run_in(folder: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if is_run(command)], ids=str)
def test_a_command_of_the_readme_runs(command: Command, workplace: Path) -> None:
    """Commands run in the order of the page, in one folder, as later ones use what earlier ones made.

    They paint small pictures, which is faster; of two sizes the last one counts.
    """
    size = ["--size", "128"] if command.words[1] == "paint" else []
    output = run_in(workplace, "-m", "clavilux", *command.words[1:], *size)
    if command.output:
        assert output.splitlines() == [line for line in command.output if line]


@pytest.mark.slow
@pytest.mark.parametrize("code", read_blocks(ROOT / "README.md", "python"))
def test_the_code_of_the_readme_runs(code: str, workplace: Path) -> None:
    run_in(workplace, "-c", code)
