"""The orders of a customer are found in the log itself: nobody is erased while something is on its way to them.

A read model may be behind, and a decision has to know.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ORDERS = """
CREATE INDEX events_orders_of_customer ON events (((data->>'customer_id')::uuid)) WHERE type = 'OrderPlaced';
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(ORDERS)
