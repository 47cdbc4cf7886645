"""Manifests: all faults are reported at once with their place; what is merely odd is kept and noticed."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.errors import ManifestInvalid
from installations.manifests import MAX_ERRORS, ParsedManifest, parse

FULL: dict[str, Any] = {
    "appId": "com.example.weather",
    "name": "Weather",
    "version": "1.2.3",
    "description": "Shows the weather.",
    "author": {"name": "Example", "contact": "dev@example.com"},
    "iconUrl": "https://example.com/icon.png",
    "categories": ["office"],
    "tags": ["weather"],
    "permissions": ["crm.read", "user.me"],
    "integrationPoints": {"menu": {"section": "CRM", "title": "Weather"}},
    "entrypointURL": "https://example.com/app",
    "webhookURL": "https://example.com/hook",
    "apiEndpoints": {},
    "configuration": {"configSchema": {"type": "object"}, "defaultConfig": {"apiKey": ""}},
    "platformVersion": "1.0",
}
LEAST = {"appId": "a", "name": "A", "version": "1.0.0", "permissions": []}


def _read(**changes: Any) -> ParsedManifest:
    return parse(json.dumps(LEAST | changes))


def _faults(source: str | bytes) -> dict[str, str]:
    with pytest.raises(ManifestInvalid) as caught:
        parse(source)
    return {error.path: error.message for error in caught.value.errors}


def _notices(manifest: ParsedManifest) -> set[tuple[str, str]]:
    return {(notice.kind, notice.path) for notice in manifest.notices}


def test_a_full_manifest_has_no_notice() -> None:
    manifest = parse(json.dumps(FULL))
    assert manifest.notices == ()
    assert manifest.document == FULL
    assert (manifest.app_id, manifest.name, manifest.version) == ("com.example.weather", "Weather", "1.2.3")
    assert manifest.permissions == ("crm.read", "user.me")
    assert manifest.integration_points == FULL["integrationPoints"]
    assert (manifest.entrypoint_url, manifest.webhook_url) == (
        "https://example.com/app",
        "https://example.com/hook",
    )
    assert manifest.description == "Shows the weather."


def test_a_least_manifest_is_enough() -> None:
    manifest = _read(description=None, webhookURL=None)
    assert (manifest.permissions, manifest.webhook_url, manifest.integration_points) == ((), None, {})


def test_hash_ignores_order_and_space_and_nothing_else() -> None:
    turned = dict(reversed(FULL.items()))
    assert parse(json.dumps(turned, indent=3)).sha256 == parse(json.dumps(FULL)).sha256
    assert parse(json.dumps(FULL | {"x": 1})).sha256 != parse(json.dumps(FULL)).sha256


def test_all_faults_are_reported_at_once() -> None:
    faults = _faults(
        json.dumps(
            {
                "appId": " a",
                "name": "",
                "version": "1.0",
                "permissions": ["crm", 7, "", "x" * 201],
                "entrypointURL": "http://example.com",
                "integrationPoints": [],
                "categories": "x",
                "author": "me",
                "description": 5,
            }
        )
    )
    assert set(faults) == {
        "appId", "name", "version", "permissions[1]", "permissions[2]", "permissions[3]", "entrypointURL",
        "integrationPoints", "categories", "author", "description",
    }  # fmt: skip


def test_required_fields() -> None:
    assert set(_faults("{}")) == {"appId", "name", "version", "permissions"}
    assert set(_faults('{"appId": null, "name": null, "version": null, "permissions": null}')) == {
        "appId", "name", "version", "permissions",
    }  # fmt: skip


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-beta", "01.0.0", "1.0.0\n", "1.0.0.0", "١.0.0", 1.0])
def test_version_must_be_three_numbers(version: object) -> None:
    assert set(_faults(json.dumps(LEAST | {"version": version}))) == {"version"}


@pytest.mark.parametrize("text", ["a\nb", "a\x1bb", "a\u2028b", "a\x85b", " ", "a" * 201, 7, ["a"], {}])
@pytest.mark.parametrize("field", ["appId", "name"])
def test_identity_must_be_one_plain_line(field: str, text: object) -> None:
    assert set(_faults(json.dumps(LEAST | {field: text}))) == {field}


@pytest.mark.parametrize("app_id", [" a", "a ", "a\u200bb", "a\u202eb", "a\u00adb"])
def test_app_id_has_nothing_that_cannot_be_seen(app_id: str) -> None:
    assert set(_faults(json.dumps(LEAST | {"appId": app_id}))) == {"appId"}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com", "ftp://example.com", "javascript:alert(1)", "//example.com", "example.com", "",
        "https://", "https://user:pw@example.com", "https://exa mple.com", "https://example.com\\@evil.com",
        "https://example.com:port/", "https://[::1", "https://bücher.example", "https://a.com/" + "a" * 2000,
        7, [],
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["entrypointURL", "webhookURL", "iconUrl"])
def test_addresses_must_be_https(field: str, url: object) -> None:
    assert set(_faults(json.dumps(LEAST | {field: url}))) == {field}


@pytest.mark.parametrize("url", ["http://localhost:3000/app", "http://127.0.0.1", "http://[::1]:3000/"])
def test_plain_http_is_noticed_on_the_local_machine(url: str) -> None:
    manifest = _read(entrypointURL=url)
    assert manifest.entrypoint_url == url
    assert _notices(manifest) == {("plain_http", "entrypointURL")}


def test_scopes_are_kept_verbatim_and_pointed_out() -> None:
    written = [
        "crm.read",
        "crm.accounts.full",
        "crm.read",
        "crm.contacts.read",
        "tasks.create",
        "st.read",
        "",
        "x",
    ]
    written[6] = "\u202ecrm.read"
    manifest = _read(permissions=written)
    assert list(manifest.permissions) == written
    assert _notices(manifest) == {
        ("swallowed_scope", "permissions[1]"),
        ("duplicate_scope", "permissions[2]"),
        ("unknown_scope", "permissions[3]"),
        ("unknown_scope", "permissions[4]"),
        ("unknown_scope", "permissions[5]"),
        ("unknown_scope", "permissions[6]"),
        ("odd_characters", "permissions[6]"),
        ("unknown_scope", "permissions[7]"),
    }


def test_unknown_fields_are_kept_and_pointed_out() -> None:
    manifest = _read(AppID="b", extra={"deep": [1]})
    assert manifest.document["extra"] == {"deep": [1]}
    assert _notices(manifest) == {("unknown_field", "AppID"), ("unknown_field", "extra")}
    assert "appId" in manifest.notices[0].message


def test_names_beyond_the_listing_are_noticed() -> None:
    assert _notices(_read(name="n" * 60)) == set()
    assert _notices(_read(name="n" * 61)) == {("long_name", "name")}
    assert _notices(_read(name="n\u202en")) == {("odd_characters", "name")}


@pytest.mark.parametrize("source", ["[]", '"x"', "null", "7"])
def test_only_an_object_is_a_manifest(source: str) -> None:
    assert _faults(source) == {"": "the manifest must be a JSON object"}


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ('{\n  // sample\n  "appId": "a"}', "line 2, column 3", "comments"),
        ('{"name": "a", "name": "b"}', "line 1, column 15", "twice"),
        (b"\xef\xbb\xbf{}", "line 1, column 1", "byte order mark"),
        ('{"name": "\\u0000"}', "line 1, column 11", "NUL"),
        ('"' + "a" * 1024 * 1024 + '"', "line 1, column 1", "larger than 1048576"),
    ],
)
def test_broken_json_is_one_placed_fault(source: str | bytes, place: str, message: str) -> None:
    faults = _faults(source)
    assert list(faults) == [place]
    assert message in faults[place]


def test_counts_are_limited() -> None:
    assert len(_read(permissions=["crm.read"] * 5000).permissions) == 5000
    assert set(_faults(json.dumps(LEAST | {"permissions": ["crm"] * 5001}))) == {"permissions"}
    assert len(_read(description="x" * 10_000).description) == 10_000
    assert _faults(json.dumps(LEAST | {"description": "x" * 10_001, "platformVersion": "1" * 51})) == {
        "description": "must have at most 10000 characters",
        "platformVersion": "must have at most 50 characters",
    }
    with pytest.raises(ManifestInvalid) as caught:
        _read(permissions=[7] * 5000)
    assert len(caught.value.errors) == MAX_ERRORS + 1
    assert caught.value.errors[-1].message == "and 4900 more errors"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FULL, "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*FULL, "x"]), json_values))
def test_any_object_is_read_whole_or_refused(changes: dict[str, Any]) -> None:
    source = json.dumps(FULL | changes)
    try:
        manifest = parse(source)
    except ManifestInvalid:
        return
    assert manifest.document == json.loads(source)
    assert list(manifest.permissions) == json.loads(source)["permissions"]


def test_the_document_is_not_changed_by_reading_it() -> None:
    manifest = parse(json.dumps(FULL))
    before = copy.deepcopy(manifest.document)
    parse(json.dumps(manifest.document))
    assert manifest.document == before
