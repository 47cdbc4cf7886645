"""Which index answers which list on PostgreSQL. Scans and sorts are off: a small table shows no other plan."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, transaction
from django.db.models import Model
from django.test import RequestFactory
from django.utils import timezone

from installations import reviews
from installations.admin.change_lists import ConsoleChangeList
from installations.admin.keyset import Keyset
from installations.models import (
    ApprovedPermission,
    AuditEvent,
    Evidence,
    Installation,
    Portal,
    PortalUser,
    ScopeUsage,
)
from installations.reviews import Asked
from tests import factories
from tokens.models import EmbedSession, OAuthToken, ServiceCall

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]
# model, what the address says, the index
OPENS: list[tuple[type[Model], str, str]] = [
    (PortalUser, "", "installations_user_list"),
    (Installation, "", "installations_inst_list_idx"),
    (ApprovedPermission, "", "installations_approved_list"),
    (ApprovedPermission, "source__exact=alone", "installations_approved_source"),
    (Evidence, "", "installations_evidence_age_idx"),
    (Evidence, "kind__exact=launch", "installations_evidence_kind"),
    (AuditEvent, "", "installations_auditevent_sequence_key"),
    (AuditEvent, "verb=tokens.revoked", "installations_audit_verb"),
    (AuditEvent, "actor_kind=system", "installations_audit_kind"),
    (AuditEvent, "via=command", "installations_audit_via"),
    (AuditEvent, "target_kind=portal&target_id=acme.flowlu.com", "installations_audit_target"),
    (AuditEvent, "installation_id=7", "installations_audit_inst"),
    (AuditEvent, "actor_kind=operator&actor_id=7", "installations_audit_who"),
    (OAuthToken, "", "tokens_oauthtoken_list_idx"),
    (OAuthToken, "state__exact=stale", "tokens_oauthtoken_state_idx"),
    (EmbedSession, "", "tokens_embedsession_list_idx"),
    (ServiceCall, "", "tokens_servicecall_at_idx"),
    (Portal, "", "installations_portal_domain"),
]


@pytest.fixture
def row_of_each(db: None) -> None:
    made = factories.launch(factories.application())
    token = factories.token(made.installation, made.portal_user)
    factories.approve(made.installation, "crm.accounts.read")
    EmbedSession.objects.create(token_hash="0" * 64, oauth_token=token, expires_at=token.created_at)
    ServiceCall.objects.create(installation=made.installation, outcome="ok")


def the_list(model: type[Model], query: str, user: Any) -> ConsoleChangeList:
    request = RequestFactory().get(f"/?{query}")
    request.user = user
    found = admin.site.get_model_admin(model).get_changelist_instance(request)
    assert isinstance(found, ConsoleChangeList)
    return found


def plan_of(rows: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
        compiled, values = rows.query.sql_with_params()
        cursor.execute(f"EXPLAIN {compiled}", values)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.parametrize(("model", "query", "index"), OPENS, ids=lambda value: str(getattr(value, "__name__", value)))
def test_list_opens_by_its_index(row_of_each: None, superuser: Any, model: type[Model], query: str, index: str) -> None:
    found = the_list(model, query, superuser)
    _without_other_indexes(model, index)
    plan = plan_of(found.queryset[:51])
    assert f" {index}" in plan
    assert not re.search(r"(?<!Incremental )Sort  \(", plan), plan
    assert not query or "Index Cond" in _scan(plan, index), plan


@pytest.mark.parametrize(
    ("asked", "indexes"),
    [
        (Asked.TO_DECIDE, ["day", "use"] * 3),
        (Asked.DUE, ["day"] * 3),
        (Asked.OVERDUE, ["day"] * 3),
        (Asked.UNUSED, ["use"] * 3),
        (Asked.ALL, ["day"] * 3),
    ],
)
def test_each_part_of_the_queue_is_in_the_order_of_an_index(
    row_of_each: None, asked: Asked, indexes: list[str]
) -> None:
    """Among a handful of rows any index costs the same: each is tried without the others."""
    installation = Installation.objects.get()
    long_ago = timezone.now() - timedelta(days=500)
    ScopeUsage.objects.create(installation=installation, code="x", level="read", day=long_ago, last_at=long_ago)
    parts = reviews.queue(ApprovedPermission.objects.all(), asked)
    assert len(parts) == len(indexes)
    for name in set(indexes):
        with transaction.atomic():
            _without_other_indexes(ApprovedPermission, f"installations_approved_{name}")
            for part, index in zip(parts, indexes, strict=True):
                if index == name:
                    plan = plan_of(part[:51])
                    assert f" installations_approved_{index}" in plan
                    assert not re.search(r"Sort  \(", plan), plan
                    assert asked is Asked.ALL or "Index Cond" in _scan(plan, f"installations_approved_{index}"), plan
            transaction.set_rollback(True)


def test_unused_of_few_scopes_are_found_by_their_code(row_of_each: None) -> None:
    long_ago = timezone.now() - timedelta(days=500)
    ScopeUsage.objects.create(
        installation=Installation.objects.get(), code="x", level="read", day=long_ago, last_at=long_ago
    )
    (part,) = reviews.queue(ApprovedPermission.objects.all(), Asked.UNUSED, ["high"], {"high": {"fin"}})
    _without_other_indexes(ApprovedPermission, "installations_approved_code")
    plan = plan_of(part[:51])
    assert "code" in _scan(plan, "installations_approved_code"), plan
    assert not re.search(r"Sort  \(", plan), plan


def _without_other_indexes(model: type[Model], index: str) -> None:
    """Until the test ends. Among a handful of rows one that knows less costs the same, and the planner takes either."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = %s::regclass AND NOT EXISTS "
            "(SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
            [table],
        )
        for (other,) in cursor.fetchall():
            if not other.startswith(index):
                cursor.execute(f"DROP INDEX {other}")
        # The key and what is unique are indexes too.
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('p', 'u') "
            "AND NOT starts_with(conname, %s)",
            [table, index],
        )
        for (constraint,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint} CASCADE")


def _scan(plan: str, index: str) -> str:
    """Return what a plan says of the scan of an index."""
    return plan.split(f" {index}", 1)[1].split("->", 1)[0]


@pytest.mark.parametrize(
    ("model", "index"),
    [(model, index) for model, query, index in OPENS if not query and model not in (Evidence, ServiceCall)],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
def test_place_in_a_list_is_found_by_its_index(
    row_of_each: None, superuser: Any, model: type[Model], index: str
) -> None:
    """The condition is one of the index, not a filter over rows that are walked to."""
    rows = the_list(model, "", superuser).queryset
    keyset = Keyset(rows, rows.query.order_by)
    (row,) = keyset.first(1)
    _without_other_indexes(model, index)
    for condition in keyset.ranges(keyset.place_of(row), backwards=False):
        plan = plan_of(keyset.sorted(backwards=False).filter(condition)[:51])
        assert "Index Cond" in _scan(plan, index), plan
