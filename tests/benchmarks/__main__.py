"""Runs every benchmark, or those named: `python -m tests.benchmarks writer verify`. Prints; nothing passes or fails."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> None:
    """Import and run `bench_<name>.main()` for each name, in alphabetical order by default."""
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    wanted = sys.argv[1:] or known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(known)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores. Machines differ: read the ratios.")
    for name in wanted:
        importlib.import_module(f"tests.benchmarks.bench_{name}").main()


if __name__ == "__main__":
    main()
