"""Run git, apt-get and dpkg-deb with a time limit and without prompts; a failure raises a one-line `CorpusError`."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from clavilux.errors import CorpusError

DOWNLOAD_S = 6 * 3600.0  # time limit of a download: enough for some gigabytes on a slow connection
SILENT_S = 300.0  # a program that reads local files is stopped after so long without output
_CHUNK = 1 << 20  # bytes

# Without GIT_TERMINAL_PROMPT, git would ask for a password if a repository no longer exists. Without GIT_NO_LAZY_FETCH,
# git 2.45 and later would fetch missing objects one by one.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}


def run_program(command: Sequence[str], name: str, *, cwd: Path | None = None) -> None:
    """Run a program that fetches something, and wait until it ends.

    Parameters
    ----------
    command : sequence of str
        Name of the program and its arguments.
    name : str
        Name of what is fetched, for messages.
    cwd : Path, optional
        Folder in which the program runs; by default the current one.

    Raises
    ------
    CorpusError
        If the program is not installed, fails, or runs for more than `DOWNLOAD_S`.
    """
    _require(command[0])
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | _ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DOWNLOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CorpusError(
            f"{name} cannot be fetched: {command[0]} was stopped after {DOWNLOAD_S:.0f} s. Try again."
        ) from error
    if done.returncode != 0:
        raise CorpusError(f"{name} cannot be fetched: {command[0]} says: {_last_line(done.stderr, done.returncode)}")


class Pipe:
    """A running program that reads local files, and whose output is read piece by piece.

    It is a context manager that kills the program at the end of the block. Call `finish` inside the block to check that
    the program ended without an error.

    Parameters
    ----------
    command : sequence of str
        Name of the program and its arguments.
    name : str
        Name of what is read, for messages.
    environment : mapping, optional
        Additional environment variables. The program also gets the variables of this process, except those that begin
        with ``GIT_``.
    limit_bytes : int, optional
        Number of bytes of output after which the program is stopped.
    """

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        _require(command[0])
        self._program, self._name, self._left = command[0], name, limit_bytes
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__; a pipe would block when it is full)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=kept | _ENVIRONMENT | dict(environment or {}),
        )
        self._buffer = b""

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._errors, self._process:  # closes the pipes and waits
            self._process.kill()

    def write(self, text: str) -> None:
        """Write text to the standard input of the program."""
        assert self._process.stdin is not None, "opened as a pipe"
        try:
            self._process.stdin.write(text.encode())
        except BrokenPipeError as error:
            raise self.failure() from error

    def read(self, n: int) -> bytes:
        """Return the next n bytes of output, or fewer at the end of the output."""
        parts = []
        while n > 0 and (self._buffer or self._fill()):
            parts.append(self._buffer[:n])
            self._buffer = self._buffer[len(parts[-1]) :]
            n -= len(parts[-1])
        return b"".join(parts)

    def readline(self) -> bytes:
        """Return the next line of output with its newline, or the rest of the output if there is no newline."""
        while b"\n" not in self._buffer and self._fill():
            pass
        line, end, self._buffer = self._buffer.partition(b"\n")
        return line + end

    def skip(self, n: int) -> None:
        """Skip the next n bytes of output."""
        while n > 0 and (content := self.read(min(n, _CHUNK))):
            n -= len(content)

    def finish(self) -> None:
        """Read the rest of the output, and raise a `CorpusError` if the program does not end or has failed."""
        while self.read(_CHUNK):
            pass
        try:
            code = self._process.wait(SILENT_S)
        except subprocess.TimeoutExpired as error:
            raise self.failure() from error
        if code != 0:
            raise self.failure()

    def failure(self) -> CorpusError:
        """Kill the program, and return a `CorpusError` with the last line of its stderr."""
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        line = _last_line(self._errors.read(), code)
        return CorpusError(f"{self._name} cannot be read: {self._program} says: {line}. Remove it and fetch it again.")

    def _fill(self) -> bool:
        """Wait for more output and add it to the buffer; return False at the end of the output."""
        stdout = self._process.stdout
        assert stdout is not None, "opened as a pipe"
        if not select.select([stdout], [], [], SILENT_S)[0]:
            raise CorpusError(f"{self._name} cannot be read: {self._program} gave no output for {SILENT_S:.0f} s")
        content = stdout.read(_CHUNK)
        if self._left is not None:
            self._left -= len(content)
            if self._left < 0:
                raise CorpusError(f"{self._name} unpacks to more than is allowed; remove it")
        self._buffer += content
        return bool(content)


def _last_line(said: bytes, code: int) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") if lines else f"exit code {code}"


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise CorpusError(f"{program} is not installed. Install it, or give local copies with --mirror and --debs.")
