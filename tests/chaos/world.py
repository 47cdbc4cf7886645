"""`python -m tests.chaos.world PORTAL…`: make the database, an operator, and an installation on each portal."""

import sys

import django


def main(portals: list[str]) -> None:
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from tests import factories

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user("root", password=None, is_staff=True, is_superuser=True)
    application = factories.application()
    for portal in portals:
        factories.installation(application, approved=["crm.accounts.full"], portal=portal)


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1:])
