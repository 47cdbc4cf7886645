"""Security keys as a second factor: beside the password and never in its place, asked of every session, in the trail.

The key is played by `tests.security_key`, which signs what the pages ask for; a browser's own part is in tests/browser.
"""

import json
import time
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from flowlu_admin import factor_pages
from flowlu_admin.operator_accounts import reset_second_factors
from installations.models import AuditEvent
from tests import factories
from tests.authenticator_app import code_of
from tests.factories import PASSWORD
from tests.flowlu_admin.test_accounts import enrol, has_nothing_inline, log_in, recovery_code
from tests.installations.admin.console import text
from tests.security_key import FLAG, SecurityKey, add, asked_of_key, give
from tests.tokens.keyring import K2
from tokens.services.keys import rewrap_tokens

pytestmark = pytest.mark.django_db(transaction=True)

AUTHENTICATE = "/accounts/2fa/authenticate/"
REAUTHENTICATE = "/accounts/2fa/webauthn/reauthenticate/"


@pytest.fixture(autouse=True)
def _required(settings: Any) -> None:
    settings.OPERATOR_MFA = "required"


@pytest.fixture
def key() -> SecurityKey:
    return SecurityKey()


@pytest.fixture
def owner(superuser: Any, client: Client, key: SecurityKey) -> Client:
    """A browser in which an operator has added the key as the first factor."""
    log_in(client)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert add(client, key).headers["Location"] == reverse("mfa_view_recovery_codes")
    return client


def keys() -> Any:
    return Authenticator.objects.filter(type="webauthn").order_by("pk")


def told() -> list[tuple[str, dict[str, Any]]]:
    return list(AuditEvent.objects.order_by("sequence").values_list("verb", "details"))


def half_way_in() -> Client:
    client = Client()
    assert log_in(client).request["PATH_INFO"] == AUTHENTICATE
    return client


def sent(client: Client, credential: Any, where: str = AUTHENTICATE) -> Any:
    cache.clear()
    return client.post(where, {"credential": json.dumps(credential)})


def test_key_is_added_once_though_a_browser_offers_it_again(owner: Client, key: SecurityKey) -> None:
    again = add(owner, key, "The same once more")

    assert "This key is one of yours already" in text(again)
    assert keys().count() == 1
    assert add(owner, SecurityKey(), "Another one").status_code == 302
    assert keys().count() == 2


# --- At the sign-in ---


def test_key_opens_the_session_in_which_it_was_added_and_ends_the_others(superuser: Any, owner: Client) -> None:
    other = half_way_in()

    assert owner.get(reverse("admin:index")).status_code == 200
    assert add(owner, SecurityKey(), "Second key").headers["Location"] == reverse("mfa_index")

    assert [key.data["name"] for key in keys()] == ["Blue key", "Second key"]
    assert other.get(AUTHENTICATE).status_code == 302
    assert owner.get(reverse("admin:index")).status_code == 200


def test_sign_in_asks_for_it_after_the_password(owner: Client, key: SecurityKey) -> None:
    client = half_way_in()
    assert client.get(reverse("admin:index")).status_code == 302

    answer = give(client, key, AUTHENTICATE)

    assert answer.headers["Location"] == reverse("admin:index")
    assert client.get(reverse("admin:index")).status_code == 200
    assert keys().get().last_used_at is not None


def test_it_signs_nobody_in_without_the_password(owner: Client, key: SecurityKey) -> None:
    stranger, asked = Client(), asked_of_key(half_way_in().get(AUTHENTICATE))

    answer = stranger.post(AUTHENTICATE, {"credential": json.dumps(key.sign(asked))})

    assert answer.headers["Location"] == reverse("account_login")
    assert stranger.get(reverse("admin:index")).status_code == 302
    assert stranger.get("/accounts/2fa/webauthn/login/").status_code == 404
    assert stranger.post("/accounts/2fa/webauthn/login/", {"credential": "{}"}).status_code == 404
    assert "passwordless" not in owner.get(reverse("mfa_add_webauthn")).content.decode()


def test_session_of_an_account_with_a_key_that_gave_none_has_to_give_it(
    superuser: Any, owner: Client, key: SecurityKey
) -> None:
    other = Client()
    other.force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")
    where = reverse("admin:installations_installation_changelist")

    led = other.get(where).headers["Location"]
    assert led == f"{REAUTHENTICATE}?next={where.replace('/', '%2F')}"
    assert other.get(reverse("mfa_add_webauthn")).status_code == 302
    assert add_is_refused(other)

    assert give(other, key, led).headers["Location"] == where
    assert other.get(where).status_code == 200


def add_is_refused(client: Client) -> bool:
    before = keys().count()
    client.post(reverse("mfa_add_webauthn"), {"name": "Mine", "credential": json.dumps({"id": "x"})})
    return bool(keys().count() == before)


def _of_another_key(client: Client, key: SecurityKey) -> Any:
    return SecurityKey().sign(asked_of_key(client.get(AUTHENTICATE)))


def _with_its_name(client: Client, key: SecurityKey) -> Any:
    forged = SecurityKey()
    forged.id = key.id
    return forged.sign(asked_of_key(client.get(AUTHENTICATE)))


def _from_another_page(client: Client, key: SecurityKey) -> Any:
    key.origin = "https://evil.example.com"
    return key.sign(asked_of_key(client.get(AUTHENTICATE)))


def _for_another_host(client: Client, key: SecurityKey) -> Any:
    return key.sign({**asked_of_key(client.get(AUTHENTICATE)), "rpId": "evil.example.com"})


def _without_a_touch(client: Client, key: SecurityKey) -> Any:
    key.flags = FLAG(0)
    return key.sign(asked_of_key(client.get(AUTHENTICATE)))


def _of_an_earlier_challenge(client: Client, key: SecurityKey) -> Any:
    asked = asked_of_key(client.get(AUTHENTICATE))
    client.get(AUTHENTICATE)
    return key.sign(asked)


def _of_another_session(client: Client, key: SecurityKey) -> Any:
    client.get(AUTHENTICATE)
    return key.sign(asked_of_key(half_way_in().get(AUTHENTICATE)))


@pytest.mark.parametrize(
    "made",
    [
        _of_another_key,
        _with_its_name,
        _from_another_page,
        _for_another_host,
        _without_a_touch,
        _of_an_earlier_challenge,
        _of_another_session,
    ],
)
def test_what_the_key_did_not_sign_for_this_page_is_refused_and_told(
    owner: Client, key: SecurityKey, made: Any
) -> None:
    client = half_way_in()
    before = len(told())

    answer = sent(client, made(client, key))

    assert answer.status_code == 200
    assert "The key was not taken. Try once more." in text(answer)
    assert told()[before:] == [("operator.factor_refused", {"factor": "webauthn"})]
    assert client.get(reverse("admin:index")).status_code == 302


def test_signature_counts_once(owner: Client, key: SecurityKey) -> None:
    client = half_way_in()
    signed = key.sign(asked_of_key(client.get(AUTHENTICATE)))
    assert sent(client, signed).headers["Location"] == reverse("admin:index")

    other = half_way_in()
    other.get(AUTHENTICATE)

    assert sent(other, signed).status_code == 200
    assert other.get(reverse("admin:index")).status_code == 302


def test_guesses_are_counted_as_those_of_codes_are(owner: Client, key: SecurityKey) -> None:
    client = half_way_in()
    before = len(told())
    for _guess in range(5):
        give(client, SecurityKey(), AUTHENTICATE)

    answer = give(client, key, AUTHENTICATE)

    assert answer.status_code == 200
    assert "Too many failed login attempts" in text(answer)
    assert "operator.factor_used" not in [verb for verb, _ in told()[before:]]


_B64 = "YQ"
_case_malformed = pytest.mark.parametrize(
    "credential",
    [
        {},
        [],
        "x",
        1,
        None,
        {"id": "a"},
        {"id": _B64, "rawId": _B64, "type": "public-key", "response": {}},
        {"id": 1, "rawId": [], "type": {}, "response": [1]},
        {"id": _B64, "rawId": _B64, "type": "public-key", "response": {
            "clientDataJSON": "e30", "attestationObject": "oA", "authenticatorData": _B64, "signature": _B64}},
        {"id": _B64, "rawId": _B64, "type": "public-key", "response": {
            "clientDataJSON": "W10", "attestationObject": "gA", "authenticatorData": "é", "signature": "é"}},
        {"id": "x" * 20_000},
    ],
)  # fmt: skip


@_case_malformed
@pytest.mark.parametrize("where", ["mfa_authenticate", "mfa_reauthenticate_webauthn", "mfa_add_webauthn"])
def test_what_no_browser_sends_is_refused(owner: Client, key: SecurityKey, where: str, credential: Any) -> None:
    client = half_way_in() if where == "mfa_authenticate" else owner
    client.get(reverse(where))

    answer = sent(client, credential, reverse(where))

    assert answer.status_code == 200
    assert keys().count() == 1


@pytest.mark.parametrize(
    "typed", ["[" * 5000, "[" * 3000 + "]" * 3000, "9" * 5000, '{"id": ' + "9" * 5000 + "}", "x" * 40_000, "{", "NaN"]
)
@pytest.mark.parametrize("where", ["mfa_authenticate", "mfa_reauthenticate_webauthn", "mfa_add_webauthn"])
def test_what_no_parser_takes_is_refused_and_fills_no_trail(owner: Client, where: str, typed: str) -> None:
    client = half_way_in() if where == "mfa_authenticate" else owner
    client.get(reverse(where))
    before = told()

    answer = client.post(reverse(where), {"credential": typed})

    assert answer.status_code == 200
    assert (keys().count(), told()) == (1, before)


def test_only_what_a_browser_sends_of_a_new_key_is_kept(owner: Client, monkeypatch: Any) -> None:
    another = SecurityKey()
    make = another.make
    monkeypatch.setattr(another, "make", lambda *asked: {**make(*asked), "x": float("nan"), "y": ["\ud800", "\0"] * 99})

    add(owner, another)

    kept = keys().last().data["credential"]
    assert kept.keys() == {"id", "rawId", "type", "response", "clientExtensionResults"}
    assert kept["response"].keys() == {"clientDataJSON", "attestationObject"}


def test_key_that_is_added_beside_a_reset_does_not_stay(owner: Client, superuser: Any, monkeypatch: Any) -> None:
    root = factories.operator("root", superuser=True)
    verb = factor_pages.add_key

    def after_a_reset(**given: Any) -> bool:
        reset_second_factors(operator_id=superuser.pk, actor=factories.actor(root), reason="Lost.")
        return verb(**given)

    monkeypatch.setattr(factor_pages, "add_key", after_a_reset)
    add(owner, SecurityKey())

    assert not Authenticator.objects.filter(user=superuser).exists()


# --- Before an act that asks for it ---


def test_act_asks_for_the_key_once_more_and_goes_on(owner: Client, key: SecurityKey) -> None:
    where = reverse("account_change_password")
    with time_machine.travel(time.time() + 3600):
        led = owner.get(where).headers["Location"]
        asked = owner.get(led, follow=True)
        assert asked.request["PATH_INFO"] == REAUTHENTICATE
        assert "Use a recovery code" in text(asked)
        assert has_nothing_inline(asked)

        refused = owner.post(REAUTHENTICATE, {"credential": json.dumps({"id": "x"}), "next": where})
        assert "The key was not taken" in text(refused)
        assert f'value="{where}"' in refused.content.decode()
        assert owner.get(where).status_code == 302
        signed = json.dumps(key.sign(asked_of_key(refused)))
        given = owner.post(REAUTHENTICATE, {"credential": signed, "next": where})

        assert given.headers["Location"] == where
        assert owner.get(where).status_code == 200


def test_who_has_an_app_too_is_asked_for_either(owner: Client, key: SecurityKey) -> None:
    enrol_app(owner)

    with time_machine.travel(time.time() + 3600):
        asked = owner.get(reverse("account_change_password"), follow=True)

        assert asked.request["PATH_INFO"] == reverse("mfa_reauthenticate")
        assert "Use a security key" in text(asked)
    assert "Or a code" in text(half_way_in().get(AUTHENTICATE))


def enrol_app(client: Client) -> None:
    secret = client.get(reverse("mfa_activate_totp")).context["form"].secret
    client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    assert Authenticator.objects.filter(type="totp").count() == 1


def test_who_has_no_key_is_not_asked_for_one(superuser: Any, client: Client) -> None:
    log_in(client)
    enrol(client)

    page = half_way_in().get(AUTHENTICATE)

    assert "key" not in text(page).lower()
    assert "webauthn" not in page.content.decode()
    assert client.get(REAUTHENTICATE).headers["Location"] == reverse("mfa_reauthenticate")


# --- Looking after them ---


def test_every_page_of_keys_is_the_consoles_own(owner: Client) -> None:
    pk = keys().get().pk
    for where in (
        reverse("mfa_index"),
        reverse("mfa_add_webauthn"),
        reverse("mfa_edit_webauthn", args=[pk]),
        reverse("mfa_remove_webauthn", args=[pk]),
    ):
        page = owner.get(where)
        assert page.status_code == 200
        assert has_nothing_inline(page)
        assert "console/console.css" in page.content.decode()


def test_first_key_brings_recovery_codes_that_stand_in_for_it(owner: Client) -> None:
    code, client = recovery_code(owner), half_way_in()

    client.post(AUTHENTICATE, {"code": code})

    assert client.get(reverse("admin:index")).status_code == 200


def test_key_without_a_name_gets_one_and_a_long_one_is_refused(owner: Client) -> None:
    refused = add(owner, SecurityKey(), "n" * 61)
    assert refused.status_code == 200
    assert "at most 60 characters" in text(refused)

    add(owner, SecurityKey(), "")

    assert [key.data["name"] for key in keys()] == ["Blue key", "Security key 2"]


def test_renaming_is_for_ones_own_and_told(owner: Client, auditor: Any) -> None:
    own = keys().get()
    others = Authenticator.objects.create(user=auditor, type="webauthn", data={**own.data, "name": "Not yours"})
    before = len(told())

    done = owner.post(reverse("mfa_edit_webauthn", args=[own.pk]), {"name": "Green key"})
    refused = owner.post(reverse("mfa_edit_webauthn", args=[others.pk]), {"name": "Mine"})
    nameless = owner.post(reverse("mfa_edit_webauthn", args=[own.pk]), {"name": " "})

    assert done.headers["Location"] == reverse("mfa_index")
    assert (refused.status_code, nameless.status_code) == (404, 200)
    assert [key.data["name"] for key in keys()] == ["Green key", "Not yours"]
    assert told()[before:] == [("operator.factor_renamed", {"factor": "webauthn"})]
    assert owner.post(reverse("mfa_remove_webauthn", args=[others.pk])).status_code == 404


def test_name_that_could_deceive_is_shown_as_it_is(owner: Client) -> None:
    owner.post(reverse("mfa_edit_webauthn", args=[keys().get().pk]), {"name": "<b>a‮b"})

    page = owner.get(reverse("mfa_index")).content.decode()

    assert "‮" not in page
    assert "<b>a" not in page
    assert "&lt;b&gt;a" in page


def test_trail_tells_what_became_of_a_key(owner: Client, key: SecurityKey, superuser: Any) -> None:
    give(half_way_in(), key, AUTHENTICATE)
    with time_machine.travel(time.time() + 3600):
        give(owner, key, REAUTHENTICATE)
        add(owner, SecurityKey(), "Second key")
        owner.post(reverse("mfa_remove_webauthn", args=[keys().get(data__name="Second key").pk]))

    assert [(verb, details) for verb, details in told() if "factor" in verb] == [
        ("operator.factor_added", {"factor": "webauthn"}),
        ("operator.factor_added", {"factor": "recovery_codes"}),
        ("operator.factor_used", {"factor": "webauthn", "to": "sign in"}),
        ("operator.factor_used", {"factor": "webauthn", "to": "confirm"}),
        ("operator.factor_added", {"factor": "webauthn"}),
        ("operator.factor_removed", {"factor": "webauthn"}),
    ]
    assert set(AuditEvent.objects.values_list("actor_id", "target_id")) == {(str(superuser.pk), str(superuser.pk))}


def test_rewrap_leaves_keys_as_they_are(owner: Client, key: SecurityKey, settings: Any) -> None:
    before = keys().get().data
    settings.TOKEN_KEYS = f"{K2},{settings.TOKEN_KEYS}"

    rewrap_tokens(actor=factories.superactor(), reason="A test.")

    assert keys().get().data == before
    assert give(half_way_in(), key, AUTHENTICATE).headers["Location"] == reverse("admin:index")


def test_page_of_operators_counts_them(owner: Client, superuser: Any) -> None:
    add(owner, SecurityKey(), "Second key")
    enrol_app(owner)

    page = owner.get(reverse("admin:flowlu_admin_operator_change", args=[superuser.pk]))

    assert "authenticator app, 2 security keys" in text(page)
    assert "set up" in text(owner.get(reverse("admin:flowlu_admin_operator_changelist")))
