"""Filters that an operator keeps: nobody else's, bounded, of parameters that the list knows, and never a token."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from flowlu_admin.operator_accounts import remove_operator
from installations.admin.portals import PortalUserAdmin
from installations.errors import StateConflict
from installations.list_filters import MOST
from installations.models import Portal, SavedFilter
from installations.saved_filters import save_filter
from tests import factories
from tests.installations.admin.console import messages, sign_in, signed_in
from tests.unchanged import nothing_changes, recorded

pytestmark = pytest.mark.django_db
USERS = "installations.portaluser"
LIST = reverse("admin:installations_portaluser_changelist")
SAVE = reverse("admin:saved_filter_save")
TOKEN = "q8Zr2LxW0nVt5KdYb7EhJm3PcRs9UaGf1TiOv4Xw"


@pytest.fixture
def client(superuser: Any) -> Client:
    return signed_in(superuser)


def save(client: Client, filter: str = "locked=yes&q=acme", name: str = "Locked at Acme", list: str = USERS) -> Any:
    return client.post(SAVE, {"list": list, "filter": filter, "name": name})


def open_url(kept: SavedFilter) -> str:
    return reverse("admin:saved_filter", args=[kept.pk])


def delete_url(kept: SavedFilter) -> str:
    return reverse("admin:saved_filter_delete", args=[kept.pk])


def kept_by(user: Any, name: str = "Theirs", list_name: str = USERS, **parameters: list[str]) -> SavedFilter:
    return SavedFilter.objects.create(
        operator=user, list_name=list_name, name=name, parameters=parameters or {"locked": ["yes"]}
    )


def test_present_filter_of_a_list_is_saved_shown_opened_and_deleted(client: Client, superuser: Any) -> None:
    shown = client.get(LIST, {"locked": "yes", "q": "acme", "o": "1"})
    events = recorded()

    answer = save(client, shown.context["present_filter"])

    kept = SavedFilter.objects.get()
    assert (kept.operator_id, kept.list_name, kept.name) == (superuser.pk, USERS, "Locked at Acme")
    assert kept.parameters == {"locked": ["yes"], "q": ["acme"]}
    assert answer["Location"] == f"{LIST}?locked=yes&q=acme"
    page = client.get(answer["Location"])
    assert f'<a href="{open_url(kept)}" aria-current="true">Locked at Acme</a>' in page.content.decode()
    assert client.get(open_url(kept))["Location"] == f"{LIST}?locked=yes&q=acme"
    # On the list as it opens it is there too, and not on others.
    assert f'<a href="{open_url(kept)}">' in client.get(LIST).content.decode()
    assert open_url(kept) not in client.get(reverse("admin:installations_portal_changelist")).content.decode()

    assert client.post(delete_url(kept))["Location"] == LIST
    assert not SavedFilter.objects.exists()
    assert recorded() == events


def test_list_that_is_not_narrowed_has_nothing_to_save(client: Client) -> None:
    for query in ({}, {"o": "1"}, {"q": ""}, {"after": "x"}):
        assert SAVE not in client.get(LIST, query).content.decode()
    assert SAVE in client.get(LIST, {"locked": "no"}).content.decode()


@pytest.mark.parametrize("act", ["open", "delete"])
def test_filter_of_somebody_else_is_not_there(client: Client, reviewer: Any, act: str) -> None:
    """Not even for a superuser."""
    kept = kept_by(reviewer)
    assert "Theirs" not in client.get(LIST, {"locked": "yes"}).content.decode()
    with nothing_changes():
        answer = client.get(open_url(kept)) if act == "open" else client.post(delete_url(kept))
        assert answer.status_code == 404
        assert client.get(reverse("admin:saved_filter", args=[kept.pk + 1])).status_code == 404
    assert SavedFilter.objects.get() == kept


def test_two_operators_may_use_one_name(client: Client, reviewer: Any) -> None:
    kept_by(reviewer, "Locked at Acme")
    save(client)
    assert SavedFilter.objects.count() == 2


def test_name_is_taken_once_for_each_list(client: Client, superuser: Any) -> None:
    save(client)
    client.get(LIST)
    with nothing_changes():
        answer = save(client, "locked=no")
    assert answer["Location"] == f"{LIST}?locked=no"
    assert messages(client.get(LIST)) == [
        "You have a filter of this name here. Delete it first, or choose another name."
    ]
    save(client, "locked=yes", list="installations.portal")
    assert SavedFilter.objects.count() == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        kept_by(superuser, "Locked at Acme")


def test_number_of_one_operator_and_list_is_bounded(client: Client, superuser: Any, reviewer: Any) -> None:
    kept_by(reviewer)
    for number in range(MOST):
        save(client, name=f"Filter {number}")
    assert SavedFilter.objects.filter(operator=superuser).count() == MOST
    with nothing_changes():
        save(client, name="One more")
    assert any("as many as there can be" in words for words in messages(client.get(LIST)))
    save(client, name="One more", list="installations.portal")
    assert SavedFilter.objects.filter(operator=superuser).count() == MOST + 1


@pytest.mark.parametrize(
    ("filter", "name", "words"),
    [
        ("", "A name", "nothing to save"),
        ("o=1&p=2&all=", "A name", "nothing to save"),
        ("password__startswith=a", "A name", "nothing to save"),
        ("portal__id__exact=x", "A name", "takes no such filter"),
        ("q=a%00", "A name", "takes no such filter"),
        ("locked=yes", " ", "Give the filter a name"),
        ("locked=yes", "a\u202e", "cannot be seen"),
        ("locked=yes", TOKEN, "not kept"),
        (f"q={'a+' * 600}", "A name", "too long"),
    ],
)
def test_what_may_not_be_kept_is_said(client: Client, filter: str, name: str, words: str) -> None:
    with nothing_changes():
        answer = save(client, filter, name)
        assert answer.status_code == 302
        said = messages(client.get(LIST))
    assert len(said) == 1
    assert words in said[0]


def test_what_the_list_does_not_know_is_left_out(client: Client) -> None:
    save(client, "locked=yes&password__startswith=a&o=2&after=x&_facets=1")
    assert SavedFilter.objects.get().parameters == {"locked": ["yes"]}


@pytest.mark.parametrize("filter", [f"q={TOKEN}", f"locked={TOKEN}", f"q=acme+{TOKEN}", f"locked=yes&q=Bearer+{TOKEN}"])
def test_token_is_kept_in_no_filter_and_repeated_nowhere(client: Client, filter: str) -> None:
    with nothing_changes():
        answer = save(client, filter)
        page = client.get(answer["Location"])
    assert answer["Location"] == LIST
    assert messages(page) == ["What looks like a token or a key is not kept. Nothing was saved."]
    assert TOKEN not in page.content.decode() + str(answer.headers)


def test_parameter_that_the_list_no_longer_knows_is_said(client: Client, superuser: Any) -> None:
    kept = kept_by(superuser, "Old", locked=["yes"], colour__exact=["red"])
    answer = client.get(open_url(kept))
    assert answer["Location"] == f"{LIST}?locked=yes"
    assert messages(client.get(LIST)) == [
        "“Old” also filters by colour__exact, which this list does not do any more. That is left out."
    ]


def test_filter_that_is_allowed_no_more_is_not_opened(client: Client, superuser: Any, monkeypatch: Any) -> None:
    kept = kept_by(superuser, "Old", portal__id__exact=["1"])
    monkeypatch.setattr(PortalUserAdmin, "allowed_lookups", frozenset())
    assert client.get(open_url(kept))["Location"] == LIST
    assert len(messages(client.get(LIST))) == 1


def test_value_that_the_list_takes_no_more_is_said(client: Client, superuser: Any) -> None:
    kept = kept_by(superuser, "Old", portal__id__exact=["acme"])
    assert client.get(open_url(kept))["Location"] == LIST
    assert messages(client.get(LIST)) == [
        "The list takes “Old” no more: it chooses something that is gone. Here is the whole list."
    ]


def test_row_that_a_filter_names_may_be_gone(client: Client, superuser: Any) -> None:
    portal = Portal.objects.create(domain="acme.flowlu.com")
    kept = kept_by(superuser, "At Acme", portal__id__exact=[str(portal.pk)])
    portal.delete()
    page = client.get(open_url(kept), follow=True)
    assert page.status_code == 200
    assert "Nothing matches" in page.content.decode()


@pytest.mark.parametrize("name", ["installations.portal", "nothing", "", "auth.user"])
def test_list_that_the_operator_may_not_see_keeps_none(name: str) -> None:
    user = factories.operator("outsider", None)
    kept = kept_by(user, list_name=name)
    client = signed_in(user)
    with nothing_changes(but=["installations.SavedFilter"]):
        assert save(client, list=name).status_code == 404
        assert client.get(open_url(kept)).status_code == 404
        # What is theirs they may still take away.
        assert client.post(delete_url(kept))["Location"] == reverse("admin:index")
    assert not SavedFilter.objects.exists()


def test_forms_without_their_secret_change_nothing(superuser: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    sign_in(client, superuser)
    kept = kept_by(superuser)
    with nothing_changes():
        assert save(client).status_code == 403
        assert client.post(delete_url(kept)).status_code == 403


@pytest.mark.parametrize("address", [SAVE, reverse("admin:saved_filter_delete", args=[1])])
def test_looking_at_the_address_of_a_form_changes_nothing(client: Client, superuser: Any, address: str) -> None:
    kept_by(superuser)
    with nothing_changes():
        assert client.get(address).status_code == 405


def test_removing_an_operator_deletes_their_filters_and_no_others(superuser: Any, reviewer: Any) -> None:
    kept_by(reviewer)
    own = kept_by(superuser)
    remove_operator(operator_id=reviewer.pk, actor=factories.actor(superuser), reason="A test.")
    assert list(SavedFilter.objects.all()) == [own]


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_account_that_is_an_operator_no_more_keeps_nothing(reviewer: Any, change: dict[str, bool]) -> None:
    """One that was removed beside the request has none afterwards."""
    type(reviewer).objects.filter(pk=reviewer.pk).update(**change)
    with nothing_changes(), pytest.raises(StateConflict):
        save_filter(operator_id=reviewer.pk, list_name=USERS, name="Late", parameters={"locked": ["yes"]})


def test_row_is_called_by_its_number(superuser: Any) -> None:
    kept = kept_by(superuser, "José", q=["José"])
    assert str(kept) == f"saved filter #{kept.pk}"
