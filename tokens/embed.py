"""The page that a portal shows in its iframe. It carries no secret, sets no cookie and believes nothing it is told."""

import re
from functools import partial
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from csp.decorators import csp_replace
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from installations.errors import PortalNotAllowed
from installations.flowlu.launch import Launch, read_launch
from installations.models import Application
from installations.portals import normalise_portal, portal_origin
from tokens.embed_texts import LANGUAGES

# A language tag (RFC 5646), `ru_RU` too; what the first part names is all that counts here.
_TAG = re.compile(r"([A-Za-z]{2,3})([-_][A-Za-z0-9]{1,8})*")


# A launch is a form POST from the portal's own page: there is no cookie that a forged one could ride on.
@csrf_exempt
@xframe_options_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def embed_page(request: HttpRequest) -> HttpResponseBase:
    """Show the page for the launch that the portal describes; without one it explains where it belongs."""
    values = {**request.GET.dict(), **request.POST.dict()}
    launch = read_launch(values, settings.FLOWLU_LAUNCH_NAMES)
    language = page_language(launch.language, request.headers.get("Accept-Language", ""))
    with translation.override(language):
        response = csp_replace(_policy(launch))(partial(_render, launch=launch))(request)
    response.headers["Content-Language"] = language
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def page_language(launched: str | None, accepted: str) -> str:
    """Return which of its languages the page speaks: the launch's, else the browser's first, else English.

    What is no language, or one that the page does not speak, counts as not said.
    """
    wanted = [launched or "", *(tag for tag, weight in parse_accept_lang_header(accepted) if weight > 0)]
    found = (match[1].lower() for match in map(_TAG.fullmatch, wanted) if match)
    return next((language for language in found if language in LANGUAGES), LANGUAGES[0])


def _render(request: HttpRequest, launch: Launch) -> HttpResponse:
    application = Application.objects.filter(app_id=launch.app_id).first() if launch.app_id else None
    context = {
        "api_base": "/api/v1",
        "sdk_url": settings.FLOWLU_SDK_URL,
        "launch": launch,
        "application_name": application.name if application else "",
    }
    return render(request, "embed/page.html", context)


def _policy(launch: Launch) -> dict[str, object]:
    scripts: list[str] = [SELF]
    if settings.FLOWLU_SDK_URL:
        sdk = urlsplit(settings.FLOWLU_SDK_URL)
        scripts.append(f"{sdk.scheme}://{sdk.netloc}")
    return {
        "default-src": [NONE],
        "script-src": scripts,
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "form-action": [NONE],
        "frame-ancestors": frame_ancestors(launch),
    }


def frame_ancestors(launch: Launch) -> list[str]:
    """Return who may frame the page: the portal that the launch names, or nobody when that is no portal.

    Without a launch it is any allowed portal: Flowlu does not document the names of launch values, and a name that this
    service does not know must not make the application invisible.
    """
    template: str = settings.FLOWLU_PORTAL_URL
    if launch.portal is not None:
        try:
            portal = normalise_portal(launch.portal, settings.FLOWLU_PORTAL_SUFFIXES)
        except PortalNotAllowed:
            return [NONE]
        return [portal_origin(portal, template)]
    parts = urlsplit(template.replace("{portal}", "*.portal"))
    if "{portal}" not in urlsplit(template).netloc:
        return [f"{parts.scheme}://{parts.netloc}"]
    return [
        f"{parts.scheme}://{parts.netloc.replace('*.portal', f'*{suffix}')}"
        for suffix in settings.FLOWLU_PORTAL_SUFFIXES
    ]
