"""The mail of an invitation. The code is behind the `#` of its link: a browser sends that part to no server."""

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext

from flowlu_admin.models import Invitation
from installations.deception import one_line


def mail_invitation(invitation: Invitation, code: str) -> None:
    """Hand the mail to the mail server. Raises OSError or ValueError where it is not taken."""
    inviter = invitation.invited_by
    words = {
        "site": settings.PUBLIC_URL,
        "page": f"{settings.PUBLIC_URL}{reverse('account_invitation')}",
        "code": code,
        "inviter": one_line(inviter.get_username()) if inviter else gettext("Whoever runs this service"),
        "groups": one_line(", ".join(invitation.groups)),
        "several": len(invitation.groups) > 1,
        "needs_factor": settings.OPERATOR_MFA == "required",
        "until": f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC",
    }
    EmailMessage(
        subject=gettext("You are invited to the Flowlu console"),
        body=render_to_string("mail/invitation.txt", words),
        to=[invitation.email],
    ).send()
