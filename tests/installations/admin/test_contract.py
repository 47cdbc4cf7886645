"""What holds for every model of the console: view only, secrets out of reach, no list that asks once per row."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import RequestFactory

from installations.admin.base import ReadOnlyAdmin
from installations.models import Application, Installation
from tests import factories
from tests.installations.admin.console import signed_in, text, url
from tests.security.scene import set_up
from tests.unchanged import nothing_changes
from tokens.models import OAuthToken

MODELS = {model._meta.label_lower.replace(".", "_"): model for model in admin.site._registry}

_case_lookup = pytest.mark.parametrize(
    ("name", "lookup"),
    [
        ("tokens_oauthtoken", "sealed_access_token__startswith"),
        ("tokens_oauthtoken", "sealed_refresh_token__isnull"),
        ("tokens_oauthtoken", "access_fingerprint__startswith"),
        ("tokens_oauthtoken", "access_fingerprint"),
        ("tokens_oauthtoken", "refresh_fingerprint"),
        ("tokens_oauthtoken", "seal_key_id"),
        ("tokens_oauthtoken", "uuid"),
        ("tokens_oauthtoken", "sessions__token_hash__startswith"),
        ("tokens_embedsession", "token_hash__startswith"),
        ("tokens_embedsession", "token_hash"),
        ("tokens_embedsession", "oauth_token__access_fingerprint__startswith"),
        ("tokens_embedsession", "oauth_token__sealed_access_token__gt"),
        ("tokens_revocation", "fingerprints__fingerprint__startswith"),
        ("tokens_revocation", "tokens__access_fingerprint"),
        ("tokens_refreshattempt", "refresh_fingerprint__startswith"),
        ("tokens_refreshattempt", "oauth_token__sealed_refresh_token__gt"),
        ("tokens_upstreamrevocation", "sealed_access_token__startswith"),
        ("tokens_upstreamrevocation", "seal_key_id"),
        ("installations_installation", "tokens__sealed_access_token__gt"),
        ("installations_installation", "tokens__access_fingerprint__startswith"),
        ("installations_portaluser", "tokens__access_fingerprint__startswith"),
        ("installations_portal", "installations__tokens__access_fingerprint__startswith"),
        ("installations_portal", "domain__startswith"),
        ("installations_auditevent", "hash__startswith"),
        ("installations_auditevent", "previous_hash"),
        ("installations_auditevent", "details__icontains"),
        ("installations_application", "installations__tokens__sealed_access_token__isnull"),
        ("flowlu_admin_operator", "password__startswith"),
        ("flowlu_admin_operator", "authenticator__data__contains"),
    ],
)
# What Django's lists read themselves.
OF_THE_LIST = ("q", "o", "p", "all", "e", "_facets", "_to_field", "_popup")
_case_model = pytest.mark.parametrize("name", sorted(MODELS))


def test_every_model_is_read_only(rf: RequestFactory, superuser: Any) -> None:
    request = rf.get("/admin/")
    request.user = superuser
    for model_admin in admin.site._registry.values():
        assert isinstance(model_admin, ReadOnlyAdmin)
        assert model_admin.has_add_permission(request) is False
        assert model_admin.has_change_permission(request) is False
        assert model_admin.has_delete_permission(request) is False
        assert "delete_selected" not in model_admin.get_actions(request)
        assert model_admin.show_full_result_count is False
        assert model_admin.date_hierarchy is None
        assert model_admin.ordering


def test_bulk_actions_are_for_who_may_do_what_they_do(
    rf: RequestFactory, auditor: Any, reviewer: Any, responder: Any
) -> None:
    expected: list[tuple[Any, dict[Any, list[str]]]] = [
        (auditor, {}),
        (reviewer, {Installation: ["approve_selected"]}),
        (responder, {OAuthToken: ["revoke_selected"]}),
    ]
    for user, actions in expected:
        request = rf.get("/admin/")
        request.user = user
        for model, model_admin in admin.site._registry.items():
            assert list(model_admin.get_actions(request)) == actions.get(model, [])


@_case_lookup
def test_lookup_of_what_is_not_listed_is_refused(superuser: Any, token: OAuthToken, name: str, lookup: str) -> None:
    response = signed_in(superuser).get(url(f"{name}_changelist"), {lookup: "a"})

    assert response.status_code == 400


@_case_model
def test_nul_in_any_parameter_of_a_list_is_refused(superuser: Any, token: OAuthToken, name: str) -> None:
    model_admin: Any = admin.site._registry[MODELS[name]]
    filters = {f"{item}__exact" for item in model_admin.list_filter if isinstance(item, str)}
    filters |= {item.parameter_name for item in model_admin.list_filter if hasattr(item, "parameter_name")}
    client = signed_in(superuser)

    for parameter in sorted({*model_admin.allowed_lookups, *filters, *OF_THE_LIST}):
        for value in ("\0", "a\0", ["1", "\0"]):
            response = client.get(url(f"{name}_changelist"), {parameter: value})
            assert response.status_code == 400, (parameter, value)
            assert "This request cannot be understood" in text(response)
    assert client.get(url(f"{name}_changelist"), {"a\0b": "1"}).status_code == 400
    assert client.post(url(f"{name}_changelist") + "?q=%00", {"action": ""}).status_code == 400


@_case_model
def test_ordering_by_number_reaches_shown_columns_only(application: Application, name: str) -> None:
    scene = set_up(application)
    client = signed_in(scene.operators["superuser"])

    for number in range(1, 12):
        response = client.get(url(f"{name}_changelist"), {"o": f"-{number}"})
        assert response.status_code == 200
        ordering = str(response.context["cl"].queryset.query.order_by)
        for secret in ("sealed", "fingerprint", "hash"):
            assert secret not in ordering


@_case_model
def test_search_does_not_reach_secrets(name: str) -> None:
    for field in admin.site._registry[MODELS[name]].search_fields:
        for secret in ("sealed", "fingerprint", "hash", "uuid", "key"):
            assert secret not in field


@_case_model
@pytest.mark.parametrize("sought", ["a " * 11, "a" * 201, " ".join(["a"] * 4000)], ids=["words", "long", "both"])
def test_search_for_more_than_anybody_types_is_refused_before_it_is_made(
    application: Application, name: str, sought: str
) -> None:
    # Each word is some statements: an address of 4,000 of them held a thread for minutes.
    client = signed_in(set_up(application).operators["superuser"])
    response = client.get(url(f"{name}_changelist"), {"q": sought}, follow=True)

    assert response.redirect_chain == [(url(f"{name}_changelist") + "?e=1", 302)]
    assert "at most 200 characters and 10 words" in text(response)


def test_no_list_is_searched_past_its_bounds(superuser: Any, token: OAuthToken) -> None:
    """Django's admin answers fields that complete themselves, which the console has none of."""
    asked = {"app_label": "tokens", "model_name": "oauthtoken", "field_name": "portal_user", "term": "a " * 200}

    assert signed_in(superuser).get(url("autocomplete"), asked).status_code == 404


@_case_model
def test_adding_changing_and_deleting_are_refused(application: Application, name: str) -> None:
    # given
    scene = set_up(application)
    client, row = signed_in(scene.operators["superuser"]), scene.objects()[name]

    # when, then
    with nothing_changes():
        assert client.get(url(f"{name}_add")).status_code == 403
        assert client.post(url(f"{name}_add"), {}).status_code == 403
        assert client.post(url(f"{name}_change", row.pk), {}).status_code == 403
        assert client.get(url(f"{name}_delete", row.pk)).status_code == 403
        assert client.post(url(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403
        client.post(url(f"{name}_changelist"), {"action": "delete_selected", "_selected_action": [row.pk]})


@_case_model
def test_pages_hold_no_secret_and_nothing_inline(application: Application, name: str) -> None:
    # given
    scene = set_up(application)
    client, row = signed_in(scene.operators["superuser"]), scene.objects()[name]
    token = scene.token
    session = token.sessions.first()

    # when
    for address in (url(f"{name}_changelist"), url(f"{name}_change", row.pk)):
        response = client.get(address)
        page = response.content.decode()

        # then
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        for secret in ("an-access-token", token.access_fingerprint, token.access_fingerprint[:9], str(token.uuid)):
            assert secret not in page
        assert session is None or session.token_hash not in page
        for inline in ("<style", " style=", " onclick=", " onchange=", "javascript:"):
            assert inline not in page
        assert "<script>" not in page


# Whoever looks is an operator: that list is never empty.
@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"flowlu_admin_operator"}))
def test_empty_list_says_what_to_do(superuser: Any, name: str) -> None:
    response = signed_in(superuser).get(url(f"{name}_changelist"))

    assert str(admin.site._registry[MODELS[name]].empty_text) in text(response)  # type: ignore[attr-defined]


@_case_model
def test_list_costs_the_same_for_many_rows(
    application: Application, name: str, django_assert_max_num_queries: Any
) -> None:
    # given
    scene = set_up(application)
    console = signed_in(scene.operators["superuser"])
    address = url(f"{name}_changelist")
    console.get(address)
    with django_assert_max_num_queries(15) as few:
        console.get(address)

    # when
    _crowd()
    with django_assert_max_num_queries(15) as many:
        response = console.get(address)

    # then
    assert response.status_code == 200
    # A filter appears with its second choice: one statement says which rows are counted, one has its numbers.
    assert len(few) <= len(many) <= len(few) + 2


def test_installation_page_costs_the_same_for_many_people(
    application: Application, django_assert_max_num_queries: Any
) -> None:
    # given
    scene = set_up(application)
    console = signed_in(scene.operators["superuser"])
    address = url("installations_installation_change", scene.installation.pk)
    console.get(address)
    with django_assert_max_num_queries(16) as few:
        console.get(address)

    # when
    _crowd(installation=scene.installation)
    with django_assert_max_num_queries(16) as many:
        console.get(address)

    # then
    assert len(many) == len(few)


def _crowd(installation: Installation | None = None) -> None:
    for number in range(3):
        app = factories.application(f"com.example.other-{number}", name=f"Other {number}")
        found = factories.launch(app, portal=f"customer-{number}.flowlu.com", user_id=str(100 + number))
        factories.token(found.installation, found.portal_user, f"token-{number}")
        factories.installation(app, portal=f"more-{number}.flowlu.com", approved=["task.read"])
        if installation is not None:
            here = factories.launch(installation.application, user_id=str(200 + number))
            factories.token(installation, here.portal_user, f"here-{number}")


@_case_model
def test_address_of_what_is_not_there_is_not_repeated(superuser: Any, name: str) -> None:
    response = signed_in(superuser).get(url(f"{name}_change", "a-token-that-was-pasted-here"), follow=True)

    assert "There is no such" in text(response)
    assert "a-token-that-was-pasted-here" not in response.content.decode()
