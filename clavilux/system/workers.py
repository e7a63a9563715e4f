"""Worker processes that process one song at a time, so that a crash affects one song only.

caller: `start_worker` -> pipe -> `_serve` in the worker process -> pipe -> outcome

The caller knows the song of each worker, so it can report which song ended a process. Caller and worker use two pipes,
but no semaphores, shared memory or temporary files, so that a missing or small /dev/shm does not matter. A worker ends
when its pipe is closed, even if this happens because the caller was killed.

On Linux, a worker is a fork of the caller if the caller has a single thread, as a command has: a fork takes
milliseconds, and has all modules imported already. Otherwise, a worker is a new Python process.
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
from typing import TYPE_CHECKING, Any, NoReturn

from clavilux.system.outcomes import Failed, Outcome, attempt, describe_failure
from clavilux.system.signals import SIGNALS, held_back

if TYPE_CHECKING:
    import subprocess

END_S = 0.5  # a worker whose pipe is closed is killed after this time

# Libraries read the environment variable NAME_NUM_THREADS when they are imported; each worker uses one thread.
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMBA", "NUMEXPR")
_LENGTH = struct.Struct("<Q")
_START = (
    "import sys; sys.path[:] = eval(sys.argv[1]); from clavilux.system.workers import _serve_on_standard_pipes;"
    "_serve_on_standard_pipes()"
)

logger = logging.getLogger("clavilux")


@dataclass(frozen=True)
class _Log:
    """A line for the log of the caller."""

    level: int
    line: str


class Worker:
    """The caller's handle of a worker process: a fork with the ID ``pid``, or a new Python process ``program``."""

    def __init__(self, write_fd: int, read_fd: int, *, pid: int = 0, program: subprocess.Popen[bytes] | None = None):
        self._write_fd, self._read_fd = write_fd, read_fd
        self._pid = pid
        self._program = program
        _open_workers.add(self)
        self.has_died = False

    @property
    def is_forked(self) -> bool:
        """Whether the worker is a fork of this process."""
        return self._program is None

    def give(self, function: Callable[[Any], Any], song: Any) -> None:
        """Send a function and a song to an idle worker; if the worker has died, `read` will raise `EOFError`."""
        content = pickle.dumps((function, song, logger.getEffectiveLevel()), pickle.HIGHEST_PROTOCOL)
        with suppress(BrokenPipeError):
            _write(self._write_fd, content)

    def read(self) -> Outcome | None:
        """Read one message from the worker, and return the outcome of its song, or None for a log message.

        A log message is written to the log of this process. An `EOFError` is raised if the worker has ended.
        """
        message = pickle.loads(_read(self._read_fd))
        if isinstance(message, _Log):
            logger.log(message.level, "%s", message.line)
            return None
        assert isinstance(message, Outcome)
        return message

    def explain_death(self) -> str:
        """Return a message for the user that says how the process ended; call it after `read` has raised an error."""
        self.has_died = True
        self._close_pipes()
        code = self._exit_code(wait=True)
        if code == -getattr(signal, "SIGKILL", 9):
            return "the system ended its process (SIGKILL), probably because memory ran out; free some, or use --jobs 1"
        if code is not None and code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"its process crashed ({name}); please report it, with this file if you can"
        return f"its process ended before it was done (exit code {code}); please report it"

    def _exit_code(self, *, wait: bool) -> int | None:
        """Return the exit code of the process, or minus the number of the signal that ended it; None while it runs."""
        if self._program is not None:
            return self._program.wait() if wait else self._program.poll()
        try:
            pid, status = os.waitpid(self._pid, 0 if wait else os.WNOHANG)
        except ChildProcessError:  # this process ignores SIGCHLD
            return 0
        return os.waitstatus_to_exitcode(status) if pid else None

    def _kill(self) -> None:
        if self._program is not None:
            self._program.kill()
        else:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _close_pipes(self) -> None:
        if self in _open_workers:
            _open_workers.remove(self)
            os.close(self._write_fd)
            os.close(self._read_fd)


def start_worker() -> Worker:
    """Start a worker process, as a fork if that is safe, and return its handle.

    An `OSError` is raised if the system allows no more processes or has no memory for one.
    """
    return _fork() if can_fork() else _spawn()


def can_fork() -> bool:
    """Return whether this process can be forked safely: whether it runs on Linux and has a single thread."""
    if sys.platform != "linux":  # some libraries of macOS fail after a fork, Windows has none
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def end_workers(workers: Sequence[Worker]) -> None:
    """Close the pipes of workers, so that they end, and kill those that are still running after `END_S` seconds."""
    for worker in workers:
        worker._close_pipes()
    until = time.monotonic() + END_S
    for worker in workers:
        while not worker.has_died and worker._exit_code(wait=False) is None:
            if time.monotonic() > until:
                worker._kill()
                worker._exit_code(wait=True)
                break
            time.sleep(0.001)


def wait_for(workers: Sequence[Worker]) -> list[Worker]:
    """Return the workers that have sent a message or have ended; wait until there is at least one."""
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


def _fork() -> Worker:
    inbox, outbox = os.pipe(), os.pipe()
    try:
        with held_back():  # an exception in a callback of fork would be lost
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
            for other in tuple(_open_workers):  # else they would not notice the end of their caller
                other._close_pipes()
            os.dup2(2, 1)  # stdout is the pipe for results
            sys.stdout = sys.stderr
            _serve(inbox[0], outbox[1])
        finally:
            os._exit(1)
    os.close(inbox[0])
    os.close(outbox[1])
    return Worker(inbox[1], outbox[0], pid=pid)


def _spawn() -> Worker:
    import subprocess

    variables = {f"{name}_NUM_THREADS": "1" for name in _ONE_THREAD} | {"VECLIB_MAXIMUM_THREADS": "1"}
    with held_back():
        program = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, ascii(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variables},
            bufsize=0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # on Windows: no Ctrl-C
        )
    assert program.stdin is not None and program.stdout is not None  # both are pipes
    inbox, outbox = os.dup(program.stdin.fileno()), os.dup(program.stdout.fileno())
    program.stdin.close()
    program.stdout.close()
    return Worker(inbox, outbox, program=program)


# In the worker process ------------------------------------------------------------------------------------------------


def _serve_on_standard_pipes() -> NoReturn:
    """Receive songs on standard input and send outcomes to standard output; called in a new Python process."""
    inbox, outbox = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # stdout is the pipe for results
    _set_signals()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # they were blocked when this process was started
    _serve(inbox, outbox)


def _serve(inbox: int, outbox: int) -> NoReturn:
    """Process songs from the pipe ``inbox``, and send outcomes to the pipe ``outbox``, until ``inbox`` is closed."""
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
        # In a thread, so that a worker ends with its caller also while it processes a song.
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
            except BaseException as error:  # not picklable or importable, or KeyboardInterrupt
                send(Failed(describe_failure(error)))
    finally:  # the caller has ended
        remove_own_temporaries()
        os._exit(0)


def _set_signals() -> None:
    """Ignore SIGINT, which the caller handles, and use the default handlers of SIGTERM and SIGHUP."""
    with suppress(ValueError):  # not in the main thread
        signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


# Messages -------------------------------------------------------------------------------------------------------------


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
