"""Whatever strangers write into names, labels, reasons and scopes is text to read, on every page of the console.

No element or attribute comes out of it, nothing in it is invisible or turns the text around it, and nothing that
looks like a scope can be approved in its place. Columns are walked from the models: a new one without a row fails.
"""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import hypothesis.strategies as st
import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone
from hypothesis import given

from installations import audit, catalogue, editions
from installations.actors import Actor, ActorKind, Via
from installations.admin.text import visible
from installations.approval_requests import request_approval
from installations.catalogue import LevelMeaning
from installations.deception import one_line, visible_text
from installations.errors import DomainError
from installations.models import (
    Application,
    ApprovalRequest,
    ApprovedPermission,
    AuditEvent,
    Installation,
    Manifest,
    SavedFilter,
)
from installations.selectors import review_scopes
from installations.services import approve_scopes, import_manifest
from tests import catalogues, factories
from tests.installations.admin.console import entry_body, pinned, seen_of
from tests.security.labels import ALL_LABELS, LABELS, SCOPES
from tests.security.reading import Page, deceits, faults_of
from tests.security.scene import Scene, set_up
from tests.security.test_permission_matrix import ACTS, PATTERNS, address
from tests.unchanged import nothing_changes
from tokens.models import ApiKey, Purpose, Revocation, ServiceClient

pytestmark = pytest.mark.django_db

# Short enough for the shortest column; each text that reaches a page says by its number where it came from.
PROBE = "zq{}<zqx zqy='\">\u202e\u200b\x1b\u0301\u0301\u0301\u0301\u0301{{{{7*7}}}}c\u0430t=1"
SEEN = re.compile(r"zq(\d+)<zqx")

# Text columns that only this service fills, from words of its own: the reason is that no stranger's text gets there.
OURS = {
    "installations.AuditEvent": "actor_kind via verb target_kind previous_hash hash key_id",
    "installations.AuditHead": "hash",
    "installations.AuditCheckpoint": "hash key_id mac",
    "installations.RefusedAttempts": "actor_kind actor_id actor_name via permission",  # no page shows one
    "installations.Portal": "domain",  # the database takes letters, digits, dots and dashes only
    "installations.Application": "kind approval_policy refreshed_by allowed_portals allowed_origins",
    "installations.Manifest": "sha256",
    "installations.PortalUser": "flowlu_user_id",  # digits
    "installations.Installation": "status",
    "installations.ApprovedPermission": "code level catalogue_entry source",  # from the catalogue
    "installations.ApprovalRequest": "requested_by_id decided_by_id state scopes",  # scopes of the catalogue
    "installations.ApprovalRequestItem": "bound",  # digests and a status
    # The rows of ApprovalRequest that one operator made alone: filled and shown as such.
    "installations.BreakGlass": (
        "requested_by_id decided_by_id state scopes requested_by reason decided_by decided_why reviewed_by reviewed_why"
    ),
    "installations.CatalogueEdition": "sha256 shipped",
    "installations.SavedFilter": "list_name",
    "installations.Evidence": "kind detail",  # of an answer, its status and its code as numbers
    "installations.Liveness": "state confidence probe_outcome",
    # The same rows as ApprovedPermission.
    "installations.Review": "code level catalogue_entry source approved_by confirmed_by reason withdrawn_by "
    "withdrawn_why reviewed_by reviewed_why",
    "tokens.OAuthToken": "access_fingerprint refresh_fingerprint fingerprint_key_id seal_key_id state",
    "tokens.EmbedSession": "token_hash",
    "tokens.Revocation": "scope target state probe upstream portal_step",
    "tokens.ReplacedFingerprint": "fingerprint fingerprint_key_id",
    "tokens.RevokedFingerprint": "fingerprint fingerprint_key_id",
    "tokens.RefreshAttempt": "outcome error trigger refresh_fingerprint",
    "tokens.UpstreamRevocation": "state error seal_key_id",
    "tokens.SweepRun": "name",
    "tokens.DayCount": "subject outcome",
    "tokens.KeyRecord": "ring key_id fingerprint",
    "tokens.ApiKey": "fingerprint fingerprint_key_id seal_key_id scopes covers state ending",  # of the catalogue
    "tokens.Purpose": "code scopes covers acts_as",  # letters, digits, dashes; the rest is of the catalogue
    "tokens.ServiceClient": "key_hash",
    "tokens.ServiceCall": "acts_as call code level outcome",  # `call` has parts that passed the grammar of paths
    "auth.User": "password",
    "flowlu_admin.Invitation": "email code_hash",  # an address that a mail server takes
}
# Acts that answer with the key that they made, and lead nowhere.
SHOWS_KEY = {"admin:tokens_serviceclient_new", "admin:tokens_serviceclient_new_key"}
# Columns that strangers, or other operators, write; shown somewhere in the console.
THEIRS = {
    "installations.AuditEvent": "actor_id actor_name target_id reason details",
    "installations.Application": "app_id name",
    "installations.Manifest": "version document requested_scopes",
    "installations.PortalUser": "name",
    "installations.Installation": "reported_version",
    "installations.ApprovedPermission": "approved_by confirmed_by reason withdrawn_by withdrawn_why reviewed_by "
    "reviewed_why",
    "installations.ApprovalRequest": "requested_by reason decided_by decided_why reviewed_by reviewed_why",
    "installations.CatalogueEdition": "document saved_by reason",
    "installations.SavedFilter": "name",
    "installations.Evidence": "integration_point",
    "tokens.Revocation": "actor_name reason target_label portal_step_by portal_step_note",
    "tokens.ApiKey": "label added_by deletion_confirmed_by",
    "tokens.Purpose": "description owner",
    "tokens.ServiceClient": "name",
    "tokens.UpstreamRevocation": "closed_by closed_reason",
    "auth.User": "username",
    "flowlu_admin.Invitation": "groups",
}
# Written by operators or later features, and on no page yet.
NOT_SHOWN = {
    "installations.SavedFilter": "parameters",  # they are in the address that it leads to
    "installations.ScopeUsage": "purpose code level",
    "tokens.Revocation": "target_id",  # as the audit trail names it, where it is shown
    "auth.User": "first_name last_name email",
}


def text_columns(model: type[models.Model]) -> set[str]:
    kinds = (models.CharField, models.TextField, models.JSONField)
    return {field.name for field in model._meta.concrete_fields if isinstance(field, kinds)}


NUMBERS = {
    (label, name): number
    for number, (label, name) in enumerate(
        sorted((label, name) for label, names in THEIRS.items() for name in names.split())
    )
}


def probe(label: str, name: str) -> str:
    return PROBE.format(NUMBERS[(label, name)])


def test_every_text_column_has_a_row() -> None:
    watched = [*apps.get_app_config("installations").get_models(), *apps.get_app_config("tokens").get_models()]
    for model in [*watched, apps.get_model("auth.User"), apps.get_model("flowlu_admin.Invitation")]:
        label = model._meta.label
        listed = [name for table in (OURS, THEIRS, NOT_SHOWN) for name in table.get(label, "").split()]
        assert sorted(listed) == sorted(text_columns(model)), f"Say in this file who writes the columns of {label}."


@pytest.fixture
def scene(application: Any, settings: Any) -> Scene:
    """A populated console in which every column of strangers holds what would do most harm on a page."""
    settings.OPERATOR_MFA = "required"
    scene = set_up(application)
    approved = ApprovedPermission.objects.create(
        installation=scene.installation, code="crm.deals", level="read", catalogue_entry={"covers": []},
        manifest=scene.installation.manifest, approved_by="x", reason="x", review_by=timezone.now().date(),
        active_on=timezone.now().date(),
    )  # fmt: skip
    approved.withdrawn_at, approved.withdrawn_why = approved.approved_at, "x"
    approved.save()
    actor_id, actor_name = (probe("installations.AuditEvent", f"actor_{name}") for name in ("id", "name"))
    audit.append(
        Actor(ActorKind.OPERATOR, actor_id, actor_name, Via.ADMIN),
        audit.Event(
            "scopes.approved", "application", probe("installations.AuditEvent", "target_id"), scene.installation.pk,
            probe("installations.AuditEvent", "reason"), {"a": probe("installations.AuditEvent", "details")},
        ),
        audit.Event("scopes.approved", "application", "x"),
    )  # fmt: skip
    audit.append(
        Actor(ActorKind.OPERATOR, probe("installations.AuditEvent", "actor_id"), "", Via.ADMIN),
        audit.Event("scopes.approved", "application", "x"),
    )
    SavedFilter.objects.create(
        operator=scene.operators["superuser"],
        list_name="installations.portal",
        name="x",
        parameters={"locked": ["yes"]},
    )
    for label, names in THEIRS.items():
        model = apps.get_model(label)
        if model is AuditEvent:
            continue  # never changed, so written above
        rows = model._default_manager.all()
        if label == "auth.User":
            rows = rows.filter(pk=scene.operators["superuser"].pk)
        for name in names.split():
            _fill(rows, label, name)
    return scene


def _fill(rows: Any, label: str, name: str) -> None:
    text = probe(label, name)
    if label == "installations.Manifest" and name == "document":
        rows.update(document={"appId": "x", text: text, "integrationPoints": {"a": text}})
    elif label == "flowlu_admin.Invitation":
        Group.objects.create(name=text)
        rows.update(groups=[text])
    elif name == "requested_scopes":
        rows.update(requested_scopes=["fin.read", "crm.deals.read", text])
    elif label == "installations.CatalogueEdition":
        document = _hostile_edition() if name == "document" else text
        catalogues.tamper(name, document)
        if name == "document":
            catalogues.tamper("sha256", sha256(document.encode()).hexdigest())
    elif name.startswith("portal_step"):
        rows.update(portal_step="done", portal_step_at=timezone.now(), **{name: text})
    elif name.startswith("withdrawn"):
        rows.filter(withdrawn_at__isnull=False).update(**{name: text})
    elif name.startswith("reviewed"):
        # With a reason or not at all, so both at once.
        both = ("reviewed_by", "reviewed_why")
        rows.update(reviewed_at=timezone.now(), **{column: probe(label, column) for column in both})
    else:
        rows.update(**{name: text})


def pages() -> Iterator[str]:
    for key in PATTERNS:
        own = key.startswith(("admin:", "account_", "mfa_"))
        if own and not key.endswith(("jsi18n", "view_on_site", "autocomplete", "logout")):
            yield key


def seen_in(source: str) -> set[int]:
    return {int(number) for number in SEEN.findall(" ".join(Page(source).words))}


def test_no_page_takes_a_label_for_more_than_text(scene: Scene) -> None:
    client = scene.client("superuser")
    faults, seen = {}, set()
    for where in _addresses(scene):
        answer = client.get(where)
        source = answer.content.decode()
        seen |= seen_in(source)
        if answer.status_code == 500 or faults_of(source):
            faults[where] = [answer.status_code, *faults_of(source)]
    assert not faults, json.dumps(faults, indent=1)
    unseen = [column for column, number in NUMBERS.items() if number not in seen]
    assert not unseen, f"No page shows these, so nothing was tested: {unseen}"


def _addresses(scene: Scene) -> list[str]:
    found = {address(scene, key) for key in pages()}
    for model in admin.site._registry:
        for row in model._default_manager.all():
            found.add(f"/admin/{model._meta.app_label}/{model._meta.model_name}/{row.pk}/change/")
    lists = [where for where in found if where.count("/") == 4]
    found |= {f"{where}?q=zq" for where in lists}
    return sorted(found)


def _hostile_entry() -> dict[str, str]:
    # What no line of a form may hold is refused, which other tests state.
    text = probe("installations.CatalogueEdition", "document").replace("\x1b", "")
    return entry_body(
        **dict.fromkeys(("title", "meaning", "read_allows", "read_reason", "full_reason", "source"), text)
    )


def _hostile_edition() -> str:
    text = probe("installations.CatalogueEdition", "document")
    level = LevelMeaning(text, "high", text)
    words: dict[str, Any] = dict.fromkeys(("title", "meaning", "source"), text)
    own = [catalogues.entry(code, read=level, full=level, **words) for code in ("warehouse", "fin", "crm.deals")]
    return catalogue.written(own).decode()


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    """Return what carries each act out, with a hostile reason."""
    reason = {"reason": probe("installations.AuditEvent", "reason")}
    system = Purpose.objects.get(code="nightly")
    return dict.fromkeys(ACTS, reason) | {
        "admin:installations_installation_approve": {
            **reason,
            "seen_manifest": scene.installation.manifest.sha256,
            "seen_catalogue": editions.in_force().version,
            "scope-fin": "fin.read",
        },
        "admin:installations_installation_approve_alone": {
            **reason,
            "seen_manifest": scene.installation.manifest.sha256,
            "scope-fin": "fin.read",
        },
        "admin:installations_installation_withhold": {
            **reason,
            "seen_manifest": scene.installation.manifest.sha256,
        },
        "admin:installations_installation_review": {
            **reason,
            "review-crm.accounts": f"lower {seen_of(scene.installation)['crm.accounts']}",
        },
        "admin:installations_installation_withdraw": {**reason, "codes": "crm.accounts.full"},
        "admin:installations_auditevent_export": {**reason, "format": "jsonl"},
        "admin:tokens_oauthtoken_leaked": {"pasted": LABELS["markup"][0]},
        "admin:tokens_oauthtoken_revoke_by": {**reason, "stored_before": "2099-01-01", "confirmed": "yes"},
        "admin:installations_installation_add_key": {
            **reason,
            "label": LABELS["markup"][0],
            "key": "a-key-for-this-test",
            "scopes": "crm.accounts.read",
            "purposes": system.pk,
        },
        "admin:tokens_apikey_replace": {**reason, "key": "a-key-for-this-test", "overlap": "0"},
        "admin:tokens_purpose_new": {
            **reason,
            "code": "weekly",
            "description": ALL_LABELS[0],
            "owner": LABELS["markup"][0],
            "acts_as": "system",
            "scopes": "crm.accounts.read",
        },
        "admin:tokens_purpose_change_purpose": {
            **reason,
            "description": ALL_LABELS[0],
            "owner": LABELS["markup"][0],
            "scopes": "crm.accounts.read",
        },
        "admin:tokens_serviceclient_new": {**reason, "name": LABELS["markup"][0], "purposes": system.pk},
        "admin:tokens_serviceclient_change_client": {**reason, "purposes": system.pk},
        "admin:installations_catalogueedition_edit_entry": {**reason, **_hostile_entry()},
        "admin:installations_catalogueedition_new_entry": {**reason, **_hostile_entry()},
        "admin:installations_catalogueedition_import_catalogue": {**reason, "document": _hostile_edition()},
        "admin:flowlu_admin_invitation_new": {
            **reason,
            "email": "new@example.com",
            "groups": probe("flowlu_admin.Invitation", "groups"),
        },
        "admin:installations_application_import": {
            "document": factories.manifest(
                # What may not be in an appId or a name at all is refused, which other tests state.
                re.sub("[\u202e\u200b\x1b]", "", probe("installations.Application", "app_id")),
                name=probe("installations.Application", "name").replace("\x1b", ""),
                permissions=["fin.read", probe("installations.Manifest", "requested_scopes"), *SCOPES],
                integrationPoints={label: {"label": label} for label in ALL_LABELS},
            )
        },
    }


@pytest.mark.parametrize("key", ACTS)
def test_no_act_takes_a_label_for_more_than_text(scene: Scene, key: str, settings: Any) -> None:
    _make_possible(scene, key, settings)
    client, where = scene.client("superuser"), address(scene, key)

    for body in ({"reason": ""}, bodies(scene)[key]):
        named = {name: value for name, value in body.items() if name != "confirmed"}
        seen = pinned(client, where, named, key)
        answer = client.post(where, {**body, **seen}, follow=True)
        assert answer.status_code == 200
        if answer.streaming:
            assert answer["Content-Disposition"].startswith("attachment"), "a file is no page"
            return
        assert faults_of(answer.content.decode()) == []
    if key in SHOWS_KEY:
        assert answer.context["service_key"]
        return
    if key.endswith("_leaked"):
        assert answer.context["found"] is not None
        return
    assert answer.redirect_chain, answer.context["form"].errors
    assert len(list(answer.context["messages"])) == 1


def test_no_page_of_an_approval_on_many_takes_a_label_for_more_than_text(scene: Scene) -> None:
    other = factories.installation(factories.application("com.example.other"), portal="second.flowlu.com")
    Application.objects.filter(pk=other.application_id).update(name=probe("installations.Application", "name"))
    client = scene.client("superuser")
    for chosen, heading in (
        ([scene.installation.pk, other.pk], "These cannot be approved at once"),
        ([scene.installation.pk], "Exactly these installations"),
    ):
        body = {"action": "approve_selected", ACTION_CHECKBOX_NAME: chosen, "index": "0"}
        source = client.post("/admin/installations/installation/", body).content.decode()
        assert heading in source
        assert NUMBERS["installations.Application", "name"] in seen_in(source)
        assert faults_of(source) == []


def _make_possible(scene: Scene, key: str, settings: Any) -> None:
    if key.endswith("approve_alone"):
        settings.FOUR_EYES = "on"
    elif key.endswith("approvalrequest_confirm"):
        # The labels that came into the catalogue since have made the others void.
        ApprovalRequest.objects.filter(state="open").update(state="void", decided_at=timezone.now())
        asker = factories.actor(get_user_model().objects.get(username="asker"))
        request_approval(
            installation_id=scene.installation.pk, requested=["crm.deals.read"], actor=asker, reason="For a test."
        )
    elif key.startswith("admin:tokens_revocation_"):
        Revocation.objects.update(state="running")
    elif key.endswith("resume"):
        Installation.objects.update(status="suspended")
    elif key.endswith("switch_on"):
        Purpose.objects.update(enabled=False)
        ServiceClient.objects.update(enabled=False)
    elif key.endswith("confirm_deletion"):
        gone = {"state": "revoked", "sealed_key": None, "revoked_at": timezone.now(), "ending": "revoked"}
        ApiKey.objects.update(**gone, deletion_confirmed_at=None)


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("admin:installations_installation_withdraw", {"codes": ALL_LABELS, "keep": ALL_LABELS}),
        ("admin:installations_installation_approve", {"scope-fin": ALL_LABELS[0], "seen_manifest": ALL_LABELS[1]}),
        ("admin:installations_catalogueedition_new_entry", entry_body(code=ALL_LABELS[0])),
        ("admin:installations_catalogueedition_new_entry", entry_body(covers="\n".join(ALL_LABELS))),
        ("admin:installations_catalogueedition_edit_entry", entry_body(models=ALL_LABELS[0], full_risk=ALL_LABELS[0])),
        ("admin:installations_catalogueedition_import_catalogue", {"document": "\n".join(ALL_LABELS)}),
        ("admin:installations_catalogueedition_import_catalogue", {"document": json.dumps(dict.fromkeys(ALL_LABELS))}),
        (
            "admin:installations_installation_review",
            {f"review-{label}": f"keep {label}" for label in ("crm.accounts", "fin", *ALL_LABELS)}
            | {"review_by": ALL_LABELS[0]},
        ),
        ("admin:installations_application_configure", {"allowed_portals": "\n".join(ALL_LABELS)}),
        ("admin:installations_application_origins", {"origins": "\n".join(ALL_LABELS)}),
        (
            "admin:installations_installation_add_key",
            dict.fromkeys(("label", "key", "scopes", "purposes"), ALL_LABELS[0]),
        ),
        ("admin:tokens_apikey_replace", dict.fromkeys(("key", "overlap", "last_day"), ALL_LABELS[0])),
        ("admin:tokens_purpose_new", dict.fromkeys(("code", "scopes", "acts_as", "owner"), ALL_LABELS[0])),
        ("admin:tokens_purpose_change_purpose", {"scopes": "\n".join(ALL_LABELS), "owner": "x", "description": "x"}),
        ("admin:tokens_serviceclient_new", {"name": ALL_LABELS[0], "portals": "\n".join(ALL_LABELS)}),
        ("admin:tokens_serviceclient_change_client", {"portals": "\n".join(ALL_LABELS), "purposes": ALL_LABELS[0]}),
        ("admin:installations_application_import", {"document": "{}", "kind": ALL_LABELS[0]}),
        ("admin:installations_application_import", {"document": json.dumps(dict.fromkeys(ALL_LABELS))}),
        ("admin:installations_application_import", {"document": "\n".join(ALL_LABELS)}),
        (
            "admin:installations_application_import",
            {"document": factories.manifest(**dict.fromkeys(("version", "name", "entrypointURL"), ALL_LABELS[0]))},
        ),
    ],
)
def test_what_a_form_refuses_comes_back_as_text(scene: Scene, key: str, body: dict[str, Any]) -> None:
    answer = scene.client("superuser").post(address(scene, key), {"reason": "A test.", **body})

    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert faults_of(answer.content.decode()) == []


@pytest.mark.parametrize(
    "query", ["q", "status__exact", "nothing", "o", "p", "all", "e", "_facets", "_changelist_filters"]
)
@pytest.mark.parametrize("kind", ["markup", "attribute", "direction", "control"])
def test_what_an_address_carries_comes_back_as_text(scene: Scene, query: str, kind: str) -> None:
    client = scene.client("superuser")
    answer = client.get("/admin/installations/installation/", {query: "".join(LABELS[kind])}, follow=True)

    assert answer.status_code in (200, 400)
    assert faults_of(answer.content.decode()) == []


def test_no_hostile_scope_can_be_approved(application: Any) -> None:
    installation = factories.installation(application)
    import_manifest(
        document=factories.manifest(permissions=["fin.read", *SCOPES]), kind=None, actor=factories.superactor()
    )
    installation.refresh_from_db()
    review = review_scopes(installation.manifest.requested_scopes, [])

    assert [row.code for row in review.to_decide] == ["fin"]
    assert [row.text for row in review.unknown] == SCOPES
    for scope in SCOPES:
        with nothing_changes(), pytest.raises(DomainError):
            approve_scopes(
                installation_id=installation.pk, requested=[scope], actor=factories.superactor(), reason="A test."
            )


def test_hostile_scope_is_told_from_the_one_that_it_imitates(scene: Scene) -> None:
    Manifest.objects.update(requested_scopes=["crm.accounts.full", *SCOPES])
    for where in ("installation_approve", "installation_change", "manifest_change"):
        page = scene.client("superuser").get(address(scene, f"admin:installations_{where}")).content.decode()
        codes = re.findall(r'<code class="id">(.*?)</code>', page, re.DOTALL)
        assert codes.count("crm.accounts.full") == 1
        for scope in SCOPES:
            shown = visible(scope, ascii_only=True)
            assert codes.count(shown) == 1, scope
            odd = not re.fullmatch(r"[ -~]+", scope) or scope != scope.strip()
            assert ('class="odd"' in shown) is odd
    values = re.findall(r'name="scope-[^"]*" value="([^"]+)"', page)
    assert {value.rpartition(".")[0] for value in values} <= {"crm.accounts"}


@given(st.text(max_size=60) | st.sampled_from(ALL_LABELS + SCOPES), st.booleans())
def test_any_text_is_shown_as_visible_text(text: str, ascii_only: bool) -> None:
    source = visible(text, ascii_only=ascii_only)

    page = Page(source)
    assert page.found == []
    assert set(re.findall(r"<(/?\w+)", source)) <= {"span", "/span", "bdi", "/bdi"}
    read = "".join(page.read)
    assert deceits(read) == set()
    assert read == visible_text(text, ascii_only=ascii_only)
    assert re.sub(r"\\(u[0-9A-F]{4}|U[0-9A-F]{8})", lambda m: chr(int(m[1][1:], 16)), read).replace("\\", "") == (
        re.sub(r"\\(u[0-9A-F]{4}|U[0-9A-F]{8})", lambda m: chr(int(m[1][1:], 16)), text).replace("\\", "")
    )
    assert len(one_line(text).splitlines()) <= 1
    if ascii_only:
        assert read.isascii()


@pytest.mark.parametrize("label", LABELS["right to left"])
def test_text_from_right_to_left_is_kept_from_what_stands_beside_it(label: str) -> None:
    assert visible(label) == f'<bdi dir="ltr">{label}</bdi>'


@pytest.mark.parametrize(
    "label", ["Zo\u00eb", "Vie\u0302\u0323t", "\u0e01\u0e34\u0e48", "O'Brien & S\u00f6hne", "\u5831\u544a"]
)
def test_honest_names_stay_as_they_are(label: str) -> None:
    assert visible_text(label) == label
