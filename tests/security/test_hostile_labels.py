"""Whatever strangers write into names, labels, reasons and scopes is text to read, on every page and in every output.

No element or attribute comes out of it, nothing in it is invisible or turns the text around it, and nothing that
looks like a scope can be approved in its place. Columns are walked from the models: a new one without a row fails.
"""

import io
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import hypothesis.strategies as st
import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import models
from django.test import Client
from hypothesis import given, settings

from flowlu_admin.redaction import RedactingFormatter, RedactionFilter
from installations import audit, catalogue, manifests
from installations.actors import Actor, ActorKind, Via, command_actor
from installations.admin.text import visible
from installations.deception import one_line, visible_text
from installations.errors import DomainError
from installations.models import ApprovedPermission, AuditEvent, Installation, PortalUser
from installations.services import approve_scopes, import_manifest, withdraw_scopes
from tests import factories
from tests.embedded import Frontend
from tests.security.labels import ATTRIBUTE, ELEMENT, LABELS, SCOPES
from tests.security.scene import Scene, set_up
from tests.security.test_permission_matrix import ACTS, COMMANDS, PATTERNS, address
from tests.unchanged import nothing_changes
from tokens.models import Revocation

pytestmark = pytest.mark.django_db

ALL_LABELS = [label for labels in LABELS.values() for label in labels]
# Short enough for the shortest column; each text that reaches a page says by its number where it came from.
PROBE = "zq{}<zqx zqy='\">\u202e\u200b\x1b\u0301\u0301\u0301\u0301\u0301{{{{7*7}}}}c\u0430t=1"
SEEN = re.compile(r"zq(\d+)<zqx")

# Text columns that only this service fills, from words of its own: the reason is that no stranger's text gets there.
OURS = {
    "installations.AuditEvent": "actor_kind via verb target_kind previous_hash hash key_id",
    "installations.AuditHead": "hash",
    "installations.Portal": "domain",  # the database takes letters, digits, dots and dashes only
    "installations.Application": "kind approval_policy refreshed_by allowed_portals",
    "installations.Manifest": "sha256",
    "installations.PortalUser": "flowlu_user_id",  # digits
    "installations.Installation": "status",
    "installations.ApprovedPermission": "code level catalogue_entry source",  # from the catalogue
    "installations.Evidence": "kind",
    "tokens.OAuthToken": "access_fingerprint refresh_fingerprint fingerprint_key_id seal_key_id state",
    "tokens.EmbedSession": "token_hash",
    "tokens.Revocation": "scope upstream",
    "tokens.RevokedFingerprint": "fingerprint fingerprint_key_id",
    "tokens.RefreshAttempt": "outcome",
    "auth.User": "password",
}
# Columns that strangers, or other operators, write; shown somewhere in the console.
THEIRS = {
    "installations.AuditEvent": "actor_id actor_name target_id reason details",
    "installations.Application": "app_id name",
    "installations.Manifest": "version document requested_scopes",
    "installations.PortalUser": "name",
    "installations.Installation": "reported_version",
    "installations.ApprovedPermission": "approved_by reason withdrawn_by withdrawn_why",
    "installations.Evidence": "integration_point",
    "tokens.Revocation": "actor_name reason",
    "auth.User": "username",
}
# Written by operators or later features, and on no page yet.
NOT_SHOWN = {
    "installations.Application": "allowed_origins",
    "installations.ScopeUsage": "purpose code level",
    "tokens.ApiKey": "label fingerprint fingerprint_key_id seal_key_id scopes state",
    "tokens.Purpose": "code description scopes acts_as owner",
    "tokens.ServiceClient": "name key_hash",
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
    for model in [*watched, apps.get_model("auth.User")]:
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
        manifest=scene.installation.manifest, approved_by="x", reason="x",
    )  # fmt: skip
    approved.withdrawn_at, approved.withdrawn_why = approved.approved_at, "x"
    approved.save()
    audit.append(
        Actor(ActorKind.OPERATOR, *(probe("installations.AuditEvent", name) for name in ("actor_id", "actor_name")), Via.ADMIN),
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
    if name == "document":
        rows.update(document={"appId": "x", text: text, "integrationPoints": {"a": text}})
    elif name == "requested_scopes":
        rows.update(requested_scopes=["fin.read", "crm.deals.read", text])
    elif name.startswith("withdrawn"):
        rows.filter(withdrawn_at__isnull=False).update(**{name: text})
    else:
        rows.update(**{name: text})


class Page(HTMLParser):
    """What a browser makes of a page: elements, attributes, and the text that people read."""

    # What a person typed stands in these as it was typed, so that it can be sent again.
    RAW = (("input", "value"), ("textarea", None))

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.words: list[str] = []
        self._open = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        if tag == ELEMENT:
            self.found.append(f"element {tag}")
        for name, value in attrs:
            if name == ATTRIBUTE or not re.fullmatch(r"[a-z][a-z0-9:-]*", name):
                self.found.append(f"attribute {name!r} of {tag}")
            if name.startswith("on") and name not in ("once",):
                self.found.append(f"handler {name} of {tag}")
            if name in ("href", "src", "action") and re.match(r"\s*(javascript|data|vbscript):", value or "", re.I):
                self.found.append(f"{name} of {tag} is {value!r}")
            if (tag, name) not in self.RAW:
                self.words.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""
        if tag == ELEMENT:
            self.found.append(f"end of {tag}")

    def handle_comment(self, data: str) -> None:
        if "zq" in data:  # Django's own pages have comments
            self.found.append(f"comment {data[:40]!r}")

    def handle_data(self, data: str) -> None:
        if self._open != "textarea":
            self.words.append(data)


def faults_of(source: str) -> list[str]:
    """Return what a label did to a page, nothing when it is only text."""
    page = Page(source)
    return page.found + [ascii(text.strip()) for text in page.words if deceits(text)]


def deceits(text: str) -> set[str]:
    """Return what a reader would not see, or take for something else."""
    unseen = {
        character
        for character in text
        if character not in "\n\t\r\u00a0"
        and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"}
    }
    return unseen | set(re.findall("c\u0430t|\u0301{4,}", text))


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


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    """Return what carries each act out, with a hostile reason."""
    reason = {"reason": probe("installations.AuditEvent", "reason")}
    return dict.fromkeys(ACTS, reason) | {
        "admin:installations_installation_approve": {
            **reason,
            "seen_manifest": scene.installation.manifest.sha256,
            "scope-fin": "fin.read",
        },
        "admin:installations_installation_withdraw": {**reason, "codes": "crm.accounts"},
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
def test_no_act_takes_a_label_for_more_than_text(scene: Scene, key: str) -> None:
    client, where = scene.client("superuser"), address(scene, key)
    _make_possible(scene, key)

    for body in ({"reason": ""}, bodies(scene)[key]):
        answer = client.post(where, body, follow=True)
        assert answer.status_code == 200
        assert faults_of(answer.content.decode()) == []
    assert answer.redirect_chain, answer.context["form"].errors
    assert len(list(answer.context["messages"])) == 1


def _make_possible(scene: Scene, key: str) -> None:
    if key.endswith("resume"):
        Installation.objects.update(status="suspended")


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("admin:installations_installation_withdraw", {"codes": ALL_LABELS, "keep": ALL_LABELS}),
        ("admin:installations_installation_approve", {"scope-fin": ALL_LABELS[0], "seen_manifest": ALL_LABELS[1]}),
        ("admin:installations_application_configure", {"allowed_portals": "\n".join(ALL_LABELS)}),
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


@pytest.fixture
def shell(application: Any) -> Scene:
    """An installation whose application has the worst id that an import takes, and the worst that a row may hold."""
    scene = set_up(application)
    type(application).objects.update(app_id="de\u0455k\u202e\x1b]0;owned\x07", name="De\u0455k\u202e\x1b]0;owned\x07")
    return scene


def run(name: str, *arguments: str) -> str:
    """Return all that a command printed, refusals included."""
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=out)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue().removesuffix("\n")


OPERATOR_COMMANDS = {name: arguments for name, (_who, arguments) in COMMANDS.items() if arguments}


@pytest.mark.parametrize("command", OPERATOR_COMMANDS)
def test_no_command_writes_to_the_terminal_what_a_label_holds(shell: Scene, command: str) -> None:
    app_id = type(shell.application).objects.get().app_id
    arguments = [app_id if text == "com.example.desk" else text for text in OPERATOR_COMMANDS[command]]

    said = run(command, *arguments, "--operator", "superuser", "--reason", "A test.")

    assert "\\u202E\\u001B]0;owned\\u0007" in said
    assert deceits(said) == set()
    assert "\n" not in said


@pytest.mark.parametrize("command", OPERATOR_COMMANDS)
def test_what_a_command_refuses_is_one_visible_line(shell: Scene, command: str) -> None:
    label = "".join(ALL_LABELS)
    app_id = type(shell.application).objects.get().app_id
    there = ["--portal", "acme.flowlu.com", f"--app={app_id}", "--operator", "superuser"]
    tries = {
        "portal": [f"--portal={label}", "--app=x", "--operator", "superuser", "--reason=x"],
        "app": ["--portal", "acme.flowlu.com", f"--app={label}", "--operator", "superuser", "--reason=x"],
        "operator": ["--portal", "acme.flowlu.com", f"--app={app_id}", f"--operator={label}", "--reason=x"],
        "reason": [*there, f"--reason={label}"],
    }
    for what, arguments in tries.items():
        scopes = ["x"] if "scopes" in command else []
        said = run(command, *scopes, *arguments)
        assert said, what
        assert deceits(said) == set(), what
        assert "\n" not in said, what


@pytest.mark.parametrize("command", ["approve_scopes", "withdraw_scopes"])
def test_scope_that_is_named_in_a_shell_is_refused_in_one_visible_line(shell: Scene, command: str) -> None:
    app_id = type(shell.application).objects.get().app_id
    there = ("--portal", "acme.flowlu.com", f"--app={app_id}", "--operator", "superuser", "--reason=x")
    for scope in SCOPES:
        with nothing_changes():
            said = run(command, *there, "--", scope)
        assert said
        assert deceits(said) == set()
        assert "\n" not in said


def test_imported_manifest_writes_no_label_to_the_terminal(tmp_path: Any) -> None:
    file = tmp_path / "manifest.json"
    hostile = {label: label for label in ALL_LABELS}
    file.write_text(factories.manifest("de\u0455k", permissions=[*SCOPES, *ALL_LABELS], **hostile), encoding="utf-8")

    said = run("import_manifest", str(file))

    assert said.splitlines()[-1].endswith(": registered")
    assert all(line.startswith("note: ") for line in said.split("\n")[:-1])
    assert deceits(said) == set()


def test_refused_manifest_writes_no_label_to_the_terminal(tmp_path: Any) -> None:
    file = tmp_path / f"{'m' + LABELS['direction'][0]}.json"
    for label in ALL_LABELS:
        file.write_text(factories.manifest(label, name=label, version=label, entrypointURL=label, author=label))
        said = run("import_manifest", str(file))
        assert deceits(said) == set()
        assert all(line.startswith("  ") for line in said.split("\n")[1:])
    assert deceits(run("import_manifest", str(tmp_path / "".join(LABELS["direction"])))) == set()
    file.write_text('{"a\\u202e\\u001b[2J": 1, "a\\u202e\\u001b[2J": 2}')
    assert deceits(run("import_manifest", str(file))) == set()
