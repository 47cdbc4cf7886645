"""Portal names: only a plain label under an allowed suffix gets through, and nothing is repaired."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.errors import PortalNotAllowed
from installations.portals import normalise_portal, portal_base_url, portal_origin

SUFFIXES = (".flowlu.com",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme.flowlu.com", "acme.flowlu.com"),
        ("ACME.Flowlu.COM", "acme.flowlu.com"),
        ("my_company.flowlu.com", "my_company.flowlu.com"),
        ("a-1.flowlu.com", "a-1.flowlu.com"),
        ("a" * 63 + ".flowlu.com", "a" * 63 + ".flowlu.com"),
        ("7.flowlu.com", "7.flowlu.com"),
    ],
)
def test_portals_are_lower_cased(text: str, expected: str) -> None:
    assert normalise_portal(text, SUFFIXES) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "length"),
        ("a" * 300 + ".flowlu.com", "length"),
        ("a" * 64 + ".flowlu.com", "label"),
        (".flowlu.com", "label"),
        ("flowlu.com", "suffix"),
        ("acme.flowlu.com.", "suffix"),
        ("acme.flowlu.com\n", "suffix"),
        (" acme.flowlu.com", "label"),
        ("acme.flowlu.com ", "suffix"),
        ("acme.flowlu.com:443", "suffix"),
        ("acme.flowlu.com/x", "suffix"),
        ("acme.flowlu.com?x=.flowlu.com", "label"),
        ("user@acme.flowlu.com", "label"),
        ("evil.com/.flowlu.com", "label"),
        ("evil.com#.flowlu.com", "label"),
        ("evil.com\\.flowlu.com", "label"),
        ("https://acme.flowlu.com", "label"),
        ("a.b.flowlu.com", "label"),
        ("-acme.flowlu.com", "label"),
        ("acme-.flowlu.com", "label"),
        ("a\0b.flowlu.com", "label"),
        ("acme%2e.flowlu.com", "label"),
        ("acme.flowlu.com.evil.com", "suffix"),
        ("acmeflowlu.com", "suffix"),
        ("127.0.0.1", "suffix"),
        ("[::1]", "suffix"),
        ("acme.flow\u212au.com", "not_ascii"),
        ("\u212aacme.flowlu.com", "not_ascii"),
        ("acme\u3002flowlu.com", "not_ascii"),
        ("аcme.flowlu.com", "not_ascii"),  # a Cyrillic letter
    ],
)
def test_everything_else_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PortalNotAllowed) as caught:
        normalise_portal(text, SUFFIXES)
    assert caught.value.context == {"reason": reason}


@pytest.mark.parametrize(
    ("text", "suffixes", "reason"),
    [
        ("127.0.0.1", (".0.0.1",), "ip_address"),
        ("acme.evil.com", ("", "."), "suffix"),
        ("acme.", ("", "."), "suffix"),
        ("acme.flowlu.com", (), "suffix"),
    ],
)
def test_suffixes_are_matched_whole_and_never_make_an_address(
    text: str, suffixes: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(PortalNotAllowed) as caught:
        normalise_portal(text, suffixes)
    assert caught.value.context == {"reason": reason}


@pytest.mark.parametrize(
    "suffixes", [("flowlu.test", ".flowlu.com"), (".flowlu.com", "flowlu.test"), ("", "Flowlu.Test")]
)
def test_any_of_the_suffixes_will_do(suffixes: tuple[str, ...]) -> None:
    assert normalise_portal("acme.flowlu.test", suffixes) == "acme.flowlu.test"


def test_a_portal_is_as_long_as_a_host_name_may_be() -> None:
    suffix = "." + "x" * 189
    assert normalise_portal("a" * 63 + suffix, [suffix]) == "a" * 63 + suffix
    with pytest.raises(PortalNotAllowed) as caught:
        normalise_portal("a" * 63 + suffix + "x", [suffix + "x"])
    assert caught.value.context == {"reason": "length"}


@given(st.text() | st.text(alphabet="aZ0-_.@:/\\\n\u212a").map(lambda label: label + ".flowlu.com"))
def test_what_gets_through_is_one_label_and_stays_as_it_is(text: str) -> None:
    try:
        portal = normalise_portal(text, SUFFIXES)
    except PortalNotAllowed:
        return
    assert portal == text.lower()
    assert portal.count(".") == 2
    assert normalise_portal(portal, SUFFIXES) == portal


@pytest.mark.parametrize(
    ("template", "base_url", "origin"),
    [
        ("https://{portal}", "https://acme.flowlu.com", "https://acme.flowlu.com"),
        ("http://127.0.0.1:8001/", "http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("https://proxy.test/{portal}/", "https://proxy.test/acme.flowlu.com", "https://proxy.test"),
        ("https://proxy.test/X//", "https://proxy.test/X", "https://proxy.test"),
    ],
)
def test_base_url_and_origin(template: str, base_url: str, origin: str) -> None:
    assert portal_base_url("acme.flowlu.com", template) == base_url
    assert portal_origin("acme.flowlu.com", template) == origin


@pytest.mark.parametrize("portal", ["my_company-1.flowlu.com", "a" * 253])
def test_any_plain_host_is_put_into_an_address(portal: str) -> None:
    assert portal_base_url(portal, "https://{portal}") == "https://" + portal


@pytest.mark.parametrize("portal", ["", "evil.com/x", "a@b", "a:1", "a\n", "A.flowlu.com", "a" * 254])
def test_only_a_plain_host_is_put_into_an_address(portal: str) -> None:
    with pytest.raises(PortalNotAllowed) as caught:
        portal_base_url(portal, "https://{portal}")
    assert caught.value.context == {"reason": "host"}


@pytest.mark.parametrize("template", ["{portal}", "ftp://{portal}", "https://user@{portal}"])
def test_an_origin_needs_a_proper_template(template: str) -> None:
    message = "FLOWLU_PORTAL_URL must be an http or https address without user information"
    with pytest.raises(ValueError, match=f"^{message}$"):
        portal_origin("acme.flowlu.com", template)
