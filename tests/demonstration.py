"""A running demonstration for tests: `opscore demo` as a person starts it, with its output, tokens and address."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests import forks
from tests.conftest import new_folder

ROOT = Path(__file__).parents[1]


@dataclass
class Demonstration:
    """`opscore demo` in a folder and on a port of its own."""

    folder: Path = field(default_factory=lambda: new_folder("opscore-demo-"))
    port: int = field(default_factory=lambda: free_port())
    root: Path = ROOT
    """The repository whose code and projections it runs."""
    output: str = ""
    first_output: str = ""
    """What the start that imported its data wrote."""
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the shell of the person who runs it holds."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.root / "src"),
            "OPSCORE_DATA_DIR": str(self.folder / "data"),
            "OPSCORE_PORT": str(self.port),
        }

    def words(self, *words: str, code: int = 0) -> str:
        """Run another word of opscore, of this repository, beside it; return what it wrote."""
        done = forks.run(words, self.environment, self.folder, seconds_max=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def take(self, imported: Path) -> None:
        """Take the data that `imported_once` returned, instead of importing the same ones again."""
        # Python's own copying forgets who a file belongs to, and PostgreSQL is particular about that.
        subprocess.run(["cp", "-a", imported / "data", self.folder], check=True)
        self.first_output = (imported / "output").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it is ready."""
        log = (self.folder / "output").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "opscore.cli", "demo"],
            env=self.environment,
            cwd=self.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        until = time.monotonic() + 300
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz", verify=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            raise AssertionError((self.folder / "output").read_text(encoding="utf-8"))
        self.output = (self.folder / "output").read_text(encoding="utf-8")
        log.close()

    def interrupt(self) -> int:
        """Press Ctrl-C; return how it ended."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def token(self, role: str) -> str:
        """Return the token that was printed for a role."""
        (found,) = re.findall(rf"^{role} +(opscore_\S+)$", self.output, re.MULTILINE)
        return str(found)

    def ask(self, role: str, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a document as somebody; return the data of an answer without errors."""
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/graphql",
            json={"query": query, "variables": variables or {}},
            headers={"Authorization": f"Bearer {self.token(role)}"},
        )
        body = answer.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    def close(self) -> None:
        """End it and delete its folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        shutil.rmtree(self.folder)


def imported_once(shared: Path) -> Path:
    """Return a folder with a demonstration's `data`, at rest, and the `output` of the first start, which made them.

    That takes half a minute, so it is done by whichever test process asks first; others wait for it.
    """
    made = shared / "demonstration"
    with (shared / "demonstration.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        if not made.exists():
            first = Demonstration(folder=Path(tempfile.mkdtemp(dir=shared)))
            with (first.folder / "output").open("w", encoding="utf-8") as output:
                subprocess.run(
                    [sys.executable, "-m", "opscore.cli", "demo", "--once"],
                    env=first.environment, cwd=first.folder, stdout=output, stderr=subprocess.STDOUT, timeout=300,
                    check=True,
                )  # fmt: skip
            assert not list((first.folder / "data").glob("*/postmaster.pid")), "its PostgreSQL still runs"
            first.folder.rename(made)
    return made


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
