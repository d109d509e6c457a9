"""What of a retail file the log has already: each operation has keys made of its content; the log is asked for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from opscore.domain.order import Order
from opscore.imports.online_retail_file import (
    BadDebt,
    Cancellation,
    Row,
    Sale,
    StockChange,
    sku_code,
)
from opscore.imports.reader import digest
from opscore.log.event_log import EventLog


def content(row: Row) -> str:
    """Return all that a row says, in one line of text."""
    return "\x1f".join(row.cells)


def content_digest(rows: list[Row]) -> str:
    """Return a short name for what these rows say, in this order."""
    return digest(*map(content, rows))


class Booked:
    """Answers, operation by operation, what of it is still to be booked, and under which key.

    An invoice is known by its number and its rows. One that was booked with other rows before keeps what is on record:
    rows that are new to it become a supplementary order, `<invoice>+1`; a row that it no longer has stays booked. A
    cancellation with other rows than before is not booked again: its difference is for a person to judge.
    """

    def __init__(self, known: Mapping[str, UUID | None], prefix: str, log: EventLog) -> None:
        """Use what the log knows: keys that begin with `prefix`, each with the stream that its command began."""
        self._known = known
        self._prefix = prefix
        self._log = log
        self._orders: dict[str, list[UUID]] = {}
        """Invoice number -> the orders that it was booked as."""
        self._parts: dict[tuple[str, str], set[str]] = {}
        """(cancellation number, digest) -> its parts that are booked, as 'part/parts'."""
        self._cancellations: set[str] = set()
        self.has_no_rows = True
        """Whether no row of any file has been booked yet."""
        for key, stream_id in known.items():
            kind, _, rest = key.removeprefix(prefix).partition(":")
            if kind in ("sale", "return", "stock", "expense"):
                self.has_no_rows = False
            if kind == "sale" and stream_id is not None:
                self._orders.setdefault(rest.partition(":")[0], []).append(stream_id)
            elif kind == "return":
                number, name, part = rest.split(":")
                self._cancellations.add(number)
                self._parts.setdefault((number, name), set()).add(part)
        self._occurrences: Counter[str] = Counter()

    def begin_reading(self) -> None:
        """Start at the first row of the file again."""
        self._occurrences.clear()

    def key(self, kind: str, *parts: object) -> str:
        """Return the idempotency key of a command: the same content has the same key in every file."""
        return self._prefix + ":".join((kind, *map(str, parts)))

    def sale_key(self, sale: Sale) -> str:
        """Return the key of an invoice."""
        return self.key("sale", sale.invoice, content_digest(sale.rows))

    def return_key(self, cancellation: Cancellation, part: int, parts: int) -> str:
        """Return the key of one of the commands that a cancellation takes: one for each order it takes back from."""
        rows = [line.row for line in cancellation.lines]
        return self.key("return", cancellation.invoice, content_digest(rows), f"{part}/{parts}")

    def row_key(self, operation: StockChange | BadDebt) -> str:
        """Return the key of a row that is booked by itself; of equal rows each has its own. Ask once a reading."""
        name = content_digest([operation.row])
        self._occurrences[name] += 1
        kind = "expense" if isinstance(operation, BadDebt) else "stock"
        return self.key(kind, operation.row.invoice, name, self._occurrences[name])

    def has(self, key: str) -> bool:
        """Say whether the log has what the command of this key books."""
        return key in self._known

    def is_new_invoice(self, sale: Sale) -> bool:
        """Say whether nothing of this invoice has been booked before."""
        return sale.invoice not in self._orders

    def supplement(self, sale: Sale) -> Sale | None:
        """Return the rows of an invoice that its orders do not have, as an order of its own; None when there are none.

        Rows are compared by code, quantity and price, two equal rows being two.
        """
        order_ids = self._orders[sale.invoice]
        recorded: Counter[tuple[str, Decimal, Decimal]] = Counter()
        for order_id in order_ids:
            order = self._log.aggregate(Order, order_id)
            assert order is not None
            recorded.update((line.sku_code, line.ordered, line.unit_price) for line in order.lines)
        rows = []
        for row in sale.rows:
            line = (sku_code(row.code), Decimal(row.quantity), row.price)
            if recorded[line]:
                recorded[line] -= 1
            else:
                rows.append(row)
        if not rows:
            return None
        return Sale(f"{sale.invoice}+{len(order_ids)}", sale.at, sale.customer, sale.country, rows)

    def cancellation_state(self, cancellation: Cancellation) -> str:
        """Return 'new', 'booked', 'part' (interrupted in the midst of it) or 'differs' (booked with other rows)."""
        number = cancellation.invoice
        if number not in self._cancellations:
            return "new"
        name = content_digest([line.row for line in cancellation.lines])
        parts = self._parts.get((number, name))
        if parts is None:
            return "differs"
        total = int(next(iter(parts)).partition("/")[2])
        return "booked" if len(parts) == total else "part"
