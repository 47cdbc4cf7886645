"""Send one message by mail. What the server says becomes a word of ours; no text of it is kept."""

import smtplib
import ssl
from dataclasses import replace
from email.utils import parseaddr
from typing import Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from flowlu_admin.notices.outcome import Outcome
from flowlu_admin.notices.wording import Message
from installations.admin.text import translated

_LATER: Final = range(400, 500)


def _translated(told: Message) -> Message:
    sections = [replace(section, title=translated(section.title)) for section in told.sections]
    return replace(told, subject=translated(told.subject), sections=sections)


def send_mail(told: Message, address: str, message_id: str) -> Outcome:
    """Hand the message to the mail server, once, and return what came of it.

    The Message-ID is the same at every try, so that a mailbox can tell a repeat.
    """
    if not settings.SENDS_MAIL:
        return Outcome("mail_off")
    told = _translated(told)
    values = {"told": told, "choices_url": f"{settings.PUBLIC_URL}{reverse('admin:notices')}"}
    host = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    mail = EmailMultiAlternatives(
        subject=told.subject,
        body=render_to_string("notices/mail.txt", values),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[address],
        headers={"Message-ID": f"<{message_id}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("notices/mail.html", values), "text/html")
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        return Outcome("mail_later") if all(code in _LATER for code in codes) else Outcome("mail_address", final=True)
    except smtplib.SMTPAuthenticationError:
        return Outcome("mail_sign_in", unreached=True)
    except smtplib.SMTPConnectError:
        return Outcome("mail_unreached", unreached=True)
    except smtplib.SMTPResponseException as error:
        return Outcome("mail_later") if error.smtp_code in _LATER else Outcome("mail_refused", final=True)
    except (ssl.SSLError, smtplib.SMTPNotSupportedError):
        return Outcome("mail_tls", unreached=True)
    except (smtplib.SMTPException, OSError):
        return Outcome("mail_unreached", unreached=True)
    except ValueError:  # an address that no header takes: nothing was sent
        return Outcome("mail_address", final=True)
    return Outcome()
