"""`key_status`: every key with its fingerprint and its rows, and exit code 1 for one that is missing or another."""

import base64
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db import transaction

from installations.audit import Event, append
from installations.models import AuditEvent
from tests import factories
from tests.tokens.keyring import A1, A2, F1, F2, K1, K2, K3, WRONG_K1, fingerprint_of_key, with_second_factors
from tokens.models import KeyRecord, OAuthToken
from tokens.services.keys import rewrap_tokens
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

OPEN, REVOKED = "an-access-token", "an-older-token"


def status():
    """Return what the command printed, with single spaces, and its refusal."""
    out = StringIO()
    refusal = ""
    try:
        call_command("key_status", stdout=out, stderr=out)
    except CommandError as error:
        refusal = str(error)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()], refusal


def cut(record):
    revoke_tokens(
        target=RevocationTarget.of_installation(record.installation.pk),
        actor=factories.superactor(),
        reason="For a test.",
    )


@pytest.fixture
def scene(record):
    factories.token(record.installation, record.portal_user, REVOKED)
    cut(record)
    return factories.token(record.installation, record.portal_user, OPEN)


def test_one_key_in_each_ring(scene, superuser):
    with_second_factors(superuser)

    lines, refusal = status()

    assert refusal == ""
    events = AuditEvent.objects.count()
    assert lines == [
        "TOKEN_KEYS seals tokens, API keys, second factors and operators' sessions",
        f"k1 {fingerprint_of_key(K1)} newest 1 tokens, 2 second factors",
        "FINGERPRINT_KEY finds tokens and API keys again, and refuses revoked ones",
        f"1 {fingerprint_of_key(F1)} newest 1 tokens, 1 revoked fingerprints",
        "AUDIT_KEY chains the audit trail",
        f"1 {fingerprint_of_key(A1)} newest {events} audit events",
        "every key that rows need is there",
    ]


def test_old_keys_say_what_moves_and_what_stays(scene, settings):
    settings.TOKEN_KEYS, settings.FINGERPRINT_KEY = f"{K2},{K1}", f"{F2},{F1}"

    lines, refusal = status()

    assert refusal == ""
    assert lines[1:3] == [
        f"k2 {fingerprint_of_key(K2)} newest nothing",
        f"k1 {fingerprint_of_key(K1)} old 1 tokens",
    ]
    assert lines[3] == "rewrap_tokens moves what it can to the newest key."
    place = lines.index(f"1 {fingerprint_of_key(F1)} old 1 tokens, 1 revoked fingerprints")
    assert lines[place + 1 : place + 3] == [
        "rewrap_tokens moves what it can to the newest key.",
        "Keep it in FINGERPRINT_KEY: these rows cannot be written anew.",
    ]
    assert lines[-1] == "every key that rows need is there; rewrap_tokens has work to do"


def test_after_a_rewrap_the_old_seal_key_can_go_and_the_fingerprint_key_stays(scene, settings):
    settings.TOKEN_KEYS, settings.FINGERPRINT_KEY = f"{K2},{K1}", f"{F2},{F1}"
    rewrap_tokens(actor=factories.superactor(), reason="A rotation.")

    lines, refusal = status()

    assert refusal == ""
    assert f"k1 {fingerprint_of_key(K1)} unused nothing" in lines
    assert "Nothing needs it: a staged key, or one to take out of TOKEN_KEYS." in lines
    assert f"1 {fingerprint_of_key(F1)} old 1 revoked fingerprints" in lines


def test_wiped_token_that_was_not_revoked_keeps_needing_its_fingerprint_key(scene, settings):
    OAuthToken.objects.live().update(state="stale", sealed_access_token=None, stale_at="2026-01-01T00:00:00Z")
    settings.FINGERPRINT_KEY = f"{F2},{F1}"

    lines, _refusal = status()

    expected = "old 1 tokens whose secret is wiped, 1 revoked fingerprints"
    assert f"1 {fingerprint_of_key(F1)} {expected}" in lines


def test_missing_keys_are_named_with_the_fingerprints_they_had(client, scene, settings):
    status()  # records what is in use
    settings.TOKEN_KEYS, settings.FINGERPRINT_KEY, settings.AUDIT_KEY = K2, F2, A2

    lines, refusal = status()

    assert refusal == (
        "Not in order: 'k1' of TOKEN_KEYS, '1' of FINGERPRINT_KEY, '1' of AUDIT_KEY. "
        "What lies under them is lost until they are back."
    )
    assert f"k1 {fingerprint_of_key(K1)} MISSING 1 tokens" in lines
    assert (
        f"Put the key 'k1' with the fingerprint {fingerprint_of_key(K1)} back into TOKEN_KEYS, behind the newest one."
        in lines
    )
    assert client.get("/readyz").json()["problems"] == [
        f"rows need the key {key_id!r} (fingerprint {fingerprint_of_key(key)}) of {ring}, which is missing"
        for ring, key_id, key in (("TOKEN_KEYS", "k1", K1), ("FINGERPRINT_KEY", "1", F1), ("AUDIT_KEY", "1", A1))
    ]


def test_restored_dump_of_an_older_time_says_which_key_it_needs(scene, settings):
    """The dump has the rows and the record of its day; the ring of today knows nothing of that key."""
    status()
    settings.TOKEN_KEYS = f"{K3},{K2}"

    lines, refusal = status()

    assert refusal.startswith("Not in order: 'k1' of TOKEN_KEYS.")
    assert f"k1 {fingerprint_of_key(K1)} MISSING 1 tokens" in lines
    settings.TOKEN_KEYS = f"{K3},{K2},{K1}"
    assert status()[1] == ""


@pytest.mark.parametrize("was_recorded", [True, False])
def test_another_key_under_the_right_id_is_told(client, scene, settings, was_recorded):
    if was_recorded:
        status()
    settings.TOKEN_KEYS = WRONG_K1

    lines, refusal = status()

    assert refusal.startswith("Not in order: 'k1' of TOKEN_KEYS.")
    assert f"k1 {fingerprint_of_key(WRONG_K1)} WRONG KEY 1 tokens" in lines
    which = f"they need the one with the fingerprint {fingerprint_of_key(K1)}"
    assert f"This is not the key that these rows were written with: {which}." in lines if was_recorded else True
    assert not KeyRecord.objects.filter(fingerprint__startswith=fingerprint_of_key(WRONG_K1)).exists()
    if was_recorded:
        assert client.get("/readyz").json()["problems"] == [
            "the key 'k1' of TOKEN_KEYS is not the one that rows were written with "
            f"(fingerprint {fingerprint_of_key(WRONG_K1)}, needed {fingerprint_of_key(K1)})"
        ]


def test_wrong_fingerprint_and_audit_keys_are_told(scene, settings):
    settings.FINGERPRINT_KEY = f"1:{K2.partition(':')[2]}"
    settings.AUDIT_KEY = f"1:{K3.partition(':')[2]}"

    assert status()[1].startswith("Not in order: '1' of FINGERPRINT_KEY, '1' of AUDIT_KEY.")


def test_audit_chain_goes_on_under_the_next_key(scene, settings):
    settings.AUDIT_KEY = f"{A2},{A1}"
    before = AuditEvent.objects.order_by("sequence").last()
    with transaction.atomic():
        append(factories.superactor(), Event("test.done", "thing", "1"))

    newest = AuditEvent.objects.order_by("sequence").last()
    assert (newest.key_id, newest.previous_hash) == ("a2", before.hash)
    lines, refusal = status()
    assert refusal == ""
    assert f"a2 {fingerprint_of_key(A2)} newest 1 audit events" in lines
    assert "Keep it in AUDIT_KEY: these rows cannot be written anew." in lines


def test_broken_ring_is_one_line(settings, scene):
    settings.TOKEN_KEYS = "k1:not-a-key!"

    assert status() == ([], "A key ring is not usable. Key 1 is not base64.")


def test_no_part_of_a_key_is_printed(scene, settings):
    settings.TOKEN_KEYS = f"{K2},{K1}"
    text = "\n".join(status()[0])

    for key in (K1, K2, F1, A1):
        encoded = key.partition(":")[2]
        assert not any(encoded[start : start + 8] in text for start in range(len(encoded) - 8))


def test_key_that_only_open_sign_ins_need_is_not_missed(client, superuser, settings):
    settings.TOKEN_KEYS = f"{K2},{K1}"
    client.force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")
    settings.TOKEN_KEYS = K1

    lines, refusal = status()

    assert refusal == ""
    assert not any(line.startswith("k2") for line in lines)


@pytest.mark.parametrize("column", [b"Fan-access-token-in-clear", b"\x02\x10a-token-of-later", b"\x01", b""])
def test_of_what_is_no_sealed_value_nothing_is_shown(scene, superuser, column):
    """A token in clear has a second byte, too, and as many more as that says would pass for the id of a key."""
    with_second_factors(superuser)
    OAuthToken.objects.filter(pk=scene.pk).update(sealed_access_token=column)
    Authenticator.objects.update(data={"secret": base64.b64encode(column).decode()})
    assert Authenticator.objects.exists()

    lines, refusal = status()

    assert refusal
    assert not any(word in line for line in lines for word in ("access", "clear", "later"))
    assert any("(unreadable)" in line and "1 tokens" in line for line in lines)
