"""What cannot be taken back, and what gives power, needs a proof, of a short time ago, of who does it.

A session that was left open, or taken with its cookie, does none of it.
"""

import html
import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as configured
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django.urls import reverse

from installations import editions
from installations.models import Application
from tests.installations.admin.console import entry_body, pin, pinned
from tests.security.scene import Scene, set_up
from tests.security.test_audit_coverage import prepare
from tests.security.test_permission_matrix import address
from tests.unchanged import nothing_changes
from tokens.models import OAuthToken, Purpose

pytestmark = pytest.mark.django_db

PASSWORD = "battery-horse-staple-9"
# Everything that an act does to one object: a new one has to be put into one of the two.
NEEDS_PROOF = {
    # cannot be taken back
    "flowlu_admin_operator_remove",
    "flowlu_admin_operator_reset_factors",
    "installations_application_revoke",
    "installations_installation_approve_alone",
    "installations_installation_revoke",
    "installations_installation_revoke_user",
    "installations_installation_uninstall",
    "installations_portal_revoke",
    "installations_portaluser_erase",
    "installations_portaluser_revoke",
    "tokens_apikey_revoke",
    "tokens_oauthtoken_revoke",
    "tokens_oauthtoken_revoke_by",
    "tokens_revocation_go_on",
    "tokens_upstreamrevocation_close",
    # gives power to an operator, a service or a frontend, or changes what scopes mean
    "flowlu_admin_invitation_new",
    "flowlu_admin_invitation_send_again",
    "flowlu_admin_operator_groups",
    "flowlu_admin_operator_restore",
    "installations_application_configure",
    "installations_application_origins",
    "installations_approvalrequest_confirm",
    "installations_catalogueedition_edit_entry",
    "installations_catalogueedition_import_catalogue",
    "installations_catalogueedition_new_entry",
    "installations_catalogueedition_take_back",
    "installations_installation_add_key",
    "tokens_apikey_replace",
    "tokens_purpose_change_purpose",
    "tokens_purpose_new",
    "tokens_purpose_switch_on",
    "tokens_serviceclient_change_client",
    "tokens_serviceclient_new",
    "tokens_serviceclient_new_key",
    "tokens_serviceclient_switch_on",
}
NEEDS_NONE = {
    # stops something, at once and so that it can be taken back
    "flowlu_admin_invitation_withdraw",
    "flowlu_admin_operator_sign_out",
    "installations_application_lock",
    "installations_approvalrequest_refuse",
    "installations_installation_lock",
    "installations_installation_suspend",
    "installations_installation_withdraw",
    "installations_installation_withhold",
    "installations_portal_lock",
    "installations_portaluser_lock",
    "tokens_purpose_switch_off",
    "tokens_revocation_stop",
    "tokens_serviceclient_switch_off",
    # the work of each day, about one installation: it can be taken back, and four eyes look where they have to
    "installations_application_unlock",
    "installations_breakglass_look_at",
    "installations_installation_approve",
    "installations_installation_resume",
    "installations_installation_review",
    "installations_installation_still_there",
    "installations_installation_unlock",
    "installations_portal_unlock",
    "installations_portaluser_unlock",
    "tokens_apikey_confirm_deletion",
    "tokens_revocation_portal_step",
    "tokens_upstreamrevocation_try_again",
}

SHOW_A_KEY = {"tokens_serviceclient_new", "tokens_serviceclient_new_key"}


@pytest.fixture
def scene(application: Application, settings: Any) -> Scene:
    found = set_up(application)
    settings.FOUR_EYES = "on"
    return found


@pytest.fixture
def boss(scene: Scene) -> Client:
    """A superuser whose sign-in was a while ago, with an authenticator app."""
    user = scene.operators["superuser"]
    user.set_password(PASSWORD)
    user.save()
    assert Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()
    client = scene.client("superuser")
    proved(client, ago=configured.CONFIRMED_SECONDS)
    return client


def proved(client: Client, *, ago: int, methods: tuple[str, ...] = ("password", "mfa")) -> None:
    """Let the proofs of a session be this many seconds old."""
    session = client.session
    session["account_authentication_methods"] = [{"method": name, "at": time.time() - ago} for name in methods]
    session.save()


def body_of(scene: Scene, name: str) -> dict[str, Any]:
    return {
        **entry_body(),
        "reason": "An incident.",
        "seen_manifest": scene.installation.manifest.sha256,
        "seen_catalogue": editions.in_force().version,
        "document": '{"schema":1,"scopes":[]}',
        "scope-fin": "fin.read",
        "origins": "https://app.example.com",
        "email": "new@example.com",
        "purposes": str(Purpose.objects.get(code="nightly").pk),
        "scopes": "crm.accounts.read",
        "code": "weekly" if "purpose" in name else "garage",
        "name": "worker",
        "description": "Why.",
        "owner": "Us",
        "acts_as": "system",
        "portals": "acme.flowlu.com",
        "stored_before": "2099-01-01",
        "label": "Weekly",
        "key": "a-key-that-is-pasted",
        "overlap": "0",
        "confirmed": "yes",
    }


def test_every_act_is_in_one_of_the_two() -> None:
    found = {act.url_name: act.needs_proof for page in admin.site._registry.values() for act in page.acts}  # type: ignore[attr-defined]

    assert {name for name, needed in found.items() if needed} == NEEDS_PROOF
    assert {name for name, needed in found.items() if not needed} == NEEDS_NONE


@pytest.mark.parametrize("name", sorted(NEEDS_PROOF))
def test_act_asks_first_who_it_is_and_does_nothing_before(scene: Scene, boss: Client, name: str) -> None:
    prepare(scene, name)
    where, body = address(scene, f"admin:{name}"), body_of(scene, name)

    # when its page is opened
    asked = boss.get(where)
    # then it leads to the second factor, and from there back
    assert asked.status_code == 302
    assert asked.headers["Location"] == f"{reverse('mfa_reauthenticate')}?next={where.replace('/', '%2F')}"

    # when its form is sent, with all that a page of a short time ago had in it
    proved(boss, ago=0)
    body |= pinned(boss, where, {**body, "confirmed": ""} if "revoke_by" in name else body, name)
    proved(boss, ago=configured.CONFIRMED_SECONDS)
    with nothing_changes():
        refused = boss.post(where, body)
    # then nothing is done, what was typed is kept, and the way on is on the page
    text = html.unescape(refused.content.decode())
    assert refused.status_code == 200
    assert "Confirm first that it is you" in text
    assert f"{reverse('mfa_reauthenticate')}?next={where.replace('/', '%2F')}" in text
    assert "An incident." in text

    # when it was proved, then the same form is taken
    proved(boss, ago=configured.CONFIRMED_SECONDS - 30)
    done = boss.post(where, body)
    assert "Confirm first" not in done.content.decode()
    assert done.status_code == (200 if name in SHOW_A_KEY else 302), done.content


def test_what_stops_or_is_the_work_of_each_day_opens_at_once(scene: Scene, boss: Client) -> None:
    opened = {name: boss.get(address(scene, f"admin:{name}")).status_code for name in sorted(NEEDS_NONE)}

    assert opened == dict.fromkeys(opened, 200)


def test_many_tokens_at_once_need_the_proof_too(scene: Scene, boss: Client) -> None:
    token = scene.token
    where = reverse("admin:tokens_oauthtoken_changelist")
    body = {"action": "revoke_selected", ACTION_CHECKBOX_NAME: [token.pk], "reason": "An incident."}
    shown = boss.post(where, body)
    assert "Confirm that it is you" in shown.content.decode()

    with nothing_changes():
        refused = boss.post(where, {**body, **pin(shown), "confirmed": "yes"})
    assert "Confirm first that it is you" in refused.content.decode()
    assert "An incident." in refused.content.decode()

    proved(boss, ago=0)
    assert boss.post(where, {**body, **pin(shown), "confirmed": "yes"}).status_code == 302
    token.refresh_from_db()
    assert token.state == OAuthToken.State.REVOKED


def test_every_action_that_is_done_to_many_needs_the_proof() -> None:
    """Each is shown here: `test_many_…`."""
    found = {name for page in admin.site._registry.values() for name in page.actions or ()}

    assert found == {"revoke_selected", "approve_selected"}


def test_many_installations_at_once_need_the_proof_too(scene: Scene, boss: Client) -> None:
    where = reverse("admin:installations_installation_changelist")
    chosen = {"action": "approve_selected", ACTION_CHECKBOX_NAME: [scene.installation.pk], "scopes": "fin.read"}
    shown = boss.post(where, chosen)

    with nothing_changes():
        refused = boss.post(where, {**chosen, **pin(shown), "reason": "An incident.", "confirmed": "1"})
    assert "Confirm first that it is you" in refused.content.decode()

    proved(boss, ago=0)
    assert boss.post(where, {**chosen, **pin(shown), "reason": "An incident.", "confirmed": "1"}).status_code == 302


def test_desk_for_leaked_tokens_looks_up_at_once_and_cuts_with_the_proof(scene: Scene, boss: Client) -> None:
    where = reverse("admin:tokens_oauthtoken_leaked")
    assert boss.get(where).status_code == 200
    body = {"cut": "yes", "token": scene.token.pk, "reason": "An incident."}

    with nothing_changes():
        refused = html.unescape(boss.post(where, body).content.decode())
    assert "Confirm first that it is you" in refused
    assert f'name="token" value="{scene.token.pk}"' in refused
    assert "An incident." in refused

    proved(boss, ago=0)
    assert boss.post(where, body).status_code == 302
    scene.token.refresh_from_db()
    assert scene.token.state == OAuthToken.State.REVOKED


def test_form_that_was_sent_before_the_proof_is_not_done_after_it(scene: Scene, boss: Client) -> None:
    """allauth would keep it, and do it when somebody gives the factor for the page that it was for."""
    user = scene.operators["superuser"]
    Authenticator.objects.all().delete()
    proved(boss, ago=configured.CONFIRMED_SECONDS, methods=("password",))
    where = reverse("account_change_password")
    planted = {"oldpassword": PASSWORD, "password1": "planted-horse-staple-9", "password2": "planted-horse-staple-9"}
    led = boss.post(where, planted).headers["Location"]

    back = boss.post(led, {"password": PASSWORD, "next": where})

    assert back.headers["Location"] == where
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_password_alone_is_no_proof_of_a_session_that_gave_a_factor(scene: Scene, boss: Client) -> None:
    where = address(scene, "admin:installations_installation_uninstall")
    session = boss.session
    session["account_authentication_methods"] = [
        {"method": "mfa", "at": time.time() - configured.CONFIRMED_SECONDS},
        {"method": "password", "at": time.time(), "reauthenticated": True},
    ]
    session.save()

    assert boss.get(where).status_code == 302


def test_without_a_factor_the_password_is_the_proof(scene: Scene, boss: Client) -> None:
    where = address(scene, "admin:installations_installation_uninstall")
    Authenticator.objects.all().delete()
    proved(boss, ago=configured.CONFIRMED_SECONDS, methods=("password",))

    led = boss.get(where).headers["Location"]
    assert led.startswith(reverse("account_reauthenticate"))
    wrong = boss.post(led, {"password": "not it"})
    assert wrong.status_code == 200
    assert boss.get(where).status_code == 302
    back = boss.post(led, {"password": PASSWORD, "next": where})

    assert back.headers["Location"] == where
    assert boss.get(where).status_code == 200


def test_who_may_not_is_refused_and_not_asked(scene: Scene) -> None:
    auditor = scene.client("auditor")
    proved(auditor, ago=configured.CONFIRMED_SECONDS)

    assert auditor.get(address(scene, "admin:installations_installation_uninstall")).status_code == 403


def test_way_on_opens_another_tab(scene: Scene, boss: Client) -> None:
    where = address(scene, "admin:installations_portaluser_erase")
    text = boss.post(where, {"reason": "An incident."}).content.decode()

    link = re.search(r'<a class="act" href="([^"]+)" target="_blank" rel="noopener">', text)
    assert link is not None
    assert html.unescape(link[1]).startswith(reverse("mfa_reauthenticate"))
