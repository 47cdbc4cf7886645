"""Write everything that is sealed under an old key anew under the newest."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from installations.actors import Actor
from installations.keys import KeyRingError
from installations.management.operator_command import OperatorCommand, plural
from tokens.sealed_rows import LeftAlone
from tokens.services.keys import BATCH, rewrap_tokens, rows_to_rewrap

_SHOWN = 50


class Command(OperatorCommand):
    help = (
        "Seal tokens, API keys, second factors and operators' sessions anew under the newest of TOKEN_KEYS, and make "
        "their fingerprints anew under the newest FINGERPRINT_KEY. Safe while the service runs, once every process has "
        "the new key in its ring; may be stopped at any time and run again. Exit code 1 unless it is complete."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="unseal everything, write nothing")
        parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help=f"rows in one transaction ({BATCH})")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        if options["batch"] < 1:
            raise CommandError("--batch must be at least 1.")
        # Refused before anything is counted.
        actor.require("tokens.rewrap_tokens")
        told = 0
        try:
            with tqdm(
                total=rows_to_rewrap(), unit=" rows", desc="Rewrapping", file=sys.stderr, disable=None, leave=False
            ) as bar:

                def tell(row: LeftAlone) -> None:
                    nonlocal told
                    told += 1
                    if told <= _SHOWN:
                        with tqdm.external_write_mode(file=sys.stderr):
                            self.note(f"{row.row} was left alone: {row.why}")

                result = rewrap_tokens(
                    actor=actor,
                    reason=options["reason"],
                    batch_size=options["batch"],
                    dry_run=options["dry_run"],
                    on_progress=lambda rows: _advance(bar, rows),
                    on_left_alone=tell,
                )
        except KeyRingError as error:
            raise CommandError(f"A key ring is not usable. {error}") from None
        if told > _SHOWN:
            self.note(f"and {told - _SHOWN} more")
        done = plural(result.rewrapped, "row", "rows")
        alone = f"; {plural(result.left_alone, 'row', 'rows')} left alone" if result.left_alone else ""
        if options["dry_run"]:
            if result.left_alone:
                raise CommandError(f"{done} would be rewrapped{alone}. Nothing was written.")
            return f"{done} would be rewrapped. Nothing was written."
        if not result.is_complete:
            raise CommandError(
                f"NOT complete: {plural(result.remaining, 'row is', 'rows are')} still under an old key{alone} "
                f"({done} rewrapped). Keep the old keys. Run it again; when the number stays, some process still has "
                "another newest key, or the rows named above need somebody: revoking such a token wipes it."
            )
        return f"complete: {done} rewrapped, none is left under an old key. key_status says which keys are not needed."


def _advance(bar: Any, rows: int) -> None:
    bar.update(rows)
