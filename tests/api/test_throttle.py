"""Points: what a request costs is in the answer, and a token that has used its own up is told when to come again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, strategies as st

from opscore.api import documents
from opscore.api.errors import Throttled, TooComplex
from opscore.api.throttle import BUCKETS_KEPT, ENTRY, Throttle
from opscore.domain.command import Role
from tests.api.conftest import Api
from tests.api.socket_client import socket
from tests.shop import Shop

NANO = 1_000_000_000
MAXIMUM, RATE = 1_000, 1
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """A bucket that hardly fills again while a test runs."""
    return {"throttle_points": MAXIMUM, "throttle_points_per_second": RATE}


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 5

    def __call__(self) -> int:
        return self.now


# The law of the bucket -----------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.integers(0, 3 * NANO), st.integers(0, 120), st.integers(0, 120), st.sampled_from([b"a", b"b"])),
    max_size=40,
)


@given(steps=steps, maximum=st.integers(100, 300), rate=st.integers(1, 1000))
def test_no_token_is_let_more_through_than_its_bucket_and_what_came_back_in_any_time(
    steps: list[tuple[int, int, int, bytes]], maximum: int, rate: int
) -> None:
    clock = Clock()
    throttle = Throttle(maximum, rate, clock_ns=clock)
    used: dict[bytes, list[tuple[int, int]]] = {b"a": [], b"b": []}
    for wait, points, back, key in steps:
        clock.now += wait
        before = throttle.available(key)
        try:
            throttle.take(key, points)
        except TooComplex:
            assert points > maximum
            continue
        except Throttled as refused:
            assert before < points and throttle.available(key) == before, "a refusal takes nothing"
            seconds = refused.extensions["retryAfter"]
            assert seconds >= 1
            # Whoever comes when told is let through, and a second earlier is not.
            clock.now += (seconds - 1) * NANO
            if seconds > 1:
                with pytest.raises(Throttled):
                    throttle.take(key, points)
            clock.now += NANO
            throttle.take(key, points)
        unused = min(back, points)
        throttle.give_back(key, unused)
        used[key].append((clock.now, points - unused))
        assert 0 <= throttle.available(key) <= maximum
    for spent in used.values():
        for (start, _), (end, _) in itertools.combinations_with_replacement(spent, 2):
            within = sum(points for at, points in spent if start <= at <= end)
            assert within * NANO <= maximum * NANO + (end - start) * rate


@given(points=st.integers(1, 300), left=st.integers(0, 300))
def test_what_was_taken_before_is_not_taken_again_and_is_needed_again_after_a_refusal(points: int, left: int) -> None:
    clock = Clock()
    throttle = Throttle(301, 1, clock_ns=clock)
    throttle.take(b"a", 301 - left - ENTRY)
    throttle.take(b"a", ENTRY)  # The entry of a request, whose cost is known only then.
    if points - ENTRY <= left:
        throttle.take(b"a", points, taken=ENTRY)
        assert throttle.available(b"a") == left - (points - ENTRY)
    else:
        with pytest.raises(Throttled) as refused:
            throttle.take(b"a", points, taken=ENTRY)
        assert throttle.available(b"a") == left
        clock.now += refused.value.extensions["retryAfter"] * NANO
        throttle.take(b"a", ENTRY)
        throttle.take(b"a", points, taken=ENTRY)


def test_what_cost_more_than_was_counted_on_is_owed() -> None:
    clock = Clock()
    throttle = Throttle(100, 1, clock_ns=clock)
    throttle.take(b"a", 90)
    throttle.give_back(b"a", -50)
    assert throttle.available(b"a") == 0
    with pytest.raises(Throttled) as refused:
        throttle.take(b"a", 1)
    assert refused.value.extensions["retryAfter"] == 41
    clock.now += 41 * NANO
    throttle.take(b"a", 1)


def test_addresses_of_one_network_have_one_bucket() -> None:
    key = Throttle.key_of_address
    assert key("203.0.113.7") == key("::ffff:203.0.113.7") != key("203.0.113.8")
    assert key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::9%eth0") != key("2001:db8:1:3::1")
    assert key("") != key("a path")


@given(points=st.integers(1, 300), back=st.integers(0, 300))
def test_what_is_given_back_never_makes_a_bucket_more_than_full(points: int, back: int) -> None:
    throttle = Throttle(300, 7, clock_ns=Clock())
    throttle.take(b"a", points)
    throttle.give_back(b"a", back)

    assert throttle.available(b"a") == min(300, 300 - points + back)


def test_a_clock_that_stands_still_brings_nothing_back_and_time_does_so_exactly() -> None:
    clock = Clock()
    throttle = Throttle(100, 3, clock_ns=clock)
    throttle.take(b"a", 100)
    assert [throttle.available(b"a") for _ in range(1000)] == [0] * 1000
    for _ in range(1000):
        # A thousand looks, a third of a millisecond apart each: what is not yet a whole point is not lost.
        clock.now += NANO // 1000
        throttle.available(b"a")

    assert throttle.available(b"a") == 3


def test_only_so_many_buckets_are_remembered() -> None:
    throttle = Throttle(10, 1, clock_ns=Clock())
    for number in range(BUCKETS_KEPT + 10):
        throttle.take(str(number).encode(), 10)

    assert len(throttle._buckets) == BUCKETS_KEPT
    assert throttle.available(b"0") == 10 and throttle.available(str(BUCKETS_KEPT).encode()) == 0


# Over HTTP and sockets -----------------------------------------------------------------------------------------------


def cost_of(api: Api, query: str, token: str, **variables: Any) -> dict[str, Any]:
    """Return what an answer says it cost."""
    answer = api.post({"query": query, "variables": variables}, token=token).json()
    assert "errors" not in answer, answer
    cost: dict[str, Any] = answer["extensions"]["cost"]
    return cost


STOCK = "query ($n: Int!, $at: Position) { skus(first: $n, atLeast: $at) { nodes { id levels { onHand } } } }"


def test_an_answer_says_what_it_could_cost_what_it_did_and_what_is_left(api: Api, shop: Shop) -> None:
    shop.sku(), shop.sku()
    token = api.token(Role.OWNER, name="counting")

    head = api.server.services.log.head().position
    cost = cost_of(api, STOCK, token, n=100, at=head)

    # One for the list, and for each row one for it and one for its levels; two rows were there.
    assert cost == {
        "requested": 201, "actual": 5, "throttle": {"maximum": MAXIMUM, "available": MAXIMUM - 5, "restoreRate": RATE},
    }  # fmt: skip
    worth = "query ($at: Position) { stockWorth(first: 100, atLeast: $at) { unitCost { amount } } }"
    assert cost_of(api, worth, token, at=head) | {"throttle": None} == {
        "requested": 201, "actual": 5, "throttle": None,
    }  # fmt: skip
    assert cost_of(api, "{ __typename }", token)["actual"] == 1
    given = {"storeId": "x", "idempotencyKey": "k", "lines": []}
    command = "mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) { order { id } userErrors { code } } }"
    assert cost_of(api, command, token, i=given)["actual"] == 13


def test_a_token_without_points_is_told_when_to_come_again_and_others_go_on(api: Api, shop: Shop) -> None:
    token, other = api.token(Role.OWNER, name="greedy"), api.token(Role.OWNER, name="patient")
    query = "{ " + " ".join(f"a{n}: viewer {{ name }}" for n in range(13)) + " }"
    left = cost_of(api, query, token)["throttle"]["available"]
    while left >= 13:
        left = cost_of(api, query, token)["throttle"]["available"]

    answer = api.post({"query": STOCK, "variables": {"n": 100}}, token=token)
    [error] = answer.json()["errors"]

    assert answer.status_code == 429
    assert error["extensions"]["code"] == "THROTTLED"
    assert error["extensions"]["retryAfter"] == int(answer.headers["retry-after"])
    assert 180 <= error["extensions"]["retryAfter"] <= 201
    assert error["extensions"]["cost"]["requested"] == 201
    assert error["extensions"]["cost"]["throttle"]["available"] <= 13
    assert cost_of(api, STOCK, other, n=100)["requested"] == 201
    with socket(api.url, token) as client:
        client.subscribe(STOCK, {"n": 100})
        message = client.receive()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "THROTTLED")
        for number in range(14):
            # A subscription costs a point to begin, and fewer than that are left.
            client.subscribe("subscription { events { position } }", key=f"s{number}")
        codes = set()
        while not codes:
            message = client.receive()
            codes = {each["extensions"]["code"] for each in message["payload"]} if message["type"] == "error" else set()
        assert codes == {"THROTTLED"}


def test_what_a_bucket_never_holds_is_refused_for_good(api: Api) -> None:
    query = " ".join(f"a{n}: skus(first: 100) {{ nodes {{ levels {{ onHand }} }} }}" for n in range(6))
    [error] = api.errors(f"{{ {query} }}", token=api.token(Role.OWNER, name="large"))

    assert (error["extensions"]["code"], error["extensions"]["limit"]) == ("QUERY_TOO_COMPLEX", "throttle")


MISTAKES = {
    "no GraphQL": {"query": "{"},
    "a long document": {"query": "{ __typename } #" + "x" * 20_000},
    "too many aliases": {"query": "{ " + " ".join(f"a{n}: __typename" for n in range(16)) + " }"},
    "nothing of the schema": {"query": "{ nothing }"},
    "no operation": {"query": "query A { __typename } query B { __typename }"},
    "no document": {"documentId": "sha256:" + "0" * 64},
    "variables that do not fit": {"query": STOCK, "variables": {"n": "many"}},
    "another role's question": {"query": "{ webhooks { id } }"},
    "a subscription": {"query": "subscription { events { position } }"},
}


@pytest.fixture
def throttle(api: Api, monkeypatch: pytest.MonkeyPatch) -> Throttle:
    """The server's buckets, while nothing comes back to them."""
    found: Throttle = api.sockets.engine._throttle
    now = found._clock_ns()
    monkeypatch.setattr(found, "_clock_ns", lambda: now)
    return found


@pytest.mark.parametrize("body", MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.usefixtures("throttle")
def test_a_mistake_costs_a_point(api: Api, body: dict[str, Any]) -> None:
    token = api.token(Role.WAREHOUSE, name=f"mistaken {next(NUMBERS)}")
    for _ in range(3):
        api.post(body, token=token)

    assert cost_of(api, "{ __typename }", token)["throttle"]["available"] == MAXIMUM - 4


def test_whoever_has_no_point_is_sent_away_before_a_document_is_looked_at(
    api: Api, throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = api.token(Role.OWNER, name="spendthrift")
    key = Throttle.key_of(f"Bearer {token}")
    assert cost_of(api, "{ __typename }", token)["actual"] == 1
    throttle.take(key, throttle.available(key))
    looked_at: list[str] = []
    monkeypatch.setattr(documents, "parse", lambda text, **_: looked_at.append(text))

    for number in range(3):
        answer = api.post({"query": f"{{ unheard{number}"}, token=token)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (429, "THROTTLED")

    assert looked_at == []


def test_whoever_is_sent_away_has_paid_for_the_look(api: Api, throttle: Throttle) -> None:
    token = api.token(Role.OWNER, name="insistent")
    key = Throttle.key_of(f"Bearer {token}")
    throttle.take(key, MAXIMUM - 150)
    for _ in range(50):
        assert api.post({"query": STOCK, "variables": {"n": 100}}, token=token).status_code == 429

    assert throttle.available(key) == 100
