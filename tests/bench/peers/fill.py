"""`python -m tests.bench.peers.fill NUMBER`: make the peers' tables and so many tokens, and print the tokens."""

import sys
from datetime import timedelta
from secrets import token_urlsafe

import django


def main(number: int) -> None:
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.utils import timezone
    from oauth2_provider.models import AccessToken, Application

    call_command("migrate", "oauth2_provider", verbosity=0)
    application = Application.objects.create(client_type="public", authorization_grant_type="authorization-code")
    expires = timezone.now() + timedelta(days=1)
    for place in range(number):
        user = User.objects.create(username=f"peer-{place}")
        text = token_urlsafe(32)
        AccessToken.objects.create(user=user, application=application, token=text, scope="read", expires=expires)
        print(text)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
