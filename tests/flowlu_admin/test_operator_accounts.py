"""Operators are removed, restored, signed out and put into groups: at once, by whom it is allowed, and never alone."""

import time
from typing import Any

import pytest
from allauth.mfa.adapter import get_adapter as mfa_adapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from flowlu_admin import operator_accounts as verbs
from flowlu_admin.models import Operator
from flowlu_admin.roles import ROLES
from installations import audit
from installations.approval_requests import confirm_request, request_approval
from installations.errors import InvalidRequest, NotPermitted, ReasonRequired, StateConflict
from installations.models import Application, ApprovalRequest, AuditEvent
from tests import factories
from tests.installations.admin.console import confirm, messages, pin, signed_in, text, url
from tests.unchanged import last_event, nothing_changes

pytestmark = pytest.mark.django_db

WHY = {"reason": "They left."}
VERBS = {
    "remove": verbs.remove_operator,
    "restore": verbs.restore_operator,
    "sign-out": verbs.sign_out_operator,
    "reset": verbs.reset_second_factors,
    "groups": lambda **how: verbs.set_operator_groups(groups=[], **how),
    "address": lambda **how: verbs.set_operator_address(email="new@example.com", **how),
}


@pytest.fixture
def ana() -> Any:
    """An operator who approves."""
    return factories.operator("ana", "Reviewer")


@pytest.fixture
def root() -> Any:
    return factories.actor(factories.operator("root", superuser=True))


def test_removed_operator_can_do_nothing_from_the_commit_on(ana: Any, root: Any) -> None:
    ana.set_password("battery-horse-staple-9")
    ana.save()
    here, there = signed_in(ana), signed_in(ana)
    assert here.get(url("index")).status_code == 200

    done = verbs.remove_operator(operator_id=ana.pk, actor=root, **WHY)

    assert done == verbs.Removed(sessions_ended=2, requests_voided=0, invitations_withdrawn=0)
    for client in (here, there):
        assert client.get(url("index")).status_code == 302
    assert not Session.objects.exists()
    again = Client()
    again.post("/accounts/login/", {"login": "ana", "password": "battery-horse-staple-9"})
    assert again.get(url("index")).status_code == 302
    with pytest.raises(CommandError, match="no active operator"):
        call_command("lock", "--portal", "acme.flowlu.com", "--operator", "ana", "--reason", "A test.")
    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("operator.removed", "operator", str(ana.pk))
    assert (event.reason, event.details) == ("They left.", {"sessions": 2, "requests": [], "invitations": []})


def test_what_a_removed_operator_asked_for_is_void(
    application: Application, ana: Any, root: Any, settings: Any
) -> None:
    settings.FOUR_EYES = "on"
    installation = factories.installation(application)
    how = {"installation_id": installation.pk, "reason": "A test."}
    asked = request_approval(requested=["fin.read"], actor=factories.actor(ana), **how).request
    other = factories.actor(factories.operator("ben", "Reviewer"))
    others = request_approval(requested=["task.read"], actor=other, **how).request

    done = verbs.remove_operator(operator_id=ana.pk, actor=root, **WHY)

    assert done is not None
    assert done.requests_voided == 1
    asked.refresh_from_db()
    assert (asked.state, asked.decided_why, asked.decided_by) == ("void", "The operator who asked was removed.", "root")
    assert ApprovalRequest.objects.get(pk=others.pk).state == "open"
    with pytest.raises(StateConflict, match="decided already"):
        confirm_request(request_id=asked.pk, actor=other, reason="A test.")
    *_before, voided, removed = AuditEvent.objects.order_by("sequence")
    assert (voided.verb, removed.verb) == ("approval_request.voided", "operator.removed")
    assert removed.details["requests"] == [str(asked.pk)]


def test_restored_operator_signs_in_again_with_what_they_had(ana: Any, root: Any) -> None:
    verbs.remove_operator(operator_id=ana.pk, actor=root, **WHY)
    left = signed_in(ana)  # as one that began beside the removal

    assert verbs.restore_operator(operator_id=ana.pk, actor=root, **WHY)

    assert left.get(url("index")).status_code == 302
    ana.refresh_from_db()
    assert ana.is_active
    assert [group.name for group in ana.groups.all()] == ["Reviewer"]
    assert signed_in(ana).get(url("index")).status_code == 200


def test_signed_out_operator_has_to_sign_in_anew_and_others_go_on(ana: Any, root: Any) -> None:
    signed_in(ana)
    Session.objects.update(expire_date=timezone.now())  # one that is over already is none that ends
    theirs, other = signed_in(ana), signed_in(factories.operator("ben", "Reviewer"))

    assert verbs.sign_out_operator(operator_id=ana.pk, actor=root, **WHY) == 1

    assert theirs.get(url("index")).status_code == 302
    assert other.get(url("index")).status_code == 200
    assert signed_in(ana).get(url("index")).status_code == 200


def test_operator_who_lost_every_factor_sets_one_up_anew(ana: Any, root: Any, settings: Any) -> None:
    settings.OPERATOR_MFA = "required"
    others = factories.operator("ben")
    for user, kind in ((ana, "totp"), (ana, "webauthn"), (ana, "recovery_codes"), (others, "totp")):
        Authenticator.objects.create(user=user, type=kind, data={})
    here, there = signed_in(ana), signed_in(others)
    assert here.get(url("index")).status_code == 200

    assert verbs.reset_second_factors(operator_id=ana.pk, actor=root, **WHY) is True

    assert [factor.user_id for factor in Authenticator.objects.all()] == [others.pk]
    assert here.get(url("index")).headers["Location"].startswith("/admin/login/")
    assert there.get(url("index")).status_code == 200
    again = Client()
    again.force_login(ana, backend="django.contrib.auth.backends.ModelBackend")
    assert again.get(url("index")).headers["Location"] == "/accounts/2fa/"
    event = last_event()
    assert (event.verb, event.target_id, event.reason) == ("operator.factors_reset", str(ana.pk), "They left.")
    assert event.details == {"factors": ["recovery_codes", "totp", "webauthn"], "sessions": 1}

    with nothing_changes():
        assert verbs.reset_second_factors(operator_id=ana.pk, actor=root, **WHY) is False


@pytest.mark.parametrize("way", ["page", "command"])
@pytest.mark.parametrize("needed", ["required", "optional"])
def test_reset_says_what_comes_next(
    ana: Any, superuser: Any, capsys: Any, settings: Any, way: str, needed: str
) -> None:
    left = "has no second factor now, and needs none to sign in"
    Authenticator.objects.create(user=ana, type="totp", data={})

    if way == "command":
        if needed == "required":
            settings.OPERATOR_MFA, left = needed, "has to set up a second factor anew"
        call_command("reset_second_factors", "ana", "--operator", superuser.username, "--reason", "A test.")
        assert capsys.readouterr().out == f"operator ana: {left}\n"
    else:
        where = url("flowlu_admin_operator_reset_factors", object_id=ana.pk)
        client, next_one = signed_in(superuser), "Whoever signs in next needs the password alone"
        if needed == "required":
            Authenticator.objects.create(user=superuser, type="totp", data={})
            client = signed_in(superuser)
            settings.OPERATOR_MFA, left = needed, "sets up a second factor anew"
            next_one = "Whoever signs in next with their password"
        page = client.get(where)
        assert next_one in text(page)
        answer = confirm(client, where, {"reason": "A test."}, follow=True)
        assert messages(answer) == [f"ana {left}."]
    assert not Authenticator.objects.filter(user=ana).exists()


def half_way_in(user: Any) -> Client:
    """Give the password and stop before the second factor."""
    user.set_password("battery-horse-staple-9")
    user.save()
    Authenticator.objects.create(user=user, type="totp", data={"secret": mfa_adapter().encrypt("JBSWY3DPEHPK3PXP")})
    client = Client()
    answer = client.post("/accounts/login/", {"login": user.username, "password": "battery-horse-staple-9"})
    assert answer["Location"].startswith("/accounts/2fa/authenticate/")
    return client


@pytest.mark.parametrize("verb", ["remove", "sign-out", "reset"])
def test_sign_in_that_waits_for_the_factor_ends_too(root: Any, verb: str) -> None:
    # allauth writes the number in base 36, in which small ones look alike.
    user, other = (Operator.objects.create(pk=pk, username=f"u{pk}", is_staff=True) for pk in (471_100, 471_101))
    client, others = half_way_in(user), half_way_in(other)

    VERBS[verb](operator_id=user.pk, actor=root, **WHY)

    assert others.get("/accounts/2fa/authenticate/").status_code == 200
    assert client.get("/accounts/2fa/authenticate/")["Location"].startswith("/accounts/login/")


def test_sign_in_with_the_old_password_that_waits_for_the_factor_ends_with_it(ana: Any) -> None:
    client, own = half_way_in(ana), signed_in(ana)
    new = {"password1": "another-horse-staple-8", "password2": "another-horse-staple-8"}

    confirmed(own)
    own.post("/accounts/password/change/", {"oldpassword": "battery-horse-staple-9", **new})

    ana.refresh_from_db()
    assert ana.check_password("another-horse-staple-8")
    assert client.get("/accounts/2fa/authenticate/")["Location"].startswith("/accounts/login/")


def confirmed(client: Client) -> None:
    """Let the session be one whose operator has just given their second factor once more."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time(), "reauthenticated": True}]
    session.save()


def test_groups_count_from_the_commit_on_in_open_sessions_too(ana: Any, root: Any) -> None:
    client = signed_in(ana)
    assert client.get(url("installations_application_import")).status_code == 200

    assert verbs.set_operator_groups(operator_id=ana.pk, groups=["Auditor"], actor=root, **WHY)

    assert client.get(url("installations_application_import")).status_code == 403
    assert last_event().details == {"added": ["Auditor"], "taken": ["Reviewer"]}
    assert verbs.set_operator_groups(operator_id=ana.pk, groups=[], actor=root, **WHY)
    assert list(type(ana).objects.get(pk=ana.pk).groups.all()) == []


def test_nobody_gives_more_than_they_have(ana: Any) -> None:
    manager = factories.operator("eve", "Auditor")
    powers = Group.objects.create(name="Managers")
    powers.permissions.add(_permission("manage_operator"))
    manager.groups.add(powers)
    eve = factories.actor(type(manager).objects.get(pk=manager.pk))

    assert verbs.set_operator_groups(operator_id=ana.pk, groups=["Auditor"], actor=eve, **WHY)
    with nothing_changes(), pytest.raises(NotPermitted):
        verbs.set_operator_groups(operator_id=ana.pk, groups=["Auditor", "Responder"], actor=eve, **WHY)


def manager() -> Any:
    """An operator who manages others and sees what auditors see."""
    found = factories.operator("eve", "Auditor")
    found.user_permissions.add(_permission("manage_operator"), _permission("view_operator"))
    return type(found).objects.get(pk=found.pk)


def test_nobody_gives_back_more_than_they_have(ana: Any) -> None:
    eve = manager()
    ana.is_active = False
    ana.save()
    client = signed_in(eve)
    where = url("flowlu_admin_operator_restore", object_id=ana.pk)

    with nothing_changes():
        answer = client.post(where, {"reason": "A test."})
    assert "or take its groups away first" in text(answer)
    assert (last_event().verb, last_event().target_id) == ("attempt.refused", str(ana.pk))
    assert last_event().details["permission"] in ROLES["Reviewer"]
    with nothing_changes(), pytest.raises(CommandError, match="nobody gives more than they have"):
        call_command("restore_operator", "ana", "--operator", "eve", "--reason", "A test.")

    # when the groups were taken, by the page that is offered
    groups = url("flowlu_admin_operator_groups", object_id=ana.pk)
    assert groups in client.get(url("flowlu_admin_operator_change", ana.pk)).content.decode()
    confirm(client, groups, {"reason": "A test."})
    assert messages(client.post(where, {"reason": "A test."}, follow=True))[-1] == "ana may sign in again."


def test_nobody_gives_back_a_right_of_the_accounts_own_that_they_lack(ana: Any) -> None:
    ana.groups.clear()
    ana.user_permissions.add(_permission("view_operator"), Permission.objects.get(codename="break_glass"))
    ana.is_active = False
    ana.save()
    eve = manager()
    how = {"operator_id": ana.pk, **WHY}

    with nothing_changes(), pytest.raises(NotPermitted) as refused:
        verbs.restore_operator(actor=factories.actor(eve), **how)
    assert refused.value.permission == "installations.break_glass"

    ana.user_permissions.remove(Permission.objects.get(codename="break_glass"))
    assert verbs.restore_operator(actor=factories.actor(eve), **how) is True


@pytest.mark.parametrize("verb", VERBS)
def test_superusers_are_managed_by_who_may_manage_those(ana: Any, root: Any, verb: str) -> None:
    ana.user_permissions.add(_permission("manage_operator"))
    other = factories.operator("other", superuser=True)
    actor = factories.actor(type(ana).objects.get(pk=ana.pk))

    with nothing_changes(), pytest.raises(NotPermitted):
        VERBS[verb](operator_id=other.pk, actor=actor, **WHY)

    ana.user_permissions.add(_permission("manage_superuser"))
    VERBS[verb](operator_id=other.pk, actor=factories.actor(type(ana).objects.get(pk=ana.pk)), **WHY)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("group", ["Auditor", "Reviewer", "Responder", None])
def test_no_group_manages_operators(ana: Any, verb: str, group: str | None) -> None:
    actor = factories.actor(factories.operator("somebody", group))

    with nothing_changes(), pytest.raises(NotPermitted):
        VERBS[verb](operator_id=ana.pk, actor=actor, **WHY)


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_does_it_to_their_own_account_or_to_nobody(verb: str, root: Any) -> None:
    factories.operator("other", superuser=True)
    plain = type(factories.operator("x")).objects.create_user("plain")

    if verb != "address":  # no other way leads to one's own
        with nothing_changes(), pytest.raises(StateConflict, match="own account"):
            VERBS[verb](operator_id=int(root.id), actor=root, **WHY)
    for nobody in (plain.pk, 10**9):
        with nothing_changes(), pytest.raises(StateConflict, match="no such operator"):
            VERBS[verb](operator_id=nobody, actor=root, **WHY)
    with nothing_changes(), pytest.raises(ReasonRequired):
        VERBS[verb](operator_id=int(root.id), actor=root, reason=" ")


def test_last_superuser_stays(ana: Any, root: Any) -> None:
    ana.user_permissions.add(_permission("manage_operator"), _permission("manage_superuser"))
    actor = factories.actor(type(ana).objects.get(pk=ana.pk))

    with nothing_changes(), pytest.raises(StateConflict, match="last superuser"):
        verbs.remove_operator(operator_id=int(root.id), actor=actor, **WHY)

    factories.operator("other", superuser=True)
    assert verbs.remove_operator(operator_id=int(root.id), actor=actor, **WHY)


def test_whoever_was_removed_meanwhile_removes_nobody(ana: Any, root: Any) -> None:
    """Their request had read the account before."""
    other = factories.actor(factories.operator("other", superuser=True))
    verbs.remove_operator(operator_id=int(other.id), actor=root, **WHY)

    with nothing_changes(), pytest.raises(NotPermitted):
        verbs.remove_operator(operator_id=ana.pk, actor=other, **WHY)


def test_superuser_who_may_not_enter_the_console_is_no_other_one(ana: Any, root: Any) -> None:
    ana.user_permissions.add(_permission("manage_operator"), _permission("manage_superuser"))
    type(ana).objects.create_user("outside", is_superuser=True)

    with nothing_changes(), pytest.raises(StateConflict, match="last superuser"):
        verbs.remove_operator(operator_id=int(root.id), actor=factories.actor(type(ana).objects.get(pk=ana.pk)), **WHY)


def test_what_is_so_already_changes_nothing_and_says_so(ana: Any, root: Any) -> None:
    how = {"operator_id": ana.pk, "actor": root, **WHY}
    with nothing_changes():
        assert not verbs.restore_operator(**how)
        assert not verbs.set_operator_groups(groups=["Reviewer"], **how)
    verbs.remove_operator(**how)
    with nothing_changes():
        assert verbs.remove_operator(**how) is None


def test_group_that_is_none_is_refused(ana: Any, root: Any) -> None:
    with nothing_changes(), pytest.raises(StateConflict, match="no group named Nobodies"):
        verbs.set_operator_groups(operator_id=ana.pk, groups=["Auditor", "Nobodies"], actor=root, **WHY)


# --- Pages -----------------------------------------------------------------------------------------------------


def test_pages_show_who_may_what_and_what_they_did(application: Application, ana: Any, superuser: Any) -> None:
    installation = factories.installation(application)
    request_approval(
        installation_id=installation.pk, requested=["fin.read"], actor=factories.actor(ana), reason="A test."
    )
    client = signed_in(superuser)

    listed = text(client.get(url("flowlu_admin_operator_changelist")))
    shown = text(client.get(url("flowlu_admin_operator_change", ana.pk)))

    assert "ana active Reviewer none" in listed
    assert "request #" in shown
    assert "approval_request.made" in shown
    assert "set up" not in shown


def test_rights_that_were_given_one_by_one_are_not_kept_quiet(ana: Any, superuser: Any) -> None:
    ana.groups.clear()
    ana.user_permissions.add(_permission("view_operator"))

    assert "1 right given from a shell" in text(signed_in(superuser).get(url("flowlu_admin_operator_changelist")))


def test_deceptive_name_of_a_group_is_shown_as_such(ana: Any, superuser: Any) -> None:
    Group.objects.create(name="Audit\u202eor")
    client = signed_in(superuser)

    for page in ("changelist", "groups"):
        key = {"object_id": ana.pk} if page == "groups" else {}
        shown = client.get(url(f"flowlu_admin_operator_{page}", **key)).content.decode()
        assert "\\u202E" in shown
        # The value of a box is what is sent back; nobody reads it.
        assert "\u202e" not in shown.replace('value="Audit\u202eor"', "")


def test_page_shows_of_an_operator_what_its_reader_may_see(ana: Any) -> None:
    reader = factories.operator("reader")
    reader.user_permissions.add(_permission("view_operator"))

    page = signed_in(reader).get(url("flowlu_admin_operator_change", ana.pk))

    assert page.status_code == 200
    assert page.context["tables"] == []
    assert page.context["acts"] == []


@pytest.mark.parametrize("group", ["Auditor", None])
def test_everybody_sees_their_own_page_and_no_other(ana: Any, group: str | None) -> None:
    reader = factories.operator("reader", group)
    client = signed_in(reader)
    own = url("flowlu_admin_operator_change", reader.pk)
    with transaction.atomic():
        audit.append(
            factories.actor(reader), audit.Event("portal.locked", "portal", "acme.flowlu.com", reason="A test.")
        )

    page = client.get(own)

    assert page.status_code == 200
    assert page.context["acts"] == []
    assert "portal.locked" in text(page)
    assert "acme.flowlu.com" in text(page)
    assert ("actor_id" in page.content.decode()) is (group == "Auditor")
    assert f'href="{own}"' in client.get(url("index")).content.decode()
    assert url("flowlu_admin_operator_changelist") + '"' not in page.content.decode()
    assert client.get(url("flowlu_admin_operator_change", ana.pk)).status_code == 403
    assert client.get(url("flowlu_admin_operator_changelist")).status_code == 403


def test_acts_are_offered_where_they_make_sense(ana: Any, superuser: Any) -> None:
    client = signed_in(superuser)

    def offered(user: Any) -> list[str]:
        page = client.get(url("flowlu_admin_operator_change", user.pk))
        return [act.label for act in page.context["acts"]]

    every = ["Sign out everywhere", "Reset second factors", "Remove"]
    assert offered(ana) == ["Change groups", *every]
    assert offered(superuser) == []
    assert offered(factories.operator("other", superuser=True)) == every
    ana.is_active = False
    ana.save()
    assert offered(ana) == ["Change groups", "Restore"]


@pytest.mark.parametrize(
    ("act", "body", "words"),
    [
        ("remove", {}, "ana is removed: 0 sessions ended, 0 requests made void, 0 invitations withdrawn."),
        ("restore", {}, "Nothing changed: ana was not removed."),
        ("sign_out", {}, "0 sessions of ana ended."),
        ("reset_factors", {}, "Nothing changed: ana had none."),
        ("groups", {"groups": ["Auditor"]}, "ana is in other groups now."),
        ("groups", {"groups": ["Reviewer"]}, "Nothing changed: ana was in these groups."),
        ("groups", {}, "ana is in other groups now."),
    ],
)
def test_act_says_what_it_did(ana: Any, superuser: Any, act: str, body: dict[str, Any], words: str) -> None:
    where = url(f"flowlu_admin_operator_{act}", object_id=ana.pk)

    answer = confirm(signed_in(superuser), where, {"reason": "A test.", **body}, follow=True)

    assert messages(answer) == [words]


def test_act_on_a_removed_operator_says_so(ana: Any, superuser: Any) -> None:
    ana.is_active = False
    ana.save()
    client = signed_in(superuser)

    again = client.post(url("flowlu_admin_operator_remove", object_id=ana.pk), {"reason": "A test."}, follow=True)
    back = client.post(url("flowlu_admin_operator_restore", object_id=ana.pk), {"reason": "A test."}, follow=True)

    assert messages(again) == ["Nothing changed: they were removed already."]
    assert messages(back) == ["ana may sign in again."]


def test_stale_page_of_groups_overwrites_nobodys_change(ana: Any, superuser: Any, root: Any) -> None:
    client = signed_in(superuser)
    where = url("flowlu_admin_operator_groups", object_id=ana.pk)
    shown = pin(client.get(where))
    verbs.set_operator_groups(operator_id=ana.pk, groups=[], actor=root, **WHY)

    with nothing_changes():
        answer = client.post(where, {**shown, "groups": ["Reviewer", "Auditor"], "reason": "A test."})
        unseen = client.post(where, {"groups": ["Auditor"], "reason": "A test."})

    assert "was changed while you were reading it" in text(answer)
    assert "cannot be read any more" in text(unseen)


def test_page_refuses_ones_own_account_and_unknown_groups(ana: Any, superuser: Any) -> None:
    client = signed_in(superuser)

    own = client.post(url("flowlu_admin_operator_remove", object_id=superuser.pk), {"reason": "A test."})
    unknown = confirm(
        client, url("flowlu_admin_operator_groups", object_id=ana.pk), {"reason": "A test.", "groups": ["Nobodies"]}
    )

    assert "ask another operator" in text(own)
    assert unknown.context["form"].errors["groups"]


def test_accounts_that_are_no_operators_have_no_page(superuser: Any) -> None:
    plain = type(superuser).objects.create_user("plain")

    for name in ("change", "remove", "restore", "sign_out", "reset_factors", "groups"):
        key = {"object_id": plain.pk}
        assert signed_in(superuser).get(url(f"flowlu_admin_operator_{name}", **key)).status_code in (302, 404)
    assert "plain" not in text(signed_in(superuser).get(url("flowlu_admin_operator_changelist")))


def test_address_is_set_for_others_and_oneself_and_what_went_to_the_one_before_is_void(ana: Any, root: Any) -> None:
    here = signed_in(ana)

    assert verbs.set_operator_address(operator_id=ana.pk, email=" ana@example.com ", actor=root, **WHY) is True

    ana.refresh_from_db()
    assert ana.email == "ana@example.com"
    assert here.get(url("index")).status_code == 302
    assert (last_event().verb, last_event().details) == ("operator.address_set", {"had_one": False, "sessions": 1})
    with nothing_changes():
        assert verbs.set_operator_address(operator_id=ana.pk, email="ana@example.com", actor=root, **WHY) is False
    assert verbs.set_operator_address(operator_id=int(root.id), email="root@example.com", actor=root, **WHY) is True
    assert verbs.set_operator_address(operator_id=ana.pk, email="a@example.com", actor=root, **WHY) is True
    assert last_event().details["had_one"] is True


@pytest.mark.parametrize("email", ["", " ", "ana", "ana@", "a na@example.com", "aña@example.com", "ROOT@example.com"])
def test_what_is_no_address_or_somebody_else_s_is_not_set(ana: Any, root: Any, email: str) -> None:
    verbs.set_operator_address(operator_id=int(root.id), email="root@example.com", actor=root, **WHY)

    with nothing_changes(), pytest.raises(InvalidRequest) as refused:
        verbs.set_operator_address(operator_id=ana.pk, email=email, actor=root, **WHY)

    assert set(refused.value.fields) == {"email"}


# --- Commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        (
            ("remove_operator", "ana"),
            "operator ana: removed, 0 sessions ended, 0 requests made void, 0 invitations withdrawn\n",
        ),
        (("restore_operator", "ana"), "operator ana: was not removed\n"),
        (("sign_out_operator", "ana"), "operator ana: 0 sessions ended\n"),
        (("reset_second_factors", "ana"), "operator ana: had no second factor\n"),
        (("set_operator_groups", "ana", "--group", "Auditor"), "operator ana: in Auditor now\n"),
        (("set_operator_groups", "ana", "--group", "Reviewer"), "operator ana: in Reviewer already\n"),
        (("set_operator_groups", "ana"), "operator ana: in no group now\n"),
        (("set_operator_address", "ana", "--email", "ana@example.com"), "operator ana: is written to there now\n"),
    ],
)
def test_command_says_in_one_line_what_it_did(
    ana: Any, superuser: Any, capsys: Any, line: tuple[str, ...], printed: str
) -> None:
    call_command(*line, "--operator", superuser.username, "--reason", "A test.")

    assert capsys.readouterr().out == printed


def test_commands_take_removed_accounts_and_no_others(ana: Any, superuser: Any, capsys: Any) -> None:
    ana.is_active = False
    ana.save()
    how = ("--operator", superuser.username, "--reason", "A test.")

    call_command("remove_operator", "ana", *how)
    call_command("restore_operator", "ana", *how)
    assert capsys.readouterr().out == "operator ana: was removed already\noperator ana: may sign in again\n"
    with nothing_changes(), pytest.raises(CommandError, match="no operator named 'nobody'"):
        call_command("remove_operator", "nobody", *how)
    with nothing_changes(), pytest.raises(CommandError, match="own account"):
        call_command("remove_operator", superuser.username, *how)


def _permission(codename: str) -> Any:
    return Permission.objects.get(content_type__app_label="flowlu_admin", codename=codename)
