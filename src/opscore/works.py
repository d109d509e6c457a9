"""Long work on read models that somebody asked a server for, apart from the threads that answer questions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import structlog

from opscore.logs import exception_facts
from opscore.projector import ProjectionRefused

AT_ONCE_MAX = 3

logger = structlog.get_logger("opscore.works")


class Works:
    """Runs a few pieces of work at once; what is asked for while it runs is not begun again."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="opscore-work")
        self._running: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()
        self._stopping = False

    def begin(self, name: str, work: Callable[[Callable[[], bool]], Any]) -> Future[Any]:
        """Begin the work called `name`, or join it where it runs already; return its result to come.

        work: takes what says whether to stop, to be asked between steps.
        """
        with self._lock:
            running = self._running.get(name)
            if running is None:
                running = self._running[name] = self._threads.submit(self._run, name, work)
            return running

    def _run(self, name: str, work: Callable[[Callable[[], bool]], Any]) -> Any:
        try:
            return work(lambda: self._stopping)
        except ProjectionRefused as refused:
            logger.warning("work_refused", work=name, reason=str(refused))
            raise
        except Exception as error:
            logger.error("work_failed", work=name, **exception_facts(error))
            raise
        finally:
            with self._lock:
                self._running.pop(name, None)

    def stop(self) -> None:
        """Ask all work to stop after its step and wait for it; what was done stays done."""
        self._stopping = True
        self._threads.shutdown(wait=True, cancel_futures=True)
