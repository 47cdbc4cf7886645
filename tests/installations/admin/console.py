"""Operators at the console, and what they read there."""

import html
import re
import time
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils.safestring import SafeString

from installations.models import Installation
from installations.reviews import seen_as


def signed_in(user: Any) -> Client:
    client = Client()
    sign_in(client, user)
    # The time of the sign-in is no part of what a test of an act watches.
    type(user).objects.filter(pk=user.pk).update(last_login=None)
    return client


def sign_in(client: Client, user: Any, *, with_factor: bool = True) -> None:
    """Sign an operator in, as after the password and, where that is given, the second factor."""
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    methods = ["password", "mfa"] if with_factor else ["password"]
    session["account_authentication_methods"] = [{"method": method, "at": time.time()} for method in methods]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def confirm(client: Client, address: str, body: dict[str, Any], **options: Any) -> Any:
    """Look at the page of an act and post its form, which confirms what the page showed."""
    return client.post(address, {**pin(client.get(address)), **body}, **options)


def pin(page: Any) -> dict[str, str]:
    """Return the hidden fields that say what a page showed."""
    found = re.findall(r'name="(pinned|seen|seen_in_force|seen_catalogue)" value="([^"]+)"', page.content.decode())
    return {name: html.unescape(value) for name, value in found}


# Acts that show what exactly they would do before they do it: their first post asks, the second one acts.
PREVIEWED = ("_revoke_by", "_edit_entry", "_new_entry", "_import_catalogue")


def pinned(client: Client, where: str, body: dict[str, Any], key: str) -> dict[str, str]:
    """Return what the page of an act has to be answered with, after looking at it and at its preview, if it has one."""
    found = pin(client.get(where))
    if key.endswith(PREVIEWED):
        named = {name: value for name, value in body.items() if name != "confirmed"}
        found |= pin(client.post(where, {**named, **found}))
    return found


def entry_body(**values: str) -> dict[str, str]:
    """Return an entry of the scope catalogue as the form sends it."""
    return {
        "code": "garage",
        "title": "Garage",
        "meaning": "Cars.",
        "enabled": "on",
        "covers": "garage/*",
        "read_allows": "See them.",
        "read_risk": "low",
        "read_reason": "They stand in the street.",
        "full_allows": "Drive them.",
        "full_risk": "high",
        "full_reason": "They could be gone.",
        "source": "assumption: a test",
        **values,
    }


def seen(page: Any) -> dict[str, Any]:
    """Return what the edit form of a page shows, as a browser would send it back."""
    form = page.context["form"]
    return {name: form[name].value() for name in form.fields if form[name].value() not in (None, False)}


def seen_of(installation: Installation) -> dict[str, str]:
    """Return what the page of a review says of each approval that it showed."""
    return {row.code: seen_as(row) for row in installation.approved_permissions.in_force()}


def url(name: str, *args: object, **kwargs: object) -> str:
    return reverse(f"admin:{name}", args=args or None, kwargs=kwargs or None)


def text(response: Any) -> str:
    """Return what a person reads on a page: no markup, no meaning of a word before it is opened, single spaces."""
    page = re.sub(r"<(script|style|svg|title)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    page = re.sub(r"<span popover\b.*?</span>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page))).strip()


def messages(response: Any) -> list[str]:
    """Return what the messages of a page say. One with a link is HTML: of that, what a person reads, without the way to
    the audit trail at its end."""
    said = [message.message for message in response.context["messages"]]
    return [_as_read(one) if isinstance(one, SafeString) else str(one) for one in said]


def _as_read(message: SafeString) -> str:
    without = re.sub(r' <a class="to-history".*?</a>', "", message)
    return html.unescape(re.sub(r"<[^>]+>", "", without))
