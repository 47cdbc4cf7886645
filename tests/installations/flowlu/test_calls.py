"""The grammar of a call: only whole, plain parts get through, and none can take the place of another."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.errors import InvalidRequest
from installations.flowlu.calls import MAX_QUERY_LENGTH, FlowluCall, build_call, encode_json_body
from installations.scopes import Call, Level


def _faults(*args: object) -> set[str]:
    with pytest.raises(InvalidRequest) as caught:
        build_call(*args)  # type: ignore[arg-type]
    return set(caught.value.fields)


@pytest.mark.parametrize(
    ("action", "id", "method", "is_read", "path"),
    [
        ("list", None, "GET", True, "/api/v1/module/crm/lead/list"),
        ("get", "7", "GET", True, "/api/v1/module/crm/lead/get/7"),
        ("get", None, "GET", True, "/api/v1/module/crm/lead/get"),
        ("delete", "7", "GET", False, "/api/v1/module/crm/lead/delete/7"),
        ("create", None, "POST", False, "/api/v1/module/crm/lead/create"),
        ("update", "7", "POST", False, "/api/v1/module/crm/lead/update/7"),
        ("get_all", None, "POST", False, "/api/v1/module/crm/lead/get_all"),
    ],
)
def test_method_and_path(action: str, id: str | None, method: str, is_read: bool, path: str) -> None:
    call = build_call("crm", "lead", action, id)
    assert (call.http_method, call.scope_call.level is Level.READ, call.path) == (method, is_read, path)
    assert call.scope_call == Call("crm", "lead", action, id)


@pytest.mark.parametrize(
    "part", ["", "CRM", "crm/", "..", "crm.lead", "crm%2f", "crm\n", "crm ", "crm?x", "a-b", "é", "a" * 65]
)
def test_parts_are_matched_whole(part: str) -> None:
    assert _faults(part, "lead", "list") == {"module"}
    assert _faults("crm", part, "list") == {"model"}
    assert _faults("crm", "lead", part) == {"action"}


@pytest.mark.parametrize("id", ["", "x", "7x", "-7", "7\n", "٧", "7/..", "1" * 21])
def test_ids_are_digits(id: str) -> None:
    assert _faults("crm", "lead", "get", id) == {"id"}


def test_all_wrong_parts_are_named() -> None:
    assert _faults("", "", "", "", [("id", "7"), ("ok", "a\0")]) == {"module", "model", "action", "id", "ok"}


@pytest.mark.parametrize("name", ["page", "fields", "filter[name]", "filter[id]", "order_by[asc][]", "_x", "a[0][b]"])
def test_parameter_names(name: str) -> None:
    assert build_call("crm", "lead", "list", None, [(name, "x")]).params == ((name, "x"),)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "a b",
        "a.b",
        "a[b",
        "a]",
        "a[b]c",
        "a[B]",
        "0a",
        "a\n",
        "[a]",
        "a&b=c",
        "a=b",
        "a[../]",
        "a" * 201,
    ],
)
def test_other_parameter_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        build_call("crm", "lead", "list", None, [(name, "x")])


@pytest.mark.parametrize("base", ["api_key", "access_token", "module", "model", "action", "id", "_method"])
@pytest.mark.parametrize("suffix", ["", "[]", "[x]", "[][a]"])
def test_what_the_service_sets_cannot_be_sent(base: str, suffix: str) -> None:
    assert _faults("crm", "lead", "list", None, [(base + suffix, "x")]) == {base + suffix}
    assert _faults("crm", "lead", "list", None, [(base.upper() + suffix, "x")]) == {base.upper() + suffix}
    with pytest.raises(InvalidRequest):
        build_call("crm", "lead", "create", None, encode_json_body({base: "x"}))


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * (256 * 1024 + 1)])
def test_values_that_cannot_be_sent_are_refused(value: str) -> None:
    assert _faults("crm", "lead", "create", None, [("name", value)]) == {"name"}


def test_amounts_are_limited() -> None:
    assert _faults("crm", "lead", "create", None, [("a", "x")] * 1001) == {"parameters"}
    assert _faults("crm", "lead", "create", None, [("a", "x" * 250_000)] * 5) == {"parameters"}
    assert _faults("crm", "lead", "list", None, [("a", "x" * MAX_QUERY_LENGTH)]) == {"parameters"}
    assert build_call("crm", "lead", "create", None, [("a", "x" * MAX_QUERY_LENGTH)]).http_method == "POST"


def test_a_name_that_is_not_plain_text_is_not_repeated_in_the_answer() -> None:
    assert _faults("crm", "lead", "list", None, [("\u202e<b>", "x")]) == {"parameters"}


def test_repr_keeps_parameters_to_itself() -> None:
    assert "canary" not in repr(build_call("crm", "lead", "list", None, [("search", "canary")]))


@given(st.text(), st.text(), st.text(), st.none() | st.text())
def test_whatever_is_built_stays_inside_its_path(module: str, model: str, action: str, id: str | None) -> None:
    try:
        call = build_call(module, model, action, id)
    except InvalidRequest:
        return
    parts = [module, model, action] + ([] if id is None else [id])
    assert call.path == "/api/v1/module/" + "/".join(parts)
    assert call.path.count("/") == 3 + len(parts)
    assert call.path.isascii()


@given(st.lists(st.tuples(st.sampled_from(["a", "b[]", "c[d]"]), st.text(st.characters(exclude_categories=["Cs"])))))
def test_parameters_arrive_as_they_were_sent(params: list[tuple[str, str]]) -> None:
    sendable = [(name, value.replace("\0", "")) for name, value in params]
    call = FlowluCall("crm", "lead", "create", None, tuple(sendable))
    assert parse_qsl(call.encoded_params, keep_blank_values=True) == sendable


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        ({}, []),
        ({"name": "Ü & =", "count": 7}, [("name", "Ü & ="), ("count", "7")]),
        ({"yes": True, "no": False, "none": None}, [("yes", "1"), ("no", "0"), ("none", "")]),
        ({"tags": ["a", 1, None]}, [("tags[]", "a"), ("tags[]", "1"), ("tags[]", "")]),
        ({"filter": {"active": 1}}, [("filter[active]", "1")]),
        ({"filter[name]": "x"}, [("filter[name]", "x")]),
        (
            {"items": [{"id": 1, "name": "a"}, {"id": 2}]},
            [("items[0][id]", "1"), ("items[0][name]", "a"), ("items[1][id]", "2")],
        ),
        ({"rows": [["a"], ["b", "c"]]}, [("rows[0][]", "a"), ("rows[1][]", "b"), ("rows[1][]", "c")]),
        ({"empty": [], "none": {}}, [("empty", ""), ("none", "")]),
        ({"price": 1.5, "small": 1e-7, "large": 1e22}, [
            ("price", "1.5"), ("small", "0.0000001"), ("large", "10000000000000000000000"),
        ]),
    ],
)  # fmt: skip
def test_json_bodies_become_form_pairs(body: dict[str, object], pairs: list[tuple[str, str]]) -> None:
    assert encode_json_body(body) == pairs
    build_call("crm", "lead", "create", None, pairs)


@pytest.mark.parametrize(
    "body",
    [
        {"Name": "x"},
        {"a": {"b-c": 1}},
        {"a": {"b][id": 1}},
        {"a": {1: "x"}},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 10**101},
        {"a": object()},
        {"a": list(range(1001))},
    ],
)
def test_bodies_that_cannot_be_sent_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        encode_json_body(body)


def test_deep_bodies_are_refused() -> None:
    body: dict[str, object] = {}
    for _ in range(5000):
        body = {"a": body}
    with pytest.raises(InvalidRequest):
        encode_json_body(body)
