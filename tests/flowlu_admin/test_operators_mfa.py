"""Operators' accounts: second factors are sealed under TOKEN_KEYS, and nobody signs up."""

import base64

import pytest
from allauth.account.adapter import get_adapter as account_adapter
from allauth.mfa.adapter import get_adapter as mfa_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.socialaccount.adapter import get_adapter as social_adapter
from django.test import RequestFactory

from flowlu_admin.operators import OperatorMFAAdapter
from tokens import vault
from tokens.errors import UnsealFailed
from tokens.sealing import Context, seal

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
K2 = "k2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="


def test_the_adapters_are_the_ones_in_use():
    assert type(mfa_adapter()) is OperatorMFAAdapter
    assert type(account_adapter()).__name__ == "OperatorAccountAdapter"
    assert type(social_adapter()).__name__ == "OperatorSocialAccountAdapter"


def test_seed_comes_back_and_is_not_in_what_is_stored():
    stored = mfa_adapter().encrypt(SEED)

    assert mfa_adapter().decrypt(stored) == SEED
    assert SEED not in stored
    assert SEED.encode() not in base64.b64decode(stored)


def test_seed_is_kept_sealed_in_the_database(superuser):
    totp.TOTP.activate(superuser, SEED)

    data = Authenticator.objects.get().data
    assert SEED not in str(data)
    assert Authenticator.objects.get().wrap().validate_code("000000") in (True, False)
    assert mfa_adapter().decrypt(data["secret"]) == SEED


def test_recovery_codes_are_kept_sealed_in_the_database(superuser):
    codes = RecoveryCodes.activate(superuser)
    data = str(Authenticator.objects.get().data)

    assert len(codes.get_unused_codes()) == 10
    assert [code for code in codes.get_unused_codes() if code in data] == []
    assert "migrated_codes" not in data


def test_key_rotation_keeps_second_factors(settings):
    stored = mfa_adapter().encrypt(SEED)

    settings.TOKEN_KEYS = f"{K2},{settings.TOKEN_KEYS}"

    assert mfa_adapter().decrypt(stored) == SEED


def test_missing_key_is_loud(settings):
    stored = mfa_adapter().encrypt(SEED)
    settings.TOKEN_KEYS = K2

    with pytest.raises(UnsealFailed, match="unknown_key"):
        mfa_adapter().decrypt(stored)


def test_secret_key_takes_no_part(settings):
    stored = mfa_adapter().encrypt(SEED)

    settings.SECRET_KEY = "another-" * 8

    assert mfa_adapter().decrypt(stored) == SEED


@pytest.mark.parametrize("column", [SEED, "", "not base64!"], ids=["in-clear", "empty", "other"])
def test_what_was_never_sealed_is_refused(column):
    with pytest.raises((UnsealFailed, ValueError)) as caught:
        mfa_adapter().decrypt(column)

    assert SEED not in f"{caught.value!s}{caught.value!r}"


def test_sealed_token_is_no_second_factor():
    token = seal(SEED, Context("tokens.OAuthToken", "", "data"), vault.token_keys())

    with pytest.raises(UnsealFailed, match="tampered"):
        mfa_adapter().decrypt(base64.b64encode(token).decode())


def test_nobody_signs_up():
    request = RequestFactory().get("/")

    assert account_adapter().is_open_for_signup(request) is False
    assert social_adapter().is_open_for_signup(request, None) is False


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/signup/", "/accounts/social/signup/"])
def test_there_is_no_page_to_sign_up(client, path):
    assert client.get(path).status_code == 404


def test_address_of_an_operator_is_the_one_that_was_settled():
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", HTTP_X_FORWARDED_FOR="198.51.100.1")

    assert account_adapter().get_client_ip(request) == "203.0.113.7"


def test_unix_socket_counts_as_one_address():
    assert account_adapter().get_client_ip(RequestFactory().get("/", REMOTE_ADDR="")) == "unix"
