"""Several hosts."""

from tests.broken_rules.breakage import Breakage, race

MANY_HOSTS = ("tests/security/races/test_many_hosts.py",)

HOSTS = (
    race(
        "hosts: a task is taken for done before it is",
        "flowlu_admin/settings.py",
        "CELERY_TASK_ACKS_LATE = True",
        "CELERY_TASK_ACKS_LATE = False",
        MANY_HOSTS,
    ),
    race(
        "hosts: what one process counted takes the place of what another did",
        "tokens/usage.py",
        "accepted = {table}.accepted + excluded.accepted",
        "accepted = excluded.accepted",
        MANY_HOSTS,
    ),
    Breakage(
        "hosts: a case that ends its worker is told for ever",
        "tokens/services/upstream.py",
        "    if row.attempts > settings.UPSTREAM_TRIES:",
        "    if row.attempts < 0:",
        ("tests/tokens/services/test_upstream.py",),
    ),
    Breakage(
        "hosts: a notice that ends its process is sent for ever",
        "flowlu_admin/notices/delivering.py",
        "_send(row) if row.tries <= MOST_TRIES else",
        "_send(row) if row.tries else",
        ("tests/flowlu_admin/notices/test_deliver_mail.py",),
    ),
)
