"""Linking a company account: by the operator alone, in the session that asked, and one for one."""

from typing import Any

import pytest
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from flowlu_admin.models import CompanyAccount
from flowlu_admin.oidc.accounts import admit_holder, link_company_account, unlink_company_account
from flowlu_admin.oidc.id_tokens import Holder
from installations.errors import StateConflict
from tests import factories
from tests.factories import PASSWORD
from tests.flowlu_admin.oidc.conftest import address_on, come_in, is_signed_in
from tests.flowlu_admin.test_accounts import enrol, has_nothing_inline, log_in
from tests.installations.admin.console import signed_in, text, url
from tests.openid_provider import OpenIDProvider
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db

PAGE = "/accounts/company/"


@pytest.fixture
def omar(provider: OpenIDProvider) -> User:
    """An operator with a password and no company account here."""
    user: User = factories.operator("omar", "Auditor")
    provider.claims = {"groups": ["desk"]}
    return user


@pytest.fixture
def browser(omar: User) -> Client:
    """One in which they are signed in and have given their password once more."""
    client = Client()
    log_in(client, "omar")
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def link(client: Client, provider: OpenIDProvider) -> Any:
    return client.get(provider.visit(address_on(client.post(PAGE, {"link": "1"}))), follow=True)


def test_operator_links_the_own_account_and_comes_in_with_it(
    omar: User, browser: Client, provider: OpenIDProvider
) -> None:
    other = Client()
    log_in(other, "omar")
    page = browser.get(PAGE)
    assert "None is linked" in text(page)
    assert has_nothing_inline(page) is True

    page = link(browser, provider)
    assert "The company account is linked" in text(page)
    assert (last_event().verb, last_event().actor_id, last_event().details) == (
        "operator.company_linked",
        str(omar.pk),
        {"sessions": 1},
    )
    assert (is_signed_in(browser), is_signed_in(other)) == (True, False)
    made = CompanyAccount.objects.get()
    assert (made.operator, made.issuer, made.subject) == (omar, provider.issuer, "subject-1")

    later = Client()
    come_in(later, provider)
    assert later.session["_auth_user_id"] == str(omar.pk)


def test_linking_asks_for_the_password_or_the_factor_once_more(omar: User, provider: OpenIDProvider) -> None:
    client = signed_in(omar)
    for answer in (client.get(PAGE), client.post(PAGE, {"link": "1"})):
        assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    client = Client()
    log_in(client, "omar")
    enrol(client)
    fresh = signed_in(omar)
    assert fresh.post(PAGE, {"link": "1"}).headers["Location"].startswith(reverse("mfa_reauthenticate"))
    assert provider.asked == []


def test_session_without_its_second_factor_links_nothing(
    omar: User, browser: Client, provider: OpenIDProvider, settings: Any
) -> None:
    back = provider.visit(address_on(browser.post(PAGE, {"link": "1"})))
    settings.OPERATOR_MFA = "required"
    assert browser.get(back).status_code == 403
    assert not CompanyAccount.objects.exists()


def test_stranger_is_sent_to_sign_in(provider: OpenIDProvider) -> None:
    assert Client().get(PAGE).headers["Location"].startswith(reverse("account_login"))
    assert Client().post(PAGE, {"link": "1"}).headers["Location"].startswith(reverse("account_login"))
    assert not CompanyAccount.objects.exists()


def test_link_is_for_who_left_and_for_nobody_who_signed_in_since(
    omar: User, browser: Client, provider: OpenIDProvider, superuser: Any
) -> None:
    back = provider.visit(address_on(browser.post(PAGE, {"link": "1"})))
    session = browser.session
    session["_auth_user_id"] = str(superuser.pk)
    session["_auth_user_hash"] = superuser.get_session_auth_hash()
    session.save()
    assert browser.get(back).status_code == 403
    assert not CompanyAccount.objects.exists()


def test_way_back_of_another_browser_links_nothing(omar: User, browser: Client, provider: OpenIDProvider) -> None:
    """Somebody who makes an operator follow their own way back would come in as that operator."""
    theirs = Client()
    factories.operator("eve", "Auditor")
    log_in(theirs, "eve")
    theirs.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    back = provider.visit(address_on(theirs.post(PAGE, {"link": "1"})))
    assert browser.get(back).status_code == 403
    assert not CompanyAccount.objects.exists()


def test_one_company_account_is_of_one_operator(
    nina: User, omar: User, browser: Client, provider: OpenIDProvider
) -> None:
    with nothing_changes():
        page = link(browser, provider)
    assert (page.status_code, "Another operator comes, or came, in with this company account" in text(page)) == (
        403,
        True,
    )
    assert CompanyAccount.objects.get().operator == nina


def test_one_operator_has_one_company_account(omar: User, browser: Client, provider: OpenIDProvider) -> None:
    link(browser, provider)
    provider.claims["sub"] = "subject-2"
    page = link(browser, provider)
    assert (page.status_code, "Unlink that one first" in text(page)) == (403, True)
    assert CompanyAccount.objects.get().subject == "subject-1"


def test_unlinking_ends_other_sessions_and_the_way_in(omar: User, browser: Client, provider: OpenIDProvider) -> None:
    link(browser, provider)
    other = Client()
    come_in(other, provider)
    assert is_signed_in(other) is True
    omar.groups.add(Group.objects.create(name="Night desk"))
    assert "Groups that it gave go with it" in text(browser.get(PAGE))
    page = browser.post(PAGE, {"unlink": "1"}, follow=True)
    assert "is unlinked" in text(page)
    assert (last_event().verb, last_event().details) == (
        "operator.company_unlinked",
        {"sessions": 1, "taken": ["Auditor"]},
    )
    assert list(omar.groups.values_list("name", flat=True)) == ["Night desk"]
    assert is_signed_in(other) is False
    assert come_in(other, provider).status_code == 403
    browser.post(PAGE, {"unlink": "1"})
    assert recorded().count("operator.company_unlinked") == 1


def test_what_was_unlinked_makes_nobody_new_and_is_linked_again_by_the_same_one(
    omar: User, browser: Client, provider: OpenIDProvider, settings: Any
) -> None:
    settings.OIDC_CREATE_OPERATORS = True
    link(browser, provider)
    browser.post(PAGE, {"unlink": "1"})

    # when they come with it, as an operator and as somebody who was removed
    for is_active in (True, False):
        User.objects.filter(pk=omar.pk).update(is_active=is_active)
        assert come_in(Client(), provider).status_code == 403
    User.objects.filter(pk=omar.pk).update(is_active=True)

    # then there is nobody new, nobody else links it, and they may
    assert User.objects.filter(username__startswith="omar").count() == User.objects.count() == 1
    other = factories.operator("nina")
    with pytest.raises(StateConflict, match="comes, or came, in"):
        link_company_account(
            operator_id=other.pk, holder=Holder(provider.issuer, "subject-1", frozenset()), session_key=None
        )
    link(browser, provider)
    other_browser = Client()
    come_in(other_browser, provider)
    assert is_signed_in(other_browser) is True


@pytest.mark.parametrize("form", [{}, {"next": "/admin/"}, {"lin": "1"}])
def test_form_that_does_not_say_so_unlinks_nothing(
    omar: User, browser: Client, provider: OpenIDProvider, form: dict[str, str]
) -> None:
    link(browser, provider)
    with nothing_changes():
        answer = browser.post(PAGE, form)
    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)


def test_page_of_an_operator_says_that_one_is_linked(nina: User, superuser: Any, settings: Any) -> None:
    address = url("flowlu_admin_operator_change", nina.pk)
    client = signed_in(superuser)
    assert "linked" in text(client.get(address))
    CompanyAccount.objects.all().delete()
    assert "linked" not in text(client.get(address))


# --- The verbs themselves --------------------------------------------------------------------------------------


def holder(provider: OpenIDProvider, subject: str = "subject-1") -> Holder:
    return Holder(provider.issuer, subject, frozenset({"desk"}))


def test_removed_operator_links_nothing(omar: User, provider: OpenIDProvider) -> None:
    omar.is_active = False
    omar.save()
    with nothing_changes(), pytest.raises(StateConflict, match="may not sign in"):
        link_company_account(operator_id=omar.pk, holder=holder(provider), session_key=None)
    assert not CompanyAccount.objects.exists()


def test_operator_without_a_password_stays_linked(omar: User, provider: OpenIDProvider) -> None:
    link_company_account(operator_id=omar.pk, holder=holder(provider), session_key=None)
    omar.set_unusable_password()
    omar.save()
    with nothing_changes(), pytest.raises(StateConflict, match="no password here"):
        unlink_company_account(operator_id=omar.pk, session_key=None)
    assert CompanyAccount.objects.count() == 1


def test_nobody_is_admitted_twice_over_two_first_sign_ins(provider: OpenIDProvider, settings: Any) -> None:
    settings.OIDC_CREATE_OPERATORS = True
    first = admit_holder(holder=holder(provider, "new"))
    assert admit_holder(holder=holder(provider, "new")) == first
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("named", "columns", "changed"),
    [
        ("company_account_of_one_operator", "issuer, flowlu_admin_companyaccount.subject", {"subject": "subject-1"}),
        ("one_company_account_of_an_operator", "operator_id, flowlu_admin_companyaccount.issuer", {"operator": "nina"}),
    ],
)
def test_database_holds_one_for_one(
    nina: User, omar: User, provider: OpenIDProvider, named: str, columns: str, changed: dict[str, str]
) -> None:
    operator = User.objects.get(username=changed.get("operator", "omar"))
    expected = named if connection.vendor == "postgresql" else f"flowlu_admin_companyaccount.{columns}"
    with pytest.raises(IntegrityError, match=expected), transaction.atomic():
        CompanyAccount.objects.create(
            operator=operator, issuer=provider.issuer, subject=changed.get("subject", "subject-2")
        )


def test_account_names_itself_by_its_operator(nina: User) -> None:
    assert str(CompanyAccount.objects.get()) == f"company account of operator #{nina.pk}"


@pytest.mark.django_db
def test_row_of_the_package_is_no_provider() -> None:
    SocialApp.objects.create(provider="openid_connect", provider_id="other", name="Other", client_id="x", secret="x")

    assert get_adapter().list_apps(None) == []


def test_page_that_changes_groups_says_which_the_provider_gives(superuser: Any, nina: User) -> None:
    shown = text(signed_in(superuser).get(url("flowlu_admin_operator_groups", object_id=nina.pk)))

    assert "as the company's provider says: Auditor, Responder, Reviewer" in shown
