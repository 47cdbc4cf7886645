"""Sealing: a value comes back only under its key, whole, and in the very place that it was sealed for."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.keys import Key, KeyRing
from tokens.errors import UnsealFailed
from tokens.sealing import Context, fingerprint, fingerprints, key_id_of, seal, unseal

K1 = Key("k1", bytes(range(32)))
K2 = Key("k2", bytes(range(100, 132)))
RING = KeyRing([K1])
HERE = Context("tokens.OAuthToken", "0a6ee9a6-6c0c-4b8a-9b43-3e1f3a3f6d11", "sealed_access_token")
VALUE = "flw-access-token-0123456789"
# Sealed once by this code: what lies in a database today must unseal tomorrow.
KEPT = (
    "AQJrMYAAAAAAawTgEmxVXxJCf9p6mnVl0PqYMtowyNUPVvoYWKw+Rz++b/pWMA"
    "VPDi080lvwCn2jfuw+yMsgyYu5MwKVomyl7VLHCrSn1ED3eDcbSj6OI0WExb03"
)


def failure(sealed: bytes, context: Context = HERE, ring: KeyRing = RING) -> UnsealFailed:
    with pytest.raises(UnsealFailed) as caught:
        unseal(sealed, context, ring)
    return caught.value


@given(st.text())
def test_every_text_comes_back(value):
    assert unseal(seal(value, HERE, RING), HERE, RING) == value


@pytest.mark.parametrize("value", ["", "\x00", "ünïcödé 日本語 \U0001f512", "x" * 100_000])
def test_empty_unicode_and_long_texts_come_back(value):
    assert unseal(seal(value, HERE, RING), HERE, RING) == value


def test_shortest_value_there_is_comes_back():
    ring = KeyRing([Key("k", K1.material)])
    sealed = seal("", HERE, ring)

    assert len(sealed) == 76
    assert unseal(sealed, HERE, ring) == ""
    assert failure(sealed[:-1], ring=ring).reason == "malformed"


def test_view_of_the_column_unseals_like_bytes():
    assert unseal(memoryview(seal(VALUE, HERE, RING)), HERE, RING) == VALUE


def test_value_sealed_by_an_earlier_release_unseals():
    assert unseal(base64.b64decode(KEPT), HERE, RING) == VALUE


def test_same_value_is_sealed_differently_each_time():
    assert seal(VALUE, HERE, RING) != seal(VALUE, HERE, RING)


def test_sealed_value_says_version_and_key_id_and_nothing_of_the_value():
    sealed = seal(VALUE, HERE, RING)

    assert sealed[:4] == b"\x01\x02k1"
    assert key_id_of(sealed) == "k1"
    assert VALUE.encode() not in sealed


def test_flipped_bit_at_any_byte_is_refused():
    sealed = seal(VALUE, HERE, RING)
    for place in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            assert failure(bytes(changed)).reason in {"malformed", "unknown_version", "unknown_key", "tampered"}


def test_flipped_bit_behind_the_head_is_tampering():
    sealed = seal(VALUE, HERE, RING)
    reasons = set()
    for place in range(4, len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        error = failure(bytes(changed))
        reasons.add((error.reason, error.key_id))
    assert reasons == {("tampered", "k1")}


def test_any_truncation_is_refused():
    sealed = seal(VALUE, HERE, RING)
    for length in range(len(sealed)):
        assert failure(sealed[:length]).reason in {"malformed", "tampered"}


@pytest.mark.parametrize("more", [b"\x00", b"=" * 16])
def test_appended_bytes_are_refused(more):
    assert failure(seal(VALUE, HERE, RING) + more).reason == "tampered"


@pytest.mark.parametrize(
    "elsewhere",
    [
        Context("tokens.ApiKey", HERE.row, HERE.column),
        Context(HERE.model, "0a6ee9a6-6c0c-4b8a-9b43-3e1f3a3f6d12", HERE.column),
        Context(HERE.model, HERE.row, "sealed_refresh_token"),
        Context(HERE.model, "", ""),
    ],
    ids=["model", "row", "column", "none"],
)
def test_value_copied_to_another_model_row_or_column_is_refused(elsewhere):
    assert failure(seal(VALUE, HERE, RING), elsewhere).reason == "tampered"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Context("ab", "c", "d"), Context("a", "bc", "d")),
        (Context("a", "bc", "d"), Context("a", "b", "cd")),
        (Context("abc", "", ""), Context("", "abc", "")),
        (Context("a\x00b", "c", ""), Context("a", "b\x00c", "")),
        (Context("a", "\x00\x00\x00\x01b", ""), Context("a", "b", "")),
    ],
)
def test_contexts_of_the_same_letters_are_different_places(one, other):
    assert one.encoded() != other.encoded()
    assert failure(seal(VALUE, one, RING), other).reason == "tampered"


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_no_two_contexts_share_an_encoding(one, other):
    assert (Context(*one).encoded() == Context(*other).encoded()) == (one == other)


def test_unknown_key_is_named_and_refused():
    error = failure(seal(VALUE, HERE, KeyRing([K2])))

    assert (error.reason, error.key_id, str(error)) == ("unknown_key", "k2", "unknown_key (key 'k2')")


@pytest.mark.parametrize("version", [0, 2, 0x80, 255])
def test_other_version_is_refused(version):
    assert failure(bytes([version]) + seal(VALUE, HERE, RING)[1:]).reason == "unknown_version"


def test_key_id_renamed_to_another_key_of_the_ring_is_refused():
    sealed = seal(VALUE, HERE, KeyRing([K1, K2]))

    renamed = sealed.replace(b"k1", b"k2", 1)

    assert failure(renamed, ring=KeyRing([K1, K2])).reason == "tampered"


def test_key_id_is_covered_even_when_both_ids_carry_the_same_material():
    sealed = seal(VALUE, HERE, KeyRing([K1]))

    renamed = sealed.replace(b"k1", b"k9", 1)

    assert failure(renamed, ring=KeyRing([Key("k9", K1.material)])).reason == "tampered"


def test_same_id_with_another_key_is_refused():
    assert failure(seal(VALUE, HERE, RING), ring=KeyRing([Key("k1", K2.material)])).reason == "tampered"


def test_newest_key_seals_and_the_old_one_still_unseals():
    old = seal(VALUE, HERE, KeyRing([K1]))
    rotated = KeyRing([K2, K1])

    assert key_id_of(seal(VALUE, HERE, rotated)) == "k2"
    assert unseal(old, HERE, rotated) == VALUE


@pytest.mark.parametrize(
    "column",
    [
        b"",
        b"\x01",
        b"flw-access-token-0123456789",
        b"a-token-in-clear-that-is-long-enough-to-be-a-sealed-value-0123456789-0123456789-0123456789",
        b"\x01\x00" + bytes(100),
        b"\x01\xff" + bytes(100),
        b"\x01\x02k1" + bytes(100),
    ],
)
def test_what_was_never_sealed_is_refused(column):
    assert failure(column).reason in {"malformed", "unknown_version", "tampered"}


def test_failure_holds_nothing_of_the_value_nor_of_the_envelope():
    sealed = bytearray(seal(VALUE, HERE, RING))
    sealed[-1] ^= 1

    error = failure(bytes(sealed))

    shown = f"{error!s} {error!r} {error.args!r} {vars(error)!r}"
    assert shown.replace("'", "").count("tampered") == 4
    assert VALUE not in shown
    assert base64.b64encode(sealed[-32:]).decode()[:8] not in shown
    assert error.__suppress_context__ is True


def test_sealing_uses_no_setting_of_the_package_nor_secret_key(settings):
    sealed = seal(VALUE, HERE, RING)

    settings.SECRET_KEY = "another-" * 8
    settings.CRYPTOGRAPHY_KEY = "another-" * 4

    assert unseal(sealed, HERE, RING) == VALUE
    assert unseal(seal("new", HERE, RING), HERE, RING) == "new"


def test_secret_key_and_the_packages_own_key_unseal_nothing(settings):
    from django_cryptography.core.signing import BadSignature
    from django_cryptography.utils.crypto import FernetBytes

    body = seal(VALUE, HERE, RING)[4:]

    with pytest.raises(BadSignature):
        FernetBytes().decrypt(body)


def test_neither_subkey_is_empty():
    # The package falls back to SECRET_KEY for an empty key: a derivation must never give one.
    assert len(K1.derive("seal cipher")) == len(K1.derive("seal mac")) == 32


def test_fingerprint_is_keyed_and_the_same_for_the_same_value():
    assert fingerprint(VALUE, RING) == fingerprint(VALUE, RING)
    assert fingerprint(VALUE, RING).digest != fingerprint(VALUE, KeyRing([K2])).digest
    assert fingerprint(VALUE, RING).digest != fingerprint(VALUE + "x", RING).digest


def test_fingerprint_is_a_known_hex_digest_under_the_newest_key():
    found = fingerprint(VALUE, KeyRing([K1, K2]))

    assert found.key_id == "k1"
    assert found.digest == "36238e47a1c39dda5f29b4555d2ee0db0143d6b6c62075f314490b0d6f724642"


def test_fingerprints_cover_every_key_of_the_ring():
    found = fingerprints(VALUE, KeyRing([K2, K1]))

    assert [each.key_id for each in found] == ["k2", "k1"]
    assert found[1] == fingerprint(VALUE, RING)
