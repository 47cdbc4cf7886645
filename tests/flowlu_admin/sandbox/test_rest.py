"""What the REST API answers: envelopes, list parameters, records, and both error shapes with HTTP 200."""

import json
from typing import Any

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from tests.flowlu_admin.sandbox.conftest import Client


def test_list_has_the_documented_envelope_and_fifty_at_most_by_default(client: Client, token: str) -> None:
    answer = client.call("crm/account/list", token)
    assert answer.status == 200
    response = answer.json["response"]
    assert {name: response[name] for name in ("total", "total_result", "page", "count")} == {
        "total": 34,
        "total_result": 34,
        "page": 1,
        "count": 34,
    }
    assert response["items"][0]["name"] == "Northwind Traders"
    assert {item["type"] for item in response["items"]} == {1, 2}


def test_a_page_has_one_hundred_items_at_most(client: Client, sandbox: SandboxServer, token: str) -> None:
    for number in range(80):
        client.call("task/lists/create", token, form={"name": f"List {number}"})
    assert client.call("task/lists/list", token).json["response"]["count"] == 50
    asked_for_more = client.call("task/lists/list", token, query={"limit": "5000"}).json["response"]
    assert (asked_for_more["total"], asked_for_more["count"]) == (82, 82)
    for number in range(30):
        client.call("task/lists/create", token, form={"name": f"More {number}"})
    assert client.call("task/lists/list", token, query={"limit": "5000"}).json["response"]["count"] == 100


def test_pages_follow_each_other_and_end_with_an_empty_one(client: Client, token: str) -> None:
    pages = [
        client.call("crm/account/list", token, query={"limit": "15", "page": str(page)}).json["response"]
        for page in (1, 2, 3, 4)
    ]
    assert [page["count"] for page in pages] == [15, 15, 4, 0]
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert len({item["id"] for page in pages for item in page["items"]}) == 34


@pytest.mark.parametrize(
    ("_case", "query", "ids"),
    [
        ("search ignores case", {"search": "zoë"}, [203]),
        ("equal", {"filter[id]": "101"}, [101]),
        ("any of a comma list", {"filter[id]": "101,203"}, [101, 203]),
        ("more, as JSON", {"filter[id]": '{"type":"more","value":214}'}, [215, 216]),
        ("text compares as text", {"filter[name]": '{"type":"less","value":"C"}', "filter[type]": "1"}, [102]),
        ("both filters hold", {"filter[id]": "101,203", "filter[type]": "2"}, [203]),
        ("descending", {"filter[id]": "101,102,103", "order_by[desc][]": "id"}, [103, 102, 101]),
        ("ascending by text", {"filter[id]": "101,102,103", "order_by[asc][]": "name"}, [102, 103, 101]),
    ],
)
def test_list_parameters(client: Client, token: str, _case: str, query: dict[str, str], ids: list[int]) -> None:
    response = client.call("crm/account/list", token, query=query).json["response"]
    assert [item["id"] for item in response["items"]] == ids
    assert response["total"] == 34
    assert response["total_result"] == len(ids)


def test_the_first_order_counts_most(client: Client, token: str) -> None:
    query = {"order_by[desc][0]": "type", "order_by[asc][1]": "name", "limit": "1"}
    assert client.call("crm/account/list", token, query=query).json["response"]["items"][0]["name"] == "Amélie Laurent"


def test_fields_narrows_the_items(client: Client, token: str) -> None:
    items = client.call("crm/account/list", token, query={"fields": "id,name", "limit": "1"}).json["response"]["items"]
    assert items == [{"id": 101, "name": "Northwind Traders"}]


@pytest.mark.parametrize(
    ("_case", "query"),
    [
        ("page zero", {"page": "0"}),
        ("limit in words", {"limit": "many"}),
        ("unknown filter", {"filter[shoe_size]": "41"}),
        ("unknown comparison", {"filter[id]": '{"type":"like","value":1}'}),
        ("filter that is no JSON", {"filter[id]": "{"}),
        ("unknown order", {"order_by[asc][]": "shoe_size"}),
    ],
)
def test_a_list_parameter_that_is_not_understood_is_code_12_with_http_200(
    client: Client, token: str, _case: str, query: dict[str, str]
) -> None:
    answer = client.call("crm/account/list", token, query=query)
    assert (answer.status, answer.error_code) == (200, 12)


@pytest.mark.parametrize("model", ["crm/account", "crm/lead", "task/tasks", "fin/invoice", "st/projects"])
def test_every_portal_has_records_of_its_own(client: Client, sandbox: SandboxServer, model: str) -> None:
    lists = []
    for portal in ("acme.flowlu.com", "globex.flowlu.com"):
        administrator = sandbox.state.issue_tokens(portal, "1").access_token
        response = client.call(f"{model}/list", administrator, portal=portal).json["response"]
        lists.append({item["name"] for item in response["items"]})
    assert all(len(names) >= 4 for names in lists)
    assert not lists[0] & lists[1] or model == "fin/invoice"


def test_records_are_the_same_at_every_start(client: Client, token: str) -> None:
    with SandboxServer() as other:
        other_token = other.state.issue_tokens("acme", "1").access_token
        theirs = Client(other).call("crm/account/list", other_token).body
    assert client.call("crm/account/list", token).body == theirs


def test_create_answers_little_more_than_the_id_and_get_has_the_rest(client: Client, token: str) -> None:
    created = client.call("crm/account/create", token, form={"name": "Ünï & Söhne", "type": "1", "x": "y"})
    number = created.json["response"]["id"]
    assert created.json == {"response": {"id": number, "_resultMessage": "Saved"}}
    record = client.call(f"crm/account/get/{number}", token).json["response"]
    assert (record["id"], record["name"], record["type"]) == (number, "Ünï & Söhne", 1)
    assert "x" not in record


def test_create_takes_json_too(client: Client, sandbox: SandboxServer, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = "/acme.flowlu.com/api/v1/module/crm/account/create"
    answer = client.request("POST", path, body=json.dumps({"name": "By JSON", "type": 2}).encode(), headers=headers)
    number = answer.json["response"]["id"]
    assert client.call(f"crm/account/get/{number}", token).json["response"]["name"] == "By JSON"


def test_update_answers_the_whole_record(client: Client, token: str) -> None:
    answer = client.call("crm/account/update/101", token, form={"name": "Renamed"})
    assert answer.json["response"]["name"] == "Renamed"
    assert answer.json["response"]["email"] == "office@northwindtraders.customers.example"


def test_delete_is_a_get_and_answers_the_id(client: Client, token: str) -> None:
    assert client.call("crm/account/delete/101", token).json == {"response": {"id": 101}}
    gone = client.call("crm/account/get/101", token)
    assert (gone.status, gone.error_code) == (200, 20)


@pytest.mark.parametrize(
    ("_case", "path", "form", "code"),
    [
        ("unknown module", "nonsense/account/list", None, 31),
        ("unknown model", "crm/nonsense/list", None, 30),
        ("a module that is empty here", "agile/issues/list", None, 30),
        ("unknown action", "crm/account/merge", None, 30),
        ("create by GET", "crm/account/create", None, 30),
        ("delete by POST", "crm/account/delete/101", {}, 30),
        ("list by POST", "crm/account/list", {}, 30),
        ("get without id", "crm/account/get", None, 12),
        ("unknown record", "crm/account/get/999999", None, 20),
        ("not a path of the API", "crm/account", None, 30),
        ("create with id", "crm/account/create/5", {"name": "x"}, 12),
    ],
)
def test_errors_are_http_200_with_a_code(
    client: Client, token: str, _case: str, path: str, form: dict[str, str] | None, code: int
) -> None:
    answer = client.call(path, token, form=form)
    assert (answer.status, answer.error_code) == (200, code)
    assert answer.json["error"]["error_msg"]


def test_validation_comes_in_two_shapes_both_http_200(client: Client, token: str) -> None:
    by_code = client.call("crm/account/create", token, form={"type": "one"})
    assert by_code.status == 200
    assert by_code.json["error"]["error_code"] == 21
    assert sorted(by_code.json["error"]["error_details"]) == ["name", "type"]

    named = client.call("task/tasks/create", token, form={"priority": "high"})
    assert named.status == 200
    assert named.json["error"] == "validation"
    assert sorted(named.json["details"]) == ["name", "priority"]
    assert isinstance(named.json["description"], str)


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"a":' * 5000, b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_code_12(client: Client, token: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = "/acme.flowlu.com/api/v1/module/crm/account/create"
    answer = client.request("POST", path, body=body, headers=headers)
    assert (answer.status, answer.error_code) == (200, 12)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_only_get_and_post_exist(client: Client, method: str) -> None:
    answer = client.request(method, "/acme.flowlu.com/api/v1/module/crm/account/list")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")


def test_the_current_user_has_the_documented_fields(client: Client, sales_token: str) -> None:
    record: dict[str, Any] = client.call("core/user/get", sales_token).json["response"]
    assert record["id"] == "2"
    assert record["name"] == "José Núñez"
    assert record["role_admin"] == 0
    assert {"username", "first_name", "second_name", "last_name", "lang_id", "timezone", "role_login"} <= set(record)


def test_users_can_be_listed_and_read_by_id(client: Client, sales_token: str) -> None:
    items = client.call("core/user/list", sales_token).json["response"]["items"]
    assert [item["id"] for item in items] == ["1", "2", "3", "4", "5"]
    assert client.call("core/user/get/3", sales_token).json["response"]["name"] == "Мария Кузнецова"


def test_nobody_becomes_an_administrator_by_an_update(client: Client, sandbox: SandboxServer, token: str) -> None:
    with SandboxServer(requested_scopes=["users.full"]) as other:
        own = other.state.issue_tokens("acme", "2").access_token
        answer = Client(other).call("core/user/update/2", own, form={"role_admin": "1", "timezone": "UTC"})
        assert answer.json["response"]["role_admin"] == 0
        assert answer.json["response"]["timezone"] == "UTC"
        assert Client(other).call("core/user/update/1", own, form={"timezone": "UTC"}).error_code == 22


def test_money_has_two_places_and_yes_is_one(client: Client, token: str) -> None:
    lead = client.call("crm/lead/create", token, form={"name": "Deal", "budget": "12.5"}).json["response"]["id"]
    assert client.call(f"crm/lead/get/{lead}", token).json["response"]["budget"] == "12.50"
    account = client.call("crm/account/create", token, form={"name": "A", "type": "1", "active": ""}).json["response"]
    assert client.call(f"crm/account/get/{account['id']}", token).json["response"]["active"] == 0


@pytest.mark.parametrize(
    ("_case", "path", "form", "field"),
    [
        ("money in words", "crm/lead/create", {"name": "Deal", "budget": "much"}, "budget"),
        ("yes or no that is neither", "crm/account/create", {"name": "A", "type": "1", "active": "2"}, "active"),
        ("number in words", "crm/lead/create", {"name": "Deal", "pipeline_id": "first"}, "pipeline_id"),
    ],
)
def test_a_value_of_another_kind_is_refused(
    client: Client, token: str, _case: str, path: str, form: dict[str, str], field: str
) -> None:
    answer = client.call(path, token, form=form)
    assert answer.status == 200
    assert answer.json["error"]["error_code"] == 21
    assert list(answer.json["error"]["error_details"]) == [field]


def test_json_values_are_taken_as_text(client: Client, sandbox: SandboxServer, token: str) -> None:
    body = json.dumps({"name": 7, "type": 1, "active": False, "email": None, "phone": ["1", "ü"]}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = "/acme.flowlu.com/api/v1/module/crm/account/"
    created = client.request("POST", f"{path}create", body=body, headers=headers).json["response"]["id"]
    kept = client.call(f"crm/account/get/{created}", token).json["response"]
    assert {name: kept[name] for name in ("name", "type", "active", "email", "phone")} == {
        "name": "7",
        "type": 1,
        "active": 0,
        "email": "",
        "phone": '["1", "ü"]',
    }
