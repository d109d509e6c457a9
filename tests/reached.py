"""Waits in a test until a read model has taken in a position."""

from __future__ import annotations

import time

from opscore.projector import Behind, Projector


def wait_for(projector: Projector, name: str, position: int, seconds_max: float = 60.0) -> None:
    """Return once what serves as `name` has taken in a position."""
    until = time.monotonic() + seconds_max
    while True:
        try:
            return projector.read(name, lambda _: None, store_ids=None, at_least=position)
        except Behind as behind:
            assert time.monotonic() < until, behind
            time.sleep(0.01)
