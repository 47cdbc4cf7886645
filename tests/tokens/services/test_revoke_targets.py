"""Revoking by whatever names tokens: pinned to what was looked at, in batches, rehearsed, with their earlier pairs."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from installations.errors import NotPermitted, StateConflict
from installations.models import AuditEvent, Installation
from tests import factories
from tests.held import wait_for_waiting
from tests.tokens.keyring import F1, F2
from tests.unchanged import last_event, nothing_changes, recorded
from tokens import vault
from tokens.errors import NoTarget, SetChanged
from tokens.models import EmbedSession, OAuthToken, ReplacedFingerprint, Revocation, RevokedFingerprint
from tokens.revocation_selectors import pin_of
from tokens.selectors import hash_session_token, is_revoked
from tokens.services import cutting
from tokens.services.pruning import prune_replaced_fingerprints
from tokens.services.revocation import (
    drill_revocation,
    resume_revocation,
    revoke_tokens,
    uninstall_installation,
)
from tokens.services.storing import Pair, store_pair_locked
from tokens.targets import RevocationTarget

ACTOR = factories.superactor()
WHY = {"actor": ACTOR, "reason": "For a test."}


def token(record, name):
    return factories.token(record.installation, record.portal_user, name)


@pytest.fixture
def scene(application, record):
    """Two tokens of Ana, one of Bea, one of Ana in another application, one on another portal."""
    bea = factories.launch(application, user_id="8", name="Bea")
    other = factories.launch(factories.application("com.example.other"))
    there = factories.launch(application, portal="globex.flowlu.com")
    return {
        "ana": token(record, "ana"),
        "ana-2": token(record, "ana-2"),
        "bea": token(bea, "bea"),
        "other": token(other, "other"),
        "globex": token(there, "globex"),
    }


def cut(scene):
    revoked = set(OAuthToken.objects.filter(state="revoked").values_list("pk", flat=True))
    return {name for name, row in scene.items() if row.pk in revoked}


def target_of(kind, scene):
    row = scene["ana"]
    return {
        "token": RevocationTarget.of_token(row.pk),
        "portal_user": RevocationTarget.of_portal_user(row.portal_user_id),
        "installation": RevocationTarget.of_installation(row.installation_id),
        "portal": RevocationTarget.of_portal(row.installation.portal_id),
        "application": RevocationTarget.of_application(row.installation.application_id),
        "stored_before": RevocationTarget.stored_before(timezone.now() + timedelta(seconds=1)),
        "fingerprints": RevocationTarget.of_fingerprints(
            [row.access_fingerprint[:8], scene["globex"].access_fingerprint]
        ),
    }[kind]


EXPECTED = {
    "token": {"ana"},
    "portal_user": {"ana", "ana-2", "other"},
    "installation": {"ana", "ana-2", "bea"},
    "portal": {"ana", "ana-2", "bea", "other"},
    "application": {"ana", "ana-2", "bea", "globex"},
    "stored_before": {"ana", "ana-2", "bea", "other", "globex"},
    "fingerprints": {"ana", "globex"},
}
AUDITED = {
    "token": "token",
    "portal_user": "portaluser",
    "installation": "installation",
    "portal": "portal",
    "application": "application",
    "stored_before": "tokens",
    "fingerprints": "tokens",
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_target_is_cut_denied_and_in_the_ledger(scene, kind):
    target = target_of(kind, scene)

    result = revoke_tokens(target=target, **WHY)

    assert cut(scene) == EXPECTED[kind]
    assert result.tokens_cut == len(EXPECTED[kind])
    denied = set(RevokedFingerprint.objects.values_list("fingerprint", flat=True))
    assert denied == {scene[name].access_fingerprint for name in EXPECTED[kind]}
    assert not OAuthToken.objects.filter(state="revoked").exclude(sealed_access_token=None).exists()
    row = Revocation.objects.get()
    assert (row.scope, row.state, row.tokens_cut, row.without_expiry) == (kind, "done", *[len(EXPECTED[kind])] * 2)
    assert (row.installation_id is None) is (kind not in {"token", "installation"})
    assert (last_event().verb, last_event().target_kind) == ("tokens.revoked", AUDITED[kind])
    assert last_event().details == {"revocation": row.pk, "scope": kind, "tokens_cut": len(EXPECTED[kind])}


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("token", "token #{ana.pk} of user 7 of acme.flowlu.com"),
        ("portal_user", "user 7 of acme.flowlu.com"),
        ("installation", "com.example.desk on acme.flowlu.com (generation 1)"),
        ("portal", "acme.flowlu.com"),
        ("application", "Desk (com.example.desk)"),
    ],
)
def test_ledger_keeps_by_value_what_was_aimed_at(scene, kind, label):
    revoke_tokens(target=target_of(kind, scene), **WHY)

    assert Revocation.objects.get().target_label == label.format(**scene)


@pytest.mark.parametrize("kind", EXPECTED)
def test_again_changes_nothing(scene, kind):
    target = target_of(kind, scene)
    revoke_tokens(target=target, **WHY)

    with nothing_changes():
        assert revoke_tokens(target=target, **WHY).tokens_cut == 0


@pytest.mark.parametrize("kind", EXPECTED)
def test_reviewer_may_revoke_none_of_them(scene, reviewing, kind):
    with nothing_changes(), pytest.raises(NotPermitted):
        revoke_tokens(target=target_of(kind, scene), actor=reviewing, reason="For a test.")


# --- What was looked at ---


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_was_looked_at_is_cut(scene, kind):
    target = target_of(kind, scene)
    pin = pin_of(target if kind != "fingerprints" else RevocationTarget.of_fingerprints(
        scene[name].access_fingerprint for name in ("ana", "globex")
    ))  # fmt: skip

    assert revoke_tokens(target=target, pinned=pin, **WHY).tokens_cut == len(EXPECTED[kind])


def new_token(scene):
    row = scene["bea"]
    factories.token(row.installation, row.portal_user, "new")


def another_pair(scene):
    OAuthToken.objects.filter(pk=scene["bea"].pk).update(generation=2, stored_at=timezone.now())


def one_less(scene):
    revoke_tokens(target=RevocationTarget.of_token(scene["bea"].pk), **WHY)


def one_for_another(scene):
    one_less(scene)
    new_token(scene)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (new_token, "Then 3, now 4: 1 came"),
        (one_less, "Then 3, now 2: 1 went"),
        (one_for_another, "Then 3, now 3: 1 came"),
    ],
)
def test_what_changed_since_is_said_and_nothing_is_cut(scene, change, words):
    target = target_of("installation", scene)
    pin = pin_of(target)
    change(scene)

    with nothing_changes(), pytest.raises(SetChanged, match=words):
        revoke_tokens(target=target, pinned=pin, **WHY)
    assert revoke_tokens(target=target, pinned=pin_of(target), **WHY).tokens_cut >= 2


def test_pair_that_took_the_place_of_another_is_cut_without_asking_again(scene):
    target = target_of("installation", scene)
    pin = pin_of(target)
    another_pair(scene)

    assert revoke_tokens(target=target, pinned=pin, **WHY).tokens_cut == 3


def test_pin_of_another_target_is_none(scene):
    with nothing_changes(), pytest.raises(SetChanged):
        revoke_tokens(target=target_of("application", scene), pinned=pin_of(target_of("installation", scene)), **WHY)


def test_change_elsewhere_does_not_ask_again(scene):
    target = target_of("installation", scene)
    pin = pin_of(target)
    revoke_tokens(target=RevocationTarget.of_token(scene["globex"].pk), **WHY)

    assert revoke_tokens(target=target, pinned=pin, **WHY).tokens_cut == 3


def test_nothing_left_is_success_whatever_was_looked_at(scene):
    target = target_of("installation", scene)
    pin = pin_of(target)
    revoke_tokens(target=target, **WHY)

    with nothing_changes():
        assert revoke_tokens(target=target, pinned=pin, **WHY).tokens_cut == 0


def test_uninstalling_is_pinned_as_well(scene):
    target = target_of("installation", scene)
    pin = pin_of(target)
    new_token(scene)

    with nothing_changes(), pytest.raises(SetChanged):
        uninstall_installation(installation_id=target.id, pinned=pin, **WHY)
    assert uninstall_installation(installation_id=target.id, pinned=pin_of(target), **WHY).tokens_cut == 4


# --- Batches ---


@pytest.fixture
def many(application):
    """Seven tokens of one application: two users on each of three portals and one more; the first is shared."""
    rows = []
    for number in range(7):
        record = factories.launch(application, portal=f"portal{number // 2}.flowlu.com", user_id=str(number % 2 + 1))
        rows.append(token(record, f"token-{number}"))
    return rows


@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_many_are_cut_in_batches_with_one_ledger_row(application, many, batch):
    seen = []

    result = revoke_tokens(
        target=RevocationTarget.of_application(application.pk), batch=batch,
        on_progress=lambda done, of: seen.append((done, of)), **WHY,
    )  # fmt: skip

    row = Revocation.objects.get()
    assert (result.tokens_cut, row.tokens_cut, row.state, row.tokens_expected) == (7, 7, "done", 7)
    assert seen[-1] == (7, 7)
    assert [done for done, _of in seen] == [min(7, batch * number) for number in range(1, len(seen) + 1)]
    assert RevokedFingerprint.objects.filter(revocation=row).count() == 7
    events = AuditEvent.objects.filter(verb="tokens.revoked").order_by("sequence")
    assert sum(event.details["tokens_cut"] for event in events) == 7
    assert events.last().details["done"] is True


def test_same_secret_elsewhere_is_counted_once_in_batches(application, many):
    there = factories.launch(factories.application("com.example.other"), portal="portal0.flowlu.com", user_id="1")
    shared = token(there, "token-0")

    result = revoke_tokens(target=RevocationTarget.of_application(application.pk), batch=2, **WHY)

    shared.refresh_from_db()
    assert (result.tokens_cut, shared.state) == (8, "revoked")
    assert OAuthToken.objects.filter(revocation=result.revocation).count() == 8


def interrupt(application, after, **options):
    """Let a run be interrupted in the progress that it tells after so many batches."""
    told = []

    def stop(done, of):
        told.append(done)
        if len(told) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        revoke_tokens(
            target=RevocationTarget.of_application(application.pk), batch=2, on_progress=stop, **WHY, **options
        )
    return Revocation.objects.get()


@pytest.mark.parametrize("again", ["resume", "same"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_interrupted_run_goes_on_where_it_was(application, many, after, again):
    row = interrupt(application, after)
    assert (row.state, row.tokens_cut, OAuthToken.objects.live().count()) == ("running", 2 * after, 7 - 2 * after)
    gone = set(OAuthToken.objects.filter(state="revoked").values_list("pk", flat=True))

    if again == "resume":
        result = resume_revocation(revocation_id=row.pk, batch=2, **WHY)
    else:
        result = revoke_tokens(target=RevocationTarget.of_application(application.pk), batch=2, **WHY)

    assert (result.revocation, result.tokens_cut, Revocation.objects.get().tokens_cut) == (row, 7 - 2 * after, 7)
    assert gone < set(OAuthToken.objects.filter(revocation=row, state="revoked").values_list("pk", flat=True))
    assert Revocation.objects.get().state == "done"
    with nothing_changes():
        assert resume_revocation(revocation_id=row.pk, **WHY).tokens_cut == 0


def later_ones(application, count):
    return [
        token(factories.launch(application, user_id=str(90 + number)), f"later-{number}") for number in range(count)
    ]


def test_run_that_is_resumed_leaves_alone_what_was_stored_after_it_began(application, many):
    row = interrupt(application, 1)
    [later] = later_ones(application, 1)

    assert resume_revocation(revocation_id=row.pk, batch=2, **WHY).tokens_cut == 5

    later.refresh_from_db()
    assert later.state == "active"
    assert set(OAuthToken.objects.live()) == {later}


@pytest.mark.parametrize("batch", [2, 4, 100])
@pytest.mark.parametrize("pinned", [True, False])
def test_revoking_after_an_interruption_cuts_what_came_since_too(application, many, batch, pinned):
    old = interrupt(application, 1)
    later_ones(application, 3)
    target = RevocationTarget.of_application(application.pk)

    result = revoke_tokens(target=target, batch=batch, pinned=pin_of(target) if pinned else None, **WHY)

    assert not OAuthToken.objects.live().exists()
    old.refresh_from_db()
    assert (result.tokens_cut, old.tokens_cut, old.state) == (8, 7, "done")
    assert result.revocation != old
    assert (result.revocation.tokens_cut, result.revocation.state) == (3, "done")
    for row in (old, result.revocation):
        assert OAuthToken.objects.filter(revocation=row).count() == row.tokens_cut
        events = AuditEvent.objects.filter(verb="tokens.revoked", details__revocation=row.pk)
        assert sum(event.details["tokens_cut"] for event in events) == row.tokens_cut


@pytest.mark.parametrize("batch", [2, 100])
def test_pin_counts_after_an_interruption_as_ever(application, many, batch):
    interrupt(application, 1)
    target = RevocationTarget.of_application(application.pk)
    pin = pin_of(target)
    later_ones(application, 1)

    with nothing_changes(), pytest.raises(SetChanged, match="Then 5, now 6: 1 came"):
        revoke_tokens(target=target, batch=batch, pinned=pin, **WHY)


def test_what_is_stored_while_the_old_run_is_finished_is_not_of_the_pin(application, many):
    interrupt(application, 1)
    target = RevocationTarget.of_application(application.pk)
    came = []

    def store(_done, _of):
        came.extend([] if came else later_ones(application, 1))

    result = revoke_tokens(target=target, batch=2, pinned=pin_of(target), on_progress=store, **WHY)

    assert result.tokens_cut == 5
    assert list(OAuthToken.objects.live()) == came


def test_several_unfinished_runs_are_all_finished(application, many):
    interrupt(application, 1)
    first = Revocation.objects.get()
    first_target = first.target
    Revocation.objects.filter(pk=first.pk).update(target={})
    interrupt_again = RevocationTarget.of_application(application.pk)
    with pytest.raises(KeyboardInterrupt):
        revoke_tokens(target=interrupt_again, batch=2, on_progress=_stop, **WHY)
    Revocation.objects.filter(pk=first.pk).update(target=first_target)

    result = revoke_tokens(target=interrupt_again, batch=100, **WHY)

    assert result.tokens_cut == 3
    assert set(Revocation.objects.values_list("state", flat=True)) == {"done"}
    assert not OAuthToken.objects.live().exists()


def _stop(_done, _of):
    raise KeyboardInterrupt


def test_only_who_may_revoke_goes_on_with_a_run(application, many, reviewing):
    row = interrupt(application, 1)

    with nothing_changes(), pytest.raises(NotPermitted):
        resume_revocation(revocation_id=row.pk, actor=reviewing, reason="For a test.")
    with nothing_changes(), pytest.raises(StateConflict, match="no such revocation"):
        resume_revocation(revocation_id=0, **WHY)


def test_cost_of_a_batch_does_not_grow_with_its_tokens(application):
    costs = set()
    for count in (4, 24):
        for number in range(count):
            token(factories.launch(application, user_id=str(number + 1)), f"token-{count}-{number}")
        with CaptureQueriesContext(connection) as queries:
            revoke_tokens(target=RevocationTarget.of_application(application.pk), batch=count // 2, **WHY)
        costs.add(len(queries))

    assert len(costs) == 1


def test_expiry_is_unknown_as_soon_as_one_of_all_batches_is(application, many):
    soon = timezone.now() + timedelta(hours=1)
    OAuthToken.objects.exclude(pk=many[0].pk).update(expires_at=soon)

    row = revoke_tokens(target=RevocationTarget.of_application(application.pk), batch=2, **WHY).revocation

    assert (row.possibly_alive_until, row.without_expiry) == (None, 1)


# --- Pairs that a hand-over replaced ---


def hand_over(row, *names, session="s"):
    EmbedSession.objects.get_or_create(
        token_hash=hash_session_token(session),
        defaults={"oauth_token": row, "expires_at": timezone.now() + timedelta(hours=1)},
    )
    for name in names:
        with transaction.atomic():
            own = EmbedSession.objects.select_related("oauth_token").get(token_hash=hash_session_token(session))
            installation = Installation.objects.get(pk=row.installation_id)
            store_pair_locked(installation, row.portal_user, Pair(name), own=own)


def test_pairs_that_were_replaced_are_denied_with_their_lineage(record):
    row = token(record, "first")
    hand_over(row, "second", "third")

    revoke_tokens(target=RevocationTarget.of_token(row.pk), **WHY)

    assert [is_revoked(name) for name in ("first", "second", "third", "other")] == [True, True, True, False]


def test_lineage_that_came_back_to_its_first_pair_is_denied_once(record):
    row = token(record, "first")
    hand_over(row, "second", "first")

    revoke_tokens(target=RevocationTarget.of_token(row.pk), **WHY)

    assert RevokedFingerprint.objects.count() == 2


def test_replaced_pair_of_another_lineage_stays_out_of_it(record):
    mine, other = token(record, "mine"), token(record, "other")
    hand_over(other, "other-2")

    revoke_tokens(target=RevocationTarget.of_token(mine.pk), **WHY)

    assert [is_revoked(name) for name in ("mine", "other", "other-2")] == [True, False, False]


def test_same_pair_again_and_a_new_key_replace_nothing(record, settings):
    row = token(record, "first")
    settings.FINGERPRINT_KEY = f"2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=,1:{settings.FINGERPRINT_KEY}"

    hand_over(row, "first")

    assert ReplacedFingerprint.objects.count() == 0


def test_replaced_fingerprint_keeps_the_key_that_it_is_under(record, settings):
    row = token(record, "first")
    settings.FINGERPRINT_KEY = f"2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=,1:{settings.FINGERPRINT_KEY}"

    hand_over(row, "second")

    assert ReplacedFingerprint.objects.get().fingerprint_key_id == "1"


def test_replaced_pairs_are_forgotten_after_their_days(record, settings):
    settings.REPLACED_FINGERPRINT_DAYS = 2
    row, quiet = token(record, "first"), token(record, "quiet")
    hand_over(row, "second")
    hand_over(quiet, "quiet-2", session="q")
    ReplacedFingerprint.objects.update(replaced_at=timezone.now() - timedelta(days=3))

    hand_over(row, "third")

    kept = set(row.replaced_fingerprints.values_list("fingerprint", flat=True))
    assert kept == set(vault.digests_of("second"))
    assert quiet.replaced_fingerprints.count() == 1
    assert prune_replaced_fingerprints() == 1
    assert quiet.replaced_fingerprints.count() == 0


def test_replaced_pairs_of_a_revoked_lineage_stay_for_the_ledger(record):
    row = token(record, "first")
    hand_over(row, "second")
    revoke_tokens(target=RevocationTarget.of_token(row.pk), **WHY)
    ReplacedFingerprint.objects.update(replaced_at=timezone.now() - timedelta(days=400))

    assert prune_replaced_fingerprints() == 0
    assert row.replaced_fingerprints.count() == 1


# --- Drill ---


@pytest.mark.parametrize("kind", EXPECTED)
def test_drill_tells_and_measures_and_changes_nothing(scene, kind):
    with nothing_changes(but={"installations.AuditEvent", "installations.AuditHead"}):
        drill = drill_revocation(target=target_of(kind, scene), **WHY)

    assert drill.preview.tokens == drill.rehearsed == len(EXPECTED[kind])
    assert (drill.lock_ms is None) is (kind in {"token", "stored_before", "fingerprints"})
    assert min(drill.read_ms, drill.cut_ms) >= 0
    event = last_event()
    assert (event.verb, event.target_kind, event.reason) == ("revocation.drilled", AUDITED[kind], "For a test.")
    assert (event.details["tokens"], event.details["rehearsed"]) == (drill.preview.tokens, drill.rehearsed)
    assert recorded().count("revocation.drilled") == 1
    assert "tokens.revoked" not in recorded()


def test_drill_rehearses_one_batch_and_says_of_how_many(scene):
    drill = drill_revocation(target=target_of("portal", scene), batch=2, **WHY)

    assert (drill.preview.tokens, drill.rehearsed) == (4, 2)


def test_drill_of_nothing_is_recorded_too(record):
    drill = drill_revocation(target=RevocationTarget.of_installation(record.installation.pk), **WHY)

    assert (drill.preview.tokens, drill.rehearsed, recorded()[-1]) == (0, 0, "revocation.drilled")


def test_drill_is_pinned_and_permitted_like_the_cut(scene, reviewing):
    target = target_of("installation", scene)
    pin = pin_of(target)
    new_token(scene)

    with nothing_changes(), pytest.raises(SetChanged):
        drill_revocation(target=target, pinned=pin, **WHY)
    with nothing_changes(), pytest.raises(NotPermitted):
        drill_revocation(target=target, actor=reviewing, reason="For a test.")
    with nothing_changes(), pytest.raises(NoTarget):
        drill_revocation(target=RevocationTarget.of_portal(0), **WHY)


def test_token_that_is_stored_under_a_passed_number_is_cut_by_the_run_too(scene):
    target = RevocationTarget.of_installation(scene["ana"].installation_id)
    late, last = scene["ana"], scene["bea"]
    OAuthToken.objects.filter(pk=late.pk).delete()
    done = []

    def store_and_cut(cut_so_far, _of):
        done.append(cut_so_far)
        if len(done) == 1:
            # Its number was drawn early and its transaction ended late. The newest one is gone another way.
            late.save(force_insert=True)
            revoke_tokens(target=RevocationTarget.of_token(last.pk), **WHY)

    result = revoke_tokens(target=target, batch=1, on_progress=store_and_cut, **WHY)

    assert cut(scene) == {"ana", "ana-2", "bea"}
    assert done == [1, 1, 2, 2]  # the round that found nothing began again
    assert (result.tokens_cut, result.revocation.state) == (2, "done")
    told = AuditEvent.objects.filter(verb="tokens.revoked", details__revocation=result.revocation.pk)
    assert [event.details["tokens_cut"] for event in told.order_by("sequence")] == [1, 1, 0]


def test_deny_list_is_written_in_pieces_and_whole(scene, settings, monkeypatch):
    monkeypatch.setattr(cutting, "_SOME", 2)
    settings.FINGERPRINT_KEY = f"{F2},{F1}"
    here = RevocationTarget.of_installation(scene["ana"].installation_id)
    prints = set(OAuthToken.objects.filter(installation=here.id).values_list("access_fingerprint", flat=True))

    revoke_tokens(target=here, **WHY)

    assert prints <= set(RevokedFingerprint.objects.values_list("fingerprint", flat=True))
    assert (len(prints), RevokedFingerprint.objects.count()) == (3, 6)


@pytest.mark.parametrize("unreadable", [False, True])
def test_with_two_fingerprint_keys_what_unseals_is_denied_under_both(scene, settings, unreadable):
    row = scene["ana"]
    if unreadable:
        OAuthToken.objects.filter(pk=row.pk).update(sealed_access_token=b"damaged")
    settings.FINGERPRINT_KEY = f"{F2},{F1}"

    revoke_tokens(target=RevocationTarget.of_token(row.pk), **WHY)

    denied = set(RevokedFingerprint.objects.values_list("fingerprint", flat=True))
    under_both = set(vault.digests_of("ana"))
    assert len(under_both) == 2
    # What is in the row is all that is left of a value that does not unseal.
    assert denied == ({row.access_fingerprint} if unreadable else under_both)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["portal", "portal_user"])
def test_first_launch_of_another_application_ends_before_or_begins_after(application, record, kind):
    token(record, "first")
    other = factories.application("com.example.other")
    target = {
        "portal": RevocationTarget.of_portal(record.portal_user.portal_id),
        "portal_user": RevocationTarget.of_portal_user(record.portal_user.pk),
    }[kind]
    done = []

    def revoke():
        try:
            done.append(revoke_tokens(target=target, **WHY).tokens_cut)
        finally:
            connections.close_all()

    worker = threading.Thread(target=revoke)
    with transaction.atomic():
        token(factories.launch(other), "second")
        worker.start()
        wait_for_waiting()
    worker.join(20)

    assert done == [2]
    assert not OAuthToken.objects.live().exists()
