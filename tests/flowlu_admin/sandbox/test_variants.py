"""Variants over HTTP: a portal differs in the point that was switched, other portals do not, and all can be undone."""

from datetime import datetime, timedelta

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from flowlu_admin.sandbox.variants import VARIANTS
from tests.flowlu_admin.sandbox.conftest import Client


def choose(client: Client, **choices: str) -> None:
    assert client.control("POST", "variants", {"portal": "acme", **choices}).status == 200


def test_variants_are_listed_chosen_and_cleared(client: Client) -> None:
    assumed = {name: choices[0] for name, choices in VARIANTS.items()}
    told = client.control("GET", "variants").json
    assert told["kinds"] == {name: list(choices) for name, choices in VARIANTS.items()}
    assert told["active"] == {"acme.flowlu.com": assumed, "globex.flowlu.com": assumed}

    chosen = client.control("POST", "variants", {"portal": "acme", "body": "json", "delete": "post"})
    assert chosen.json == assumed | {"body": "json", "delete": "post"}
    assert client.control("GET", "variants").json["active"]["globex.flowlu.com"] == assumed

    client.control("DELETE", "variants?portal=globex")
    assert client.control("GET", "variants").json["active"]["acme.flowlu.com"]["body"] == "json"
    client.control("DELETE", "variants")
    assert client.control("GET", "variants").json["active"]["acme.flowlu.com"] == assumed


@pytest.mark.parametrize(
    ("payload", "hint"),
    [
        ({"portal": "acme", "weather": "rain"}, "token, body, delete"),
        ({"portal": "acme", "body": "xml"}, "either, form, json"),
        ({"portal": "acme", "body": ["json"]}, "either, form, json"),
        ({"body": "json"}, "portal"),
    ],
)
def test_unknown_variant_says_which_there_are(client: Client, payload: dict[str, object], hint: str) -> None:
    refused = client.control("POST", "variants", payload)
    assert refused.status == 400
    assert hint in refused.json["error"]


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("bearer", {"Authorization": "Bearer {}"}),
        ("bare", {"Authorization": "{}"}),
        ("own_header", {"X-Access-Token": "{}"}),
    ],
)
def test_token_is_taken_in_the_one_form(client: Client, token: str, form: str, headers: dict[str, str]) -> None:
    for choice in VARIANTS["token"]:
        choose(client, token=choice)
        sent = {name: value.format(token) for name, value in headers.items()}
        answer = client.request("GET", "/acme.flowlu.com/api/v1/module/core/user/get", headers=sent)
        assert answer.status == (200 if choice == form else 401)


def test_body_of_the_other_kind_is_passed_over(client: Client, token: str) -> None:
    def create(kind: str, body: bytes) -> bool:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        path = "/acme.flowlu.com/api/v1/module/crm/account/create"
        return "response" in client.request("POST", path, body=body, headers=headers).json

    taken = {}
    for choice in VARIANTS["body"]:
        choose(client, body=choice)
        taken[choice] = (
            create("application/x-www-form-urlencoded", b"name=x"), create("application/json", b'{"name": "x"}'),
        )  # fmt: skip
    assert taken == {"either": (True, True), "form": (True, False), "json": (False, True)}


def test_delete_may_be_a_post(client: Client, token: str) -> None:
    choose(client, delete="post")
    assert client.call("crm/account/delete/101", token).error_code == 30
    assert client.call("crm/account/delete/101", token, form={}).json["response"] == {"id": 101}


def test_key_may_be_taken_for_a_read_by_get_only(client: Client, sandbox: SandboxServer) -> None:
    key = {"api_key": sandbox.state.create_api_key("acme")}
    assert "response" in client.call("crm/account/list", form=key).json
    choose(client, key="get")
    assert client.call("crm/account/list", form=key).error_code == 30
    assert "response" in client.call("crm/account/list", query=key).json


def test_errors_may_have_other_codes_or_a_status(client: Client, token: str) -> None:
    paths = ("none/none/list", "core/none/list", "crm/account/get/9999")
    choose(client, errors="own_codes")
    assert [client.call(path, token).error_code for path in paths] == [431, 430, 420]
    choose(client, errors="statuses")
    assert [client.call(path, token).status for path in paths] == [404, 404, 404]
    assert client.call("core/user/get", "nobody").status == 401


def test_number_of_a_user_may_be_a_number(client: Client, token: str) -> None:
    choose(client, user_id="number")
    assert client.call("core/user/get", token).json["response"]["id"] == 1


def test_pages_may_be_short_or_have_another_name_for_their_length(client: Client, token: str) -> None:
    def count(**query: str) -> int:
        return int(client.call("crm/account/list", token, query=query).json["response"]["count"])

    choose(client, page="twenty")
    assert (count(), count(limit="100"), count(limit="3")) == (20, 20, 3)
    choose(client, page="count")
    assert (count(limit="3"), count(count="3")) == (34, 3)


@pytest.mark.parametrize(
    ("choice", "name"), [("retry_after", "Retry-After"), ("reset", "X-RateLimit-Reset"), ("nothing", None)]
)
def test_limit_tells_when_to_come_again(client: Client, token: str, choice: str, name: str | None) -> None:
    choose(client, retry=choice)
    client.control("POST", "settings", {"portal": "acme", "rate_limit": 1})
    answers = [client.call("core/user/get", token) for _ in range(6)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert [header for header in ("Retry-After", "X-RateLimit-Reset") if header in refused.headers] == (
        [name] if name else []
    )


def test_expiry_may_be_in_another_zone_or_form(client: Client, sandbox: SandboxServer) -> None:
    def issued() -> str:
        pair = {"portal": "acme", "user_id": "1", "expires_in": 60}
        return str(client.control("POST", "tokens", pair).json["expires_at"])

    utc = datetime.fromisoformat(issued())
    choose(client, expiry="moscow")
    assert timedelta(hours=2) < datetime.fromisoformat(issued()) - utc < timedelta(hours=4)
    choose(client, expiry="unix")
    assert issued().isdigit()
