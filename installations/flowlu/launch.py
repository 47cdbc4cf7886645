"""What a portal posts when it renders the application: hints for the page, and proof of nothing.

Flowlu documents which values come, but neither their names nor a signature, so the names are settings and a
value is never used to decide who somebody is.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_LONGEST: Mapping[str, int] = MappingProxyType(
    {"portal": 253, "language": 35, "app_id": 200, "app_version": 50, "integration_point": 200}
)


@dataclass(frozen=True, slots=True)
class Launch:
    """One rendering request, as claimed by whoever sent it; None where nothing usable came."""

    portal: str | None = None
    language: str | None = None
    app_id: str | None = None
    app_version: str | None = None
    integration_point: str | None = None


def read_launch(values: Mapping[str, str], names: Mapping[str, str]) -> Launch:
    """Pick the launch values by their configured names; empty, overlong and odd ones are dropped."""
    return Launch(
        **{field: _usable(values.get(names[field]), longest) for field, longest in _LONGEST.items() if field in names}
    )


def _usable(value: str | None, longest: int) -> str | None:
    if not value or len(value) > longest:
        return None
    # C*: control, format, surrogate, private and unassigned; Zl and Zp break lines.
    if any(unicodedata.category(character)[0] == "C" or character in "\u2028\u2029" for character in value):
        return None
    return value
