"""Post one message to a configured webhook: over https to a public address, signed, and without reading the answer."""

from django.conf import settings
from django.utils import timezone

from flowlu_admin.notices.outcome import Outcome
from flowlu_admin.notices.recipients import Webhook
from flowlu_admin.notices.signing import signed_headers
from flowlu_admin.notices.wording import Message, slack_body
from installations.flowlu.posting import PostLimits, post_once

_UNREACHED = frozenset({"timeout", "no_connection", "tls", "refused_address", "scheme", "address"})


def post_webhook(told: Message, hook: Webhook, message_id: str) -> Outcome:
    """Post the message once and return what came of it.

    Each try is signed anew, with its own time; the id stays. A private address is refused, unless on a development
    machine, though whoever sets the address could reach it anyway: who may set a webhook is not always who may look
    into the network.
    """
    now = timezone.now()
    body = slack_body(told, message_id=message_id, sent_at=now)
    headers = signed_headers(
        settings.NOTICE_WEBHOOK_SECRET, body, message_id=message_id, timestamp=int(now.timestamp())
    )
    total = settings.NOTICE_WEBHOOK_SECONDS
    posted = post_once(
        hook.url,
        body,
        headers,
        allow_private=settings.DEBUG,
        allow_http=settings.DEBUG,
        limits=PostLimits(connect=min(5, total), step=total, total=total),
    )
    if posted.is_taken:
        return Outcome()
    if posted.failure:
        return Outcome(posted.failure, unreached=posted.failure in _UNREACHED)
    return Outcome("redirected" if 300 <= posted.status < 400 else f"status_{posted.status}")
