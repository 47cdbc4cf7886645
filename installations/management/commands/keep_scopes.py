"""Keep approved scopes of one installation as they are, as reviewed."""

from typing import Any

from installations.management.operator_command import with_review
from installations.management.review_command import ReviewCommand
from installations.reviewing import keep_scopes


class Command(ReviewCommand):
    help = (
        "Keep approved scopes as they are, as reviewed; the next review is due by the day that the risk of each "
        "gives. Nothing about what they allow changes."
    )

    def review(self, **values: Any) -> str:
        result = keep_scopes(**values)
        return f"kept {with_review(result.kept) or 'nothing anew'}{self.unchanged(result, 'decided about today')}"
