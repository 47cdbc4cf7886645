"""What an operator may keep as a filter of a list: which parameters, under which name, how much. Pure."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import urlencode

from installations.deception import one_line
from installations.errors import InvalidRequest
from installations.pasted import looks_like_credential
from installations.said import said

MOST: Final = 20  # of one operator, for one list
LONGEST_NAME: Final = 60
LONGEST: Final = 1000  # characters, as they stand in an address
_REFUSED: Final = said("What looks like a token or a key is not kept. Nothing was saved.")

Parameters: TypeAlias = dict[str, list[str]]


def sorted_out(given: Mapping[str, Sequence[str]], is_known: Callable[[str], bool]) -> tuple[Parameters, list[str]]:
    """Return the parameters that a list knows, in one order, and the names of the others. Empty ones choose nothing."""
    chosen = {name: [value for value in values if value] for name, values in sorted(given.items())}
    known = {name: values for name, values in chosen.items() if values and is_known(name)}
    return known, [name for name in chosen if not is_known(name)]


def checked_name(name: str) -> str:
    """Return the name without white space around it, in its composed spelling, so that two that look alike are one.

    Raises InvalidRequest for one that a reader could not tell.
    """
    cleaned = unicodedata.normalize("NFC", name.strip())
    if not cleaned:
        raise InvalidRequest(said("Give the filter a name."))
    if len(cleaned) > LONGEST_NAME:
        raise InvalidRequest(said("A name has at most %(longest_name)s characters.", longest_name=LONGEST_NAME))
    if one_line(cleaned) != cleaned:
        raise InvalidRequest(said("The name holds a character that cannot be seen, or that looks like another one."))
    if looks_like_credential(cleaned):
        raise InvalidRequest(_REFUSED)
    return cleaned


def check_parameters(parameters: Parameters) -> None:
    """Raise InvalidRequest for a filter that chooses nothing, is too long or may hold a token."""
    if not parameters:
        raise InvalidRequest(said("There is nothing to save: choose a filter or search first."))
    if may_hold_secret(parameters):
        raise InvalidRequest(_REFUSED)
    if len(as_query(parameters)) > LONGEST:
        raise InvalidRequest(
            said(
                "This filter is too long to be saved: it has more than %(longest)s characters.", longest=f"{LONGEST:,}"
            )
        )


def as_query(parameters: Parameters) -> str:
    """Return the parameters as they stand in an address."""
    return urlencode(parameters, doseq=True)


def may_hold_secret(parameters: Parameters) -> bool:
    """Return whether something in them looks like a token: then they stand in no row and in no address."""
    return any(looks_like_credential(text) for name, values in parameters.items() for text in (name, *values))
