"""Each kind is told once when it happens or begins, to who may see it and chose so, and never for what came before."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.db.models import F
from django.db.models.signals import post_init
from django.utils import timezone

from flowlu_admin.notices import sources
from flowlu_admin.notices.kinds import CHOSEN, How, Kind
from flowlu_admin.notices.models import (
    Notice,
    NoticeChoice,
    NoticeCondition,
    NoticeCursor,
    NoticeDelivery,
    NoticeOccasion,
)
from flowlu_admin.notices.occasions import MOST
from flowlu_admin.notices.telling import look
from installations import audit
from installations.approval_requests import approve_alone, refuse_request, request_approval
from installations.models import Application, ApprovedPermission, AuditHead, Installation, Liveness
from installations.services import import_manifest, record_launch_locked
from tests import factories
from tests.flowlu_admin.notices.conftest import told
from tokens import vault
from tokens.models import OAuthToken
from tokens.services.revocation import revoke_tokens
from tokens.services.sessions import note_undecryptable
from tokens.targets import RevocationTarget

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("begun")]

WHY = {"actor": factories.superactor(), "reason": "A test."}


def occasions() -> list[tuple[str, int, str]]:
    rows = NoticeOccasion.objects.order_by("pk")
    return [(row.kind, row.count, row.label) for row in rows]


def wants(operator: User, how: How, *kinds: Kind) -> None:
    for kind in kinds or CHOSEN:
        NoticeChoice.objects.update_or_create(operator=operator, kind=kind, defaults={"how": how})


@pytest.fixture
def mia(db: None) -> User:
    """A superuser with a mail address, who wants everything at once."""
    operator = told("mia", superuser=True)
    wants(operator, How.AT_ONCE)
    return operator


@pytest.fixture
def here(application: Application) -> Installation:
    return launched(application)


def launched(application: Application, portal: str = "acme.flowlu.com") -> Installation:
    """Return an installation that a handshake made, with its event in the trail."""
    with transaction.atomic():
        record = record_launch_locked(
            portal=portal,
            application=application,
            flowlu_user_id="7",
            user_name="Ana Ruiz",
            is_portal_admin=False,
            reported_version="1.0.0",
            integration_point="",
        )
        audit.append(WHY["actor"], *record.events)
    return record.installation


def settled() -> None:
    """Let what came under suspicion be long enough ago to be told."""
    NoticeCursor.objects.update(until=timezone.now() - timedelta(minutes=9))
    Liveness.objects.filter(since__isnull=False).update(since=timezone.now() - timedelta(minutes=3))


def found_wrong(findings: int) -> None:
    with transaction.atomic():
        details = {"events": 1, "findings": findings, "with_anchor": False}
        audit.append(WHY["actor"], audit.Event("audit.verified", "audit trail", "1", details=details))


def suspect(here: Installation) -> None:
    factories.suspect(here)
    settled()


def ask(here: Installation, settings: Any, by: str = "asker") -> Any:
    settings.FOUR_EYES = "on"
    actor = factories.actor(User.objects.filter(username=by).first() or factories.operator(by, "Reviewer"))
    return request_approval(installation_id=here.pk, requested=["fin.read"], actor=actor, reason="A test.").request


def alone(here: Installation, settings: Any) -> None:
    settings.FOUR_EYES = "on"
    approve_alone(installation_id=here.pk, requested=["fin.read"], **WHY)


def asks_for_more(here: Installation, settings: Any) -> None:
    factories.approve(here, *factories.SCOPES)
    document = factories.manifest(permissions=[*factories.SCOPES, "crm.leads.full"], version="2.0.0")
    import_manifest(document=document, kind=None, actor=WHY["actor"])


def revoke_all(here: Installation, settings: Any) -> None:
    factories.token(here, here.portal.users.get())
    revoke_tokens(target=RevocationTarget.of_installation(here.pk), **WHY)


def come_due(here: Installation, settings: Any) -> None:
    factories.approve(here, "user.me.read", "task.read")
    ApprovedPermission.objects.update(review_by=timezone.now().date())
    NoticeCursor.objects.update(until=timezone.now() - timedelta(days=1))


def undecryptable(here: Installation, settings: Any) -> None:
    token = factories.token(here, here.portal.users.get())
    note_undecryptable(
        token_id=token.pk, generation=token.generation, installation_id=here.pk, reason="mac", key_id="9"
    )


def key_gone(here: Installation, settings: Any) -> None:
    factories.token(here, here.portal.users.get())
    OAuthToken.objects.update(seal_key_id="k9")


HAPPENINGS: dict[Kind, tuple[Any, str]] = {
    Kind.FOUR_EYES: (ask, "by asker: fin.read"),
    Kind.BREAK_GLASS: (alone, "by shell: fin.read"),
    Kind.ESCALATION: (asks_for_more, "Desk: 1 installation to decide about"),
    Kind.SUSPECTED: (lambda here, settings: suspect(here), "Desk on acme.flowlu.com"),
    Kind.BULK_REVOCATION: (
        revoke_all,
        "all tokens of one installation, com.example.desk on acme.flowlu.com (generation 1): 1 token",
    ),
    Kind.UNDECRYPTABLE: (undecryptable, "check TOKEN_KEYS before anything else: manage.py key_status"),
    Kind.AUDIT_FAILED: (
        lambda here, settings: found_wrong(2),
        "the last verification had 2 findings: run manage.py verify_audit",
    ),
    Kind.KEY_MISSING: (
        key_gone,
        "rows need the key 'k9' of TOKEN_KEYS, which is missing: run manage.py key_status",
    ),
    Kind.REVIEW_DUE: (come_due, f"on or before {timezone.now().date()}"),
}


def test_there_is_a_happening_for_every_kind() -> None:
    assert {*HAPPENINGS, Kind.WAITS} == set(CHOSEN)


@pytest.mark.parametrize("kind", HAPPENINGS)
def test_kind_is_told_once(kind: Kind, here: Installation, mia: User, settings: Any) -> None:
    look()
    NoticeOccasion.objects.all().delete()
    NoticeDelivery.objects.all().delete()
    happen, label = HAPPENINGS[kind]

    happen(here, settings)
    made = [look(), look(), look()]

    assert occasions() == [(str(kind), 2 if kind is Kind.REVIEW_DUE else 1, label)]
    assert made == [1, 0, 0]
    delivery = NoticeDelivery.objects.get()
    assert (delivery.recipient, delivery.channel, delivery.operator) == (f"mail:{mia.pk}", "mail", mia)
    assert Notice.objects.get().delivery == delivery


def test_new_installation_is_told_unless_a_policy_approved_all_of_it(application: Application, mia: User) -> None:
    launched(application)
    look()
    assert occasions() == [("waits", 1, "Desk on acme.flowlu.com")]
    assert NoticeOccasion.objects.get().path.startswith("/admin/installations/installation/")

    factories.approve(launched(application, "umbra.flowlu.com"), "user.me.read")
    look()
    assert len(occasions()) == 1


def test_request_that_was_decided_meanwhile_is_not_told(here: Installation, mia: User, settings: Any) -> None:
    look()
    NoticeOccasion.objects.all().delete()
    refuse_request(request_id=ask(here, settings).pk, **WHY)
    look()
    assert occasions() == []


def test_whoever_asked_is_not_told_of_it(here: Installation, mia: User, settings: Any) -> None:
    asker = told("asker", "Reviewer")
    look()
    Notice.objects.all().delete()

    ask(here, settings)
    look()

    assert {row.recipient for row in Notice.objects.all()} == {f"mail:{mia.pk}"}
    assert NoticeDelivery.objects.filter(operator=asker).count() == 0


def test_what_happened_before_the_first_look_is_told_to_nobody(here: Installation, mia: User, settings: Any) -> None:
    ask(here, settings)
    NoticeCursor.objects.all().delete()
    assert look() == 0
    assert occasions() == []


@pytest.mark.parametrize("kind", [Kind.AUDIT_FAILED, Kind.KEY_MISSING, Kind.UNDECRYPTABLE])
def test_state_is_told_when_it_begins_and_when_it_begins_anew(
    kind: Kind, here: Installation, mia: User, settings: Any, time_machine: Any
) -> None:
    mend: dict[Kind, Any] = {
        Kind.AUDIT_FAILED: lambda: found_wrong(0),
        Kind.KEY_MISSING: lambda: OAuthToken.objects.update(seal_key_id=vault.token_keys().newest.id),
        Kind.UNDECRYPTABLE: lambda: time_machine.move_to(timezone.now() + timedelta(days=2)),
    }
    happen, _label = HAPPENINGS[kind]
    happen(here, settings)
    look()
    assert [row.kind for row in NoticeCondition.objects.all()] == [kind]

    mend[kind]()
    look()
    assert not NoticeCondition.objects.exists()
    assert [row.kind for row in NoticeOccasion.objects.filter(kind=kind)] == [kind]

    if kind is Kind.KEY_MISSING:
        OAuthToken.objects.update(seal_key_id="k9")
    elif kind is Kind.UNDECRYPTABLE:
        OAuthToken.objects.update(state="active", stale_at=None)
        token = OAuthToken.objects.get()
        how = {"installation_id": here.pk, "reason": "mac", "key_id": "9"}
        note_undecryptable(token_id=token.pk, generation=token.generation, **how)
    else:
        happen(here, settings)
    look()
    assert NoticeOccasion.objects.filter(kind=kind).count() == 2


def test_trail_that_became_shorter_is_told_once(here: Installation, mia: User) -> None:
    look()
    NoticeOccasion.objects.all().delete()
    newest = AuditHead.objects.get().sequence
    AuditHead.objects.update(sequence=newest - 1)

    for _ in range(3):
        look()

    words = f"it ends at event {newest - 1}, and event {newest} was read before: its end was cut off"
    assert occasions() == [("audit_failed", 1, words)]


def test_many_at_once_are_told_as_one(application: Application, mia: User) -> None:
    for number in range(MOST + 1):
        launched(application, f"p{number}.flowlu.com")
    assert look() == 1
    (occasion,) = NoticeOccasion.objects.all()
    assert (occasion.kind, occasion.count, occasion.label) == ("waits", MOST + 1, "")
    assert occasion.path == "/admin/installations/installation/?status__exact=pending_approval"


def test_very_many_under_suspicion_are_told_as_one_and_most_are_not_read(application: Application, mia: User) -> None:
    look()
    many = [launched(application, f"portal{number}.flowlu.com") for number in range(2 * MOST)]
    for row in many:
        suspect(row)
    read: list[int] = []

    def note(instance: Liveness, **_more: object) -> None:
        read.append(instance.pk)

    post_init.connect(note, sender=Liveness)
    try:
        look()
    finally:
        post_init.disconnect(note, sender=Liveness)

    occasion = NoticeOccasion.objects.get(kind=Kind.SUSPECTED)
    assert (occasion.count, occasion.label) == (2 * MOST, "")
    assert len(read) == MOST + 2  # as many as show that there are more, and the last
    assert occasion.path == "/admin/installations/installation/?liveness=suspected_removed"


def test_each_is_told_what_they_may_see_and_chose(here: Installation, settings: Any) -> None:
    reviewer, auditor, responder = told("r", "Reviewer"), told("a", "Auditor"), told("s", "Responder")
    outsider, muted, removed = told("o"), told("m", "Reviewer"), told("x", "Reviewer")
    without_mail = factories.operator("w", "Reviewer")
    wants(outsider, How.AT_ONCE)
    wants(auditor, How.AT_ONCE, Kind.FOUR_EYES)
    wants(muted, How.OFF)
    User.objects.filter(pk=removed.pk).update(is_active=False)
    limited = told("l")
    limited.user_permissions.add(Permission.objects.get(codename="view_approvalrequest"))
    wants(limited, How.AT_ONCE)
    look()
    Notice.objects.all().delete()

    ask(here, settings)
    alone(launched(here.application, "umbra.flowlu.com"), settings)
    look()

    recipients: dict[str, set[str]] = {"four_eyes": set(), "break_glass": set()}
    for notice in Notice.objects.filter(occasion__kind__in=recipients):
        recipients[notice.occasion.kind].add(notice.recipient)
    assert recipients == {
        "four_eyes": {f"mail:{one.pk}" for one in (reviewer, auditor, limited)},
        "break_glass": {f"mail:{one.pk}" for one in (reviewer, auditor, responder)},
    }
    assert not Notice.objects.filter(recipient__in=[f"mail:{one.pk}" for one in (outsider, without_mail)]).exists()


def test_where_no_mail_is_sent_nothing_piles_up(here: Installation, mia: User, settings: Any) -> None:
    settings.SENDS_MAIL = False
    ask(here, settings)
    assert look() == 0
    assert {row.kind for row in NoticeOccasion.objects.all()} == {"waits", "four_eyes"}
    assert not Notice.objects.exists()


def test_digest_holds_what_came_since_the_last_one(here: Installation, mia: User, settings: Any) -> None:
    wants(mia, How.DAILY)
    settings.NOTICE_DIGEST_HOUR = 0
    NoticeCursor.objects.update(digest_at=timezone.now())
    ask(here, settings)
    assert look() == 0
    launched(here.application, "umbra.flowlu.com")
    NoticeCursor.objects.update(digest_at=timezone.now() - timedelta(days=1))

    assert [look(), look()] == [1, 0]

    delivery = NoticeDelivery.objects.get()
    assert delivery.daily is True
    kinds = [notice.occasion.kind for notice in delivery.notices.all()]
    assert sorted(kinds) == ["four_eyes", "waits", "waits"]


def test_what_is_not_urgent_waits_for_the_pause_and_comes_together(
    here: Installation, mia: User, settings: Any
) -> None:
    settings.NOTICE_PAUSE_MINUTES = 5
    assert look() == 1  # the new installation
    ask(here, settings)
    assert look() == 0
    launched(here.application, "umbra.flowlu.com")
    assert look() == 0
    NoticeDelivery.objects.update(created_at=timezone.now() - timedelta(minutes=5))

    assert look() == 1

    assert NoticeDelivery.objects.latest("pk").notices.count() == 2


def test_what_is_urgent_waits_for_nothing_and_takes_the_rest_along(
    here: Installation, mia: User, settings: Any
) -> None:
    settings.NOTICE_PAUSE_MINUTES = 5
    look()
    ask(here, settings)
    look()
    alone(here, settings)

    assert look() == 1

    assert {notice.occasion.kind for notice in NoticeDelivery.objects.latest("pk").notices.all()} == {
        "four_eyes",
        "break_glass",
    }


@pytest.mark.postgresql
def test_of_looks_at_once_one_tells(here: Installation, mia: User, settings: Any) -> None:
    ask(here, settings)
    start = threading.Barrier(4)
    made = []

    def one() -> None:
        start.wait()
        made.append(look())
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [0, 0, 0, 1]
    assert sorted(row.kind for row in NoticeOccasion.objects.all()) == ["four_eyes", "waits"]
    assert NoticeDelivery.objects.get().notices.count() == 2


def test_import_that_leaves_nothing_to_decide_is_not_told(application: Application, mia: User) -> None:
    import_manifest(document=factories.manifest(version="2.0.0"), kind=None, actor=WHY["actor"])

    look()
    assert not NoticeOccasion.objects.filter(kind=Kind.ESCALATION).exists()


def test_event_that_is_read_again_is_not_told_again(here: Installation, mia: User) -> None:
    look()
    known = occasions()
    assert known
    NoticeCursor.objects.update(sequence=0)

    look()
    assert occasions() == known


def test_look_that_another_was_faster_than_tells_nothing(here: Installation, mia: User) -> None:
    meanwhile: list[int] = []

    def another(execute: Any, sql: str, *rest: Any) -> Any:
        # The first statement after the cursor was read.
        if not meanwhile and "noticecursor" not in sql:
            meanwhile.append(1)
            NoticeCursor.objects.update(sequence=F("sequence") + 1)
        return execute(sql, *rest)

    with connection.execute_wrapper(another):
        assert look() == 0
    assert (meanwhile, occasions()) == ([1], [])


@pytest.mark.parametrize(
    ("ring", "kinds"), [("TOKEN_KEYS", {Kind.KEY_MISSING, Kind.AUDIT_FAILED}), ("AUDIT_KEY", {Kind.KEY_MISSING})]
)
def test_ring_that_cannot_be_read_is_told_and_keeps_nothing_else_from_being_looked_at(
    here: Installation, mia: User, settings: Any, ring: str, kinds: set[Kind]
) -> None:
    found_wrong(1)
    setattr(settings, ring, "no-key")

    found = list(sources.holding(0))

    assert {one.kind for one in found} == kinds
    assert all("no-key" not in one.label for one in found)


def test_rows_of_notices_have_a_name(here: Installation, mia: User) -> None:
    look()
    found_wrong(1)
    look()
    assert str(NoticeChoice.objects.first())
    assert str(NoticeCondition.objects.get())
