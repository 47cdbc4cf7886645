"""Migrations: the trigger comes and goes with its step, a second `migrate` changes nothing, and no step leans on code."""

import ast
from datetime import UTC, date, datetime, timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations import RunPython, RunSQL
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from flowlu_admin.roles import ROLES
from installations import catalogue
from installations.audit import Event, append, audit_keys
from installations.models import (
    ApprovedPermission,
    AuditEvent,
    CatalogueEdition,
    Evidence,
    Installation,
    Liveness,
)
from installations.services import withdraw_scopes
from installations.trail.verifying import DatabaseVerification
from tests import catalogues, factories
from tokens.models import ApiKey, Purpose
from tokens.services import probing

OURS = ("installations", "tokens")
BEFORE = [("installations", "0001_initial")]
AFTER = [("installations", "0002_audit_trail_append_only")]
NEWEST = [("installations", "0005_audit_prefix_may_go")]
TRIGGER = "installations_auditevent_append_only"
FUNCTION = "installations_auditevent_refuse"


def steps():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return [step for (app, _name), step in sorted(loader.disk_migrations.items()) if app in OURS]


def migrate_to(targets):
    MigrationExecutor(connection).migrate(targets)


def in_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname = %s", [TRIGGER])
        triggers = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM pg_proc WHERE proname = %s", [FUNCTION])
        return triggers, cursor.fetchone()[0]


@pytest.fixture
def event(transactional_db):
    with transaction.atomic():
        append(factories.superactor(), Event("test.done", "thing", "1"))


@pytest.fixture
def _migrated_again(transactional_db):
    yield
    migrate_to(MigrationExecutor(connection).loader.graph.leaf_nodes())


@pytest.mark.postgresql
@pytest.mark.usefixtures("_migrated_again")
def test_trigger_goes_and_comes_with_its_step(event):
    assert in_database() == (1, 1)

    migrate_to(BEFORE)
    assert in_database() == (0, 0)
    assert AuditEvent.objects.filter(verb="test.done").count() == 1
    with connection.cursor() as cursor:
        cursor.execute("UPDATE installations_auditevent SET reason = 'x'")

    migrate_to(AFTER)
    assert in_database() == (1, 1)
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE installations_auditevent SET reason = 'y'")


@pytest.mark.postgresql
@pytest.mark.usefixtures("_migrated_again")
@pytest.mark.parametrize("table", ["installations_auditevent", "installations_auditcheckpoint"])
def test_refusal_to_truncate_goes_and_comes_with_its_step(event, table):
    migrate_to([("installations", "0007_refreshed_by_server")])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        transaction.set_rollback(True)

    migrate_to([("installations", "0008_audit_trail_refuses_truncate")])
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
    assert AuditEvent.objects.filter(verb="test.done").count() == 1


@pytest.mark.postgresql
@pytest.mark.usefixtures("_migrated_again")
def test_editions_of_the_catalogue_are_append_only_from_their_step_on(transactional_db):
    table = "installations_catalogueedition"
    catalogues.save(catalogues.entry("warehouse"))
    changes = (f"UPDATE {table} SET reason = 'x'", f"TRUNCATE {table}", f"DELETE FROM {table}")
    migrate_to([("installations", "0017_catalogue_edition")])
    for change in changes:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)
            transaction.set_rollback(True)

    migrate_to([("installations", "0018_catalogue_editions_append_only")])
    for change in changes:
        with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(change)
    catalogues.save(catalogues.entry("garage"))
    assert [row.number for row in CatalogueEdition.objects.order_by("number")] == [1, 2]


@pytest.mark.usefixtures("_migrated_again")
def test_step_of_the_trigger_leaves_rows_alone_on_either_database(event):
    before = list(AuditEvent.objects.values())

    migrate_to(BEFORE)
    migrate_to(AFTER)

    assert list(AuditEvent.objects.values()) == before


@pytest.mark.usefixtures("_migrated_again")
def test_events_get_their_numbers_as_ids_and_keep_their_hashes(transactional_db):
    with transaction.atomic():
        append(factories.superactor(), *(Event("test.done", "thing", str(number)) for number in range(5)))
    before = {row["sequence"]: row["hash"] for row in AuditEvent.objects.values()}
    migrate_to(AFTER)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"ALTER TABLE installations_auditevent DISABLE TRIGGER {TRIGGER}")
        # As rows that were rolled back left gaps: an id may be the number of a later row.
        cursor.execute("UPDATE installations_auditevent SET id = -(sequence + 2)")
        cursor.execute("UPDATE installations_auditevent SET id = -id")

    migrate_to(NEWEST)

    assert {row["sequence"]: row["hash"] for row in AuditEvent.objects.values()} == before
    assert [(row.pk, row.sequence) for row in AuditEvent.objects.order_by("pk")] == [(n, n) for n in range(1, 6)]
    assert list(DatabaseVerification(audit_keys())) == []


@pytest.mark.usefixtures("_migrated_again")
@pytest.mark.usefixtures("_migrated_again")
def test_purposes_and_keys_keep_what_the_shipped_catalogue_says(transactional_db):
    installation = factories.installation(factories.application(), approved=["crm.accounts.full"])
    purpose = factories.purpose("nightly", acts_as="system")
    key = factories.api_key(installation, purposes=[purpose])
    covers = purpose.covers
    assert covers == key.covers != {}
    Purpose.objects.update(covers={})
    ApiKey.objects.update(covers={})

    migrate_to([("tokens", "0009_what_named_scopes_cover")])
    migrate_to([("tokens", "0010_named_scopes_as_shipped")])

    assert list(Purpose.objects.values_list("covers", flat=True)) == [covers]
    assert list(ApiKey.objects.values_list("covers", flat=True)) == [covers]


@pytest.mark.usefixtures("_migrated_again")
def test_last_approval_says_what_was_decided_about(transactional_db):
    application = factories.application()
    old = application.current_manifest
    found = factories.installation(application, approved=["crm.accounts.read"])
    untouched = factories.installation(application, portal="globex.flowlu.com")
    factories.application(permissions=["crm.accounts.full"], version="2.0.0")
    Installation.objects.update(decided_manifest=None)

    migrate_to([("installations", "0010_decided_manifest")])
    migrate_to([("installations", "0011_decide_by_the_last_approval")])

    decided = dict(Installation.objects.values_list("pk", "decided_manifest"))
    assert decided == {found.pk: old.pk, untouched.pk: None}


@pytest.mark.usefixtures("_migrated_again")
def test_evidence_that_retention_took_is_made_up_for(transactional_db):
    application = factories.application()
    kept, lost = (factories.launch(application, portal=f"{name}.flowlu.com").installation for name in ("acme", "umbra"))
    gone, stated = (factories.launch(application, portal=f"{name}.flowlu.com").installation for name in ("old", "new"))
    left = timezone.now() - timedelta(days=500)
    Installation.objects.filter(pk__in=[gone.pk, stated.pk]).update(status="uninstalled", uninstalled_at=left)
    Evidence.objects.filter(installation__in=[lost, gone]).delete()
    Evidence.objects.create(installation=stated, kind="operator_statement", observed_at=left)

    migrate_to([("installations", "0012_evidence_by_age")])
    migrate_to([("installations", "0015_evidence_of_before")])
    migrate_to([("installations", "0014_liveness")])
    migrate_to([("installations", "0015_evidence_of_before")])

    found = Evidence.objects.order_by("pk").values_list("installation", "kind", "observed_at")
    assert {pk: [(kind, at) for own, kind, at in found if own == pk] for pk in (lost.pk, gone.pk)} == {
        lost.pk: [("launch", lost.last_seen_at)],
        gone.pk: [("launch", gone.last_seen_at), ("operator_statement", left)],
    }
    assert [kind for own, kind, _at in found if own == kept.pk] == ["launch"]
    assert [kind for own, kind, _at in found if own == stated.pk] == ["launch", "operator_statement"]
    assert set(Liveness.objects.values_list("pk", "judged_at")) == {
        (row.pk, None) for row in (kept, lost, gone, stated)
    }
    migrate_to(MigrationExecutor(connection).loader.graph.leaf_nodes())
    probing.judge_liveness(lambda: False)
    assert dict(Liveness.objects.values_list("pk", "state")) == {
        kept.pk: "seen",
        lost.pk: "seen",
        gone.pk: "confirmed_removed",
        stated.pk: "confirmed_removed",
    }


@pytest.mark.usefixtures("_migrated_again")
def test_old_approvals_get_their_day_of_review_by_the_shipped_risk(transactional_db):
    """What is long past is due today, what was withdrawn keeps none, and a second run changes nothing."""
    known = catalogue.load()
    scopes = [f"{entry.code}.{level}" for entry in known.entries if entry.enabled for level in ("read", "full")]
    here = [
        factories.installation(factories.application(f"com.example.{level}", permissions=scopes))
        for level in ("read", "full")
    ]
    for installation, level in zip(here, ("read", "full"), strict=True):
        factories.approve(installation, *(scope for scope in scopes if scope.endswith(level)))
    dates = {str(row): row.review_by for row in ApprovedPermission.objects.all()}
    assert len(dates) == len(scopes)
    old = factories.installation(factories.application(permissions=scopes), approved=["task.read", "fin.read"])
    withdraw_scopes(installation_id=old.pk, codes=["fin"], actor=factories.superactor(), reason="Over.")
    longer_ago = timezone.now() - timedelta(days=1000)
    ApprovedPermission.objects.filter(installation=old).update(approved_at=longer_ago)
    unknown = ApprovedPermission.objects.get(installation=old, code="task")
    unknown.pk, unknown.code, unknown.approved_at = None, "no.longer.known", timezone.now()
    unknown.save()
    migrate_to([("installations", "0019_reviews_of_approvals")])
    ApprovedPermission.objects.update(review_by=None)

    for _time in range(2):
        migrate_to([("installations", "0020_review_by_of_old_approvals")])
        migrate_to([("installations", "0019_reviews_of_approvals")])

    rows = ApprovedPermission.objects.all()
    assert {str(row): row.review_by for row in rows.filter(installation__in=here)} == dates
    today = timezone.now().date()
    assert {(row.code, row.review_by) for row in rows.filter(installation=old)} == {
        ("task", today),
        ("fin", None),
        ("no.longer.known", today + timedelta(days=90)),
    }


@pytest.mark.usefixtures("_migrated_again")
def test_old_approvals_get_the_day_of_their_approval(transactional_db):
    """By UTC, and only those of which no day was noted."""
    here = factories.installation(factories.application(), approved=["task.read", "fin.read"])
    rows = ApprovedPermission.objects.filter(installation=here)
    rows.filter(code="fin").update(approved_at=datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
    migrate_to([("installations", "0027_saved_filters")])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE installations_approvedpermission SET active_on = NULL WHERE code = 'fin'")

    migrate_to(MigrationExecutor(connection).loader.graph.leaf_nodes())

    assert dict(rows.values_list("code", "active_on")) == {
        "fin": date(2026, 3, 1),
        "task": timezone.now().astimezone(UTC).date(),
    }


def test_everything_can_be_taken_back_and_made_anew(transactional_db):
    tables = {model._meta.db_table for app in OURS for model in apps.get_app_config(app).get_models()}

    migrate_to([("tokens", None), ("installations", None)])
    assert tables & set(connection.introspection.table_names()) == set()

    migrate_to(MigrationExecutor(connection).loader.graph.leaf_nodes())
    assert tables - set(connection.introspection.table_names()) == set()


def groups_and_permissions():
    return (
        {group.name: sorted(group.permissions.values_list("pk", flat=True)) for group in Group.objects.all()},
        sorted(Permission.objects.values_list("pk", "codename")),
    )


@pytest.mark.django_db
def test_migrating_twice_gives_the_same_groups_and_permissions():
    call_command("migrate", verbosity=0)
    first = groups_and_permissions()

    call_command("migrate", verbosity=0)

    assert groups_and_permissions() == first
    assert first[0].keys() == ROLES.keys()
    assert {name: len(held) for name, held in first[0].items()} == {name: len(held) for name, held in ROLES.items()}


@pytest.mark.django_db
def test_models_and_migrations_agree():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_every_step_says_what_it_does():
    assert [step.name for step in steps() if "auto" in step.name or len(step.name) < len("0001_initial")] == []


def test_every_data_step_can_be_taken_back():
    data_steps = [
        (step.name, operation.reversible)
        for step in steps()
        for operation in step.operations
        if isinstance(operation, RunPython | RunSQL)
    ]
    assert data_steps == [
        ("0002_audit_trail_append_only", True),
        ("0003_audit_ids_are_sequences", True),
        ("0005_audit_prefix_may_go", True),
        ("0008_audit_trail_refuses_truncate", True),
        ("0011_decide_by_the_last_approval", True),
        ("0015_evidence_of_before", True),
        ("0018_catalogue_editions_append_only", True),
        ("0020_review_by_of_old_approvals", True),
        ("0023_names_by_word", True),
        ("0028_day_of_old_approvals", True),
        ("0010_named_scopes_as_shipped", True),
    ]


def test_schema_and_data_are_in_steps_of_their_own():
    for step in steps():
        kinds = {isinstance(operation, RunPython | RunSQL) for operation in step.operations}
        assert len(kinds) == 1, step.name


# Named by a step and therefore never moved.
KEPT_PLACES = set()


@pytest.mark.parametrize("app", OURS)
def test_no_step_imports_code_that_may_change(project_root, app):
    imported = set()
    for path in (project_root / app / "migrations").glob("0*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}

    ours = {name for name in imported if name.partition(".")[0] in {"installations", "tokens", "flowlu_admin", "tests"}}
    assert ours - KEPT_PLACES == set()
