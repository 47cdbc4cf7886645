"""API keys: what may be added, replaced and revoked, and that nothing of a key is ever said."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from installations.actors import Via, operator_actor
from installations.errors import InvalidRequest, NotPermitted, ReasonRequired, StateConflict
from installations.models import Application, Installation
from tests import factories
from tests.held import held, wait_for_waiting
from tests.unchanged import last_event, nothing_changes, recorded
from tokens import vault
from tokens.models import ApiKey, Purpose
from tokens.services.api_keys import (
    KeyText,
    add_api_key,
    confirm_key_deletion,
    replace_api_key,
    revoke_api_key,
    wipe_expired_api_keys,
)
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db

VALUE = "portal-key-7f3a91c2"


@pytest.fixture
def installation(application: Application) -> Installation:
    return factories.installation(application, approved=["crm.accounts.full", "task.read"])


@pytest.fixture
def nightly(db: None) -> Purpose:
    return factories.purpose("nightly", acts_as="system")


@pytest.fixture
def key(installation: Installation, nightly: Purpose) -> ApiKey:
    return factories.api_key(installation, VALUE, purposes=[nightly])


def add(installation: Installation, purposes: list[Purpose], actor: Any = None, **changes: Any) -> ApiKey:
    values: dict[str, Any] = {
        "label": "Nightly",
        "key": KeyText(VALUE),
        "scope_texts": ["crm.accounts.read"],
        "expires_at": None,
        "reason": "A test.",
    }
    return add_api_key(
        installation_id=installation.pk, purposes=purposes, actor=actor or factories.superactor(), **values | changes
    )


def replace(old: ApiKey, **changes: Any) -> ApiKey:
    values: dict[str, Any] = {
        "key": KeyText("the-next-key-of-it"),
        "overlap": timedelta(hours=1),
        "expires_at": None,
        "actor": factories.superactor(),
        "reason": "A test.",
    }
    return replace_api_key(api_key_id=old.pk, **values | changes)


def test_key_for_no_installation_is_refused(nightly: Purpose) -> None:
    with nothing_changes(), pytest.raises(StateConflict, match=r"There is no such installation\."):
        add(Installation(pk=0), [nightly])


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_key_that_another_operator_stores_in_the_same_moment_is_refused_in_words(
    installation: Installation, nightly: Purpose
) -> None:
    digest = vault.fingerprint_of(VALUE)
    row = factories.api_key(installation, "another-key-of-the-portal", purposes=[nightly])
    refused: list[StateConflict] = []

    def add_the_same() -> None:
        try:
            add(installation, [nightly])
        except StateConflict as error:
            refused.append(error)
        finally:
            connections.close_all()

    second = threading.Thread(target=add_the_same)
    # Not committed when the second one looks for it; the second one then waits for the first.
    with held("UPDATE tokens_apikey SET fingerprint = %s WHERE id = %s", digest.digest, row.pk) as first:
        second.start()
        wait_for_waiting()
        first.commit()
        second.join(20)

    assert [error.public_message for error in refused] == [
        "This key is stored already. Create one key for each use at Flowlu."
    ]
    assert digest.digest not in repr(refused[0].__cause__)
    assert ApiKey.objects.count() == 1


def test_added_key_is_sealed_for_its_row_and_recorded(
    installation: Installation, nightly: Purpose, reviewer: Any
) -> None:
    row = add(installation, [nightly], operator_actor(reviewer, Via.ADMIN), scope_texts=["task.read", "crm.accounts"])

    row.refresh_from_db()
    assert (row.label, row.scopes, row.state, row.added_by) == (
        "Nightly", ["crm.accounts.read", "task.read"], "active", "reviewer",
    )  # fmt: skip
    assert list(row.purposes.all()) == [nightly]
    assert VALUE.encode() not in bytes(row.sealed_key or b"")
    assert vault.unseal_api_key(str(row.uuid), row.sealed_key or b"") == VALUE
    assert row.seal_key_id == "k1"
    event = last_event()
    assert (event.verb, event.target_kind, event.target_id, event.installation_id) == (
        "api_key.added", "apikey", str(row.pk), installation.pk,
    )  # fmt: skip
    assert event.details == {
        "scopes": ["crm.accounts.read", "task.read"],
        "purposes": ["nightly"],
        "fingerprint": row.fingerprint[:8],
    }


def test_sealed_key_copied_to_another_row_does_not_unseal(
    installation: Installation, nightly: Purpose, key: ApiKey
) -> None:
    from tokens.errors import UnsealFailed

    other = add(installation, [nightly], key=KeyText("another-key"))
    with pytest.raises(UnsealFailed, match="tampered"):
        vault.unseal_api_key(str(other.uuid), key.sealed_key or b"")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"label": ""}, {"label"}),
        ({"label": "x" * 101}, {"label"}),
        ({"label": "two\nlines"}, {"label"}),
        ({"label": f"for {VALUE}"}, {"label"}),
        ({"label": "t0kenOf4nother" * 3}, {"label"}),
        ({"key": KeyText("")}, {"key"}),
        ({"key": KeyText("with space")}, {"key"}),
        ({"key": KeyText("x" * 4097)}, {"key"}),
        ({"key": KeyText("schlüssel")}, {"key"}),
        ({"scope_texts": []}, {"scopes"}),
        ({"scope_texts": ["nothing.known"]}, {"scopes"}),
        ({"scope_texts": ["crm accounts"]}, {"scopes"}),
        ({"scope_texts": ["fin.read"]}, {"scopes"}),  # asked for, not approved
        ({"scope_texts": ["task.full"]}, {"scopes"}),  # approved at a lower level
        ({"scope_texts": ["crm.read"]}, {"scopes"}),  # a part of it is approved
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, {"expires_at"}),
        ({"label": "", "key": KeyText(""), "scope_texts": []}, {"label", "key", "scopes"}),
    ],
)
def test_wrong_values_are_named_all_at_once_and_nothing_is_stored(
    installation: Installation, nightly: Purpose, changes: dict[str, Any], fields: set[str]
) -> None:
    with nothing_changes(), pytest.raises(InvalidRequest) as caught:
        add(installation, [nightly], **changes)

    assert set(caught.value.fields) == fields


def test_key_needs_a_purpose_that_acts_as_the_system(installation: Installation) -> None:
    as_user = factories.purpose("sync")
    for purposes in ([], [as_user]):
        with nothing_changes(), pytest.raises(InvalidRequest) as caught:
            add(installation, purposes)
        assert set(caught.value.fields) == {"purposes"}


def test_part_of_an_approved_module_may_be_chosen(application: Application, nightly: Purpose) -> None:
    factories.application("com.example.whole", permissions=["crm.full"])
    whole = factories.installation(Application.objects.get(app_id="com.example.whole"), approved=["crm.full"])

    assert add(whole, [nightly], scope_texts=["crm.accounts.read"]).scopes == ["crm.accounts.read"]


def test_key_is_stored_once_in_all_installations(installation: Installation, nightly: Purpose, key: ApiKey) -> None:
    other = factories.installation(
        factories.application("com.example.other"), portal="globex.flowlu.com", approved=["crm.accounts.full"]
    )
    for place in (installation, other):
        with nothing_changes(), pytest.raises(StateConflict, match="stored already"):
            add(place, [nightly])


def test_revoked_key_is_refused_for_good_and_everywhere(
    installation: Installation, nightly: Purpose, key: ApiKey
) -> None:
    revoke_api_key(api_key_id=key.pk, actor=factories.superactor(), reason="A test.")
    with nothing_changes(), pytest.raises(StateConflict, match="was revoked here"):
        add(installation, [nightly])


def test_key_stays_known_under_a_new_fingerprint_key(
    installation: Installation, nightly: Purpose, key: ApiKey, settings: Any
) -> None:
    import base64

    new = base64.b64encode(bytes(range(100, 132))).decode()
    settings.FINGERPRINT_KEY = f"2:{new},1:{settings.FINGERPRINT_KEY}"
    with nothing_changes(), pytest.raises(StateConflict, match="stored already"):
        add(installation, [nightly])


@pytest.mark.parametrize("revoked", [True, False])
def test_users_token_is_no_key(installation: Installation, nightly: Purpose, revoked: bool) -> None:
    token = factories.token(installation, factories.launch(installation.application).portal_user, VALUE)
    if revoked:
        revoke_tokens(target=RevocationTarget.of_token(token.pk), actor=factories.superactor(), reason="A test.")
    with nothing_changes(), pytest.raises(StateConflict, match="a user's token"):
        add(installation, [nightly])


def test_uninstalled_installation_takes_no_key(installation: Installation, nightly: Purpose) -> None:
    uninstall_installation(installation_id=installation.pk, actor=factories.superactor(), reason="A test.")
    with nothing_changes(), pytest.raises(StateConflict, match="gone"):
        add(installation, [nightly])


def test_replaced_key_goes_on_until_its_overlap_ends_and_is_then_wiped(key: ApiKey, nightly: Purpose) -> None:
    key.expires_at = timezone.now() + timedelta(days=30)
    key.save()

    new = replace(key)

    key.refresh_from_db()
    assert (key.state, key.replaced_by) == ("active", new)
    assert key.expires_at is not None
    assert timedelta(minutes=59) < key.expires_at - timezone.now() <= timedelta(hours=1)
    assert (new.label, new.scopes, list(new.purposes.all())) == (key.label, key.scopes, [nightly])
    assert last_event().verb == "api_key.replaced"
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())

    assert (wipe_expired_api_keys(), wipe_expired_api_keys()) == (1, 0)

    key.refresh_from_db()
    assert (key.state, key.ending, key.sealed_key) == ("revoked", "replaced", None)
    assert ApiKey.objects.active().get() == new


def test_overlap_does_not_prolong_a_key(key: ApiKey) -> None:
    soon = timezone.now() + timedelta(minutes=5)
    ApiKey.objects.update(expires_at=soon)
    replace(key)
    key.refresh_from_db()
    assert key.expires_at == soon


def test_replacing_without_overlap_wipes_at_once(key: ApiKey) -> None:
    replace(key, overlap=timedelta(0))
    key.refresh_from_db()
    assert (key.state, key.ending, key.sealed_key) == ("revoked", "replaced", None)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_overlap_is_bounded(key: ApiKey, overlap: timedelta) -> None:
    with nothing_changes(), pytest.raises(InvalidRequest):
        replace(key, overlap=overlap)


def test_key_is_replaced_once(key: ApiKey) -> None:
    replace(key)
    with nothing_changes(), pytest.raises(StateConflict, match="replaced already"):
        replace(key, key=KeyText("a-third-key"))


def test_key_is_not_replaced_by_itself(key: ApiKey) -> None:
    with nothing_changes(), pytest.raises(StateConflict, match="stored already"):
        replace(key, key=KeyText(VALUE))


def test_revoking_wipes_at_once_keeps_a_tombstone_and_twice_is_once(key: ApiKey) -> None:
    assert revoke_api_key(api_key_id=key.pk, actor=factories.superactor(), reason="Lost.") is True

    key.refresh_from_db()
    assert (key.state, key.ending, key.sealed_key, key.seal_key_id) == ("revoked", "revoked", None, "")
    assert (last_event().verb, last_event().reason) == ("api_key.revoked", "Lost.")
    with nothing_changes():
        assert revoke_api_key(api_key_id=key.pk, actor=factories.superactor(), reason="Lost.") is False


def test_deletion_at_flowlu_is_recorded_of_a_revoked_key_and_once(key: ApiKey, responder: Any) -> None:
    actor = operator_actor(responder, Via.ADMIN)
    with nothing_changes(), pytest.raises(StateConflict, match="Revoke it first"):
        confirm_key_deletion(api_key_id=key.pk, actor=actor, reason="Told by phone.")
    revoke_api_key(api_key_id=key.pk, actor=actor, reason="Lost.")

    assert confirm_key_deletion(api_key_id=key.pk, actor=actor, reason="Told by phone.") is True

    key.refresh_from_db()
    assert key.deletion_confirmed_at is not None
    assert key.deletion_confirmed_by == "responder"
    assert last_event().verb == "api_key.deletion_confirmed"
    with nothing_changes():
        assert confirm_key_deletion(api_key_id=key.pk, actor=actor, reason="Told by phone.") is False


def test_uninstallation_wipes_every_key_and_records_each(
    installation: Installation, nightly: Purpose, key: ApiKey
) -> None:
    second = add(installation, [nightly], key=KeyText("a-second-key"))
    uninstall_installation(installation_id=installation.pk, actor=factories.superactor(), reason="Gone.")

    rows = ApiKey.objects.order_by("pk")
    assert [(row.state, row.ending, row.sealed_key) for row in rows] == [("revoked", "uninstalled", None)] * 2
    assert recorded()[-3:] == ["api_key.revoked", "api_key.revoked", "installation.uninstalled"]
    assert {row.pk for row in rows} == {key.pk, second.pk}


def test_expired_key_is_wiped_by_the_sweep_and_recorded_once(key: ApiKey) -> None:
    assert wipe_expired_api_keys() == 0
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert wipe_expired_api_keys() == 1

    key.refresh_from_db()
    assert (key.state, key.ending, key.sealed_key) == ("revoked", "expired", None)
    assert last_event().verb == "api_key.expired"
    with nothing_changes():
        assert wipe_expired_api_keys() == 0


@pytest.mark.parametrize("verb", ["add", "replace", "revoke", "confirm"])
def test_verbs_serve_their_operators_only_and_ask_for_a_reason(
    installation: Installation, nightly: Purpose, key: ApiKey, reviewer: Any, responder: Any, auditor: Any, verb: str
) -> None:
    acts: dict[str, Any] = {
        "add": lambda actor, reason: add(installation, [nightly], actor, reason=reason),
        "replace": lambda actor, reason: replace(key, actor=actor, reason=reason),
        "revoke": lambda actor, reason: revoke_api_key(api_key_id=key.pk, actor=actor, reason=reason),
        "confirm": lambda actor, reason: confirm_key_deletion(api_key_id=key.pk, actor=actor, reason=reason),
    }
    serves = reviewer if verb in {"add", "replace"} else responder
    for user in {auditor, reviewer, responder} - {serves}:
        with nothing_changes(), pytest.raises(NotPermitted):
            acts[verb](operator_actor(user, Via.ADMIN), "A test.")
    with nothing_changes(), pytest.raises(ReasonRequired):
        acts[verb](operator_actor(serves, Via.ADMIN), " ")


def test_key_says_nothing_of_itself() -> None:
    text = KeyText(VALUE)
    assert VALUE not in f"{text} {text!r} {[text]} { ({'key': text}) }"


def test_no_refusal_repeats_the_key(installation: Installation, nightly: Purpose, key: ApiKey) -> None:
    for attempt in (
        lambda: add(installation, [nightly]),
        lambda: add(installation, [nightly], key=KeyText(VALUE + " ")),
        lambda: replace(key, key=KeyText(VALUE)),
    ):
        with pytest.raises((StateConflict, InvalidRequest)) as caught:
            attempt()
        error = caught.value
        assert VALUE not in f"{error} {error!r} {error.context} {error.response_fields()} {error.__cause__}"
