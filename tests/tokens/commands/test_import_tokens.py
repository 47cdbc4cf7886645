"""`import_tokens`: what is proven is sealed once, what is not is refused by line, and no line is ever repeated."""

import io
import json
import secrets
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, AuditEvent, Installation, PortalUser
from installations.services import lock, suspend_installation
from tests import factories
from tests.canary import Canaries
from tests.unchanged import last_event, nothing_changes
from tokens import vault
from tokens.management.commands import import_tokens
from tokens.management.token_lines import MAX_LINE, lines_of
from tokens.models import ApiKey, OAuthToken, Purpose, ReplacedFingerprint, Revocation
from tokens.services.acting import act_as_user
from tokens.services.erasing import erase_portal_user
from tokens.services.revocation import configure_application, revoke_tokens, uninstall_installation
from tokens.services.storing import MAX_LIVE_TOKENS
from tokens.services.wiping import wipe_orphans
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db

BY = ("--operator", "superuser", "--reason", "We move in.")
WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "For a test."}
Line = dict[str, Any] | str | bytes


@pytest.fixture(autouse=True)
def place(sandbox: SandboxServer, application: Application, superuser: Any) -> Installation:
    """An installation with an approval, which one user opened; a purpose that acts as users and one as the system."""
    factories.purpose()
    factories.purpose("nightly", acts_as="system")
    sandbox.state.clear_requests()
    return factories.installation(application, approved=["crm.accounts.full"], user_id="1", name="Olga")


@pytest.fixture
def keeping(place: Installation) -> Installation:
    Application.objects.update(stores_refresh_tokens=True)
    return place


@pytest.fixture
def pair(sandbox: SandboxServer) -> Callable[..., dict[str, Any]]:
    """Give a line for a pair that Flowlu takes."""

    def line(of: str = "2", /, **other: Any) -> dict[str, Any]:
        issued = sandbox.state.issue_tokens("acme.flowlu.com", of)
        members = {
            "portal": "acme.flowlu.com",
            "app_id": "com.example.desk",
            "user_id": of,
            "access_token": issued.access_token,
            "refresh_token": issued.refresh_token,
            "expires_at": issued.expires_at_text,
        }
        return members | other

    return line


def key(**other: Any) -> dict[str, Any]:
    members = {
        "portal": "acme.flowlu.com",
        "app_id": "com.example.desk",
        "label": "Nightly",
        "scopes": ["crm.accounts.read"],
        "purposes": ["nightly"],
        "api_key": f"key-{secrets.token_hex(16)}",
    }
    return members | other


def written(*lines: Line) -> bytes:
    texts = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    return b"".join((text if isinstance(text, bytes) else text.encode()) + b"\n" for text in texts)


@pytest.fixture
def move(monkeypatch: Any) -> Callable[..., tuple[list[str], str]]:
    """Run the command on lines, or on bytes as they are; return what it said of each, and its summary or refusal."""

    def move(*lines: Line, raw: bytes | None = None, dry_run: bool = False) -> tuple[list[str], str]:
        text = written(*lines) if raw is None else raw
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        out = io.StringIO()
        try:
            call_command("import_tokens", "-", *(["--dry-run"] if dry_run else []), *BY, stdout=out, stderr=out)
        except CommandError as error:
            return out.getvalue().splitlines(), f"exit {error.returncode}: {error}"
        *told, summary = out.getvalue().splitlines()
        return told, summary

    return move


# --- What is stored, and for whom ---


def test_pair_is_sealed_for_the_user_that_flowlu_names(keeping: Installation, pair: Any, move: Any) -> None:
    line = pair()
    told, summary = move(line)

    row = OAuthToken.objects.get()
    assert told == [f"line 1: stored, token #{row.pk}"]
    assert summary == "1 line: 1 stored, 0 here already, 0 refused"
    assert (row.installation, row.state, row.generation) == (keeping, "active", 1)
    assert (row.portal_user.flowlu_user_id, row.portal_user.name) == ("2", "José Núñez")
    assert vault.unseal_access_token(str(row.uuid), row.sealed_access_token or b"") == line["access_token"]
    assert vault.unseal_refresh_token(str(row.uuid), row.sealed_refresh_token or b"") == line["refresh_token"]
    assert row.expires_at == vault.parse_expiry(line["expires_at"])
    event = last_event()
    assert (event.verb, event.reason, event.via, event.actor_name) == (
        "token.imported", "We move in.", "command", "superuser",
    )  # fmt: skip
    assert event.details == {
        "portal_user": row.portal_user_id,
        "generation": 1,
        "fingerprint": row.access_fingerprint[:8],
        "with_refresh_token": True,
    }


def test_no_session_evidence_or_visit_is_made_up(place: Installation, pair: Any, move: Any) -> None:
    olga = PortalUser.objects.get()
    seen, evidence = place.last_seen_at, list(place.evidence.values())

    move(pair("1"))

    token = OAuthToken.objects.get()
    assert (token.portal_user, token.sessions.count()) == (olga, 0)
    place.refresh_from_db()
    assert (place.last_seen_at, list(place.evidence.values())) == (seen, evidence)
    assert PortalUser.objects.values_list("name", "last_seen_at").get() == ("Olga", olga.last_seen_at)


def test_refresh_token_that_would_not_be_stored_is_told(pair: Any, move: Any) -> None:
    line = pair()

    told, _ = move(line)

    row = OAuthToken.objects.get()
    assert told == [f"line 1: stored, {row}, without its refresh token, which is not kept here"]
    assert row.sealed_refresh_token is None
    with nothing_changes():
        assert move(line)[0] == [f"line 1: here already, {row}"]


@pytest.mark.django_db(transaction=True)
def test_what_is_moved_in_may_be_used_for_a_purpose_and_is_not_wiped(place: Installation, pair: Any, move: Any) -> None:
    move(pair())

    assert wipe_orphans(lambda: False) == 0
    acting = act_as_user(purpose="account-sync", app_id="com.example.desk", portal="acme.flowlu.com", user_id="2")
    assert acting.call("crm", "account", "list")["items"]


def test_key_is_sealed_for_its_purposes(place: Installation, move: Any) -> None:
    line = key(last_day="2099-12-31")

    told, summary = move(line)

    row = ApiKey.objects.get()
    assert (told, summary) == ([f"line 1: stored, API key #{row.pk}"], "1 line: 1 stored, 0 here already, 0 refused")
    assert vault.unseal_api_key(str(row.uuid), row.sealed_key or b"") == line["api_key"]
    assert (row.label, row.scopes, list(row.purposes.values_list("code", flat=True))) == (
        "Nightly", ["crm.accounts.read"], ["nightly"],
    )  # fmt: skip
    assert f"{row.expires_at:%Y-%m-%d %H:%M}" == "2100-01-01 00:00"
    assert (last_event().verb, last_event().reason) == ("api_key.added", "We move in.")


# --- Once, and again ---


def test_second_run_changes_nothing_says_so_and_asks_flowlu_nothing(
    keeping: Installation, sandbox: SandboxServer, pair: Any, move: Any
) -> None:
    lines = [pair(), pair("1"), key()]
    move(*lines)
    sandbox.state.clear_requests()

    with nothing_changes():
        told, summary = move(*lines)

    assert [line.split(", ")[0] for line in told] == [f"line {number}: here already" for number in (1, 2, 3)]
    assert summary == "3 lines: 0 stored, 3 here already, 0 refused"
    assert sandbox.state.requests() == []


def test_line_that_is_there_twice_is_stored_once(pair: Any, move: Any) -> None:
    line, other = pair(), key()

    _told, summary = move(line, other, line, other)

    assert summary == "4 lines: 2 stored, 2 here already, 0 refused"
    assert (OAuthToken.objects.count(), ApiKey.objects.count()) == (1, 1)


def test_pair_that_was_replaced_since_is_not_brought_back(keeping: Installation, pair: Any, move: Any) -> None:
    line = pair()
    move(line)
    row = OAuthToken.objects.get()
    ReplacedFingerprint.objects.create(
        oauth_token=row,
        fingerprint=row.access_fingerprint,
        fingerprint_key_id=row.fingerprint_key_id,
        replaced_at=timezone.now(),
    )
    vault.seal_into(row, "a-newer-access-token", "a-newer-refresh-token")
    row.save()

    with nothing_changes():
        assert move(line)[0] == [f"line 1: here already: a newer pair took its place, token #{row.pk}"]


def test_interrupted_run_says_how_far_it_came_and_is_finished_by_the_next(
    sandbox: SandboxServer, pair: Any, move: Any
) -> None:
    lines = [pair(), pair(), pair()]
    move(lines[0])
    me = threading.get_ident()
    with asked_meanwhile(sandbox, lambda: signal.pthread_kill(me, signal.SIGINT), clear=False):
        _told, refusal = move(*lines)
    assert refusal == (
        "exit 1: Stopped at line 2: 1 line: 0 stored, 1 here already, 0 refused. What was stored stays; run it again "
        "with the same input."
    )

    assert move(*lines)[1] == "3 lines: 2 stored, 1 here already, 0 refused"
    assert OAuthToken.objects.count() == 3


@contextmanager
def asked_meanwhile(sandbox: SandboxServer, act: Callable[[], Any], *, clear: bool = True) -> Iterator[None]:
    """Have Flowlu think over whose the token is, act beside it, and only then let it answer."""
    sandbox.state.clear_requests()
    sandbox.state.add_fault("acme", "delay", delay_seconds=60, path="core/user/get")

    def beside() -> None:
        deadline = time.monotonic() + 20
        try:
            while not sandbox.state.requests():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            act()
        finally:
            connection.close()
            if clear:
                sandbox.state.clear_faults()

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(beside)
        try:
            yield
            done.result(timeout=20)
        finally:
            sandbox.state.clear_faults()


@pytest.mark.django_db(transaction=True)
def test_token_that_comes_to_another_application_while_flowlu_is_asked_is_refused(
    place: Installation, sandbox: SandboxServer, pair: Any, move: Any
) -> None:
    factories.installation(factories.application("com.example.other"), approved=["crm.accounts.full"])
    line, user = pair("1"), PortalUser.objects.get(flowlu_user_id="1")

    with asked_meanwhile(sandbox, lambda: factories.token(place, user, line["access_token"])):
        told, _ = move(line | {"app_id": "com.example.other"})

    assert told == ["line 1: refused: This token is stored for another application or portal"]
    assert OAuthToken.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["portal", "installation", "user", "suspended", "uninstalled", "erased"])
def test_what_is_cut_while_flowlu_is_asked_counts(
    place: Installation, sandbox: SandboxServer, pair: Any, move: Any, what: str
) -> None:
    user = PortalUser.objects.get()
    cuts: dict[str, tuple[Callable[[], Any], str]] = {
        "portal": (lambda: lock(target=place.portal, **WHY), "the portal, the application or both"),
        "installation": (lambda: lock(target=place, **WHY), "the portal, the application or both"),
        "user": (lambda: lock(target=user, **WHY), "this user is locked here"),
        "suspended": (lambda: _suspended(place), "the application is suspended on this portal"),
        "uninstalled": (
            lambda: uninstall_installation(installation_id=place.pk, **WHY),
            "Nothing is approved for the application on this portal",
        ),
        "erased": (lambda: erase_portal_user(portal_user_id=user.pk, **WHY), "This user was erased here"),
    }
    cut, reason = cuts[what]

    with asked_meanwhile(sandbox, cut):
        told, _ = move(pair("1"))

    assert told[0].startswith(f"line 1: refused: {reason}")
    assert OAuthToken.objects.count() == 0


def test_dry_run_asks_and_keeps_nothing(keeping: Installation, sandbox: SandboxServer, pair: Any, move: Any) -> None:
    lines = [pair(), key(), pair("1", access_token="what-flowlu-does-not-know")]

    with nothing_changes():
        told, summary = move(*lines, dry_run=True)

    assert told == [
        "line 1: would be stored",
        "line 2: would be stored",
        "line 3: refused: Flowlu does not take this access token; refresh it where it was used, or have the user open "
        "the application",
    ]
    assert summary.startswith("exit 1: 3 lines: 2 would be stored, 0 here already, 1 refused.")
    assert len(sandbox.state.requests()) == 2


def test_dry_run_leaves_a_revocation_as_it_is(pair: Any, move: Any) -> None:
    line = pair()
    move(line)
    revoke_tokens(target=RevocationTarget.of_token(OAuthToken.objects.get().pk), **WHY)

    with nothing_changes():
        assert "it was revoked here and stays so" in move(line, dry_run=True)[0][0]


@pytest.mark.django_db(transaction=True)
def test_pair_that_came_in_while_flowlu_was_asked_is_here_already(
    place: Installation, sandbox: SandboxServer, pair: Any, move: Any
) -> None:
    user, line = PortalUser.objects.get(), pair("1")
    expires_at = vault.parse_expiry(line["expires_at"])

    with asked_meanwhile(sandbox, lambda: factories.token(place, user, line["access_token"], expires_at=expires_at)):
        told, _ = move(line)

    assert told == [f"line 1: here already, {OAuthToken.objects.get()}"]


# --- What is refused ---


def test_bad_lines_are_refused_and_the_others_go_on(pair: Any, move: Any) -> None:
    told, summary = move(pair(), "no JSON", pair())

    assert told[1] == "line 2: refused: column 1: a value must stand here"
    assert summary == "exit 1: 3 lines: 2 stored, 0 here already, 1 refused. Mend those lines and run it again."
    assert OAuthToken.objects.count() == 2


def test_token_of_another_user_is_refused(pair: Any, move: Any) -> None:
    with nothing_changes():
        told, _ = move(pair("2", user_id="1"))

    assert told == ["line 1: refused: Flowlu says that the token is another user's"]


def test_token_of_another_portal_is_refused(place: Installation, pair: Any, move: Any) -> None:
    factories.installation(place.application, approved=["crm.accounts.full"], portal="globex.flowlu.com")

    with nothing_changes():
        assert "Flowlu does not take this access token" in move(pair(portal="globex.flowlu.com"))[0][0]


def test_token_that_another_application_has_is_refused(place: Installation, pair: Any, move: Any) -> None:
    other = factories.application("com.example.other")
    factories.installation(other, approved=["crm.accounts.full"])
    line = pair()
    move(line)

    with nothing_changes():
        told, _ = move(line | {"app_id": "com.example.other"})
    assert told == ["line 1: refused: This token is stored for another application or portal"]


def _suspended(place: Installation) -> None:
    suspend_installation(installation_id=place.pk, **WHY)


def _locked(what: Callable[[Installation], Any]) -> Callable[[Installation], None]:
    return lambda place: lock(target=what(place), **WHY) and None


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_locked(lambda place: place), "the portal, the application or both together are locked here"),
        (_locked(lambda place: place.portal), "the portal, the application or both together are locked here"),
        (_locked(lambda place: place.application), "the portal, the application or both together are locked here"),
        (_suspended, "the application is suspended on this portal"),
        (
            lambda place: uninstall_installation(installation_id=place.pk, **WHY),
            "The application was never opened on this portal, or is uninstalled. Have somebody open it there first",
        ),
        (
            lambda place: Installation.objects.update(status="pending_approval"),
            "Nothing is approved for the application on this portal. Approve its scopes first",
        ),
        (
            lambda place: Purpose.objects.update(enabled=False),
            "No purpose that is on acts as users, so that the pair would be wiped again. Declare one first",
        ),
        (
            lambda place: configure_application(
                application_id=place.application_id,
                stores_refresh_tokens=False,
                allowed_portals=["globex.flowlu.com"],
                **WHY,
            ),
            "the portal is no plain address like acme.flowlu.com, or one that the application's settings leave out",
        ),
        (_locked(lambda place: PortalUser.objects.get()), "this user is locked here"),
        (
            lambda place: erase_portal_user(portal_user_id=PortalUser.objects.get().pk, **WHY),
            "This user was erased here. Only opening the application brings them back",
        ),
    ],
)
def test_what_stands_against_it_is_said_and_flowlu_is_not_asked(
    place: Installation, sandbox: SandboxServer, pair: Any, move: Any, prepare: Any, reason: str
) -> None:
    line = pair("1")
    prepare(place)

    with nothing_changes():
        told, summary = move(line)

    assert told == [f"line 1: refused: {reason}"]
    assert summary.startswith("exit 1: 1 line: 0 stored")
    assert sandbox.state.requests() == []


def test_revoked_pair_is_refused_counted_and_reported(pair: Any, move: Any) -> None:
    line = pair()
    move(line)
    revoke_tokens(target=RevocationTarget.of_token(OAuthToken.objects.get().pk), **WHY)

    assert move(line)[0] == ["line 1: refused: it was revoked here and stays so"]

    assert last_event().verb == "token.handed_in_again"
    assert Revocation.objects.get().handed_in_again == 1
    assert OAuthToken.objects.live().count() == 0


def test_nobody_s_pair_is_pushed_out(place: Installation, pair: Any, move: Any) -> None:
    user = PortalUser.objects.get()
    for number in range(MAX_LIVE_TOKENS):
        factories.token(place, user, f"an-access-token-{number}")

    with nothing_changes():
        told, _ = move(pair("1"))
    assert told == ["line 1: refused: The user has 10 pairs here, and no more are kept"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"portal": "nobody.flowlu.com"}, "The application was never opened on this portal"),
        ({"portal": "acme.flowlu.com.evil.example"}, "the portal is no plain address"),
        ({"portal": "https://acme.flowlu.com/"}, "the portal is no plain address"),
        ({"app_id": "com.example.nothing"}, "this application is not registered here; import its manifest first"),
        ({"portal": 7}, "portal has to be a text"),
        ({"app_id": ""}, "app_id has to be a text"),
        ({"user_id": 2}, "user_id has to be Flowlu's number of the user, as a text of digits"),
        ({"user_id": "٢"}, "user_id has to be Flowlu's number of the user, as a text of digits"),
        ({"user_id": "2\n"}, "user_id has to be Flowlu's number of the user, as a text of digits"),
        ({"user_id": None}, "missing: user_id"),
        ({"access_token": ["x"]}, "access_token has to be a text of 1 to 4096 visible ASCII characters, no spaces"),
        ({"access_token": "a b"}, "access_token has to be a text of 1 to 4096 visible ASCII characters, no spaces"),
        ({"access_token": "ключ"}, "access_token has to be a text of 1 to 4096 visible ASCII characters, no spaces"),
        (
            {"access_token": "x" * 4097},
            "access_token has to be a text of 1 to 4096 visible ASCII characters, no spaces",
        ),
        ({"access_token": "x\r\nHost: y"}, "access_token has to be a text of 1 to 4096 visible ASCII"),
        ({"access_token": None}, "missing: access_token"),
        ({"refresh_token": ""}, "refresh_token has to be a text of 1 to 4096 visible ASCII characters, no spaces"),
        ({"expires_at": "tomorrow"}, "expires_at has to be a time like 2026-04-01 10:15:20"),
        ({"expires_at": 1793000000}, "expires_at has to be a time like 2026-04-01 10:15:20"),
        ({"refreshtoken": "x"}, "it has a member of another name than portal, app_id, user_id, access_token, "),
        ({"api_key": "x"}, "it has to have either access_token, which makes it a pair, or api_key"),
    ],
)
def test_pair_that_is_none_is_refused(pair: Any, move: Any, changes: dict[str, Any], reason: str) -> None:
    with nothing_changes():
        told, _ = move(pair(**changes))

    assert len(told) == 1
    assert told[0].startswith(f"line 1: refused: {reason}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": "\u202egnp"}, "label: must be 1 to 100 visible characters."),
        ({"label": "x" * 101}, "label: must be 1 to 100 visible characters."),
        ({"scopes": []}, "scopes has to be a list of texts, with one at least"),
        ({"scopes": "crm.read"}, "scopes has to be a list of texts, with one at least"),
        ({"scopes": ["crm.accounts", 1]}, "scopes has to be a list of texts, with one at least"),
        ({"scopes": ["crm.accounts", "un.known", "x y"]}, "scopes: not in the catalogue: number 2, 3."),
        ({"scopes": ["fin.read"]}, "scopes: not approved for this installation: fin.read."),
        ({"purposes": ["nightly", "unheard-of"]}, "purposes: declared nowhere: number 2."),
        ({"purposes": ["account-sync"]}, "purposes: act as a user, not as the system: account-sync."),
        ({"last_day": "2020-01-01"}, "expires_at: must be in the future."),
        ({"last_day": "2026-13-01"}, "last_day has to be a day like 2027-01-31"),
        ({"last_day": "9999-12-31"}, "last_day has to be a day like 2027-01-31"),
        ({"api_key": None}, "missing: api_key"),
        ({"user_id": "2"}, "it has a member of another name than portal, app_id, label, scopes, purposes, api_key, "),
    ],
)
def test_key_that_is_none_is_refused(move: Any, changes: dict[str, Any], reason: str) -> None:
    with nothing_changes():
        told, _ = move(key(**changes))

    assert told[0].startswith(f"line 1: refused: {reason.rstrip('.')}")


def test_key_that_was_revoked_or_is_a_users_token_is_refused(place: Installation, pair: Any, move: Any) -> None:
    line, other = pair(), key()
    move(line, other)
    ApiKey.objects.update(state="revoked", sealed_key=None, seal_key_id="", revoked_at=timezone.now(), ending="revoked")

    with nothing_changes():
        told, _ = move(other, key(api_key=line["access_token"]))
    assert "This key was revoked here" in told[0]
    assert "This is a user's token, not an API key" in told[1]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"[]", "it is no JSON object"),
        (b"7", "it is no JSON object"),
        (b"{}", "it has to have either access_token, which makes it a pair, or api_key"),
        (b'{"portal": "a", "portal": "b"}', "column 17: a name is there twice"),
        (b'{"access_token": "a\x00b"}', "column 20: a line break or control character inside a text"),
        (b'{"access_token": "a\\u0000b"}', "column 20: the NUL character is not accepted"),
        (b'{"access_token": "\\ud800"}', "column 19: half of a surrogate pair is not a character"),
        (b'{"access_token": "\xff\xfe"}', "column 19: the document is not UTF-8; save it as UTF-8"),
        (b'\xef\xbb\xbf{"access_token": "x"}', "column 1: the document starts with a byte order mark"),
        (b'{"access_token": NaN}', "column 18: NaN and Infinity are not JSON"),
        (b'{"access_token": ' + b"[" * 9 + b"]" * 9 + b"}", "column 20: the document is nested deeper than 3 levels"),
        (b'{"access_token": [' + b"1," * 500 + b"1]}", "column 415: the document has too many values"),
        (b'{"access_token": "x"} {"api_key": "y"}', "column 23: there is more text after the end of the document"),
        (b'{"access_token": "x"', "column 21: a comma or } must stand here"),
        (b"x" * (MAX_LINE + 1), "it is longer than 64 KiB"),
        (b"x" * (5 * MAX_LINE), "it is longer than 64 KiB"),
    ],
)  # fmt: skip
def test_line_that_cannot_be_read_is_refused_and_the_next_one_stored(
    pair: Any, move: Any, raw: bytes, told: str
) -> None:
    said, summary = move(raw, pair())

    assert said[0].startswith(f"line 1: refused: {told}")
    assert said[1].startswith("line 2: stored, ")
    assert summary.startswith("exit 1: 2 lines: 1 stored, 0 here already, 1 refused")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n  \n"])
def test_end_of_the_input_is_as_it_comes(pair: Any, move: Any, end: bytes) -> None:
    told, summary = move(raw=b"\n" + json.dumps(pair()).encode() + end)

    assert told[0].startswith("line 2: stored, ")
    assert summary == "1 line: 1 stored, 0 here already, 0 refused"


@pytest.mark.parametrize("raw", [b"", b"\n \n"])
def test_input_without_a_line_is_refused(move: Any, raw: bytes) -> None:
    with nothing_changes():
        assert move(raw=raw) == ([], "exit 1: Nothing was read: there is no line in it.")


def test_file_is_read_as_well_and_one_that_is_not_there_is_one_line(pair: Any, run: Any, tmp_path: Any) -> None:
    (tmp_path / "table.jsonl").write_bytes(written(pair()))

    assert run("import_tokens", str(tmp_path / "table.jsonl"), *BY).endswith("1 stored, 0 here already, 0 refused\n")
    with nothing_changes(), pytest.raises(CommandError, match="The file cannot be read: No such file"):
        run("import_tokens", "/nowhere/at/all", *BY)


def test_longest_line_that_may_be_is_read(pair: Any, move: Any) -> None:
    line = json.dumps(pair())

    assert move(line + " " * (MAX_LINE - len(line)))[1] == "1 line: 1 stored, 0 here already, 0 refused"


# --- Flowlu ---


def test_rate_limit_is_waited_for(sandbox: SandboxServer, pair: Any, move: Any, monkeypatch: Any) -> None:
    waited: list[float] = []
    monkeypatch.setattr(import_tokens.time, "sleep", waited.append)
    sandbox.state.add_fault("acme", "status_429", times=2, retry_after="3", path="core/user/get")

    assert move(pair())[1] == "1 line: 1 stored, 0 here already, 0 refused"
    assert waited == [3, 3]

    sandbox.state.add_fault("acme", "status_429", retry_after="3600", path="core/user/get")
    with nothing_changes():
        told, _ = move(pair())
    assert told == [
        "line 1: refused: Too many calls in a short time. Wait a moment and try again; import this line again"
    ]
    assert waited[2:] == [60, 60, 60, 60]


def test_flowlu_that_cannot_be_asked_refuses_the_line_for_now(sandbox: SandboxServer, pair: Any, move: Any) -> None:
    sandbox.state.add_fault("acme", "status_500", times=1, path="core/user/get")
    line = pair()

    with nothing_changes():
        assert move(line)[0][0].endswith("; import this line again")
    assert move(line)[1] == "1 line: 1 stored, 0 here already, 0 refused"


# --- Nothing of a line gets out ---


def test_no_line_is_repeated_whatever_stands_where(
    keeping: Installation, sandbox: SandboxServer, pair: Any, move: Any, caplog: Any
) -> None:
    """A column may have slipped: each member in turn holds a token, and so do names and what is no JSON."""
    canaries, lines = Canaries(), []
    good, good_key = pair(), key()
    for name in ("access_token", "refresh_token"):
        canaries.add(name, good[name])
    canaries.add("api_key", good_key["api_key"])
    for whole in (good, good_key):
        for name in [*whole, "refresh_token", "another"]:
            secret = canaries.add(f"{name} {len(lines)}", secrets.token_urlsafe(32))
            lines += [whole | {name: secret}, whole | {name: [secret]}, whole | {secret: "x"}]
            lines += [json.dumps(whole)[:-1] + f', "{secret}": 1, "{secret}": 2}}', f"{secret},{secret}", f'"{secret}']
            lines += [f'{{"{name}": {secret}}}', f'{{"{name}": "{secret}\x00"}}', secret * 3000]
    told, refusal = move(good, good_key, *lines)

    assert len(told) == 2 + len(lines)
    canaries.look("what it said", "\n".join([*told, refusal]))
    canaries.look("the log", caplog.text)
    canaries.look("the trail", json.dumps(list(AuditEvent.objects.values("reason", "details", "target_id"))))
    assert canaries.seen == []


@pytest.mark.parametrize("who", ["reviewer", "responder", "auditor", "outsider"])
def test_who_may_not_is_refused_before_anything_is_read(run: Any, request: Any, who: str) -> None:
    request.getfixturevalue(who)

    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        run("import_tokens", "/nowhere/at/all", "--operator", who, "--reason", "x")


def test_key_needs_the_right_to_add_keys_too(pair: Any, run: Any, tmp_path: Any) -> None:
    mover = factories.operator("mover")
    mover.user_permissions.add(Permission.objects.get(codename="import_oauthtoken"))
    (tmp_path / "table.jsonl").write_bytes(written(pair(), key()))

    with pytest.raises(CommandError, match="do not have the permission"):
        run("import_tokens", str(tmp_path / "table.jsonl"), "--operator", "mover", "--reason", "We move in.")
    assert (OAuthToken.objects.count(), ApiKey.objects.count()) == (1, 0)


def test_reason_that_holds_a_token_is_refused_before_anything_is_read(run: Any) -> None:
    with nothing_changes(), pytest.raises(CommandError, match="looks like a token"):
        run("import_tokens", "/nowhere/at/all", "--operator", "superuser", "--reason", f"fls_{secrets.token_hex(20)}")


# --- A million lines ---


class _Endless(io.RawIOBase):
    """So many lines, none of which is kept."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._rest = lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._lines, b"")
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


@pytest.mark.parametrize(
    "line", [b'{"portal": "acme"}\n', b"x" * 200_000], ids=["a million lines", "one without an end"]
)
def test_memory_is_flat(line: bytes) -> None:
    many = 1_000_000 if line.endswith(b"\n") else 500
    stream = io.BufferedReader(_Endless(line for _ in range(many)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in lines_of(stream))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == (many if line.endswith(b"\n") else 1)
    assert peak < 2 * 1024 * 1024
