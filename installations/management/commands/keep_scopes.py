"""Keep approved scopes of one installation until their next review."""

from typing import Any

from installations.management.operator_command import until
from installations.management.review_command import ReviewCommand
from installations.reviewing import keep_scopes


class Command(ReviewCommand):
    help = (
        "Keep approved scopes as they are until their next review, by the day that the risk of each gives. Nothing "
        "about what they allow changes."
    )

    def review(self, **values: Any) -> str:
        result = keep_scopes(**values)
        return f"kept {until(result.kept) or 'nothing anew'}{self.unchanged(result, 'decided about today')}"
