"""Bodies: one JSON object up to a size."""

from io import BytesIO
from types import SimpleNamespace

import pytest

from installations.errors import InvalidRequest, RequestTooLarge
from tokens.api.parsers import StrictJSONParser


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "the document is empty (line 1, column 1)"),  # a length was announced, or nothing would be read at all
        (b"[]", "must be an object"),
        (b'{"a": 1, "a": 2}', "the name 'a' is there twice (line 1, column 10)"),
        (b"{" + b'"a": [' + b"0," * 5000 + b"0]}", "the document has too many values (line 1, column 10004)"),
    ],
    ids=["nothing", "list", "same-name-twice", "too-many-values"],
)
def test_what_is_no_plain_object_is_refused_with_its_place(body: bytes, fault: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        StrictJSONParser().parse(BytesIO(body))

    assert refused.value.fields == {"body": fault}


def test_view_says_how_large_a_body_may_be() -> None:
    context = {"view": SimpleNamespace(max_body_bytes=2048)}
    at_the_limit = b'{"a": "' + b"x" * 2039 + b'"}'

    assert StrictJSONParser().parse(BytesIO(at_the_limit), parser_context=context) == {"a": "x" * 2039}
    with pytest.raises(RequestTooLarge, match="at most 2 KiB"):
        StrictJSONParser().parse(BytesIO(at_the_limit + b" "), parser_context=context)
