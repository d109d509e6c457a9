"""Work that goes on beside the requests of a process, each kind on a thread of its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Background(ABC):
    """A thread that looks for work until it is stopped: at once when it is hinted at some, and now and then anyway.

    It can end at any moment with its process. So what it works on has to stand in the database, where the next start,
    or another process that runs the same, takes it up.
    """

    def __init__(self, name: str) -> None:
        """name: of the thread, as debuggers and logs show it."""
        self._name = name
        self._hint = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with a first look now."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def hint(self) -> None:
        """Say that there may be something to do; cheap, from any thread."""
        self._hint.set()

    def stop(self, timeout_seconds: float | None = None) -> None:
        """Finish what is under way, or leave it whole to others, and end the thread; returns when it has ended.

        timeout_seconds: how long to wait for that; None for as long as it takes.
        """
        self._stopping = True
        self._hint.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    @property
    def is_alive(self) -> bool:
        """Say whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @abstractmethod
    def _run(self) -> None:
        """Look for work and do it, round after round, until `_stopping`. A round that an error ends is no end."""
