"""Nothing that changes something goes unrecorded: every act, action, route, command and verb, walked and run."""

import base64
import html
import inspect
import io
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.management import call_command, get_commands
from django.test import override_settings
from django.urls import reverse
from rest_framework.test import APIClient

from flowlu_admin import invitations, operator_accounts
from flowlu_admin.models import CompanyAccount, Operator
from flowlu_admin.oidc import accounts as company_accounts
from flowlu_admin.oidc.id_tokens import Holder
from flowlu_admin.sandbox.server import SandboxServer
from installations import approval_requests, catalogue, cross_origin, editions, list_exports, reviewing, services
from installations.four_columns import utc_today
from installations.models import Application, AuditEvent, Installation, Portal
from installations.services import lock, suspend_installation
from installations.trail import anchoring, exporting, pruning, refusals, verifying
from tests import catalogues, factories
from tests.embedded import Frontend
from tests.factories import manifest
from tests.installations.admin.console import entry_body, pin, pinned, seen_of
from tests.security.audit_coverage import ACTIONS, ACTS, BY_ROUTE, COMMANDS, PAGES, PAGES_BY_ENDING, ROUTES, VERBS
from tests.security.permissions import COMMANDS as COMMAND_ARGUMENTS
from tests.security.permissions import URLS
from tests.security.scene import Scene, set_up
from tests.security.test_permission_matrix import address, filled
from tests.unchanged import nothing_changes
from tokens import selectors
from tokens.api import urls as api_urls
from tokens.models import Purpose, Revocation, ServiceClient
from tokens.services import erasing, keys, leaks, ledger, long_runs, revocation, sessions
from tokens.services.api_keys import revoke_api_key
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db
TABLES = "tests/security/audit_coverage.py"
VERB_PACKAGES = (
    "flowlu_admin.invitations",
    "flowlu_admin.oidc.accounts",
    "flowlu_admin.operator_accounts",
    "flowlu_admin.own_sessions",
    "installations.approval_requests",
    "installations.catalogue_editing",
    "installations.cross_origin",
    "installations.list_exports",
    "installations.reviewing",
    "installations.saved_filters",
    "installations.services",
    "installations.trail",
    "tokens.services",
)
METHODS = ("get", "post", "put", "patch", "delete")
WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def scene(application: Application) -> Scene:
    return set_up(application)


@contextmanager
def events() -> Iterator[list[str]]:
    """Collect the verbs that are appended in the block."""
    before = AuditEvent.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    found: list[str] = []
    yield found
    found += AuditEvent.objects.filter(sequence__gt=before).order_by("sequence").values_list("verb", flat=True)


def recorded_rows(table: dict[Any, Any]) -> list[Any]:
    return [key for key, covered in table.items() if isinstance(covered, tuple)]


# --- Nothing is left out ---------------------------------------------------------------------------------------


def acts() -> set[str]:
    """Return the addresses of acts, and of pages of the console's own that are none of Django's."""
    stock = tuple(PAGES_BY_ENDING)
    own = {
        pattern.name
        for page in admin.site._registry.values()
        for pattern in page.get_urls()
        if pattern.name and not pattern.name.endswith(stock)
    }
    return {act.url_name for page in admin.site._registry.values() for act in page.acts} | own  # type: ignore[attr-defined]


def routes() -> set[tuple[str, str]]:
    found = set()
    for pattern in api_urls.urlpatterns:
        methods = [name for name in METHODS if hasattr(pattern.callback.view_class, name)]
        found |= {(f"api:{pattern.name}", name.upper()) for name in methods}
    return found


def verbs() -> set[str]:
    found = set()
    for package in VERB_PACKAGES:
        module = import_module(package)
        paths = getattr(module, "__path__", [])
        for name in (package, *(f"{package}.{each.name}" for each in pkgutil.iter_modules(paths))):
            part = import_module(name)
            found |= {
                f"{name}.{function.__name__}"
                for function in vars(part).values()
                if inspect.isfunction(function)
                and function.__module__ == name
                and not function.__name__.startswith("_")
            }
    return found


def test_every_act_has_a_row() -> None:
    assert acts() == ACTS.keys(), f"Say in ACTS of {TABLES} what it records, or why nothing."


def test_every_action_has_a_row() -> None:
    found = {
        f"{model._meta.label_lower}: {name}"
        for model, page in admin.site._registry.items()
        for name in page.actions or ()
    }
    assert found == ACTIONS.keys(), f"Say in ACTIONS of {TABLES} what it records, or why nothing."


def test_every_command_has_a_row() -> None:
    ours = {name for name, app in get_commands().items() if app in {"installations", "tokens", "flowlu_admin"}}
    assert ours == COMMANDS.keys(), f"Say in COMMANDS of {TABLES} what it records, or why nothing."


def test_every_route_and_method_of_the_api_has_a_row() -> None:
    assert routes() == ROUTES.keys(), f"Say in ROUTES of {TABLES} what it records, or why nothing."


def test_every_verb_has_a_row() -> None:
    assert verbs() == VERBS.keys(), f"Say in VERBS of {TABLES} what it records, or why nothing."


def test_every_address_is_covered() -> None:
    covered = {f"admin:{name}" for name in ACTS} | {route for route, _method in ROUTES} | PAGES.keys()
    left = {key for key in URLS if key not in covered and not key.endswith(tuple(PAGES_BY_ENDING))}
    assert not left, f"Say in PAGES of {TABLES} why these record nothing, or make them acts: {sorted(left)}"
    assert not PAGES.keys() - URLS.keys(), "These are gone."


def test_every_reason_is_a_sentence() -> None:
    tables: tuple[dict[Any, Any], ...] = (ACTS, ACTIONS, COMMANDS, ROUTES, VERBS, PAGES, PAGES_BY_ENDING)
    reasons = [covered for table in tables for covered in table.values() if isinstance(covered, str)]
    assert [text for text in reasons if len(text) < 9 or not text.endswith(".")] == []


# --- And each does what its row says ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _new_key(request: pytest.FixtureRequest, settings: Any) -> None:
    """Put a key in front of that of the rows, for what brings rows under the newest."""
    if "rewrap" in request.node.name:
        request.getfixturevalue("scene")
        settings.TOKEN_KEYS = f"k2:{base64.b64encode(bytes(range(128, 160))).decode()},{settings.TOKEN_KEYS}"


@pytest.fixture(autouse=True)
def _four_eyes(request: pytest.FixtureRequest, settings: Any) -> None:
    """Ask for a second operator where it is about going without one."""
    if "approve_alone" in request.node.name:
        settings.FOUR_EYES = "on"


def prepare(scene: Scene, name: str) -> None:
    """Bring the scene into the state in which an act or command has something to do."""
    if "_go_on" in name or "revocation_stop" in name or "stop_revocation" in name:
        Revocation.objects.update(state="running")
    if "resume" in name:
        suspend_installation(installation_id=scene.installation.pk, **WHY)
    if "still_there" in name or "state_present" in name:
        factories.suspect(scene.installation)
    if "switch_on" in name:
        Purpose.objects.update(enabled=False)
        ServiceClient.objects.update(enabled=False)
    if "confirm_deletion" in name:
        revoke_api_key(api_key_id=scene.object("tokens_apikey").pk, **WHY)
    if "restore" in name:
        Operator.objects.filter(username="asker").update(is_active=False)
    if "unlock" in name:
        kind = next((each for each in ("portaluser", "portal", "application") if f"_{each}_" in name), "installation")
        lock(target=scene.object(f"installations_{kind}"), **WHY)


@pytest.mark.parametrize("name", recorded_rows(ACTS))
def test_act_records_its_events(scene: Scene, name: str) -> None:
    prepare(scene, name)
    body = {
        "reason": "A test.",
        "seen_manifest": scene.installation.manifest.sha256,
        "seen_catalogue": editions.in_force().version,
        "scope-fin": "fin.read",
        "review-crm.accounts": f"withdraw {seen_of(scene.installation)['crm.accounts']}",
        "codes": "crm.accounts.full",
        "also_lock": "on",
        "stores_refresh_tokens": "on",
        "origins": "https://app.example.com",
        **entry_body(),
        "document": '{"schema":1,"scopes":[]}' if "import_catalogue" in name else manifest(version="2.0.0"),
        "format": "jsonl",
        "pasted": "an-access-token",
        "stored_before": "2099-01-01",
        "confirmed": "yes",
        "label": "Weekly",
        "key": "a-key-that-is-pasted",
        "scopes": "crm.accounts.read",
        "purposes": str(Purpose.objects.get(code="nightly").pk),
        "overlap": "0",
        "code": "weekly",
        "description": "Why.",
        "owner": "Us",
        "acts_as": "system",
        "name": "worker",
        "email": "new@example.com",
        "portals": "acme.flowlu.com",
    }
    where = address(scene, f"admin:{name}")
    client = scene.client("superuser")
    body |= pinned(client, where, {**body, "confirmed": ""} if "revoke_by" in name else body, name)
    with events() as found:
        response = client.post(where, body)
        # A file, what was found, or a new key; all others lead back to their object.
        stays = response.streaming or name.endswith(("_leaked", "serviceclient_new", "serviceclient_new_key"))
        assert response.status_code == (200 if stays else 302), response.content
    assert tuple(found) == ACTS[name]
    if not stays:
        assert_links_to_what_tells_of_it(client, response.url, found)


def assert_links_to_what_tells_of_it(client: Any, led_to: str, verbs: list[str]) -> None:
    """Hold that the message on the page that one is led to links to a row, or to events, that tell what was done."""
    message = str(list(client.get(led_to).context["messages"])[-1].message)
    links = [html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"]+)"', message)]
    assert links, message
    for link in links:
        page = client.get(link)
        assert page.status_code == 200
        if "/auditevent/?" in link:
            assert verbs[-1] in page.content.decode().partition('id="result_list"')[2], link


@pytest.mark.parametrize("row", recorded_rows(ACTIONS))
def test_action_records_its_events(scene: Scene, row: str) -> None:
    label, name = row.split(": ")
    target = scene.object(label.replace(".", "_"))
    body = {"action": name, ACTION_CHECKBOX_NAME: [target.pk], "reason": "A test.", "confirmed": "1"} | {
        "scopes": "fin.read"
    }
    where, client = reverse(f"admin:{label.replace('.', '_')}_changelist"), scene.client("superuser")
    shown = client.post(where, {key: value for key, value in body.items() if key != "confirmed"})
    with events() as found:
        response = client.post(where, body | pin(shown))
    assert tuple(found) == ACTIONS[row]
    assert_links_to_what_tells_of_it(client, response.url, found)


@pytest.mark.parametrize("name", recorded_rows(COMMANDS))
def test_command_records_its_events(scene: Scene, name: str, tmp_path: Path, monkeypatch: Any) -> None:
    prepare(scene, name)
    who, given = COMMAND_ARGUMENTS[name]
    arguments = tuple(filled(scene, given))
    if who is not None:
        arguments = (*arguments, "--operator", "superuser", "--reason", "A test.")
    document = tmp_path / "manifest.json"
    document.write_text(manifest(version="2.0.0"))
    own_part = tmp_path / "catalogue.json"
    own_part.write_bytes(catalogues.NOTHING)
    others = {
        "anchor_audit": ("--file", str(tmp_path / "anchors")),
        "create_operator": ("somebody",),
        "changepassword": ("auditor",),
        "import_catalogue": (str(own_part), *arguments[1:]),
        "import_manifest": (str(document),),
        "prune_audit": ("--before", "2299-01-01", "--archive", str(tmp_path / "archive"), *arguments[4:]),
    }
    typed = "a-key-that-is-typed" if name.endswith("api_key") else "correct horse battery staple"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    later = datetime(2300, 1, 1, tzinfo=UTC) if name == "prune_audit" else datetime.now(UTC)
    with time_machine.travel(later), events() as found:
        call_command(name, *others.get(name, arguments), stdout=io.StringIO(), stderr=io.StringIO())
    assert tuple(found) == COMMANDS[name]


@pytest.fixture
def pages(sandbox: SandboxServer, application: Application) -> dict[tuple[str, str], Callable[[], Any]]:
    """Return what a page does at each route."""
    page = Frontend(APIClient(raise_request_exception=False), sandbox, "acme.flowlu.com")

    def opened(then: Callable[[], Any]) -> Callable[[], Any]:
        page.handshake()
        return then

    def refreshed() -> Any:
        page.refresh()
        return page.hand_over()

    return {
        ("api:session", "POST"): page.handshake,
        ("api:session", "GET"): lambda: opened(lambda: page.get("session")),
        ("api:session", "DELETE"): lambda: opened(lambda: page.delete("session")),
        ("api:session-token", "PUT"): lambda: opened(refreshed),
        ("api:session-token", "DELETE"): lambda: opened(lambda: page.delete("session/token")),
        ("api:permissions", "GET"): lambda: opened(lambda: page.get("permissions")),
        ("api:forward", "GET"): lambda: opened(page.accounts),
        ("api:forward", "POST"): lambda: opened(lambda: page.post("flowlu/crm/account/create", {"name": "X"})),
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row", ROUTES, ids=" ".join)
def test_route_records_its_events(pages: dict[tuple[str, str], Callable[[], Any]], row: tuple[str, str]) -> None:
    act: Any = pages[row]
    if row != ("api:session", "POST"):
        act = act()
    with events() as found:
        assert act().status_code < 404
    expected = ROUTES[row]
    assert tuple(found) == (expected if isinstance(expected, tuple) else ())


def runs(scene: Scene, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return a call of every verb that can be called by itself."""
    here: dict[str, Any] = {"installation_id": scene.installation.pk, **WHY}
    asker: dict[str, Any] = {"operator_id": Operator.objects.get(username="asker").pk, **WHY}
    invited = {"invitation_id": scene.object("flowlu_admin_invitation").pk, **WHY}
    asked = {"request_id": scene.object("installations_approvalrequest").pk}
    portal = Portal.objects.get(pk=scene.installation.portal_id)
    user = factories.actor(scene.operators["auditor"])
    refused: dict[str, Any] = {"actor": user, "permission": "x.y", "attempted": "z"}
    archive: dict[str, Any] = {"before": datetime(2299, 1, 1, tzinfo=UTC), "archive": folder / "archive", **WHY}

    def counted() -> None:
        with time_machine.travel(LONG_AGO):
            for _ in range(refusals.TOLD + 1):
                refusals.note_refused(**refused)
        AuditEvent.objects.count()
        refusals.tell_what_was_counted()

    def pruned() -> None:
        with time_machine.travel(datetime(2300, 1, 1, tzinfo=UTC), tick=False):
            pruning.prune_audit(**archive)

    def verified() -> None:
        checked = verifying.DatabaseVerification(verifying.audit.audit_keys())
        assert list(checked) == []
        verifying.record_verification(checked=checked, findings=0, anchored=False, actor=WHY["actor"])

    def admitted() -> None:
        with override_settings(OIDC_GROUP_MAP={"desk": ("Auditor",)}, OIDC_CREATE_OPERATORS=True):
            company_accounts.admit_holder(holder=Holder("https://id.example.com", "s", frozenset({"desk"})))

    def linked() -> None:
        holder = Holder("https://id.example.com", "s", frozenset())
        mine = scene.operators["auditor"].pk
        company_accounts.link_company_account(operator_id=mine, holder=holder, session_key=None)

    caller = selectors.caller_of(scene.session())
    assert caller is not None
    tomorrow = utc_today() + timedelta(days=1)
    return {
        "installations.approval_requests.approve_alone": lambda: approval_requests.approve_alone(
            requested=["fin.read"], **here
        ),
        "installations.approval_requests.approve_for_many": lambda: approval_requests.approve_for_many(
            installation_ids=[scene.installation.pk], requested=["fin.read"], **WHY
        ),
        "installations.approval_requests.confirm_request": lambda: approval_requests.confirm_request(**asked, **WHY),
        "installations.approval_requests.refuse_request": lambda: approval_requests.refuse_request(**asked, **WHY),
        "installations.approval_requests.request_approval": lambda: approval_requests.request_approval(
            requested=["fin.read"], **here
        ),
        "installations.approval_requests.review_break_glass": lambda: approval_requests.review_break_glass(
            request_id=scene.object("installations_breakglass").pk, **WHY
        ),
        "installations.catalogue_editing.import_catalogue": lambda: catalogues.bring_in(
            catalogue.written([catalogues.entry("garage")])
        ),
        "flowlu_admin.invitations.accept_invitation": lambda: invitations.accept_invitation(
            code_hash=scene.object("flowlu_admin_invitation").code_hash, username="new", password=factories.PASSWORD
        ),
        "flowlu_admin.invitations.invite_operator": lambda: invitations.invite_operator(
            email="new@example.com", groups=["Auditor"], **WHY
        ),
        "flowlu_admin.invitations.send_invitation_again": lambda: invitations.send_invitation_again(**invited),
        "flowlu_admin.invitations.withdraw_invitation": lambda: invitations.withdraw_invitation(**invited),
        "flowlu_admin.oidc.accounts.admit_holder": admitted,
        "flowlu_admin.oidc.accounts.link_company_account": linked,
        "flowlu_admin.oidc.accounts.unlink_company_account": lambda: (
            CompanyAccount.objects.create(operator=scene.operators["auditor"], issuer="", subject="s"),
            company_accounts.unlink_company_account(operator_id=scene.operators["auditor"].pk, session_key=None),
        ),
        "flowlu_admin.operator_accounts.remove_operator": lambda: operator_accounts.remove_operator(**asker),
        "flowlu_admin.operator_accounts.restore_operator": lambda: operator_accounts.restore_operator(**asker),
        "flowlu_admin.operator_accounts.sign_out_operator": lambda: operator_accounts.sign_out_operator(**asker),
        "flowlu_admin.operator_accounts.reset_second_factors": lambda: operator_accounts.reset_second_factors(**asker),
        "flowlu_admin.operator_accounts.set_operator_address": lambda: operator_accounts.set_operator_address(
            email="new@example.com", **asker
        ),
        "flowlu_admin.operator_accounts.set_operator_groups": lambda: operator_accounts.set_operator_groups(
            groups=["Auditor"], **asker
        ),
        "installations.catalogue_editing.remove_catalogue_override": lambda: (
            catalogues.edit("fin", "fin/invoice"),
            catalogues.take_back("fin"),
        ),
        "installations.catalogue_editing.save_catalogue_entry": lambda: catalogues.edit("fin", "fin/invoice"),
        "installations.list_exports.export_list": lambda: list_exports.export_list(
            rows=Portal.objects.order_by("domain"),
            required=["installations.view_portal"],
            format=exporting.Format.CSV,
            filters={},
            searched=False,
            actor=WHY["actor"],
        ),
        "installations.reviewing.decide_reviews": lambda: reviewing.decide_reviews(withdraw=["crm.accounts"], **here),
        "installations.cross_origin.set_allowed_origins": lambda: cross_origin.set_allowed_origins(
            application_id=scene.application.pk, origins=["https://app.example.com"], **WHY
        ),
        "installations.reviewing.keep_scopes": lambda: reviewing.keep_scopes(
            codes=["crm.accounts"], review_by=tomorrow, **here
        ),
        "installations.reviewing.lower_scopes": lambda: reviewing.lower_scopes(codes=["crm.accounts"], **here),
        "installations.services.approve_scopes": lambda: services.approve_scopes(requested=["fin.read"], **here),
        "installations.services.import_manifest": lambda: services.import_manifest(
            document=manifest(version="2.0.0"), kind=None, actor=WHY["actor"]
        ),
        "installations.services.lock": lambda: services.lock(target=portal, **WHY),
        "installations.services.unlock": lambda: services.unlock(target=portal, **WHY),
        "installations.services.suspend_installation": lambda: services.suspend_installation(**here),
        "installations.services.state_present": lambda: services.state_present(**here),
        "installations.services.resume_installation": lambda: services.resume_installation(**here),
        "installations.services.withhold_scopes": lambda: services.withhold_scopes(**here),
        "installations.services.withdraw_scopes": lambda: services.withdraw_scopes(codes=["crm.accounts"], **here),
        "installations.trail.anchoring.anchor": lambda: anchoring.anchor(
            path=str(folder / "anchors"), url="", actor=WHY["actor"]
        ),
        "installations.trail.anchoring.anchor_if_due": lambda: anchoring.anchor_if_due(every=timedelta(0)),
        "installations.trail.anchoring.anchor_to_file": lambda: anchoring.anchor_to_file(
            path=folder / "anchors", actor=WHY["actor"]
        ),
        "installations.trail.exporting.export_audit": lambda: exporting.export_audit(
            format=exporting.Format.CSV, **WHY
        ),
        "installations.trail.pruning.prune_audit": pruned,
        "installations.trail.refusals.note_refused": lambda: refusals.note_refused(**refused),
        "installations.trail.refusals.tell_what_was_counted": counted,
        "installations.trail.verifying.record_verification": verified,
        "tokens.services.erasing.erase_portal_user": lambda: erasing.erase_portal_user(
            portal_user_id=scene.portal_user.pk, **WHY
        ),
        "tokens.services.keys.rewrap_tokens": lambda: keys.rewrap_tokens(**WHY),
        "tokens.services.leaks.find_leaked": lambda: leaks.find_leaked(lines=[], **WHY),
        "tokens.services.revocation.configure_application": lambda: revocation.configure_application(
            application_id=scene.application.pk, stores_refresh_tokens=True, allowed_portals=[], **WHY
        ),
        "tokens.services.ledger.record_portal_step": lambda: ledger.record_portal_step(
            revocation_id=scene.object("tokens_revocation").pk, actor=WHY["actor"], note="A test."
        ),
        "tokens.services.long_runs.have_go_on": lambda: long_runs.have_go_on(
            revocation_id=scene.object("tokens_revocation").pk, **WHY
        ),
        "tokens.services.long_runs.stop_revocation": lambda: long_runs.stop_revocation(
            revocation_id=scene.object("tokens_revocation").pk, **WHY
        ),
        "tokens.services.revocation.drill_revocation": lambda: revocation.drill_revocation(
            target=RevocationTarget.of_installation(scene.installation.pk), **WHY
        ),
        "tokens.services.revocation.revoke_tokens": lambda: revocation.revoke_tokens(
            target=RevocationTarget.of_installation(scene.installation.pk), **WHY
        ),
        "tokens.services.revocation.uninstall_installation": lambda: revocation.uninstall_installation(**here),
        "tokens.services.sessions.note_undecryptable_token": lambda: sessions.note_undecryptable_token(
            caller=caller, reason="A test.", key_id="k1"
        ),
    }


@pytest.mark.parametrize("name", [name for name in recorded_rows(VERBS) if name not in BY_ROUTE])
def test_verb_records_its_events(scene: Scene, name: str, tmp_path: Path, settings: Any) -> None:
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors")
    prepare(scene, "_portal_unlock" if name.endswith(".unlock") else name)
    run = runs(scene, tmp_path)[name]
    with events() as found:
        run()
    expected = VERBS[name]
    assert tuple(found[-len(expected) :]) == expected
    assert set(found) - set(expected) <= {"attempt.refused", "catalogue.entry_saved"}


def test_verb_that_only_a_page_reaches_is_shown_by_its_route() -> None:
    assert {name: VERBS[name] for name in BY_ROUTE} == {name: ROUTES[route] for name, route in BY_ROUTE.items()}


def test_refused_verb_records_nothing_by_itself(scene: Scene) -> None:
    """Only who turns a refusal into an answer notes it: a verb that is refused leaves no trace of its own."""
    with nothing_changes(), pytest.raises(Exception, match="permission"):
        suspend_installation(
            installation_id=scene.installation.pk, actor=factories.actor(scene.operators["auditor"]), reason="A test."
        )
    assert Installation.objects.get(pk=scene.installation.pk).status == "active"
