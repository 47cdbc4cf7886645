"""Two operators at once: one of them does it, the other one is told, and the trail has as many rows as changes."""

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    generate_totp_secret,
)
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from flowlu_admin.invitations import invite_operator
from flowlu_admin.models import CompanyAccount, Invitation
from installations.models import Application, ApprovedPermission, AuditEvent, Installation, Manifest
from tests import factories
from tests.authenticator_app import code_of
from tests.installations.admin.console import sign_in
from tests.security.races.conftest import Page
from tests.security.races.invariants import chain_holds, everything_holds
from tests.security.races.workers import ROUNDS, Workers
from tokens.models import Revocation

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]


def test_approving_and_withdrawing_the_same(workers: Workers, application: Application) -> None:
    found = factories.installation(application, approved=["task.read"])
    here = {"installation": found.pk}
    known = AuditEvent.objects.count()
    changes = 0

    def race(number: int) -> str:
        nonlocal changes
        ended = workers.at_once(
            {"job": "approve", "scopes": ["crm.accounts.read"]} | here,
            {"job": "approve", "scopes": ["crm.accounts.full"]} | here,
            {"job": "approve", "scopes": ["crm.accounts.read"]} | here,
            {"job": "withdraw", "codes": ["crm.accounts"]} | here,
            {"job": "withdraw", "codes": ["crm.accounts"]} | here,
        )
        assert {one.refused for one in ended} <= {"", "state_conflict"}
        changes += sum(one.value or 0 for one in ended)
        in_force = ApprovedPermission.objects.in_force().filter(installation=found, code="crm.accounts")
        assert in_force.count() <= 1
        assert AuditEvent.objects.count() - known == changes
        return "in force" if in_force.exists() else "withdrawn"

    workers.rounds(race, expect=("in force", "withdrawn"))
    assert changes
    assert ApprovedPermission.objects.in_force().filter(code="task").count() == 1
    chain_holds()


def test_revoking_the_same_token_cuts_it_once(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        page.open()
        before = Revocation.objects.count()
        order = {"job": "revoke", "installation": page.installation.pk, "token": page.token.pk}

        ended = workers.at_once(order, order, order)

        assert sorted(one.value for one in ended) == [0, 0, 1]
        assert Revocation.objects.count() == before + 1
        return f"operator {[one.value for one in ended].index(1)}"

    workers.rounds(race)
    everything_holds()


@pytest.mark.parametrize("verb", ["uninstall", "suspend", "lock"])
def test_same_act_twice_is_done_once(workers: Workers, page: Page, verb: str) -> None:
    def race(number: int) -> str:
        page.open()
        here = page.installation.pk
        known = AuditEvent.objects.count()
        order: dict[str, Any] = (
            {"job": "lock", "kind": "installation", "id": here}
            if verb == "lock"
            else {"job": verb, "installation": here}
        )

        ended = workers.at_once(order, order, order)

        assert sorted(one.value for one in ended) == [False, False, True]
        added = AuditEvent.objects.filter(sequence__gt=known).values_list("verb", flat=True)
        assert len([name for name in added if name.startswith("installation.")]) == 1
        undo = {
            "lock": {"job": "unlock", "kind": "installation", "id": here},
            "suspend": {"job": "resume", "installation": here},
        }
        if verb in undo:
            assert [one.value for one in workers.at_once(undo[verb])] == [True]
        return "done"

    workers.rounds(race)
    everything_holds()


def test_same_manifest_imported_at_once_is_one_row(workers: Workers) -> None:
    def race(number: int) -> str:
        app_id = f"com.example.app{number}"
        same = {"job": "import_manifest", "document": factories.manifest(app_id)}
        other = {"job": "import_manifest", "document": factories.manifest(app_id, permissions=["user.me.read"])}

        ended = workers.at_once(same, same, other, same)

        assert {one.refused for one in ended} == {""}
        application = Application.objects.get(app_id=app_id)
        assert Manifest.objects.filter(application=application).count() == 2
        assert application.current_manifest in Manifest.objects.filter(application=application)
        # Each import saw what the one before it had left.
        trail = [row.details for row in AuditEvent.objects.filter(target_id=app_id).order_by("sequence")]
        assert [row["previous_sha256"] for row in trail] == [None, *(row["sha256"] for row in trail[:-1])]
        assert all(row["previous_sha256"] != row["sha256"] for row in trail)
        assert len(trail) == sum(one.value for one in ended)
        return "done"

    workers.rounds(race)
    chain_holds()


def test_of_two_superusers_who_remove_each_other_one_stays(workers: Workers) -> None:
    def race(number: int) -> str:
        one, other, third = (
            factories.operator(f"{name}{number}", superuser=True) for name in ("one", "other", "third")
        )
        if number % 2:
            third.delete()
        ended = workers.at_once(
            {"job": "remove_operator", "by": one.pk, "operator": other.pk},
            {"job": "remove_operator", "by": other.pk, "operator": one.pk},
        )
        assert sorted(bool(one.value) for one in ended) == [False, True]
        # Whoever was removed before the account was read is refused as any inactive one is.
        assert {one.refused for one in ended} <= {"", "not_permitted", "state_conflict"}
        left = type(one).objects.filter(is_superuser=True, is_active=True)
        assert left.filter(pk__in=(one.pk, other.pk)).count() == 1
        left.delete()
        return "the first" if ended[0].value else "the second"

    workers.rounds(race, expect=("the first", "the second"))
    chain_holds()


def test_of_two_factors_that_are_removed_at_once_one_stays(workers: Workers) -> None:
    """The app and the only key, or two keys, from one session, as by two tabs."""

    def race(number: int) -> str:
        user = factories.operator(f"owner{number}")
        kinds = ("totp", "webauthn") if number % 2 else ("webauthn", "webauthn")
        factors = [
            Authenticator.objects.create(user=user, type=kind, data={"name": "Key", "secret": ""}) for kind in kinds
        ]
        client = confirmed(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        paths = [
            reverse("mfa_deactivate_totp") if one.type == "totp" else reverse("mfa_remove_webauthn", args=[one.pk])
            for one in factors
        ]
        ended = workers.at_once(*({"job": "remove_factor", "cookie": cookie, "path": path} for path in paths))
        # Whoever comes after the other one is told, or asked once more where their proof went with the factor.
        gone = [one.value == [302, reverse("mfa_index")] for one in ended]
        assert sorted(gone) == [False, True], [one.value for one in ended]
        assert Authenticator.objects.filter(user=user).count() == 1
        removed = AuditEvent.objects.filter(target_id=str(user.pk), verb="operator.factor_removed")
        assert removed.count() == 1
        return "the first" if gone[0] else "the second"

    workers.rounds(race, expect=("the first", "the second"))
    chain_holds()


def test_sign_in_beside_a_reset_of_the_factors_leaves_no_session_that_gave_one(workers: Workers, settings: Any) -> None:
    settings.OPERATOR_MFA = "required"

    def race(number: int) -> str:
        cache.clear()  # allauth counts the tries to sign in
        user, secret = factories.operator(f"owner{number}"), generate_totp_secret()
        TOTP.activate(user, secret)
        waiting = Client()
        asked = waiting.post(reverse("account_login"), {"login": user.username, "password": factories.PASSWORD})
        assert asked.headers["Location"] == reverse("mfa_authenticate")
        cookie = waiting.cookies[settings.SESSION_COOKIE_NAME].value

        given, _reset = workers.at_once(
            {"job": "give_code", "cookie": cookie, "code": code_of(secret)},
            {"job": "reset_factors", "operator": user.pk},
        )

        after = Client()
        after.cookies[settings.SESSION_COOKIE_NAME] = given.value[1]
        # Whoever came first: it opens the console no more than the password alone does.
        led = after.get(reverse("admin:index")).headers["Location"]
        assert led.startswith((reverse("admin:login"), reverse("mfa_index"))), (given.value, led)
        return "with a session" if led == reverse("mfa_index") else "without one"

    workers.rounds(race)
    chain_holds()


def confirmed(user: Any) -> Client:
    """Sign an operator in who confirmed a moment ago, with a factor, that it is them."""
    client = Client()
    sign_in(client, user)
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time(), "reauthenticated": True}]
    session.save()
    return client


def test_invitation_makes_one_account(workers: Workers) -> None:
    """Accepted twice, withdrawn and its giver removed, all at once: one account, or none and no invitation."""
    root = factories.operator("root", superuser=True)

    def race(number: int) -> str:
        boss = factories.operator(f"boss{number}", superuser=True)
        invitation = invite_operator(
            email=f"new{number}@example.com", groups=["Auditor"], actor=factories.actor(boss), reason="A test."
        ).invitation
        ended = workers.at_once(
            {"job": "accept", "code_hash": invitation.code_hash, "username": f"one{number}"},
            {"job": "accept", "code_hash": invitation.code_hash, "username": f"two{number}"},
            {"job": "withdraw_invitation", "invitation": invitation.pk},
            *([{"job": "remove_operator", "by": root.pk, "operator": boss.pk}] if number % 2 else []),
        )
        assert {one.refused for one in ended} <= {"", "state_conflict"}
        made = User.objects.filter(email=invitation.email)
        accepted = [one.value for one in ended[:2] if one.value]
        assert [user.username for user in made] == accepted
        invitation.refresh_from_db()
        assert invitation.state == ("accepted" if accepted else "withdrawn")
        known = AuditEvent.objects.filter(target_kind="invitation", target_id=str(invitation.pk))
        verbs = list(known.order_by("sequence").values_list("verb", flat=True))
        assert verbs == ["invitation.made", f"invitation.{invitation.state}"]
        return str(invitation.state)

    workers.rounds(race, expect=("accepted", "withdrawn"))
    chain_holds()


def test_company_account_that_comes_in_at_once_becomes_one_operator(workers: Workers) -> None:
    def race(number: int) -> str:
        order = {"job": "admit", "subject": f"subject-{number}"}

        ended = workers.at_once(order, order, order)

        assert [one.refused for one in ended] == ["", "", ""]
        made = CompanyAccount.objects.get(subject=order["subject"])
        assert {one.value for one in ended} == {made.operator_id}
        created = AuditEvent.objects.filter(verb="operator.created", target_id=str(made.operator_id))
        assert created.count() == 1
        return "done"

    workers.rounds(race)
    assert User.objects.count() == CompanyAccount.objects.count()
    chain_holds()


def test_address_that_is_invited_at_once_is_invited_once(workers: Workers) -> None:
    def race(number: int) -> str:
        order = {"job": "invite", "email": f"new{number}@example.com"}

        ended = workers.at_once(order, order, order)

        assert sorted(one.refused for one in ended) == ["", "state_conflict", "state_conflict"]
        assert Invitation.objects.filter(email=order["email"]).count() == 1
        return "done"

    workers.rounds(race)
    chain_holds()


def test_audit_chain_is_gapless_under_eight_writers(workers: Workers, application: Application) -> None:
    found = factories.installation(application)
    users = [factories.launch(application, user_id=str(number)).portal_user.pk for number in range(100, 105)]
    targets = [("user", pk) for pk in users] + [
        ("portal", found.portal_id),
        ("application", application.pk),
        ("installation", found.pk),
    ]
    known = AuditEvent.objects.count()
    times = max(5, ROUNDS)

    ended = workers.at_once(*({"job": "toggle", "kind": kind, "id": pk, "times": times} for kind, pk in targets))

    assert [one.value for one in ended] == [2 * times] * 8
    assert chain_holds() == known + 8 * 2 * times


def test_locks_and_acts_in_every_order_end_without_waiting_in_a_circle(workers: Workers, page: Page) -> None:
    def race(number: int) -> str:
        page.open()
        here = page.installation
        ended = workers.at_once(
            {"job": "toggle", "kind": "portal", "id": here.portal_id, "times": 1},
            {"job": "toggle", "kind": "application", "id": page.application.pk, "times": 1},
            {"job": "toggle", "kind": "installation", "id": here.pk, "times": 1},
            {"job": "toggle", "kind": "user", "id": page.user.pk, "times": 1},
            page.handshake(page.another_pair()),
            page.hand_over(page.another_pair()),
            {"job": "revoke", "installation": here.pk},
            {"job": "approve", "installation": here.pk, "scopes": ["crm.deals.read"]},
        )
        assert {one.refused for one in ended} <= {"", "state_conflict"}
        assert Installation.objects.filter(locked_at__isnull=False).count() == 0
        workers.at_once({"job": "withdraw", "installation": here.pk, "codes": ["crm.deals"]})
        return "done"

    workers.rounds(race)
    everything_holds()
