"""Tokens of an identity provider: taken when all is right, and each way of being wrong refused with what to do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from opscore import oidc
from opscore.domain.command import Role
from opscore.settings import TOKEN_ROLES, Settings, SetupError, load_settings
from opscore.tokens import create_token
from tests.api.conftest import Api, gid
from tests.api.issuer import AUDIENCE, Issuer, issuer
from tests.api.socket_client import socket
from tests.shop import Shop


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def more_settings(provider: Issuer) -> dict[str, Any]:
    return {
        "oidc_issuer": provider.url,
        "oidc_audience": AUDIENCE,
        "oidc_jwks_url": f"{provider.url}/keys",
        "oidc_role_claim": "groups",
        "oidc_roles": {"shop-managers": "manager", "buyers": "customer", "auditors": "auditor", "packers": "warehouse"},
    }


def refusal(api: Api, token: str) -> str:
    """Return why a token was refused, over HTTP and over a socket alike."""
    answer = api.post({"query": "{ viewer { name } }"}, token=token)
    assert answer.status_code == 401, answer.text
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    with socket(api.url) as client:
        client.send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert client.closed() == 4403
    message: str = error["message"]
    return message


def viewer(api: Api, token: str) -> dict[str, Any]:
    found: dict[str, Any] = api.ask("{ viewer { name role storeIds customerId } }", token=token)["viewer"]
    return found


def settings_of(provider: Issuer, **changed: Any) -> Settings:
    given = {
        "oidc_issuer": provider.url, "oidc_audience": AUDIENCE, "oidc_jwks_url": f"{provider.url}/keys",
        "oidc_role_claim": "groups", "oidc_roles": {"shop-managers": "manager", "buyers": "customer"},
    } | changed  # fmt: skip
    return Settings(_env_file=None, **given)


# Good tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["one", "ec-one"])
def test_a_token_of_the_provider_is_taken_and_names_its_holder(api: Api, provider: Issuer, key: str) -> None:
    found = viewer(api, provider.token(key))

    assert found == {"name": "oidc:anna", "role": "MANAGER", "storeIds": None, "customerId": None}
    with socket(api.url, provider.token(key)) as client:
        client.subscribe("{ viewer { name } }")
        assert client.next() == {"viewer": {"name": "oidc:anna"}}


def test_a_token_of_our_own_is_taken_beside_them(api: Api) -> None:
    assert viewer(api, api.token(Role.OWNER))["name"] == "owner"


def test_its_stores_bound_what_it_sees_and_does(api: Api, provider: Issuer, shop: Shop) -> None:
    token = provider.token(opscore_stores=[str(shop.store_id)])
    elsewhere = provider.token(opscore_stores=str(uuid4()))

    assert viewer(api, token)["storeIds"] == [gid("Store", shop.store_id)]
    listed = "query ($at: Position) { stores(first: 9, atLeast: $at) { nodes { id } } }"
    head = {"at": api.server.services.log.head().position}
    assert api.ask(listed, head, token=token)["stores"]["nodes"]
    assert not api.ask(listed, head, token=elsewhere)["stores"]["nodes"]


def test_a_buyer_is_one_customer_and_sees_no_other(api: Api, provider: Issuer, shop: Shop) -> None:
    mine, other = shop.customer(), shop.customer()
    token = provider.token(sub="buyer", groups="buyers", opscore_stores=None, opscore_customer=str(mine))
    found = api.ask(
        "query ($mine: ID!, $other: ID!) { mine: customer(id: $mine) { id } other: customer(id: $other) { id } }",
        {"mine": gid("Customer", mine), "other": gid("Customer", other)},
        token=token,
    )

    assert viewer(api, token)["customerId"] == gid("Customer", mine)
    assert found["mine"] and found["other"] is None


def test_its_name_stands_in_the_events(api: Api, provider: Issuer, shop: Shop) -> None:
    fields = {"storeId": gid("Store", shop.store_id), "channel": "web"}
    api.give("registerCustomer", "customer { id }", fields, token=provider.token(sub="bert"))
    last = api.ask('{ events(first: 1, filter: {actor: "oidc:bert"}) { nodes { actor } } }')

    assert last["events"]["nodes"] == [{"actor": "oidc:bert"}]


def test_no_token_of_our_own_takes_a_name_of_the_providers(api: Api) -> None:
    with pytest.raises(ValueError, match="identity provider"):
        create_token(api.server.database, "oidc:anna", Role.MANAGER)


def test_a_role_may_lie_deep_in_a_claim(provider: Issuer) -> None:
    nested = oidc.Oidc(settings_of(provider, oidc_role_claim="realm_access.roles"))
    plain = oidc.Oidc(settings_of(provider, oidc_role_claim="https://shop.example/role"))

    assert (
        nested.identify(provider.token(realm_access={"roles": ["x", "shop-managers"]})).grants[0].actor.role
        is Role.MANAGER
    )
    assert (
        plain.identify(provider.token(**{"https://shop.example/role": "shop-managers"})).grants[0].actor.role
        is Role.MANAGER
    )


def test_a_clock_that_is_a_little_off_does_no_harm(api: Api, provider: Issuer) -> None:
    now = int(time.time())

    assert viewer(api, provider.token(iat=now + 20, nbf=now + 20, exp=now + 300))
    assert viewer(api, provider.token(exp=now - 20))


# Bad tokens ----------------------------------------------------------------------------------------------------------


def _encoded(part: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def _unsigned(provider: Issuer) -> str:
    return (_encoded({"alg": "none", "kid": "one"}) + b"." + _encoded(provider.claims()) + b".AA").decode()


def _signed_with_the_published_key_as_a_secret(provider: Issuer) -> str:
    public = provider.private["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = _encoded({"alg": "HS256", "kid": "one"}) + b"." + _encoded(provider.claims())
    signature = base64.urlsafe_b64encode(hmac.new(public, head, hashlib.sha256).digest()).rstrip(b"=")
    return (head + b"." + signature).decode()


def _with_a_stranger_s_key(provider: Issuer) -> str:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(provider.claims(), stranger, "RS256", headers={"kid": "one"})


def _with_other_claims(provider: Issuer) -> str:
    head, _, signature = provider.token().split(".")
    return ".".join([head, _encoded(provider.claims(sub="mallory")).decode(), signature])


def _with_the_key_in_its_head(provider: Issuer) -> str:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    own = jwt.get_algorithm_by_name("RS256").to_jwk(stranger.public_key(), as_dict=True)
    return jwt.encode(
        provider.claims(), stranger, "RS256", headers={"kid": "one", "jwk": own, "jku": "http://x.example"}
    )


def _of_another_algorithm_of_the_same_key(provider: Issuer) -> str:
    return jwt.encode(provider.claims(), provider.private["one"], "PS256", headers={"kid": "one"})


@pytest.mark.parametrize(
    "forge",
    [
        _unsigned,
        _signed_with_the_published_key_as_a_secret,
        _with_a_stranger_s_key,
        _with_other_claims,
        _with_the_key_in_its_head,
        _of_another_algorithm_of_the_same_key,
        lambda provider: jwt.encode(provider.claims(), provider.private["one"], "RS256"),
        lambda provider: provider.token("ec-one", headers={"kid": "one"}),
        lambda provider: provider.token(headers={"crit": ["exp"]}),
        lambda provider: "e30.e30.e30",
        lambda provider: "a.b.c",
        lambda provider: provider.token(sub=7),
        lambda provider: provider.token(exp="soon"),
    ],
)
def test_a_forged_token_is_refused(api: Api, provider: Issuer, forge: Any) -> None:
    assert refusal(api, forge(provider)) == (
        "This token is malformed, or not signed as this server asks for; sign in again."
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"exp": int(time.time()) - 60}, "has expired"),
        ({"nbf": int(time.time()) + 3600}, "not good yet"),
        ({"iat": int(time.time()) + 3600}, "not good yet"),
        ({"aud": "somebody else"}, "another audience; ask for one for 'opscore'"),
        ({"aud": None}, "lacks the claim 'aud'"),
        ({"exp": None}, "lacks the claim 'exp'"),
        ({"iss": "https://evil.example"}, "another issuer; sign in at http://127.0.0.1"),
        ({"iss": None}, "lacks the claim 'iss'"),
        ({"sub": None}, "lacks the claim 'sub'"),
        ({"sub": "x" * 101}, "1 to 100 printable"),
        ({"sub": "a\nb"}, "1 to 100 printable"),
        ({"sub": "  "}, "not all blank"),
        ({"groups": None}, "names no role"),
        ({"groups": ["system", "owner"]}, "names no role"),
        ({"groups": ["shop-managers", "packers"]}, "names several roles"),
        ({"groups": {"shop-managers": True}}, "names no role"),
        ({"opscore_stores": None}, "names no store"),
        ({"opscore_stores": ["shop"]}, "no id (a UUID)"),
        ({"groups": "buyers"}, "has to name the customer"),
        ({"groups": "buyers", "opscore_customer": ["a", "b"]}, "has to name the customer"),
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_here_says_what_to_do(
    api: Api, provider: Issuer, changed: dict[str, Any], said: str
) -> None:
    assert said in refusal(api, provider.token(**changed))


def test_a_token_that_is_too_long_is_said_to_be(api: Api, provider: Issuer) -> None:
    assert viewer(api, provider.token(groups=["shop-managers", *["g" * 50] * 100]))
    assert "too long" in refusal(api, provider.token(groups=["shop-managers", *["g" * 50] * 150]))


@pytest.mark.parametrize("exp", [10**18, 1e300])
def test_a_token_for_all_times_is_looked_at_again(provider: Issuer, exp: float) -> None:
    found = oidc.Oidc(settings_of(provider)).identify(provider.token(exp=exp))

    assert found.expires_at.timestamp() < time.time() + 2 * 86_400


# Keys ----------------------------------------------------------------------------------------------------------------


def test_keys_are_fetched_once_for_many_tokens(provider: Issuer) -> None:
    book = oidc.Oidc(settings_of(provider))
    before = provider.asked
    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(lambda number: book.identify(provider.token(sub=f"p{number}")), range(24)))

    assert provider.asked == before + 1


def test_a_rotated_key_is_found_and_a_withdrawn_one_dies(provider: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "COOLDOWN_SECONDS", 0.0)
    book = oidc.Oidc(settings_of(provider))
    old = provider.token()
    assert book.identify(old)
    try:
        provider.rotate("two")
        assert book.identify(provider.token("two")).grants[0].actor.id == "oidc:anna"
        with pytest.raises(oidc.TokenRefused, match="does not publish"):
            book.identify(old)
    finally:
        provider.rotate("one", "ec-one")


def test_a_withdrawn_key_dies_also_when_nobody_shows_a_new_one(provider: Issuer) -> None:
    book = oidc.Oidc(settings_of(provider))
    assert book.identify(provider.token())
    try:
        provider.rotate("two")
        assert book.identify(provider.token("one")), "kept keys are used for a while"
        assert book._keys.jwk_set_cache is not None
        book._keys.jwk_set_cache.lifespan = 0.0  # As if the seconds of the setting had passed.
        with pytest.raises(oidc.TokenRefused, match="does not publish"):
            book.identify(provider.token("one"))
    finally:
        provider.rotate("one", "ec-one")


def test_invented_key_names_do_not_reach_the_provider(api: Api, provider: Issuer) -> None:
    assert viewer(api, provider.token())
    before = provider.asked
    for number in range(20):
        answer = api.post({"query": "{ viewer { name } }"}, token=provider.token(headers={"kid": f"invented {number}"}))
        assert answer.status_code == 401 and "does not publish" in answer.text

    assert provider.asked <= before + 1


@pytest.mark.parametrize(
    "answer",
    [500, 404, 302, b"", b"<html>", b"[]", b"null", b'{"keys": []}', b'{"keys": 7}', b'{"keys": [{"kty": "oct"}]}',
     b"\xff"],
)  # fmt: skip
def test_keys_that_cannot_be_had_are_said_to_be_so_and_tried_again_later(
    provider: Issuer, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    book = oidc.Oidc(settings_of(provider))
    provider.answer = answer
    try:
        before = provider.asked
        for _ in range(5):
            with pytest.raises(oidc.TokenRefused, match="cannot be fetched now; send the same token again"):
                book.identify(provider.token())
        assert provider.asked == before + 1, "a provider in trouble is left in peace for a while"
        provider.rotate("one", "ec-one")
        monkeypatch.setattr(oidc, "COOLDOWN_SECONDS", 0.0)
        assert book.identify(provider.token())
    finally:
        provider.rotate("one", "ec-one")


def test_keys_are_not_waited_for_for_ever_nor_read_without_end(
    provider: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "COOLDOWN_SECONDS", 0.0)
    book = oidc.Oidc(settings_of(provider))
    whole = json.dumps(provider.answer).encode()
    try:
        provider.answer = whole + b" " * oidc.KEYS_BYTES_MAX
        with pytest.raises(oidc.TokenRefused, match="cannot be fetched now"):
            book.identify(provider.token())
        # Something comes all the time, and within the time for all of it.
        monkeypatch.setattr(oidc, "FETCH_SECONDS", 0.5)
        provider.answer = [whole, *[b" "] * 20]
        with pytest.raises(oidc.TokenRefused, match="cannot be fetched now"):
            book.identify(provider.token())
    finally:
        provider.rotate("one", "ec-one")
    assert book.identify(provider.token())


def test_keys_are_taken_from_nowhere_else(provider: Issuer) -> None:
    with issuer() as other:
        other.redirect = f"{provider.url}/keys"
        book = oidc.Oidc(settings_of(provider, oidc_jwks_url=f"{other.url}/keys"))
        with pytest.raises(oidc.TokenRefused, match="cannot be fetched now"):
            book.identify(provider.token())


def test_a_private_key_that_is_published_by_mistake_signs_nothing(provider: Issuer) -> None:
    private = jwt.get_algorithm_by_name("RS256").to_jwk(provider.private["one"], as_dict=True)
    provider.answer = {"keys": [{**private, "kid": "one", "alg": "RS256"}, provider.published("ec-one")]}
    book = oidc.Oidc(settings_of(provider))
    try:
        with pytest.raises(oidc.TokenRefused, match="does not publish"):
            book.identify(provider.token("one"))
        assert book.identify(provider.token("ec-one"))
    finally:
        provider.rotate("one", "ec-one")


def test_a_provider_that_is_gone_is_an_answer_and_no_fault_of_ours(api: Api, provider: Issuer) -> None:
    with issuer() as left:
        gone = oidc.Oidc(settings_of(provider, oidc_jwks_url=left.url))
    real = api.server.services.tokens._oidc
    api.server.services.tokens._oidc = gone
    try:
        assert "cannot be fetched now" in refusal(api, provider.token(sub="nobody yet"))
        assert viewer(api, api.token(Role.OWNER)), "our own tokens go on"
    finally:
        api.server.services.tokens._oidc = real


def test_a_secret_that_is_published_by_mistake_signs_nothing(provider: Issuer) -> None:
    secret = b"x" * 64
    encoded = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    provider.answer = {
        "keys": [{"kty": "oct", "k": encoded, "kid": "one", "alg": "RS256"}, provider.published("ec-one")]
    }
    head = _encoded({"alg": "RS256", "kid": "one"}) + b"." + _encoded(provider.claims())
    signature = base64.urlsafe_b64encode(hmac.new(secret, head, hashlib.sha256).digest()).rstrip(b"=")
    try:
        with pytest.raises(oidc.TokenRefused):
            oidc.Oidc(settings_of(provider)).identify((head + b"." + signature).decode())
    finally:
        provider.rotate("one", "ec-one")


# Settings ------------------------------------------------------------------------------------------------------------


def test_the_roles_of_the_settings_are_those_that_a_token_can_have() -> None:
    assert set(TOKEN_ROLES) == {role.value for role in Role if role is not Role.SYSTEM}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"OIDC_AUDIENCE": ""}, "set together"),
        ({"OIDC_JWKS_URL": "http://login.example/keys"}, "has to be https"),
        ({"OIDC_JWKS_URL": "file:///etc/passwd"}, "has to be https"),
        ({"OIDC_ALGORITHMS": '["HS256"]'}, "JSON list of ES256"),
        ({"OIDC_ALGORITHMS": '["none"]'}, "JSON list of ES256"),
        ({"OIDC_ALGORITHMS": "[]"}, "JSON list of ES256"),
        ({"OIDC_ALGORITHMS": "RS256"}, "written as JSON"),
        ({"OIDC_ROLES": '{"a": "system"}'}, "system, which is no role"),
        ({"OIDC_LEEWAY_SECONDS": "3600"}, "OPSCORE_OIDC_LEEWAY_SECONDS"),
    ],
)
def test_settings_that_would_open_the_door_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, changed: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    good = {
        "OIDC_ISSUER": "https://login.example", "OIDC_AUDIENCE": "a", "OIDC_JWKS_URL": "https://login.example/keys",
    }  # fmt: skip
    for name, value in good.items():
        monkeypatch.setenv(f"OPSCORE_{name}", value)
    assert load_settings().oidc_roles["manager"] == "manager"
    for name, value in changed.items():
        monkeypatch.setenv(f"OPSCORE_{name}", value)
    with pytest.raises(SetupError, match=said):
        load_settings()


def test_without_settings_a_foreign_token_is_just_unknown(provider: Issuer) -> None:
    with pytest.raises(ValueError, match="issuer"):
        oidc.Oidc(Settings(_env_file=None))
