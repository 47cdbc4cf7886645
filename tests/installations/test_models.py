"""Constraints of the lower app, each broken once, and what rows say of themselves."""

import inspect
import sys
from contextlib import contextmanager

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from installations.filter_models import SavedFilter
from installations.models import (
    Application,
    ApprovalRequest,
    ApprovalRequestItem,
    ApprovedPermission,
    AuditEvent,
    AuditHead,
    BreakGlass,
    CatalogueEdition,
    Evidence,
    Installation,
    Liveness,
    Manifest,
    Portal,
    PortalUser,
    RefusedAttempts,
    ScopeUsage,
)
from installations.scopes import Approval, Level
from installations.selectors import review_scopes
from installations.services import withdraw_scopes
from tests import factories

DAY = "2026-04-01"
DAY_TIME = "2026-04-01T12:00:00Z"


@contextmanager
def refused(constraint, columns=""):
    """Expect exactly this constraint to refuse. SQLite names a unique constraint by its columns only."""
    named = constraint if connection.vendor == "postgresql" or not columns else columns
    with pytest.raises(IntegrityError, match=named), transaction.atomic():
        yield


@pytest.fixture
def record(application):
    return factories.launch(application)


@pytest.fixture
def installation(record):
    return record.installation


def approved(installation, **columns):
    return ApprovedPermission.objects.create(
        **{
            "installation": installation,
            "code": "crm",
            "level": "read",
            "catalogue_entry": {"catalogue": "1", "covers": []},
            "manifest": installation.manifest,
            "approved_by": "reviewer",
            "reason": "For a test.",
            "review_by": DAY,
            "active_on": DAY,
        }
        | columns
    )


def used(installation, **columns):
    values = {"code": "crm", "level": "read", "day": DAY, "last_at": timezone.now()}
    return ScopeUsage.objects.create(installation=installation, **values | columns)


@pytest.mark.parametrize(
    "domain", ["", "ACME.flowlu.com", "acme flowlu", "acme.flowlu.com/", "acme\n", "ácme.flowlu.com"]
)
def test_portal_has_a_plain_domain(db, domain):
    with refused("installations_portal_domain_is_plain"):
        Portal.objects.create(domain=domain)


def test_portal_is_there_once(record):
    with refused("installations_portal_domain", "installations_portal.domain"):
        Portal.objects.create(domain="acme.flowlu.com")


def test_application_kind_is_known(application):
    with refused("installations_application_kind_known"):
        Application.objects.update(kind="secret")


def test_application_is_there_once(application):
    with refused("installations_application_app_id", "installations_application.app_id"):
        Application.objects.create(app_id=application.app_id, name="Another")


def test_manifest_of_one_content_is_there_once(application):
    with refused("installations_manifest_content_once", "installations_manifest.sha256"):
        Manifest.objects.create(
            application=application, version="1.0.0", sha256=application.current_manifest.sha256, document={}
        )


@pytest.mark.parametrize("sha256", ["", "f" * 63, "F" * 64, "g" * 64, "f" * 63 + "\n"])
def test_manifest_sha256_is_hex(application, sha256):
    with refused("installations_manifest_sha256_is_hex"):
        Manifest.objects.create(application=application, version="1.0.0", sha256=sha256, document={})


def test_portal_user_is_there_once_per_portal(record):
    with refused("installations_portaluser_once_per_portal", "installations_portaluser.flowlu_user_id"):
        PortalUser.objects.create(portal=record.installation.portal, flowlu_user_id="7")


def test_same_flowlu_user_id_on_another_portal_is_another_user(record):
    other = Portal.objects.create(domain="globex.flowlu.com")

    assert PortalUser.objects.create(portal=other, flowlu_user_id="7") != record.portal_user


@pytest.mark.parametrize("user_id", ["", "7a", "-7", "7 ", "7\n", "٧"])
def test_portal_user_id_is_digits(record, user_id):
    with refused("installations_portaluser_id_is_digits"):
        PortalUser.objects.create(portal=record.installation.portal, flowlu_user_id=user_id)


@pytest.mark.parametrize("status", ["pending_approval", "active", "suspended"])
def test_one_installation_is_live(installation, status):
    with refused("installations_installation_one_live", "installations_installation.application_id"):
        Installation.objects.create(
            portal=installation.portal,
            application=installation.application,
            manifest=installation.manifest,
            generation=2,
            status=status,
        )


def test_generation_is_there_once(installation):
    with refused("installations_installation_generation", "installations_installation.generation"):
        Installation.objects.create(
            portal=installation.portal,
            application=installation.application,
            manifest=installation.manifest,
            generation=1,
            status="uninstalled",
            uninstalled_at=timezone.now(),
        )


def test_uninstalled_generations_stand_beside_the_live_one(installation):
    for generation in (2, 3):
        Installation.objects.create(
            portal=installation.portal,
            application=installation.application,
            manifest=installation.manifest,
            generation=generation,
            status="uninstalled",
            uninstalled_at=timezone.now(),
        )

    assert Installation.objects.count() == 3
    assert Installation.objects.live().get() == installation


def test_installation_status_is_known(installation):
    with refused("installations_installation_status_known|installations_installation_uninstalled_has_time"):
        Installation.objects.update(status="broken")


@pytest.mark.parametrize(
    ("status", "has_time"), [("uninstalled", False), ("pending_approval", True), ("active", True), ("suspended", True)]
)
def test_installation_has_a_time_of_uninstallation_iff_uninstalled(installation, status, has_time):
    with refused("installations_installation_uninstalled_has_time"):
        Installation.objects.update(status=status, uninstalled_at=timezone.now() if has_time else None)


def test_one_approval_of_a_code_is_in_force(installation):
    approved(installation, level="read")

    with refused("installations_approvedpermission_one_in_force", "installations_approvedpermission.code"):
        approved(installation, level="full")


def test_withdrawn_approvals_stay_beside_the_one_in_force(installation):
    for _time in range(2):
        approved(installation, withdrawn_at=timezone.now(), withdrawn_why="Over.")
    last = approved(installation)

    assert ApprovedPermission.objects.count() == 3
    assert ApprovedPermission.objects.in_force().get() == last


@pytest.mark.parametrize("level", ["", "FULL", "rw"])
def test_approved_level_is_known(installation, level):
    with refused("installations_approvedpermission_level_known"):
        approved(installation, level=level)


@pytest.mark.parametrize(("withdrawn", "why"), [(False, "Over."), (True, "")])
def test_approval_is_withdrawn_with_a_reason_or_not_at_all(installation, withdrawn, why):
    with refused("installations_approvedpermission_withdrawn_has_reason"):
        approved(installation, withdrawn_at=timezone.now() if withdrawn else None, withdrawn_why=why)


def test_approval_in_force_has_a_day_of_review(installation):
    with refused("installations_approvedpermission_has_review_by"):
        approved(installation, review_by=None)
    approved(installation, review_by=None, withdrawn_at=timezone.now(), withdrawn_why="Before there were reviews.")


@pytest.mark.parametrize(("reviewed", "why"), [(False, "Needed."), (True, "")])
def test_approval_is_reviewed_with_a_reason_or_not_at_all(installation, reviewed, why):
    with refused("installations_approvedpermission_reviewed_has_reason"):
        approved(installation, reviewed_at=timezone.now() if reviewed else None, reviewed_why=why)


def test_use_of_a_scope_by_a_user_is_one_row_a_day(record):
    used(record.installation, portal_user=record.portal_user)

    with refused("installations_scopeusage_user_day", "installations_scopeusage.day"):
        used(record.installation, portal_user=record.portal_user)


def test_use_of_a_scope_without_a_user_is_one_row_a_day(installation):
    used(installation)

    with refused("installations_scopeusage_system_day", "installations_scopeusage.day"):
        used(installation)


def test_chain_has_one_head(db):
    with refused("installations_audithead_only_one"):
        AuditHead.objects.create(id=2)


def test_audit_event_has_its_number_as_its_id(db):
    with refused("installations_auditevent_id_is_sequence"):
        AuditEvent.objects.bulk_create([AuditEvent(id=5, sequence=6, occurred_at=timezone.now())])


def test_refused_attempts_are_counted_in_one_row(db):
    key = {"actor_kind": "operator", "actor_id": "5", "via": "admin", "permission": "x"}
    RefusedAttempts.objects.create(**key, since=timezone.now())

    with refused("installations_refusedattempts_once", "installations_refusedattempts.permission"):
        RefusedAttempts.objects.create(**key, since=timezone.now())


def test_evidence_of_calls_is_kept_once_a_period(installation):
    period = timezone.now()
    Evidence.objects.create(installation=installation, kind=Evidence.Kind.CALL_ACCEPTED, period_start=period)
    Evidence.objects.create(installation=installation, kind=Evidence.Kind.CALL_DENIED, period_start=period)

    with refused("installations_evidence_once_a_period", "installations_evidence.period_start"):
        Evidence.objects.create(installation=installation, kind=Evidence.Kind.CALL_ACCEPTED, period_start=period)


def test_liveness_has_a_known_state(installation):
    with refused("installations_liveness_state_known"):
        Liveness.objects.update(state="removed")


def test_erased_portal_user_has_no_name(record):
    with refused("installations_portaluser_erased_has_no_name"):
        PortalUser.objects.update(erased_at=timezone.now())


def test_history_cannot_be_deleted_with_what_it_is_about(installation):
    for row in (installation, installation.portal, installation.application, installation.manifest):
        with pytest.raises(ProtectedError):
            row.delete()


def test_approval_is_read_with_the_copy_of_what_it_covered(application):
    found = factories.installation(application, approved=["crm.accounts.full"])
    row = found.approved_permissions.get()

    approval = row.as_approval()

    assert (approval.code, approval.level) == ("crm.accounts", Level.FULL)
    assert [rule.module for rule in approval.covers] == [entry["module"] for entry in row.catalogue_entry["covers"]]
    assert isinstance(approval, Approval)


@pytest.mark.parametrize("damaged", [{}, {"covers": None}, {"covers": [{"module": "crm"}]}, [], "crm"])
def test_damaged_approval_covers_nothing_and_can_still_be_shown_replaced_and_withdrawn(application, damaged):
    found = factories.installation(application, approved=["crm.accounts.full", "task.read"])
    row = found.approved_permissions.get(code="crm.accounts")
    row.catalogue_entry = damaged
    row.save()

    assert row.as_approval() == Approval("crm.accounts", Level.FULL, ())
    assert [line.covers_changed for line in review_scopes(["crm.accounts.full"], [row]).rows] == [True]
    factories.approve(found, "crm.accounts.full")
    whole = found.approved_permissions.in_force().get(code="crm.accounts")
    assert whole.as_approval().covers
    withdraw_scopes(
        installation_id=found.pk, codes=["crm.accounts"], actor=factories.superactor(), reason="For a test."
    )


def test_rows_name_themselves_by_public_values(record):
    found = record.installation

    assert str(found) == "com.example.desk on acme.flowlu.com (generation 1)"
    assert str(found.portal) == "acme.flowlu.com"
    assert str(found.application) == "Desk (com.example.desk)"
    assert str(found.manifest) == f"1.0.0 ({found.manifest.sha256[:8]})"
    assert str(record.portal_user) == "user 7 of acme.flowlu.com"
    assert str(approved(found)) == "crm.read"
    assert str(used(found)) == f"crm.read on {DAY}"
    assert str(Liveness.objects.get()) == f"seen #{found.pk}"
    assert str(Evidence.objects.get()) == f"launch #{Evidence.objects.get().pk}"


def test_pending_installations_are_those_that_wait_for_a_decision(application):
    waiting = factories.installation(application)
    factories.installation(application, portal="globex.flowlu.com", approved=["crm.accounts.read"])

    assert Installation.objects.pending().get() == waiting


def test_application_policy_is_known(application):
    with refused("installations_application_policy_known"):
        Application.objects.update(approval_policy="trust_all")


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"approved_by": ""}, "installations_approvedpermission_operator_named"),
        ({"source": "portal_admin"}, "installations_approvedpermission_operator_named"),
        ({"source": "magic"}, "installations_approvedpermission_source_known"),
    ],
)
def test_approval_says_who_decided(installation, columns, constraint):
    with refused(constraint):
        approved(installation, **columns)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "by reviewer"),
        ({"confirmed_by": "bob"}, "by reviewer, confirmed by bob"),
        ({"source": "alone"}, "by reviewer alone (break-glass)"),
        (
            {"source": "portal_admin", "approved_by": ""},
            "by policy, no operator: the portal's administrator is trusted",
        ),
    ],
)
def test_approval_is_said_by_whom(installation, columns, words):
    assert approved(installation, **columns).decided_in_words == words


def asked(installation, **columns):
    return ApprovalRequest.objects.create(
        **{
            "application": installation.application,
            "scopes": ["crm.read"],
            "reason": "For a test.",
            "requested_by_id": "1",
            "requested_by": "ana",
            "expires_at": timezone.now(),
        }
        | columns
    )


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"state": "maybe", "decided_at": DAY_TIME}, "installations_approvalrequest_state_known"),
        ({"state": "confirmed", "decided_by_id": "2"}, "installations_approvalrequest_decided_has_time"),
        ({"decided_at": DAY_TIME}, "installations_approvalrequest_decided_has_time"),
        (
            {"state": "confirmed", "decided_by_id": "1", "decided_at": DAY_TIME},
            "installations_approvalrequest_two_operators",
        ),
    ],
)
def test_request_is_decided_by_somebody_else(installation, columns, constraint):
    with refused(constraint):
        asked(installation, **columns)


def test_request_names_an_installation_once(installation):
    request = asked(installation)
    item = ApprovalRequestItem.objects.create(request=request, installation=installation, bound={})
    with refused("installations_approvalrequestitem_once", "installations_approvalrequestitem.request_id"):
        ApprovalRequestItem.objects.create(request=request, installation=installation, bound={})
    assert str(item) == f"installation #{installation.pk} of request #{request.pk}"
    assert str(request) == f"request #{request.pk}"


def test_break_glass_is_what_was_approved_alone(installation):
    asked(installation)
    alone = asked(installation, state="alone", decided_by_id="1", decided_at=DAY_TIME)

    assert str(BreakGlass.objects.get()) == f"break-glass approval #{alone.pk}"


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("installations_catalogueedition_sha256_is_hex", {"sha256": "x" * 64}),
        ("installations_catalogueedition_sha256_is_hex", {"sha256": ""}),
        ("installations_catalogueedition_number_from_1", {"number": 0}),
    ],
)
def test_edition_has_a_number_and_a_hash(db, name, columns):
    values = {"number": 1, "document": "{}", "sha256": "0" * 64, "shipped": "1", "saved_by": "x", "reason": "x"}
    with refused(name):
        CatalogueEdition.objects.create(**values | columns)


def test_every_named_constraint_is_broken_by_a_test():
    source = inspect.getsource(sys.modules[__name__])
    names = {
        constraint.name
        for model in apps.get_app_config("installations").get_models()
        for constraint in model._meta.constraints
    }
    assert {name for name in names if name not in source} == set()


def test_saved_filter_is_one_of_its_name_for_its_operator_and_list(superuser):
    columns = ("operator_id", "list_name", "name")
    for list_name, name in (("a", "Mine"), ("a", "Other"), ("b", "Mine")):
        SavedFilter.objects.create(operator_id=superuser.pk, list_name=list_name, name=name, parameters={})
    named = ", ".join(f"installations_savedfilter.{column}" for column in columns)
    with refused("installations_savedfilter_one_of_a_name", named):
        SavedFilter.objects.create(operator_id=superuser.pk, list_name="a", name="Mine", parameters={})
