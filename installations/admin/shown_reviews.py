"""An approval under review in words: why it is looked at again, and what was made of it."""

from collections.abc import Collection, Iterator

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from installations import scopes
from installations.admin import counted
from installations.admin.display import badge, day_text, join
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
            late = counted.days((today - review_by).days)
            yield format_html(
                '{} <span class="quiet-note">{}</span>',
                badge(gettext("overdue"), "bad"),
                format_html(gettext("by {day}, {late} ago"), day=day_text(review_by), late=late),
            )
        elif line.is_due:
            yield badge(gettext("due today"), "wait")
        if line.proposal is not None:
            quiet = counted.days((today - quiet_since(line.life, line.proposal)).days)
            if line.proposal is Proposal.LOWER:
                words, then = gettext("only read for %(quiet)s") % {"quiet": quiet}, gettext("Proposed: lower to read.")
            else:
                words, then = gettext("not used in %(quiet)s") % {"quiet": quiet}, gettext("Proposed: withdraw.")
            yield format_html('{} <span class="quiet-note">{}</span>', badge(words, "wait"), then)
        if not line.waits:
            yield format_html(
                '<span class="quiet-note">{}</span>',
                format_html(gettext("next review by {day}"), day=day_text(review_by)),
            )

    @property
    def used(self) -> SafeString:
        """Return the evidence of use, in one sentence or two."""
        evidence, last = self.line.evidence, self.line.life.used_on
        calls = evidence.accepted + evidence.denied
        ever = (
            format_html(gettext("Last used on {day}."), day=day_text(last))
            if last
            else gettext("Nothing at this level.")
        )
        if not calls and last is None:
            return format_html("{}", gettext("No call is known."))
        if not calls:
            none = ngettext("No call in %(count)s day.", "No call in %(count)s days.", USE_DAYS) % {"count": USE_DAYS}
            return format_html('{} <span class="quiet-note">{}</span>', none, ever)
        users = counted.users(evidence.users)
        if self._may_view_purposes:
            purposes = ", ".join(purpose or gettext("the embedded page") for purpose in evidence.purposes)
            users = gettext("%(users)s; by %(purposes)s.") % {"users": users, "purposes": purposes}
        else:
            users = gettext("%(users)s.") % {"users": users}
        number = gettext("%(calls)s in %(days)s days") % {"calls": counted.calls(calls), "days": USE_DAYS}
        if evidence.denied:
            number = gettext("%(calls)s, %(denied)s denied by Flowlu") % {
                "calls": number,
                "denied": f"{evidence.denied:,}",
            }
        changed = (
            gettext("%(calls)s; %(changed)s changed something.") % {"calls": number, "changed": f"{evidence.changed:,}"}
            if evidence.changed
            else gettext("%(calls)s; none changed anything.") % {"calls": number}
        )
        return format_html('{} <span class="quiet-note">{} {}</span>', changed, visible(users), ever)
