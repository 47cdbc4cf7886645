"""Lower approved scopes of one installation from full to read."""

from typing import Any

from installations.management.operator_command import with_review
from installations.management.review_command import ReviewCommand
from installations.reviewing import lower_scopes


class Command(ReviewCommand):
    help = (
        "Lower approved scopes from full to read; it holds from the next call on. Needs the right to withdraw, and "
        "works where the manifest does not ask for the scope any more."
    )

    def review(self, **values: Any) -> str:
        result = lower_scopes(**values)
        return f"lowered to read {with_review(result.lowered) or 'nothing'}{self.unchanged(result, 'at read')}"
