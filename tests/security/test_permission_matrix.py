"""Who may do what: every URL, admin action and command by role, with the exact outcome.

The rows are walked from the URL configuration, the admin site and the commands, not from the tables: something new
that has no row here fails.
"""

import re
from collections.abc import Iterable, Iterator
from http.cookies import SimpleCookie
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.cache import cache
from django.core.management import CommandError, call_command, get_commands
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from installations import editions
from installations.models import Application, AuditEvent
from tests import factories
from tests.factories import manifest
from tests.installations.admin.console import entry_body, pin, seen_of
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider
from tests.security import audit_coverage
from tests.security.permissions import (
    ACTIONS,
    AUDITS,
    CLOSES,
    COMMANDS,
    OFF,
    OTHER_METHODS,
    RESPONDS,
    REVIEWS,
    STATIC,
    URLS,
    WITH_A_PROVIDER,
)
from tests.security.scene import REGISTERED, ROLES, Scene, about, in_parts, set_up
from tests.unchanged import last_event, nothing_changes
from tokens.models import Purpose

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


# Acts that a form carries out: who is refused changes nothing even with a body that would do it.
ACTS = [
    key for key, rows in URLS.items() if rows in (RESPONDS, REVIEWS, AUDITS, CLOSES) and not key.endswith("_changelist")
]

# Whatever is not there below the two APIs is theirs to answer.
NOWHERE = {"api-not-found": "/api", "service-not-found": "/service"}

OPERATORS = [role for role in ROLES if role not in {"anonymous", "portal_session", "superuser_without_mfa"}]


@pytest.fixture
def scene(application: Application, settings: Any) -> Scene:
    settings.OPERATOR_MFA = "required"
    return set_up(application)


def address(scene: Scene, key: str, text: str = "") -> str:
    """Return the address of the pattern for an object that exists, or with `text` wherever a text may stand in it."""
    model = next((name for name in REGISTERED if f"{name}_" in key or f"/{name.replace('_', '/')}/" in key), None)
    values = {
        "object_id": scene.object(model).pk if model else 1,
        "user_id": scene.portal_user.pk,
        "pk": 1,
        "content_type_id": 1,
        "app_label": "tokens",
        "code": "warehouse",
        "url": "nothing/here/",
        "path": "crm/lead/list",
    }
    route = PATTERNS[key]
    if key in ("api-not-found", "service-not-found", "not-found"):
        return f"{NOWHERE.get(key, '')}/{text or 'nothing'}"
    for name in re.findall(r"<(?:str:|path:|slug:)?(\w+)>|\(\?P<url>", route) if text else ():
        values[name or "url"] = text.replace("/", "-") if name == "code" else text  # a part of the address has no slash
    if key != route:
        wanted = re.findall(r"<(?:\w+:)?(\w+)>", route)
        return reverse(key, kwargs={name: values[name] for name in wanted})
    part = re.compile(r"\(\?P<(\w+)>[^)]*\)\$?|<(?:\w+:)?(\w+)>")
    return "/" + part.sub(lambda match: str(values[match[1] or match[2]]), route)


def ask_each(client: Client, where: str, methods: Iterable[str]) -> dict[str, str]:
    """Return the status for each method, each asked of the same scene in the same session: what it does is undone."""
    signed_in, found = client.cookies.output(header="", sep=";"), {}
    for method in methods:
        cache.clear()  # allauth counts attempts to sign in; this asks who is served, not how often
        undone = transaction.atomic()
        undone._from_testcase = True  # as the test's own: a durable transaction may begin within it
        with undone:
            found[method] = str(client.generic(method, where).status_code)
            transaction.set_rollback(True)
        client.cookies = SimpleCookie(signed_in)
    return found


def test_every_url_has_a_row() -> None:
    missing, gone = sorted(PATTERNS.keys() - URLS.keys()), sorted(URLS.keys() - PATTERNS.keys())
    assert not missing, f"Add a row to URLS in tests/security/permissions.py that says who may ask these: {missing}"
    assert not gone, f"Remove the rows of these from URLS in tests/security/permissions.py: {gone}"


def test_no_two_urls_share_a_key() -> None:
    keys = [key for key, _route in _walk(get_resolver())]
    assert len(keys) == len(set(keys))


def expected_of(key: str, table: dict[str, str]) -> dict[str, list[str]]:
    """Return the status for each method and role: what the table leaves out follows from what it says."""
    rows = {method: row.split() for method, row in table.items()}
    if is_api(key):
        # The session is asked for before the method is looked at; what is open to all asks nobody.
        unknown = [status if status == "401" else "405" for status in rows["GET"]]
        unknown = rows["GET"] if key in NOWHERE else unknown
    else:
        unknown = ["405"] * len(ROLES)
    return {"HEAD": rows["GET"]} | dict.fromkeys(OTHER_METHODS, unknown) | rows


def is_api(key: str) -> bool:
    return PATTERNS[key].startswith(("api/", "service/")) or key in NOWHERE


@pytest.fixture
def provider(settings: Any) -> Iterator[None]:
    """Have the settings name a provider, which is there."""
    made = OpenIDProvider()
    settings.DEBUG = True  # plain http is for development machines only
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = made.issuer, CLIENT_ID, CLIENT_SECRET
    settings.OIDC_GROUP_MAP = {"desk": ("Auditor",)}
    yield
    made.stop()


@pytest.mark.parametrize("keys", in_parts(URLS))
def test_url_answers_each_role_with_its_status(scene: Scene, keys: list[str]) -> None:
    answers_as(scene, {key: URLS[key] for key in keys})


def test_every_url_that_a_provider_opens_has_a_row_for_it() -> None:
    assert sorted(WITH_A_PROVIDER) == sorted(key for key, rows in URLS.items() if rows is OFF)


def test_url_of_a_company_account_answers_each_role(scene: Scene, provider: None) -> None:
    answers_as(scene, WITH_A_PROVIDER)


def answers_as(scene: Scene, tables: dict[str, dict[str, str]]) -> None:
    expected = {key: expected_of(key, table) for key, table in tables.items()}
    clients = [scene.client(role) for role in ROLES]
    wrong = {}
    for key, rows in expected.items():
        by_role = [ask_each(client, address(scene, key), rows) for client in clients]
        found = {method: [answers[method] for answers in by_role] for method in rows}
        wrong |= {f"{method} {key}": (found[method], row) for method, row in rows.items() if found[method] != row}

    assert not wrong, f"found and expected of: {', '.join(ROLES)}"


@pytest.mark.parametrize("keys", in_parts(ACTS))
def test_refused_role_changes_nothing_by_posting_the_whole_form(scene: Scene, keys: list[str]) -> None:
    clients = {role: scene.client(role) for role in ROLES}
    for key in keys:
        body, where = whole_form(scene, key), address(scene, key)
        for role, status in zip(ROLES, URLS[key]["POST"].split(), strict=True):
            if status != "200":
                with about(f"{key} as {role}"), nothing_changes():
                    assert clients[role].post(where, body).status_code == int(status)


def whole_form(scene: Scene, key: str) -> dict[str, Any]:
    return {
        "reason": "An attempt.",
        "seen_manifest": scene.installation.manifest.sha256,
        "seen_catalogue": editions.in_force().version,
        "scope-fin": "fin.read",
        "review-crm.accounts": f"withdraw {seen_of(scene.installation)['crm.accounts']}",
        "codes": "crm.accounts.full",
        "also_lock": "on",
        "stores_refresh_tokens": "on",
        "origins": "https://app.example.com",
        **entry_body(),
        "document": '{"schema":1,"scopes":[]}' if "import_catalogue" in key else manifest(version="2.0.0"),
        "format": "jsonl",
        "_confirmed": "1",
        "label": "An attempt",
        "key": "a-key-of-an-attempt",
        "scopes": "crm.accounts.read",
        "purposes": [str(row.pk) for row in Purpose.objects.all()],
        "overlap": "0",
        "code": "attempt",
        "name": "attempt",
        "description": "An attempt.",
        "acts_as": "system",
        "owner": "Nobody",
        "applications": str(scene.application.pk),
        "portals": "acme.flowlu.com",
    }


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


def test_service_key_opens_nothing_but_the_service_api(scene: Scene) -> None:
    service_key = factories.service_client("another").key
    headers = {"Authorization": f"Bearer {service_key}", "X-Purpose": "x", "X-Act-As": "system:x@acme.flowlu.com"}
    for key in URLS.keys() - {"service:forward"}:
        asked = Client(raise_request_exception=False).get(address(scene, key), headers=headers)
        assert str(asked.status_code) == URLS[key]["GET"].split()[0], key


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

    assert found == {name: set(rows) for name, rows in ACTIONS.items()}, "ACTIONS in tests/security/permissions.py."
    assert "delete_selected" not in {name for names in found.values() for name in names}


@pytest.mark.parametrize(
    ("label", "action", "permission", "statuses"),
    [(label, name, *row) for label, rows in ACTIONS.items() for name, row in rows.items()],
)
def test_action_is_offered_and_done_for_its_permission_only(
    scene: Scene, label: str, action: str, permission: str, statuses: str
) -> None:
    where = reverse(f"admin:{label.replace('.', '_')}_changelist")
    target = scene.object(label.replace(".", "_"))
    asked = {"action": action, ACTION_CHECKBOX_NAME: [target.pk]}
    done = asked | {"reason": "An attempt.", "confirmed": "1", "scopes": "fin.read"}
    permitted = [role for role in OPERATORS if scene.operators[role].has_perm(permission)]
    acting = "reviewer" if "approve" in action else "responder"
    assert permitted == [acting, "superuser"]
    found = []
    for role in ROLES:
        client = scene.client(role)
        offered = f'value="{action}"' in client.get(where).content.decode()
        assert offered is (role in permitted), role
        with nothing_changes():
            found.append(str(client.post(where, asked).status_code))
            if role not in permitted:
                assert client.post(where, done).status_code == int(found[-1]), role

    assert found == statuses.split(), f"columns: {', '.join(ROLES)}"
    before, client = AuditEvent.objects.count(), scene.client(acting)
    assert client.post(where, {**done, **pin(client.post(where, asked))}).status_code == 302
    assert [event.verb for event in AuditEvent.objects.filter(sequence__gt=before)] == list(
        audit_coverage.ACTIONS[f"{label}: {action}"]
    )


@pytest.mark.parametrize("role", ROLES)
def test_static_files_are_read_by_all_and_nothing_else_is(scene: Scene, role: str) -> None:
    client = scene.client(role)
    for name in STATIC:
        for method in ("GET", "HEAD", "POST", *OTHER_METHODS):
            expected = 200 if method in ("GET", "HEAD") else 405
            assert client.generic(method, f"/static/{name}").status_code == expected, (method, name)
    for path in ("", "embed/", "../manage.py", "..%2fmanage.py", "%2e%2e/manage.py", "/etc/passwd", "embed/../../a.py"):
        assert client.get(f"/static/{path}").status_code == 404, path


@pytest.mark.parametrize("role", ["auditor", "superuser"])
@pytest.mark.parametrize("model", [model._meta.label_lower for model in admin.site._registry])
def test_stock_bulk_deletion_does_nothing_anywhere(scene: Scene, model: str, role: str) -> None:
    target = scene.object(model.replace(".", "_"))
    body = {"action": "delete_selected", ACTION_CHECKBOX_NAME: [target.pk], "post": "yes"}
    client = scene.client(role)

    with nothing_changes():
        client.post(reverse(f"admin:{model.replace('.', '_')}_changelist"), body)


def test_every_command_has_a_row() -> None:
    ours = {name for name, app in get_commands().items() if app in {"installations", "tokens", "flowlu_admin"}}
    assert ours == COMMANDS.keys(), "Add a row to COMMANDS in tests/security/permissions.py that says who may run it."


def filled(scene: Scene, arguments: tuple[str, ...]) -> list[str]:
    """Return the arguments of a command with the numbers of objects that exist."""
    numbers = {name: row.pk for name, row in scene.objects().items()}
    return [argument.format(**numbers) for argument in arguments]


@pytest.mark.parametrize("command", [name for name, (who, _arguments) in COMMANDS.items() if who is not None])
@pytest.mark.parametrize("role", [*OPERATORS, "superuser_without_mfa"])
def test_command_serves_its_operators_only(
    scene: Scene, capsys: Any, monkeypatch: Any, command: str, role: str
) -> None:
    who, given = COMMANDS[command]
    assert who is not None
    arguments = filled(scene, given)
    monkeypatch.setattr("sys.stdin", StringIO("what-a-command-reads\n"))
    line = (command, *arguments, "--operator", role, "--reason", "A test.")
    if role.removesuffix("_without_mfa") in who:  # commands ask for no second factor: docs/commands.md
        call_command(*line)
        return
    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        call_command(*line)


@pytest.mark.parametrize("command", [name for name, (who, _arguments) in COMMANDS.items() if who is not None])
def test_command_serves_no_account_that_is_none_of_ours(scene: Scene, command: str) -> None:
    _who, given = COMMANDS[command]
    arguments = filled(scene, given)
    user_model = type(scene.operators["superuser"])
    user_model.objects.create_user("plain", is_superuser=True)
    user_model.objects.create_user("gone", is_staff=True, is_superuser=True, is_active=False)
    for name in ("plain", "gone", "nobody", "", "anonymous"):
        with nothing_changes(), pytest.raises(CommandError, match="no active operator"):
            call_command(command, *arguments, "--operator", name, "--reason", "A test.")


def test_command_that_asks_no_operator_says_so_in_the_trail_or_does_nothing(scene: Scene, monkeypatch: Any) -> None:
    """Whoever has a shell may: that is why these ask nobody."""
    assert {name for name, (who, _) in COMMANDS.items() if who is None} == {
        "create_operator",
        "changepassword",
        "import_manifest",
        "run_with_sandbox",
        # What each of these records, or why nothing: audit_coverage.py, which runs them.
        "anchor_audit",
        "diff_manifests",
        "doctor",
        "export_audit",
        "export_catalogue",
        "generate_key",
        "key_status",
        "restore_drill",
        "seed",
        "sweep",
        "verify_audit",
    }
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"battery-horse-staple-9\n")))
    call_command("create_operator", "new")
    assert (last_event().verb, last_event().actor_kind) == ("operator.created", "system")
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(manifest(version="2.0.0").encode())))
    call_command("import_manifest", "-")
    assert last_event().actor_kind == "system"
    with nothing_changes(), pytest.raises(CommandError, match="set DEBUG=1"):
        call_command("run_with_sandbox")
