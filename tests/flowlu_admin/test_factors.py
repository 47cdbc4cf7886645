"""Where a second factor is required the last one stays, and can move to another phone."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse

from installations.models import AuditEvent
from tests.authenticator_app import code_of
from tests.factories import PASSWORD
from tests.flowlu_admin.test_accounts import enrol, has_nothing_inline, log_in, recovery_code
from tests.installations.admin.console import text
from tests.security_key import SecurityKey, add, give

pytestmark = pytest.mark.django_db(transaction=True)

AUTHENTICATE = "/accounts/2fa/authenticate/"
LAST = "This is your last second factor, and the console requires one."


@pytest.fixture(autouse=True)
def _required(settings: Any) -> None:
    settings.OPERATOR_MFA = "required"


@pytest.fixture
def owner(superuser: Any, client: Client) -> Client:
    log_in(client)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def kinds() -> list[str]:
    return sorted(Authenticator.objects.values_list("type", flat=True))


def page_to_remove(kind: str) -> str:
    if kind == "totp":
        return reverse("mfa_deactivate_totp")
    return reverse("mfa_remove_webauthn", args=[Authenticator.objects.filter(type=kind).latest("pk").pk])


def set_up(client: Client, kind: str) -> None:
    if kind == "webauthn":
        add(client, SecurityKey())
        return
    secret = client.get(reverse("mfa_activate_totp")).context["form"].secret
    client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})


def removed() -> int:
    return AuditEvent.objects.filter(verb="operator.factor_removed").count()


def test_factor_that_is_taken_away_while_its_code_is_checked_signs_nobody_in(owner: Client) -> None:
    set_up(owner, "totp")
    code = recovery_code(owner)
    waiting = Client()
    log_in(waiting)
    steps = iter(["mfa_authenticator", "auth_user"])  # the code is used up, and then the account is held
    awaited = [next(steps)]

    def meanwhile(execute: Any, sql: str, *arguments: Any) -> Any:
        """Take all of it away, as a reset does, right before the account is held."""
        if awaited == ["mfa_authenticator"] and sql.startswith("UPDATE") and awaited[0] in sql:
            awaited[0] = next(steps)
        elif awaited == ["auth_user"] and awaited[0] in sql:
            awaited.clear()
            Authenticator.objects.all().delete()
            Session.objects.all().delete()
        return execute(sql, *arguments)

    with connection.execute_wrapper(meanwhile):
        answer = waiting.post(AUTHENTICATE, {"code": code}, follow=True)

    assert not awaited
    assert answer.request["PATH_INFO"] == reverse("account_login")
    assert "Your second factors were taken away meanwhile. Sign in anew." in text(answer)
    assert waiting.get(reverse("admin:index")).headers["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("kind", ["totp", "webauthn"])
def test_last_one_stays_and_the_page_says_what_to_do(owner: Client, kind: str) -> None:
    set_up(owner, kind)
    assert kinds() == sorted([kind, "recovery_codes"])

    for page in (owner.get(page_to_remove(kind)), owner.post(page_to_remove(kind))):
        assert page.status_code == 200
        assert LAST in text(page)
        assert has_nothing_inline(page)
        assert reverse("mfa_add_webauthn") in page.content.decode()
        assert 'type="submit" class="act act-danger"' not in page.content.decode()

    assert kinds() == sorted([kind, "recovery_codes"])
    assert removed() == 0
    # The codes are no factor, and to make new ones changes nothing about that.
    assert owner.post(reverse("mfa_generate_recovery_codes")).status_code == 302
    assert LAST in text(owner.post(page_to_remove(kind)))


@pytest.mark.parametrize("kind", ["totp", "webauthn"])
def test_last_one_goes_with_its_codes_where_none_is_required(owner: Client, settings: Any, kind: str) -> None:
    set_up(owner, kind)
    settings.OPERATOR_MFA = "optional"

    page = owner.post(page_to_remove(kind))

    assert page.headers["Location"] == reverse("mfa_index")
    assert kinds() == []
    assert owner.get(reverse("admin:index")).status_code == 200


@pytest.mark.parametrize(("first", "second"), [("totp", "webauthn"), ("webauthn", "totp"), ("webauthn", "webauthn")])
def test_one_of_two_goes_and_the_codes_stay_with_the_other(owner: Client, first: str, second: str) -> None:
    set_up(owner, first)
    set_up(owner, second)

    page = owner.post(page_to_remove(first))

    assert page.headers["Location"] == reverse("mfa_index")
    assert kinds() == sorted([second, "recovery_codes"])
    assert removed() == 1


def test_factor_of_another_operator_does_not_count(owner: Client, auditor: Any) -> None:
    set_up(owner, "totp")
    Authenticator.objects.create(user=auditor, type="webauthn", data={"name": "Not yours", "credential": {}})

    assert LAST in text(owner.post(reverse("mfa_deactivate_totp")))


def test_removed_factor_proves_nothing_any_more(superuser: Any, owner: Client) -> None:
    """Not even in the session that gave it and removed it."""
    first, second = SecurityKey(), SecurityKey()
    add(owner, first, "First")
    add(owner, second, "Second")
    other = Client()
    log_in(other)
    give(other, first, AUTHENTICATE)
    give(other, first, reverse("mfa_reauthenticate_webauthn"))

    other.post(reverse("mfa_remove_webauthn", args=[Authenticator.objects.get(data__name="First").pk]))

    assert kinds() == ["recovery_codes", "webauthn"]
    assert owner.get(reverse("admin:index"), follow=True).request["PATH_INFO"] == reverse("account_login")
    led = other.get(reverse("admin:index")).headers["Location"]
    assert led.startswith(reverse("mfa_reauthenticate_webauthn"))
    assert other.get(reverse("mfa_add_webauthn")).headers["Location"].startswith(led.partition("?")[0])
    give(other, first, led)
    assert other.get(reverse("admin:index")).status_code == 302
    give(other, second, led)
    assert other.get(reverse("admin:index")).status_code == 200


def test_proof_by_the_factor_that_stays_is_kept(owner: Client) -> None:
    add(owner, SecurityKey(), "First")
    add(owner, SecurityKey(), "Second")

    owner.post(reverse("mfa_remove_webauthn", args=[Authenticator.objects.get(data__name="First").pk]))

    assert owner.get(reverse("admin:index")).status_code == 200


# --- Another phone ---


def test_app_moves_to_another_phone_without_a_moment_between(superuser: Any, client: Client) -> None:
    log_in(client)
    old = enrol(client)
    codes = recovery_code(client)
    other = Client()
    log_in(other)
    where = reverse("mfa_replace_totp")
    page = client.get(where)
    assert has_nothing_inline(page)
    new = page.context["form"].secret

    wrong = client.post(where, {"code": "000000"})
    assert wrong.status_code == 200
    assert Authenticator.objects.get(type="totp").wrap().validate_code(code_of(old)) is True
    done = client.post(where, {"code": code_of(wrong.context["form"].secret)})

    assert done.headers["Location"] == reverse("mfa_index")
    assert new == wrong.context["form"].secret != old
    app = Authenticator.objects.get(type="totp")
    assert new not in str(app.data)
    assert app.wrap().validate_code(code_of(new)) is True
    assert app.wrap().validate_code(code_of(old)) is False
    assert recovery_code(client) == codes
    assert client.get(reverse("admin:index")).status_code == 200
    assert other.get(AUTHENTICATE).headers["Location"] == reverse("account_login")
    assert AuditEvent.objects.latest("sequence").verb == "operator.factor_renewed"
    assert AuditEvent.objects.latest("sequence").details == {"factor": "totp"}


def test_there_is_nothing_to_replace_without_an_app(owner: Client) -> None:
    set_up(owner, "webauthn")

    for answer in (owner.get(reverse("mfa_replace_totp")), owner.post(reverse("mfa_replace_totp"), {"code": "1"})):
        assert answer.headers["Location"] == reverse("mfa_activate_totp")


def test_replacing_asks_for_the_factor_first(superuser: Any, owner: Client) -> None:
    set_up(owner, "totp")
    other = Client()
    other.force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")

    assert other.get(reverse("mfa_replace_totp")).headers["Location"].startswith(reverse("mfa_reauthenticate"))


def test_new_recovery_codes_end_the_session_that_came_in_with_an_old_one(owner: Client) -> None:
    """Codes are made anew because somebody may have read them."""
    set_up(owner, "totp")
    thief = Client()
    log_in(thief)
    thief.post(AUTHENTICATE, {"code": recovery_code(owner)})
    assert thief.get(reverse("admin:index")).status_code == 200

    owner.post(reverse("mfa_generate_recovery_codes"))

    assert thief.get(reverse("admin:index")).status_code == 302
    assert owner.get(reverse("admin:index")).status_code == 200
