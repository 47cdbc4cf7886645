"""The whole life of installations, in any order, beside a small model of it: they never disagree.

Two portals with two users each; their pages launch, call, refresh, hand over and leave through the API, against the
sandbox over HTTP, while operators approve, withdraw, lock, suspend, revoke and uninstall. The model says what each
request is answered with, by the contract and not by the code; after each step it is held against what every open
session is told about itself.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.actors import command_actor
from installations.models import Application, Installation, Portal, PortalUser
from installations.services import (
    approve_scopes,
    lock,
    resume_installation,
    suspend_installation,
    unlock,
    withdraw_scopes,
)
from tests import factories
from tests.embedded import Frontend
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.services.storing import MAX_LIVE_TOKENS
from tokens.targets import RevocationTarget

WHY: dict[str, Any] = {"actor": command_actor(), "reason": "A test."}
# The first one oftener: what meets on one portal is what this is about.
PORTALS = ("acme.flowlu.com", "acme.flowlu.com", "acme.flowlu.com", "globex.flowlu.com")
USERS = ("1", "2")  # both may use the CRM and tasks of their portal
FACTOR = 20 if os.environ.get("STRESS") else 1
OK = ""

# What is called, with the code and the level that it takes.
CALLS: dict[str, tuple[str, str, str]] = {
    "crm/account/list": ("GET", "crm.accounts", "read"),
    "crm/account/create": ("POST", "crm.accounts", "full"),
    "task/tasks/list": ("GET", "task", "read"),
}
# What happens, the more often the oftener it is named: where everything is locked or gone, little is left to see.
ACTS = (
    *["calls"] * 6,
    *["refreshes", "hands_over"] * 3,
    *["opens", "is_loaded_again", "hands_in_an_earlier_pair", "is_approved", "is_locked_or_unlocked"] * 2,
    *["leaves", "revokes_what_it_stored", "asks_who_it_is", "is_withdrawn"],
    *["is_suspended_or_resumed", "is_uninstalled", "is_revoked"],
)
Choose = Callable[[Any], Any]
_MOST_PAGES, _MOST_SESSIONS = 8, 16


@dataclass(eq=False)
class Place:
    """One installation, from its first launch until it is gone."""

    portal: str
    pk: int = 0
    status: str = "pending_approval"
    was_approved: bool = False
    approved: dict[str, str] = field(default_factory=dict)
    locked: bool = False


@dataclass(eq=False)
class Held:
    """One stored pair."""

    place: Place
    user: str
    access: str
    stored: int  # which storing it was: the oldest goes first
    state: str = "active"
    before: set[str] = field(default_factory=set)  # access tokens that it held earlier


@dataclass(eq=False)
class Session:
    page: Frontend
    token: str = field(repr=False)
    held: Held
    ended: bool = False


class Lives(RuleBasedStateMachine):
    api: APIClient
    sandbox: SandboxServer

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo._from_testcase = True  # as pytest's own block: verbs insist on being the outermost transaction
        self.undo.__enter__()
        self.sandbox.state.reset()
        self.application = factories.application(permissions=["crm.accounts.full", "task.read"])
        self.pages: list[Frontend] = []
        self.earlier: list[tuple[Frontend, Any]] = []  # pairs that a page had, dead at the portal
        self.places: dict[str, Place] = {}  # that are there now
        self.last: dict[str, Place] = {}  # the newest of each portal, which may be gone
        self.held: list[Held] = []
        self.sessions: list[Session] = []
        self.denied: set[str] = set()
        self.dead: set[str] = set()  # at the portal
        self.locked: set[Any] = set()  # portals, (portal, user), and "application"
        self.storings = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    # --- The model ---

    def _is_locked(self, place: Place | None, portal: str) -> bool:
        return "application" in self.locked or portal in self.locked or (place is not None and place.locked)

    def _usable(self, held: Held) -> str:
        """What whoever holds it is told before anything else."""
        if held.state == "revoked" or held.place.status == "uninstalled":
            return "token_revoked"
        if (held.place.portal, held.user) in self.locked:
            return "user_locked"
        if self._is_locked(held.place, held.place.portal):
            return "installation_locked"
        return "installation_suspended" if held.place.status == "suspended" else OK

    def _allowed(self, held: Held, code: str, level: str) -> str:
        if refusal := self._usable(held):
            return refusal
        approved = held.place.approved.get(code) if held.place.status == "active" else None
        return OK if approved == "full" or approved == level else "insufficient_scope"

    def _launch(self, page: Frontend) -> str:
        place, access = self.places.get(page.portal), page.access_token
        if access in self.denied:
            return "token_revoked"
        if self._is_locked(place, page.portal):
            return "installation_locked"
        if place is not None and place.status == "suspended":
            return "installation_suspended"
        if access in self.dead:
            return "invalid_token"
        if (page.portal, page.user_id) in self.locked:
            return "user_locked"
        # A lock stays for what is installed again.
        return "installation_locked" if place is None and self._left_locked(page.portal) else OK

    def _left_locked(self, portal: str) -> bool:
        return portal in self.last and self.last[portal].locked

    def _store(self, place: Place, user: str, access: str, own: Held | None = None) -> Held:
        mine = [held for held in self.held if held.place is place and held.user == user and held.state != "revoked"]
        row = next((held for held in mine if held.access == access), own)
        if row is None or row.state != "active":
            active = sorted((held for held in mine if held.state == "active"), key=lambda held: -held.stored)
            for oldest in active[MAX_LIVE_TOKENS - 1 :]:
                oldest.state = "stale"
        if row is None:
            row = Held(place, user, access, 0)
            self.held.append(row)
        if row.access != access:
            row.before.add(row.access)
        self.storings += 1
        row.access, row.state, row.stored = access, "active", self.storings
        return row

    def _cut(self, chosen: Callable[[Held], bool]) -> None:
        for held in self.held:
            if held.state != "revoked" and chosen(held):
                held.state = "revoked"
                self.denied |= {held.access, *held.before}

    # --- Pages ---

    @initialize()
    def begin(self) -> None:
        """A page that was loaded twice, with what it needs approved: most of what follows begins so."""
        self._open(PORTALS[0], USERS[0])
        self._handshake(self.pages[0])
        self._approve(self.places[PORTALS[0]], "crm.accounts.full")
        self._approve(self.places[PORTALS[0]], "task.read")

    def _handshake(self, page: Frontend) -> None:
        expected = self._launch(page)
        assert told(page.handshake()) == expected
        if expected == OK:
            if page.portal not in self.places:
                pk = Installation.objects.live().get(portal__domain=page.portal).pk
                self.places[page.portal] = self.last[page.portal] = Place(page.portal, pk)
            place = self.places[page.portal]
            held = self._store(place, page.user_id, page.access_token)
            self.sessions.append(Session(page, page.session_token, held))

    def opens(self, choose: Choose) -> None:
        if len(self.pages) < _MOST_PAGES:
            self._open(choose(PORTALS), choose(USERS))

    def _open(self, portal: str, user: str) -> None:
        self.pages.append(Frontend(self.api, self.sandbox, portal, user))
        self._handshake(self.pages[-1])

    def is_loaded_again(self, choose: Choose) -> None:
        if len(self.sessions) < _MOST_SESSIONS:
            self._handshake(choose(self.pages[-4:]))

    def refreshes(self, choose: Choose) -> None:
        """Through the SDK: this service hears nothing of it."""
        page = choose(self.pages[-4:])
        self.dead.add(page.access_token)
        self.earlier.append((page, page.pair))
        page.refresh()

    def hands_in_an_earlier_pair(self, choose: Choose) -> None:
        """Whatever the portal would say of it: what belongs to a revoked lineage is denied by us."""
        if not self.earlier:
            return
        page, pair = choose(self.earlier[-4:])
        now, page.pair = page.pair, pair
        self._handshake(page)
        page.pair = now

    def asks_who_it_is(self, choose: Choose) -> None:
        session = choose(self.sessions[-6:])
        answer = self._ask(session, "GET", "session")
        assert told(answer) == ("invalid_session" if session.ended else OK)
        if not session.ended:
            assert (answer.json()["portal"], answer.json()["user"]["id"]) == (session.page.portal, session.page.user_id)

    def _ask(self, session: Session, method: str, path: str, body: Any = None) -> Any:
        return self.api.generic(
            method,
            f"/api/v1/{path}",
            data=self.api._encode_data(body, "json")[0] if body is not None else "",
            content_type="application/json" if body is not None else "",
            headers={"X-Session-Token": session.token},
        )

    def calls(self, choose: Choose) -> None:
        call = choose(sorted(CALLS))
        session = choose(self.sessions[-6:])
        method, code, level = CALLS[call]
        held, expected = session.held, "invalid_session" if session.ended else ""
        if not expected:
            expected = self._allowed(held, code, level)
        if not expected and (held.state != "active" or held.access in self.dead):
            expected, held.state = "token_stale", "stale"
        body = {"name": "A new one", "type": 1} if method == "POST" else None
        assert told(self._ask(session, method, f"flowlu/{call}", body)) == expected

    def hands_over(self, choose: Choose) -> None:
        session = choose(self.sessions[-6:])
        page, own = session.page, session.held
        expected = "invalid_session" if session.ended else self._usable(own)
        if not expected:
            expected = "token_revoked" if page.access_token in self.denied else OK
        body = {"access_token": page.pair.access_token, "expires_at": page.pair.expires_at_text}
        assert told(self._ask(session, "PUT", "session/token", body)) == expected
        if expected or (own.state == "active" and own.access == page.access_token):
            return
        others = any(other.held is own and not other.ended for other in self.sessions if other is not session)
        session.held = self._store(own.place, own.user, page.access_token, None if others else own)
        if session.held is not own and not any(other.held is own and not other.ended for other in self.sessions):
            own.state = "stale"

    def leaves(self, choose: Choose) -> None:
        session = choose(self.sessions[-6:])
        assert told(self._ask(session, "DELETE", "session")) == ("invalid_session" if session.ended else OK)
        session.ended = True

    def revokes_what_it_stored(self, choose: Choose) -> None:
        session = choose(self.sessions[-6:])
        assert told(self._ask(session, "DELETE", "session/token")) == ("invalid_session" if session.ended else OK)
        if not session.ended:
            self._cut(lambda held: held is session.held)

    # --- Operators ---

    def is_approved(self, choose: Choose) -> None:
        if self.places:
            scope = choose(["crm.accounts.read", "crm.accounts.full", "task.read"])
            self._approve(self.places[choose(sorted(self.places))], scope)

    def _approve(self, place: Place, scope: str) -> None:
        approve_scopes(installation_id=place.pk, requested=[scope], **WHY)
        code, _, level = scope.rpartition(".")
        place.approved[code], place.was_approved = level, True
        if place.status == "pending_approval":
            place.status = "active"

    def is_withdrawn(self, choose: Choose) -> None:
        there = [(place.portal, code) for place in self.places.values() for code in sorted(place.approved)]
        if not there:
            return
        portal, code = choose(there)
        withdraw_scopes(installation_id=self.places[portal].pk, codes=[code], **WHY)
        del self.places[portal].approved[code]

    def is_suspended_or_resumed(self, choose: Choose) -> None:
        if not self.places:
            return
        place, suspended = self.places[choose(sorted(self.places))], choose([True, False, False])
        verb = suspend_installation if suspended else resume_installation
        verb(installation_id=place.pk, **WHY)
        if suspended:
            place.status = "suspended"
        elif place.status == "suspended":
            place.status = "active" if place.was_approved else "pending_approval"

    def is_uninstalled(self, choose: Choose) -> None:
        if not self.places:
            return
        portal = choose(sorted(self.places))
        uninstall_installation(installation_id=self.places[portal].pk, **WHY)
        gone = self.places.pop(portal)
        gone.status = "uninstalled"
        self._cut(lambda held: held.place is gone)

    def is_revoked(self, choose: Choose) -> None:
        """All tokens of a user, or of an installation that may be gone."""
        one = choose(self.held[-4:])
        if choose([True, False]):
            user = PortalUser.objects.get(portal__domain=one.place.portal, flowlu_user_id=one.user)
            revoke_tokens(target=RevocationTarget.of_portal_user(user.pk), **WHY)
            self._cut(lambda held: (held.place.portal, held.user) == (one.place.portal, one.user))
        elif (place := self.places.get(one.place.portal)) is not None:
            revoke_tokens(target=RevocationTarget.of_installation(place.pk), **WHY)
            self._cut(lambda held: held.place is place)

    def is_locked_or_unlocked(self, choose: Choose) -> None:
        one, held = choose(self.held[-4:]), choose([True, False, False])
        what = choose(["application", "portal", "user", "installation", "installation"])
        verb = lock if held else unlock
        change = self.locked.add if held else self.locked.discard
        if what == "application":
            verb(target=Application.objects.get(pk=self.application.pk), **WHY)
            change("application")
        elif what == "portal":
            verb(target=Portal.objects.get(domain=one.place.portal), **WHY)
            change(one.place.portal)
        elif what == "user":
            target = PortalUser.objects.get(portal__domain=one.place.portal, flowlu_user_id=one.user)
            verb(target=target, **WHY)
            change((one.place.portal, one.user))
        else:
            verb(target=Installation.objects.get(pk=one.place.pk), **WHY)
            one.place.locked = held

    @rule(chance=st.randoms(use_true_random=True))
    def step(self, chance: Random) -> None:
        """Chosen evenly: what hypothesis draws by itself comes back to the first of the acts again and again."""
        act = chance.choice(ACTS)
        note(act)
        getattr(self, act)(chance.choice)

    # --- What holds after every step ---

    @invariant()
    def newest_sessions_are_told_what_the_model_says(self) -> None:
        for session in self.sessions[-3:]:
            answer = self._ask(session, "GET", "permissions?module=crm&model=account&action=list").json()
            expected = "invalid_session" if session.ended else self._allowed(session.held, "crm.accounts", "read")
            assert answer["error"] == (expected or None)

    @invariant()
    def stored_is_what_the_model_holds(self) -> None:
        states = Installation.objects.values_list("portal__domain", "status")
        gone = [("uninstalled", held.place) for held in self.held if held.place.status == "uninstalled"]
        live = sorted((place.portal, place.status) for place in self.places.values())
        assert sorted(pair for pair in states if pair[1] != "uninstalled") == live
        assert sum(pair[1] == "uninstalled" for pair in states) == len({id(place) for _status, place in gone})


def told(response: Any) -> str:
    """The code of an error, or OK."""
    return OK if response.status_code < 300 else str(response.json()["error"])


@pytest.mark.django_db
def test_whole_life_never_disagrees_with_the_model(api: APIClient, sandbox: SandboxServer, settings: Any) -> None:
    settings.FOUR_EYES = "off"
    Lives.api, Lives.sandbox = api, sandbox
    run_state_machine_as_test(Lives, settings=_SETTINGS)


_SETTINGS = settings(
    max_examples=30 * FACTOR,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    # To shrink takes minutes, as each try is a world of its own; the steps as found read well enough.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
