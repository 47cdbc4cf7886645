"""What pages say of signing in with a company account."""

from django import template
from django.conf import settings

from flowlu_admin.oidc.provider import is_on

register = template.Library()


@register.simple_tag
def company_sign_in() -> str:
    """Return the name on the button, or nothing while there is no such sign-in."""
    return settings.OIDC_NAME if is_on() else ""
