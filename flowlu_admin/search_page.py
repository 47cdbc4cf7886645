"""The page of the console's search. What looks like a credential is refused, not repeated and kept nowhere."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext

from flowlu_admin.search import LONGEST, find, is_too_short, may_search
from installations.pasted import looks_like_credential


def search_view(request: HttpRequest) -> HttpResponse:
    """Show what a text finds.

    The form is posted, so that a credential that was pasted by mistake stands in no address; what is none then leads
    to one that can be kept and sent to others.
    """
    text = (request.POST if request.method == "POST" else request.GET).get("q", "").strip()
    refused = looks_like_credential(text)  # in an address, the site has refused it before
    problem = "" if refused else _problem(text)
    if request.method == "POST" and not refused and not problem:
        return HttpResponseRedirect(f"{reverse('admin:search')}?{urlencode({'q': text})}")
    shown = "" if refused else text[:LONGEST]
    found = find(shown, request.user.has_perm) if shown and not problem else []
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("Search"),
        "search_text": shown,
        "is_refused": refused,
        "problem": problem,
        "kinds": found,
        "may_search": may_search(request.user.has_perm),
    }
    return TemplateResponse(request, "admin/search.html", context)


def _problem(text: str) -> str:
    if len(text) > LONGEST:
        return gettext("Search for at most %(longest)s characters: the beginning is enough.") % {"longest": LONGEST}
    if is_too_short(text):
        return gettext("Type more of it: one letter is the beginning of too much, so it was not searched for.")
    return gettext("What you typed holds a character that nothing has here. Type it again.") if "\0" in text else ""
