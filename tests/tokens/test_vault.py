"""The vault's columns: which context each has, which texts are tokens, and how an expiry is read."""

import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from installations.keys import KeyRingError
from tokens import vault
from tokens.errors import UnsealFailed
from tokens.models import OAuthToken
from tokens.sealing import Context, fingerprint, unseal

K1 = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
K2 = "k2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="


@pytest.fixture
def row() -> OAuthToken:
    return OAuthToken(uuid=uuid.UUID(int=5))


def test_both_secrets_are_sealed_to_the_row_and_their_own_column(row):
    vault.seal_into(row, "the-access-token", "the-refresh-token")

    def at(column):
        return Context("tokens.OAuthToken", str(uuid.UUID(int=5)), column)

    assert unseal(row.sealed_access_token, at("sealed_access_token"), vault.token_keys()) == "the-access-token"
    assert unseal(row.sealed_refresh_token, at("sealed_refresh_token"), vault.token_keys()) == "the-refresh-token"


def test_columns_of_one_row_cannot_be_swapped(row):
    vault.seal_into(row, "the-access-token", "the-refresh-token")

    with pytest.raises(UnsealFailed, match="tampered"):
        vault.unseal_access_token(str(row.uuid), row.sealed_refresh_token)


def test_column_of_another_row_does_not_unseal(row):
    vault.seal_into(row, "the-access-token", None)

    with pytest.raises(UnsealFailed, match="tampered"):
        vault.unseal_access_token(str(uuid.UUID(int=6)), row.sealed_access_token)


def test_fingerprints_and_key_ids_are_kept_beside_the_secrets(row):
    vault.seal_into(row, "the-access-token", "the-refresh-token")

    assert row.access_fingerprint == fingerprint("the-access-token", vault.fingerprint_keys()).digest
    assert row.refresh_fingerprint == fingerprint("the-refresh-token", vault.fingerprint_keys()).digest
    assert (row.fingerprint_key_id, row.seal_key_id) == ("1", "k1")


@pytest.mark.parametrize("refresh_token", [None, ""])
def test_pair_without_refresh_token_leaves_nothing_of_an_earlier_one(row, refresh_token):
    vault.seal_into(row, "the-access-token", "the-refresh-token")

    vault.seal_into(row, "the-next-access-token", refresh_token)

    assert row.sealed_refresh_token is None
    assert row.refresh_fingerprint == ""


def test_new_key_in_front_seals_from_then_on_and_the_old_one_still_unseals(row, settings):
    settings.TOKEN_KEYS = K1
    vault.seal_into(row, "the-access-token", None)
    sealed_under_k1 = row.sealed_access_token

    settings.TOKEN_KEYS = f"{K2},{K1}"
    vault.seal_into(row, "the-next-access-token", None)

    assert row.seal_key_id == "k2"
    assert vault.unseal_access_token(str(row.uuid), sealed_under_k1) == "the-access-token"


def test_key_that_was_taken_away_is_named(row, settings):
    vault.seal_into(row, "the-access-token", None)
    settings.TOKEN_KEYS = K2

    with pytest.raises(UnsealFailed, match=r"^unknown_key \(key 'k1'\)$"):
        vault.unseal_access_token(str(row.uuid), row.sealed_access_token)


@pytest.mark.parametrize("setting", ["TOKEN_KEYS", "FINGERPRINT_KEY"])
def test_missing_key_setting_seals_nothing(row, settings, setting):
    setattr(settings, setting, "")

    with pytest.raises(KeyRingError):
        vault.seal_into(row, "the-access-token", None)

    assert row.sealed_access_token is None


@pytest.mark.parametrize("setting", ["SECRET_KEY", "CRYPTOGRAPHY_KEY"])
def test_other_keys_of_the_service_do_not_take_part(row, settings, setting):
    vault.seal_into(row, "the-access-token", None)

    setattr(settings, setting, "another one, of good length: " * 3)

    assert vault.unseal_access_token(str(row.uuid), row.sealed_access_token) == "the-access-token"


def test_digests_are_under_every_key_and_skip_what_is_absent(settings):
    settings.FINGERPRINT_KEY = f"{K2},{K1}"

    digests = vault.digests_of("a", None, "", "b")

    ring = vault.fingerprint_keys()
    assert len(digests) == 4
    assert digests[0] == fingerprint("a", ring).digest
    assert digests[2] == fingerprint("b", ring).digest


@pytest.mark.parametrize("value", ["a", "a" * 4096, "!~", "abc.DEF-123_~+/="])
def test_visible_ascii_is_token_text(value):
    assert vault.is_token_text(value) is True


@pytest.mark.parametrize(
    "value",
    ["", "a" * 4097, "a b", " a", "a ", "a\n", "a\r\nX-Evil: 1", "a\t", "\x7f", "\x00", "tökén", "\udc80", "a\u2028"],
)
def test_anything_else_is_not_token_text(value):
    assert vault.is_token_text(value) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-01 10:15:20", datetime(2026, 4, 1, 10, 15, 20, tzinfo=UTC)),
        ("2026-04-01T10:15:20Z", datetime(2026, 4, 1, 10, 15, 20, tzinfo=UTC)),
        ("2026-04-01T10:15:20.123Z", datetime(2026, 4, 1, 10, 15, 20, 123000, tzinfo=UTC)),
    ],
)
def test_expiry_without_a_zone_or_with_z_is_utc(text, expected):
    assert vault.parse_expiry(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "1775038520",
        "2026-04-01",
        "2026-13-01 10:15:20",
        "2026-04-01T10:15:20+03:00",
        "2026-04-01 10:15:20\n",
    ],
)
def test_any_other_expiry_is_refused(text):
    with pytest.raises(ValueError, match="not a time"):
        vault.parse_expiry(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-01 10:15:20", datetime(2026, 4, 1, 8, 15, 20, tzinfo=UTC)),
        ("2026-04-01T10:15:20Z", datetime(2026, 4, 1, 10, 15, 20, tzinfo=UTC)),  # it says which zone
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # comes twice: the first one
    ],
)
def test_expiry_without_a_zone_is_of_the_zone_that_is_set(text, expected, settings):
    settings.FLOWLU_EXPIRY_ZONE = "Europe/Berlin"
    assert vault.parse_expiry(text) == expected


def test_expiry_before_all_time_is_refused_in_every_zone(settings):
    settings.FLOWLU_EXPIRY_ZONE = "Europe/Berlin"
    with pytest.raises(ValueError, match="not a time"):
        vault.parse_expiry("0001-01-01 00:00:00")


def test_no_secret_is_in_the_repr_of_a_row(row):
    vault.seal_into(row, "the-access-token", "the-refresh-token")

    assert f"{row} {row!r}" == "token #None <OAuthToken: token #None>"
    assert "the-access-token" not in repr(SimpleNamespace(**row.__dict__))
