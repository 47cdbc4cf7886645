"""The risk that the second operator and an application's policy go by. Pure.

An operator who edits the catalogue says what the risk of a scope is, and every page shows that. Whether a second
operator is needed, and what a policy approves by itself, is not theirs alone to say: there, the calls that an entry
reaches count with the least risk under which the shipped catalogue reaches them, under whichever code.
"""

from functools import lru_cache

from installations.catalogue import RISKS, Catalogue, CatalogueEntry, Risk
from installations.reach import Reach
from installations.scopes import Level


def guarded_risk(entry: CatalogueEntry, level: Level, shipped: Catalogue) -> Risk:
    """Return the risk as the entry has it, or a higher one where the shipped catalogue calls what it reaches so.

    What the shipped one grants to nobody is of high risk.
    """
    said = entry.at(level).risk
    if entry is shipped.described(entry.code):
        return said
    reach = Reach.of(entry.covers, level)
    # At level full, reads count as they do at level read.
    for risk in RISKS[RISKS.index(said) : -1]:
        if not reach - _reached(shipped, level, risk) - _reached(shipped, Level.READ, risk):
            return risk
    return "high"


@lru_cache(maxsize=16)
def _reached(shipped: Catalogue, level: Level, risk: Risk) -> Reach:
    """Return the calls up to a level that some entry grants at no more than this risk."""
    most = RISKS.index(risk)
    entries = [entry for entry in shipped.entries if entry.enabled and RISKS.index(entry.at(level).risk) <= most]
    return Reach.of((rule for entry in entries for rule in entry.covers), level)
