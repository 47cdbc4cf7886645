"""Verbs on the scope catalogue: save an entry, take an override back, import the operators' part as a whole.

Each writes the next edition with all of the operators' entries. It is in force from its commit on, in every worker;
one that covers more gives older approvals, purposes and API keys nothing: they keep what was said when they were given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db import transaction

from installations import audit, catalogue, editions
from installations.actors import Actor, clean_reason
from installations.catalogue import MAX_CATALOGUE_BYTES, MAX_ENTRIES, Catalogue, CatalogueEntry, CatalogueInvalid
from installations.catalogue_changes import EntryChange, Touched, changes, touched_by
from installations.errors import CatalogueNotTaken, StateConflict
from installations.models import CatalogueEdition
from installations.said import said
from installations.scopes import ANY
from installations.selectors import approvals_by_copy

PERMISSION = "installations.edit_catalogue"
_MOST_TOLD = 50  # changes in one audit event, and lines in each
_LINE_TOLD = 500
MAX_RULES_IN_ALL = 2000  # of the operators' entries: what an edit changes is worked out from all of them
MAX_ACTIONS = 50  # of one rule
MAX_NAME = 50  # of a module, model or action; each is named in what an edit changes


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit did, or would do."""

    catalogue: Catalogue  # as it is afterwards
    changes: Sequence[EntryChange]
    touched: Touched
    changed: bool = True  # False: the operators' part is as it was


def save_catalogue_entry(*, entry: CatalogueEntry, actor: Actor, reason: str, seen: int | None = None) -> Edit:
    """Let the entry stand in for the one of its code, or be one of its own. With the shipped words and rules it takes
    the override back. `seen` is the edition that the operator read.

    Raises NotPermitted, ReasonRequired, CatalogueNotTaken, StateConflict when another edition is in force.
    """
    return _save(_with(entry), "catalogue.entry_saved", entry.code, actor, reason, seen)


def remove_catalogue_override(*, code: str, actor: Actor, reason: str, seen: int | None = None) -> Edit:
    """Let the shipped entry of a code count again; a code that is not shipped is unknown from then on.

    Raises NotPermitted, ReasonRequired, StateConflict when another edition is in force.
    """
    return _save(_without(code), "catalogue.override_removed", code, actor, reason, seen)


def import_catalogue(*, document: str | bytes, actor: Actor, reason: str, seen: int | None = None) -> Edit:
    """Put the entries of a file in the place of all that operators had. What says the same as the shipped entry is
    left out, so that the whole catalogue, exported, can be imported as well. This mends a damaged edition too.

    Raises NotPermitted, ReasonRequired, CatalogueNotTaken, StateConflict when another edition is in force.
    """
    return _save(_only(document), "catalogue.imported", "", actor, reason, seen)


def preview_entry(entry: CatalogueEntry) -> Edit:
    """Return what saving the entry would do now. Three statements. Raises CatalogueNotTaken, StateConflict."""
    return _previewed(_with(entry))


def preview_removal(code: str) -> Edit:
    """Return what taking the override back would do now. Three statements. Raises StateConflict."""
    return _previewed(_without(code))


def preview_import(document: str | bytes) -> Edit:
    """Return what importing the file would do now. Three statements. Raises CatalogueNotTaken."""
    return _previewed(_only(document))


# --- Private steps ---------------------------------------------------------------------------------------------


class _Plan:
    """The operators' entries as they are to be, worked out from those that are in force."""

    def __init__(self, *, put: CatalogueEntry | None = None, drop: str = "", whole: Sequence[CatalogueEntry] | None):
        self._put, self._drop, self._whole = put, drop, whole

    def of(self, known: Catalogue) -> list[CatalogueEntry]:
        if self._whole is not None:
            wanted = list(self._whole)
        elif known.damage:
            raise StateConflict(
                said(
                    "Edition %(edition)s of the scope catalogue is damaged, so its entries are not known. Import the "
                    "operators' part as a whole: an export, or an older edition.",
                    edition=known.edition,
                )
            )
        else:
            codes = {self._drop, self._put.code if self._put else ""}
            wanted = [entry for entry in known.own if entry.code not in codes] + ([self._put] if self._put else [])
        shipped = catalogue.load()
        return [entry for entry in wanted if shipped.described(entry.code) != entry]


def _with(entry: CatalogueEntry) -> _Plan:
    try:
        return _Plan(put=catalogue.check_entry(entry), whole=None)
    except CatalogueInvalid as error:
        raise CatalogueNotTaken(str(error).removeprefix("scopes[0].")) from None


def _without(code: str) -> _Plan:
    return _Plan(drop=code, whole=None)


def _only(document: str | bytes) -> _Plan:
    try:
        return _Plan(whole=catalogue.parse_entries(document))
    except CatalogueInvalid as error:
        raise CatalogueNotTaken(str(error)) from None


def _previewed(plan: _Plan) -> Edit:
    known = editions.in_force()
    own = plan.of(known)
    return _edit(known, own, _document(own))


def _edit(known: Catalogue, own: Sequence[CatalogueEntry], document: bytes) -> Edit:
    if not known.damage and catalogue.written(known.own) == document:
        return Edit(known, (), Touched(), changed=False)
    after = catalogue.overlaid(catalogue.load(), own, known.edition + 1)
    found = changes(known, after)
    copies = approvals_by_copy([change.code for change in found])
    touched = sum((touched_by(change, copies.get(change.code, ())) for change in found), Touched())
    return Edit(after, found, touched)


def _document(own: Sequence[CatalogueEntry]) -> bytes:
    """Return what is stored of the operators' entries; raises CatalogueNotTaken where they are too many or too long.

    What is taken can be read back, and exported with the shipped entries it can be imported again. The limits of
    rules and names bind on the way in only: an edition that is stored stays readable, or every call would be denied.
    """
    whole = catalogue.overlaid(catalogue.load(), own, 0).entries
    if len(whole) > MAX_ENTRIES:
        raise CatalogueNotTaken(
            said("With the shipped ones there would be more than %(max_entries)s entries.", max_entries=MAX_ENTRIES)
        )
    if sum(len(entry.covers) for entry in own) > MAX_RULES_IN_ALL:
        raise CatalogueNotTaken(
            said(
                "The operators' entries would have more than %(max_rules_in_all)s rules in all.",
                max_rules_in_all=MAX_RULES_IN_ALL,
            )
        )
    for entry in own:
        names = [name for rule in entry.covers for name in (rule.module, rule.model, *rule.actions)]
        if any(len(name) > MAX_NAME for name in names):
            raise CatalogueNotTaken(
                said(
                    "%(code)s: a module, model or action has a name of more than %(max_name)s characters.",
                    code=entry.code,
                    max_name=MAX_NAME,
                )
            )
        if any(len(rule.actions) > MAX_ACTIONS for rule in entry.covers if rule.actions != ANY):
            raise CatalogueNotTaken(
                said(
                    "%(code)s: a rule names more than %(max_actions)s actions. None means all.",
                    code=entry.code,
                    max_actions=MAX_ACTIONS,
                )
            )
    if len(catalogue.exported(whole)) > MAX_CATALOGUE_BYTES:
        raise CatalogueNotTaken(
            said(
                "The whole catalogue, exported, would have more than %(max_catalogue_bytes)s bytes.",
                max_catalogue_bytes=MAX_CATALOGUE_BYTES,
            )
        )
    document = catalogue.written(own)
    catalogue.parse_entries(document)
    return document


def _save(plan: _Plan, verb: str, code: str, actor: Actor, reason: str, seen: int | None) -> Edit:
    actor.require(PERMISSION)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        known = editions.held_alone()
        if seen is not None and seen != known.edition:
            raise StateConflict(
                said(
                    "The scope catalogue was edited while you were reading it: edition %(edition)s is in force. Look "
                    "at it again.",
                    edition=known.edition,
                )
            )
        own = plan.of(known)
        document = _document(own)
        edit = _edit(known, own, document)
        if not edit.changed:
            return edit
        row = CatalogueEdition.objects.create(
            number=edit.catalogue.edition,
            document=document.decode(),
            sha256=sha256(document).hexdigest(),
            shipped=catalogue.load().version,
            saved_by=actor.name,
            reason=why,
        )
        audit.append(actor, audit.Event(verb, "catalogue", code or str(row.number), None, why, _told(edit, row)))
    return edit


def _told(edit: Edit, row: CatalogueEdition) -> dict[str, Any]:
    return {
        "edition": row.number,
        "sha256": row.sha256,
        "shipped": row.shipped,
        "changes": [
            {
                "code": change.code,
                "change": change.summary,
                "wider": [line[:_LINE_TOLD] for line in change.wider[:_MOST_TOLD]],
                "narrower": [line[:_LINE_TOLD] for line in change.narrower[:_MOST_TOLD]],
                "risks": list(change.risks),
            }
            for change in edit.changes[:_MOST_TOLD]
        ],
        "count": len(edit.changes),
        "approvals_reaching_less": edit.touched.less,
        "approvals_reaching_again": edit.touched.again,
    }
