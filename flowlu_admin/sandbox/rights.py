"""Which approved scope covers a call: the sandbox's own reading of the documentation, shared with no application.

Kept apart from the service's scope algebra on purpose: two readings that agree are worth more than one.
"""

from collections.abc import Iterable

READ_ACTIONS = frozenset({"list", "get"})

# Scopes that cover only some models of a module. Every other code covers the module that it names.
_PARTS: dict[str, tuple[str, frozenset[str]]] = {
    "crm.accounts": ("crm", frozenset({"account", "account_category", "industry", "honorific_title"})),
    "crm.deals": (
        "crm",
        frozenset({"lead", "lead_accounts", "pipeline", "pipeline_stage", "source", "loss_reason"}),
    ),
    "users": ("core", frozenset({"user"})),
}
_MODULE_SCOPES = frozenset(
    {
        "agile",
        "calendar",
        "company",
        "crm",
        "customfields",
        "fin",
        "knowledgebase",
        "products",
        "st",
        "task",
        "telephony",
        "timetracker",
    }
)


def covers(scopes: Iterable[str], module: str, model: str, action: str) -> bool:
    """Say whether the approved scopes cover the call; a module's own scope swallows its parts."""
    levels: dict[str, bool] = {}
    for scope in scopes:
        code, is_full = _parse(scope)
        levels[code] = levels.get(code, False) or is_full
    reads = action in READ_ACTIONS
    if module in _MODULE_SCOPES and module in levels:
        return reads or levels[module]
    return any(
        reads or is_full
        for code, is_full in levels.items()
        if code in _PARTS and _PARTS[code][0] == module and model in _PARTS[code][1]
    )


def _parse(scope: str) -> tuple[str, bool]:
    code, _, last = scope.rpartition(".")
    if code and last in ("read", "full"):
        return code, last == "full"
    return scope, False
