"""Say which keys there are, what lies under each, and what is missing."""

from typing import Any

from django.core.management.base import CommandError

from installations.keys import FINGERPRINT_SHOWN, KeyRingError
from installations.management.output import VisibleCommand
from tokens.key_report import KeyLine, Ring, RingReport, Standing, report
from tokens.services.keys import record_keys

_ABOUT = {
    Ring.TOKEN_KEYS: "seals tokens, API keys, second factors and operators' sessions",
    Ring.FINGERPRINT_KEY: "finds tokens and API keys again, and refuses revoked ones",
    Ring.AUDIT_KEY: "chains the audit trail",
}
_WORDS = {
    Standing.NEWEST: "newest",
    Standing.OLD: "old",
    Standing.UNUSED: "unused",
    Standing.MISSING: "MISSING",
    Standing.WRONG: "WRONG KEY",
}


class Command(VisibleCommand):
    help = (
        "Show every key's id, its own fingerprint (8 hex digits that tell nothing of the key) and the rows under it. "
        "Exit code 1 when rows need a key that the rings lack, or hold another key under its id."
    )
    requires_migrations_checks = True

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            record_keys()
            rings = report()
        except KeyRingError as error:
            raise CommandError(f"A key ring is not usable. {error}") from None
        for ring in rings:
            self.say(f"{ring.ring}  {_ABOUT[Ring(ring.ring)]}")
            for line in ring.keys:
                self._say_key(line)
                for advice in _advice(ring, line):
                    self.say(f"      {advice}")
        bad = [
            f"{line.key_id!r} of {ring.ring}"
            for ring in rings
            for line in ring.keys
            if line.standing in {Standing.MISSING, Standing.WRONG}
        ]
        if bad:
            raise CommandError(f"Not in order: {', '.join(bad)}. What lies under them is lost until they are back.")
        old = sum(sum(line.moves.values()) for ring in rings for line in ring.keys if line.standing is Standing.OLD)
        self.say("every key that rows need is there" + ("; rewrap_tokens has work to do" if old else ""))

    def _say_key(self, line: KeyLine) -> None:
        kinds = [f"{rows} {kind}" for kind, rows in (line.moves | line.stays).items()]
        shown = line.shown_fingerprint or "?" * FINGERPRINT_SHOWN
        self.say(f"  {line.key_id:<16} {shown}  {_WORDS[line.standing]:<9}  {', '.join(kinds) or 'nothing'}")


def _advice(ring: RingReport, line: KeyLine) -> list[str]:
    if line.standing is Standing.MISSING:
        known = f" with the fingerprint {line.shown_fingerprint}" if line.recorded else ""
        return [f"Put the key {line.key_id!r}{known} back into {ring.ring}, behind the newest one."]
    if line.standing is Standing.WRONG:
        needed = " or ".join(digest[:FINGERPRINT_SHOWN] for digest in line.recorded)
        which = f"they need the one with the fingerprint {needed}" if needed else "none of those tried opens with it"
        return [f"This is not the key that these rows were written with: {which}."]
    if line.standing is Standing.UNUSED:
        return [f"Nothing needs it: a staged key, or one to take out of {ring.ring}."]
    if line.standing is Standing.OLD:
        moves = ["rewrap_tokens moves what it can to the newest key."] if line.moves else []
        stays = [f"Keep it in {ring.ring}: these rows cannot be written anew."] if line.stays else []
        return moves + stays
    return []
