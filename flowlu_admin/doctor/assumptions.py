"""What is assumed of Flowlu, point by point, and what an answer of a portal says of it. Pure.

Of an answer nothing is repeated but numbers, and names of headers that are about rates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from flowlu_admin.doctor.findings import Point, Shown, Verdict
from installations.errors import DomainError, FlowluDenied, FlowluError, FlowluInvalid, NotFound, TokenStale
from installations.flowlu.client import Observation, user_of
from installations.flowlu.wire import Meaning, Wire
from installations.strict_json import JSONValue

# Forms in which APIs take an access token; those that are not the set one are tried where that is refused.
TOKEN_FORMS: Final = (
    "Authorization: Bearer {token}",
    "Authorization: {token}",
    "Authorization: OAuth {token}",
    "X-Access-Token: {token}",
)
LONGEST_PAGE: Final = 100
_CODES: Final = "FLOWLU_ERROR_CODES"
_SAY_NOTHING: Final = frozenset({10, 12, 13})  # documented: unknown error, invalid request, internal error
_OFTEN_ENOUGH: Final = timedelta(minutes=90)  # a token that seems to live longer may be one of another zone
_SKEW: Final = timedelta(seconds=30)
_ERRORS: Final[Mapping[Meaning, type[DomainError]]] = {
    "stale": TokenStale,
    "not_found": NotFound,
    "denied": FlowluDenied,
    "invalid": FlowluInvalid,
}


@dataclass(frozen=True, slots=True)
class Points:
    """Every point, with what is assumed as it is set."""

    wire: Wire
    portal_url: str
    zone: str

    @property
    def reached(self) -> Point:
        return Point("portal", "https://{company}.flowlu.com/api/v1/module/…, JSON", f"{self.portal_url}, JSON")

    @property
    def token(self) -> Point:
        return Point("token header", "in a request header; its form is not shown", self.wire.token_header)

    @property
    def user(self) -> Point:
        return Point(
            "current user", "core/user/get without an id is the token's user", "the same, with `id` and `role_admin`"
        )

    @property
    def stale(self) -> Point:
        return Point("refused token", "HTTP 401, or code 11", f"HTTP 401, or {self._codes('stale')}")

    @property
    def module(self) -> Point:
        return Point("unknown module", "code 31 with HTTP 200", self._codes("not_found"))

    @property
    def model(self) -> Point:
        return Point("unknown model", "code 30 with HTTP 200", self._codes("not_found"))

    @property
    def record(self) -> Point:
        return Point("unknown record", "code 20 with HTTP 200", self._codes("not_found"))

    @property
    def pages(self) -> Point:
        return Point(
            "page length", "`limit`; 100 was seen as the most, 50 without it", f"`limit`, {LONGEST_PAGE} works"
        )

    @property
    def rate(self) -> Point:
        return Point(
            "rate header", "429 above a number a second; no header named", f"a 429 has {self.wire.retry_header}"
        )

    @property
    def key(self) -> Point:
        return Point("API key", "the parameter `api_key` of every GET and POST", "in the body of a POST, for reads too")

    @property
    def expiry(self) -> Point:
        return Point("expires_at", "YYYY-MM-DD HH:MM:SS, no zone named", f"the same, in {self.zone}")

    @property
    def clock(self) -> Point:
        return Point("clock", "", f"the portal's is at most {_SKEW.seconds} seconds off")

    @property
    def body(self) -> Point:
        return Point("body of a write", "JSON on an older page; forms are in use", self.wire.body)

    @property
    def invalid(self) -> Point:
        return Point(
            "refused values", "code 21, or `validation` by name; HTTP 200", f"{self._codes('invalid')}, or the name"
        )

    @property
    def delete(self) -> Point:
        return Point("delete", "GET", self.wire.delete_method)

    def not_for_a_command(self) -> list[Shown]:
        """Return the points that no command can try, with how to see them."""
        return [
            Shown(
                Point("launch", "which values come, not their names", "FLOWLU_LAUNCH_NAMES"),
                Verdict.NOT_TRIED,
                "only a launch shows it",
                "look at the form that the portal posts to the entry point, in the browser's developer tools",
            ),
            Shown(
                Point("refresh by a server", "nothing", "off unless FLOWLU_TOKEN_URL is set"),
                Verdict.NOT_TRIED,
                "a trial would use up somebody's refresh token",
                "ask Flowlu; then switch it on for one application first",
            ),
            Shown(
                Point("revoking at Flowlu", "nothing", "off unless FLOWLU_REVOCATION_URL is set"),
                Verdict.NOT_TRIED,
                "a trial would end the token",
                "ask Flowlu; the ledger shows what became of each revocation",
            ),
        ]

    def _codes(self, meaning: Meaning) -> str:
        codes = [str(code) for code, means in self.wire.error_codes if means == meaning]
        return f"code {' or '.join(codes)}" if codes else "no code"


def described(seen: Observation) -> str:
    """Return an answer in numbers."""
    parts = [f"HTTP {seen.status}"]
    if seen.shape == "code":
        parts.append(f"code {seen.error_code}")
    elif seen.shape == "named":
        parts.append("an error by name")
    elif seen.shape == "other":
        parts.append("no envelope that is known")
    return ", ".join(parts)


def no_answer(point: Point, error: DomainError) -> Shown:
    """Say that nothing came which could be read, and why in a word of ours."""
    reason = error.context.get("reason")
    return Shown(point, Verdict.UNCLEAR, f"no answer: {error.code}" + (f", {reason}" if reason else ""))


def token_form(point: Point, accepted: str | None, seen: Observation) -> Shown:
    """Judge in which header the token is taken; `accepted` is None where it is in none."""
    if accepted is None:
        tried = "in no header that was tried"
        return Shown(
            point, Verdict.UNCLEAR, f"{tried}: {described(seen)}", "try again with a token that is surely good"
        )
    if accepted == point.assumed:
        return Shown(point, Verdict.HOLDS, accepted)
    return Shown(point, Verdict.DIFFERS, accepted, f"FLOWLU_TOKEN_HEADER={accepted}")


def current_user(point: Point, response: JSONValue) -> Shown:
    """Judge whether the answer says who the user is, in a way that is understood."""
    record = response if isinstance(response, dict) else {}
    try:
        user_of(response)
    except DomainError:
        return Shown(point, Verdict.DIFFERS, "no id of a user that is understood", "nothing works: report it")
    kind = "text" if isinstance(record.get("id"), str) else "a number"
    if "role_admin" not in record:
        return Shown(
            point, Verdict.DIFFERS, f"id is {kind}, no `role_admin`", "nobody is seen as a portal's administrator"
        )
    return Shown(point, Verdict.HOLDS, f"id is {kind}, `role_admin` is there")


def refusal(point: Point, seen: Observation, meanings: Sequence[Meaning]) -> Shown:
    """Judge whether an error is taken for one of what it may be taken for."""
    if isinstance(seen.error, tuple(_ERRORS[each] for each in meanings)):
        return Shown(point, Verdict.HOLDS, described(seen))
    if code_learnt(seen) is not None:
        return Shown(point, Verdict.DIFFERS, described(seen), _CODES)
    taken = "a result" if seen.error is None else seen.error.code
    return Shown(point, Verdict.DIFFERS, f"{described(seen)}; it is taken for {taken}", "no setting: report it")


def code_learnt(seen: Observation) -> int | None:
    """Return the code of an error that means nothing here yet, and so may be what Flowlu says in place of another one.

    A code that is documented or set for something else is not proposed: what it is right for would then be wrong.
    """
    if seen.error is None or seen.shape != "code" or seen.error_code in _SAY_NOTHING:
        return None
    return seen.error_code if isinstance(seen.error, FlowluError) else None


def with_codes(rows: Sequence[Shown], wire: Wire, learnt: Mapping[int, Meaning]) -> list[Shown]:
    """Write the whole setting of error codes where rows ask for it: one that serves all of them."""
    codes = {**dict(wire.error_codes), **learnt}
    text = f"{_CODES}=" + ",".join(f"{code}={word}" for code, word in sorted(codes.items()))
    return [replace(row, change=text) if row.change == _CODES else row for row in rows]


def pages(point: Point, total: int, without: int, of_one: int, of_many: int, *, by_count: bool) -> Shown:
    """Judge page lengths: records in all, and records in a page without a limit, with 1, and with far too many."""
    if total < 2:
        return Shown(point, Verdict.UNCLEAR, "too few records to see", "name a model with more: --list MODULE/MODEL")
    if by_count:
        return Shown(point, Verdict.DIFFERS, "the parameter is called `count`", "frontends send `count`; no setting")
    if of_one != 1:
        return Shown(point, Verdict.DIFFERS, f"`limit` is passed over: {of_one} in a page", "no setting: report it")
    seen = f"{without} without `limit`, {of_many} at most"
    if of_many >= total:
        return Shown(point, Verdict.HOLDS, f"`limit` works; all {total} records fit into a page, so no most is seen")
    if of_many < LONGEST_PAGE:
        return Shown(point, Verdict.DIFFERS, seen, f"frontends count on {of_many} in a page at most; no setting")
    return Shown(point, Verdict.HOLDS, seen)


def rate(point: Point, wire: Wire, limited: Observation | None, wait: int | None, names: Sequence[str]) -> Shown:
    """Judge a 429, or say which headers about rates the other answers had."""
    said = ", ".join(sorted(names)) or "none"
    if limited is None:
        return Shown(point, Verdict.NOT_TRIED, f"no 429; headers about rates: {said}", "provoke one: --burst 30")
    if wait is not None:
        return Shown(point, Verdict.HOLDS, f"a 429 with {wire.retry_header}: {wait} s")
    other = sorted(limited.rate_headers, key=lambda name: "reset" not in name.lower() and "retry" not in name.lower())
    if other:
        return Shown(point, Verdict.DIFFERS, f"a 429 with {', '.join(other)}", f"FLOWLU_RETRY_HEADER={other[0]}")
    return Shown(point, Verdict.DIFFERS, "a 429 that does not say when to come again", "callers wait by themselves")


def key(point: Point, seen: Observation) -> Shown:
    """Judge whether a read with an API key in the body of a POST is taken."""
    if seen.error is None:
        return Shown(point, Verdict.HOLDS, "taken")
    mend = "no key is ever in an address (docs/adr/0020): if it is good and may read this, keys are of no use here"
    return Shown(point, Verdict.DIFFERS, described(seen), mend)


def expiry(point: Point, at: datetime | None, now: datetime) -> Shown:
    """Judge how an `expires_at` is read, of a token that the portal takes now. None could not be read."""
    if at is None:
        how = "frontends leave `expires_at` out of the hand-over, or write it anew"
        return Shown(point, Verdict.DIFFERS, "another form, which the hand-over refuses", how)
    minutes = round((at - now).total_seconds() / 60)
    if at <= now:
        observed = f"read so it passed {-minutes} minutes ago, and the token is taken"
        return Shown(point, Verdict.DIFFERS, observed, "FLOWLU_EXPIRY_ZONE=<the zone of the portal or user>")
    if at - now > _OFTEN_ENOUGH:
        advice = "right if a token lives so long; else set FLOWLU_EXPIRY_ZONE"
        return Shown(point, Verdict.UNCLEAR, f"read so it is in {minutes} minutes", advice)
    return Shown(point, Verdict.HOLDS, f"read so it is in {minutes} minutes")


def clock(point: Point, at: datetime | None, now: datetime) -> Shown:
    """Judge the portal's clock by its Date header."""
    if at is None:
        return Shown(point, Verdict.UNCLEAR, "no Date header that can be read")
    off = at - now
    seconds = round(off.total_seconds())
    if abs(off) <= _SKEW:
        return Shown(point, Verdict.HOLDS, f"{abs(seconds)} seconds off")
    which = "ahead of" if seconds > 0 else "behind"
    return Shown(point, Verdict.DIFFERS, f"{abs(seconds)} seconds {which} this machine's", "synchronise this machine's")


def body(point: Point, wire: Wire, taken: Sequence[str]) -> Shown:
    """Judge what a write may be sent as; `taken` are the kinds whose values arrived."""
    if not taken:
        return Shown(point, Verdict.UNCLEAR, "neither form nor json arrived as it was sent", "name another: --write")
    if wire.body in taken:
        return Shown(point, Verdict.HOLDS, " and ".join(taken))
    return Shown(point, Verdict.DIFFERS, " and ".join(taken), f"FLOWLU_BODY={taken[0]}")


def delete(point: Point, wire: Wire, worked: str | None) -> Shown:
    """Judge by which method a record was gone."""
    if worked is None:
        return Shown(point, Verdict.UNCLEAR, "neither GET nor POST", "the token's user may not delete, or report it")
    if worked == wire.delete_method:
        return Shown(point, Verdict.HOLDS, worked)
    return Shown(point, Verdict.DIFFERS, worked, f"FLOWLU_DELETE_METHOD={worked.lower()}")
