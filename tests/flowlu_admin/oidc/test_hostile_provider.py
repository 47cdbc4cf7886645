"""A provider, or somebody on the way to it, that proves nothing: a plain page, no session, and not a row changed."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.cache import cache
from django.test import Client, RequestFactory
from django.urls import reverse

from flowlu_admin.oidc.provider import SIGN_IN
from flowlu_admin.oidc.provider import leave as leave_for
from tests.flowlu_admin.oidc.conftest import come_in, is_signed_in, leave
from tests.flowlu_admin.test_accounts import has_nothing_inline
from tests.installations.admin.console import text
from tests.openid_provider import KEY, OTHER_KEY, Claims, OpenIDProvider, jwk, signed
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def refused(client: Client, provider: OpenIDProvider) -> Any:
    with nothing_changes():
        answer = come_in(client, provider)
    check_plain(answer)
    assert is_signed_in(client) is False
    return answer


def check_plain(answer: Any) -> None:
    assert answer.status_code == 403
    assert "gave no answer that this console can rely on" in text(answer)
    assert has_nothing_inline(answer) is True
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of-another-request"},
        {"nonce": None},
        {"nonce": ["x"]},
        {"nonce": "\u00e9"},
        {"nonce": "\ud800"},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": ["console", "another-client"]},
        {"aud": ["console", "another-client"], "azp": "another-client"},
        {"aud": "console", "azp": "another-client"},
        {"aud": None},
        {"aud": 7},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"iat": 4_000_000_000},
        {"iat": None},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["subject-1"]},
        {"sub": "subject-1\x00"},
        {"sub": "s" * 256},
        {"sub": "subject-\u0661"},
    ],
    ids=ascii,
)
def test_token_with_such_a_claim_proves_nothing(
    nina: User, provider: OpenIDProvider, client: Client, claims: dict[str, Any]
) -> None:
    provider.claims |= claims
    refused(client, provider)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def of_alg_none(claims: Claims) -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def with_the_signature_cut(claims: Claims) -> str:
    return signed(claims).rpartition(".")[0] + "."


def under_another_key(claims: Claims) -> str:
    return jwt.encode(claims, OTHER_KEY, algorithm="RS256", headers={"kid": "k1"})


def under_a_key_that_it_brings(claims: Claims) -> str:
    head = {"kid": "k1", "jwk": jwk(OTHER_KEY), "jku": "http://127.0.0.1:9/keys"}
    return jwt.encode(claims, OTHER_KEY, algorithm="RS256", headers=head)


def with_a_public_key_as_the_secret(claims: Claims) -> str:
    secret = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    body = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims)}"
    return f"{body}.{base64.urlsafe_b64encode(algorithm.sign(body.encode(), secret)).decode().rstrip('=')}"


def of_an_unknown_key_id(claims: Claims) -> str:
    return jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "k2"})


def with_claims_changed_after(claims: Claims) -> str:
    head, _body, signature = signed(claims).split(".")
    return f"{head}.{part({**claims, 'sub': 'subject-1', 'x': 1})}.{signature}"


def no_token(_claims: Claims) -> str:
    return "not.a.token"


def too_long(claims: Claims) -> str:
    return signed({**claims, "x": "x" * 70_000})


def deep(_claims: Claims) -> str:
    body = base64.urlsafe_b64encode(b"[" * 40_000).decode().rstrip("=")
    return f"{body}.{body[:100]}.{body[:100]}"


@pytest.mark.parametrize(
    "sign",
    [
        of_alg_none,
        with_the_signature_cut,
        under_another_key,
        under_a_key_that_it_brings,
        with_a_public_key_as_the_secret,
        of_an_unknown_key_id,
        with_claims_changed_after,
        no_token,
        too_long,
        deep,
    ],
)
def test_token_that_the_published_key_did_not_sign_proves_nothing(
    nina: User, provider: OpenIDProvider, client: Client, sign: Any
) -> None:
    provider.sign = sign
    refused(client, provider)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        {},
        {"keys": {}},
        {"keys": []},
        {"keys": ["k1"]},
        {"keys": [{"kty": "RSA", "kid": "k1"}]},
        {"keys": [{"kty": "RSA", "kid": "k1", "n": "AQAB", "e": "AQAB"}]},
        {"keys": [{"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}]},
        {"keys": [jwk(OTHER_KEY)]},
        {"keys": [jwk(KEY) | {"use": "enc"}]},
        {"keys": [jwk(KEY), jwk(OTHER_KEY)]},
    ],
    ids=["list", "none", "no-list", "empty", "text", "no-key", "tiny", "secret", "other", "to-encrypt", "two"],
)
def test_keys_that_do_not_fit_prove_nothing(nina: User, provider: OpenIDProvider, client: Client, keys: Any) -> None:
    provider.keys = keys
    refused(client, provider)


def test_short_key_proves_nothing(nina: User, provider: OpenIDProvider, client: Client) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    provider.keys = {"keys": [jwk(short)]}
    provider.sign = lambda claims: jwt.encode(claims, short, algorithm="RS256", headers={"kid": "k1"})
    refused(client, provider)


def test_other_signatures_that_a_published_key_can_check_are_taken(
    nina: User, provider: OpenIDProvider, client: Client
) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    published = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key()))
    provider.keys = {"keys": [jwk(KEY), published | {"kid": "e1"}]}
    provider.sign = lambda claims: jwt.encode(claims, curve, algorithm="ES256", headers={"kid": "e1"})
    come_in(client, provider)
    assert is_signed_in(client) is True


def test_token_without_a_key_id_is_taken_where_there_is_one_key(
    nina: User, provider: OpenIDProvider, client: Client
) -> None:
    provider.sign = lambda claims: jwt.encode(claims, KEY, algorithm="RS256")
    come_in(client, provider)
    assert is_signed_in(client) is True


@pytest.mark.parametrize(
    "back",
    [
        {"state": "of-nobody"},
        {"state": ""},
        {"code": ""},
        {"code": "of-nobody"},
        {"code": "c" * 5000},
        {"error": "access_denied", "error_description": "<script>alert(1)</script>", "code": ""},
        {"error": "server_error"},
        {"iss": "https://evil.example"},
    ],
    ids=str,
)
def test_way_back_that_is_none_opens_nothing(
    nina: User, provider: OpenIDProvider, client: Client, back: dict[str, str]
) -> None:
    provider.back = back
    answer = refused(client, provider)
    assert "alert(1)" not in answer.content.decode()


@pytest.mark.parametrize("where", ["openid-configuration", "token", "keys"])
@pytest.mark.parametrize(
    "answer",
    [
        (500, b"oops"),
        (302, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"{}"),
        (200, b'{"a": NaN}'),
        (200, b"[" * 100_000),
        (200, b'{"id_token": "' + b"x" * 300_000 + b'"}'),
        (200, b'{"error": "<script>"}'),
        (400, b'{"error": "<script>"}'),
    ],
    ids=["500", "302", "empty", "html", "list", "null", "nothing", "nan", "deep", "large", "odd", "odd-error"],
)
def test_answer_that_is_none_opens_nothing(
    nina: User, provider: OpenIDProvider, client: Client, where: str, answer: tuple[int, bytes], all_logs: Any
) -> None:
    back = provider.visit(leave(client))
    provider.answers = {where: answer}
    with nothing_changes():
        page = client.get(back)
    check_plain(page)
    assert is_signed_in(client) is False
    told = [record.getMessage() for record in all_logs.records if record.name == "flowlu_admin.oidc.pages"]
    assert len(told) == 1
    assert "script" not in told[0]


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((200, b"x" * 300_000), "too_large"),
        ((401, b'{"error": "invalid_client"}'), "invalid_client"),
        ((400, b'{"error": "of_its_own"}'), "status_400"),
        ((200, b"[]"), "malformed"),
    ],
    ids=["large", "client", "own-word", "list"],
)
def test_log_says_in_a_word_of_ours_what_was_wrong(
    provider: OpenIDProvider, client: Client, answer: tuple[int, bytes], word: str, all_logs: Any
) -> None:
    back = provider.visit(leave(client))
    provider.answers = {"token": answer}
    check_plain(client.get(back))
    told = [record.getMessage() for record in all_logs.records if record.name == "flowlu_admin.oidc.pages"]
    assert told == [f"Nobody came in through the OpenID provider: {word}"]


@pytest.mark.parametrize("where", ["openid-configuration", "token", "keys"])
def test_slow_provider_holds_nobody_up(
    nina: User, provider: OpenIDProvider, client: Client, settings: Any, where: str
) -> None:
    settings.OIDC_TOTAL_SECONDS = 1
    back = provider.visit(leave(client))
    provider.silent = {where: 60}
    began = time.monotonic()
    check_plain(client.get(back))
    assert time.monotonic() - began < 30
    assert is_signed_in(client) is False


def test_one_deadline_is_for_all_requests_together(
    nina: User, provider: OpenIDProvider, client: Client, settings: Any
) -> None:
    settings.OIDC_TOTAL_SECONDS = 1
    back = provider.visit(leave(client))
    provider.silent = {"openid-configuration": 0.6, "token": 0.6}
    check_plain(client.get(back))


def leave_slowly() -> str:
    request = RequestFactory().post(reverse("account_company_sign_in"))
    request.session, request.user = SessionStore(), AnonymousUser()  # of a thread without a database
    return leave_for(request, SIGN_IN)


def test_slow_provider_holds_four_at_once_and_no_more(
    nina: User, provider: OpenIDProvider, client: Client, all_logs: Any, settings: Any
) -> None:
    settings.OIDC_TOTAL_SECONDS = 60
    back = provider.visit(leave(client))
    let_go = threading.Event()
    provider.held, provider.asked = {"openid-configuration": let_go}, []
    with ThreadPoolExecutor(4) as threads:
        held = [threads.submit(leave_slowly) for _ in range(4)]
        until = time.monotonic() + 20
        while len(provider.asked) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        provider.held = {}
        answers = [Client().post(reverse("account_company_sign_in")), client.get(back)]
        assert [one.done() for one in held] == [False] * 4
        assert provider.asked == ["openid-configuration"] * 4
        let_go.set()
        assert all(one.result().startswith(provider.issuer) for one in held)
    for answer in answers:
        check_plain(answer)
        assert "Try again" in text(answer)
    said = [record.getMessage() for record in all_logs.records]
    assert said.count("Nobody came in through the OpenID provider: busy") == 2

    come_in(client, provider)
    assert is_signed_in(client) is True


def test_provider_that_is_down_is_said_to_give_no_answer(provider: OpenIDProvider, client: Client) -> None:
    provider.stop()
    check_plain(client.post(reverse("account_company_sign_in")))


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "https://user:pass@evil.example/"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "ftp://evil.example/"},
        {"jwks_uri": ["https://evil.example/"]},
        {"token_endpoint_auth_methods_supported": 7},
    ],
    ids=str,
)
def test_provider_that_says_odd_things_of_itself_is_not_asked(
    provider: OpenIDProvider, client: Client, discovery: dict[str, Any]
) -> None:
    provider.discovery = discovery
    check_plain(client.post(reverse("account_company_sign_in")))
    assert provider.asked == ["openid-configuration"]


def test_plain_http_is_not_asked_outside_of_debug(provider: OpenIDProvider, client: Client, settings: Any) -> None:
    settings.DEBUG = False
    check_plain(client.post(reverse("account_company_sign_in")))
    assert provider.asked == []


def test_too_many_tries_are_held_back(provider: OpenIDProvider, client: Client) -> None:
    cache.clear()
    answers = [client.get(reverse("account_company_callback"), {"state": "x", "code": "x"}) for _ in range(31)]
    assert [answer.status_code for answer in answers] == [403] * 30 + [429]
