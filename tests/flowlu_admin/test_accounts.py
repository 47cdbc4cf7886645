"""The pages on which operators sign in and out and look after their second factor; the pages that say no."""

import re
import time
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from django.views import defaults

from flowlu_admin.urls import handler500
from installations.models import AuditEvent
from tests.authenticator_app import code_of
from tests.factories import PASSWORD
from tests.installations.admin.console import signed_in, text

_case_page = pytest.mark.parametrize(
    "name",
    [
        "account_reauthenticate",
        "account_change_password",
        "account_logout",
        "account_time_zone",
        "account_inactive",
        "mfa_index",
        "mfa_activate_totp",
    ],
)
_case_absent = pytest.mark.parametrize(
    "path",
    [
        "signup/",
        "password/reset/key/1-abc-def/",
        "email/",
        "confirm-email/",
        "password/set/",
        "login/code/",
        "social/connections/",
        "3rdparty/",
        "2fa/webauthn/login/",
        "2fa/webauthn/signup/",
        "2fa/trust/",
    ],
)


def log_in(client: Client, name: str = "superuser") -> Any:
    return client.post(reverse("account_login"), {"login": name, "password": PASSWORD}, follow=True)


def enrol(client: Client) -> str:
    """Activate the authenticator app and return its secret; that asks for the password once more."""
    assert "reauthenticate" in client.get(reverse("mfa_activate_totp")).headers["Location"]
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("mfa_activate_totp"))
    secret = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page.content.decode())
    assert secret is not None
    client.post(reverse("mfa_activate_totp"), {"code": code_of(secret.group(1))})
    return secret.group(1)


def has_nothing_inline(response: Any) -> bool:
    page = response.content.decode()
    return not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(src=|application/json))", page)


def test_sign_in_leads_to_the_console_and_out_again(superuser: Any, client: Client) -> None:
    # when, then
    page = client.get(reverse("admin:index"), follow=True)
    assert page.redirect_chain[-1][0].startswith(reverse("account_login"))
    assert "sign up" not in text(page).lower().replace("nobody can sign up here", "")
    assert log_in(client).request["PATH_INFO"] == reverse("admin:index")
    assert client.post(reverse("account_logout"), follow=True).request["PATH_INFO"] == reverse("account_login")
    assert client.get(reverse("admin:index")).status_code == 302


def test_wrong_password_is_told_without_saying_which_half_was_wrong(superuser: Any, client: Client) -> None:
    wrong = client.post(reverse("account_login"), {"login": "superuser", "password": "wrong"})
    nobody = client.post(reverse("account_login"), {"login": "nobody", "password": "wrong"})

    assert wrong.status_code == nobody.status_code == 200
    assert wrong.context["form"].errors == nobody.context["form"].errors
    assert "autocomplete" in wrong.content.decode()


@_case_page
def test_page_of_the_account_looks_like_the_console(superuser: Any, name: str) -> None:
    response = signed_in(superuser).get(reverse(name), follow=True)

    assert response.status_code == 200
    assert "console/console.css" in response.content.decode()
    assert "Flowlu console" in text(response)
    assert has_nothing_inline(response)


@_case_absent
def test_page_that_does_not_exist_is_a_404_of_ours(superuser: Any, path: str) -> None:
    response = signed_in(superuser).get(f"/accounts/{path}")

    assert response.status_code == 404
    assert "There is no such page" in text(response)


@pytest.mark.django_db(transaction=True)
def test_second_factor_is_set_up_used_and_taken_away(superuser: Any, settings: Any, client: Client) -> None:
    settings.OPERATOR_MFA = "required"
    # given: the console requires one
    assert log_in(client).request["PATH_INFO"] == reverse("mfa_index")

    # when
    secret = enrol(client)

    # then
    assert Authenticator.objects.filter(user=superuser, type=Authenticator.Type.TOTP).count() == 1
    assert client.get(reverse("admin:index")).status_code == 200
    for name in ("mfa_index", "mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_deactivate_totp"):
        page = client.get(reverse(name), follow=True)
        assert page.status_code == 200
        assert has_nothing_inline(page)
    codes = client.get(reverse("mfa_view_recovery_codes"))
    assert "Keep them apart from the device" in text(codes)
    assert f'href="{reverse("mfa_index")}">Back' in codes.content.decode()

    # when: the next sign-in asks for it
    other = Client()
    page = log_in(other)
    assert page.request["PATH_INFO"] == reverse("mfa_authenticate")
    assert has_nothing_inline(page)
    assert other.get(reverse("admin:index")).status_code == 302
    codes = client.get(reverse("mfa_view_recovery_codes")).context["unused_codes"]
    other.post(reverse("mfa_authenticate"), {"code": codes[0]})
    assert other.get(reverse("admin:index")).status_code == 200
    assert secret not in client.get(reverse("mfa_index")).content.decode()

    # when: it may go only where none is required
    settings.OPERATOR_MFA = "optional"
    client.post(reverse("mfa_deactivate_totp"))
    settings.OPERATOR_MFA = "required"

    # then
    assert Authenticator.objects.filter(user=superuser).count() == 0
    assert client.get(reverse("admin:index"), follow=True).request["PATH_INFO"] == reverse("mfa_index")


def test_password_change_asks_for_a_fresh_sign_in_and_holds(superuser: Any, client: Client) -> None:
    # given
    log_in(client)
    new = "another horse battery staple"
    where, form = reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new}

    # when, then
    assert client.get(where).headers["Location"].startswith(reverse("account_reauthenticate"))
    assert client.post(where, form).headers["Location"].startswith(reverse("account_reauthenticate"))
    superuser.refresh_from_db()
    assert superuser.check_password(PASSWORD) is True

    # when
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    client.post(where, form, follow=True)

    # then
    superuser.refresh_from_db()
    assert superuser.check_password(new) is True


@pytest.mark.django_db(transaction=True)
def test_trail_tells_who_signed_in_and_changed_how(superuser: Any, client: Client) -> None:
    # given
    log_in(client)
    secret = enrol(client)
    codes = client.get(reverse("mfa_view_recovery_codes")).context["unused_codes"]
    new = "another horse battery staple"

    # when
    other = Client()
    log_in(other)
    other.post(reverse("mfa_authenticate"), {"code": "000000"})
    other.post(reverse("mfa_authenticate"), {"code": codes[0]})
    client.post(reverse("mfa_generate_recovery_codes"))
    client.post(reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new})
    client.post(reverse("mfa_deactivate_totp"))

    # then
    found = AuditEvent.objects.order_by("sequence").values_list("verb", "actor_id", "target_id", "via", "details")
    assert [verb for verb, *_ in found] == [
        "operator.signed_in",
        "operator.factor_added",
        "operator.factor_added",
        "operator.factor_refused",
        "operator.factor_used",
        "operator.signed_in",
        "operator.factor_renewed",
        "operator.password_changed",
        "operator.factor_removed",
        "operator.factor_removed",
    ]
    assert {(actor, target, via) for _, actor, target, via, _ in found} == {
        (str(superuser.pk), str(superuser.pk), "admin")
    }
    assert [details.get("factor") for *_, details in found][1:5] == ["totp", "recovery_codes", "totp", "recovery_codes"]
    assert [details["to"] for verb, *_, details in found if verb == "operator.factor_used"] == ["sign in"]
    assert not any(secret_text in str(found) for secret_text in (PASSWORD, new, secret, *codes))


def test_password_page_of_the_admin_leads_to_the_one_of_the_account(superuser: Any) -> None:
    response = signed_in(superuser).get(reverse("admin:password_change"))

    assert response.headers["Location"] == reverse("account_change_password")


def test_header_of_the_console_leads_to_the_account(superuser: Any) -> None:
    page = signed_in(superuser).get(reverse("admin:index")).content.decode()

    for name in ("account_change_password", "mfa_index"):
        assert f'href="{reverse(name)}"' in page
    assert f'action="{reverse("account_logout")}"' in page


def test_inactive_account_is_told_so(superuser: Any, client: Client) -> None:
    superuser.is_active = False
    superuser.save()

    response = log_in(client)

    assert response.status_code == 200
    assert "may not sign in" in text(response) or "not correct" in text(response)


def test_form_without_its_token_is_explained(superuser: Any) -> None:
    client = Client(enforce_csrf_checks=True)

    response = client.post(reverse("account_login"), {"login": "superuser", "password": PASSWORD})

    assert response.status_code == 403
    assert "The form could not be checked" in text(response)
    assert has_nothing_inline(response)


def test_error_pages_say_what_to_do(rf: Any, db: None) -> None:
    request: HttpRequest = rf.get("/nothing")
    pages = (
        (defaults.bad_request(request, Exception()), 400, "cannot be understood"),
        (defaults.permission_denied(request, Exception()), 403, "You may not do this"),
        (defaults.page_not_found(request, Exception()), 404, "There is no such page"),
        (handler500(request), 500, "Something went wrong on our side"),
    )
    for response, status, words in pages:
        assert response.status_code == status
        assert words in text(response)
        assert has_nothing_inline(response)


# --- A factor belongs to a session ---


@pytest.mark.django_db(transaction=True)
def test_session_from_before_the_factor_is_over_once_it_is_set_up(superuser: Any, settings: Any) -> None:
    """Somebody with the password alone was there first."""
    settings.OPERATOR_MFA = "required"
    thief, owner = Client(), Client()
    log_in(thief)
    log_in(owner)

    enrol(owner)

    assert owner.get(reverse("admin:index")).status_code == 200
    assert thief.get(reverse("admin:index"), follow=True).request["PATH_INFO"] == reverse("account_login")
    assert thief.get(reverse("mfa_deactivate_totp")).status_code == 302
    assert Authenticator.objects.filter(user=superuser, type=Authenticator.Type.TOTP).exists()


@pytest.mark.django_db(transaction=True)
def test_session_of_another_operator_goes_on_when_a_factor_is_set_up(
    superuser: Any, auditor: Any, settings: Any
) -> None:
    other, owner = Client(), Client()
    log_in(other, "auditor")
    log_in(owner)

    enrol(owner)

    assert other.get(reverse("admin:index")).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["required", "optional"])
def test_session_that_gave_no_factor_has_to_give_it(superuser: Any, settings: Any, mode: str) -> None:
    settings.OPERATOR_MFA = mode
    owner, other = Client(), Client()
    log_in(owner)
    secret = enrol(owner)
    other.force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")
    where = reverse("admin:installations_installation_changelist")

    sent = other.get(where)
    assert sent.headers["Location"] == f"{reverse('mfa_reauthenticate')}?next={where.replace('/', '%2F')}"
    assert "Give your second factor: this session has not yet." in text(other.get(sent.headers["Location"]))
    given = other.post(sent.headers["Location"], {"code": recovery_code(owner)}, follow=True)

    assert given.request["PATH_INFO"] == where
    assert given.status_code == 200
    assert secret not in given.content.decode()


@pytest.mark.django_db(transaction=True)
def test_password_alone_is_not_enough_to_take_a_factor_away(superuser: Any, settings: Any) -> None:
    settings.OPERATOR_MFA = "required"
    owner = Client()
    log_in(owner)
    enrol(owner)
    with time_machine.travel(time.time() + 3600):
        asked = owner.post(reverse("mfa_deactivate_totp"))
        answered = owner.post(reverse("account_reauthenticate"), {"password": PASSWORD})
        still = owner.post(reverse("mfa_deactivate_totp"))

    assert asked.status_code == still.status_code == 302
    assert answered.headers["Location"] == reverse("mfa_reauthenticate")
    assert Authenticator.objects.filter(user=superuser, type=Authenticator.Type.TOTP).exists()


@pytest.mark.django_db(transaction=True)
def test_other_sessions_end_when_the_factor_is_taken_away(superuser: Any) -> None:
    owner, other = Client(), Client()
    log_in(owner)
    enrol(owner)
    log_in(other)
    other.post(reverse("mfa_authenticate"), {"code": recovery_code(owner)})
    assert other.get(reverse("admin:index")).status_code == 200

    owner.post(reverse("mfa_deactivate_totp"))

    assert other.get(reverse("admin:index")).status_code == 302
    assert owner.get(reverse("admin:index")).status_code == 200


def recovery_code(client: Client) -> str:
    return str(client.get(reverse("mfa_view_recovery_codes")).context["unused_codes"][-1])


# --- One way in ---


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["required", "optional"])
def test_second_way_in_takes_no_password(superuser: Any, outsider: Any, settings: Any, mode: str) -> None:
    """Django's own sign-in page would ask for no second factor, count no guesses and leave no event."""
    settings.OPERATOR_MFA = mode
    owner, thief, stranger = Client(), Client(), Client()
    log_in(owner)
    enrol(owner)
    log_in(thief, "outsider")
    before = AuditEvent.objects.count()
    form = {"username": "superuser", "password": PASSWORD, "login": "superuser"}

    for client in (thief, stranger):
        for method in (client.post, client.get):
            answer = method("/admin/login/?next=/admin/", form)
            assert answer.status_code == 302
            assert "sessionid" not in answer.cookies
    assert thief.get("/accounts/login/").wsgi_request.user == outsider
    assert stranger.get("/accounts/login/").wsgi_request.user.is_anonymous
    assert AuditEvent.objects.count() == before


def test_account_that_is_no_operator_is_refused(db: None) -> None:
    client = Client()
    client.force_login(get_user_model().objects.create_user("nobody"), "django.contrib.auth.backends.ModelBackend")

    assert client.get("/admin/login/").status_code == 403


def test_way_in_leads_back_to_where_somebody_wanted_to_go(db: None) -> None:
    assert (
        Client().get("/admin/login/?next=/admin/tokens/").headers["Location"] == "/accounts/login/?next=/admin/tokens/"
    )
    assert Client().get("/admin/login/").headers["Location"] == "/accounts/login/"
    # The sign-in itself follows no address of another host.
    evil = Client().get("/admin/login/?next=https://evil.example.com/").headers["Location"]
    assert evil.startswith("/accounts/login/?next=")


# --- Guesses ---


def test_guesses_of_one_name_are_counted_together_whatever_host_the_request_names(
    superuser: Any, client: Client, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "console.example.com"]
    where, form = reverse("account_login"), {"login": "superuser", "password": "wrong"}
    for number in range(5):
        client.post(where, form, REMOTE_ADDR=f"192.0.2.{number}")

    for host, name in (
        ("testserver", "superuser"),
        ("testserver:8443", "superuser"),
        ("console.example.com", "superuser"),
        ("testserver", "SuperUser"),
    ):
        given = {"login": name, "password": PASSWORD}
        page = client.post(where, given, HTTP_HOST=host, REMOTE_ADDR="192.0.2.99")
        assert "Too many failed login attempts" in text(page), (host, name)


def test_password_that_was_typed_is_in_no_answer(superuser: Any, client: Client) -> None:
    form = {"login": "superuser", "password": "a wrong horse battery"}

    page = client.post(reverse("account_login"), form, headers={"X-Requested-With": "XMLHttpRequest"})

    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "a wrong horse battery" not in page.content.decode()
