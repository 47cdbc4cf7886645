"""What operators can be told of: who may see it, whom it concerns, and how they are told unless they chose. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from installations.said import said, said_of

May = Callable[[str], bool]  # whether somebody has a permission


class How(StrEnum):
    OFF = "off"
    AT_ONCE = "at_once"
    DAILY = "daily"


class Kind(StrEnum):
    FOUR_EYES = "four_eyes"
    BREAK_GLASS = "break_glass"
    WAITS = "waits"
    ESCALATION = "escalation"
    REVIEW_DUE = "review_due"
    SUSPECTED = "suspected"
    BULK_REVOCATION = "bulk_revocation"
    UNDECRYPTABLE = "undecryptable"
    AUDIT_FAILED = "audit_failed"
    KEY_MISSING = "key_missing"
    TEST = "test"


_LOUDNESS: Final = {How.OFF: 0, How.DAILY: 1, How.AT_ONCE: 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind is told. Who lacks one of `sees` never is; who lacks `concerns`, only when they choose."""

    one: str
    many: str  # with %(count)s
    label: str  # above the choice how to be told
    about: str
    sees: tuple[str, ...]
    concerns: str
    default: How
    urgent: bool = False  # waits for no pause between two messages

    def title(self, count: int) -> str:
        return said_of(self.one, self.many, count)


_SEES_INSTALLATIONS: Final = ("installations.view_installation",)
_APPROVES: Final = "installations.approve_scopes"
_TRAIL: Final = "installations.view_auditevent"

RULES: Final[dict[Kind, Rule]] = {
    Kind.FOUR_EYES: Rule(
        said("An approval was asked for that needs a second operator"),
        said("%(count)s approvals were asked for that need a second operator"),
        said("Approvals were asked for that need a second operator"),
        said("Another operator asked for an approval. Whoever asked is not told."),
        ("installations.view_approvalrequest",),
        _APPROVES,
        How.AT_ONCE,
    ),
    Kind.BREAK_GLASS: Rule(
        said("An approval of high risk was made by one operator alone"),
        said("%(count)s approvals of high risk were made by one operator alone"),
        said("Approvals of high risk were made by one operator alone"),
        said("Somebody broke the glass. Whoever did is told as well."),
        ("installations.view_breakglass",),
        _TRAIL,
        How.AT_ONCE,
        urgent=True,
    ),
    Kind.WAITS: Rule(
        said("An installation began to wait for a decision"),
        said("%(count)s installations began to wait for a decision"),
        said("Installations began to wait for a decision"),
        said(
            "It was seen for the first time, or again after it was uninstalled, and its scopes are not all decided "
            "about."
        ),
        _SEES_INSTALLATIONS,
        _APPROVES,
        How.DAILY,
    ),
    Kind.ESCALATION: Rule(
        said("An application asks for more than was decided about"),
        said("%(count)s applications ask for more than was decided about"),
        said("Applications ask for more than was decided about"),
        said("A manifest was imported, and installations need a decision about more scopes."),
        _SEES_INSTALLATIONS,
        _APPROVES,
        How.DAILY,
    ),
    Kind.REVIEW_DUE: Rule(
        said("An approval came due for review"),
        said("%(count)s approvals came due for review"),
        said("Approvals came due for review"),
        said("The day came by which they are to be looked at again."),
        (*_SEES_INSTALLATIONS, "installations.view_approvedpermission"),
        _APPROVES,
        How.DAILY,
    ),
    Kind.SUSPECTED: Rule(
        said("An installation is suspected to be removed"),
        said("%(count)s installations are suspected to be removed"),
        said("Installations are suspected to be removed"),
        said("Flowlu refused their tokens, or their portal was not reached."),
        _SEES_INSTALLATIONS,
        "installations.uninstall_installation",
        How.DAILY,
    ),
    Kind.BULK_REVOCATION: Rule(
        said("A revocation of more than one user's tokens is done"),
        said("%(count)s revocations of more than one user's tokens are done"),
        said("Revocations of more than one user's tokens are done"),
        said("All tokens of an installation, a portal or an application were cut, or those that were found leaked."),
        ("tokens.view_revocation",),
        "tokens.revoke_oauthtoken",
        How.DAILY,
    ),
    Kind.UNDECRYPTABLE: Rule(
        said("Stored tokens began to fail to unseal"),
        said("Stored tokens began to fail to unseal"),
        said("Stored tokens began to fail to unseal"),
        said("A key is missing or rows were damaged. Told when it begins, and again after a day without one."),
        (_TRAIL,),
        _TRAIL,
        How.AT_ONCE,
        urgent=True,
    ),
    Kind.AUDIT_FAILED: Rule(
        said("The audit trail does not verify"),
        said("The audit trail does not verify"),
        said("The audit trail does not verify"),
        said("A verification found something, or the trail became shorter. Told when it begins."),
        (_TRAIL,),
        _TRAIL,
        How.AT_ONCE,
        urgent=True,
    ),
    Kind.KEY_MISSING: Rule(
        said("A key that rows need is missing, or is another one"),
        said("%(count)s keys that rows need are missing, or are others"),
        said("Keys that rows need are missing, or are others"),
        said("Told when it begins. Until it is mended, what lies under the key cannot be read."),
        (_TRAIL,),
        _TRAIL,
        How.AT_ONCE,
        urgent=True,
    ),
    Kind.TEST: Rule(
        said("A test that you asked for"),
        said("%(count)s tests that you asked for"),
        said("Tests that you asked for"),
        "",
        (),
        "",
        How.AT_ONCE,
    ),
}
CHOSEN: Final[tuple[Kind, ...]] = tuple(kind for kind in Kind if kind is not Kind.TEST)


def may_see(kind: Kind, may: May) -> bool:
    return all(map(may, RULES[kind].sees))


def default_for(kind: Kind, may: May) -> How:
    """Return how somebody is told who did not choose."""
    rule = RULES[kind]
    return rule.default if not rule.concerns or may(rule.concerns) else How.OFF


def how_told(kind: Kind, may: May, chosen: Mapping[str, str]) -> How:
    """Return how somebody is told of a kind: never of what they may not see."""
    if not may_see(kind, may):
        return How.OFF
    return How(chosen[kind]) if kind in chosen else default_for(kind, may)


def is_silenced(kind: Kind, before: How, after: How) -> bool:
    """Return whether somebody would hear later, or no more, of what is urgent."""
    return RULES[kind].urgent and _LOUDNESS[after] < _LOUDNESS[before]
