"""The lines of a plaintext token table: what each has to be, and what is wrong with one that is not.

No reason repeats anything of a line, its names included: a token may stand in any place of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final, TypeAlias

from installations.strict_json import JSONValue, StrictJSONError, loads
from tokens import vault
from tokens.services.api_keys import KeyText
from tokens.services.importing import Place
from tokens.services.storing import Pair

MAX_LINE: Final = 64 * 1024  # as the body of a handshake
_PAIR: Final = ("portal", "app_id", "user_id", "access_token", "refresh_token", "expires_at")
_KEY: Final = ("portal", "app_id", "label", "scopes", "purposes", "api_key", "last_day")
_OPTIONAL: Final = frozenset({"refresh_token", "expires_at", "last_day"})
_USER_ID: Final = re.compile(r"[0-9]{1,32}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class LineRefused(ValueError):
    """The line cannot be read. The text says why and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class PairLine:
    place: Place
    user_id: str
    pair: Pair


@dataclass(frozen=True, slots=True)
class KeyLine:
    place: Place
    label: str
    key: KeyText
    scopes: tuple[str, ...]
    purposes: tuple[str, ...]
    expires_at: datetime | None


Line: TypeAlias = PairLine | KeyLine


def lines_of(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, by number. Of one that is too long no more is held than shows that it is."""
    number = 0
    while raw := stream.readline(MAX_LINE + 1):
        number += 1
        rest = raw
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE + 1)
        if raw.strip():
            yield number, raw


def read(raw: bytes) -> Line:
    """Return what a line says; raises LineRefused."""
    document = raw.rstrip(b"\r\n")
    if len(document) > MAX_LINE:
        raise LineRefused("it is longer than 64 KiB")
    try:
        found = loads(document, max_bytes=MAX_LINE, max_depth=3, max_values=200, quotes=False)
    except StrictJSONError as error:
        raise LineRefused(f"column {error.column}: {error.message}") from None
    if not isinstance(found, dict):
        raise LineRefused("it is no JSON object")
    if ("access_token" in found) == ("api_key" in found):
        raise LineRefused("it has to have either access_token, which makes it a pair, or api_key")
    is_pair = "access_token" in found
    members = _Members(found, _PAIR if is_pair else _KEY)
    place = Place(members.text("portal"), members.text("app_id"))
    return _pair(place, members) if is_pair else _key(place, members)


def _pair(place: Place, members: "_Members") -> PairLine:
    return PairLine(
        place,
        members.text("user_id", _USER_ID.fullmatch, "has to be Flowlu's number of the user, as a text of digits"),
        Pair(
            members.token("access_token"),
            members.token("refresh_token") if members.has("refresh_token") else None,
            members.moment("expires_at") if members.has("expires_at") else None,
        ),
    )


def _key(place: Place, members: "_Members") -> KeyLine:
    return KeyLine(
        place,
        members.text("label"),
        KeyText(members.token("api_key")),
        members.texts("scopes"),
        members.texts("purposes"),
        members.end_of_day("last_day") if members.has("last_day") else None,
    )


class _Members:
    """The members of a line by name. One that is null is one that is not there."""

    def __init__(self, found: Mapping[str, JSONValue], names: tuple[str, ...]) -> None:
        self._found = found
        if found.keys() - set(names):
            # Passed over, a refresh token under another name would be lost without a word.
            raise LineRefused(f"it has a member of another name than {', '.join(names)}")
        if missing := [name for name in names if name not in _OPTIONAL and found.get(name) is None]:
            raise LineRefused(f"missing: {', '.join(missing)}")

    def has(self, name: str) -> bool:
        return self._found.get(name) is not None

    def text(self, name: str, holds: Callable[[str], object] = bool, rule: str = "has to be a text") -> str:
        value = self._found[name]
        if not isinstance(value, str) or not holds(value):
            raise LineRefused(f"{name} {rule}")
        return value

    def token(self, name: str) -> str:
        return self.text(name, vault.is_token_text, "has to be a text of 1 to 4096 visible ASCII characters, no spaces")

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._found[name]
        texts = tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()
        if not texts or not isinstance(values, list) or len(texts) < len(values):
            raise LineRefused(f"{name} has to be a list of texts, with one at least")
        return texts

    def moment(self, name: str) -> datetime:
        try:
            return vault.parse_expiry(self.text(name))
        except ValueError:
            raise LineRefused(f"{name} has to be a time like 2026-04-01 10:15:20") from None

    def end_of_day(self, name: str) -> datetime:
        text = self.text(name, _DAY.fullmatch, "has to be a day like 2027-01-31")
        try:
            return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
        except (ValueError, OverflowError):
            raise LineRefused(f"{name} has to be a day like 2027-01-31") from None
