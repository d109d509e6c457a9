"""Small Online Retail files for tests, and the class of every row as DuckDB computes it from the same file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb

HEADER = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"

TYPED_ROWS = """
CREATE OR REPLACE TABLE retail AS
SELECT row_number() OVER () AS line_no, Invoice AS invoice, StockCode AS code, Description AS description,
    CAST(Quantity AS BIGINT) AS quantity,
    CAST(InvoiceDate AS TIMESTAMP) AS ts, CAST(InvoiceDate AS TIMESTAMP)::DATE AS day,
    CAST(Price AS DECIMAL(18, 3)) AS price, CAST(CAST("Customer ID" AS DOUBLE) AS BIGINT) AS customer,
    Country AS country, regexp_full_match(StockCode, '[0-9]{5}[A-Za-z]*') AS goods,
    CASE WHEN Invoice LIKE 'A%' THEN 'bad_debt' WHEN Invoice LIKE 'C%' THEN 'cancellation'
         WHEN CAST(Quantity AS BIGINT) < 0 THEN 'stock_adjust' WHEN CAST(Price AS DECIMAL(18, 3)) = 0 THEN 'zero_price'
         ELSE 'sale' END AS class,
    -- What is booked: the exact amount rounded half-even to the penny, once a row.
    CAST(round_even(CAST(Quantity AS BIGINT) * CAST(Price AS DECIMAL(18, 3)) * 100, 0) AS BIGINT) AS minor
FROM read_csv(
    ?, header = true, all_varchar = true, quote = '"', escape = '"', delim = ',', nullstr = '', parallel = false)
"""


def write_rows(file: Path, *lines: str) -> Path:
    """Write a CSV file (gzipped when its name ends so) of these data rows and return its path."""
    text = "\n".join((HEADER, *lines)) + "\n"
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text, encoding="utf-8")
    return file


def as_table(file: Path) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection with the table `retail`: the file's rows, typed, each with its class."""
    connection = duckdb.connect()
    connection.execute(TYPED_ROWS, [str(file)])
    return connection


def figures(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows that DuckDB answers."""
    return connection.execute(query, list(values)).fetchall()
