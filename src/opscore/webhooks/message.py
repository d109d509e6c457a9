"""What a webhook carries: an event as the API's question `events` shows it, without anything personal.

The API shows personal fields as ciphertext to those who may read the log. A receiver outside gets null in their place:
when a person is erased, nothing of them may lie about elsewhere, not even sealed.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from opscore.api.ids import AGGREGATE_NAMES, global_id
from opscore.api.scalars import serialize_date_time
from opscore.log.event_log import LoggedEvent
from opscore.log.event_types import event_type, event_types

PING = "webhook.ping"
"""Type of the message that only tries whether a receiver is there."""


def message_id(webhook_id: UUID, position: int) -> str:
    """Return the id of a message: the same each time this event goes to this webhook, so that repeats are known."""
    return f"msg_{webhook_id.hex}_{position}"


def body_of(event: LoggedEvent) -> bytes:
    """Return the JSON of an event.

    Raises UnknownEventType for what a newer program wrote: this one cannot tell what of it is personal.
    """
    known = event.stream_type in AGGREGATE_NAMES
    occurred_at = serialize_date_time(event.occurred_at)
    data = {
        "id": str(event.id),
        "position": event.position,
        "type": event.type,
        "schemaVersion": event.schema_version,
        "streamId": str(event.stream_id),
        "streamType": event.stream_type,
        "aggregateId": global_id(event.stream_type, event.stream_id) if known else None,
        "version": event.version,
        "storeId": global_id("Store", event.store_id),
        "occurredAt": occurred_at,
        "recordedAt": serialize_date_time(event.recorded_at),
        "timeZone": event.time_zone,
        "actor": event.actor,
        "role": None if event.role is None else event.role.upper(),
        "origin": event.origin,
        "idempotencyKey": event.idempotency_key,
        "correlationId": event.correlation_id,
        "causationPosition": event.causation_position,
        "data": impersonal(event),
        "hash": bytes(event.hash).hex(),
    }
    return _body(event.type, occurred_at, data)


def ping_body(webhook_id: UUID, at: str) -> bytes:
    """Return the JSON of a ping. at: RFC 3339."""
    return _body(PING, at, {"webhookId": str(webhook_id)})


def _body(type_: str, timestamp: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": type_, "timestamp": timestamp, "data": data})


def impersonal(event: LoggedEvent) -> dict[str, Any]:
    """Return an event's data with null for what is personal. Raises UnknownEventType; see `body_of`."""
    event_type(event.type, event.schema_version)
    fields = {field.name: field for field in event_types()[event.type].fields}
    # Of an old shape only what is still called the same is known to be nobody's.
    return {name: value if name in fields and not fields[name].personal else None for name, value in event.data.items()}
