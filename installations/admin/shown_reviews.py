"""An approval under review in words: why it is looked at again, and what was made of it."""

from collections.abc import Collection, Iterator

from django.utils.html import format_html
from django.utils.safestring import SafeString

from installations import scopes
from installations.admin.display import badge, day_text, join, plural
from installations.admin.text import visible
from installations.four_columns import USE_DAYS, utc_today
from installations.review_rules import Proposal, quiet_since
from installations.reviews import ReviewLine


class ShownReview:
    """A line of the queue in words, for an operator who may or may not see purposes."""

    def __init__(self, line: ReviewLine, beside: Collection[str] = (), *, may_view_purposes: bool) -> None:
        self.line, self._may_view_purposes = line, may_view_purposes
        self.swallowed_by = scopes.swallowed_by(line.approval.code, beside)

    @property
    def why(self) -> SafeString:
        return join(self._whys())

    def _whys(self) -> Iterator[SafeString]:
        line, today = self.line, utc_today()
        review_by = line.approval.review_by or today
        if line.is_overdue:
            late = plural((today - review_by).days, "day")
            yield format_html(
                '{} <span class="quiet-note">by {}, {} ago</span>', badge("overdue", "bad"), day_text(review_by), late
            )
        elif line.is_due:
            yield badge("due today", "wait")
        if line.proposal is not None:
            quiet = plural((today - quiet_since(line.life, line.proposal)).days, "day")
            if line.proposal is Proposal.LOWER:
                words, then = f"only read for {quiet}", "Proposed: lower to read."
            else:
                words, then = f"not used in {quiet}", "Proposed: withdraw."
            yield format_html('{} <span class="quiet-note">{}</span>', badge(words, "wait"), then)
        if not line.waits:
            yield format_html('<span class="quiet-note">next review by {}</span>', day_text(review_by))

    @property
    def used(self) -> SafeString:
        """Return the evidence of use, in one sentence or two."""
        evidence, last = self.line.evidence, self.line.life.used_on
        calls = evidence.accepted + evidence.denied
        ever = format_html("Last used on {}.", day_text(last)) if last else "Nothing at this level."
        if not calls and last is None:
            return format_html("{}", "No call is known.")
        if not calls:
            return format_html('No call in {} days. <span class="quiet-note">{}</span>', USE_DAYS, ever)
        parts = [plural(evidence.users, "user")]
        if self._may_view_purposes:
            parts.append("by " + ", ".join(purpose or "the embedded page" for purpose in evidence.purposes))
        denied = f", {evidence.denied:,} denied by Flowlu" if evidence.denied else ""
        changed = f"{evidence.changed:,} changed something" if evidence.changed else "none changed anything"
        return format_html(
            '{} in {} days{}; {}. <span class="quiet-note">{}. {}</span>',
            plural(calls, "call"), USE_DAYS, denied, changed, visible("; ".join(parts)), ever,
        )  # fmt: skip
