"""Origins that may be allowed: exactly what a browser sends for a page on https, and nothing is repaired into one."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from installations.origins import OriginError, normalise_origin, normalise_origins

SENT_BY_BROWSERS = re.compile(r"https://[a-z0-9_-]+(\.[a-z0-9_-]+)+(:[1-9][0-9]{0,4})?")
LOCAL = re.compile(r"https?://(([a-z0-9_-]+\.)*localhost|127\.0\.0\.1|\[::1\])(:[1-9][0-9]{0,4})?")

# What is wrong, by the beginning of what is said about it.
HOSTILE = [
    ("", "is empty"),
    ("null", "null is the origin"),
    ("NULL", "null is the origin"),
    ("*", "must be one origin: a wildcard"),
    ("https://*", "must be one origin: a wildcard"),
    ("https://*.example.com", "must be one origin: a wildcard"),
    ("https://app.example.com:*", "must be one origin: a wildcard"),
    ("https://app.example.com/", "must end after"),
    ("https://app.example.com//", "must end after"),
    ("https://app.example.com/embed", "must end after"),
    ("https://app.example.com?x=1", "must end after"),
    ("https://app.example.com#x", "must end after"),
    ("https://app.example.com:443/", "must end after"),
    ("https://app.example.com\\evil.example", "must have a domain name"),
    ("https:\\\\app.example.com", "must be like"),
    ("https:/app.example.com", "must be like"),
    ("https:app.example.com", "must be like"),
    ("//app.example.com", "must be like"),
    ("app.example.com", "must be like"),
    ("app.example.com:443", "must be like"),
    ("https://", "must have a domain name"),
    ("https://:443", "must have a domain name"),
    ("https://ana@app.example.com", "must not have a name"),
    ("https://ana:secret@app.example.com", "must not have a name"),
    ("https://app.example.com@evil.example", "must not have a name"),
    (" https://app.example.com", "must not have spaces"),
    ("https://app.example.com ", "must not have spaces"),
    ("https://app.example.com\n", "must not have spaces"),
    ("https://app.example.com\x00", "must not have spaces"),
    ("https://app.\texample.com", "must not have spaces"),
    ("https://a.example https://b.example", "must not have spaces"),
    ("https://a.example,https://b.example", "must end after"),
    ("http://app.example.com", "must begin with https://: over http"),
    ("ws://app.example.com", "must begin with https://"),
    ("file://app.example.com", "must begin with https://"),
    ("javascript://app.example.com", "must begin with https://"),
    ("chrome-extension://abcdefghijklmnop", "must begin with https://"),
    ("capacitor://localhost", "must begin with https://"),
    ("blob:https://app.example.com", "must be like"),
    ("https://app.example.com:", "must have a port"),
    ("https://app.example.com:0", "must have a port"),
    ("https://app.example.com:0443", "must have a port"),
    ("https://app.example.com:65536", "must have a port"),
    ("https://app.example.com:99999", "must have a port"),
    ("https://app.example.com:-1", "must have a port"),
    ("https://app.example.com:https", "must have a port"),
    ("https://app.example.com:8443:1", "must have a port"),
    ("https://app.example.com.", "must have a domain name"),
    ("https://.example.com", "must have a domain name"),
    ("https://app..example.com", "must have a domain name"),
    ("https://-app.example.com", "must have a domain name"),
    ("https://app-.example.com", "must have a domain name"),
    ("https://app%2eexample.com", "must have a domain name"),
    ("https://app!.example.com", "must have a domain name"),
    ("https://" + "a" * 64 + ".example.com", "must have a domain name"),
    ("https://" + "a." * 126 + "com", "must have a domain name"),
    ("https://" + "a" * 300 + ".example.com", "is too long"),
    ("https://intranet", "must be a whole domain name"),
    ("https://192.0.2.1", "must be a domain name"),
    ("https://127.1", "must be a domain name"),
    ("https://0x7f000001", "must be a domain name"),
    ("https://app.example.0x7f", "must be a domain name"),
    ("https://app.example.1", "must be a domain name"),
    ("https://2130706433", "must be a domain name"),
    ("https://[2001:db8::1]", "must be a domain name"),
    ("https://[::ffff:127.0.0.1]", "must be a domain name"),
    ("https://[::1", "must end after"),
    ("https://[]", "must be a domain name"),
    ("https://[::1].example.com", "must end after"),
    ("https://b\u00fccher.example", "must be ASCII"),
    ("https://\u0430pp.example.com", "must be ASCII"),  # a Cyrillic letter
    ("https://app.example\u3002com", "must be ASCII"),
    ("https://\u212aelvin.example", "must be ASCII"),
    ("\u202ehttps://app.example.com", "must be ASCII"),
    ("https://app.example.com\udc80", "must be ASCII"),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("https://app.example.com:65535", "https://app.example.com:65535"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://my_app.example.com", "https://my_app.example.com"),
        ("https://1.example.com", "https://1.example.com"),
        ("https://" + "a" * 63 + ".example.com", "https://" + "a" * 63 + ".example.com"),
        ("https://" + "a." * 125 + "com", "https://" + "a." * 125 + "com"),
    ],
)
def test_origin_is_kept_as_browsers_send_it(text: str, expected: str) -> None:
    assert normalise_origin(text, local=False) == expected
    assert normalise_origin(text, local=True) == expected


@pytest.mark.parametrize(("text", "message"), HOSTILE)
def test_what_is_no_origin_is_refused_and_says_why(text: str, message: str) -> None:
    for local in (False, True):
        with pytest.raises(OriginError) as caught:
            normalise_origin(text, local=local)
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://localhost", "https://localhost"),
        ("http://app.localhost:3000", "http://app.localhost:3000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_own_machine_is_for_development_only(text: str, expected: str) -> None:
    assert normalise_origin(text, local=True) == expected
    with pytest.raises(OriginError, match="only with DEBUG=1"):
        normalise_origin(text, local=False)


@pytest.mark.parametrize(
    "text", ["http://localhost.example.com", "http://evillocalhost", "http://127.0.0.1.example.com"]
)
def test_what_only_looks_like_the_own_machine_is_not_it(text: str) -> None:
    with pytest.raises(OriginError, match="must begin with https://"):
        normalise_origin(text, local=True)


_PIECES = st.lists(
    st.sampled_from(
        ["https", "http", "://", ":", "/", "\\", "@", ".", "app", "example", "com", "*", "null", "localhost"]
    )
    | st.sampled_from(["127.0.0.1", "[::1]", "443", "80", "0", "xn--", "-", "_", "?", "#", "%2e", "\n", " ", "\u212a"]),
    max_size=9,
).map("".join)


@given(st.text(max_size=40) | _PIECES, st.booleans())
@example("https://app.example.com", False)
@example("http://[::1]:8000", True)
def test_whatever_is_written_becomes_an_origin_that_browsers_send_or_is_refused(text: str, local: bool) -> None:
    try:
        origin = normalise_origin(text, local=local)
    except OriginError:
        return
    assert SENT_BY_BROWSERS.fullmatch(origin) or (local and LOCAL.fullmatch(origin))
    assert normalise_origin(origin, local=local) == origin
    assert origin in (text.lower(), text.lower().removesuffix(":443"), text.lower().removesuffix(":80"))


def test_origins_come_once_and_in_order_and_each_mistake_is_named() -> None:
    texts = ["https://b.example", "https://A.example", "https://a.example:443", "http://c.example", "x" * 500]

    found, wrong = normalise_origins(texts, local=False)

    assert found == ["https://a.example", "https://b.example"]
    assert wrong == {
        "http://c.example": "must begin with https://: over http anybody on the way can be that page",
        "x" * 100: "is too long to be an origin",
    }
