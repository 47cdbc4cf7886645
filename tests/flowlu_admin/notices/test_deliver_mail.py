"""Mail over real SMTP: once to whom it is for, tried again while that may help, and nothing in it that must not be."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from flowlu_admin.notices import tasks
from flowlu_admin.notices.delivering import LEASE, MOST_TRIES, deliver_due
from flowlu_admin.notices.kinds import How, Kind
from flowlu_admin.notices.models import Notice, NoticeChoice, NoticeDelivery, NoticeOccasion
from flowlu_admin.notices.sources import readable
from flowlu_admin.notices.telling import send_test
from flowlu_admin.operator_accounts import remove_operator
from installations.errors import RateLimited
from tests import factories
from tests.flowlu_admin.notices.conftest import Mailbox, told

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "Desk <b>\u202e\r\nBcc: evil@example.com\x1b[31m & co"


def due_for(operator: User, *labels: str, kind: Kind = Kind.WAITS) -> NoticeDelivery:
    """Return a message to an operator that waits to be sent, and tells these."""
    recipient = f"mail:{operator.pk}"
    delivery = NoticeDelivery.objects.create(channel="mail", recipient=recipient, operator=operator)
    for number, label in enumerate(labels or ("Desk on acme.flowlu.com",)):
        occasion = NoticeOccasion.objects.create(
            kind=kind, key=f"{delivery.pk} {number}", happened_at=timezone.now(), label=label, path="/admin/x/"
        )
        Notice.objects.create(occasion=occasion, recipient=recipient, delivery=delivery)
    return delivery


def state(delivery: NoticeDelivery) -> tuple[str, int, str]:
    delivery.refresh_from_db()
    return delivery.state, delivery.tries, delivery.problem


def made_due() -> None:
    NoticeDelivery.objects.filter(state="waiting").update(due_at=timezone.now() - timedelta(seconds=1))


def test_mail_has_both_forms_and_says_what_and_where(mailbox: Mailbox, rita: User) -> None:
    delivery = due_for(rita)

    assert deliver_due() == 1

    (mail,) = mailbox.mails
    assert mailbox.recipients == ["rita@example.com"]
    assert mail["To"] == "rita@example.com"
    assert mail["Subject"] == "[Flowlu console] An installation began to wait for a decision"
    assert mail["Message-ID"] == f"<{delivery.uuid}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    for kind in ("plain", "html"):
        (text,) = mailbox.texts(kind)
        assert "Desk on acme.flowlu.com" in text
        assert "https://console.example.com/admin/x/" in text
        assert "https://console.example.com/admin/notices/" in text
        assert f"{timezone.now():%Y-%m-%d}" in text
        assert "UTC" in text
    assert state(delivery) == ("sent", 1, "")
    assert deliver_due() == 0
    assert len(mailbox.mails) == 1


def test_name_is_text_and_makes_no_header(mailbox: Mailbox, rita: User) -> None:
    due_for(rita, readable(HOSTILE))
    deliver_due()

    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mailbox.recipients == ["rita@example.com"]
    (text,) = mailbox.texts()
    (html,) = mailbox.texts("html")
    assert "Desk <b>\\u202E\\u000D\\nBcc: evil@example.com\\u001B[31m & co (" in text
    assert "Desk &lt;b&gt;\\u202E\\u000D\\nBcc: evil@example.com\\u001B[31m &amp; co</a>" in html
    for body in (text, html):
        assert not {"\u202e", "\x1b", "\r"} & set(body.replace("\r\n", "\n"))


def test_what_looks_like_a_token_is_in_no_mail(mailbox: Mailbox, rita: User) -> None:
    token = "x8Kq2nN0vR7bT4mZ9pLsWd3yC5fG1hJ6kQ8wE2rT"
    due_for(rita, readable("Desk ", token), readable(f"Desk access_token={token[:9]}"), readable("Desk plain"))

    deliver_due()

    (raw,) = mailbox.raw
    assert b"Desk plain" in raw
    assert token[:9].encode() not in raw
    assert all("Desk [redacted]" in text for text in (*mailbox.texts(), *mailbox.texts("html")))


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"RCPT": "450 busy"}, "mail_later"),
        ({"TAKE": "451 later"}, "mail_later"),
        ({"MAIL": "421 closing"}, "mail_later"),
        ({"TAKE": "250 and gone"}, "mail_unreached"),
    ],
)
def test_what_may_pass_is_tried_again_later(
    mailbox: Mailbox, rita: User, answers: dict[str, str], problem: str
) -> None:
    delivery = due_for(rita)
    mailbox.answers = answers

    assert deliver_due() == 0
    assert state(delivery) == ("waiting", 1, problem)
    assert timezone.now() + timedelta(seconds=25) < delivery.due_at < timezone.now() + timedelta(seconds=95)
    assert deliver_due() == 0
    assert state(delivery) == ("waiting", 1, problem)

    mailbox.answers = {}
    made_due()
    assert deliver_due() == 1
    assert state(delivery) == ("sent", 2, "")
    # A server that took it and did not say so gets it twice, and can tell.
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 1


@pytest.mark.parametrize(
    ("answers", "problem"),
    [({"RCPT rita@example.com": "550 nobody"}, "mail_address"), ({"TAKE": "554 spam"}, "mail_refused")],
)
def test_what_never_passes_is_given_up_at_once_and_holds_up_nobody(
    mailbox: Mailbox, rita: User, answers: dict[str, str], problem: str
) -> None:
    delivery, other = due_for(rita), due_for(told("otto", "Reviewer"))
    mailbox.answers = answers

    deliver_due()

    assert state(delivery) == ("failed", 1, problem)
    mailbox.answers = {}
    made_due()
    deliver_due()
    if problem == "mail_address":
        assert state(other) == ("sent", 1, "")
        assert mailbox.recipients == ["otto@example.com"]


def test_address_that_is_none_is_given_up(mailbox: Mailbox, rita: User) -> None:
    User.objects.filter(pk=rita.pk).update(email="rita@example.com\nBcc: evil@example.com")
    delivery = due_for(rita)
    deliver_due()
    assert state(delivery) == ("failed", 1, "mail_address")
    assert mailbox.mails == []


def test_server_that_is_down_is_asked_once_a_run(mailbox: Mailbox, rita: User, settings: Any) -> None:
    first, second = due_for(rita), due_for(told("otto", "Reviewer"))
    settings.EMAIL_PORT = 9

    assert deliver_due() == 0

    assert state(first) == ("waiting", 1, "mail_unreached")
    assert state(second) == ("waiting", 0, "")


def test_server_that_says_nothing_is_left_in_time(mailbox: Mailbox, rita: User) -> None:
    delivery = due_for(rita)
    mailbox.silent = 3.0
    began = timezone.now()
    deliver_due()
    assert timezone.now() - began < timedelta(seconds=2.9)
    assert state(delivery) == ("waiting", 1, "mail_unreached")


def test_server_without_tls_where_it_is_asked_for_gets_nothing(mailbox: Mailbox, rita: User, settings: Any) -> None:
    settings.EMAIL_USE_TLS = True
    delivery = due_for(rita)
    deliver_due()
    assert state(delivery) == ("waiting", 1, "mail_tls")
    assert mailbox.mails == []


def test_message_is_given_up_after_its_tries(mailbox: Mailbox, rita: User, settings: Any) -> None:
    settings.EMAIL_PORT = 9
    delivery = due_for(rita)
    NoticeDelivery.objects.update(tries=MOST_TRIES - 1)
    deliver_due()
    assert state(delivery) == ("failed", MOST_TRIES, "mail_unreached")
    assert delivery.ended_at is not None


def test_message_whose_tries_all_ended_with_their_process_is_given_up_unsent(mailbox: Mailbox, rita: User) -> None:
    delivery = due_for(rita)
    NoticeDelivery.objects.update(tries=MOST_TRIES)
    assert deliver_due() == 0
    assert state(delivery) == ("failed", MOST_TRIES + 1, "worker_lost")
    assert mailbox.mails == []


@pytest.mark.parametrize("kind", [Kind.WAITS, Kind.TEST])
def test_removed_operator_is_told_nothing_from_that_commit_on(mailbox: Mailbox, rita: User, kind: Kind) -> None:
    delivery = due_for(rita, kind=kind)
    root = factories.actor(factories.operator("root", superuser=True))
    remove_operator(operator_id=rita.pk, actor=root, reason="They left.")

    assert deliver_due() == 0

    assert state(delivery) == ("dropped", 1, "no_longer")
    assert mailbox.mails == []


def test_right_that_is_lost_or_a_choice_takes_its_lines_out(mailbox: Mailbox, rita: User) -> None:
    delivery = due_for(rita, "stays")
    gone = NoticeOccasion.objects.create(kind=Kind.FOUR_EYES, key="x", happened_at=timezone.now(), label="goes")
    Notice.objects.create(occasion=gone, recipient=delivery.recipient, delivery=delivery)
    muted = due_for(rita, "muted", kind=Kind.SUSPECTED)
    NoticeChoice.objects.create(operator=rita, kind=Kind.FOUR_EYES, how=How.OFF)

    assert deliver_due() == 1

    (text,) = mailbox.texts()
    assert "stays" in text
    assert "goes" not in text
    assert state(muted) == ("dropped", 1, "no_longer")  # does not concern a reviewer, who did not choose it

    late = due_for(rita)
    rita.groups.clear()
    deliver_due()
    assert state(late) == ("dropped", 1, "no_longer")


def test_try_that_another_process_has_is_left_to_it_until_its_time(mailbox: Mailbox, rita: User) -> None:
    delivery = due_for(rita)
    NoticeDelivery.objects.update(due_at=timezone.now() + LEASE, tries=1)  # as a process that was killed left it
    assert deliver_due() == 0
    assert mailbox.mails == []

    made_due()
    assert deliver_due() == 1
    assert state(delivery) == ("sent", 2, "")


@pytest.mark.postgresql
def test_of_workers_at_once_each_message_is_sent_by_one(mailbox: Mailbox, rita: User) -> None:
    for _ in range(6):
        due_for(rita)
    start = threading.Barrier(4)
    sent = []

    def work() -> None:
        start.wait()
        sent.append(deliver_due())
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(sent) == 6
    assert len(mailbox.mails) == 6
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 6
    assert set(NoticeDelivery.objects.values_list("state", "tries")) == {("sent", 1)}


def test_without_a_server_a_message_says_so(rita: User, settings: Any) -> None:
    settings.SENDS_MAIL = False
    delivery = due_for(rita)
    deliver_due()
    assert state(delivery) == ("waiting", 1, "mail_off")


def test_test_goes_the_way_of_any_other_and_is_limited(mailbox: Mailbox, rita: User, settings: Any) -> None:
    settings.NOTICE_TEST_RATE = "2/d"

    assert send_test(operator=rita).state == "sent"
    send_test(operator=rita)
    with pytest.raises(RateLimited):
        send_test(operator=rita)

    assert [mail["Subject"] for mail in mailbox.mails] == ["[Flowlu console] A test that you asked for"] * 2
    tasks.deliver_notices()
    assert len(mailbox.mails) == 2


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"greeting": "554 not you"}, "mail_unreached"),
        ({"EHLO": "250-mailbox\r\n250 AUTH PLAIN", "AUTH": "535 wrong"}, "mail_sign_in"),
    ],
)
def test_server_that_lets_nobody_in_is_asked_once_a_run(
    mailbox: Mailbox, rita: User, settings: Any, answers: dict[str, str], problem: str
) -> None:
    delivery, other = due_for(rita), due_for(told("otto", "Reviewer"))
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "console", "wrong"
    mailbox.answers = answers

    assert deliver_due() == 0
    assert state(delivery) == ("waiting", 1, problem)
    assert state(other) == ("waiting", 0, "")


def test_run_that_is_told_to_stop_sends_nothing_more(mailbox: Mailbox, rita: User) -> None:
    delivery = due_for(rita)

    assert deliver_due(lambda: True) == 0
    assert state(delivery) == ("waiting", 0, "")
    assert deliver_due() == 1
