"""Rewrapping: everything sealed ends under the newest key, nothing is lost on the way, and a revoked token stays so."""

import base64

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import BinaryField
from django.test import Client
from django.test.utils import CaptureQueriesContext

from installations.errors import NotPermitted, ReasonRequired
from installations.models import Application, AuditEvent, Installation
from tests import factories
from tests.held import held
from tests.installations.admin.console import signed_in
from tests.tokens.keyring import F1, F2, K1, K2, SEED, codes_of, with_second_factors
from tests.tokens.services.test_revoke_tokens import session_on
from tests.unchanged import nothing_changes, recorded
from tokens import key_report, sealed_models, vault
from tokens.models import ApiKey, KeyRecord, OAuthToken, RevokedFingerprint
from tokens.sealing import Context, key_id_of, seal, unseal
from tokens.selectors import caller_of, is_revoked
from tokens.services import keys
from tokens.services.keys import record_keys, record_keys_after_migrate, rewrap_tokens
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

ACTOR = factories.superactor()


def rewrap(**options):
    return rewrap_tokens(actor=ACTOR, reason="A rotation.", **options)


@pytest.fixture
def keeping(record):
    """An active installation of an application that stores refresh tokens."""
    Application.objects.update(stores_refresh_tokens=True)
    Installation.objects.update(status="active")
    return record


def token(record, access_token="an-access-token", **pair):
    return factories.token(
        Installation.objects.get(pk=record.installation.pk), record.portal_user, access_token, **pair
    )


def api_key(record, value="an-api-key"):
    row = ApiKey(installation=record.installation, label="Ours")
    row.sealed_key = seal(value, Context("tokens.ApiKey", str(row.uuid), "sealed_key"), vault.token_keys())
    found = vault.fingerprint_of(value)
    row.fingerprint, row.fingerprint_key_id, row.seal_key_id = found.digest, found.key_id, key_id_of(row.sealed_key)
    row.save()
    return row


def opened(row):
    """Return what the sealed columns of a token hold."""
    row.refresh_from_db()
    return tuple(
        unseal(sealed, Context("tokens.OAuthToken", str(row.uuid), column), vault.token_keys()) if sealed else None
        for column, sealed in (
            ("sealed_access_token", row.sealed_access_token),
            ("sealed_refresh_token", row.sealed_refresh_token),
        )
    )


def test_every_sealed_column_of_every_model_is_registered():
    found = {
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.name.startswith("sealed_") or (isinstance(field, BinaryField) and "sealed" in field.name)
    }
    registered = {
        (rows.model, column.name) for rows in sealed_models.registered() for column in getattr(rows, "columns", ())
    }

    assert found == registered, "Register the model at the end of tokens/sealed_models.py."


def test_everything_that_is_sealed_ends_under_the_newest_key(keeping, superuser, settings):
    both, one, key = token(keeping, refresh_token="a-refresh-token"), token(keeping, "another"), api_key(keeping)
    with_second_factors(superuser)
    codes = codes_of(superuser)
    client = signed_in(superuser)
    settings.TOKEN_KEYS = f"{K2},{K1}"

    result = rewrap()

    assert (result.rewrapped, result.left_alone, result.remaining, result.is_complete) == (6, 0, 0, True)
    settings.TOKEN_KEYS = K2  # the old one is gone
    assert opened(both) == ("an-access-token", "a-refresh-token")
    assert opened(one) == ("another", None)
    assert (both.seal_key_id, one.seal_key_id) == ("k2", "k2")
    key.refresh_from_db()
    context = Context("tokens.ApiKey", str(key.uuid), "sealed_key")
    assert unseal(key.sealed_key, context, vault.token_keys()) == "an-api-key"
    factor = Authenticator.objects.get(user=superuser, type="totp")
    assert get_adapter().decrypt(factor.data["secret"]) == SEED
    assert codes_of(superuser) == codes
    assert client.get("/admin/").status_code == 200
    assert {line.key_id for ring in key_report.report() if ring.ring == "TOKEN_KEYS" for line in ring.keys} == {"k2"}


def test_generation_state_and_times_stay(keeping, settings):
    row = token(keeping, refresh_token="a-refresh-token")
    ours = ("sealed_access_token", "sealed_refresh_token", "seal_key_id")
    before = {name: value for name, value in OAuthToken.objects.values().get(pk=row.pk).items() if name not in ours}
    settings.TOKEN_KEYS = f"{K2},{K1}"

    rewrap()

    after = {name: value for name, value in OAuthToken.objects.values().get(pk=row.pk).items() if name not in ours}
    assert after == before


def test_second_run_finds_nothing_and_records_nothing(keeping, settings):
    token(keeping)
    settings.TOKEN_KEYS = f"{K2},{K1}"
    rewrap()

    with nothing_changes():
        assert rewrap().rewrapped == 0


def test_two_events_tell_of_the_run(keeping, settings):
    token(keeping)
    settings.TOKEN_KEYS = f"{K2},{K1}"
    before = len(recorded())

    rewrap()

    assert recorded()[before:] == ["keys.rewrap_started", "keys.rewrap_finished"]
    started, finished = AuditEvent.objects.order_by("sequence")[before:]
    assert (started.target_kind, started.target_id, started.reason) == ("key", "k2", "A rotation.")
    under = {"seal_key": "k2", "fingerprint_key": "1"}
    assert started.details == under | {"rows": {"tokens": 1}}
    assert finished.details == under | {"rewrapped": 1, "left_alone": 0, "remaining": 0}


def test_dry_run_unseals_everything_and_writes_nothing(keeping, settings):
    token(keeping)
    broken = token(keeping, "another")
    OAuthToken.objects.filter(pk=broken.pk).update(sealed_access_token=bytes(opened_bytes(broken)))
    settings.TOKEN_KEYS = f"{K2},{K1}"
    left = []

    with nothing_changes():
        result = rewrap(dry_run=True, on_left_alone=left.append)

    assert (result.rewrapped, result.left_alone, result.remaining) == (1, 1, 2)
    assert [row.row for row in left] == [f"token #{broken.pk}"]


def opened_bytes(row):
    """Return the sealed access token with its last bit turned."""
    sealed = bytearray(bytes(row.sealed_access_token))
    sealed[-1] ^= 1
    return sealed


@pytest.mark.parametrize("size", [1, 2, 5000])
def test_row_that_does_not_unseal_is_named_left_alone_and_does_not_stop_the_run(keeping, settings, size):
    rows = [token(keeping, f"token-number-{number}") for number in range(5)]
    damaged = bytes(opened_bytes(rows[2]))
    OAuthToken.objects.filter(pk=rows[2].pk).update(sealed_access_token=damaged)
    settings.TOKEN_KEYS = f"{K2},{K1}"
    left = []

    result = rewrap(batch_size=size, on_left_alone=left.append)

    assert (result.rewrapped, result.left_alone, result.remaining, result.is_complete) == (4, 1, 1, False)
    assert [(row.row, row.why) for row in left] == [(f"token #{rows[2].pk}", "tampered (key 'k1')")]
    rows[2].refresh_from_db()
    assert bytes(rows[2].sealed_access_token) == damaged
    assert [opened(row)[0] for row in (*rows[:2], *rows[3:])] == [f"token-number-{number}" for number in (0, 1, 3, 4)]


def test_row_under_a_key_that_is_gone_is_left_alone(keeping, settings):
    row = token(keeping)
    settings.TOKEN_KEYS = K2
    left = []

    result = rewrap(on_left_alone=left.append)

    assert (result.rewrapped, result.left_alone, result.is_complete) == (0, 1, False)
    assert [one.why for one in left] == ["unknown_key (key 'k1')"]
    settings.TOKEN_KEYS = K1
    assert opened(row)[0] == "an-access-token"


def test_which_key_a_row_needs_is_read_from_the_value_not_from_the_column(keeping, settings):
    row = token(keeping)
    OAuthToken.objects.update(seal_key_id="k2")  # a lie
    settings.TOKEN_KEYS = f"{K2},{K1}"

    assert next(line for line in key_report.report()[0].keys if line.key_id == "k1").moves == {"tokens": 1}
    assert rewrap().rewrapped == 1
    settings.TOKEN_KEYS = K2
    assert opened(row)[0] == "an-access-token"


@pytest.mark.parametrize("change", ["revoked", "handed over", "stale", "wiped refresh token"])
def test_whoever_changes_a_row_beside_the_run_wins(keeping, settings, monkeypatch, change):
    row = token(keeping, refresh_token="a-refresh-token")
    settings.TOKEN_KEYS = f"{K2},{K1}"
    write, done = sealed_models.SealedModel._write, []

    def after_reading(self, rows, keys):
        if not done and rows:
            done.append(True)
            found = OAuthToken.objects.get(pk=row.pk)
            if change == "revoked":
                revoke_tokens(
                    target=RevocationTarget.of_installation(row.installation_id), actor=ACTOR, reason="A race."
                )
            elif change == "handed over":
                vault.seal_into(found, "a-newer-token", None)
                found.generation += 1
                found.save()
            elif change == "stale":
                OAuthToken.objects.update(state="stale", sealed_access_token=None, stale_at="2026-01-01T00:00:00Z")
            else:
                OAuthToken.objects.update(sealed_refresh_token=None)
        return write(self, rows, keys)

    monkeypatch.setattr(sealed_models.SealedModel, "_write", after_reading)
    monkeypatch.setattr("tokens.services.keys._PAUSE_SECONDS", 0)

    result = rewrap()

    assert result.is_complete is True
    expected = {
        "revoked": (None, None),
        "handed over": ("a-newer-token", None),
        "stale": (None, "a-refresh-token"),
        "wiped refresh token": ("an-access-token", None),
    }
    assert opened(row) == expected[change]
    settings.TOKEN_KEYS = K2
    assert opened(row) == expected[change]


def test_fingerprints_are_made_anew_under_the_newest_key(keeping, settings):
    row, key = token(keeping, refresh_token="a-refresh-token"), api_key(keeping)
    before = row.access_fingerprint
    settings.FINGERPRINT_KEY = f"{F2},{F1}"

    assert rewrap().rewrapped == 2

    row.refresh_from_db()
    key.refresh_from_db()
    settings.FINGERPRINT_KEY = F2
    assert row.fingerprint_key_id == key.fingerprint_key_id == "f2"
    assert row.access_fingerprint == vault.fingerprint_of("an-access-token").digest != before
    assert row.refresh_fingerprint == vault.fingerprint_of("a-refresh-token").digest
    assert key.fingerprint == vault.fingerprint_of("an-api-key").digest


def test_row_that_lacks_one_of_its_secrets_keeps_its_fingerprints_and_is_no_work(keeping, settings):
    row = token(keeping, refresh_token="a-refresh-token")
    OAuthToken.objects.update(state="stale", sealed_access_token=None, stale_at="2026-01-01T00:00:00Z")
    before = (row.access_fingerprint, row.refresh_fingerprint, "1")
    settings.FINGERPRINT_KEY, settings.TOKEN_KEYS = f"{F2},{F1}", f"{K2},{K1}"

    result = rewrap()

    row.refresh_from_db()
    assert (result.rewrapped, result.is_complete) == (1, True)
    assert (row.access_fingerprint, row.refresh_fingerprint, row.fingerprint_key_id) == before
    assert opened(row) == (None, "a-refresh-token")


def test_token_revoked_before_the_rotation_stays_refused_after_it(keeping, settings):
    token(keeping)
    revoke_tokens(target=RevocationTarget.of_installation(keeping.installation.pk), actor=ACTOR, reason="Before.")
    settings.FINGERPRINT_KEY = f"{F2},{F1}"

    rewrap()

    assert is_revoked("an-access-token") is True


def test_denied_token_that_lives_on_in_another_row_stays_denied_under_its_new_fingerprint(keeping, settings):
    row = token(keeping)
    session_on(row)
    revoke_tokens(target=RevocationTarget.of_installation(keeping.installation.pk), actor=ACTOR, reason="Before.")
    # A handshake that read the deny list before the revocation stores the token beside it.
    beside = token(keeping)
    session_on(beside, "beside")
    assert caller_of("beside").token_state == "revoked"
    settings.FINGERPRINT_KEY = f"{F2},{F1}"

    rewrap()

    beside.refresh_from_db()
    assert beside.fingerprint_key_id == "f2"
    assert caller_of("beside").token_state == "revoked"
    assert RevokedFingerprint.objects.get(fingerprint=beside.access_fingerprint).revocation_id == row_revocation(row)


def row_revocation(row):
    row.refresh_from_db()
    return row.revocation_id


@pytest.mark.parametrize("cut_first", ["old", "new"])
def test_token_in_two_rows_under_two_keys_is_cut_in_both(application, keeping, settings, cut_first):
    old = token(keeping)
    settings.FINGERPRINT_KEY = f"{F2},{F1}"
    elsewhere = factories.launch(factories.application("com.example.other"))
    new = token(elsewhere)
    assert (old.fingerprint_key_id, new.fingerprint_key_id) == ("1", "f2")
    for row, name in ((old, "old"), (new, "new")):
        session_on(row, name)

    cut = old if cut_first == "old" else new
    revoke_tokens(target=RevocationTarget.of_installation(cut.installation_id), actor=ACTOR, reason="For a test.")

    assert {caller_of(name).token_state for name in ("old", "new")} == {"revoked"}
    rewrap()
    assert {caller_of(name).token_state for name in ("old", "new")} == {"revoked"}


def test_same_token_twice_is_sealed_anew_and_told_when_its_fingerprint_cannot_move(keeping, settings):
    """A process that did not know the new key yet stored a second row for a token that another had stored."""
    settings.FINGERPRINT_KEY = F2
    newer = token(keeping)
    settings.FINGERPRINT_KEY = F1
    older = token(keeping)
    other = token(keeping, "another")
    settings.FINGERPRINT_KEY, settings.TOKEN_KEYS = f"{F2},{F1}", f"{K2},{K1}"
    left = []

    result = rewrap(on_left_alone=left.append)

    assert [(row.row, row.why) for row in left] == [
        (f"token #{older.pk}", "another row holds the same secret: revoke one")
    ]
    assert (result.left_alone, result.remaining, result.is_complete) == (1, 1, False)
    settings.TOKEN_KEYS = K2
    assert [opened(row)[0] for row in (newer, older, other)] == ["an-access-token", "an-access-token", "another"]
    older.refresh_from_db()
    other.refresh_from_db()
    assert (older.fingerprint_key_id, other.fingerprint_key_id) == ("1", "f2")


def test_number_of_statements_follows_the_batches_not_the_rows(keeping, settings, monkeypatch):
    monkeypatch.setattr("tokens.services.storing.MAX_LIVE_TOKENS", 100)
    statements = []
    # The first round records keys that the others find recorded.
    for ring, rows in ((f"{K2},{K1}", 1), (f"{K1},{K2}", 3), (f"{K2},{K1}", 30)):
        for number in range(rows):
            token(keeping, f"token-{ring[:2]}-{number}")
        settings.TOKEN_KEYS = ring
        with CaptureQueriesContext(connection) as made:
            rewrap(batch_size=50)
        # SQLite has no set-based statement for it: its rows are written one by one.
        statements.append(sum(not query["sql"].startswith('UPDATE "tokens_oauthtoken"') for query in made))

    assert statements[1] == statements[2]


def test_without_permission_or_reason_nothing_happens(keeping, settings, reviewer):
    token(keeping)
    settings.TOKEN_KEYS = f"{K2},{K1}"
    with nothing_changes():
        with pytest.raises(NotPermitted):
            rewrap_tokens(actor=factories.actor(reviewer), reason="A rotation.")
        with pytest.raises(ReasonRequired):
            rewrap_tokens(actor=ACTOR, reason=" ")


def test_keys_are_recorded_when_rows_prove_them_and_never_twice(keeping, settings):
    assert record_keys() == 1  # the audit trail has events already
    token(keeping)
    settings.TOKEN_KEYS = f"{K2},{K1}"

    assert [record_keys(), record_keys()] == [2, 0]
    assert set(KeyRecord.objects.values_list("ring", "key_id")) == {
        ("AUDIT_KEY", "1"),
        ("FINGERPRINT_KEY", "1"),
        ("TOKEN_KEYS", "k1"),
    }
    rewrap()
    assert KeyRecord.objects.filter(ring="TOKEN_KEYS", key_id="k2").count() == 1
    assert get_user_model().objects.count() == 0
    assert Session.objects.count() == 0


def test_keys_are_recorded_after_a_migration_of_this_database_only(record, settings):
    token(record)
    record_keys_after_migrate(using="another")
    assert KeyRecord.objects.count() == 0
    settings.TOKEN_KEYS = "nonsense"
    record_keys_after_migrate()
    assert KeyRecord.objects.count() == 0
    settings.TOKEN_KEYS = K1
    record_keys_after_migrate()
    assert KeyRecord.objects.count() > 0


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_row_that_somebody_holds_all_the_time_remains_and_is_said_to(record, settings, monkeypatch):
    monkeypatch.setattr(keys, "_PAUSE_SECONDS", 0)
    busy, free = token(record, "busy"), token(record, "free")
    settings.TOKEN_KEYS = f"{K2},{K1}"

    with held("SELECT 1 FROM tokens_oauthtoken WHERE id = %s FOR UPDATE", busy.pk):
        done = rewrap()

    assert (done.rewrapped, done.left_alone, done.remaining) == (1, 0, 1)
    assert rewrap().remaining == 0
    assert {key_id_of(opened_row(row)) for row in (busy, free)} == {"k2"}


def opened_row(row):
    row.refresh_from_db()
    return bytes(row.sealed_access_token)


def test_second_factor_and_sign_in_that_do_not_unseal_are_named_and_left_alone(superuser, settings):
    with_second_factors(superuser)
    Client().force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")
    factor = Authenticator.objects.get(type="totp")
    factor.data["secret"] = "not base64 at all"
    factor.save()
    damaged = bytearray(base64.b64decode(Session.objects.get().session_data))
    damaged[-1] ^= 1
    Session.objects.update(session_data=base64.b64encode(bytes(damaged)).decode())
    settings.TOKEN_KEYS = f"{K2},{K1}"
    told = []

    done = rewrap(on_left_alone=told.append)

    assert (done.rewrapped, done.left_alone) == (1, 2)  # the recovery codes
    assert [str(row.row) for row in told] == [f"authenticator #{factor.pk}", "an operator's session"]
    assert Session.objects.get().pk not in str(told)
    factor.refresh_from_db()
    assert factor.data["secret"] == "not base64 at all"


def test_old_recovery_codes_move_one_by_one_and_a_dry_run_moves_none(superuser, settings):
    with_second_factors(superuser)
    row = Authenticator.objects.get(type="recovery_codes")
    row.data = {"migrated_codes": [get_adapter().encrypt(code) for code in ("first-code", "second-code")]}
    row.save()
    settings.TOKEN_KEYS = f"{K2},{K1}"

    with nothing_changes():
        assert rewrap(dry_run=True).rewrapped == 2
    row.refresh_from_db()
    assert {key_id_of(base64.b64decode(code)) for code in row.data["migrated_codes"]} == {"k1"}
    assert rewrap().rewrapped == 2

    settings.TOKEN_KEYS = K2
    row.refresh_from_db()
    assert [get_adapter().decrypt(code) for code in row.data["migrated_codes"]] == ["first-code", "second-code"]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_second_factor_that_is_gone_or_held_meanwhile_is_passed_over(superuser, settings, monkeypatch):
    monkeypatch.setattr(keys, "_PAUSE_SECONDS", 0)
    with_second_factors(superuser)
    held_one = Authenticator.objects.get(type="totp")
    settings.TOKEN_KEYS = f"{K2},{K1}"

    with held("SELECT 1 FROM mfa_authenticator WHERE id = %s FOR UPDATE", held_one.pk):
        done = rewrap()

    assert (done.rewrapped, done.left_alone, done.remaining) == (1, 0, 1)
