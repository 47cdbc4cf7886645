"""Telling operators."""

from tests.broken_rules.breakage import Breakage, race

NOTICES = (
    Breakage(
        "notices: who may not see a thing is told of it when they chose so",
        "flowlu_admin/notices/kinds.py",
        "    if not may_see(kind, may):\n        return How.OFF\n",
        "",
        ("tests/flowlu_admin/notices/test_kinds.py", "tests/flowlu_admin/notices/test_look.py"),
    ),
    Breakage(
        "notices: a removed operator is still sent what waited",
        "flowlu_admin/notices/recipients.py",
        "User.objects.filter(is_active=True, is_staff=True)",
        "User.objects.filter(is_staff=True)",
        ("tests/flowlu_admin/notices/test_deliver_mail.py",),
    ),
    Breakage(
        "notices: a right that was lost since is not asked for when it is sent",
        "flowlu_admin/notices/delivering.py",
        "lambda kind: person.how(kind) is not How.OFF",
        "lambda kind: True",
        ("tests/flowlu_admin/notices/test_deliver_mail.py",),
    ),
    Breakage(
        "notices: the webhook may be at a private address",
        "flowlu_admin/notices/webhook.py",
        "        allow_private=settings.DEBUG,",
        "        allow_private=True,",
        ("tests/flowlu_admin/notices/test_deliver_webhook.py",),
    ),
    Breakage(
        "notices: the time is not part of what is signed",
        "flowlu_admin/notices/signing.py",
        'f"{timestamp}.".encode() + body',
        "body",
        ("tests/flowlu_admin/notices/test_signing.py",),
    ),
    Breakage(
        "notices: what looks like a secret is told",
        "flowlu_admin/notices/sources.py",
        'one_line(redact("".join(map(str, parts))))',
        'one_line("".join(map(str, parts)))',
        ("tests/flowlu_admin/notices/test_deliver_mail.py",),
    ),
    race(
        "notices: a message that another process has is sent as well",
        "flowlu_admin/notices/delivering.py",
        "    return bool(won)\n",
        "    return True\n",
        ("tests/flowlu_admin/notices/test_deliver_mail.py",),
    ),
    Breakage(
        "notices: the list names what its reader may not see",
        "flowlu_admin/notices/shown.py",
        "        if notice.may_be_seen:",
        "        if True:",
        ("tests/flowlu_admin/notices/test_pages.py",),
    ),
    Breakage(
        "notices: an old session silences what is urgent",
        "flowlu_admin/notices/page.py",
        "            confirm_at = where_to_confirm(request)\n",
        "            pass\n",
        ("tests/flowlu_admin/notices/test_pages.py",),
    ),
    Breakage(
        "notices: an operator turns off what they are told without a trace",
        "flowlu_admin/notices/telling.py",
        "        if changed:\n            audit.append(",
        "        if not changed:\n            audit.append(",
        ("tests/flowlu_admin/notices/test_pages.py",),
    ),
    Breakage(
        "notices: a state is told at every sweep",
        "flowlu_admin/notices/telling.py",
        "    new = [one for one in holding if (str(one.kind), one.key) not in known]",
        "    new = list(holding)",
        ("tests/flowlu_admin/notices/test_look.py",),
    ),
)
