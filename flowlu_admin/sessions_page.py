"""The page of one's own sessions: where one is signed in, with a button that ends each of the others."""

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext

from flowlu_admin.open_sessions import handle_of, open_sessions
from flowlu_admin.own_sessions import end_own_other_sessions, end_own_session
from installations.admin.acts import actor_of, history_of_own, with_history


def sessions_view(request: HttpRequest) -> HttpResponse:
    """Show the sessions, or end what the form names and say so."""
    if request.method == "POST":
        ended, words = _end(request)
        if ended:
            messages.success(request, with_history(request, words, history_of_own(request)))
        else:
            messages.info(request, words)
        return redirect("admin:sessions")
    actor = actor_of(request)
    context = {
        **admin.site.each_context(request),
        "title": gettext("Your sessions"),
        "sessions": open_sessions(int(actor.id)),
        "this_one": handle_of(request.session.session_key),
    }
    return TemplateResponse(request, "admin/sessions.html", context)


def _end(request: HttpRequest) -> tuple[int, str]:
    """Return how many sessions were ended, and what to say of it."""
    actor, key = actor_of(request), request.session.session_key
    handle = request.POST.get("session", "")
    if handle == "others":
        ended = end_own_other_sessions(session_key=key, actor=actor)
        return ended, ngettext("%(count)s session ended.", "%(count)s sessions ended.", ended) % {"count": f"{ended:,}"}
    if handle == handle_of(key):
        return 0, gettext("This is the session that you are in. Log out to end it.")
    if end_own_session(handle=handle, actor=actor):
        return 1, gettext("The session ended.")
    return 0, gettext("That session was over already.")
