"""The desk for leaked tokens and API keys: what was found goes in once, and what is known here can be cut at once.

Nothing of what is pasted or uploaded comes out again: not on the page, not in a message, an address or a session.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin import counted
from installations.admin.acts import (
    IN_FLIGHT,
    SDK_GOES_ON,
    TOKENS_STAY_VALID,
    ConfirmFirst,
    actor_of,
    note_refusal,
    posted,
    where_to_confirm,
    with_history,
)
from installations.admin.display import badge, join, link, list_url, mono, when
from installations.admin.text import translated, visible
from installations.errors import DomainError, NotPermitted
from tokens.admin.api_keys import KEY_STOPS, key_badge, where_to_delete
from tokens.admin.revoking import A_RELOAD_BRINGS_ONE, STOPS
from tokens.admin.tables import fingerprint, state_badge, user_label
from tokens.forms import CutLeakedForm, LeakedForm
from tokens.leak_search import Found, Hit
from tokens.leaks import TooMuchAtOnce
from tokens.models import ApiKey, OAuthToken, Revocation
from tokens.rates import take
from tokens.services.api_keys import revoke_api_key
from tokens.services.leaks import find_leaked
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

HIDDEN = _("shown to who may see API keys")
SHOWN = 200
_LINES_SHOWN = 5
_SAID = 10


def leaked_view(request: HttpRequest) -> HttpResponse:
    """Look leaked tokens up, or cut those of the last look that were ticked."""
    may = request.user.has_perm
    if not (may("tokens.find_leaked") and may("tokens.view_oauthtoken")):
        raise _refusal(request, "tokens.find_leaked")
    if request.method == "POST" and "cut" in request.POST:
        return _cut_ticked(request)
    form = LeakedForm(posted(request), request.FILES if request.method == "POST" else None)
    found = None
    if request.method == "POST" and form.is_valid():
        found = _find(request, form)
    return _page(request, form if form.errors else LeakedForm(), found)


def _refusal(request: HttpRequest, permission: str) -> PermissionDenied:
    """Record the attempt and return the refusal to raise."""
    note_refusal(request, permission, "tokens_oauthtoken_leaked", ("vault", "leaked"))
    return PermissionDenied()


def _may_cut_keys(request: HttpRequest) -> bool:
    return request.user.has_perm("tokens.revoke_apikey") and request.user.has_perm("tokens.view_apikey")


def _find(request: HttpRequest, form: LeakedForm) -> Found | None:
    try:
        take(settings.LEAKED_RATE, "leaked", str(request.user.pk))
        return find_leaked(lines=form.lines(), actor=actor_of(request))
    except NotPermitted:
        raise _refusal(request, "tokens.find_leaked") from None
    except (DomainError, TooMuchAtOnce) as error:
        form.add_error(None, translated(error.public_message if isinstance(error, DomainError) else error))
        return None


def _cut_ticked(request: HttpRequest) -> HttpResponse:
    """Revoke each row that was ticked, by its number: what was handed in does not travel again.

    A number names one lineage or one key for good, whatever it holds by now: there is nothing else to pin. Who may not
    revoke all that was ticked revokes nothing of it.
    """
    form = CutLeakedForm(request.POST)
    if form.tokens() and not request.user.has_perm("tokens.revoke_oauthtoken"):
        raise _refusal(request, "tokens.revoke_oauthtoken")
    if form.api_keys() and not _may_cut_keys(request):
        raise _refusal(request, "tokens.revoke_apikey")
    tokens = list(OAuthToken.objects.filter(pk__in=form.tokens()).order_by("pk"))
    keys = list(_keys(form.api_keys()))
    if where_to_confirm(request) and form.is_valid():
        form.add_error(None, translated(ConfirmFirst.public_message))
    if not form.is_valid():
        return _page(request, LeakedForm(), None, cut_form=form, kept=(tokens, keys))
    actor, reason = actor_of(request), form.cleaned_data["reason"]
    done: Counter[str] = Counter()
    failed: list[str] = []
    ticked: list[OAuthToken | ApiKey] = [*tokens, *keys]
    for row in ticked:
        try:
            done[_revoke(row, actor, reason)] += 1
        except DomainError as error:
            failed.append(f"{row}: {translated(error.public_message)}")
    revoked = counted.tokens(done["token"])
    if keys:
        revoked = gettext("%(tokens)s and %(keys)s") % {
            "tokens": revoked,
            "keys": counted.api_keys(done["api_key"]),
        }
    words = gettext("%(revoked)s revoked, %(skipped)s skipped (revoked already), %(failed)s failed.") % {
        "revoked": revoked,
        "skipped": done[""],
        "failed": len(failed),
    }
    if done["token"] and request.user.has_perm("tokens.view_revocation"):
        ledger = format_html('<a href="{}">{}</a>', list_url(Revocation), gettext("the ledger"))
        words = format_html(gettext("{words} See {row}."), words=visible(words), row=ledger)
    elif done["api_key"]:
        words = with_history(request, words, {"verb": "api_key.revoked"})
    messages.add_message(request, messages.ERROR if failed else messages.SUCCESS, words)
    for message in failed[:_SAID]:
        messages.add_message(request, messages.ERROR, message)
    for portal in sorted({str(key.installation.portal) for key in keys})[:_SAID]:
        messages.add_message(request, messages.WARNING, where_to_delete(portal))
    return HttpResponseRedirect(list_url(OAuthToken if tokens else ApiKey))


def _revoke(row: OAuthToken | ApiKey, actor: Actor, reason: str) -> str:
    """Revoke it, and return what it was; nothing when that was done before."""
    if isinstance(row, ApiKey):
        return "api_key" if revoke_api_key(api_key_id=row.pk, actor=actor, reason=reason) else ""
    cut = revoke_tokens(target=RevocationTarget.of_token(row.pk), actor=actor, reason=reason)
    return "token" if cut.tokens_cut else ""


def _keys(numbers: Sequence[int]) -> QuerySet[ApiKey]:
    rows = ApiKey.objects.filter(pk__in=numbers).defer("sealed_key").order_by("pk")
    return rows.select_related("installation__portal", "installation__application")


def _page(
    request: HttpRequest,
    form: LeakedForm,
    found: Found | None,
    *,
    cut_form: CutLeakedForm | None = None,
    kept: tuple[Sequence[OAuthToken], Sequence[ApiKey]] = ((), ()),
) -> TemplateResponse:
    live = found.live[:SHOWN] if found else []
    sees_keys = request.user.has_perm("tokens.view_apikey")
    tokens = kept[0] or [hit.token for hit in live if hit.token is not None]
    keys = kept[1] or [hit.api_key for hit in live if hit.api_key is not None and sees_keys]
    may_cut: list[OAuthToken | ApiKey] = [
        *(tokens if request.user.has_perm("tokens.revoke_oauthtoken") else ()),
        *(keys if _may_cut_keys(request) else ()),
    ]
    stays = (SDK_GOES_ON, TOKENS_STAY_VALID, A_RELOAD_BRINGS_ONE, IN_FLIGHT) if tokens else (IN_FLIGHT,)
    portals = sorted({str(key.installation.portal) for key in keys})
    context = {
        **admin.site.each_context(request),
        "opts": OAuthToken._meta,
        "title": gettext("Leaked tokens and keys"),
        "form": form,
        "found": found,
        "rows": list(_rows(live, may_cut, sees_keys=sees_keys)),
        "gone": [_gone(hit, sees_keys=sees_keys) for hit in found.hits if not hit.is_live][:SHOWN] if found else [],
        "more": max(0, len(found.live) - SHOWN) if found else 0,
        "cut_form": (cut_form or CutLeakedForm()) if may_cut else None,
        "refused": cut_form,
        "confirm_at": where_to_confirm(request) if cut_form else "",
        "kept": [(_field(row), row) for row in may_cut] if cut_form else (),
        "stops": [*(STOPS if tokens else ()), *(KEY_STOPS if keys else ())] if may_cut else (),
        "stays": (*stays, *map(where_to_delete, portals[:_SAID])) if may_cut else (),
        "stops_heading": gettext("What stops when they are revoked"),
        "stays_heading": gettext("What does not stop"),
    }
    return TemplateResponse(request, "admin/tokens/leaked.html", context)


def _rows(
    hits: Sequence[Hit], may_cut: Sequence[OAuthToken | ApiKey], *, sees_keys: bool
) -> Iterator[list[tuple[str, Any]]]:
    offered: set[OAuthToken | ApiKey] = set()
    for hit in hits:
        row = hit.token or hit.api_key
        hidden = hit.api_key is not None and not sees_keys
        cells: list[tuple[str, Any]] = [
            (gettext("Found in"), _lines(hit)),
            (gettext("What"), str(row) if hidden else _what(hit)),
        ]
        cells += [(name, HIDDEN if hidden else value) for name, value in _about(hit)]
        if may_cut:
            # Access and refresh token of one row are cut together: one box for both.
            first = (
                "–"
                if row is None or row not in may_cut
                else gettext("with the one above")
                if row in offered
                else _cut(row)
            )
            cells.append((gettext("Revoke"), first))
            offered |= {row} if row else set()
        yield cells


def _about(hit: Hit) -> list[tuple[str, Any]]:
    return [
        (
            gettext("Of whom"),
            link(hit.token.portal_user, user_label(hit.token)) if hit.token else gettext("the portal, no user"),
        ),
        (gettext("Installation"), link(hit.installation) if hit.installation else gettext("more than one")),
        (gettext("May do"), join(map(mono, hit.scopes)) if hit.scopes else gettext("nothing approved")),
        (gettext("Last used here"), when(hit.last_used_at, gettext("not known"))),
    ]


def _what(hit: Hit) -> Any:
    if hit.api_key is not None:
        label = f"#{hit.api_key.pk}, {hit.api_key.label}"
        return format_html("{} {} {}", hit.kind, link(hit.api_key, label), key_badge(hit.api_key))
    token = hit.token
    shown = (link(token), fingerprint(token), state_badge(token)) if token is not None else ("", "", "")
    return format_html(
        gettext("{kind} of {token} {fingerprint} {state}"),
        kind=translated(hit.kind),
        token=shown[0],
        fingerprint=shown[1],
        state=shown[2],
    )


def _field(row: OAuthToken | ApiKey) -> str:
    return "api_key" if isinstance(row, ApiKey) else "token"


def _cut(row: OAuthToken | ApiKey) -> Any:
    url = reverse(f"admin:tokens_{row._meta.model_name}_revoke", kwargs={"object_id": row.pk})
    return format_html(
        '<span class="check"><input type="checkbox" name="{0}" value="{1}" id="cut-{0}-{1}" checked> '
        '<label for="cut-{0}-{1}">#{1}</label></span><br><a href="{2}">{3}'
        '<span class="visually-hidden">, #{1}</span></a>',
        _field(row),
        row.pk,
        url,
        gettext("this one only"),
    )


def _gone(hit: Hit, *, sees_keys: bool) -> list[tuple[str, Any]]:
    revocation = (
        format_html(
            '<a href="{}">{}</a>',
            reverse("admin:tokens_revocation_change", args=[hit.revocation_id]),
            gettext("revocation #%(pk)s") % {"pk": hit.revocation_id},
        )
        if hit.revocation_id
        else "–"
    )
    row = hit.token or hit.api_key
    hidden = hit.api_key is not None and not sees_keys
    where = link(hit.installation) if hit.installation else gettext("more than one")
    what = hit.kind if row is None else str(row) if hidden else link(row)
    return [
        (gettext("Found in"), _lines(hit)),
        (gettext("What"), format_html("{} {}", what, badge(gettext("revoked"), "gone"))),
        (gettext("Installation"), HIDDEN if hidden else where),
        (gettext("Refused here since"), when(hit.revoked_at)),
        (gettext("By"), revocation),
    ]


def _lines(hit: Hit) -> str:
    shown = ", ".join(str(number) for number in hit.lines[:_LINES_SHOWN])
    words = ngettext("line %(lines)s", "lines %(lines)s", len(hit.lines)) % {"lines": shown}
    if len(hit.lines) > _LINES_SHOWN:
        words = gettext("%(lines)s and %(more)s more") % {"lines": words, "more": len(hit.lines) - _LINES_SHOWN}
    return words


def links(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Give the link to the desk for those who may use it."""
    if request.user.has_perm("tokens.find_leaked"):
        yield reverse("admin:tokens_oauthtoken_leaked"), gettext("Look leaked tokens up")
