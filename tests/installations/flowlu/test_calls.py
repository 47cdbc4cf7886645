"""The grammar of a call: only whole, plain parts get through, and none can take the place of another."""

from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.errors import InvalidRequest
from installations.flowlu.calls import FlowluCall, build_call, build_call_at, encode_json_body
from installations.scopes import Call, Level
from tests.weighed import MIB, weighed

NAME = "must be 1 to 64 lower-case letters, digits and underscores"
ID = "must be 1 to 20 digits"
RESERVED = "is set by the service and must not be sent"
PARAMETER = "is not a parameter name"
BROKEN = "must not contain NUL or broken characters"
TOO_LONG = "must have at most 262144 characters"
TOO_MANY = "must be at most 1000"
TOO_MUCH = "must have at most 1048576 characters together"
TOO_LONG_FOR_GET = "are too long for a call that Flowlu takes as GET"
LONG = "k" * (1024 * 1024 - 8000)  # as long as fits into a body
TOO_DEEP = "is nested deeper than 8 levels"
UNSENDABLE = "is not a value that can be sent"


def _faults(*args: object) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        build_call(*args)  # type: ignore[arg-type]
    return caught.value.fields


def _parameter_faults(*params: tuple[str, str]) -> dict[str, str]:
    return _faults("crm", "lead", "create", None, params)


def _body_faults(body: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        encode_json_body(body)
    return caught.value.fields


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
    assert _faults(part, "lead", "list") == {"module": NAME}
    assert _faults("crm", part, "list") == {"model": NAME}
    assert _faults("crm", "lead", part) == {"action": NAME}


def test_longest_parts_are_taken() -> None:
    call = build_call("m" * 64, "o" * 64, "a" * 64, "1" * 20)
    assert call.path == f"/api/v1/module/{'m' * 64}/{'o' * 64}/{'a' * 64}/{'1' * 20}"


@pytest.mark.parametrize("id", ["", "x", "7x", "-7", "7\n", "٧", "7/..", "1" * 21])
def test_ids_are_digits(id: str) -> None:
    assert _faults("crm", "lead", "get", id) == {"id": ID}


def test_all_wrong_parts_are_named() -> None:
    parameters = [("api_key", "7"), ("ok", "a\0"), ("A", "x")]
    assert _faults("", "", "", "", parameters) == {
        "module": NAME,
        "model": NAME,
        "action": NAME,
        "id": ID,
        "api_key": RESERVED,
        "ok": BROKEN,
        "A": PARAMETER,
    }


@pytest.mark.parametrize(
    "name", ["page", "fields", "filter[name]", "filter[id]", "order_by[asc][]", "_x", "a[0][b]", "a" * 200]
)
def test_parameter_names(name: str) -> None:
    assert build_call("crm", "lead", "list", None, [(name, "x")]).params == ((name, "x"),)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "parameters"),
        ("A", "A"),
        ("a b", "a b"),
        ("a.b", "a.b"),
        ("a[b", "a[b"),
        ("a]", "a]"),
        ("a[b]c", "a[b]c"),
        ("a[B]", "a[B]"),
        ("0a", "0a"),
        ("a\n", "parameters"),
        ("[a]", "[a]"),
        ("a&b=c", "a&b=c"),
        ("a=b", "a=b"),
        ("a[../]", "a[../]"),
        ("é", "parameters"),
        ("\u202e<b>", "parameters"),
        ("A" * 64, "A" * 64),
        ("A" * 65, "parameters"),
        ("a" * 201, "parameters"),
    ],
)
def test_other_names_are_refused_and_repeated_only_where_they_are_short_plain_text(name: str, shown: str) -> None:
    assert _parameter_faults((name, "x")) == {shown: PARAMETER}
    assert _body_faults({name: "x"}) == {shown: PARAMETER}


@pytest.mark.parametrize("base", ["api_key", "access_token", "module", "model", "action", "id", "_method"])
@pytest.mark.parametrize("suffix", ["", "[]", "[x]", "[][a]"])
def test_what_the_service_sets_cannot_be_sent(base: str, suffix: str) -> None:
    assert _parameter_faults((base + suffix, "x")) == {base + suffix: RESERVED}
    assert _parameter_faults((base.upper() + suffix, "x")) == {base.upper() + suffix: RESERVED}
    assert _parameter_faults(*encode_json_body({base: "x"})) == {base: RESERVED}


@pytest.mark.parametrize(
    ("value", "fault"), [("a\0b", BROKEN), ("\ud800", BROKEN), ("a\udfff", BROKEN), ("x" * (256 * 1024 + 1), TOO_LONG)]
)
def test_values_that_cannot_be_sent_are_refused(value: str, fault: str) -> None:
    assert _parameter_faults(("name", value)) == {"name": fault}


def test_as_much_as_is_allowed_is_sent_and_no_more() -> None:
    many = [("a", "x")] * 1000
    much = [("a", "x" * (256 * 1024 - 1))] * 4
    longest = [("a", "x" * (256 * 1024))]
    for params in (many, much, longest):
        assert build_call("crm", "lead", "create", None, params).params == tuple(params)
    assert _parameter_faults(*many, ("a", "x")) == {"parameters": TOO_MANY}
    assert _parameter_faults(*much, ("b", "")) == {"parameters": TOO_MUCH}


@pytest.mark.parametrize("action", ["list", "get", "delete"])
def test_a_call_that_flowlu_takes_as_get_fits_into_a_request_line(action: str) -> None:
    fits, too_long = [("a", "x" * 6998)], [("a", "x" * 6999)]
    assert build_call("crm", "lead", action, None, fits).encoded_params == "a=" + "x" * 6998
    assert _faults("crm", "lead", action, None, too_long) == {"parameters": TOO_LONG_FOR_GET}
    assert build_call("crm", "lead", "create", None, too_long).http_method == "POST"


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
        ({"filter": {"active": 1}, "cf": {"cf_1": 2}}, [("filter[active]", "1"), ("cf[cf_1]", "2")]),
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
    ("body", "faults"),
    [
        ({"Name": "x"}, {"Name": PARAMETER}),
        ({"a": {"b-c": 1}}, {"a[b-c]": PARAMETER}),
        ({"a": {"b][id": 1}}, {"a[b][id]": PARAMETER}),
        ({"a": {1: "x"}}, {"a[1]": PARAMETER}),
        ({"a": {"": "x"}}, {"a[]": PARAMETER}),
        ({"a": float("nan")}, {"a": UNSENDABLE}),
        ({"a": [float("inf")]}, {"a[]": UNSENDABLE}),
        ({"a": 10**100}, {"a": UNSENDABLE}),
        ({"a": -(10**100)}, {"a": UNSENDABLE}),
        ({"a": object()}, {"a": UNSENDABLE}),
        ({"a": list(range(1001))}, {"parameters": TOO_MANY}),
    ],
)
def test_bodies_that_cannot_be_sent_are_refused(body: dict[str, object], faults: dict[str, str]) -> None:
    assert _body_faults(body) == faults


@pytest.mark.parametrize(
    ("longest", "too_long"),
    [
        pytest.param({"a" * 200: "x"}, {"a" * 201: "x"}, id="name"),
        pytest.param({"a" * 198: ["x"]}, {"a" * 199: ["x"]}, id="list"),
        pytest.param({"a" * 195: [["x"]]}, {"a" * 196: [["x"]]}, id="lists"),
        pytest.param({"a": {"b" * 197: "x"}}, {"a": {"b" * 198: "x"}}, id="object"),
        pytest.param({"a" * 200: []}, {"a" * 201: []}, id="empty"),
    ],
)
def test_longest_name_is_taken_wherever_it_ends(longest: dict[str, object], too_long: dict[str, object]) -> None:
    assert [len(name) for name, _value in encode_json_body(longest)] == [200]
    assert _body_faults(too_long) == {"parameters": PARAMETER}


def test_as_many_characters_as_are_allowed_become_pairs() -> None:
    body: dict[str, object] = {name: "x" * (256 * 1024 - 1) for name in "abcd"}
    assert len(encode_json_body(body)) == 4
    assert _body_faults({**body, "e": ""}) == {"parameters": TOO_MUCH}
    assert _body_faults({**body, "d": "x" * 256 * 1024}) == {"parameters": TOO_MUCH}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({LONG: [1] * 1000}, id="list"),
        pytest.param({LONG: [[1]] * 1000}, id="lists"),
        pytest.param({LONG: {str(number): 1 for number in range(500)}}, id="object"),
        pytest.param({"a": {LONG: {str(number): 1 for number in range(500)}}}, id="object-inside"),
        pytest.param({"a": [{LONG: 1}] * 500}, id="objects"),
        pytest.param({"a": {LONG + ".": 1}}, id="no-name"),
        pytest.param({"a": {"a" * 197: [{LONG: 1}] * 500}}, id="long-before"),
    ],
)
def test_long_name_is_not_written_once_for_each_value(body: dict[str, object]) -> None:
    faults, peak = weighed(lambda: _body_faults(body))

    assert faults == {"parameters": PARAMETER}
    assert peak < 4 * MIB


def test_as_many_and_as_large_numbers_as_are_allowed_become_pairs() -> None:
    largest = 10**100 - 1
    body: dict[str, object] = {"a": largest, "b": -largest, "c": list(range(998))}
    assert encode_json_body(body) == [
        ("a", str(largest)),
        ("b", str(-largest)),
        *(("c[]", str(number)) for number in range(998)),
    ]


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        pytest.param(lambda inner: {"b": inner}, "a[b][b][b][b][b][b][b]", id="objects"),
        pytest.param(lambda inner: [inner], "a[0][0][0][0][0][0][]", id="lists"),
    ],
)
def test_bodies_are_nested_eight_levels_deep_at_most(wrap: Callable[[object], object], place: str) -> None:
    value: object = "x"
    for _ in range(7):
        value = wrap(value)
    assert encode_json_body({"a": value}) == [(place, "x")]
    assert list(_body_faults({"a": wrap(value)}).values()) == [TOO_DEEP]


def test_a_very_deep_body_is_refused_like_any_other() -> None:
    body: dict[str, object] = {}
    for _ in range(5000):
        body = {"a": body}
    assert _body_faults(body) == {"a[a][a][a][a][a][a][a][a]": TOO_DEEP}


def test_path_is_taken_apart_into_three_or_four_parts() -> None:
    params = [("limit", "3")]
    assert build_call_at("crm/lead/list", params) == FlowluCall("crm", "lead", "list", None, (("limit", "3"),))
    assert build_call_at("crm/lead/get/7", []) == FlowluCall("crm", "lead", "get", "7", ())


@pytest.mark.parametrize("path", ["", "crm", "crm/lead", "crm/lead/get/7/8"])
def test_path_of_any_other_number_of_parts_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_call_at(path, [])
    assert caught.value.fields == {"path": "must be module/model/action or module/model/action/id"}


def test_parts_of_a_path_are_checked_as_any_others() -> None:
    with pytest.raises(InvalidRequest) as caught:
        build_call_at("crm//LIST/x", [("a b", "")])
    assert caught.value.fields == {"model": NAME, "action": NAME, "id": ID, "a b": PARAMETER}
