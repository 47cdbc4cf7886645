"""Signing in with a company account: the provider says who it is, the console who comes in and with which groups."""

import json
import re
import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from flowlu_admin.models import CompanyAccount
from flowlu_admin.operator_accounts import remove_operator
from installations.models import AuditEvent
from tests import factories
from tests.authenticator_app import code_of
from tests.factories import PASSWORD
from tests.flowlu_admin.oidc.conftest import address_on, come_in, is_signed_in, leave
from tests.flowlu_admin.test_accounts import enrol, has_nothing_inline, log_in
from tests.installations.admin.console import signed_in, text
from tests.openid_provider import CLIENT_SECRET, TOKENS, OpenIDProvider
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db

CALLBACK = "/accounts/company/callback/"
PAGES = ("account_company", "account_company_sign_in", "account_company_callback")


def groups_of(user: User) -> list[str]:
    return sorted(user.groups.values_list("name", flat=True))


# --- On and off ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("missing", ["OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"])
def test_without_the_settings_there_is_no_page(
    provider: OpenIDProvider, settings: Any, superuser: Any, name: str, missing: str
) -> None:
    setattr(settings, missing, "")
    for client in (Client(), signed_in(superuser)):
        assert client.get(reverse(name)).status_code == 404
        assert client.post(reverse(name)).status_code == 404
    assert provider.asked == []


def test_button_is_there_only_while_it_is_on(provider: OpenIDProvider, settings: Any, superuser: Any) -> None:
    assert "Sign in with Example ID" in text(Client().get(reverse("account_login")))
    assert "Company account" in text(signed_in(superuser).get(reverse("mfa_index")))
    settings.OIDC_ISSUER = ""
    assert "Sign in with" not in text(Client().get(reverse("account_login")))
    assert "Company account" not in text(signed_in(superuser).get(reverse("mfa_index")))


def test_only_a_form_of_this_site_sends_anybody_away(provider: OpenIDProvider) -> None:
    assert Client().get(reverse("account_company_sign_in")).status_code == 405
    assert Client(enforce_csrf_checks=True).post(reverse("account_company_sign_in")).status_code == 403
    assert provider.asked == []


# --- There and back --------------------------------------------------------------------------------------------


def test_who_is_linked_comes_in(nina: User, provider: OpenIDProvider, client: Client) -> None:
    page = client.post(reverse("account_company_sign_in"))
    assert has_nothing_inline(page) is True
    answer = come_in(client, provider)

    assert answer.headers["Location"] == reverse("admin:index")
    assert client.session["_auth_user_id"] == str(nina.pk)
    assert client.get(reverse("admin:index")).status_code == 200
    event = last_event()
    assert (event.verb, event.target_id, event.details) == (
        "operator.signed_in",
        str(nina.pk),
        {"way": "company account"},
    )


def test_request_has_state_nonce_and_proof_key_that_nobody_can_choose(nina: User, provider: OpenIDProvider) -> None:
    first, second = Client(), Client()
    chosen = f"{reverse('account_company_sign_in')}?auth_params=nonce%3Dx%26prompt%3Dnone&scope=files&process=connect"
    leave(first)
    address = first.post(chosen, {"process": "connect", "scope": "files"}).context["address"]
    query = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
    other = parse_qs(urlsplit(leave(second)).query)

    assert query.keys() == {
        "client_id",
        "redirect_uri",
        "scope",
        "response_type",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
    assert (query["scope"], query["response_type"], query["code_challenge_method"]) == ("openid", "code", "S256")
    assert query["redirect_uri"] == f"https://testserver{CALLBACK}"
    assert len(query["nonce"]) == 43
    for name in ("state", "nonce", "code_challenge"):
        assert query[name] != other[name][0]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("/admin/installations/portal/", "/admin/installations/portal/"),
        ("https://evil.example/", "/admin/"),
        ("//evil.example/", "/admin/"),
        ("/\\evil.example", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
    ],
)
def test_sign_in_leads_nowhere_else(
    nina: User, provider: OpenIDProvider, client: Client, wish: str, expected: str
) -> None:
    assert come_in(client, provider, next=wish).headers["Location"] == expected


def test_way_back_counts_once_and_in_the_browser_that_left(nina: User, provider: OpenIDProvider) -> None:
    mine, other = Client(), Client()
    back = provider.visit(leave(mine))
    assert other.get(back).status_code == 403
    assert is_signed_in(other) is False
    assert mine.get(back).status_code == 302
    again = Client()
    again.cookies = mine.cookies
    again.post(reverse("account_logout"))
    assert again.get(back).status_code == 403
    assert len(provider.redeemed) == 1


def test_whoever_was_signed_in_before_is_signed_out(nina: User, provider: OpenIDProvider, superuser: Any) -> None:
    client = Client()
    back = provider.visit(leave(client))
    log_in(client)
    assert client.session["_auth_user_id"] == str(superuser.pk)
    client.get(back)
    methods = [each["method"] for each in client.session["account_authentication_methods"]]
    assert (client.session["_auth_user_id"], methods) == (str(nina.pk), ["socialaccount"])


def test_client_names_itself_as_the_provider_wants_it(nina: User, provider: OpenIDProvider, client: Client) -> None:
    come_in(client, provider)
    assert "client_secret" not in provider.redeemed[0]
    provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    other = Client()
    come_in(other, provider)
    assert provider.redeemed[1]["client_secret"] == CLIENT_SECRET
    assert (is_signed_in(client), is_signed_in(other)) == (True, True)


def test_nothing_that_the_provider_gave_is_kept_but_the_subject(
    nina: User, provider: OpenIDProvider, client: Client, all_logs: Any
) -> None:
    provider.claims |= {"email": "nina@elsewhere.example", "name": "Nina Elsewhere", "preferred_username": "n.else"}
    answers = [
        client.get(reverse("account_login")),
        client.post(reverse("account_company_sign_in")),
        come_in(client, provider),
    ]
    answers += [client.get(reverse(name)) for name in ("account_company", "mfa_index", "admin:index")]
    answer = {"error": "invalid_client", "hint": TOKENS[0]}
    provider.answers = {"token": (401, json.dumps(answer).encode())}
    answers.append(come_in(Client(), provider))

    assert "userinfo" not in provider.asked
    seen = "".join(answer.content.decode() + str(answer.headers) for answer in answers)
    logged = " ".join(record.getMessage() for record in all_logs.records)
    session = str(dict(client.session))
    stored = str([list(model.objects.values()) for model in (User, CompanyAccount, AuditEvent, Session)])
    for secret in (CLIENT_SECRET, *TOKENS, "nina@elsewhere.example", "Nina Elsewhere", "n.else"):
        assert secret not in seen + logged + session + stored
    assert "invalid_client" in logged
    assert not SocialAccount.objects.exists()
    assert not SocialToken.objects.exists()


def test_row_of_allauth_is_no_provider(nina: User, provider: OpenIDProvider, client: Client, settings: Any) -> None:
    settings.OIDC_ISSUER = ""
    evil = {"server_url": "https://evil.example"}
    SocialApp.objects.create(provider="openid_connect", provider_id="company", name="x", client_id="x", settings=evil)
    for path in ("oidc/company/login/", "company/login/", "company/login/callback/", "social/login/cancelled/"):
        assert client.get(f"/accounts/{path}").status_code == 404
    assert "Sign in with" not in text(client.get(reverse("account_login")))


# --- The second factor -----------------------------------------------------------------------------------------


def test_second_factor_is_asked_for_all_the_same(nina: User, provider: OpenIDProvider) -> None:
    mine = Client()
    log_in(mine, "nina")
    secret = enrol(mine)
    client = Client()
    answer = come_in(client, provider, next="/admin/installations/portal/")
    assert answer.headers["Location"] == reverse("mfa_authenticate")
    assert is_signed_in(client) is False
    with time_machine.travel(timezone.now() + timedelta(seconds=31), tick=False):
        answer = client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert answer.headers["Location"] == "/admin/installations/portal/"
    assert is_signed_in(client) is True
    assert last_event().details == {"way": "company account"}


def test_second_factor_is_set_up_first_where_one_is_required(
    nina: User, provider: OpenIDProvider, client: Client, settings: Any
) -> None:
    settings.OPERATOR_MFA = "required"
    provider.claims |= {"amr": ["mfa", "otp"], "acr": "gold"}
    come_in(client, provider)
    assert client.get(reverse("admin:index")).headers["Location"] == reverse("mfa_index")


# --- Who comes in, and with which groups -----------------------------------------------------------------------


def test_groups_are_what_the_provider_says_and_others_stay(nina: User, provider: OpenIDProvider) -> None:
    own = Group.objects.create(name="Night desk")
    nina.groups.add(own)
    provider.claims = {"groups": ["leads"]}
    come_in(Client(), provider)

    assert groups_of(nina) == ["Night desk", "Responder", "Reviewer"]
    changed = AuditEvent.objects.get(verb="operator.groups_changed")
    assert (changed.actor_kind, changed.actor_id, changed.target_id) == ("system", "openid-provider", str(nina.pk))
    assert changed.details == {"added": ["Responder", "Reviewer"], "taken": ["Auditor"]}
    come_in(Client(), provider)
    assert recorded().count("operator.groups_changed") == 1


def test_group_that_the_map_no_longer_names_is_taken_if_the_provider_gave_it(
    nina: User, provider: OpenIDProvider, settings: Any
) -> None:
    provider.claims = {"groups": ["leads", "desk"]}
    come_in(Client(), provider)
    settings.OIDC_GROUP_MAP = {"desk": ("Auditor",)}
    come_in(Client(), provider)
    assert groups_of(nina) == ["Auditor"]


def test_group_that_does_not_exist_gives_nothing(
    nina: User, provider: OpenIDProvider, settings: Any, all_logs: Any, client: Client
) -> None:
    settings.OIDC_GROUP_MAP = {"desk": ("Audtior",)}
    assert come_in(client, provider).status_code == 403
    assert "OIDC_GROUP_MAP names groups that do not exist: Audtior" in [r.getMessage() for r in all_logs.records]


def test_without_a_map_groups_are_given_here_only(
    nina: User, provider: OpenIDProvider, settings: Any, client: Client
) -> None:
    settings.OIDC_GROUP_MAP = {}
    provider.claims = {"groups": {"desk": "not a list"}}
    come_in(client, provider)
    assert (is_signed_in(client), groups_of(nina)) == (True, ["Auditor"])


@pytest.mark.parametrize("groups", [None, [], ["all-staff"], ["Auditor"], ["DESK"]])
def test_losing_every_mapped_group_ends_access(nina: User, provider: OpenIDProvider, groups: Any) -> None:
    nina.groups.add(Group.objects.create(name="Night desk"))
    old = Client()
    come_in(old, provider)
    provider.claims = {"groups": groups}
    client = Client()
    answer = come_in(client, provider)

    assert answer.status_code == 403
    assert "in no group that may use this console" in text(answer)
    assert is_signed_in(client) is False
    assert old.get(reverse("admin:index")).status_code == 302
    assert groups_of(nina) == ["Night desk"]
    assert recorded()[-2:] == ["operator.groups_changed", "operator.company_refused"]
    assert last_event().details == {"why": "no_group", "sessions": 1}


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": "desk"},
        {"groups": {"desk": True}},
        {"groups": [["desk"]]},
        {"groups": [1]},
        {"groups": ["desk"] * 1001},
        {"groups": None, "_claim_names": {"groups": "src1"}},
    ],
)
def test_groups_that_cannot_be_read_say_nothing_of_anybody(
    nina: User, provider: OpenIDProvider, client: Client, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    with nothing_changes():
        assert come_in(client, provider).status_code == 403
    assert (is_signed_in(client), groups_of(nina)) == (False, ["Auditor"])


def test_who_was_removed_does_not_come_in(nina: User, provider: OpenIDProvider, superuser: Any, client: Client) -> None:
    remove_operator(operator_id=nina.pk, actor=factories.actor(superuser), reason="They left.")
    answer = come_in(client, provider)
    assert (answer.status_code, is_signed_in(client)) == (403, False)
    assert "may not sign in" in text(answer)
    assert (last_event().verb, last_event().details) == ("operator.company_refused", {"why": "removed", "sessions": 0})


def test_account_that_is_no_operators_does_not_come_in(nina: User, provider: OpenIDProvider, client: Client) -> None:
    nina.is_staff = False
    nina.save()
    assert come_in(client, provider).status_code == 403
    assert is_signed_in(client) is False


@pytest.mark.parametrize("claims", [{"sub": "subject-2"}, {"sub": "Subject-1"}])
def test_name_and_mail_address_link_nobody(
    nina: User, provider: OpenIDProvider, client: Client, claims: dict[str, str]
) -> None:
    nina.email = "nina@example.com"
    nina.save()
    provider.claims |= claims | {
        "email": "nina@example.com",
        "email_verified": True,
        "preferred_username": "nina",
    }
    with nothing_changes():
        answer = come_in(client, provider)
    assert (answer.status_code, is_signed_in(client)) == (403, False)
    assert "No operator of this console comes in with this company account" in text(answer)


def test_same_subject_of_another_issuer_is_somebody_else(nina: User, provider: OpenIDProvider, client: Client) -> None:
    CompanyAccount.objects.update(issuer="https://before.example.com")
    assert come_in(client, provider).status_code == 403
    assert is_signed_in(client) is False


# --- New operators ---------------------------------------------------------------------------------------------


@pytest.fixture
def creating(provider: OpenIDProvider, settings: Any) -> OpenIDProvider:
    settings.OIDC_CREATE_OPERATORS = True
    provider.claims = {
        "sub": "subject-new",
        "groups": ["desk"],
        "preferred_username": "Omar@example.com",
        "email": "omar@example.com",
        "email_verified": True,
    }
    return provider


def test_nobody_new_comes_in_unless_it_is_allowed(creating: OpenIDProvider, settings: Any, client: Client) -> None:
    settings.OIDC_CREATE_OPERATORS = False
    assert come_in(client, creating).status_code == 403
    assert not User.objects.exists()


@pytest.mark.parametrize("groups", [[], ["all-staff"]])
def test_nobody_new_comes_in_without_a_mapped_group(creating: OpenIDProvider, client: Client, groups: Any) -> None:
    creating.claims["groups"] = groups
    answer = come_in(client, creating)
    assert (answer.status_code, User.objects.exists(), is_signed_in(client)) == (403, False, False)
    assert "in no group that may use this console" in text(answer)
    assert recorded() == []


def test_somebody_new_gets_an_account_without_a_password(
    creating: OpenIDProvider, client: Client, mailoutbox: list[Any]
) -> None:
    come_in(client, creating)
    account = User.objects.get()
    assert (account.username, account.email, account.is_staff, account.is_superuser) == (
        "omar",
        "omar@example.com",
        True,
        False,
    )
    assert (account.has_usable_password(), groups_of(account)) == (False, ["Auditor"])
    assert recorded() == ["operator.created", "operator.signed_in"]
    created = AuditEvent.objects.get(verb="operator.created")
    assert (created.actor_id, created.details) == ("openid-provider", {"groups": ["Auditor"]})
    assert set(parse_qs(urlsplit(leave(Client())).query)["scope"][0].split()) == {"openid", "profile", "email"}

    # a second time it is the same account
    other = Client()
    come_in(other, creating)
    assert other.session["_auth_user_id"] == str(account.pk)
    # and no code for a password is mailed, with which they would come in past the provider
    Client().post(reverse("account_reset_password"), {"email": "omar@example.com"})
    assert mailoutbox == []


@pytest.mark.parametrize(
    ("proposed", "name"),
    [
        ("nina", "nina-2"),
        ("NINA", "nina-2"),
        ("nina@evil.example", "nina-2"),
        ("Shell", "shell-2"),
        ("service@evil.example", "service-2"),
        ("", "operator"),
        ("n\u0456na", "operator"),
        ("<b>", "operator"),
        ("a" * 500, "a" * 100),
        (["nina"], "operator"),
        ("x\x00", "operator"),
    ],
)
def test_nobody_new_takes_the_name_of_another(
    nina: User, creating: OpenIDProvider, client: Client, proposed: Any, name: str
) -> None:
    creating.claims["preferred_username"] = proposed
    come_in(client, creating)
    assert User.objects.exclude(pk=nina.pk).get().username == name


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": "nobody"},
        {"email": "n\u0456na@example.com"},
        {"email": 7},
    ],
)
def test_mail_address_is_kept_only_if_it_is_verified_and_is_one(
    nina: User, creating: OpenIDProvider, client: Client, claims: dict[str, Any]
) -> None:
    nina.email = "nina@example.com"
    nina.save()
    creating.claims |= claims
    come_in(client, creating)
    assert User.objects.exclude(pk=nina.pk).get().email == ""


@pytest.mark.parametrize("is_active", [True, False], ids=["operator", "removed"])
@pytest.mark.parametrize(
    "claims",
    [
        {"email": "NINA@example.com"},
        {"preferred_username": "nina", "email": None},
        {"preferred_username": "Nina@example.com", "email_verified": False},
    ],
    ids=["by the address", "by the name", "by a name with a host"],
)
def test_nobody_gets_a_second_account(
    nina: User, creating: OpenIDProvider, client: Client, claims: dict[str, Any], is_active: bool
) -> None:
    """Removed, they would come back as somebody new; active, they could confirm what they asked for."""
    nina.email, nina.is_active = "nina@example.com", is_active
    nina.save()
    creating.claims |= claims

    page = come_in(client, creating)

    assert (page.status_code, is_signed_in(client)) == (403, False)
    assert "If you are one, sign in with your password and link it" in text(page)
    assert User.objects.get() == nina


def test_pages_about_the_password_say_that_there_is_none(creating: OpenIDProvider, client: Client) -> None:
    come_in(client, creating)
    page = client.get(reverse("account_change_password"))
    assert (page.status_code, "There is no password of yours here" in text(page)) == (200, True)
    client.post(reverse("account_change_password"), {"password1": PASSWORD, "password2": PASSWORD})
    assert User.objects.get().has_usable_password() is False
    assert client.get(reverse("account_reauthenticate")).headers["Location"] == reverse("account_company")
    assert client.get(reverse("mfa_activate_totp")).status_code == 200
    page = client.post(reverse("account_company"), {"unlink": "1"}, follow=True)
    assert "could not sign in any more" in text(page)
    assert CompanyAccount.objects.count() == 1


def test_who_has_no_password_confirms_by_signing_in_once_more(
    creating: OpenIDProvider, client: Client, settings: Any
) -> None:
    come_in(client, creating)
    User.objects.update(is_superuser=True)
    act = reverse("admin:flowlu_admin_invitation_new")
    session = client.session
    session["account_authentication_methods"] = [{"method": "socialaccount", "at": time.time() - 3600}]
    session.save()

    page = client.get(act, follow=True)
    assert page.request["PATH_INFO"] == reverse("account_company")
    form = {"again": "1", "next": re.search(r'name="next" value="([^"]*)"', page.content.decode())[1]}  # type: ignore[index]
    answer = client.get(creating.visit(address_on(client.post(reverse("account_company"), form))))
    assert answer.headers["Location"] == act
    assert client.get(act).status_code == 200


@pytest.mark.parametrize("page", ["mfa_activate_totp", "mfa_add_webauthn"])
@pytest.mark.parametrize("mode", ["required", "optional"])
def test_who_has_no_password_adds_a_factor_only_after_signing_in_once_more(
    creating: OpenIDProvider, client: Client, settings: Any, page: str, mode: str
) -> None:
    """A session that lies open would else add one, which is then the fresh proof for all that asks for one."""
    settings.OPERATOR_MFA = mode
    come_in(client, creating)
    assert client.get(reverse(page)).status_code == 200
    session = client.session
    session["account_authentication_methods"] = [{"method": "socialaccount", "at": time.time() - 3600}]
    session.save()

    for answer in (client.get(reverse(page)), client.post(reverse(page), {"code": "123456"})):
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(f"{reverse('account_company')}?next=")
    form = {"again": "1", "next": reverse(page)}
    back = client.get(creating.visit(address_on(client.post(reverse("account_company"), form))))
    assert back.headers["Location"] == reverse(page)
    assert client.get(reverse(page)).status_code == 200
