"""Cut whole days out of the Online Retail II file; how the bundled slice was made (src/opscore/data/ATTRIBUTION.md).

python tests/tools/cut_online_retail.py online_retail_ii_2009_2010.csv.gz 2010-04-12 2010-05-09 \
    src/opscore/data/online_retail_slice.csv.gz
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path


def cut(source: Path, first_day: str, last_day: str, target: Path) -> int:
    """Copy the header and the rows of the days `first_day` to `last_day` (ISO, inclusive) unchanged; return the rows.

    The result is the same to the last byte each time: the gzip header carries no time and no name.
    """
    copied = 0
    with (
        gzip.open(source, "rt", encoding="utf-8", newline="") as lines,
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=9) as out,
    ):
        out.write(next(lines).encode())
        for line in lines:
            # The date is the fourth cell from the end; no cell after it holds a comma.
            day = line.rsplit(",", 4)[1][:10]
            if first_day <= day <= last_day:
                out.write(line.encode())
                copied += 1
    return copied


if __name__ == "__main__":
    rows = cut(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    print(f"{rows:,} rows")
