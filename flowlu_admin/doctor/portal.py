"""Try on a portal what is assumed of Flowlu, with a token that is given and never kept.

Every request goes through the adapter, with its guard against private addresses, its deadlines and its bounds; what it
sends is built by the grammar of all calls. Without `may_write` nothing that could write is sent.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Final

from flowlu_admin.doctor import assumptions
from flowlu_admin.doctor.assumptions import Points
from flowlu_admin.doctor.findings import Point, Shown, Verdict
from installations.errors import DomainError, FlowluDenied, FlowluTimeout, NotFound, RateLimited
from installations.flowlu.calls import FlowluCall, build_call
from installations.flowlu.client import FlowluClient, Observation
from installations.flowlu.wire import Body, Meaning, Method, Wire
from installations.strict_json import JSONValue

_USER: Final = build_call("core", "user", "get")
_NOTHING: Final = "doctor_looks_for_nothing"
_NO_RECORD: Final = "99999999999999"
_FAR_TOO_MANY: Final = "1000"
_LONGEST_WAIT: Final = 5  # seconds, for a portal that says to come again later
_BODIES: Final[tuple[Body, ...]] = ("form", "json")
_METHODS: Final[tuple[Method, ...]] = ("GET", "POST")
RECORD_NAME: Final = "Made by manage.py doctor, to be deleted"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be tried, and how much of it. Models are `module, model`."""

    may_write: bool = False
    listed: tuple[str, str] = ("crm", "account")
    written: tuple[str, str] = ("crm", "account")
    expires_at: str | None = None
    burst: int = 0
    pause: float = 0.5  # seconds between two requests: portals limit how many there may be
    total: float = 180.0  # seconds for all of it; what is left then is not tried


@dataclass(slots=True)
class Trial:
    """One trial of a portal. `run` may be called once."""

    client: FlowluClient
    portal: str
    wire: Wire
    points: Points
    token: str = field(repr=False)
    api_key: str | None = field(repr=False)
    wanted: Wanted
    parse_expiry: Callable[[str], datetime]
    _learnt: dict[int, Meaning] = field(default_factory=dict)
    _limited: Observation | None = None
    _rate_headers: set[str] = field(default_factory=set)
    _first: bool = True
    _untold: int = 0
    _until: float = 0.0

    def run(self) -> list[Shown]:
        """Try everything that can be tried, and return every point in a fixed order."""
        self._until = monotonic() + self.wanted.total
        asked_as, points = self.wire, self.points
        try:
            seen = self._find_token_form()
        except DomainError as error:
            if isinstance(error, RateLimited):
                mend = "come again later, with a longer --pause"
            else:
                mend = "look at FLOWLU_PORTAL_URL, the portal's name and the network in between"
            return [replace(assumptions.no_answer(points.reached, error), verdict=Verdict.DIFFERS, change=mend)]
        found = self.wire.token_header if seen.error is None else None
        rows = [
            Shown(points.reached, Verdict.HOLDS, "answers"),
            assumptions.token_form(points.token, found, seen),
            assumptions.clock(points.clock, seen.at, datetime.now(UTC)),
        ]
        if found is not None:
            rows += [assumptions.current_user(points.user, seen.response), *self._errors(), *self._pages()]
            rows += [*self._key(), *self._expiry(), *self._rate(), *self._writes()]
        return assumptions.with_codes([*rows, *points.not_for_a_command()], asked_as, self._learnt)

    def _ask(self, call: FlowluCall, *, token: str | None = None, wire: Wire | None = None) -> Observation:
        """Send one call and return what came; a portal that says to come again later is asked once more.

        Raises RateLimited when it says so again, and what means that nothing came.
        """
        seen = self._ask_once(call, token or self.token, wire or self.wire)
        if isinstance(seen.error, RateLimited):
            sleep(min(seen.error.retry_after or 1, _LONGEST_WAIT))
            seen = self._ask_once(call, token or self.token, wire or self.wire)
            if isinstance(seen.error, RateLimited):
                raise seen.error
        return seen

    def _ask_once(self, call: FlowluCall, token: str, wire: Wire) -> Observation:
        if monotonic() > self._until:
            raise FlowluTimeout(reason="the trial took too long")
        if not self._first:
            sleep(self.wanted.pause)
        self._first = False
        return self._noted(self.client.observe(self.portal, call, token, wire))

    def _noted(self, seen: Observation) -> Observation:
        """Remember what the answer says of rates."""
        self._rate_headers |= seen.rate_headers.keys()
        if isinstance(seen.error, RateLimited):
            self._limited = seen
        return seen

    def _find_token_form(self) -> Observation:
        """Ask who the user is, and go on with the header in which the token is taken, if it is in any."""
        first = self._ask(_USER)
        if first.error is None:
            return first
        for form in assumptions.TOKEN_FORMS:
            if form == self.wire.token_header:
                continue
            wire = replace(self.wire, token_header=form)
            seen = self._ask(_USER, wire=wire)
            if seen.error is None:
                self.wire = wire
                return seen
        return first

    def _errors(self) -> Iterator[Shown]:
        """Ask for what there cannot be."""
        points = self.points
        module, nothing = build_call(_NOTHING, _NOTHING, "list"), build_call("core", _NOTHING, "list")
        nobody = build_call("core", "user", "get", _NO_RECORD)
        yield self._refused(points.stale, _USER, "stale", token=secrets.token_urlsafe(32))
        # Whether it is missing or denied is the portal's to say: neither is taken for a result.
        yield self._refused(points.module, module, "not_found", "denied")
        yield self._refused(points.model, nothing, "not_found", "denied")
        yield self._refused(points.record, nobody, "not_found", "denied")

    def _refused(self, point: Point, call: FlowluCall, *meanings: Meaning, token: str | None = None) -> Shown:
        try:
            seen = self._ask(call, token=token)
        except DomainError as error:
            return assumptions.no_answer(point, error)
        return self._judged(point, seen, *meanings)

    def _judged(self, point: Point, seen: Observation, *meanings: Meaning) -> Shown:
        shown = assumptions.refusal(point, seen, meanings)
        code = assumptions.code_learnt(seen)
        if code is not None and shown.verdict is Verdict.DIFFERS:
            self._learnt.setdefault(code, meanings[0])
        return shown

    def _pages(self) -> Iterator[Shown]:
        point = self.points.pages
        try:
            first = self._list()
            if isinstance(first.error, FlowluDenied | NotFound):
                how = "name a model that it may: --list MODULE/MODEL"
                yield Shown(point, Verdict.NOT_TRIED, "the token's user may not list these records", how)
                return
            of_one, of_many = _count(self._list(limit="1")), _count(self._list(limit=_FAR_TOO_MANY))
            by_count = of_one != 1 and _count(self._list(count="1")) == 1
        except DomainError as error:
            yield assumptions.no_answer(point, error)
            return
        total = _total(first.response)
        if total is None:
            yield Shown(
                point, Verdict.DIFFERS, f"no list envelope: {assumptions.described(first)}", "no setting: report it"
            )
        else:
            yield assumptions.pages(point, total, _count(first), of_one, of_many, by_count=by_count)

    def _list(self, **params: str) -> Observation:
        return self._ask(build_call(*self.wanted.listed, "list", None, list(params.items())))

    def _key(self) -> Iterator[Shown]:
        point = self.points.key
        if self.api_key is None:
            yield Shown(point, Verdict.NOT_TRIED, "none was given", "give one as the second line: --with-key")
            return
        try:
            sleep(self.wanted.pause)
            call = build_call(*self.wanted.listed, "list", None, [("limit", "1")])
            seen = self._noted(self.client.observe_as_system(self.portal, call, self.api_key, self.wire))
        except DomainError as error:
            yield assumptions.no_answer(point, error)
        else:
            yield assumptions.key(point, seen)

    def _expiry(self) -> Iterator[Shown]:
        if self.wanted.expires_at is None:
            how = "give what the SDK said with the token: --expires-at TEXT"
            yield Shown(self.points.expiry, Verdict.NOT_TRIED, "not given", how)
            return
        try:
            at = self.parse_expiry(self.wanted.expires_at)
        except ValueError:
            at = None
        yield assumptions.expiry(self.points.expiry, at, datetime.now(UTC))

    def _rate(self) -> Iterator[Shown]:
        """Read without a pause until the portal says that it is too much, where that was asked for."""
        point = self.points.rate
        try:
            for _ in range(self.wanted.burst):
                if self._limited is not None:
                    break
                self._noted(self.client.observe(self.portal, _USER, self.token, self.wire))
        except DomainError as error:
            yield assumptions.no_answer(point, error)
            return
        limit = self._limited.error if self._limited else None
        wait = limit.retry_after if isinstance(limit, RateLimited) else None
        yield assumptions.rate(point, self.wire, self._limited, wait, sorted(self._rate_headers))

    def _writes(self) -> Iterator[Shown]:
        """Make records in each way and delete them again. What could not be deleted is named."""
        points = self.points
        if not self.wanted.may_write:
            for point in (points.body, points.invalid, points.delete):
                yield Shown(point, Verdict.NOT_TRIED, "it writes", "--may-write makes records and deletes them again")
            return
        made: list[str] = []
        method: Method | None = None
        try:
            yield from self._bodies(made)
            if made:
                method = self._delete_tried(made)
                yield assumptions.delete(points.delete, self.wire, method)
            else:
                yield Shown(points.delete, Verdict.NOT_TRIED, "there was nothing to delete")
        except DomainError as error:
            yield assumptions.no_answer(points.delete, error)
        finally:
            left = self._cleared_away(made, method)
        if left:
            where = "/".join(self.wanted.written)
            yield Shown(
                Point("left behind", "", "nothing"),
                Verdict.DIFFERS,
                f"records of {where}: {', '.join(left)}",
                f"delete them by hand; their name is '{RECORD_NAME}'",
            )

    def _bodies(self, made: list[str]) -> Iterator[Shown]:
        points = self.points
        taken: list[Body] = []
        refused: Observation | None = None
        for kind in _BODIES:
            seen = self._create(made, replace(self.wire, body=kind), name=RECORD_NAME)
            number = _number(seen.response)
            if seen.error is not None:
                refused = seen
            elif number and _name(self._ask(build_call(*self.wanted.written, "get", number))) == RECORD_NAME:
                taken.append(kind)
        if not made and refused is not None and isinstance(refused.error, FlowluDenied | NotFound):
            for point in (points.body, points.invalid):
                how = "name a model that it may: --write MODULE/MODEL"
                yield Shown(point, Verdict.NOT_TRIED, "the token's user may not make these records", how)
            return
        yield assumptions.body(points.body, self.wire, taken)
        seen = self._create(made, replace(self.wire, body=taken[0]) if taken else self.wire)
        if seen.error is None:
            yield Shown(points.invalid, Verdict.UNCLEAR, "a record without a name is taken", "name another: --write")
        else:
            yield self._judged(points.invalid, seen, "invalid")

    def _create(self, made: list[str], wire: Wire, **values: str) -> Observation:
        """Try to make a record, and remember its number, or that there may be one whose number was not told."""
        call = build_call(*self.wanted.written, "create", None, list(values.items()))
        self._untold += 1
        try:
            seen = self._ask(call, wire=wire)
        except RateLimited:
            self._untold -= 1
            raise
        number = _number(seen.response)
        if number is not None:
            made.append(number)
        if number is not None or seen.error is not None:
            self._untold -= 1
        return seen

    def _delete_tried(self, made: list[str]) -> Method | None:
        """Return the method by which the last record went, the set one first. It went if it cannot be read any more."""
        for method in sorted(_METHODS, key=lambda each: each != self.wire.delete_method):
            if self._gone(made[-1], method):
                made.pop()
                return method
        return None

    def _gone(self, number: str, method: Method) -> bool:
        deleted = self._ask(
            build_call(*self.wanted.written, "delete", number), wire=replace(self.wire, delete_method=method)
        )
        if deleted.error is not None:
            return False
        return self._ask(build_call(*self.wanted.written, "get", number)).error is not None

    def _cleared_away(self, made: list[str], method: Method | None) -> list[str]:
        """Delete what was made, and return what is left of it."""
        self._until = max(self._until, monotonic() + 30)  # a trial that took too long clears up all the same
        left = ["one whose number was not told"] * self._untold
        for number in made:
            try:
                gone = method is not None and self._gone(number, method)
            except DomainError:
                gone = False
            if not gone:
                left.append(number)
        return left


def _items(seen: Observation) -> list[JSONValue] | None:
    items = seen.response.get("items") if isinstance(seen.response, dict) else None
    return items if isinstance(items, list) else None


def _count(seen: Observation) -> int:
    return len(_items(seen) or [])


def _total(response: JSONValue) -> int | None:
    total = response.get("total_result") if isinstance(response, dict) else None
    if isinstance(total, str) and total.isascii() and total.isdigit() and len(total) < 12:
        total = int(total)
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def _number(response: JSONValue) -> str | None:
    """Return the id of a record, where it is one that a call can name."""
    number = str(response.get("id")) if isinstance(response, dict) else ""
    return number if number.isascii() and number.isdigit() and len(number) <= 20 else None


def _name(seen: Observation) -> JSONValue:
    return seen.response.get("name") if isinstance(seen.response, dict) else None
