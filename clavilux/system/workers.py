"""Processes that work on one song at a time, so that whatever a song does to its process happens to that song alone.

caller: `start_worker` -> pipe -> `serve` in another process -> pipe -> outcome

The caller knows which song each process has, so a process that dies names its song. Two pipes connect caller and
worker, nothing else: no semaphore, no shared memory, no temporary file, so a missing or tiny /dev/shm does not matter.
A worker ends when its pipe is closed, also where the caller was killed.

On Linux a process that has one thread, as that of the command line, is forked: a worker then costs some milliseconds
and finds everything loaded. Everywhere else a new Python is started.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from clavilux.errors import ClaviluxError
from clavilux.system.signals import SIGNALS, held_back

if TYPE_CHECKING:
    import subprocess

END_S = 0.5  # a worker whose pipe was closed has this long before it is killed
LONGEST_REASON = 300  # characters of an exception's text that are shown

# One thread for each worker: the cores are shared by processes. Read when the libraries are first imported.
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB", "NUMBA", "NUMEXPR")
_LENGTH = struct.Struct("<Q")
_START = (
    "import sys; sys.path[:] = eval(sys.argv[1]); from clavilux.system.workers import serve_on_standard_pipes;"
    "serve_on_standard_pipes()"
)

logger = logging.getLogger("clavilux")


@dataclass(frozen=True)
class Done:
    """The function returned this."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The function raised an error that is no fault of the song and ends the run, such as a folder that is full."""

    error: ClaviluxError


@dataclass(frozen=True)
class Failed:
    """The song could not be finished, for a reason in words."""

    reason: str


@dataclass(frozen=True)
class _Log:
    """A line for the log of the caller."""

    level: int
    line: str


Outcome = Done | Raised | Failed


def attempt(function: Callable[[Any], Any], song: Any) -> Outcome:
    """Return what became of one song; only an interrupt from the keyboard is raised.

    An exception that is no `ClaviluxError` gives a `Failed` that says where it was raised; its traceback goes to the
    log.
    """
    try:
        return Done(function(song))
    except ClaviluxError as error:
        return Raised(error)
    except KeyboardInterrupt:
        raise
    except MemoryError:
        logger.info("%s", _traceback())
        return Failed("needs more memory than there is; free some, or use fewer --jobs")
    except BaseException as error:
        logger.info("%s", _traceback())
        return Failed(_describe(error))


class Worker:
    """A process that works on one song at a time, as its caller sees it."""

    def __init__(self, inbox: int, outbox: int, *, pid: int = 0, program: subprocess.Popen[bytes] | None = None):
        self._write_fd, self._read_fd = inbox, outbox
        self._pid = pid
        self._program = program
        _open_workers.add(self)
        self.has_died = False

    @property
    def is_forked(self) -> bool:
        """Whether it is a copy of this process, as it was when the worker was made."""
        return self._program is None

    def give(self, function: Callable[[Any], Any], song: Any) -> None:
        """Send a song to a worker that has none; one that has died is noticed when its outcome is read."""
        content = pickle.dumps((function, song, logger.getEffectiveLevel()), pickle.HIGHEST_PROTOCOL)
        with suppress(BrokenPipeError):
            _write(self._write_fd, content)

    def read(self) -> Outcome | None:
        """Return the outcome of its song, or None if it sent a line of the log, which then is logged.

        Raises
        ------
        EOFError
            The process has ended.
        """
        message = pickle.loads(_read(self._read_fd))
        if isinstance(message, _Log):
            logger.log(message.level, "%s", message.line)
            return None
        assert isinstance(message, Outcome)
        return message

    def explain_death(self) -> str:
        """Return in words how the process ended, after `read` has raised."""
        code = self._program.wait() if self._program is not None else _exit_code(self._pid)
        self.has_died = True
        self._close_pipes()
        if code == -getattr(signal, "SIGKILL", 9):
            return "the system ended its process (SIGKILL), most likely for want of memory; free some, or use --jobs 1"
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"its process crashed ({name}); please report it, with this file if you can"
        return f"its process ended before it was done (exit code {code}); please report it"

    def end(self, *, at_once: bool = False) -> None:
        """Let a worker end.

        With ``at_once`` it is waited for, also where it is a fork: it gets `END_S` to remove what it was writing, then
        is killed.
        """
        if self not in _open_workers:
            return
        self._close_pipes()
        if self._program is None:
            _ended_forks.append(self._pid)
            if at_once:
                _reap(until=time.monotonic() + END_S)
            return
        import subprocess

        with suppress(subprocess.TimeoutExpired):
            self._program.wait(END_S)
        self._program.kill()
        self._program.wait()

    def _close_pipes(self) -> None:
        if self in _open_workers:
            _open_workers.remove(self)
            os.close(self._write_fd)
            os.close(self._read_fd)


def start_worker() -> Worker:
    """Start a process, forked where that is safe.

    Raises
    ------
    OSError
        The system allows no more processes, or has no memory for one.
    """
    _reap()
    return _fork() if can_fork() else _spawn()


def can_fork() -> bool:
    """Return whether a copy of this process can work on: on Linux, where there is no other thread to hold a lock."""
    if sys.platform != "linux":  # macOS has libraries that refuse to work in a fork, Windows has no fork
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def wait_for(workers: Sequence[Worker]) -> list[Worker]:
    """Wait until at least one of the workers has sent something or has ended; return those that have."""
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        while True:
            ready = []
            for worker in workers:
                try:
                    if _winapi.PeekNamedPipe(msvcrt.get_osfhandle(worker._read_fd), 0)[0]:
                        ready.append(worker)
                except OSError:  # the other end is closed
                    ready.append(worker)
            if ready:
                return ready
            time.sleep(0.005)
    import select

    poll = select.poll()
    for worker in workers:
        poll.register(worker._read_fd, select.POLLIN)
    ready_fds = {fd for fd, _ in poll.poll()}
    return [worker for worker in workers if worker._read_fd in ready_fds]


# Starting and ending --------------------------------------------------------------------------------------------------

_open_workers: set[Worker] = set()
_ended_forks: list[int] = []  # processes that were let go and are not known to have ended


def _fork() -> Worker:
    inbox, outbox = os.pipe(), os.pipe()
    try:
        with held_back():  # what is raised in a callback of fork is lost
            pid = os.fork()
            if pid == 0:
                _set_signals()
    except OSError:
        for fd in (*inbox, *outbox):
            os.close(fd)
        raise
    if pid == 0:
        try:
            os.close(inbox[1])
            os.close(outbox[0])
            for other in tuple(_open_workers):  # they would not see their caller end
                other._close_pipes()
            os.dup2(2, 1)  # what a song prints is no result
            sys.stdout = sys.stderr
            serve(inbox[0], outbox[1])
        finally:
            os._exit(1)
    os.close(inbox[0])
    os.close(outbox[1])
    return Worker(inbox[1], outbox[0], pid=pid)


def _spawn() -> Worker:
    import subprocess

    variables = {f"{name}_NUM_THREADS": "1" for name in _ONE_THREAD}
    with held_back():
        program = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, ascii(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variables, "VECLIB_MAXIMUM_THREADS": "1"},
            bufsize=0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # of Windows: no Ctrl-C
        )
    assert program.stdin is not None and program.stdout is not None  # both were asked for
    inbox, outbox = os.dup(program.stdin.fileno()), os.dup(program.stdout.fileno())
    program.stdin.close()
    program.stdout.close()
    return Worker(inbox, outbox, program=program)


def _exit_code(pid: int) -> int:
    """Wait for the end of a forked process; its exit code, or minus the signal that ended it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # the caller ignores SIGCHLD
        return 0


def _reap(*, until: float = 0.0) -> None:
    """Take note of forked processes that have ended; those that have not until then are killed, if a time is given."""
    while True:
        for pid in tuple(_ended_forks):
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    _ended_forks.remove(pid)
            except ChildProcessError:
                _ended_forks.remove(pid)
        if not until or not _ended_forks:
            return
        if time.monotonic() > until:
            for pid in _ended_forks:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            until = 0.0
        time.sleep(0.005)


# In the other process -------------------------------------------------------------------------------------------------


def serve_on_standard_pipes() -> NoReturn:
    """Work for the caller that started this Python, through its standard input and output."""
    inbox, outbox = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what a song prints is no result
    _set_signals()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # they were held back when this process was started
    serve(inbox, outbox)


def serve(inbox: int, outbox: int) -> NoReturn:
    """Work on songs as they come, until the pipe is closed. Never returns."""
    from queue import SimpleQueue
    from threading import Lock, Thread

    from clavilux.system.files import remove_own_temporaries

    lock = Lock()

    def send(message: Outcome | _Log) -> None:
        content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with lock:
            _write(outbox, content)

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            send(_Log(record.levelno, self.format(record)))

    tasks: SimpleQueue[bytes] = SimpleQueue()

    def receive() -> None:
        # In a thread, so that a worker ends with its caller in the middle of a song too.
        try:
            while True:
                tasks.put(_read(inbox))
        except (EOFError, OSError):
            remove_own_temporaries()
            os._exit(0)

    logger.handlers = [Forward()]
    logger.propagate = False
    Thread(target=receive, name="clavilux caller", daemon=True).start()
    try:
        while True:
            task = tasks.get()
            try:
                function, song, level = pickle.loads(task)
                logger.setLevel(level)
                del task
                outcome = attempt(function, song)
                del song
                send(outcome)
            except BrokenPipeError:
                raise
            except BaseException as error:  # it cannot be sent, or imported here, or raised KeyboardInterrupt itself
                logger.info("%s", _traceback())
                send(Failed(_describe(error)))
    finally:  # the caller is gone
        remove_own_temporaries()
        os._exit(0)


def _set_signals() -> None:
    """Leave interrupts to the caller; what else ends a process ends this one."""
    with suppress(ValueError):  # not in the main thread
        signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


# Words and bytes ------------------------------------------------------------------------------------------------------


def _describe(error: BaseException) -> str:
    """Return one line about an exception of a song: a fault of the machine, or one of ours with its place."""
    text = " ".join(str(error).split())
    text = text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + " ..."
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}" if trace is not None else ""
    name = type(error).__name__
    return f"{name}{': ' if text else ''}{text}{place}; this is a fault of Clavilux, please report it"


def _traceback() -> str:
    import traceback

    return traceback.format_exc()


def _write(fd: int, content: bytes) -> None:
    rest = memoryview(_LENGTH.pack(len(content)) + content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _read(fd: int) -> bytes:
    (length,) = _LENGTH.unpack(_read_exactly(fd, _LENGTH.size))
    return _read_exactly(fd, length)


def _read_exactly(fd: int, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        block = os.read(fd, min(length - len(content), 2**20))
        if not block:
            raise EOFError
        content += block
    return bytes(content)
