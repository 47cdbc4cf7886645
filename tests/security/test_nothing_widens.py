"""Without an operator's approval, whatever happens leaves every portal user with the same or less (design rule 7).

A state machine walks the real verbs on the real database: manifests, edits of the catalogue and releases with another
one, withdrawals, reinstalls, locks, revocations, hand-overs. After each step the answer to every possible call is
compared with the one before.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from installations import catalogue, editions, scopes
from installations.actors import command_actor
from installations.approval_requests import confirm_request, refuse_request, request_approval
from installations.errors import DomainError
from installations.models import Application, Installation, Portal, PortalUser
from installations.reviewing import keep_scopes, lower_scopes
from installations.scopes import Call, Coverage, Level, Scope
from installations.services import (
    approve_scopes,
    import_manifest,
    lock,
    resume_installation,
    suspend_installation,
    unlock,
    withdraw_scopes,
)
from tests import catalogues as catalogue_edits
from tests import factories
from tokens import selectors
from tokens.access import Caller, check_call
from tokens.models import EmbedSession, OAuthToken
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.targets import RevocationTarget

WHY: dict[str, Any] = {"actor": command_actor(), "reason": "A test."}
USERS = ("7", "8")
CODES = ("crm", "crm.accounts", "fin", "user.me")
TEXTS = [f"{code}.{level}" for code in CODES for level in ("read", "full")] + [
    "crm",
    "unknown.read",
    "crm.аccounts.full",
]
CALLS = [
    Call(module, model, action, id)
    for module, models in {
        "crm": ("account", "industry", "lead", "contact"),
        "fin": ("invoice",),
        "task": ("tasks",),
        "core": ("user",),
        "st": ("products",),
    }.items()
    for model in models
    for action, id in (("list", None), ("get", None), ("get", "7"), ("update", "7"), ("delete", "7"))
]
Allowed = frozenset[Call]

SHIPPED = json.loads(catalogue.CATALOGUE_FILE.read_text(encoding="utf-8"))
FACTOR = 10 if os.environ.get("STRESS") else 1


def allowed_to(caller: Caller) -> Allowed:
    """Return every call that the checks of the API would let through."""
    found = set()
    for call in CALLS:
        try:
            check_call(caller, call, caller.catalogue, http_method="POST")
        except DomainError:
            continue
        found.add(call)
    return frozenset(found)


class Places(RuleBasedStateMachine):
    """One application on one portal with two users, who may each hold several sessions."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        # As pytest's own block: verbs insist on being the outermost transaction.
        self.undo._from_testcase = True
        self.undo.__enter__()
        self.sessions: dict[str, list[str]] = {user: [] for user in USERS}
        self.before: dict[str, Allowed] = {}
        self.ceiling: dict[str, Allowed] = {}
        self.catalogue_edited = False
        self.may_grow: Allowed = frozenset()
        self.locked: set[Any] = set()
        self.suspended = False
        self._use_catalogue(SHIPPED)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    def _use_catalogue(self, document: Any) -> None:
        catalogue.CATALOGUE_FILE.write_text(json.dumps(document), encoding="utf-8")
        catalogue.load.cache_clear()

    @initialize(asked=st.lists(st.sampled_from(TEXTS), min_size=4, max_size=9, unique=True), data=st.data())
    def begin(self, asked: list[str], data: st.DataObject) -> None:
        self.install(asked)
        self.approve(data)
        self.measure()

    def measure(self) -> None:
        self.before = {user: self._could(user) for user in USERS}
        self.ceiling = dict(self.before)

    def install(self, asked: list[str]) -> None:
        self._import(asked)
        for user in USERS:
            self.launch(user)

    # What a user could do at best: with a session opened now and every lock and suspension taken away.

    def _could(self, user: str) -> Allowed:
        inside = transaction.atomic()
        inside._from_testcase = True
        with inside:
            caller = selectors.caller_of(self._open(user))
            assert caller is not None
            found = allowed_to(self._freed(caller))
            transaction.set_rollback(True)
        return found

    def _freed(self, caller: Caller) -> Caller:
        status = "active" if caller.installation_status == "suspended" else caller.installation_status
        return replace(caller, installation_locked=False, user_locked=False, installation_status=status)

    def _open(self, user: str) -> str:
        record = factories.launch(self._application, user_id=user)
        token = factories.token(record.installation, record.portal_user, secrets.token_urlsafe(24))
        session_token = secrets.token_urlsafe(32)
        EmbedSession.objects.create(
            token_hash=selectors.hash_session_token(session_token),
            oauth_token=token,
            expires_at=timezone.now() + timedelta(hours=1),
        )
        return session_token

    @property
    def _application(self) -> Application:
        return Application.objects.get()

    @property
    def _live(self) -> Installation | None:
        return Installation.objects.live().first()

    def _import(self, asked: list[str]) -> None:
        import_manifest(document=factories.manifest(permissions=asked), kind=None, actor=WHY["actor"])

    # Steps without an approval

    @rule(user=st.sampled_from(USERS))
    def launch(self, user: str) -> None:
        self.sessions[user].append(self._open(user))
        del self.sessions[user][:-3]

    @rule(asked=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8, unique=True))
    def other_manifest(self, asked: list[str]) -> None:
        self._import(asked)

    @rule(
        code=st.sampled_from(CODES),
        change=st.sampled_from(
            ["everything", "everything", "nothing", "off", "taken back", "all taken back", "damaged"]
        ),
    )
    def other_edition(self, code: str, change: str) -> None:
        """Edit the catalogue as an operator does; a damaged edition stays until all of it is imported."""
        known = editions.in_force()
        if change == "all taken back":
            catalogue_edits.bring_in(catalogue_edits.NOTHING)
        elif known.damage or (change == "damaged" and not known.edition):
            return
        elif change == "damaged":
            catalogue_edits.tamper("document", "damaged")
        elif change == "taken back":
            catalogue_edits.take_back(code)
        else:
            described = known.described(code) or catalogue_edits.entry(code)
            modules = ("crm", "fin", "task", "core", "st") if change == "everything" else ("empty",)
            rules = catalogue_edits.covers(*(f"{module}/*" for module in modules))
            catalogue_edits.save(
                replace(described, enabled=False)
                if change == "off"
                else replace(described, enabled=True, covers=rules, models=())
            )
        self.catalogue_edited = True

    @rule(
        code=st.sampled_from(CODES),
        change=st.sampled_from(["everything", "everything", "nothing", "gone", "off", "as shipped"]),
    )
    def other_release(self, code: str, change: str) -> None:
        """Ship another file, as a release does."""
        document = json.loads(catalogue.CATALOGUE_FILE.read_text(encoding="utf-8"))
        entry = next((entry for entry in document["scopes"] if entry["code"] == code), None)
        if change == "as shipped":
            document = SHIPPED
        elif entry is None or (change == "gone" and len(document["scopes"]) == 1):
            return
        elif change == "gone":
            document["scopes"].remove(entry)
        elif change == "off":
            entry["enabled"] = False
        else:
            modules = ("crm", "fin", "task", "core", "st") if change == "everything" else ("empty",)
            entry["covers"] = [{"module": name, "model": "*", "actions": "*", "own_only": False} for name in modules]
        self._use_catalogue(document)
        self.catalogue_edited = True

    @precondition(lambda self: self._in_force())
    @rule(data=st.data(), keep=st.booleans())
    def withdraw(self, data: st.DataObject, keep: bool) -> None:
        code = data.draw(st.sampled_from(self._in_force()))
        self.withdraw_this(code, kept=[other for other in CODES if keep and other != code])

    def withdraw_this(self, code: str, kept: Sequence[str] = ()) -> None:
        assert self._live is not None
        withdraw_scopes(installation_id=self._live.pk, codes=[code], keep=kept, **WHY)
        # To keep a swallowed scope is a decision of the operator: it may come into force now, as it was approved.
        rows = self._live.approved_permissions.in_force().filter(code__in=kept)
        self.may_grow = _reached((row.as_approval().scope, row.as_approval().covers) for row in rows)

    @precondition(lambda self: self._in_force())
    @rule(data=st.data(), verb=st.sampled_from([keep_scopes, lower_scopes]))
    def review(self, data: st.DataObject, verb: Any) -> None:
        assert self._live is not None
        codes = data.draw(st.lists(st.sampled_from(self._in_force()), min_size=1, unique=True))
        verb(installation_id=self._live.pk, codes=codes, **WHY)

    @rule(policy=st.sampled_from(Application.ApprovalPolicy.values))
    def other_policy(self, policy: str) -> None:
        Application.objects.update(approval_policy=policy)

    @precondition(lambda self: self._live is not None)
    @rule(wanted=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=2), refused=st.booleans())
    def ask_for_a_second_operator(self, wanted: list[str], refused: bool) -> None:
        assert self._live is not None
        try:
            asked = request_approval(installation_id=self._live.pk, requested=wanted, **WHY)
            # Whoever asked is no account that may approve: the second one makes it void.
            (refuse_request if refused else confirm_request)(
                request_id=asked.request.pk, actor=replace(WHY["actor"], id="2"), reason="A test."
            )
        except DomainError:
            return

    def _in_force(self) -> list[str]:
        return sorted(row.code for row in self._live.approved_permissions.in_force()) if self._live else []

    @rule(again=st.booleans())
    def uninstall(self, again: bool) -> None:
        if self._live is not None:
            uninstall_installation(installation_id=self._live.pk, **WHY)
            self.suspended = False
            # An approval was given to one installation: the next one starts with none.
            self.ceiling = {user: frozenset() for user in USERS}
        for user in USERS if again else ():
            self.launch(user)

    @rule(what=st.sampled_from([Portal, Application, Installation, Installation, PortalUser, None]), held=st.booleans())
    def hold_or_free(self, what: Any, held: bool) -> None:
        if what is not None:
            target = what.objects.order_by("-pk").first()
            (lock if held else unlock)(target=target, **WHY)
            # The lock of an installation stays for the one that follows it.
            name = (what, target.flowlu_user_id if what is PortalUser else None)
            (self.locked.add if held else self.locked.discard)(name)
        elif self._live is not None:
            try:
                (suspend_installation if held else resume_installation)(installation_id=self._live.pk, **WHY)
            except DomainError:
                return  # nothing was approved yet
            self.suspended = held

    @rule(user=st.none() | st.sampled_from(USERS), revoked=st.booleans())
    def tokens_go(self, user: str | None, revoked: bool) -> None:
        if not revoked:
            OAuthToken.objects.active().update(state="stale", sealed_access_token=None)
        elif self._live is not None:
            portal_user = PortalUser.objects.get(flowlu_user_id=user) if user else None
            here = self._live.pk
            target = (
                RevocationTarget.of_portal_user(portal_user.pk, installation_id=here)
                if portal_user
                else RevocationTarget.of_installation(here)
            )
            revoke_tokens(target=target, **WHY)

    # The one step that may widen

    @precondition(lambda self: self._live is not None)
    @rule(data=st.data())
    def approve_again(self, data: st.DataObject) -> None:
        self.approve(data)

    @precondition(lambda self: self._live is not None)
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        """Approve what is asked for, mostly: as it is declared or, where that goes, another level or code."""
        assert self._live is not None
        likely = [text for text in self._live.manifest.requested_scopes if text in TEXTS]
        one = st.sampled_from(likely) if likely else st.sampled_from(TEXTS)
        wanted = data.draw(st.lists(one, min_size=1, max_size=3, unique_by=lambda text: text.rpartition(".")[0]))
        wanted += data.draw(st.lists(st.sampled_from(TEXTS), max_size=1)) if len(wanted) == 1 else []
        self.approve_these(wanted)

    def approve_these(self, wanted: list[str]) -> None:
        assert self._live is not None
        manifest = self._live.manifest
        try:
            approve_scopes(installation_id=self._live.pk, requested=wanted, **WHY)
        except DomainError:
            return
        named = [scopes.parse(text) for text in wanted]
        for scope in named:
            assert any(_asks_for(text, scope) for text in manifest.requested_scopes), (
                wanted,
                manifest.requested_scopes,
            )
        reach = editions.in_force().coverage
        self.may_grow = _reached((scope, reach.get(scope.code, ())) for scope in named)

    @invariant()
    def nobody_gained_anything(self) -> None:
        if not self.before:
            return
        for user in USERS:
            now = self._could(user)
            self.ceiling[user] |= self.may_grow
            assert now <= self.ceiling[user], sorted(map(str, now - self.ceiling[user]))
            # A scope that is switched off in the catalogue and on again reaches what it did, as it was approved;
            # what any other act took away is gone.
            self.ceiling[user] -= frozenset() if self.catalogue_edited else self.before[user] - now
            self.before[user] = now
            held = self.suspended or any(name in (None, user) for _kind, name in self.locked)
            for session_token in self.sessions[user]:
                caller = selectors.caller_of(session_token)
                assert caller is not None
                assert allowed_to(caller) <= (frozenset() if held else now)
        self.may_grow, self.catalogue_edited = frozenset(), False


def _reached(approved: Iterable[tuple[Scope, Iterable[Coverage]]]) -> Allowed:
    return frozenset(
        call
        for scope, covers in approved
        for call in CALLS
        if scope.level >= call.level and any(r.covers(call) for r in covers)
    )


def _asks_for(text: str, wanted: Scope) -> bool:
    try:
        asked = scopes.parse(text)
    except scopes.ScopeSyntaxError:
        return False
    return asked.code == wanted.code and asked.level >= wanted.level


@pytest.fixture
def own_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The catalogue is a file: the test edits a copy of it, as a release or an operator would."""
    edited = tmp_path / "catalogue.json"
    edited.write_text(json.dumps(SHIPPED), encoding="utf-8")
    monkeypatch.setattr(catalogue, "CATALOGUE_FILE", edited)
    yield
    monkeypatch.undo()
    catalogue.load.cache_clear()


@pytest.mark.django_db
@pytest.mark.usefixtures("own_catalogue")
def test_no_sequence_of_acts_without_an_approval_widens() -> None:
    run_state_machine_as_test(
        Places,
        settings=settings(
            max_examples=40 * FACTOR,
            stateful_step_count=14,
            suppress_health_check=list(HealthCheck),
            # To shrink takes minutes, as each try is a world of its own; the steps as found read well enough.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
        ),
    )


# What chance finds seldom: each is one way in which an approval could come back, or reach further, by itself.
WAYS: dict[str, tuple[list[str], list[str], Callable[[Places], None]]] = {
    "what a withdrawn scope had swallowed": (
        ["crm.read", "crm.accounts.full"],
        ["crm.read", "crm.accounts.full"],
        lambda places: places.withdraw_this("crm"),
    ),
    "a withdrawn scope that is installed again": (
        ["crm.full"],
        ["crm.full"],
        lambda places: (places.withdraw_this("crm"), places.uninstall(again=True)),
    ),
    "an approved installation that is installed again": (
        ["crm.full", "fin.full"],
        ["crm.full"],
        lambda places: places.uninstall(again=True),
    ),
    "a locked installation that is installed again": (
        ["crm.full"],
        ["crm.full"],
        lambda places: (
            places.hold_or_free(Installation, held=True),
            places.uninstall(again=True),
            places.approve_these(["crm.full"]),
        ),
    ),
    "a manifest that asks for more": (
        ["crm.read"],
        ["crm.read"],
        lambda places: places.other_manifest(["crm.full", "fin.full"]),
    ),
    "a catalogue entry that covers more": (
        ["crm.accounts.full"],
        ["crm.accounts.full"],
        lambda places: places.other_edition("crm.accounts", "everything"),
    ),
    "a catalogue entry that covers more and then is damaged and mended": (
        ["crm.accounts.full"],
        ["crm.accounts.full"],
        lambda places: [
            places.other_edition("crm.accounts", change) for change in ("everything", "damaged", "all taken back")
        ],
    ),
    "an unknown scope that becomes known": (
        ["crm.accounts.full", "unknown.read"],
        ["crm.accounts.full"],
        lambda places: places.other_edition("unknown", "everything"),
    ),
    "a release that ships an entry that covers more": (
        ["crm.accounts.full"],
        ["crm.accounts.full"],
        lambda places: places.other_release("crm.accounts", "everything"),
    ),
}


@pytest.mark.django_db
@pytest.mark.usefixtures("own_catalogue")
@pytest.mark.parametrize("way", WAYS)
def test_ways_to_widen_that_chance_finds_seldom(way: str) -> None:
    asked, approved, act = WAYS[way]
    places = Places()
    try:
        places.install(asked)
        places.approve_these(approved)
        places.measure()
        assert any(places.before.values())
        act(places)
        places.nobody_gained_anything()
    finally:
        places.teardown()


def test_calls_that_are_compared_reach_every_level_and_kind_of_scope() -> None:
    covered = {
        code for code, rules in catalogue.load().coverage.items() if any(r.covers(c) for c in CALLS for r in rules)
    }
    assert covered >= set(CODES)
    assert {call.level for call in CALLS} == set(Level)
