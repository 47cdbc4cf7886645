"""`python -m tests.bench.callers NUMBER`: open a session for as many users of a made-up world, and print the tokens.

Of those who may call accounts, anywhere in it: what a call reads lies as far apart as it does in a real one.
"""

import secrets
import sys
from datetime import timedelta

import django


def main(number: int) -> None:
    django.setup()
    from django.db import connection
    from django.utils import timezone

    from installations.models import ApprovedPermission, Installation
    from tokens import selectors
    from tokens.models import EmbedSession, OAuthToken

    approved = ApprovedPermission.objects.in_force().filter(code="crm.accounts").values("installation")
    may_call = OAuthToken.objects.active().filter(
        installation__in=approved,
        installation__status=Installation.Status.ACTIVE,
        installation__locked_at=None,
        installation__portal__locked_at=None,
        portal_user__locked_at=None,
        portal_user__erased_at=None,
    )
    ends = timezone.now() + timedelta(hours=8)
    made = {secrets.token_urlsafe(32): token for token in may_call.order_by("?")[:number]}
    EmbedSession.objects.bulk_create(
        EmbedSession(token_hash=selectors.hash_session_token(session), oauth_token=token, expires_at=ends)
        for session, token in made.items()
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print("\n".join(made))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
