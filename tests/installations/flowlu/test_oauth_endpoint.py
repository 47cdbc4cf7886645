"""The token and revocation endpoints: what may be sent again, what may not, and that no answer's text gets in."""

import base64
import gzip
from urllib.parse import parse_qs

import pytest

from installations.flowlu.oauth_endpoint import (
    ClientCredentials,
    EndpointLimits,
    FailedForNow,
    GrantRefused,
    OAuthEndpoint,
    OutcomeUnknown,
    Redeemed,
    RevocationFailed,
)
from tests.installations.flowlu.conftest import RawPortal

SECRET = "s3cret/with:odd characters"


@pytest.fixture
def portal():
    raw = RawPortal()
    yield raw
    raw.close()


def endpoint(port, **options):
    credentials = ClientCredentials("the client", SECRET, options.pop("method", "basic"))
    values = {
        "token_url": f"http://127.0.0.1:{port}/token",
        "revocation_url": f"http://127.0.0.1:{port}/revoke",
        "allow_http": True,
        "limits": EndpointLimits(connect=2, read=2, total=2),  # room for a busy machine
    }
    return OAuthEndpoint(credentials, **(values | options))


def answer(portal, body, status="200 OK", headers=""):
    portal.answer_json(body if isinstance(body, bytes) else body.encode(), status, headers)


def ended(portal, **options):
    """Return how redeeming ended: the pair, or the class and code of the failure."""
    try:
        return endpoint(portal.port, **options).redeem("acme.flowlu.com", "old-refresh")
    except (FailedForNow, GrantRefused, OutcomeUnknown) as error:
        return type(error), error.code


def test_request_is_a_form_with_client_authentication(portal):
    answer(portal, '{"access_token":"new","token_type":"Bearer","expires_in":3600,"refresh_token":"next"}')

    assert ended(portal) == Redeemed("new", "next", 3600)

    [request] = portal.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token HTTP/1.1")
    assert b"Connection: close" in head
    sent = base64.b64decode(head.split(b"Authorization: Basic ")[1].split(b"\r\n")[0])
    assert sent == b"the+client:s3cret%2Fwith%3Aodd+characters"
    assert parse_qs(body.decode()) == {"grant_type": ["refresh_token"], "refresh_token": ["old-refresh"]}


def test_client_may_authenticate_in_the_body(portal):
    answer(portal, '{"access_token":"new","token_type":"bearer"}')

    ended(portal, method="post")

    head, _, body = portal.requests[0].partition(b"\r\n\r\n")
    assert b"Authorization" not in head
    assert parse_qs(body.decode())["client_secret"] == [SECRET]


GOOD = '"access_token":"new","token_type":"bearer"'


@pytest.mark.parametrize(
    ("_case", "body", "expected"),
    [
        ("no expires_in", f"{{{GOOD}}}", Redeemed("new", None, None)),
        ("text", f'{{{GOOD},"expires_in":"3600"}}', Redeemed("new", None, 3600)),
        ("zero", f'{{{GOOD},"expires_in":0}}', Redeemed("new", None, None)),
        ("negative", f'{{{GOOD},"expires_in":-5}}', Redeemed("new", None, None)),
        ("endless", f'{{{GOOD},"expires_in":1e30}}', Redeemed("new", None, None)),
        ("true", f'{{{GOOD},"expires_in":true}}', Redeemed("new", None, None)),
        ("whole float", f'{{{GOOD},"expires_in":60.0}}', Redeemed("new", None, 60)),
        ("same refresh token", f'{{{GOOD},"refresh_token":"old-refresh"}}', Redeemed("new", None, None)),
        ("null refresh token", f'{{{GOOD},"refresh_token":null}}', Redeemed("new", None, None)),
        ("no token type", '{"access_token":"new"}', (OutcomeUnknown, "malformed")),
        ("mac", '{"access_token":"new","token_type":"mac"}', (OutcomeUnknown, "malformed")),
        ("no access token", '{"token_type":"bearer"}', (OutcomeUnknown, "malformed")),
        ("space", '{"access_token":"ne w","token_type":"bearer"}', (OutcomeUnknown, "malformed")),
        ("line break", '{"access_token":"ne\\nw","token_type":"bearer"}', (OutcomeUnknown, "malformed")),
        ("too long", f'{{"access_token":"{"x" * 4097}","token_type":"bearer"}}', (OutcomeUnknown, "malformed")),
        ("number", '{"access_token":7,"token_type":"bearer"}', (OutcomeUnknown, "malformed")),
        ("odd refresh token", f'{{{GOOD},"refresh_token":[1]}}', (OutcomeUnknown, "malformed")),
        ("list", "[]", (OutcomeUnknown, "malformed")),
        ("deep", "[" * 100_00, (OutcomeUnknown, "malformed")),
        ("empty", "", (OutcomeUnknown, "malformed")),
        ("not utf-8", b'{"access_token":"\xff"}', (OutcomeUnknown, "malformed")),
        ("large", "x" * 70_000, (OutcomeUnknown, "too_large")),
    ],
)
def test_success_is_read_strictly(portal, _case, body, expected):
    answer(portal, body)

    assert ended(portal) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        ("400 Bad Request", '{"error":"invalid_grant","error_descrption":"text"}', (GrantRefused, "invalid_grant")),
        ("401 Unauthorized", '{"error":"invalid_grant"}', (GrantRefused, "invalid_grant")),
        ("401 Unauthorized", '{"error":"invalid_client"}', (FailedForNow, "invalid_client")),
        ("400 Bad Request", '{"error":"unauthorized_client"}', (FailedForNow, "unauthorized_client")),
        ("400 Bad Request", '{"error":"unsupported_grant_type"}', (FailedForNow, "unsupported_grant_type")),
        ("400 Bad Request", '{"error":"a secret text"}', (FailedForNow, "status_400")),
        ("404 Not Found", "nothing", (FailedForNow, "status_404")),
        ("429 Too Many", "{}", (FailedForNow, "status_429")),
        ("500 Oops", '{"error":"invalid_grant"}', (FailedForNow, "status_500")),
        ("503 Later", "", (FailedForNow, "status_503")),
        ("502 Bad Gateway", "", (OutcomeUnknown, "status_502")),
        ("504 Gateway Timeout", "", (OutcomeUnknown, "status_504")),
        ("204 No Content", "", (OutcomeUnknown, "malformed")),
        ("302 Found", "", (FailedForNow, "redirected")),
    ],
)
def test_refusal_says_whether_the_token_may_be_sent_again(portal, status, body, expected):
    answer(portal, body, status)

    assert ended(portal) == expected


def test_retry_after_is_passed_on(portal):
    answer(portal, "", "503 Later", "Retry-After: 17\r\n")

    with pytest.raises(FailedForNow) as caught:
        endpoint(portal.port).redeem("acme.flowlu.com", "old-refresh")
    assert caught.value.retry_after == 17
    assert caught.value.is_ours is False


def test_what_is_lost_after_sending_is_unknown(portal):
    portal.script = lambda connection: connection.close()
    assert ended(portal) == (OutcomeUnknown, "no_connection")
    portal.script = lambda connection: None
    assert ended(portal) == (OutcomeUnknown, "timeout")
    portal.script = lambda connection: connection.sendall(b"nonsense\r\n\r\n")
    assert ended(portal)[0] is OutcomeUnknown


def test_what_fails_before_sending_may_be_tried_again(portal):
    assert ended(portal, token_url="http://127.0.0.1:9/token") == (FailedForNow, "no_connection")
    assert ended(portal, token_url="http://nowhere.invalid/token") == (FailedForNow, "no_connection")
    assert ended(portal, allow_private=False) == (FailedForNow, "refused_address")
    assert ended(portal, allow_http=False) == (FailedForNow, "scheme")


def test_server_that_speaks_no_tls_was_sent_nothing(portal):
    portal.script = lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert ended(portal, token_url=f"https://127.0.0.1:{portal.port}/token")[0] is FailedForNow


def test_portal_becomes_part_of_the_address_where_that_is_set(portal):
    answer(portal, f"{{{GOOD}}}")

    ended(portal, token_url=f"http://127.0.0.1:{portal.port}/{{portal}}/token")

    assert portal.requests[0].startswith(b"POST /acme.flowlu.com/token ")


@pytest.mark.parametrize(
    ("status", "body", "code", "is_final"),
    [
        ("400 Bad Request", '{"error":"unsupported_token_type"}', "unsupported_token_type", True),
        ("401 Unauthorized", '{"error":"invalid_client"}', "invalid_client", False),
        ("400 Bad Request", '{"error":"a secret text"}', "status_400", False),
        ("503 Later", "", "status_503", False),
        ("302 Found", "", "status_302", False),
        ("204 No Content", "", "status_204", False),
    ],
)
def test_revocation_that_is_not_confirmed_says_why(portal, status, body, code, is_final):
    answer(portal, body, status, "Retry-After: 9\r\n")

    with pytest.raises(RevocationFailed) as caught:
        endpoint(portal.port).revoke("acme.flowlu.com", "a-token", "refresh_token")
    assert (caught.value.code, caught.value.is_final, caught.value.retry_after) == (code, is_final, 9)


def test_revocation_sends_the_token_with_its_kind(portal):
    answer(portal, "")

    endpoint(portal.port).revoke("acme.flowlu.com", "a-token", "refresh_token")

    body = portal.requests[0].partition(b"\r\n\r\n")[2].decode()
    assert parse_qs(body) == {"token": ["a-token"], "token_type_hint": ["refresh_token"]}


def test_nothing_that_is_secret_is_in_what_is_shown(portal):
    answer(portal, '{"access_token":"new-secret","token_type":"bearer","refresh_token":"next-secret"}')
    found = ended(portal)

    shown = f"{found!r} {found} {ClientCredentials('the client', SECRET)!r}"
    assert "secret" not in shown.replace("client_secret", "")
    answer(portal, '{"error":"old-refresh"}', "400 Bad Request")
    with pytest.raises(FailedForNow) as caught:
        endpoint(portal.port).redeem("acme.flowlu.com", "old-refresh")
    assert "old-refresh" not in f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"


def test_compressed_answer_is_not_read(portal):
    portal.answer_json(
        gzip.compress(b'{"access_token":"new","token_type":"bearer"}'), headers="Content-Encoding: gzip\r\n"
    )

    assert ended(portal) == (OutcomeUnknown, "compressed")
