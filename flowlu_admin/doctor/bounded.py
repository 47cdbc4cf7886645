"""Looks at the deployment, each bounded in time: what fails or hangs stops no other one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Thread
from typing import Final

from django.db import DEFAULT_DB_ALIAS, connections

from flowlu_admin.doctor.findings import Finding, Level
from installations.statement_bound import bounded_statements

SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Check:
    """One look. `asks_database` says that it is left out where an earlier one showed that it would be in vain.

    `gate` is what an error of this one means for the later ones that ask the database.
    """

    name: str
    look: Callable[[], Iterable[Finding]]
    asks_database: bool = False
    gate: str = ""
    seconds: float = SECONDS


def look_at_all(checks: Iterable[Check]) -> Iterator[Finding]:
    """Give what each check finds, in order, at least one line for each."""
    in_vain = ""
    for check in checks:
        if check.asks_database and in_vain:
            yield Finding(Level.NOTE, f"not looked at: {in_vain}", check=check.name)
            continue
        found, ended = _look(check)
        if check.asks_database and not ended:
            in_vain = "a look that hangs may hold the connection"  # which is one for all
        elif check.gate and any(finding.level is Level.ERROR for finding in found):
            in_vain = check.gate
        yield from found


def _look(check: Check) -> tuple[list[Finding], bool]:
    """Return what a check finds, and whether it ended in time. It has a thread to itself, which may be left behind."""
    found: list[Finding] = []
    shared = connections[DEFAULT_DB_ALIAS]

    def look() -> None:
        # The connection of who asked: another one would be one more to open, and to wait for.
        connections[DEFAULT_DB_ALIAS] = shared
        try:
            if check.asks_database and not check.gate:
                with bounded_statements():
                    found.extend(check.look())
            else:
                found.extend(check.look())
        except Exception as error:  # the boundary of one check: whatever it is, the others go on
            # Not its text, which may hold an address or what is inside of one.
            found.append(Finding(Level.ERROR, f"failed: {type(error).__name__}", "look at it by hand"))

    shared.inc_thread_sharing()
    thread = Thread(target=look, name=f"doctor {check.name}", daemon=True)
    thread.start()
    thread.join(check.seconds)
    ended = not thread.is_alive()
    if ended:
        shared.dec_thread_sharing()
    else:
        found.append(Finding(Level.ERROR, f"no answer within {check.seconds:g} seconds", "look at it by hand"))
    return [replace(each, check=check.name) for each in found or [Finding(Level.OK, "nothing found")]], ended
