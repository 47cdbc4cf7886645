"""What each word means here: the one source of the console's explanations, of its glossary and of docs/glossary.md.

A meaning is read by whoever decides something on the page where the word stands, so it is one sentence or two. What
stands between backticks is code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class UnknownTermError(LookupError):
    """No term of the glossary goes by this key."""


@dataclass(frozen=True, slots=True)
class Term:
    """One entry. `headings` are the words that the console puts over what this explains, in small letters: those
    that mean nothing else on any page.

    What only commands and documents speak of is explained by them, and on the page of the glossary.
    """

    word: Promise
    meaning: Promise
    headings: tuple[Promise, ...] = ()
    in_console: bool = True


TERMS: Final[Mapping[str, Term]] = {
    "portal": Term(
        _("portal"),
        _("A Flowlu customer workspace, addressed by its domain."),
        (_("portals"),),
    ),
    "application": Term(
        _("application"),
        _("What a manifest's `appId` names; the OAuth client (RFC 6749 §1.1)."),
        (_("applications"),),
    ),
    "manifest": Term(
        _("manifest"),
        _("The document in which an application says what it is and asks for; known by its content hash."),
        (_("manifests"), _("current manifest"), _("manifests of this installation")),
    ),
    "installation": Term(
        _("installation"),
        _("An application on a portal, in one generation; `pending_approval`, `active`, `suspended` or `uninstalled`."),
        (_("installations"), _("live installations")),
    ),
    "generation": Term(
        _("generation"),
        _("A reinstall makes the next one; nothing of an older generation can do anything."),
        (_("generation"), _("other generations")),
    ),
    "integration-point": Term(
        _("integration point"),
        _("Where in the portal the application's page appears."),
        (_("integration point"),),
    ),
    "launch": Term(
        _("launch"),
        _("One rendering of that page in a portal; the values that come with it are hints and prove nothing."),
    ),
    "scope": Term(
        _("scope"),
        _("A code with an optional level, like `crm.accounts.read`; `read` when no level is written."),
        (_("scope"), _("scopes")),
    ),
    "requested-scopes": Term(
        _("requested scopes"),
        _("What the manifest asks for. Nothing of it is let through before it is approved."),
        (_("requested scopes"),),
    ),
    "approved-permission": Term(
        _("approved permission"),
        _("One scope approved for an installation, with who, when, why and what it covered then."),
        (_("approved permissions"),),
    ),
    "effective-scopes": Term(
        _("effective scopes"),
        _("What the approved ones add up to after swallowing, locks and status: what calls are let through by."),
    ),
    "used": Term(
        _("use (of a scope)"),
        _(
            "A call that was sent under it, counted by day at the level that the call needed: accepted when Flowlu "
            "carried it out, denied when Flowlu refused it for this user. A call that failed otherwise counts for "
            "neither."
        ),
    ),
    "swallow": Term(
        _("swallow"),
        _("A module scope takes the place of its parts, with its own level."),
    ),
    "withdraw": Term(
        _("withdraw"),
        _("Take an approval back: calls that need it are refused from then on, and the tokens stay."),
    ),
    "needs-re-approval": Term(
        _("needs re-approval"),
        _("The current manifest asks for more than the one that was decided about; what is approved goes on."),
    ),
    "approval-policy": Term(
        _("approval policy"),
        _(
            "Whether an application's scopes are approved by operators only, or up to a risk by trust in the portal's "
            "administrator, when an installation is first seen."
        ),
        (_("approval"), _("approval policy")),
    ),
    "four-eyes": Term(
        _("four eyes"),
        _("An approval that one operator asks for and another confirms."),
        (_("approval requests"),),
    ),
    "break-glass": Term(
        _("break-glass"),
        _("An approval of high risk by one operator alone; another one looks at it later."),
        (_("break-glass approvals"),),
    ),
    "risk": Term(
        _("risk"),
        _("`low`, `medium` or `high`: what somebody could do with a scope, as the scope catalogue says."),
        (_("risk"),),
    ),
    "scope-catalogue": Term(
        _("scope catalogue"),
        _("What each code covers, means and risks: the shipped file with the operators' entries laid over it."),
    ),
    "edition": Term(
        _("edition"),
        _("The operators' entries of the scope catalogue as of one edit, all of them; the newest is in force."),
        (_("edition"), _("latest editions"), _("editions of the scope catalogue")),
    ),
    "wider": Term(
        _("wider, narrower (of an entry)"),
        _("It covers a call that it did not, or no longer one that it did."),
        (_("wider"),),
    ),
    "review": Term(
        _("review"),
        _("Looking at an approval again, by its day: keep, lower or withdraw. Due on that day, overdue after it."),
        (_("reviews"), _("review by"), _("last review")),
    ),
    "keep": Term(
        _("keep"),
        _("A review that changes nothing but the day of the next one."),
    ),
    "lower": Term(
        _("lower"),
        _("Leave the part at read of an approval at full; never a new approval."),
    ),
    "proposal": Term(
        _("proposal"),
        _(
            "To lower or withdraw what nobody uses; derived from the counts of use, never stored, gone with the next "
            "call."
        ),
    ),
    "operator": Term(
        _("operator"),
        _("The vendor's staff, who signs in to the console."),
        (_("operators"),),
    ),
    "invitation": Term(
        _("invitation"),
        _(
            "What lets one person make themselves one operator's account, once and for a while; `waiting`, `accepted`, "
            "`withdrawn` or `expired`."
        ),
        (_("invitations"),),
    ),
    "company-account": Term(
        _("company account"),
        _(
            "An operator's account at the company's OpenID provider, known by issuer and `sub`; linked to one operator "
            "here."
        ),
        (_("company account"),),
    ),
    "portal-administrator": Term(
        _("portal administrator"),
        _("Approves an installation at Flowlu; has no rights here."),
        (_("role at the portal"), _("role"), _("the portal administrator's step"), _("step at the portal")),
    ),
    "portal-user": Term(
        _("portal user"),
        _("The person a token acts for (resource owner, RFC 6749 §1.1)."),
        (_("portal users"),),
    ),
    "embed-session": Term(
        _("embed session"),
        _("The portal user's session in the iframe, sent as `X-Session-Token`."),
        (_("embed sessions"),),
    ),
    "token": Term(
        _("access token, refresh token"),
        _("A portal user's OAuth pair; here we are the client and never issue one."),
        (_("tokens"), _("refresh tokens")),
    ),
    "api-key": Term(
        _("API key"),
        _("A portal's key without a user; used for declared purposes only, never by the embedded API."),
        (_("api keys"),),
    ),
    "seal": Term(
        _("seal, unseal, rewrap"),
        _("Encrypt at rest for one row and column, the reverse, and the same again under the newest key."),
        (_("sealed under key"),),
    ),
    "key-ring": Term(
        _("key ring"),
        _("The keys of one setting, newest first: the first writes, all read."),
        in_console=False,
    ),
    "key-fingerprint": Term(
        _("key fingerprint"),
        _("Eight hex digits that tell one key from another and nothing of either; not the fingerprint of a token."),
        in_console=False,
    ),
    "fingerprint": Term(
        _("fingerprint"),
        _("A keyed hash of a token; its first eight digits are all that people see."),
        (_("fingerprint"), _("fingerprint (first 8 digits of a keyed hash)")),
    ),
    "lineage": Term(
        _("lineage"),
        _("The row a session lives on through its refreshed pairs."),
        (_("lives on"),),
    ),
    "stale": Term(
        _("stale"),
        _("Flowlu no longer takes the stored token; a fresh one may be handed over."),
        (_("stale since"),),
    ),
    "unproven": Term(
        _("unproven"),
        _("A refreshed pair that Flowlu has yet to name the user of; not used until then."),
    ),
    "refresh-attempt": Term(
        _("refresh attempt"),
        _(
            "One redemption of a refresh token by this service; `started`, `fresh`, `permanent`, `transient`, "
            "`unknown` or `discarded`."
        ),
        (_("refresh attempts"),),
    ),
    "revoke": Term(
        _("revoke"),
        _("Stop using now, wipe, keep a tombstone (RFC 7009); final."),
        (_("revocations"),),
    ),
    "target": Term(
        _("target"),
        _(
            "What a revocation is aimed at: a token, user, installation, portal, application, time or list of "
            "fingerprints."
        ),
        (_("what was aimed at"),),
    ),
    "pin": Term(
        _("pin"),
        _(
            "Which tokens somebody looked at, whatever pair each has now; a revocation that carries it cuts exactly "
            "these or nothing."
        ),
        in_console=False,
    ),
    "proof": Term(
        _("proof"),
        _(
            "The first call that was refused because of a revocation, or a probe: the statement of a call, asked after "
            "the commit."
        ),
        (_("proof"),),
    ),
    "drill": Term(
        _("drill"),
        _("A revocation that does every step, measures it and takes it back."),
    ),
    "upstream-revocation": Term(
        _("upstream revocation"),
        _("A revoked pair that Flowlu is told to take back; `pending`, `confirmed`, `irrevocable` or `closed`."),
        (_("upstream revocations"),),
    ),
    "sweep": Term(
        _("sweep"),
        _("One run of the periodic jobs."),
    ),
    "lock": Term(
        _("lock"),
        _("One switch that stops all use of a portal, application, installation or portal user."),
        (_("lock"), _("locks"), _("locked since")),
    ),
    "evidence": Term(
        _("evidence"),
        _(
            "An observation that tells whether an installation lives: a launch, a hand-over, an accepted or refused "
            "call, a probe, an operator's statement."
        ),
        (_("evidence"),),
    ),
    "sign-of-life": Term(
        _("sign of life"),
        _("Evidence that an installation is there: use of it, an accepted probe, an operator's word."),
    ),
    "liveness": Term(
        _("liveness, verdict"),
        _(
            "What the evidence says: seen (opened, no call accepted lately), active, quiet (no use for some time), "
            "suspected removed, confirmed removed (an operator's statement); with a confidence and why. Not the status."
        ),
        (_("liveness"), _("still there?")),
    ),
    "probe": Term(
        _("probe (of an installation)"),
        _("A call of the sweep that asks Flowlu whether it still takes a token, for the purpose `liveness`."),
    ),
    "audit-trail": Term(
        _("audit trail, event"),
        _("What was done, by whom, to what and why; each event carries a keyed hash of itself and of the one before."),
        (_("audit events"),),
    ),
    "anchor": Term(
        _("anchor"),
        _("The signed head of the audit trail, kept where the database's owner cannot write."),
    ),
    "checkpoint": Term(
        _("checkpoint"),
        _("A signed row that stands for a removed and archived beginning of the audit trail."),
        in_console=False,
    ),
    "erase": Term(
        _("erase"),
        _("Remove a portal user's name and cut what is stored of theirs; the id and the trail stay."),
        (_("erased"),),
    ),
    "refused-attempt": Term(
        _("refused attempt"),
        _("An act, action or command that an operator sent without the permission."),
    ),
    "origin": Term(
        _("origin"),
        _(
            "Scheme, host and port of a page, as a browser sends it with `Origin` (RFC 6454); an application allows "
            "some beside our own."
        ),
        (_("allowed origins"),),
    ),
    "purpose": Term(
        _("purpose"),
        _(
            "A declared reason for which backend code may use a credential: with which scopes, as a user or as the "
            "system."
        ),
        (_("purpose"), _("purposes")),
    ),
    "service-client": Term(
        _("service client"),
        _(
            "A backend service of the vendor with a key of its own (`fls_…`), bound to purposes, applications and "
            "portals."
        ),
        (_("service clients"), _("client")),
    ),
    "service-call": Term(
        _("service call"),
        _("One call that backend code made or tried to make; a row with who, for what, as whom and what came of it."),
        (_("service calls"),),
    ),
    "act-as": Term(
        _("act as"),
        _("Make a call in a portal user's name, with their token, or as the system, with an API key."),
        (_("acts as"), _("acted as"), _("may act for")),
    ),
}


def term(key: str) -> Term:
    """Return the term of a key, or raise `UnknownTermError`."""
    try:
        return TERMS[key]
    except KeyError as error:
        raise UnknownTermError(key) from error


def key_of_heading(heading: object) -> str | None:
    """Return the key of the term that a heading is about, in the language that it is written in, or None."""
    wanted = str(heading).strip().casefold()
    for key, entry in TERMS.items():
        if any(str(each).casefold() == wanted for each in entry.headings):
            return key
    return None
