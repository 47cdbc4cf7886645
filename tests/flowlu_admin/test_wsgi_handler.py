"""A request is UTF-8, whatever its Content-Type says: none fails before there is anybody to answer it."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory

from flowlu_admin.wsgi_handler import Utf8Handler, Utf8Request

pytestmark = pytest.mark.django_db


def answer(path: str, query: str, content_type: str) -> str:
    """Return the status that the server would send."""
    environ = RequestFactory().get(path).environ | {"QUERY_STRING": query, "CONTENT_TYPE": content_type}
    sent: list[str] = []
    body: Iterable[bytes] = Utf8Handler()(environ, lambda status, _headers: sent.append(status))
    assert b"".join(body)
    return sent[0]


@pytest.mark.parametrize("path", ["/api/v1/session", "/service/v1/flowlu/crm/account/list", "/api/schema", "/embed/"])
@pytest.mark.parametrize("charset", ["hex", "rot13", "punycode", "undefined", "utf-7", "utf-8", "none-at-all"])
@pytest.mark.parametrize("query", ["a=%41%ff", "&".join(["a"] * 1001)], ids=["odd", "many"])
def test_named_charset_is_no_failure(path: str, charset: str, query: str) -> None:
    assert answer(path, query, f"text/plain; charset={charset}")[:3] in ("200", "400", "401")


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "utf-8"])
def test_query_and_form_are_utf_8(charset: str) -> None:
    body = b"a=%C3%A9"
    environ: dict[str, Any] = RequestFactory().post("/?b=%C3%A9").environ
    environ |= {
        "CONTENT_TYPE": f"application/x-www-form-urlencoded; charset={charset}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    request = Utf8Request(environ)

    assert (request.GET.dict(), request.POST.dict()) == ({"b": "é"}, {"a": "é"})
