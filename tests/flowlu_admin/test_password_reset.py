"""Another password by a mailed code: for the one who has the address, and nobody learns whether anybody has."""

import time
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from installations.models import AuditEvent
from tests import factories
from tests.factories import PASSWORD
from tests.flowlu_admin.test_accounts import enrol, has_nothing_inline, log_in
from tests.installations.admin.console import signed_in, text, url

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "nina@example.com"
NEW = "another horse battery staple"


@pytest.fixture
def nina() -> Any:
    user = factories.operator("nina", "Auditor")
    User.objects.filter(pk=user.pk).update(email=ADDRESS)
    user.refresh_from_db()
    return user


def ask(client: Client, address: str = ADDRESS) -> Any:
    return client.post(reverse("account_reset_password"), {"email": address}, follow=True)


def code_of(mailoutbox: list[Any]) -> str:
    """Wait for the thread that mails, and return the code in the newest mail."""
    deadline = time.monotonic() + 10
    while not mailoutbox and time.monotonic() < deadline:
        time.sleep(0.01)
    return str(mailoutbox[-1].body.split("\n\n")[1])


def nothing_was_mailed(mailoutbox: list[Any]) -> bool:
    time.sleep(0.2)
    return mailoutbox == []


def give(client: Client, code: str) -> Any:
    return client.post(reverse("account_confirm_password_reset_code"), {"code": code}, follow=True)


def choose(client: Client, password: str = NEW, again: str = "") -> Any:
    body = {"password1": password, "password2": again or password}
    return client.post(reverse("account_complete_password_reset"), body, follow=True)


def test_code_of_the_mail_sets_another_password_once(nina: Any, mailoutbox: list[Any], all_logs: Any) -> None:
    client = Client()
    pages = [client.get(reverse("account_reset_password")), ask(client)]
    code = code_of(mailoutbox)
    assert mailoutbox[0].to == [ADDRESS]
    assert mailoutbox[0].subject == "The code for another password"
    assert "https://testserver" in mailoutbox[0].body
    assert "http://" not in mailoutbox[0].body

    pages.append(give(client, code))
    assert "too short" in text(choose(client, "short"))
    pages.append(choose(client))

    nina.refresh_from_db()
    assert nina.check_password(NEW) is True
    assert "The password is set" in text(pages[-1])
    assert client.get(url("index")).status_code == 302  # it signs nobody in
    event = AuditEvent.objects.get()
    assert (event.verb, event.actor_id, event.target_id) == ("operator.password_reset", str(nina.pk), str(nina.pk))
    assert choose(client, "a third horse battery staple").request["PATH_INFO"] == reverse("account_reset_password")
    assert give(client, code).request["PATH_INFO"] == reverse("account_login")
    nina.refresh_from_db()
    assert nina.check_password(NEW) is True
    assert all(has_nothing_inline(page) for page in pages)
    logged = " ".join(record.getMessage() for record in all_logs.records)
    seen = logged + str(list(Session.objects.values())) + "".join(page.content.decode() for page in pages)
    assert code not in seen
    assert all(code not in where for page in pages for where, _status in getattr(page, "redirect_chain", []))


@pytest.mark.parametrize("who", ["nobody", "removed", "no password", "two", "no operator", "another alphabet"])
def test_who_has_no_account_to_sign_in_to_sees_the_same_and_gets_no_mail(
    nina: Any, mailoutbox: list[Any], who: str, settings: Any
) -> None:
    known = text(ask(Client()))
    code_of(mailoutbox)
    mailoutbox.clear()
    cache.clear()
    asked = "else@example.com"
    if who != "nobody":
        other = factories.operator("other", "Auditor")
        stored = {"two": ADDRESS, "another alphabet": "else@exampl\u0131.com"}.get(who, asked)
        User.objects.filter(pk=other.pk).update(
            email=stored, is_active=who != "removed", is_staff=who != "no operator",
            **({"password": "!"} if who == "no password" else {}),
        )  # fmt: skip
        asked = {"two": ADDRESS, "another alphabet": "else@exampli.com"}.get(who, asked)
    client = Client()

    page = ask(client, asked)

    assert text(page).replace(asked, ADDRESS) == known
    assert page.status_code == 200
    assert nothing_was_mailed(mailoutbox)
    for guess in ("-", "AAAA-AAAA-AAAA"):
        answer = give(client, guess)
        assert answer.status_code == 200
        assert answer.request["PATH_INFO"] == reverse("account_confirm_password_reset_code")
    assert not AuditEvent.objects.exists()


def test_answer_does_not_wait_for_the_mail_server_nor_tell_that_it_fails(
    nina: Any, settings: Any, all_logs: Any
) -> None:
    known = text(ask(Client()))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", 9, False
    cache.clear()

    assert text(ask(Client())) == known

    deadline = time.monotonic() + 10
    while "was not taken" not in all_logs.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "A mail to an operator was not taken: ConnectionRefusedError" in all_logs.text


def test_second_factor_is_asked_for_all_the_same(nina: Any, mailoutbox: list[Any], settings: Any) -> None:
    settings.OPERATOR_MFA = "required"
    owner, client = Client(), Client()
    log_in(owner, "nina")
    enrol(owner)

    ask(client)
    give(client, code_of(mailoutbox))
    choose(client)
    page = client.post(reverse("account_login"), {"login": "nina", "password": NEW}, follow=True)

    assert page.request["PATH_INFO"] == reverse("mfa_authenticate")
    assert client.get(url("index")).status_code == 302
    assert Authenticator.objects.filter(user=nina, type="totp").exists()


def test_every_other_session_of_the_account_ends(nina: Any, auditor: Any, mailoutbox: list[Any]) -> None:
    """Those that are signed in, one that waits for the factor, and one to which an earlier code was mailed."""
    here, waiting, other, earlier = signed_in(nina), Client(), signed_in(auditor), Client()
    Authenticator.objects.create(user=nina, type="totp", data={"secret": ""})
    log_in(waiting, "nina")
    ask(earlier)
    early_code = code_of(mailoutbox)
    client = Client()
    ask(client)
    while len(mailoutbox) < 2:
        time.sleep(0.01)

    give(client, code_of(mailoutbox))
    choose(client)

    assert here.get(url("index")).status_code == 302
    assert waiting.get(reverse("mfa_authenticate")).headers["Location"] == reverse("account_login")
    assert give(earlier, early_code).request["PATH_INFO"] == reverse("account_login")
    assert other.get(url("index")).status_code == 200


def test_password_change_voids_a_code_that_was_mailed(nina: Any, mailoutbox: list[Any]) -> None:
    thief, owner = Client(), Client()
    ask(thief)
    code = code_of(mailoutbox)
    log_in(owner, "nina")

    body = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    owner.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    owner.post(reverse("account_change_password"), body)

    assert give(thief, code).request["PATH_INFO"] == reverse("account_login")


def test_code_counts_in_the_browser_that_asked_and_for_a_while(nina: Any, mailoutbox: list[Any]) -> None:
    client, other = Client(), Client()
    ask(client)
    code = code_of(mailoutbox)
    ask(other, "else@example.com")

    assert "Incorrect code" in text(give(other, code))
    with time_machine.travel(time.time() + 15 * 60 + 1):
        assert give(client, code).request["PATH_INFO"] == reverse("account_login")


def test_third_wrong_code_ends_it_and_the_trail_tells(nina: Any, mailoutbox: list[Any]) -> None:
    client = Client()
    ask(client)
    code = code_of(mailoutbox)

    answers = [give(client, "AAAA-AAAA-AAAA") for _ in range(3)]

    assert answers[-1].request["PATH_INFO"] == reverse("account_login")
    assert give(client, code).request["PATH_INFO"] == reverse("account_login")
    assert list(AuditEvent.objects.values_list("verb", "target_id")) == [("operator.reset_refused", str(nina.pk))] * 3


def test_requests_are_counted_whoever_has_the_address(nina: Any, mailoutbox: list[Any]) -> None:
    for address in (ADDRESS, "else@example.com"):
        cache.clear()
        answers = [ask(Client(REMOTE_ADDR=f"192.0.2.{number}"), address) for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    cache.clear()
    answers = [ask(Client(), f"{number}@example.com") for number in range(11)]
    assert answers[-1].status_code == 429


def test_without_mail_the_page_says_whom_to_ask(nina: Any, settings: Any, mailoutbox: list[Any]) -> None:
    settings.SENDS_MAIL = False

    assert "Ask somebody who manages operators" in text(ask(Client()))
    assert nothing_was_mailed(mailoutbox)


def test_address_is_known_however_its_letters_are_written(nina: Any, mailoutbox: list[Any]) -> None:
    User.objects.filter(pk=nina.pk).update(email="Nina@Example.com")

    ask(Client(), ADDRESS)

    assert code_of(mailoutbox)
