"""The webhook: signed, with a stable id, only over https to public addresses, and never waited for longer than set."""

import hmac
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.utils import timezone

from flowlu_admin.notices.delivering import deliver_due
from flowlu_admin.notices.kinds import Kind
from flowlu_admin.notices.models import Notice, NoticeDelivery, NoticeOccasion
from flowlu_admin.notices.recipients import webhooks
from flowlu_admin.redaction import redact
from tests.flowlu_admin.notices.conftest import SECRET, Receiver
from tests.flowlu_admin.notices.test_deliver_mail import made_due, state

pytestmark = pytest.mark.django_db(transaction=True)


def due_for_all() -> list[NoticeDelivery]:
    """Return a message to each webhook, all of the same occasion."""
    occasion = NoticeOccasion.objects.create(
        kind=Kind.SUSPECTED, key=str(timezone.now()), happened_at=timezone.now(), label="Desk", path="/admin/x/"
    )
    made = []
    for hook in webhooks():
        delivery = NoticeDelivery.objects.create(channel="webhook", recipient=hook.recipient)
        Notice.objects.create(occasion=occasion, recipient=hook.recipient, delivery=delivery)
        made.append(delivery)
    return made


def test_post_is_slack_compatible_and_signed(receiver: Receiver) -> None:
    (delivery,) = due_for_all()

    assert deliver_due() == 1

    ((headers, raw),) = receiver.posts
    (body,) = receiver.bodies
    assert body["text"].startswith("[Flowlu console] An installation is suspected to be removed")
    assert "<https://console.example.com/admin/x/|Desk>" in body["blocks"][1]["text"]["text"]
    assert headers["content-type"] == "application/json"
    assert headers["x-notice-id"] == body["id"] == str(delivery.uuid)
    signed = f"{headers['x-signature-timestamp']}.".encode() + raw
    assert headers["x-signature-256"] == "sha256=" + hmac.new(SECRET.encode(), signed, sha256).hexdigest()
    assert abs(int(headers["x-signature-timestamp"]) - timezone.now().timestamp()) < 10
    assert state(delivery) == ("sent", 1, "")


@pytest.mark.parametrize(("status", "problem"), [(500, "status_500"), (404, "status_404"), (302, "redirected")])
def test_refusal_is_tried_again_with_the_same_id(receiver: Receiver, status: int, problem: str) -> None:
    (delivery,) = due_for_all()
    receiver.status = status

    assert deliver_due() == 0
    assert state(delivery) == ("waiting", 1, problem)
    assert delivery.due_at > timezone.now() + timedelta(seconds=25)
    assert len(receiver.posts) == 1  # a redirect is not followed

    receiver.status = 200
    made_due()
    assert deliver_due() == 1
    assert len({headers["x-notice-id"] for headers, _body in receiver.posts}) == 1


def test_receiver_that_is_slow_is_left_in_time_and_holds_up_no_other(receiver: Receiver, settings: Any) -> None:
    other = Receiver()
    settings.NOTICE_WEBHOOK_URL = f"{receiver.url},{other.url}"
    receiver.silent = 2.5
    slow, again, quick = due_for_all()[0], due_for_all()[0], due_for_all()[1]
    began = timezone.now()

    deliver_due()

    assert timezone.now() - began < timedelta(seconds=2.4)
    assert state(slow) == ("waiting", 1, "timeout")
    assert state(again) == ("waiting", 0, "")
    assert state(quick) == ("sent", 1, "")
    other.server.shutdown()
    other.server.server_close()


def test_without_debug_neither_plain_http_nor_a_private_address_is_posted_to(receiver: Receiver, settings: Any) -> None:
    settings.DEBUG = False
    (delivery,) = due_for_all()
    deliver_due()
    assert state(delivery) == ("waiting", 1, "scheme")

    settings.NOTICE_WEBHOOK_URL = receiver.url.replace("http:", "https:")
    (delivery,) = due_for_all()
    deliver_due()
    assert state(delivery) == ("waiting", 1, "refused_address")
    assert receiver.posts == []


def test_certificate_of_nobody_is_refused(receiver: Receiver, settings: Any) -> None:
    settings.NOTICE_WEBHOOK_URL = receiver.url.replace("http:", "https:")  # speaks no TLS at all
    (delivery,) = due_for_all()
    deliver_due()
    assert state(delivery) == ("waiting", 1, "tls")
    assert receiver.posts == []


def test_webhook_that_is_taken_out_gets_nothing_more(receiver: Receiver, settings: Any) -> None:
    (delivery,) = due_for_all()
    settings.NOTICE_WEBHOOK_URL = ""
    deliver_due()
    assert state(delivery) == ("dropped", 1, "not_configured")
    assert receiver.posts == []


def test_address_and_key_of_the_webhook_are_in_no_row_repr_or_log(receiver: Receiver, all_logs: Any) -> None:
    receiver.status = 500
    (delivery,) = due_for_all()
    deliver_due()
    delivery.refresh_from_db()
    (hook,) = webhooks()
    rows = str([*NoticeDelivery.objects.values(), *Notice.objects.values(), *NoticeOccasion.objects.values()])
    for text in (rows, repr(hook), str(delivery), redact(f"to {receiver.url}"), all_logs.text):
        assert "x8Kq2nN0" not in text
        assert SECRET not in redact(text)
    assert SECRET not in rows + all_logs.text
    assert all(SECRET not in str(post) for post in receiver.posts)
