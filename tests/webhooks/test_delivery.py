"""What a receiver gets: everything it asked for, signed, in order; and what happens while it takes nothing."""

from __future__ import annotations

import itertools
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from opscore import resources
from opscore.database import Database
from opscore.domain.customer_commands import SetContactCard
from opscore.domain.order_commands import PayOrder
from opscore.domain.refusals import WrongState
from opscore.log.event_log import EventFilter, EventLog, LoggedEvent
from opscore.log.event_types import UnknownEventType, event_types
from opscore.webhooks.book import WebhookBook
from opscore.webhooks.delivery import DEAD_IN_ROW_MAX, LONGEST_WAIT_SECONDS, Delivery, wait_seconds
from opscore.webhooks.message import body_of
from tests.shop import OWNER, Shop
from tests.webhooks.conftest import Post
from tests.webhooks.receiver import Message, Receiver, verified


def test_events_come_signed_in_the_order_of_the_log_each_once(post: Post, shop: Shop, receiver: Receiver) -> None:
    answer = post.register(receiver.url, after=0)
    sku = shop.sku()
    shop.do(shop.order((sku, 1)))
    post.delivery.run_until_idle()

    assert receiver.positions == post.events()
    assert len({message.id for message in receiver.messages}) == len(receiver.messages)
    assert answer.secret is not None and answer.secret.startswith("whsec_")
    for message in receiver.messages:
        assert verified(answer.secret, message.headers, message.body)
        assert message.headers["webhook-timestamp"] == str(int(post.clock.at.timestamp()))
        assert message.headers["content-type"] == "application/json"
        assert message.content["type"] == message.content["data"]["type"]
        assert message.content["timestamp"] == message.content["data"]["occurredAt"]
    post.delivery.run_until_idle()
    assert receiver.positions == post.events()


def test_a_message_that_was_altered_is_not_verified(post: Post, shop: Shop, receiver: Receiver) -> None:
    secret = post.register(receiver.url, after=0).secret
    post.delivery.run_until_idle()
    message = receiver.messages[0]

    assert secret is not None and verified(secret, message.headers, message.body)
    assert not verified(secret, message.headers, message.body.replace(b"live", b"LIVE"))
    for header, value in (("webhook-id", "msg_other"), ("webhook-timestamp", "1")):
        assert not verified(secret, {**message.headers, header: value}, message.body)
    assert not verified("whsec_" + "A" * 44, message.headers, message.body)


def test_a_webhook_that_names_no_position_begins_now(post: Post, shop: Shop, receiver: Receiver) -> None:
    before = post.events()
    post.register(receiver.url)
    shop.sku()
    post.delivery.run_until_idle()

    assert receiver.positions == post.events()[len(before) :]


def test_only_what_was_asked_for_comes(post: Post, shop: Shop, receiver: Receiver) -> None:
    other = Shop.open(shop.writer, name="Another shop")
    post.register(receiver.url, types=["SkuListed", "StockReceived"], store_ids=[shop.store_id], after=0)
    shop.sku()
    other.sku()
    post.delivery.run_until_idle()

    log = EventLog(post.database.pool.connection)
    wanted = log.select(EventFilter(store_ids=[shop.store_id], types=("SkuListed", "StockReceived")))
    assert len(wanted) == 2
    assert receiver.positions == [event.position for event in wanted]
    assert post.one(post.book.listed(OWNER)[0].id).position == post.events()[-1]


def test_imported_history_comes_only_where_it_is_asked_for(post: Post, shop: Shop) -> None:
    with Receiver() as plain, Receiver() as eager:
        post.register(plain.url, "plain", after=0)
        post.register(eager.url, "eager", after=0, with_imports=True)
        with post.database.connect("admin") as connection:
            connection.execute("ALTER TABLE events DISABLE TRIGGER events_only_grow")
            connection.execute("UPDATE events SET origin = 'import' WHERE position = 2")
        post.delivery.run_until_idle()

        assert eager.positions == post.events()
        assert plain.positions == [position for position in post.events() if position != 2]


def test_nothing_personal_leaves_the_house_not_even_sealed(post: Post, shop: Shop, receiver: Receiver) -> None:
    customer = shop.customer()
    shop.do(SetContactCard(customer_id=customer, consent=True, name="Anna Meier", email="anna@example.org"))
    post.register(receiver.url, types=["ContactCardSet"], after=0)
    post.delivery.run_until_idle()

    [message] = receiver.messages
    assert message.content["data"]["data"]["card"] is None
    assert b"Anna" not in message.body
    with post.database.connect() as connection:
        row = connection.execute("SELECT data->>'card' FROM events WHERE type = 'ContactCardSet'").fetchone()
    assert row is not None and row[0].startswith("v1.") and row[0].encode() not in message.body


def logged(type_: str, data: dict[str, Any], version: int = 1) -> LoggedEvent:
    """Return an event as it might lie in the log."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    store = UUID(int=7)
    return LoggedEvent(
        5,
        UUID(int=1),
        2,
        "Order",
        type_,
        version,
        store,
        at,
        at,
        "UTC",
        "a",
        "live",
        "k",
        None,
        None,
        data,
        b"\x00" * 32,
    )


@pytest.mark.parametrize("name", sorted(event_types()))
def test_of_every_event_what_is_declared_personal_is_null_and_the_rest_is_there(name: str) -> None:
    published = json.loads((resources.path("schema") / "events" / f"{name}.v1.json").read_text(encoding="utf-8"))
    sent = json.loads(body_of(logged(name, published["sample"])))["data"]["data"]

    assert sent == {
        field: None if field in published["personal"] else value for field, value in published["sample"].items()
    }


def test_an_event_of_a_newer_program_is_not_sent_by_an_older_one() -> None:
    for event in (logged("OrderTeleported", {}), logged("OrderPlaced", {}, version=99)):
        with pytest.raises(UnknownEventType):
            body_of(event)


# Failures ------------------------------------------------------------------------------------------------------------


def test_what_is_not_taken_holds_up_what_follows_and_comes_again_under_its_id(
    post: Post, shop: Shop, receiver: Receiver
) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    replies = itertools.chain([(500, {}), (503, {})], itertools.repeat((200, {})))
    receiver.reply = lambda message: next(replies)
    post.delivery.run_until_idle()
    assert receiver.positions == [1]
    waiting = post.one(webhook_id)
    assert (waiting.attempts, waiting.last_error, waiting.position) == (1, "answered with status 500", 0)
    assert waiting.due_at == post.clock.at + timedelta(seconds=5)

    post.clock.go(4.9)
    post.delivery.run_until_idle()
    assert receiver.positions == [1]
    post.clock.go(0.1)
    post.delivery.run_until_idle()
    assert receiver.positions == [1, 1]
    assert post.one(webhook_id).due_at == post.clock.at + timedelta(seconds=15)
    post.clock.go(15)
    post.delivery.run_until_idle()

    assert receiver.positions == [1, 1, *post.events()]
    assert len({message.id for message in receiver.messages[:3]}) == 1
    stamps = [message.headers["webhook-timestamp"] for message in receiver.messages[:3]]
    assert len(set(stamps)) == 3, "each try carries the time of that try"
    assert post.one(webhook_id).attempts == 0


def test_waits_grow_and_half_of_each_is_left_to_chance() -> None:
    assert [wait_seconds(tries, 1.0) for tries in (1, 2, 3, 4)] == [5, 15, 45, 135]
    assert [wait_seconds(tries, 0.0) for tries in (1, 2)] == [2.5, 7.5]
    assert wait_seconds(30, 1.0) == LONGEST_WAIT_SECONDS


def test_a_receiver_says_how_long_to_leave_it_alone(post: Post, shop: Shop, receiver: Receiver) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    receiver.reply = lambda message: (429, {"Retry-After": "600"})
    post.delivery.run_until_idle()
    assert post.one(webhook_id).due_at == post.clock.at + timedelta(seconds=600)


@pytest.mark.parametrize("header", ["-5", "Wed, 21 Oct 2030 07:28:00 GMT", "9" * 40, ""])
def test_a_wait_that_makes_no_sense_is_not_waited(post: Post, shop: Shop, receiver: Receiver, header: str) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    receiver.reply = lambda message: (503, {"Retry-After": header})
    post.delivery.run_until_idle()
    assert post.one(webhook_id).due_at == post.clock.at + timedelta(seconds=5)


def try_out(post: Post) -> None:
    """Let all the tries of one event pass."""
    for _ in range(4):
        post.delivery.run_until_idle()
        post.clock.go(LONGEST_WAIT_SECONDS)


def test_an_event_is_put_aside_after_its_last_try_and_the_next_goes_on(
    post: Post, shop: Shop, receiver: Receiver
) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    receiver.reply = lambda message: (500 if message.position == 2 else 200, {})
    try_out(post)

    assert receiver.positions == [1, 2, 2, 2, 2, *post.events()[2:]]
    [dead] = post.book.dead_letters(OWNER, webhook_id)
    assert (dead.position, dead.attempts, dead.error, dead.waits) == (2, 4, "answered with status 500", False)
    assert post.one(webhook_id).dead_letters == 1

    # Tried once more in vain it stays; then it is taken, and is no dead letter any more.
    assert post.book.redeliver(OWNER, webhook_id, [2, 77])[1] == 1
    post.delivery.run_until_idle()
    assert receiver.positions[-1] == 2
    [dead] = post.book.dead_letters(OWNER, webhook_id)
    assert (dead.attempts, dead.waits) == (5, False)
    receiver.reply = lambda message: (200, {})
    assert post.book.redeliver(OWNER, webhook_id)[1] == 1
    post.delivery.run_until_idle()
    assert post.book.dead_letters(OWNER, webhook_id) == []
    ids = {message.id for message in receiver.messages if message.position == 2}
    assert len(ids) == 1


def test_a_receiver_that_takes_nothing_switches_its_webhook_off_and_nothing_is_lost(
    post: Post, shop: Shop, receiver: Receiver
) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    receiver.reply = lambda message: (500, {})
    for _ in range(DEAD_IN_ROW_MAX):
        try_out(post)
    off = post.one(webhook_id)
    assert (off.state, off.position) == ("disabled", DEAD_IN_ROW_MAX)
    assert off.reason == "3 events in a row were not taken; the last: answered with status 500"
    came = len(receiver.messages)
    try_out(post)
    assert len(receiver.messages) == came
    with pytest.raises(WrongState):
        post.book.redeliver(OWNER, webhook_id)

    receiver.reply = lambda message: (200, {})
    assert post.book.resume(OWNER, webhook_id).webhook.state == "active"
    post.book.redeliver(OWNER, webhook_id)
    post.delivery.run_until_idle()
    assert sorted(receiver.positions[came:]) == post.events()


def test_who_is_gone_gets_nothing_more(post: Post, shop: Shop, receiver: Receiver) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    receiver.reply = lambda message: (410, {})
    post.delivery.run_until_idle()
    post.clock.go(LONGEST_WAIT_SECONDS)
    post.delivery.run_until_idle()

    assert receiver.positions == [1]
    off = post.one(webhook_id)
    assert (off.state, off.position, off.dead_letters) == ("disabled", 0, 0)
    assert off.reason is not None and "410" in off.reason


def test_nobody_listens_and_that_is_a_failure_like_any_other(post: Post, shop: Shop) -> None:
    with Receiver() as gone:
        url = gone.url
    webhook_id = post.register(url, after=0).webhook.id
    post.delivery.run_until_idle()
    found = post.one(webhook_id)
    assert found.attempts == 1 and found.last_error is not None and "ConnectError" in found.last_error


def test_one_receiver_that_fails_does_not_hold_up_another(post: Post, shop: Shop, receiver: Receiver) -> None:
    with Receiver(lambda message: (500, {})) as failing:
        post.register(failing.url, "failing", after=0)
        post.register(receiver.url, "well", after=0)
        post.delivery.run_until_idle()
    assert receiver.positions == post.events()


# Pausing, secrets ----------------------------------------------------------------------------------------------------


def test_a_paused_webhook_keeps_its_place(post: Post, shop: Shop, receiver: Receiver) -> None:
    webhook_id = post.register(receiver.url).webhook.id
    assert post.book.pause(OWNER, webhook_id).webhook.state == "paused"
    before = len(post.events())
    shop.sku()
    post.delivery.run_until_idle()
    assert receiver.messages == []
    assert post.one(webhook_id).reason == "paused by owner"

    post.book.resume(OWNER, webhook_id)
    post.delivery.run_until_idle()
    assert receiver.positions == post.events()[before:]


def test_a_deleted_webhook_sends_nothing_and_its_secrets_are_gone(post: Post, shop: Shop, receiver: Receiver) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    post.book.delete(OWNER, webhook_id)
    post.delivery.run_until_idle()

    assert receiver.messages == [] and post.book.listed(OWNER) == []
    with post.database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM webhook_secrets").fetchone() == (0,)


def test_while_a_secret_is_changed_both_sign_and_afterwards_the_new_one_alone(
    post: Post, shop: Shop, receiver: Receiver
) -> None:
    answer = post.register(receiver.url)
    webhook_id, old = answer.webhook.id, answer.secret
    rotated = post.book.rotate(OWNER, webhook_id, "r1", timedelta(hours=2))
    new = rotated.secret
    again = post.book.rotate(OWNER, webhook_id, "r1", timedelta(hours=2))
    assert (again.secret, again.replayed) == (None, True)
    assert old is not None and new is not None and old != new

    def signs() -> tuple[bool, bool, int]:
        receiver.messages.clear()
        shop.customer()
        post.delivery.run_until_idle()
        message = receiver.messages[0]
        count = len(message.headers["webhook-signature"].split(" "))
        return verified(old, message.headers, message.body), verified(new, message.headers, message.body), count

    assert signs() == (True, True, 2)
    post.clock.go(2 * 3600 + 1)
    assert signs() == (False, True, 1)
    # A secret that leaked is cut off at once.
    newest = post.book.rotate(OWNER, webhook_id, "r2", timedelta(0)).secret
    assert newest is not None
    assert signs() == (False, False, 1)
    assert verified(newest, receiver.messages[0].headers, receiver.messages[0].body)


def test_what_is_over_is_forgotten_after_the_days_that_keys_are_remembered(
    post: Post, shop: Shop, receiver: Receiver
) -> None:
    kept = post.register(receiver.url, "kept").webhook.id
    post.book.rotate(OWNER, kept, "r", timedelta(0))
    post.book.delete(OWNER, post.register(receiver.url, "gone").webhook.id)

    def rows() -> tuple[int, int]:
        with post.database.connect() as connection:
            found = connection.execute(
                "SELECT (SELECT count(*) FROM webhooks), (SELECT count(*) FROM webhook_secrets)"
            ).fetchone()
        assert found is not None
        return found

    post.delivery._purge()
    assert rows() == (2, 2)
    post.clock.go(86_400 * (post.database.settings.keep_commands_days + 1))
    post.delivery._purge()
    assert rows() == (1, 1)


def test_a_secret_is_kept_sealed(post: Post, shop: Shop, receiver: Receiver) -> None:
    secret = post.register(receiver.url).secret
    assert secret is not None
    with post.database.connect() as connection:
        rows = connection.execute("SELECT encode(sealed, 'base64'), encode(sealed, 'escape') FROM webhook_secrets")
        stored = str(rows.fetchall())
    assert secret.removeprefix("whsec_")[:20] not in stored


def test_a_ping_is_signed_and_moves_nothing(post: Post, shop: Shop, receiver: Receiver) -> None:
    answer = post.register(receiver.url)
    post.book.pause(OWNER, answer.webhook.id)
    sent, _ = post.book.ping(OWNER, answer.webhook.id)
    assert (sent.status, sent.error) == (204, None)
    [message] = receiver.messages
    assert message.content["type"] == "webhook.ping"
    assert answer.secret is not None and verified(answer.secret, message.headers, message.body)
    assert post.one(answer.webhook.id).position == answer.webhook.position


# Several servers -----------------------------------------------------------------------------------------------------


def test_of_two_servers_one_delivers_and_the_other_finds_it_done(
    post: Post, database: Database, shop: Shop, receiver: Receiver
) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    begun, go_on = threading.Event(), threading.Event()

    def slowly(message: Message) -> tuple[int, dict[str, str]]:
        begun.set()
        assert go_on.wait(30)
        return 200, {}

    receiver.reply = slowly
    first = threading.Thread(target=post.delivery.deliver, args=(webhook_id,), daemon=True)
    first.start()
    assert begun.wait(30)
    other = Delivery(database, clock=post.clock)
    other.deliver(webhook_id)
    assert receiver.positions == [1], "while the first server sends, the second leaves the webhook to it"

    go_on.set()
    first.join(30)
    other.run_until_idle()
    assert receiver.positions == post.events()


def test_an_event_whose_taking_was_not_noted_comes_again_under_the_same_id(
    post: Post, shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.register(receiver.url, after=0)

    def lost(*_: object) -> bool:
        raise ConnectionError("the server was taken down between the answer and the note")

    with monkeypatch.context() as patch:
        patch.setattr(post.delivery, "_note", lost)
        with pytest.raises(ConnectionError):
            post.delivery.run_until_idle()
    post.delivery.run_until_idle()

    assert receiver.positions == [1, *post.events()]
    assert receiver.messages[0].id == receiver.messages[1].id


def test_resuming_does_not_wait_for_a_delivery_under_way(post: Post, shop: Shop, receiver: Receiver) -> None:
    webhook_id = post.register(receiver.url, after=0).webhook.id
    begun, go_on = threading.Event(), threading.Event()

    def slowly(message: Message) -> tuple[int, dict[str, str]]:
        begun.set()
        assert go_on.wait(30)
        return 200, {}

    receiver.reply = slowly
    sending = threading.Thread(target=post.delivery.deliver, args=(webhook_id,), daemon=True)
    sending.start()
    assert begun.wait(30)
    post.book.pause(OWNER, webhook_id)
    post.book.resume(OWNER, webhook_id)
    assert sending.is_alive()
    go_on.set()
    sending.join(30)
    post.delivery.run_until_idle()
    assert receiver.positions == post.events()


def test_how_deliveries_get_on_is_one_line(post: Post, shop: Shop, receiver: Receiver) -> None:
    assert post.delivery.summary() is None
    post.register(receiver.url, after=0)
    head = post.events()[-1]
    said = post.delivery.summary()
    assert said == f"1 active, 0 paused, 0 disabled, 0 dead letters, the slowest is {head} events behind"


def test_the_threads_of_a_server_deliver_what_is_committed(
    database: Database, shop: Shop, receiver: Receiver, post: Post
) -> None:
    sku = shop.sku()
    WebhookBook(database).register(OWNER, "live", receiver.url, types=["OrderPlaced", "OrderPaid"])
    delivery = Delivery(database)
    shop.writer.after_commit.append(lambda _: delivery.hint())
    delivery.start()
    try:
        order: UUID = shop.do(shop.order((sku, 1)))
        shop.do(PayOrder(order_id=order, amount_minor=1000, method="card", currency="GBP"))
        receiver.wait_for(lambda: len(receiver.messages) == 2, "both events")
    finally:
        delivery.stop()
    assert [message.content["type"] for message in receiver.messages] == ["OrderPlaced", "OrderPaid"]
