"""What an application's policy approves by itself when it is first seen on a portal. Pure.

Flowlu's administrator of the portal has to approve what an application asks for when it is installed. A policy may
trust that for scopes up to a risk; whatever is beyond it waits for an operator.
"""

from collections.abc import Iterable
from typing import Final

from installations import scopes
from installations.catalogue import Catalogue
from installations.risks import guarded_risk
from installations.scopes import Scope

TRUSTED_RISKS: Final[dict[str, tuple[str, ...]]] = {
    "manual": (),
    "trust_low": ("low",),
    "trust_medium": ("low", "medium"),
    "trust_high": ("low", "medium", "high"),
}


def trusted_scopes(policy: str, requested: Iterable[str], known: Catalogue, shipped: Catalogue) -> list[Scope]:
    """Return what the policy approves of what is asked for, each as declared.

    Only what is effective in the request as a whole: where a module is asked for, its parts count with the module's
    level at Flowlu, and the policy approves no more than that. An edit of the catalogue makes it trust no call that
    the shipped one calls a higher risk.
    """
    risks = TRUSTED_RISKS[policy]
    found = []
    for code, level in scopes.normalise(known_scopes(requested, known)).items():
        entry = known.get(code)
        if entry is not None and guarded_risk(entry, level, shipped) in risks:
            found.append(Scope(code, level))
    return found


def known_scopes(requested: Iterable[str], known: Catalogue) -> list[Scope]:
    """Return what is asked for and could be approved, as declared."""
    named = [scope for text in requested if (scope := scopes.read(text))]
    return [scope for scope in named if known.get(scope.code) is not None]
