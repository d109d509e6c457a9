"""Names that somebody misspelt: which one was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def hint(given: str, known: Iterable[str]) -> str:
    """Return " (did you mean ...?)" with the known name that is nearest to a given one, to follow it in a message.

    Letter case does not count; empty when nothing is near.
    """
    spelt = {name.casefold(): name for name in known}
    near = get_close_matches(given.casefold(), spelt, n=1)
    return f" (did you mean {spelt[near[0]]}?)" if near else ""
