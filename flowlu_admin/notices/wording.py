"""How a message reads: its subject, its sections, and the same as Slack-compatible JSON. Pure.

What is shown was made safe to read when it was found; here it is only laid out. No name is in a subject.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from flowlu_admin.notices.kinds import RULES, Kind
from installations.said import said, said_of

SHOWN: Final = 10  # lines of one kind in one message

# Why a message was not taken, by the word that is kept of it.
PROBLEMS: Final = {
    "": "",
    "no_longer": said("Whoever it was for may not be told it any more, or chose not to be."),
    "not_configured": said("Its address is not configured any more."),
    "worker_lost": said("Each try ended with the process that made it."),
    "mail_off": said("No mail server is configured: set EMAIL_HOST."),
    "mail_unreached": said("The mail server was not reached, or did not answer in time."),
    "mail_sign_in": said("The mail server refused the sign-in: check EMAIL_HOST_USER and its password."),
    "mail_tls": said("No safe connection to the mail server: check its certificate and EMAIL_USE_TLS."),
    "mail_later": said("The mail server asked to try again later."),
    "mail_address": said("The mail server refused the operator's address for good."),
    "mail_refused": said("The mail server refused the message for good."),
    "scheme": said("The webhook must be an https address."),
    "address": said("The webhook is no address that can be posted to."),
    "refused_address": said("The webhook's name leads to an address that is not public."),
    "tls": said("No safe connection to the webhook: its certificate was not accepted."),
    "timeout": said("The webhook did not answer in time."),
    "no_connection": said("The webhook was not reached."),
    "redirected": said("The webhook answered with a redirect, which is not followed."),
}


def problem_words(problem: str) -> str:
    """Return why a message was not taken, in a sentence."""
    if problem.startswith("status_"):
        return said("The webhook answered with HTTP %(status)s.", status=problem.removeprefix("status_"))
    return PROBLEMS.get(problem, said("It could not be sent. The log says more."))


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, as it is told."""

    kind: Kind
    label: str
    url: str
    at: datetime
    count: int = 1

    @property
    def when(self) -> str:
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Section:
    """All of one kind in one message."""

    title: str
    lines: Sequence[Line]
    more: int  # further lines that are not shown


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    sections: Sequence[Section]


def message(lines: Iterable[Line], *, daily: bool) -> Message:
    """Return what tells these lines, a section for each kind, in the order of the kinds."""
    by_kind: dict[Kind, list[Line]] = {}
    for line in lines:
        by_kind.setdefault(line.kind, []).append(line)
    sections = [
        Section(
            RULES[kind].title(sum(line.count for line in by_kind[kind])),
            by_kind[kind][:SHOWN],
            max(0, len(by_kind[kind]) - SHOWN),
        )
        for kind in Kind
        if kind in by_kind
    ]
    subject = (
        sections[0].title
        if len(sections) == 1
        else said_of("%(count)s thing to look at", "%(count)s things to look at", len(sections))
    )
    if daily:
        return Message(said("[Flowlu console] Daily digest: %(what)s", what=subject), sections)
    return Message(said("[Flowlu console] %(what)s", what=subject), sections)


def slack_body(told: Message, *, message_id: str, sent_at: datetime) -> bytes:
    """Return the message as JSON that Slack and what is compatible with it take.

    `verbatim` keeps Slack from making links and mentions of what stands in a name.
    """
    text = "\n".join([told.subject, *(section.title for section in told.sections)])
    blocks = [{"type": "section", "text": _mrkdwn(_block(section))} for section in told.sections]
    body = {
        "text": _escaped(text),
        "blocks": [{"type": "header", "text": {"type": "plain_text", "text": told.subject[:150]}}, *blocks],
        "id": message_id,
        "sent_at": f"{sent_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return json.dumps(body).encode("ascii")


def _mrkdwn(text: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _block(section: Section) -> str:
    rows = [f"*{_escaped(section.title)}*"]
    for line in section.lines:
        words = _escaped(line.label) or "Open the list"
        rows.append(f"• {f'<{line.url}|{_no_bar(words)}>' if line.url else words} ({line.when})")
    if section.more:
        rows.append(f"• and {section.more} more")
    text = "\n".join(rows)
    return text if len(text) <= 3000 else f"{rows[0]}\n• too long to be shown here: open the console"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _no_bar(text: str) -> str:
    return text.replace("|", "¦")
