"""Mail whose sender must not be seen to wait for it: sent by a thread, told in the log by its kind of failure only."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from django.core.mail import EmailMessage

logger = logging.getLogger(__name__)

_SENDERS: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="mail")


def send_later(message: EmailMessage) -> None:
    """Have the mail sent by this process, soon. One that is under way when the process ends is waited for."""
    _SENDERS.submit(_send, message)


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except (OSError, ValueError) as error:
        logger.error("A mail to an operator was not taken: %s", type(error).__name__)
