"""Who may do what: every URL, admin action and command by role, with the exact outcome.

The rows are walked from the URL configuration, the admin site and the commands, not from the tables: something new
that has no row here fails.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.management import CommandError, call_command, get_commands
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from installations.models import Application
from tests.factories import manifest
from tests.security.scene import ROLES, Scene, set_up
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def _walk(resolver: Any, prefix: str = "", names: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern, route, (*names, pattern.namespace) if pattern.namespace else names)
        else:
            assert isinstance(pattern, URLPattern)
            yield (":".join((*names, pattern.name)) if pattern.name else route), route


# name, or the route of a pattern without one, to route
PATTERNS = dict(_walk(get_resolver()))


def methods_of(key: str) -> tuple[str, ...]:
    if key.startswith("api:"):
        return ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
    return ("GET", "POST")


# Columns: anonymous, portal user's session, outsider (staff in no group), auditor, reviewer, responder,
# superuser without a second factor where one is required, superuser.
# redirects, whoever asks
LEADS_ON = {
    "GET": "302 302 302 302 302 302 302 302",
    "POST": "302 302 302 302 302 302 302 302",
}
# any staff with a second factor
STAFF_PAGE = {
    "GET": "302 302 200 200 200 200 302 200",
    "POST": "302 302 200 200 200 200 302 200",
}
# the same, reading only
STAFF_READ = {
    "GET": "302 302 200 200 200 200 302 200",
    "POST": "302 302 405 405 405 405 302 405",
}
# staff learn that there is nothing; others are sent to sign in
NOT_THERE = {
    "GET": "302 302 404 404 404 404 302 404",
    "POST": "302 302 404 404 404 404 302 404",
}
# acts of responders
RESPONDS = {
    "GET": "302 302 403 403 403 200 302 200",
    "POST": "302 302 403 403 403 200 302 200",
}
# lists: all three groups view
LIST = {
    "GET": "302 302 403 200 200 200 302 200",
    "POST": "302 302 403 200 200 200 302 200",
}
# adding and deleting: not even a superuser
NOBODY = {
    "GET": "302 302 403 403 403 403 302 403",
    "POST": "302 302 403 403 403 403 302 403",
}
# leads to the audit trail
HISTORY = {
    "GET": "302 302 404 302 302 302 302 302",
    "POST": "302 302 404 302 302 302 302 302",
}
# the page of an object: viewed, never changed by a form
OBJECT = {
    "GET": "302 302 403 200 200 200 302 200",
    "POST": "302 302 403 403 403 403 302 403",
}
# acts of reviewers
REVIEWS = {
    "GET": "302 302 403 403 200 403 302 200",
    "POST": "302 302 403 403 200 403 302 200",
}
# open to all, reading only
OPEN_READ = {
    "GET": "200 200 200 200 200 200 200 200",
    "POST": "405 405 405 405 405 405 405 405",
}
# an operator's own account
OWN_ACCOUNT = {
    "GET": "302 302 200 200 200 200 200 200",
    "POST": "302 302 200 200 200 200 200 200",
}
URLS: dict[str, dict[str, str]] = {
    "home": LEADS_ON,
    "admin:index": STAFF_PAGE,
    "admin:login": {
        "GET": "302 302 302 302 302 302 302 302",
        "POST": "302 302 200 200 200 200 200 200",
    },
    "admin:logout": {
        "GET": "302 302 200 200 200 200 302 200",
        "POST": "302 302 302 302 302 302 302 302",
    },
    "admin:password_change": LEADS_ON,
    "admin:password_change_done": STAFF_READ,
    "admin:autocomplete": {
        "GET": "302 302 403 403 403 403 302 403",
        "POST": "302 302 405 405 405 405 302 405",
    },
    "admin:jsi18n": STAFF_READ,
    "admin:view_on_site": NOT_THERE,
    "admin:tokens_oauthtoken_revoke": RESPONDS,
    "admin:tokens_oauthtoken_changelist": LIST,
    "admin:tokens_oauthtoken_add": NOBODY,
    "admin:tokens_oauthtoken_history": HISTORY,
    "admin:tokens_oauthtoken_delete": NOBODY,
    "admin:tokens_oauthtoken_change": OBJECT,
    "admin/tokens/oauthtoken/<path:object_id>/": LEADS_ON,
    "admin:tokens_embedsession_changelist": LIST,
    "admin:tokens_embedsession_add": NOBODY,
    "admin:tokens_embedsession_history": NOT_THERE,
    "admin:tokens_embedsession_delete": NOBODY,
    "admin:tokens_embedsession_change": OBJECT,
    "admin/tokens/embedsession/<path:object_id>/": LEADS_ON,
    "admin:tokens_revocation_changelist": LIST,
    "admin:tokens_revocation_add": NOBODY,
    "admin:tokens_revocation_history": NOT_THERE,
    "admin:tokens_revocation_delete": NOBODY,
    "admin:tokens_revocation_change": OBJECT,
    "admin/tokens/revocation/<path:object_id>/": LEADS_ON,
    "admin:installations_portal_lock": RESPONDS,
    "admin:installations_portal_unlock": RESPONDS,
    "admin:installations_portal_changelist": LIST,
    "admin:installations_portal_add": NOBODY,
    "admin:installations_portal_history": HISTORY,
    "admin:installations_portal_delete": NOBODY,
    "admin:installations_portal_change": OBJECT,
    "admin/installations/portal/<path:object_id>/": LEADS_ON,
    "admin:installations_portaluser_lock": RESPONDS,
    "admin:installations_portaluser_unlock": RESPONDS,
    "admin:installations_portaluser_changelist": LIST,
    "admin:installations_portaluser_add": NOBODY,
    "admin:installations_portaluser_history": HISTORY,
    "admin:installations_portaluser_delete": NOBODY,
    "admin:installations_portaluser_change": OBJECT,
    "admin/installations/portaluser/<path:object_id>/": LEADS_ON,
    "admin:installations_application_import": REVIEWS,
    "admin:installations_application_configure": REVIEWS,
    "admin:installations_application_lock": RESPONDS,
    "admin:installations_application_unlock": RESPONDS,
    "admin:installations_application_changelist": LIST,
    "admin:installations_application_add": NOBODY,
    "admin:installations_application_history": HISTORY,
    "admin:installations_application_delete": NOBODY,
    "admin:installations_application_change": OBJECT,
    "admin/installations/application/<path:object_id>/": LEADS_ON,
    "admin:installations_manifest_changelist": LIST,
    "admin:installations_manifest_add": NOBODY,
    "admin:installations_manifest_history": NOT_THERE,
    "admin:installations_manifest_delete": NOBODY,
    "admin:installations_manifest_change": OBJECT,
    "admin/installations/manifest/<path:object_id>/": LEADS_ON,
    "admin:installations_approvedpermission_changelist": LIST,
    "admin:installations_approvedpermission_add": NOBODY,
    "admin:installations_approvedpermission_history": NOT_THERE,
    "admin:installations_approvedpermission_delete": NOBODY,
    "admin:installations_approvedpermission_change": OBJECT,
    "admin/installations/approvedpermission/<path:object_id>/": LEADS_ON,
    "admin:installations_evidence_changelist": LIST,
    "admin:installations_evidence_add": NOBODY,
    "admin:installations_evidence_history": NOT_THERE,
    "admin:installations_evidence_delete": NOBODY,
    "admin:installations_evidence_change": OBJECT,
    "admin/installations/evidence/<path:object_id>/": LEADS_ON,
    "admin:installations_auditevent_changelist": LIST,
    "admin:installations_auditevent_add": NOBODY,
    "admin:installations_auditevent_history": NOT_THERE,
    "admin:installations_auditevent_delete": NOBODY,
    "admin:installations_auditevent_change": OBJECT,
    "admin/installations/auditevent/<path:object_id>/": LEADS_ON,
    "admin:installations_installation_approve": REVIEWS,
    "admin:installations_installation_withdraw": REVIEWS,
    "admin:installations_installation_revoke": RESPONDS,
    "admin:installations_installation_revoke_user": RESPONDS,
    "admin:installations_installation_suspend": RESPONDS,
    "admin:installations_installation_resume": RESPONDS,
    "admin:installations_installation_lock": RESPONDS,
    "admin:installations_installation_unlock": RESPONDS,
    "admin:installations_installation_uninstall": RESPONDS,
    "admin:installations_installation_changelist": LIST,
    "admin:installations_installation_add": NOBODY,
    "admin:installations_installation_history": HISTORY,
    "admin:installations_installation_delete": NOBODY,
    "admin:installations_installation_change": OBJECT,
    "admin/installations/installation/<path:object_id>/": LEADS_ON,
    "admin:app_list": {
        "GET": "302 302 404 200 200 200 302 200",
        "POST": "302 302 404 200 200 200 302 200",
    },
    "admin/(?P<url>.*)$": NOT_THERE,
    "account_home": LEADS_ON,
    "account_login": {
        "GET": "200 200 302 302 302 302 302 302",
        "POST": "200 200 302 302 302 302 302 302",
    },
    "account_logout": {
        "GET": "302 302 200 200 200 200 200 200",
        "POST": "302 302 302 302 302 302 302 302",
    },
    "account_inactive": OPEN_READ,
    "account_reauthenticate": OWN_ACCOUNT,
    "account_change_password": OWN_ACCOUNT,
    "mfa_index": {
        "GET": "302 302 200 200 200 200 200 200",
        "POST": "302 302 405 405 405 405 405 405",
    },
    "mfa_authenticate": LEADS_ON,
    "mfa_reauthenticate": STAFF_PAGE,
    "mfa_activate_totp": LEADS_ON,
    "mfa_deactivate_totp": {
        "GET": "302 302 302 302 302 302 404 302",
        "POST": "302 302 302 302 302 302 404 302",
    },
    "mfa_view_recovery_codes": {
        "GET": "302 302 404 404 404 404 404 404",
        "POST": "302 302 405 405 405 405 405 405",
    },
    "mfa_generate_recovery_codes": LEADS_ON,
    "mfa_download_recovery_codes": {
        "GET": "302 302 404 404 404 404 404 404",
        "POST": "302 302 404 404 404 404 404 404",
    },
    "api:session": {
        "GET": "401 200 401 401 401 401 401 401",
        "POST": "400 400 400 400 400 400 400 400",
        "PUT": "401 405 401 401 401 401 401 401",
        "DELETE": "401 204 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 200 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "api:session-token": {
        "GET": "401 405 401 401 401 401 401 401",
        "POST": "401 405 401 401 401 401 401 401",
        "PUT": "401 400 401 401 401 401 401 401",
        "DELETE": "401 204 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 405 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "api:permissions": {
        "GET": "401 200 401 401 401 401 401 401",
        "POST": "401 405 401 401 401 401 401 401",
        "PUT": "401 405 401 401 401 401 401 401",
        "DELETE": "401 405 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 200 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "api:forward": {
        "GET": "401 403 401 401 401 401 401 401",
        "POST": "401 403 401 401 401 401 401 401",
        "PUT": "401 405 401 401 401 401 401 401",
        "DELETE": "401 405 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 405 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "schema": OPEN_READ,
    "docs": OPEN_READ,
    "api-not-found": {
        "GET": "404 404 404 404 404 404 404 404",
        "POST": "404 404 404 404 404 404 404 404",
    },
    "embed": {
        "GET": "200 200 200 200 200 200 200 200",
        "POST": "200 200 200 200 200 200 200 200",
    },
    "healthz": OPEN_READ,
    "readyz": OPEN_READ,
}


# Acts that a form carries out: who is refused changes nothing even with a body that would do it.
ACTS = [key for key, rows in URLS.items() if rows in (RESPONDS, REVIEWS)]

# Every admin action of every model page with the permission that it needs.
ACTIONS: dict[str, dict[str, str]] = {"tokens.oauthtoken": {"revoke_selected": "tokens.revoke_oauthtoken"}}

# Commands: which operators are served; None for those that ask no operator, since a shell may do them by itself.
REVIEWERS, RESPONDERS = {"reviewer", "superuser"}, {"responder", "superuser"}
HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
COMMANDS: dict[str, tuple[set[str] | None, tuple[str, ...]]] = {
    "create_operator": (None, ()),
    "import_manifest": (None, ()),
    "run_with_sandbox": (None, ()),
    "approve_scopes": (REVIEWERS, (*HERE, "fin.read")),
    "withdraw_scopes": (REVIEWERS, (*HERE, "crm.accounts")),
    "suspend_installation": (RESPONDERS, HERE),
    "resume_installation": (RESPONDERS, HERE),
    "uninstall_installation": (RESPONDERS, HERE),
    "lock": (RESPONDERS, HERE),
    "unlock": (RESPONDERS, HERE),
    "revoke_tokens": (RESPONDERS, HERE),
}
OPERATORS = [role for role in ROLES if role not in {"anonymous", "portal_session", "superuser_without_mfa"}]


@pytest.fixture
def scene(application: Application, settings: Any) -> Scene:
    settings.OPERATOR_MFA = "required"
    return set_up(application)


def address(scene: Scene, key: str) -> str:
    """Return the address of the pattern for an object that exists."""
    objects = scene.objects()
    model = next((name for name in objects if f"{name}_" in key or f"/{name.replace('_', '/')}/" in key), None)
    values = {
        "object_id": objects[model].pk if model else 1,
        "user_id": scene.portal_user.pk,
        "content_type_id": 1,
        "app_label": "tokens",
        "url": "nothing/here/",
        "path": "crm/lead/list",
    }
    route = PATTERNS[key]
    if key == "api-not-found":
        return "/api/nothing"
    if key != route:
        wanted = re.findall(r"<(?:\w+:)?(\w+)>", route)
        return reverse(key, kwargs={name: values[name] for name in wanted})
    part = re.compile(r"\(\?P<(\w+)>[^)]*\)\$?|<(?:\w+:)?(\w+)>")
    return "/" + part.sub(lambda match: str(values[match[1] or match[2]]), route)


def ask(scene: Scene, key: str, method: str, role: str) -> int:
    return scene.client(role).generic(method, address(scene, key)).status_code


def test_every_url_has_a_row() -> None:
    missing, gone = sorted(PATTERNS.keys() - URLS.keys()), sorted(URLS.keys() - PATTERNS.keys())
    assert not missing, f"Add a row to URLS in {__file__} that says who may ask these: {missing}"
    assert not gone, f"Remove the rows of these from URLS in {__file__}: {gone}"


def test_no_two_urls_share_a_key() -> None:
    keys = [key for key, _route in _walk(get_resolver())]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("key", URLS)
def test_url_answers_each_role_with_its_status(scene: Scene, key: str) -> None:
    expected = {method: row.split() for method, row in URLS[key].items()}
    assert tuple(expected) == methods_of(key)

    found = {method: [str(ask(scene, key, method, role)) for role in ROLES] for method in expected}

    assert found == expected, f"columns: {', '.join(ROLES)}"


@pytest.mark.parametrize("key", ACTS)
def test_refused_role_changes_nothing_by_posting_the_whole_form(scene: Scene, key: str) -> None:
    body = {
        "reason": "An attempt.",
        "seen_manifest": scene.installation.manifest.sha256,
        "scope-fin": "fin.read",
        "codes": "crm.accounts",
        "also_lock": "on",
        "stores_refresh_tokens": "on",
        "document": manifest(version="2.0.0"),
        "_confirmed": "1",
    }
    where = address(scene, key)
    for role, status in zip(ROLES, URLS[key]["POST"].split(), strict=True):
        client = scene.client(role)
        if status != "200":
            with nothing_changes():
                assert client.post(where, body).status_code == int(status), role


def test_session_token_as_cookie_or_authorization_opens_no_page(scene: Scene) -> None:
    client = scene.client("anonymous")
    session_token = scene.session()
    for name in ("operator_session", "sessionid", "X-Session-Token"):
        client.cookies[name] = session_token

    answer = client.get("/admin/", headers={"Authorization": f"Session {session_token}"})

    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/admin/"


def test_operator_cookie_with_a_session_acts_as_the_session_only(scene: Scene) -> None:
    client = scene.client("superuser")

    assert client.get("/api/v1/session").status_code == 401
    body = client.get("/api/v1/session", headers={"X-Session-Token": scene.session()}).json()
    assert body["user"]["id"] == scene.portal_user.flowlu_user_id
    assert (
        client.get("/api/v1/flowlu/fin/invoice/list", headers={"X-Session-Token": scene.session()}).status_code == 403
    )


def test_inactive_operator_and_plain_account_see_no_page(scene: Scene) -> None:
    for change in ({"is_active": False}, {"is_staff": False, "is_active": True}):
        client = scene.client("superuser")
        type(scene.operators["superuser"]).objects.filter(username="superuser").update(**change)
        assert client.get("/admin/").status_code == 302
        assert client.get(address(scene, "admin:installations_portal_changelist")).status_code == 302


def test_every_admin_action_has_a_row_and_nothing_can_be_deleted(scene: Scene) -> None:
    request = RequestFactory().get("/admin/")
    request.user = scene.operators["superuser"]

    found = {
        model._meta.label_lower: set(page.get_actions(request))
        for model, page in admin.site._registry.items()
        if page.get_actions(request)
    }

    assert found == {name: set(rows) for name, rows in ACTIONS.items()}, f"Add a row to ACTIONS in {__file__}."
    assert "delete_selected" not in {name for names in found.values() for name in names}


@pytest.mark.parametrize(
    ("label", "action", "permission"), [(label, *row) for label, rows in ACTIONS.items() for row in rows.items()]
)
def test_action_is_offered_and_done_for_its_permission_only(
    scene: Scene, label: str, action: str, permission: str
) -> None:
    where = reverse(f"admin:{label.replace('.', '_')}_changelist")
    target = scene.objects()[label.replace(".", "_")]
    body = {"action": action, ACTION_CHECKBOX_NAME: [target.pk], "reason": "An attempt.", "confirmed": "1"}
    permitted = [role for role in OPERATORS if scene.operators[role].has_perm(permission)]
    assert permitted == ["responder", "superuser"]
    for role in ROLES:
        client = scene.client(role)
        offered = f'value="{action}"' in client.get(where).content.decode()
        assert offered is (role in permitted), role
        if role not in permitted:
            with nothing_changes():
                client.post(where, body)

    before = target.state
    scene.client("responder").post(where, body)
    target.refresh_from_db()
    assert (before, target.state) == ("active", "revoked")


@pytest.mark.parametrize("role", ["auditor", "superuser"])
@pytest.mark.parametrize("model", [model._meta.label_lower for model in admin.site._registry])
def test_stock_bulk_deletion_does_nothing_anywhere(scene: Scene, model: str, role: str) -> None:
    target = scene.objects()[model.replace(".", "_")]
    body = {"action": "delete_selected", ACTION_CHECKBOX_NAME: [target.pk], "post": "yes"}
    client = scene.client(role)

    with nothing_changes():
        client.post(reverse(f"admin:{model.replace('.', '_')}_changelist"), body)


def test_every_command_has_a_row() -> None:
    ours = {name for name, app in get_commands().items() if app in {"installations", "tokens", "flowlu_admin"}}
    assert ours == COMMANDS.keys(), f"Add a row to COMMANDS in {__file__} that says who may run it."


@pytest.mark.parametrize("command", [name for name, (who, _arguments) in COMMANDS.items() if who is not None])
@pytest.mark.parametrize("role", OPERATORS)
def test_command_serves_its_operators_only(scene: Scene, capsys: Any, command: str, role: str) -> None:
    who, arguments = COMMANDS[command]
    assert who is not None
    line = (command, *arguments, "--operator", role, "--reason", "A test.")
    if role in who:
        call_command(*line)
        return
    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        call_command(*line)
