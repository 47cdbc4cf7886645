"""Middleware: forwarded headers survive only from a trusted proxy, and no answer is kept by a cache."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from flowlu_admin.middleware import NoStoreMiddleware, TrustedProxyMiddleware

FORWARDED = {
    "HTTP_X_FORWARDED_FOR": "203.0.113.7",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_FORWARDED": "for=203.0.113.7",
    "HTTP_X_REQUEST_ID": "a" * 32,
}


def passed_on(peer):
    seen = []
    request = RequestFactory().get("/", REMOTE_ADDR=peer, **FORWARDED)
    TrustedProxyMiddleware(lambda request: seen.append(request) or HttpResponse())(request)
    return seen[0].META


def test_trusted_proxy_names_the_client(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]

    meta = passed_on("10.0.0.1")

    assert (meta["REMOTE_ADDR"], meta["HTTP_X_FORWARDED_PROTO"]) == ("203.0.113.7", "https")


@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8"]])
def test_anybody_else_is_taken_for_themselves_and_their_headers_are_dropped(settings, trusted):
    settings.TRUSTED_PROXIES = trusted

    meta = passed_on("198.51.100.9")

    assert meta["REMOTE_ADDR"] == "198.51.100.9"
    assert [name for name in FORWARDED if name in meta] == []


def test_unix_socket_is_trusted_only_when_named(settings):
    settings.TRUSTED_PROXIES = ["unix"]
    assert passed_on("")["REMOTE_ADDR"] == "203.0.113.7"

    settings.TRUSTED_PROXIES = ["10.0.0.1"]
    assert passed_on("")["REMOTE_ADDR"] == ""


@pytest.mark.parametrize(
    ("trusted", "peer", "proto", "expected"),
    [
        (["10.0.0.1"], "10.0.0.1", "https", True),
        (["10.0.0.1"], "10.0.0.1", "http", False),
        (["10.0.0.1"], "10.0.0.1", None, False),
        (["10.0.0.1"], "198.51.100.9", "https", False),
        ([], "10.0.0.1", "https", False),
    ],
)
def test_request_counts_as_https_only_by_the_word_of_a_trusted_proxy(settings, trusted, peer, proto, expected):
    settings.TRUSTED_PROXIES = trusted
    headers = {} if proto is None else {"HTTP_X_FORWARDED_PROTO": proto}
    seen = []
    request = RequestFactory().get("/", REMOTE_ADDR=peer, **headers)

    TrustedProxyMiddleware(lambda request: seen.append(request.is_secure()) or HttpResponse())(request)

    assert seen == [expected]


def test_proxy_is_settled_before_any_other_middleware(settings):
    assert settings.MIDDLEWARE[0] == "flowlu_admin.middleware.TrustedProxyMiddleware"


def test_strict_transport_is_sent_behind_a_proxy_that_speaks_tls(client, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]

    response = client.get("/healthz", headers={"x-forwarded-proto": "https"})

    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_answer_is_never_stored():
    response = NoStoreMiddleware(lambda _request: HttpResponse(headers={"Cache-Control": "public, max-age=600"}))(
        RequestFactory().get("/")
    )

    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/session", "/api/nothing", "/nothing", "/admin/"])
@pytest.mark.django_db
def test_no_address_answers_without_no_store(client, path):
    assert client.get(path).headers["Cache-Control"] == "no-store"
