"""The page on which operators choose what they are told, and the list of messages."""

import html
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flowlu_admin.notices.delivering import prune_notices
from flowlu_admin.notices.kinds import CHOSEN, How, Kind
from flowlu_admin.notices.models import Notice, NoticeChoice, NoticeDelivery, NoticeOccasion
from flowlu_admin.notices.recipients import webhooks
from flowlu_admin.notices.telling import choose_notices
from installations.errors import StateConflict
from tests import factories
from tests.flowlu_admin.notices.conftest import Mailbox, Receiver, told
from tests.flowlu_admin.notices.test_deliver_mail import due_for
from tests.installations.admin.console import messages, signed_in, text, url
from tests.security.test_fresh_proof import proved
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db(transaction=True)


def chosen(client: Any, **changed: str) -> Any:
    """Post the page as it stands, with what is changed."""
    form = client.get(url("notices")).context["form"]
    return client.post(url("notices"), {**{name: form.initial[name] for name in form.fields}, **changed}, follow=True)


def test_choice_is_kept_shown_and_in_the_trail(rita: User) -> None:
    client = signed_in(rita)

    done = chosen(client, break_glass="off", waits="at_once")

    assert messages(done) == ["What you are told is changed."]
    kept = dict(NoticeChoice.objects.values_list("kind", "how"))
    assert kept == {"break_glass": "off", "waits": "at_once"}
    event = last_event()
    assert (event.verb, event.target_id, event.actor_name) == ("operator.notices_chosen", str(rita.pk), "rita")
    assert event.details == kept
    form = client.get(url("notices")).context["form"]
    assert (form.initial["break_glass"], form.initial["waits"]) == ("off", "at_once")


def test_same_again_changes_and_records_nothing(rita: User) -> None:
    client = signed_in(rita)
    before = recorded()
    assert messages(chosen(client)) == ["Nothing changed."]
    assert recorded() == before
    assert not NoticeChoice.objects.exists()


def test_what_is_no_choice_is_said_beside_it(rita: User) -> None:
    client = signed_in(rita)
    with nothing_changes():
        answer = chosen(client, break_glass="hourly")
    assert answer.status_code == 200
    assert "Nothing was changed. Correct what is marked below." in text(answer)
    assert not NoticeChoice.objects.exists()


def test_operator_chooses_only_about_what_they_may_see(rita: User) -> None:
    outsider = told("otto")
    page = signed_in(outsider).get(url("notices"))
    assert list(page.context["form"].fields) == []
    assert "Your account may not see anything that could be told." in text(page)

    choices = dict.fromkeys(CHOSEN, How.AT_ONCE)
    assert choose_notices(operator=outsider, choices=choices, actor=factories.actor(outsider)) is False
    with pytest.raises(StateConflict, match="for themselves"):
        choose_notices(operator=rita, choices=choices, actor=factories.actor(outsider))
    assert not NoticeChoice.objects.exists()


def test_page_says_what_is_missing(rita: User, settings: Any) -> None:
    client = signed_in(rita)
    assert "To rita@example.com. The digest is made at 07:00 UTC." in text(client.get(url("notices")))

    settings.SENDS_MAIL = False
    assert "No mail server is configured" in text(client.get(url("notices")))
    assert messages(client.post(url("notices"), {"act": "test"}, follow=True)) == [
        "No test was sent: this page says what is missing."
    ]
    settings.SENDS_MAIL = True
    User.objects.update(email="")
    assert "Your account has no mail address" in text(client.get(url("notices")))
    client.post(url("notices"), {"act": "test"})
    assert not NoticeDelivery.objects.exists()


def test_test_says_what_became_of_it(mailbox: Mailbox, rita: User, settings: Any) -> None:
    client = signed_in(rita)
    settings.NOTICE_TEST_RATE = "2/d"
    press = {"act": "test"}

    assert "A test was sent." in messages(client.post(url("notices"), press, follow=True))[0]
    mailbox.answers = {"RCPT": "550 nobody"}
    failed = client.post(url("notices"), press, follow=True)
    assert messages(failed) == [
        "The test was not sent. The mail server refused the operator's address for good.",
    ]
    assert "several tests already" in messages(client.post(url("notices"), press, follow=True))[0]
    assert [str(row[0]) for row in failed.context["last"].rows] == ["A test that you asked for"] * 2
    assert len(mailbox.mails) == 1


def test_list_says_to_whom_what_became_of_it_and_no_address(superuser: Any, receiver: Receiver, rita: User) -> None:
    hook = webhooks()[0]
    failed = NoticeDelivery.objects.create(
        channel="webhook",
        recipient=hook.recipient,
        state="failed",
        tries=12,
        problem="status_503",
        ended_at=timezone.now(),
    )
    waiting = due_for(rita, "a", "b")
    NoticeDelivery.objects.filter(pk=waiting.pk).update(problem="mail_later", tries=1)
    client = signed_in(superuser)

    listed = text(client.get(url("flowlu_admin_noticedelivery_changelist")))
    page = text(client.get(url("flowlu_admin_noticedelivery_change", failed.pk)))

    assert "2 installations began to wait for a decision rita tried in vain, tried again 1" in listed
    for shown in (listed, page):
        assert "webhook at 127.0.0.1" in shown
        assert "The webhook answered with HTTP 503." in shown
        assert "x8Kq2nN0" not in shown
        assert "/services/" not in shown
    assert str(failed.uuid) in page


def test_list_costs_the_same_for_many(superuser: Any, rita: User) -> None:
    client = signed_in(superuser)

    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert client.get(url("flowlu_admin_noticedelivery_changelist")).status_code == 200
        return len(seen)

    due_for(rita)
    statements()
    few = statements()
    for _ in range(20):
        due_for(rita, "a", "b")
    assert statements() == few


def test_operator_sees_only_their_own_last_messages(rita: User) -> None:
    due_for(told("otto", "Reviewer"), "of another")
    mine = due_for(rita, kind=Kind.SUSPECTED)
    rows = signed_in(rita).get(url("notices")).context["last"].rows
    assert [row[0] for row in rows] == ["An installation is suspected to be removed"]
    assert Notice.objects.filter(delivery=mine).count() == 1
    assert NoticeOccasion.objects.count() == 2


def test_overview_says_what_was_given_up_to_who_may_see_it(superuser: Any, auditor: Any, rita: User) -> None:
    given_up = {"state": "failed", "problem": "mail_refused"}
    NoticeDelivery.objects.filter(pk=due_for(rita).pk).update(ended_at=timezone.now(), **given_up)
    long_ago = timezone.now() - timedelta(days=8)
    NoticeDelivery.objects.filter(pk=due_for(rita).pk).update(ended_at=long_ago, **given_up)
    words = "1 notice to operators or a webhook was given up in the last 7 days"

    assert words in text(signed_in(superuser).get(url("index")))
    assert words not in text(signed_in(auditor).get(url("index")))


def test_old_messages_are_pruned_and_waiting_ones_are_not(rita: User, settings: Any) -> None:
    settings.NOTICE_DAYS = 30
    old, waiting = due_for(rita), due_for(rita)
    NoticeDelivery.objects.filter(pk=old.pk).update(state="sent", ended_at=timezone.now())
    NoticeDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    NoticeOccasion.objects.update(created_at=timezone.now() - timedelta(days=31))
    new = due_for(rita)
    NoticeDelivery.objects.filter(pk=new.pk).update(state="sent", ended_at=timezone.now())

    assert prune_notices(lambda: True) == 0
    settings.NOTICE_DAYS = 0
    assert prune_notices() == 0
    settings.NOTICE_DAYS = 30
    assert [prune_notices(), prune_notices()] == [1, 0]

    assert set(NoticeDelivery.objects.all()) == {waiting, new}
    assert {notice.delivery_id for notice in Notice.objects.all()} == {waiting.pk, new.pk}
    assert NoticeOccasion.objects.count() == 2


HIDDEN = "something that you may not see"


def test_list_and_its_file_tell_of_no_kind_that_the_reader_may_not_see(rita: User) -> None:
    reader = factories.operator("lee")
    rights = ("view_noticedelivery", "view_installation")
    reader.user_permissions.add(*Permission.objects.filter(codename__in=rights))
    secret, shown = due_for(rita, "a", "b", kind=Kind.BREAK_GLASS), due_for(rita, kind=Kind.WAITS)
    client = signed_in(reader)

    listed = text(client.get(url("flowlu_admin_noticedelivery_changelist")))
    page = text(client.get(url("flowlu_admin_noticedelivery_change", secret.pk)))
    taken = client.post(url("flowlu_admin_noticedelivery_list_export"), {"format": "csv"})
    file = b"".join(taken.streaming_content).decode()

    for said in (listed, page, file):
        assert HIDDEN in said
        assert "one operator alone" not in said
    for said in (listed, file, text(client.get(url("flowlu_admin_noticedelivery_change", shown.pk)))):
        assert "An installation began to wait for a decision" in said


def test_own_page_tells_of_no_kind_any_more_after_the_right_was_lost(rita: User) -> None:
    both = due_for(rita, kind=Kind.BREAK_GLASS)
    waits = NoticeOccasion.objects.create(kind=Kind.WAITS, key="w", happened_at=timezone.now(), label="x")
    Notice.objects.create(occasion=waits, recipient=both.recipient, delivery=both)

    def told_last() -> str:
        return str(signed_in(rita).get(url("notices")).context["last"].rows[0][0])

    assert HIDDEN not in told_last()
    rita.groups.clear()
    rita.user_permissions.add(Permission.objects.get(codename="view_installation"))
    assert told_last() == f"An installation began to wait for a decision; {HIDDEN}"


@pytest.mark.parametrize("quieter", ["daily", "off"])
def test_what_is_urgent_is_silenced_with_a_fresh_proof_only(rita: User, settings: Any, quieter: str) -> None:
    client = signed_in(rita)
    proved(client, ago=settings.CONFIRMED_SECONDS)

    # when it is silenced, together with what is not urgent
    with nothing_changes():
        refused = chosen(client, break_glass=quieter, waits="at_once")
    # then nothing is kept, the form is, and the way on is on the page
    shown = html.unescape(refused.content.decode())
    assert "Confirm first that it is you" in shown
    assert f"?next={url('notices').replace('/', '%2F')}" in shown
    assert (refused.context["form"]["break_glass"].value(), refused.context["form"]["waits"].value()) == (
        quieter,
        "at_once",
    )
    assert not NoticeChoice.objects.exists()

    # what makes nothing urgent quieter asks for nothing
    assert messages(chosen(client, waits="at_once")) == ["What you are told is changed."]

    proved(client, ago=0)
    assert messages(chosen(client, break_glass=quieter)) == ["What you are told is changed."]

    # nor does what makes it louder again
    proved(client, ago=settings.CONFIRMED_SECONDS)
    assert messages(chosen(client, break_glass="at_once")) == ["What you are told is changed."]
