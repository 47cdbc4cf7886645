"""What can go wrong with a sealed value or a revocation. What a caller of the API sees is in `installations.errors`."""

from collections.abc import Sequence
from dataclasses import dataclass

from installations.errors import StateConflict


class UnsealFailed(Exception):
    """A stored value could not be unsealed.

    `reason` is one of malformed, unknown_version, unknown_key, tampered. The text holds no part of the value.
    """

    def __init__(self, reason: str, *, key_id: str | None = None) -> None:
        super().__init__(reason if key_id is None else f"{reason} (key {key_id!r})")
        self.reason = reason
        self.key_id = key_id


class NoTarget(StateConflict):
    """What was named is nothing that tokens could be revoked of."""

    public_message = "There is nothing of that name. Look for it again."


class NoPin(StateConflict):
    """What should say which tokens were looked at does not."""

    public_message = "It is not known which tokens you looked at. Look at what would be cut, and confirm that."


@dataclass(frozen=True, slots=True)
class SetChange:
    """How the tokens that a revocation would cut differ from those that were looked at."""

    before: int
    now: int
    added: Sequence[str]  # as `token #7 of user 3 of acme.flowlu.com`, the first ones
    added_count: int
    replaced_count: int  # took a new pair since
    gone: Sequence[str]
    gone_count: int

    def __str__(self) -> str:
        parts = []
        if self.added_count:
            parts.append(f"{self.added_count:,} came ({_some(self.added, self.added_count)})")
        if self.gone_count:
            parts.append(f"{self.gone_count:,} went ({_some(self.gone, self.gone_count)})")
        if self.replaced_count:
            parts.append(f"{self.replaced_count:,} took a new pair")
        return f"Then {self.before:,}, now {self.now:,}: {', '.join(parts) or 'others than before'}."


class SetChanged(StateConflict):
    """What would be cut is no longer what was looked at. Nothing was cut."""

    def __init__(self, change: SetChange) -> None:
        super().__init__(
            f"Nothing was cut: the tokens changed since you looked. {change} Look at what would be cut now and confirm."
        )
        self.change = change


def _some(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names)
    return f"{shown} and {count - len(names):,} more" if names and count > len(names) else shown or "by now cut"
