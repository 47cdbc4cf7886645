"""The desk for leaked tokens: what was found goes in once, and what is known here can be cut at once.

Nothing of what is pasted or uploaded comes out again: not on the page, not in a message, an address or a session.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, actor_of, note_refusal, posted
from installations.admin.display import badge, join, link, list_url, mono, plural, utc
from installations.errors import DomainError, NotPermitted
from tokens.admin.revoking import A_RELOAD_BRINGS_ONE, STOPS
from tokens.admin.tables import fingerprint, state_badge, user_label
from tokens.forms import CutLeakedForm, LeakedForm
from tokens.leak_search import Found, Hit
from tokens.leaks import TooMuchAtOnce
from tokens.models import OAuthToken
from tokens.rates import take
from tokens.services.leaks import find_leaked
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

SHOWN = 200
_LINES_SHOWN = 5


def leaked_view(request: HttpRequest) -> HttpResponse:
    """Look leaked tokens up, or cut those of the last look that were ticked."""
    may = request.user.has_perm
    if not (may("tokens.find_leaked") and may("tokens.view_oauthtoken")):
        note_refusal(request, "tokens.find_leaked", "tokens_oauthtoken_leaked", ("vault", "leaked"))
        raise PermissionDenied
    if request.method == "POST" and "cut" in request.POST:
        return _cut_ticked(request)
    form = LeakedForm(posted(request), request.FILES if request.method == "POST" else None)
    found = None
    if request.method == "POST" and form.is_valid():
        found = _find(request, form)
    return _page(request, form if form.errors else LeakedForm(), found)


def _find(request: HttpRequest, form: LeakedForm) -> Found | None:
    try:
        take(settings.LEAKED_RATE, "leaked", str(request.user.pk))
        return find_leaked(lines=form.lines(), actor=actor_of(request))
    except NotPermitted:
        raise PermissionDenied from None
    except (DomainError, TooMuchAtOnce) as error:
        form.add_error(None, error.public_message if isinstance(error, DomainError) else str(error))
        return None


def _cut_ticked(request: HttpRequest) -> HttpResponse:
    """Revoke each token that was ticked, by its number: the token itself does not travel again."""
    form = CutLeakedForm(request.POST)
    if not form.is_valid():
        kept = list(OAuthToken.objects.filter(pk__in=form.numbers()).order_by("pk").values_list("pk", flat=True))
        return _page(request, LeakedForm(), None, cut_form=form, kept=kept)
    rows = list(OAuthToken.objects.filter(pk__in=form.numbers()).order_by("pk"))
    done, skipped, failed = _revoke_each(rows, actor_of(request), form.cleaned_data["reason"])
    words = f"{plural(done, 'token')} revoked, {skipped} skipped (revoked already), {len(failed)} failed."
    messages.add_message(request, messages.ERROR if failed else messages.SUCCESS, words)
    for message in failed[:10]:
        messages.add_message(request, messages.ERROR, message)
    return HttpResponseRedirect(list_url(OAuthToken))


def _revoke_each(rows: Sequence[OAuthToken], actor: Actor, reason: str) -> tuple[int, int, list[str]]:
    done = skipped = 0
    failed: list[str] = []
    for row in rows:
        try:
            cut = revoke_tokens(target=RevocationTarget.of_token(row.pk), actor=actor, reason=reason)
        except NotPermitted:
            raise PermissionDenied from None
        except DomainError as error:
            failed.append(f"{row}: {error.public_message}")
        else:
            done, skipped = (done + 1, skipped) if cut.tokens_cut else (done, skipped + 1)
    return done, skipped, failed


def _page(
    request: HttpRequest,
    form: LeakedForm,
    found: Found | None,
    *,
    cut_form: CutLeakedForm | None = None,
    kept: Sequence[int] = (),
) -> TemplateResponse:
    live = found.live if found else []
    may_revoke = request.user.has_perm("tokens.revoke_oauthtoken")
    numbers = kept or sorted({hit.token.pk for hit in live[:SHOWN] if hit.token is not None})
    context = {
        **admin.site.each_context(request),
        "opts": OAuthToken._meta,
        "title": "Leaked tokens",
        "form": form,
        "found": found,
        "rows": list(_rows(live[:SHOWN], may_revoke)),
        "gone": [_gone(hit) for hit in found.hits if not hit.is_live][:SHOWN] if found else [],
        "more": max(0, len(live) - SHOWN),
        "cut_form": (cut_form or CutLeakedForm()) if may_revoke and numbers else None,
        "refused": cut_form,
        "numbers": numbers,
        "stops": STOPS if numbers else (),
        "stays": (SDK_GOES_ON, TOKENS_STAY_VALID, A_RELOAD_BRINGS_ONE, IN_FLIGHT) if numbers else (),
        "stops_heading": "What stops when they are revoked",
        "stays_heading": "What does not stop",
    }
    return TemplateResponse(request, "admin/tokens/leaked.html", context)


def _rows(hits: Sequence[Hit], may_revoke: bool) -> Iterator[list[tuple[str, Any]]]:
    offered: set[int] = set()
    for hit in hits:
        token = hit.token
        cells: list[tuple[str, Any]] = [("Found in", _lines(hit)), ("What", _what(hit))]
        cells += [
            ("Of whom", link(token.portal_user, user_label(token)) if token else "the portal, no user"),
            ("Installation", link(hit.installation) if hit.installation else "more than one"),
            ("May do", join(map(mono, hit.scopes)) if hit.scopes else "nothing approved"),
            ("Last used here", utc(hit.last_used_at, "not known")),
        ]
        if may_revoke:
            # Access and refresh token of one row are cut together: one box for both.
            is_first = token is not None and token.pk not in offered
            offered |= {token.pk} if token else set()
            cells.append(("Revoke", _cut(token) if token and is_first else "with the one above" if token else "–"))
        yield cells


def _what(hit: Hit) -> Any:
    if hit.token is None:
        return hit.kind
    return format_html("{} of {} {} {}", hit.kind, link(hit.token), fingerprint(hit.token), state_badge(hit.token))


def _cut(token: OAuthToken) -> Any:
    url = reverse("admin:tokens_oauthtoken_revoke", kwargs={"object_id": token.pk})
    return format_html(
        '<span class="check"><input type="checkbox" name="token" value="{0}" id="cut-{0}" checked> '
        '<label for="cut-{0}">#{0}</label></span><br><a href="{1}">this one only'
        '<span class="visually-hidden">, #{0}</span></a>',
        token.pk,
        url,
    )


def _gone(hit: Hit) -> list[tuple[str, Any]]:
    revocation = (
        format_html(
            '<a href="{}">revocation #{}</a>',
            reverse("admin:tokens_revocation_change", args=[hit.revocation_id]),
            hit.revocation_id,
        )
        if hit.revocation_id
        else "–"
    )
    what = link(hit.token) if hit.token is not None else hit.kind
    return [
        ("Found in", _lines(hit)),
        ("What", format_html("{} {}", what, badge("revoked", "gone"))),
        ("Installation", link(hit.installation) if hit.installation else "more than one"),
        ("Refused here since", utc(hit.revoked_at)),
        ("By", revocation),
    ]


def _lines(hit: Hit) -> str:
    shown = ", ".join(str(number) for number in hit.lines[:_LINES_SHOWN])
    more = f" and {len(hit.lines) - _LINES_SHOWN} more" if len(hit.lines) > _LINES_SHOWN else ""
    return f"line{'' if len(hit.lines) == 1 else 's'} {shown}{more}"


def links(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Give the link to the desk for those who may use it."""
    if request.user.has_perm("tokens.find_leaked"):
        yield reverse("admin:tokens_oauthtoken_leaked"), "Look leaked tokens up"
