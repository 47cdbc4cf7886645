"""The console's search: what is found by which text, by whom, and that a credential is refused and repeated nowhere."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flowlu_admin import search
from installations import selectors
from installations.models import ApprovalRequest, AuditEvent, PortalUser
from tests import factories
from tests.installations.admin.console import messages, signed_in, text, url
from tokens.models import ApiKey, OAuthToken, ReplacedFingerprint, Revocation
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db

TOKEN = "x8Kq2nN0vR7bT4mZ9pLsWd3yC5fG1hJ6"


@pytest.fixture
def world() -> dict[str, Any]:
    """One application on two portals, a person on each, a token of one of them and an API key."""
    desk = factories.application("com.example.desk", permissions=["crm.accounts.read"])
    acme = factories.installation(
        desk, approved=["crm.accounts.read"], portal="acme.flowlu.com", user_id="4711", name="Ana María de la Cruz"
    )
    factories.installation(desk, portal="globex.flowlu.com", user_id="12", name="Борис Ким")
    return {
        "acme": acme,
        "token": factories.token(acme, acme.portal.users.get()),
        "key": factories.api_key(
            acme, purposes=[factories.purpose("nightly", acts_as="system")], scopes=["crm.accounts.read"]
        ),
    }


@pytest.fixture
def client(superuser: Any) -> Client:
    return signed_in(superuser)


def found(client: Client, wanted: str) -> dict[str, list[str]]:
    """Return what the page found, kind by kind, as words."""
    answer = client.get(url("search"), {"q": wanted})
    assert answer.status_code == 200
    return {kind.title: [re.sub(r"<[^>]+>", "", hit.link) for hit in kind.hits] for kind in answer.context["kinds"]}


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        ("acme", {"Installations": 1, "Portals": 1}),
        ("ACME.flowlu", {"Installations": 1, "Portals": 1}),
        ("https://acme.flowlu.com/_module/crm/view/7", {"Installations": 1, "Portals": 1}),
        ("acme.flowlu.com/module/x", {"Installations": 1, "Portals": 1}),
        ("acme.flowlu.com:443", {"Installations": 1, "Portals": 1}),
        ("//acme.flowlu.com/", {"Installations": 1, "Portals": 1}),
        ("acme.flowlu.com/4711", {"Installations": 1, "Portals": 1, "Portal users": 1}),
        ("ACME.flowlu.com/4711", {"Installations": 1, "Portals": 1, "Portal users": 1}),
        ("acme.flowlu.com/12", {"Installations": 1, "Portals": 1}),
        ("acme.flowlu.com.", {"Installations": 1, "Portals": 1}),
        (" globex ", {"Installations": 1, "Portals": 1}),
        ("desk", {"Applications": 1}),
        ("acme desk", {"Installations": 1}),
        ("desk acme", {"Installations": 1}),
        ("maría", {"Portal users": 1}),
        ("MAR", {"Portal users": 1}),
        ("cruz ana", {"Portal users": 1}),
        ("ким", {"Portal users": 1}),
        ("4711", {"Portal users": 1}),
        ("nothing like it", {}),
        ("a", {}),
        ("%", {}),
        ("%%", {}),
        ("me.flowlu", {}),
        ("' OR 1=1 --", {}),
        ("a & ! | <-> b:*", {}),
        ("https://[", {}),
    ],
)
def test_text_finds(client: Client, world: dict[str, Any], wanted: str, kinds: dict[str, int]) -> None:
    assert {kind: len(hits) for kind, hits in found(client, wanted).items()} == kinds


def test_number_finds_what_has_it(client: Client, world: dict[str, Any]) -> None:
    event = AuditEvent.objects.earliest("sequence")
    numbers = {world["acme"].pk: "Installations", world["token"].pk: "Tokens", world["key"].pk: "API keys"}
    for number, kind in numbers.items():
        for written in (str(number), f"#{number}"):
            assert len(found(client, written)[kind]) == 1
    assert found(client, str(event.sequence))["Audit trail"] == [f"no. {event.sequence}: {event.verb}"]
    assert found(client, "9" * 18) == {}
    assert found(client, "9" * 60) == {}


def test_fingerprint_finds_what_it_is_of(client: Client, world: dict[str, Any]) -> None:
    token, key = world["token"], world["key"]
    replaced = ReplacedFingerprint.objects.create(
        oauth_token=token, fingerprint="0dd0" * 16, fingerprint_key_id=token.fingerprint_key_id
    )
    OAuthToken.objects.filter(pk=token.pk).update(refresh_fingerprint="feed" * 16)
    named = [f"token #{token.pk}"]
    for digits in (token.access_fingerprint[:8], token.access_fingerprint[:8].upper(), "feedfeed", "0dd00dd0"):
        assert found(client, digits)["Tokens"] == named
    assert replaced.pk
    assert found(client, key.fingerprint[:8])["API keys"] == [f"API key #{key.pk}"]
    assert found(client, "ffff0000") == {}


def test_fingerprint_of_what_was_revoked_finds_the_revocation(client: Client, world: dict[str, Any]) -> None:
    token = world["token"]
    revoke_tokens(target=RevocationTarget.of_token(token.pk), actor=factories.superactor(), reason="A test.")

    assert found(client, token.access_fingerprint[:8])["Revocations"] == [f"revocation #{Revocation.objects.get().pk}"]


def test_request_is_found_by_its_number(client: Client, world: dict[str, Any]) -> None:
    request = ApprovalRequest.objects.create(
        application=world["acme"].application,
        requested_by="ana",
        requested_by_id=1,
        reason="A test.",
        scopes=["crm.accounts.read"],
        expires_at=timezone.now(),
    )

    assert len(found(client, f"#{request.pk}")["Approval requests"]) == 1


def test_more_than_fits_leads_to_the_list(client: Client, world: dict[str, Any]) -> None:
    portal = world["acme"].portal
    PortalUser.objects.bulk_create(
        PortalUser(portal=portal, flowlu_user_id=str(number), name=f"Zoe {number}") for number in range(100, 120)
    )
    answer = client.get(url("search"), {"q": "zoe"})

    (kind,) = answer.context["kinds"]
    assert kind.has_more
    assert len(kind.hits) == search.SHOWN
    assert kind.more_url == url("installations_portaluser_changelist") + "?q=zoe"
    assert "Show all of them in the list" in text(answer)
    assert text(client.get(kind.more_url)).count("Zoe 1") == 20


def test_more_tokens_than_fit_are_not_kept_quiet(client: Client, world: dict[str, Any]) -> None:
    token = world["token"]
    for number in range(search.SHOWN + 1):
        made = factories.token(world["acme"], token.portal_user, f"another-token-{number}")
        OAuthToken.objects.filter(pk=made.pk).update(access_fingerprint=f"abcd{number:060}")

    answer = client.get(url("search"), {"q": "abcd"})

    assert len(answer.context["kinds"][0].hits) == search.SHOWN
    assert "There are more. Type more of it." in text(answer)


def test_operator_finds_what_they_may_see_and_nothing_else(world: dict[str, Any]) -> None:
    for wanted, where in (
        ("acme", "Portals"),
        ("4711", "Portal users"),
        (world["token"].access_fingerprint[:8], "Tokens"),
    ):
        assert where in found(signed_in(factories.operator(f"auditor-{where}", "Auditor")), wanted)
        answer = signed_in(factories.operator(f"outsider-{where}")).get(url("search"), {"q": wanted})
        assert answer.context["kinds"] == []
        assert "Your account may not see anything that can be searched for" in text(answer)


def test_form_leads_to_an_address_that_can_be_kept(client: Client, world: dict[str, Any]) -> None:
    answer = client.post(url("search"), {"q": " acme & co "})

    assert answer.status_code == 302
    assert parse_qs(urlsplit(answer["Location"]).query) == {"q": ["acme & co"]}


@pytest.mark.parametrize("wanted", [TOKEN, f"Bearer {TOKEN}", f"https://acme.flowlu.com/?access_token={TOKEN}"])
def test_credential_is_refused_and_repeated_nowhere(client: Client, world: dict[str, Any], wanted: str) -> None:
    with CaptureQueriesContext(connection) as asked:
        answer = client.post(url("search"), {"q": wanted})

    assert answer.status_code == 200
    assert TOKEN not in answer.content.decode()
    assert TOKEN not in " ".join(query["sql"] for query in asked.captured_queries)
    assert "was not searched for" in text(answer)
    assert url("tokens_oauthtoken_leaked") in answer.content.decode()


@pytest.mark.parametrize("query", [f"q={TOKEN}&q=acme", f"q=acme&q={TOKEN}", f"o={TOKEN}", f"{TOKEN}=1", f"p={TOKEN}"])
def test_no_parameter_of_a_page_takes_a_credential(client: Client, query: str) -> None:
    where = url("installations_portal_changelist")

    answer = client.get(f"{where}?{query}", follow=True)

    assert answer.redirect_chain == [(where, 302)]
    assert TOKEN not in answer.content.decode()


def test_sign_in_carries_no_credential_on(db: None) -> None:
    """Nor does the page that asks for the second factor: the address is refused before either."""
    answer = Client().get(url("search"), {"q": TOKEN}, follow=True)

    assert answer.redirect_chain[0] == (url("search"), 302)
    assert [where for where, _status in answer.redirect_chain if TOKEN in where] == []


def test_user_of_one_character_is_found(client: Client, world: dict[str, Any]) -> None:
    PortalUser.objects.create(portal=world["acme"].portal, flowlu_user_id="88", name="李")

    assert found(client, "李") == {"Portal users": ["李"]}


def test_who_may_not_use_the_desk_is_told_whom_to_tell() -> None:
    answer = signed_in(factories.operator("auditor", "Auditor")).post(url("search"), {"q": TOKEN})

    assert "tell somebody in the group Responder" in text(answer)


@pytest.mark.parametrize(
    "name", ["search", "installations_portaluser_changelist", "installations_catalogueedition_catalogue"]
)
def test_no_page_searches_for_a_credential_in_its_address(client: Client, world: dict[str, Any], name: str) -> None:
    answer = client.get(url(name), {"q": TOKEN, "locked": "yes"}, follow=True)

    assert answer.redirect_chain == [(url(name), 302)]
    assert TOKEN not in answer.content.decode()
    assert ["looks like a token" in message for message in messages(answer)] == [True]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("a " * 101, "at most 200 characters"),
        ("a\0b", "Type it again"),
        ("a", "Type more of it"),
        ("-", "Type more of it"),
    ],
)
def test_what_cannot_be_searched_for_says_so(client: Client, world: dict[str, Any], wanted: str, words: str) -> None:
    for ask in (client.post, client.get):
        answer = ask(url("search"), {"q": wanted})
        assert answer.status_code == 200
        assert words in text(answer)
        assert answer.context["kinds"] == []


def test_number_of_statements_is_bounded_and_no_sealed_value_is_read(client: Client, world: dict[str, Any]) -> None:
    counts = set()
    for number in range(3):
        PortalUser.objects.create(portal=world["acme"].portal, flowlu_user_id=f"900{number}", name=f"Acme {number}")
        for wanted in ("acme", "12345678", world["token"].access_fingerprint[:8], "acme desk"):
            with CaptureQueriesContext(connection) as asked:
                search.find(wanted, lambda _permission: True)
            counts.add((wanted, len(asked)))
            assert "sealed_" not in " ".join(query["sql"] for query in asked.captured_queries)
    assert len(counts) == 4, "the number depends on what was found"
    assert max(count for _wanted, count in counts) <= 20


def test_empty_search_says_what_can_be_found(client: Client) -> None:
    answer = client.get(url("search"))

    assert answer.context["kinds"] == []
    assert "Portals, by the beginning of the domain" in text(answer)


def test_every_model_that_is_searched_shows_its_page(client: Client, world: dict[str, Any]) -> None:
    for wanted in ("acme", "desk", "4711", str(world["acme"].pk), world["key"].fingerprint[:8]):
        for kind in client.get(url("search"), {"q": wanted}).context["kinds"]:
            for hit in kind.hits:
                address = re.search(r'href="([^"]+)"', hit.link)
                assert address is not None
                assert client.get(address[1]).status_code == 200


def test_api_key_is_named_without_its_value(client: Client, world: dict[str, Any]) -> None:
    assert ApiKey.objects.count() == 1
    assert found(client, f"#{world['key'].pk}")["API keys"] == [f"API key #{world['key'].pk}"]


@pytest.mark.postgresql
def test_names_are_answered_by_the_index_that_is_made_for_them(world: dict[str, Any]) -> None:
    """The expression has to be the index's own, word by word."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = selectors.portal_users_named("maría cruz").explain()

    assert "installations_portaluser_words" in plan


@pytest.mark.postgresql
def test_user_as_the_trail_names_them_is_answered_by_what_is_unique(world: dict[str, Any]) -> None:
    with CaptureQueriesContext(connection) as asked:
        (kind,) = (
            kind for kind in search.find("acme.flowlu.com/4711", lambda _right: True) if kind.title == "Portal users"
        )
    assert len(kind.hits) == 1
    statement = next(each["sql"] for each in asked.captured_queries if "'4711'" in each["sql"])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {statement}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan
    assert "installations_portal_domain" in plan
