"""Invitations: one account for one code, for a while, to no more than who invited may give, and the code is nowhere."""

import smtplib
import socket
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from flowlu_admin import invitations as verbs
from flowlu_admin.invitations import hash_code
from flowlu_admin.models import Invitation
from flowlu_admin.operator_accounts import remove_operator, set_operator_groups
from installations.errors import InvalidRequest, NotPermitted, ReasonRequired, StateConflict
from installations.models import AuditEvent
from tests import factories
from tests.factories import PASSWORD
from tests.installations.admin.console import confirm, messages, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db

WHY = {"reason": "They join."}
ADDRESS = "new@example.com"


@pytest.fixture
def root() -> Any:
    return factories.operator("root", superuser=True)


def invite(user: Any, groups: list[str] | None = None, email: str = ADDRESS) -> Invitation:
    actor = factories.actor(user)
    return verbs.invite_operator(email=email, groups=groups or ["Auditor"], actor=actor, **WHY).invitation


def code_of(mail: Any) -> str:
    return str(mail.body.partition("#")[2].split()[0])


def enter(client: Client, code: str) -> Any:
    return client.post(reverse("account_invitation"), {"code": code}, follow=True)


def form(**values: str) -> dict[str, str]:
    return {"username": "nina", "password": PASSWORD, "again": PASSWORD, **values}


def accept(client: Client, **values: str) -> Any:
    return client.post(reverse("account_invitation_accept"), form(**values), follow=True)


# --- The way of one invitation ---------------------------------------------------------------------------------


def test_second_factor_that_nobody_requires_is_not_promised(root: Any, mailoutbox: list[Any]) -> None:
    invite(root, ["Auditor"])
    mail = mailoutbox[0]

    assert "in the group Auditor." in mail.body
    assert "Open this link and choose a name and a password:" in mail.body
    assert "second factor" not in mail.body
    assert "After this you may set up a second factor." in text(enter(Client(), code_of(mail)))


def test_who_is_invited_makes_an_account_and_sets_up_a_second_factor_before_anything_else(
    root: Any, settings: Any, mailoutbox: list[Any]
) -> None:
    settings.OPERATOR_MFA = "required"
    invitation = invite(root, ["Auditor", "Reviewer"])
    mail, client = mailoutbox[0], Client()

    assert mail.to == [ADDRESS]
    assert "root invites you" in mail.body
    assert "and set up a second factor:" in mail.body
    assert "in the groups Auditor, Reviewer" in mail.body
    assert f"https://testserver/accounts/invitation/#{code_of(mail)}" in mail.body
    page = enter(client, code_of(mail))
    assert ADDRESS in text(page)
    assert "Auditor, Reviewer" in text(page)
    assert "After this you set up a second factor." in text(page)
    page = accept(client, username=" Nina ")

    account = User.objects.get(email=ADDRESS)
    assert (account.username, account.is_staff, account.is_superuser, account.is_active) == ("nina", True, False, True)
    assert account.check_password(PASSWORD) is True
    assert sorted(account.groups.values_list("name", flat=True)) == ["Auditor", "Reviewer"]
    assert page.request["PATH_INFO"] == reverse("mfa_index")
    assert client.get(url("installations_installation_changelist")).headers["Location"] == reverse("mfa_index")
    invitation.refresh_from_db()
    assert (invitation.state, invitation.account, invitation.code_hash) == ("accepted", account, None)
    assert recorded() == ["invitation.made", "operator.created", "invitation.accepted", "operator.signed_in"]
    made, created, accepted = AuditEvent.objects.order_by("sequence")[:3]
    assert (made.actor_id, made.reason, made.details) == (
        str(root.pk),
        "They join.",
        {"groups": ["Auditor", "Reviewer"]},
    )
    assert (created.actor_id, created.target_id) == (str(account.pk), str(account.pk))
    assert (accepted.target_kind, accepted.target_id) == ("invitation", str(invitation.pk))
    assert ADDRESS not in str(list(AuditEvent.objects.values()))


def test_code_is_in_the_mail_and_nowhere_else(root: Any, mailoutbox: list[Any], all_logs: Any) -> None:
    client = signed_in(root)
    body = {"email": ADDRESS, "groups": ["Auditor"], "reason": "They join."}
    page = confirm(client, url("flowlu_admin_invitation_new"), body, follow=True)
    code = code_of(mailoutbox[0])
    guest = Client()
    seen = [page, client.get(url("flowlu_admin_invitation_change", Invitation.objects.get().pk)), enter(guest, code)]
    seen.append(accept(guest, password="zq7-tiny", again="zq7-tiny"))

    assert len(code) == 43
    stored = str([list(model.objects.values()) for model in (Invitation, AuditEvent, Session)])
    logged = " ".join(record.getMessage() for record in all_logs.records)
    for secret in (code, "zq7-tiny"):
        assert secret not in "".join(response.content.decode() for response in seen)
    assert code not in stored + logged
    assert hash_code(code) not in "".join(response.content.decode() for response in seen)
    assert all(code not in where for response in seen for where, _status in getattr(response, "redirect_chain", []))
    assert seen[-1].headers["Cache-Control"] == "no-store"
    assert seen[-1].headers["Referrer-Policy"] == "same-origin"


def test_pages_take_the_code_from_a_form_only(root: Any, mailoutbox: list[Any]) -> None:
    invite(root)
    client = Client()

    client.get(reverse("account_invitation"), {"code": code_of(mailoutbox[0])})

    assert "invitation" not in client.session
    assert "cannot be used" in text(client.get(reverse("account_invitation_accept")))


# --- What a code opens -----------------------------------------------------------------------------------------


def _unknown(invitation: Invitation, user: Any) -> None:
    Invitation.objects.update(code_hash=hash_code("another"))


def _expired(invitation: Invitation, user: Any) -> None:
    Invitation.objects.update(expires_at=timezone.now())


def _withdrawn(invitation: Invitation, user: Any) -> None:
    verbs.withdraw_invitation(invitation_id=invitation.pk, actor=factories.actor(user), **WHY)


def _replaced(invitation: Invitation, user: Any) -> None:
    verbs.send_invitation_again(invitation_id=invitation.pk, actor=factories.actor(user), **WHY)


def _used(invitation: Invitation, user: Any) -> None:
    assert invitation.code_hash is not None
    verbs.accept_invitation(code_hash=invitation.code_hash, username="other", password=PASSWORD)


def _inviter_removed(invitation: Invitation, user: Any) -> None:
    actor = factories.actor(factories.operator("boss", superuser=True))
    done = remove_operator(operator_id=user.pk, actor=actor, reason="They left.")
    assert done is not None
    assert done.invitations_withdrawn == 1


_case_over = pytest.mark.parametrize(
    "happens", [_unknown, _expired, _withdrawn, _replaced, _used, _inviter_removed], ids=lambda each: each.__name__
)


@_case_over
def test_code_that_opens_nothing_any_more_is_refused_in_the_same_words(
    root: Any, mailoutbox: list[Any], happens: Any
) -> None:
    invitation = invite(root)
    code = code_of(mailoutbox[0])
    early, late = Client(), Client()
    enter(early, code)
    assert "cannot be used" in text(enter(late, "nonsense"))
    nobody = text(enter(late, "nonsense"))

    happens(invitation, root)

    with nothing_changes():
        assert text(enter(late, code)) == nobody
        # Who had the page open already comes no further.
        assert "cannot be used" in text(accept(early))
        assert "cannot be used" in text(early.get(reverse("account_invitation_accept")))
    assert not User.objects.filter(username="nina").exists()


def test_invitation_whose_time_ends_while_the_form_is_on_its_way_makes_no_account(root: Any) -> None:
    invitation = invite(root)
    assert invitation.code_hash is not None
    _expired(invitation, root)

    with nothing_changes(), pytest.raises(StateConflict, match="cannot be used"):
        verbs.accept_invitation(code_hash=invitation.code_hash, username="nina", password=PASSWORD)


def test_new_code_opens_what_the_old_one_did(root: Any, mailoutbox: list[Any]) -> None:
    invitation = invite(root)
    other = factories.operator("other", superuser=True)
    with time_machine.travel(timezone.now() + timedelta(hours=71)):
        done = verbs.send_invitation_again(invitation_id=invitation.pk, actor=factories.actor(other), **WHY)
        assert done.invitation.expires_at > timezone.now() + timedelta(hours=71)
    assert done.mailed is True
    assert code_of(mailoutbox[0]) != code_of(mailoutbox[1])
    assert "other invites you" in mailoutbox[1].body
    client = Client()

    enter(client, code_of(mailoutbox[1]))
    accept(client)

    assert User.objects.get(username="nina").email == ADDRESS
    for verb in (verbs.send_invitation_again, verbs.withdraw_invitation):
        with nothing_changes(), pytest.raises(StateConflict, match="accepted already"):
            verb(invitation_id=invitation.pk, actor=factories.actor(root), **WHY)


def test_expired_invitation_can_be_sent_again(root: Any, mailoutbox: list[Any]) -> None:
    invitation = invite(root)
    _expired(invitation, root)

    verbs.send_invitation_again(invitation_id=invitation.pk, actor=factories.actor(root), **WHY)

    assert verbs.usable_invitation(hash_code(code_of(mailoutbox[1]))) == invitation


# --- Nobody gives more than they have --------------------------------------------------------------------------


@pytest.fixture
def manager() -> Any:
    """Somebody who may invite, and beside that what an auditor may."""
    user = factories.operator("manager", "Auditor")
    user.user_permissions.add(Permission.objects.get(codename="manage_operator"))
    return user


def test_nobody_invites_to_more_than_they_may(manager: Any, mailoutbox: list[Any]) -> None:
    with nothing_changes(but=["auth.User"]), pytest.raises(NotPermitted):
        invite(manager, ["Reviewer"])
    assert not Invitation.objects.exists()
    assert mailoutbox == []

    assert invite(manager, ["Auditor"]).groups == ["Auditor"]


def test_who_sends_again_must_have_what_it_gives(manager: Any, root: Any, mailoutbox: list[Any]) -> None:
    invitation = invite(root, ["Reviewer"])

    with nothing_changes(), pytest.raises(NotPermitted):
        verbs.send_invitation_again(invitation_id=invitation.pk, actor=factories.actor(manager), **WHY)

    assert verbs.usable_invitation(hash_code(code_of(mailoutbox[0]))) == invitation


def _loses_group(user: Any) -> None:
    boss = factories.actor(factories.operator("boss", superuser=True))
    Group.objects.get(name="Narrow").permissions.add(Permission.objects.get(codename="view_portal"))
    set_operator_groups(operator_id=user.pk, groups=[], actor=boss, reason="A test.")


def _group_grows(user: Any) -> None:
    Group.objects.get(name="Narrow").permissions.add(Permission.objects.get(codename="break_glass"))


def _group_goes(user: Any) -> None:
    Group.objects.get(name="Narrow").delete()


@pytest.mark.parametrize("happens", [_loses_group, _group_grows, _group_goes], ids=lambda each: each.__name__)
def test_what_the_inviter_may_not_give_any_more_is_not_given(manager: Any, mailoutbox: list[Any], happens: Any) -> None:
    Group.objects.create(name="Narrow")
    invite(manager, ["Narrow"])
    client = Client()
    enter(client, code_of(mailoutbox[0]))

    happens(manager)

    with nothing_changes():
        assert "cannot be used" in text(accept(client))


@pytest.mark.parametrize("verb", ["invite", "again", "withdraw"])
def test_verb_needs_the_permission_and_a_reason(root: Any, auditor: Any, verb: str, mailoutbox: list[Any]) -> None:
    invitation = invite(root, email="other@example.com")
    run: Any = {
        "invite": lambda **how: verbs.invite_operator(email=ADDRESS, groups=[], **how),
        "again": lambda **how: verbs.send_invitation_again(invitation_id=invitation.pk, **how),
        "withdraw": lambda **how: verbs.withdraw_invitation(invitation_id=invitation.pk, **how),
    }[verb]

    with nothing_changes(), pytest.raises(NotPermitted):
        run(actor=factories.actor(auditor), **WHY)
    with nothing_changes(), pytest.raises(ReasonRequired):
        run(actor=factories.actor(root), reason=" ")
    assert len(mailoutbox) == 1


def test_operator_who_was_removed_meanwhile_invites_nobody(root: Any) -> None:
    actor = factories.actor(root)
    User.objects.filter(pk=root.pk).update(is_active=False)

    with nothing_changes(), pytest.raises(NotPermitted):
        verbs.invite_operator(email=ADDRESS, groups=[], actor=actor, **WHY)


# --- Addresses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["", "new", "new@", "a@b.example\nBcc: x@example.com", "x" * 250 + "@example.com"])
def test_what_is_no_address_is_refused(root: Any, address: str) -> None:
    with nothing_changes(), pytest.raises(InvalidRequest) as refused:
        invite(root, email=address)
    assert refused.value.fields.keys() == {"email"}


def test_address_is_invited_once_and_is_no_operators(root: Any) -> None:
    invitation = invite(root)
    with nothing_changes(), pytest.raises(StateConflict, match="invited already"):
        invite(root, email=ADDRESS.upper())
    verbs.withdraw_invitation(invitation_id=invitation.pk, actor=factories.actor(root), **WHY)
    assert verbs.withdraw_invitation(invitation_id=invitation.pk, actor=factories.actor(root), **WHY) is False
    invite(root)
    User.objects.create_user("somebody", email="Taken@example.com", is_active=False)

    with nothing_changes(), pytest.raises(StateConflict, match="has this address already"):
        invite(root, email="taken@example.com")


def test_address_that_somebody_has_by_now_makes_no_second_account(root: Any, mailoutbox: list[Any]) -> None:
    invite(root)
    client = Client()
    enter(client, code_of(mailoutbox[0]))
    User.objects.create_user("somebody", email=ADDRESS.upper())

    with nothing_changes():
        assert "cannot be used" in text(accept(client))


# --- Names and passwords ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"username": "root"}, "This name is taken"),
        ({"username": "ROOT"}, "This name is taken"),
        ({"username": "Mixed"}, "This name is taken"),
        ({"username": "shell"}, "The service itself goes by this name"),
        ({"username": "openid_provider"}, "The service itself goes by this name"),
        ({"username": "r\u043e\u043et"}, "small letters of the English alphabet"),
        ({"username": "a b"}, "small letters of the English alphabet"),
        ({"username": "-nina"}, "small letters"),
        ({"username": "x" * 151}, "at most 150"),
        ({"username": ""}, "required"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": "administrator", "again": "administrator"}, "too common"),
        ({"username": "nina-martinez", "password": "nina-martinez", "again": "nina-martinez"}, "too similar"),
        ({"again": "another horse battery staple"}, "The two passwords differ"),
    ],
)
def test_name_or_password_that_is_no_good_can_be_corrected(
    root: Any, mailoutbox: list[Any], values: dict[str, str], words: str
) -> None:
    User.objects.create_user("Mixed")
    invite(root)
    client = Client()
    enter(client, code_of(mailoutbox[0]))

    with nothing_changes():
        refused = accept(client, **values)

    assert words in text(refused)
    assert refused.status_code == 200
    assert accept(client).request["PATH_INFO"] == reverse("admin:index")


def test_who_is_signed_in_makes_no_second_account(root: Any, outsider: Any, mailoutbox: list[Any]) -> None:
    invite(root)
    client = Client()
    enter(client, code_of(mailoutbox[0]))
    client.force_login(outsider, backend="django.contrib.auth.backends.ModelBackend")

    with nothing_changes(but=["auth.User"]):
        for name in ("account_invitation", "account_invitation_accept"):
            assert "You are signed in already" in text(client.post(reverse(name), {"code": "x", **form()}))


def test_guesses_are_counted(client: Client) -> None:
    cache.clear()
    answers = [client.post(reverse("account_invitation"), {"code": "x"}) for _ in range(21)]

    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert "Too many attempts" in text(answers[-1])


# --- Mail ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["SENDS_MAIL", "PUBLIC_URL"])
def test_without_mail_nobody_is_invited(root: Any, settings: Any, missing: str) -> None:
    invitation = invite(root, email="other@example.com")
    setattr(settings, missing, "")

    for run in (
        lambda: invite(root),
        lambda: verbs.send_invitation_again(invitation_id=invitation.pk, actor=factories.actor(root), **WHY),
    ):
        with nothing_changes(), pytest.raises(StateConflict, match="sends no mail yet"):
            run()


@pytest.fixture
def nobody_listens(settings: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = probe.getsockname()[1]
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "127.0.0.1", False
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def test_mail_that_is_not_taken_is_said_and_can_be_sent_again(
    root: Any, nobody_listens: None, settings: Any, all_logs: Any
) -> None:
    assert issubclass(smtplib.SMTPException, OSError)
    client = signed_in(root)
    body = {"email": ADDRESS, "groups": ["Auditor"], "reason": "They join."}

    answer = confirm(client, url("flowlu_admin_invitation_new"), body, follow=True)

    assert "did not take the mail" in messages(answer)[0]
    assert "not mailed" in text(answer)
    assert ADDRESS not in " ".join(r.getMessage() for r in all_logs.records if r.name == "flowlu_admin.invitations")
    with pytest.raises(CommandError, match="Send it again in the console"):
        call_command("invite_operator", "second@example.com", "--operator", "root", "--reason", "A test.")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    again = url("flowlu_admin_invitation_send_again", object_id=Invitation.objects.get(email=ADDRESS).pk)
    assert f"{ADDRESS} was invited" in messages(confirm(client, again, {"reason": "Again."}, follow=True))[0]


# --- Pages and the command -------------------------------------------------------------------------------------


def test_list_and_page_say_who_was_invited_to_what_and_whether_they_came(root: Any, mailoutbox: list[Any]) -> None:
    waiting = invite(root)
    client = signed_in(root)

    assert f"{ADDRESS} waiting Auditor root" in text(client.get(url("flowlu_admin_invitation_changelist")))
    page = client.get(url("flowlu_admin_invitation_change", waiting.pk))
    assert [act.label for act in page.context["acts"]] == ["Send again", "Withdraw"]
    done = confirm(
        client, url("flowlu_admin_invitation_withdraw", object_id=waiting.pk), {"reason": "No."}, follow=True
    )
    assert messages(done) == ["The invitation is withdrawn."]
    page = client.get(url("flowlu_admin_invitation_change", waiting.pk))
    assert page.context["acts"] == []
    assert "withdrawn" in text(page)


def test_form_says_what_is_wrong_beside_the_field(root: Any) -> None:
    invite(root)
    where = url("flowlu_admin_invitation_new")

    wrong = confirm(signed_in(root), where, {"email": "nobody", "reason": "A test."})
    twice = confirm(signed_in(root), where, {"email": ADDRESS, "reason": "A test."})

    assert wrong.context["form"].errors["email"]
    assert "invited already" in text(twice)
    assert ADDRESS in twice.content.decode()


def test_command_invites_and_prints_no_code(root: Any, capsys: Any, mailoutbox: list[Any]) -> None:
    call_command("invite_operator", ADDRESS, "--group", "Auditor", "--operator", "root", "--reason", "They join.")

    invitation = Invitation.objects.get()
    printed = capsys.readouterr().out
    until = f"{invitation.expires_at:%Y-%m-%d %H:%M}"
    assert printed == f"invitation #{invitation.pk}: mailed to {ADDRESS}, for Auditor, until {until} UTC\n"
    assert code_of(mailoutbox[0]) not in printed
    assert (last_event().verb, last_event().via) == ("invitation.made", "command")
    with nothing_changes(), pytest.raises(CommandError, match="There is no group named Nobodies"):
        call_command("invite_operator", "b@example.com", "--group", "Nobodies", "--operator", "root", "--reason", "A.")


def test_address_that_fits_no_column_is_refused_beside_its_field(root: Any, mailoutbox: list[Any]) -> None:
    address = f"a@{'.'.join(['b' * 60] * 5)}.com"
    with nothing_changes():
        page = signed_in(root).post(url("flowlu_admin_invitation_new"), {"email": address, "groups": "Auditor", **WHY})

    assert page.context["form"].errors["email"] == ["This is no mail address."]
    assert not mailoutbox


def test_invitation_that_is_not_there_is_neither_sent_again_nor_withdrawn(root: Any, mailoutbox: list[Any]) -> None:
    for verb in (verbs.send_invitation_again, verbs.withdraw_invitation):
        with nothing_changes(), pytest.raises(StateConflict):
            verb(invitation_id=0, actor=factories.actor(root), **WHY)
    with nothing_changes(), pytest.raises(StateConflict):
        verbs.accept_invitation(code_hash="0" * 64, username="nina", password=PASSWORD)


def test_invitation_of_no_operator_gives_what_it_says(mailoutbox: list[Any]) -> None:
    verbs.invite_operator(email=ADDRESS, groups=["Auditor"], actor=factories.superactor(), **WHY)

    enter(client := Client(), code_of(mailoutbox[0]))
    accept(client)

    assert [group.name for group in User.objects.get(email=ADDRESS).groups.all()] == ["Auditor"]
