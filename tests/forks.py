"""Words of `opscore` in processes of their own, which begin where the program has been loaded already.

Loading takes longer than most words do, and tests start hundreds. So one process loads the program once for all tests
of a process, and forks for each word: what is forked has arguments, environment, folder and output of its own, can be
signalled and killed like any other process, and ends as the interpreter ends. Whole starts are those of the README, of
the demonstration, and of the tests of loading itself.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import opscore

ROOT = Path(__file__).parents[1]
_NUMBER = struct.Struct("!i")


class Word:
    """A word that has begun, with as much of `subprocess.Popen` as tests need."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self.pid = self._number()
        self.returncode: int | None = None

    def _number(self) -> int:
        told = self._link.recv(_NUMBER.size, socket.MSG_WAITALL)
        assert len(told) == _NUMBER.size, "the process that forks for words has ended"
        number: int = _NUMBER.unpack(told)[0]
        return number

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended, or the negative number of the signal that ended it.

        Raises subprocess.TimeoutExpired after `timeout` seconds.
        """
        if self.returncode is None:
            if not select.select([self._link], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("opscore", timeout or 0)
            self.returncode = self._number()
            self._link.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def begin(words: Sequence[str], environment: Mapping[str, str], folder: Path, out: IO[Any], err: IO[Any]) -> Word:
    """Begin a word in this environment and folder; what it writes goes to these files."""
    link, other_end = socket.socketpair()
    with other_end:
        socket.send_fds(_control(), [b"."], [other_end.fileno(), out.fileno(), err.fileno()])
    link.sendall(json.dumps({"words": words, "environment": dict(environment), "folder": str(folder)}).encode())
    link.shutdown(socket.SHUT_WR)
    return Word(link)


def run(
    words: Sequence[str], environment: Mapping[str, str], folder: Path = Path("/"), seconds_max: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a word to its end; return how it ended and what it wrote."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out, tempfile.TemporaryFile("w+", encoding="utf-8") as err:
        word = begin(words, environment, folder, out, err)
        try:
            code = word.wait(seconds_max)
        finally:
            word.send_signal(signal.SIGKILL)
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(["opscore", *words], code, out.read(), err.read())


@functools.cache
def _control() -> socket.socket:
    """Start the process that forks, and return what it is asked through; it ends when this process does."""
    here, there = socket.socketpair()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(there.fileno())],
            # As bare as that of the words: some of what is loaded looks at it.
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
        )

    def end() -> None:
        here.close()
        process.wait()

    atexit.register(end)
    return here


# The process that forks ----------------------------------------------------------------------------------------------


def _load_everything() -> None:
    """Import every module, and make what a server makes of code and folders alone."""
    for found in pkgutil.walk_packages(opscore.__path__, "opscore."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
    from opscore import kpis
    from opscore.api.schema import build_schema

    build_schema()
    kpis.load()  # Reads the projections that figures rest on, too.
    gc.collect()
    gc.freeze()  # Shared with whatever is forked as long as nobody looks for dead objects in it.


def _fork_for_words(control: socket.socket) -> None:
    """Fork for each word that is asked for; return in what was forked, once it is as if it had been started so."""
    running: dict[int, socket.socket] = {}
    woken, waker = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests.
    while True:
        for ready in select.select([control, woken], [], [])[0]:
            if ready is woken:
                os.read(woken, 512)
                _tell_of_ends(running)
                continue
            asked, handles, _, _ = socket.recv_fds(control, 1, 3)
            if not asked:
                sys.exit()
            link = socket.socket(fileno=handles[0])
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for handle in (woken, waker):
                    os.close(handle)
                for other in (control, *running.values()):
                    other.close()
                _become(link, *handles[1:])
                return
            running[pid] = link
            link.sendall(_NUMBER.pack(pid))
            for handle in handles[1:]:
                os.close(handle)


def _tell_of_ends(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as link:
            link.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _become(link: socket.socket, out: int, err: int) -> None:
    with link, link.makefile("rb") as request:
        asked = json.loads(request.read())
    for handle, standard in ((out, 1), (err, 2)):
        os.dup2(handle, standard)
        os.close(handle)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[:] = ["opscore", *asked["words"]]


if __name__ == "__main__":
    _load_everything()
    _fork_for_words(socket.socket(fileno=int(sys.argv[1])))
    from opscore.cli import main

    main()
