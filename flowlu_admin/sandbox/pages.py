"""The pages of the sandbox: the list of portals, and a portal's page with the application in its iframe."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from flowlu_admin.sandbox import control
from flowlu_admin.sandbox.book import SandboxError
from flowlu_admin.sandbox.data import User
from flowlu_admin.sandbox.http_types import Request, Response, json_response
from flowlu_admin.sandbox.state import Portal, SandboxState

LANGUAGES = {"en": "English", "es": "Español", "pt": "Português", "ru": "Русский"}
INTEGRATION_POINT = "app.homepage"
INTEGRATION_ID = "home"

_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Site:
    """What the pages are about: the state, and where the application lives."""

    def __init__(self, state: SandboxState, embed_url: str) -> None:
        self.state = state
        self.embed_url = embed_url

    @property
    def application_origin(self) -> str:
        """Give the only origin that the portal page talks to."""
        parts = urlsplit(self.embed_url)
        return f"{parts.scheme}://{parts.netloc}"


def respond(site: Site, request: Request) -> Response:
    """Answer a page, a static file, or a call of the portal page's own script."""
    if request.path.startswith("/portal-session/"):
        return _portal_session(site, request)
    if request.method not in ("GET", "HEAD"):
        return json_response({"error": "Method Not Allowed"}, 405, {"Allow": "GET, HEAD"})
    name, _, port = request.headers.get("host", "").partition(":")
    if name == "127.0.0.1":
        # Under one name with the application the iframe would not be cross-site, and would prove nothing.
        query = f"?{request.query}" if request.query else ""
        location = f"http://localhost:{port or 80}{quote(request.path)}{query}"
        return Response(302, b"", headers={"Location": location, "Cache-Control": "no-store"})
    if request.path == "/":
        return _page(site, "Sandbox portals", _index(site))
    if request.path.startswith("/open/"):
        return _open(site, request)
    return _static(request.path) or _page(site, "Not found", _not_found(), status=404)


def _static(path: str) -> Response | None:
    folder, _, name = path.removeprefix("/").rpartition("/")
    if folder not in ("static", "sdk") or name not in {file.name for file in _STATIC.iterdir()}:
        return None
    file = _STATIC / name
    media_type = f"{_TYPES[file.suffix]}; charset=utf-8"
    return Response(
        200,
        file.read_bytes(),
        media_type,
        {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
    )


# The portal page's script


def _portal_session(site: Site, request: Request) -> Response:
    """Answer the portal page's own script; a JSON body cannot be sent from another site without being asked first."""
    verb = _SESSION_VERBS.get(request.path.removeprefix("/portal-session/"))
    try:
        if verb is None or request.method != "POST":
            raise SandboxError("There is no such call of the portal page.", 404)
        if request.content_type != "application/json":
            raise SandboxError("The body must be application/json.", 415)
        return verb(site, control.read_object(request))
    except SandboxError as exc:
        return json_response({"error": exc.message}, exc.status)


def _launch(site: Site, values: dict[str, Any]) -> Response:
    """Start a pair for the user who opens the application and give the context that the SDK will hand on."""
    state = site.state
    portal = state.portal(control.text(values, "portal"))
    language = values.get("language")
    pair = state.issue_tokens(portal.domain, control.text(values, "user_id"))
    return json_response(
        {
            "https": False,
            "language": language if language in LANGUAGES else "en",
            "domain": portal.domain,
            "account": {"id": portal.seed.account_id},
            "app": {"id": state.app_id, "version": state.app_version},
            "auth": site.state.as_sdk(pair),
            "placement": {"id": INTEGRATION_ID, "code": INTEGRATION_POINT, "props": {}},
            "ratelimit": {"limit": portal.settings.rate_limit or 10},
        }
    )


def _refresh(site: Site, values: dict[str, Any]) -> Response:
    return json_response(site.state.as_sdk(site.state.refresh(control.text(values, "refresh_token"))))


def _expire(site: Site, values: dict[str, Any]) -> Response:
    site.state.expire_token(control.text(values, "access_token"))
    return json_response({"ok": True})


def _remove(site: Site, values: dict[str, Any]) -> Response:
    return json_response({"tokens_ended": site.state.remove_application(control.text(values, "portal"))})


def _install(site: Site, values: dict[str, Any]) -> Response:
    site.state.install_application(control.text(values, "portal"))
    return json_response({"ok": True})


_SESSION_VERBS: dict[str, Callable[[Site, dict[str, Any]], Response]] = {
    "launch": _launch,
    "refresh": _refresh,
    "expire": _expire,
    "remove": _remove,
    "install": _install,
}


# Pages


def _index(site: Site) -> str:
    portals = "".join(_portal_card(site.state, portal) for portal in site.state.portals.values())
    return f"""
<h1>Sandbox portals</h1>
<p class="lead">Choose a portal and the person you want to be: you see the portal as that person, with the application
<code>{escape(site.state.app_id)}</code> open in it. What a portal administrator approved at the portal is listed with
it; approve the same in the console, as far as its catalogue knows the scope, because nothing tells the console.
Whatever you do here stays in this sandbox and never reaches Flowlu.</p>
<div class="portals">{portals}</div>
<p class="quiet">The application is expected at <code>{escape(site.embed_url)}</code>.</p>"""


def _portal_card(state: SandboxState, portal: Portal) -> str:
    people = "".join(_person(portal, user) for user in portal.seed.users)
    if portal.is_installed:
        scopes = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in state.approved_scopes(portal))
        approved = f'<ul class="scopes">{scopes or "<li>nothing</li>"}</ul>'
    else:
        approved = '<p class="quiet">The application is not installed here.</p>'
    label = portal.domain.partition(".")[0]
    return f"""
<section class="card" aria-labelledby="portal-{label}">
  <h2 id="portal-{label}">{escape(portal.seed.title)}</h2>
  <p class="quiet">{escape(portal.domain)}</p>
  <ul class="people">{people}</ul>
  <h3>Approved at this portal</h3>
  {approved}
</section>"""


def _person(portal: Portal, user: User) -> str:
    return (
        f'<li><a href="/open/{portal.domain}/{user.id}"><span class="name">{escape(user.name)}</span>'
        f'<span class="quiet">{escape(user.role)}</span></a></li>'
    )


def _open(site: Site, request: Request) -> Response:
    parts = request.path.removeprefix("/open/").strip("/").split("/")
    if len(parts) != 2:
        return _page(site, "Not found", _not_found(), status=404)
    try:
        portal = site.state.portal(parts[0])
        user = site.state.user(parts[0], parts[1])
    except SandboxError as exc:
        return _page(site, "Not found", _not_found(exc.message), status=exc.status)
    options = dict(parse_qsl(request.query))
    language = options.get("lang", user.lang_id)
    if language not in LANGUAGES:
        language = "en"
    launch = "get" if options.get("launch") == "get" else "post"
    body = _portal_page(site, portal, user, language, launch)
    return _page(site, f"{portal.seed.title}: {user.name}", body, script=True, wide=True)


def _portal_page(site: Site, portal: Portal, user: User, language: str, launch: str) -> str:
    here = f"/open/{portal.domain}/{user.id}"

    def link(**changes: str) -> str:
        options = {"lang": language, "launch": launch, **changes}
        return escape(f"{here}?{urlencode(options)}")

    languages = " ".join(
        _choice(link(lang=code), name, chosen=code == language, attributes=f' lang="{code}"')
        for code, name in LANGUAGES.items()
    )
    launches = " ".join(_choice(link(launch=way), way.upper(), chosen=way == launch) for way in ("post", "get"))
    fields = {
        "protocol": "http",
        "domain": portal.domain,
        "language": language,
        "integration_point": INTEGRATION_POINT,
        "integration_id": INTEGRATION_ID,
        "app_id": site.state.app_id,
        "app_version": site.state.app_version,
    }
    target = site.embed_url
    if launch == "get":
        # A GET form drops the query of its action, so that moves into fields of its own.
        parts = urlsplit(site.embed_url)
        fields = {**dict(parse_qsl(parts.query)), **fields}
        target = parts._replace(query="").geturl()
    inputs = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    installed = portal.is_installed
    return f"""
<header class="portal-head">
  <p class="crumbs"><a href="/">All portals</a></p>
  <h1>{escape(portal.seed.title)} <span class="quiet">{escape(portal.domain)}</span></h1>
  <p class="who">Signed in as <strong>{escape(user.name)}</strong> <span class="quiet">{escape(user.role)}</span></p>
</header>
<section class="tools" aria-label="Test tools of the sandbox">
  <div class="buttons">
    <button type="button" id="reload"{_off(not installed)}>Reload application</button>
    <button type="button" id="refresh"{_off(not installed)}>Refresh pair</button>
    <button type="button" id="expire"{_off(not installed)}>Expire the access token</button>
    <button type="button" id="remove" class="danger"{_off(not installed)}>Remove the application</button>
    <button type="button" id="install"{_off(installed)}>Install the application</button>
  </div>
  <p class="switch"><span class="quiet">Language</span> {languages}</p>
  <p class="switch"><span class="quiet">Launch by</span> {launches}</p>
  <p id="said" role="status" aria-live="polite">Opening the application…</p>
</section>
<form id="launch" method="{launch}" action="{escape(target)}" target="application">{inputs}
  <noscript><button>Open without the SDK (scripts are off)</button></noscript>
</form>
<iframe id="application" name="application" title="The application {escape(site.state.app_id)}"
        sandbox="allow-scripts allow-same-origin allow-forms allow-popups allow-downloads allow-modals"
        data-portal="{escape(portal.domain)}" data-user="{escape(user.id)}" data-language="{language}"
        data-origin="{escape(site.application_origin)}" data-installed="{"yes" if installed else "no"}"></iframe>"""


def _choice(address: str, name: str, *, chosen: bool, attributes: str = "") -> str:
    current = ' aria-current="true"' if chosen else ""
    return f'<a href="{address}"{attributes}{current}>{name}</a>'


def _off(hidden: bool) -> str:
    return " hidden" if hidden else ""


def _not_found(message: str = "There is no such page in the sandbox.") -> str:
    return f'<h1>Not found</h1><p>{escape(message)}</p><p><a href="/">All portals</a></p>'


def _page(
    site: Site, title: str, body: str, *, status: int = 200, script: bool = False, wide: bool = False
) -> Response:
    scripts = '<script src="/static/portal.js" defer></script>' if script else ""
    html = f"""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{escape(title)} (sandbox)</title>
  <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/sandbox.css">
  {scripts}
</head>
<body>
<p class="label"><strong>Sandbox: not Flowlu</strong>
<span>Invented portals, people and data for development and tests.</span></p>
<main{' class="wide"' if wide else ""}>{body}</main>
</body>
</html>
"""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"frame-src {site.application_origin}; form-action {site.application_origin}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(status, html.encode(), "text/html; charset=utf-8", headers)
