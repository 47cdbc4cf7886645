"""`python -m tests.chaos.crowd PORTAL NUMBER`: store open sessions, ten of each user, and print their tokens."""

import secrets
import sys
from datetime import timedelta

import django

_BATCH, _EACH = 5_000, 10


def main(portal: str, number: int) -> None:
    from django.utils import timezone

    from installations.models import Installation, PortalUser
    from tokens import selectors, vault
    from tokens.models import EmbedSession, OAuthToken

    here = Installation.objects.select_related("portal").get(portal__domain=portal)
    ends = timezone.now() + timedelta(hours=8)
    for start in range(0, number, _BATCH):
        count = min(_BATCH, number - start)
        users = PortalUser.objects.bulk_create(
            PortalUser(portal=here.portal, flowlu_user_id=str(10**6 + start + each), name="One of many")
            for each in range(-(-count // _EACH))
        )
        tokens = [OAuthToken(installation=here, portal_user=users[each // _EACH]) for each in range(count)]
        for token in tokens:
            vault.seal_into(token, secrets.token_urlsafe(32), None)
        made = [secrets.token_urlsafe(32) for _ in tokens]
        EmbedSession.objects.bulk_create(
            EmbedSession(token_hash=selectors.hash_session_token(session), oauth_token=token, expires_at=ends)
            for session, token in zip(made, OAuthToken.objects.bulk_create(tokens), strict=True)
        )
        sys.stdout.write("\n".join(made) + "\n")


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1], int(sys.argv[2]))
