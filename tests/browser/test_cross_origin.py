"""A frontend on an origin of its own, in a real browser: which page may ask, which may act, and what each is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Stack
from tests.browser.test_story import sign_in
from tests.factories import manifest

pytestmark = pytest.mark.browser

DESK, OTHER = "com.example.desk", "com.example.other"
WHY = ("--operator", "operator", "--reason", "A test.")
PAGE = """<!doctype html><meta charset="utf-8"><title>A frontend of its own</title>
<script type="module">
import {{ FlowluClient }} from '{service}/static/embed/flowlu-client.js';
const sdk = {{ context: async () => window.launch, refresh: async () => {{ throw new Error('no refresh here'); }} }};
const client = new FlowluClient({{ apiBase: '{service}/api/v1', sdk }});
const code = (error) => error.code;
window.open_ = (launch) => {{ window.launch = launch; return client.open().then(({{ user }}) => user.name, code); }};
window.permissions = () => client.permissions().then(({{ approved }}) => Array.isArray(approved), code);
window.close_ = () => client.close().then(() => 'closed', code);
window.ready = true;
</script>
"""


@pytest.fixture
def frontends(stack: Stack) -> Iterator[list[str]]:
    """Three servers on ports of their own, each an origin that serves the same page."""
    body = PAGE.format(service=stack.service).encode()

    class Served(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Served) for _ in range(3)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def launch(stack: Stack, open_page: Any) -> dict[str, Any]:
    """What the SDK gives: taken from a launch of our own page, which calls this service from its own origin."""
    page = open_page()
    with page.expect_response(f"{stack.service}/api/v1/session") as answered:
        page.goto(f"{stack.portal}/open/acme.flowlu.com/3?launch=post&language=en")
    assert answered.value.status == 201
    assert answered.value.request.header_value("Origin") == stack.service
    sent: dict[str, Any] = answered.value.request.post_data_json
    return sent


def opened(open_page: Any, origin: str, launch: dict[str, Any]) -> tuple[Any, str]:
    page = open_page()
    page.goto(origin)
    page.wait_for_function("window.ready")
    return page, page.evaluate("(launch) => window.open_(launch)", launch)


def allow(stack: Stack, app_id: str, *origins: str) -> None:
    stack.manage("set_allowed_origins", "--app", app_id, *origins, *WHY)


def test_page_of_another_applications_origin_is_refused_and_told(
    stack: Stack, open_page: Any, complaints: list[str], frontends: list[str], launch: dict[str, Any], tmp_path: Path
) -> None:
    ours, theirs, nobodys = frontends
    document = tmp_path / "manifest.json"
    document.write_text(manifest(OTHER))
    stack.manage("import_manifest", str(document))
    allow(stack, DESK, ours)
    allow(stack, OTHER, theirs)
    open_page().wait_for_timeout(5_500)  # every process knows the lists by then

    # a page on the allowed origin works
    page, name = opened(open_page, ours, launch)
    assert name not in ("", "network_error", "origin_not_allowed")
    assert page.evaluate("window.permissions()") is True
    assert complaints == []

    # one on the other application's origin gets past the preflight, and reads why it is refused
    _page, refused = opened(open_page, theirs, launch)
    assert refused == "origin_not_allowed"
    assert complaints == []

    # one on any other origin reads nothing
    _page, refused = opened(open_page, nobodys, launch)
    assert refused == "network_error"
    assert len(complaints) == 1
    assert "blocked by CORS policy" in complaints[0]
    complaints.clear()

    # an origin that is left out is refused in the session that is open, from the next request on
    allow(stack, OTHER, theirs, ours)  # so that the page can go on reading answers
    allow(stack, DESK)
    assert page.evaluate("window.permissions()") == "origin_not_allowed"
    allow(stack, DESK, ours)
    assert page.evaluate("window.permissions()") is True
    assert page.evaluate("window.close_()") == "closed"
    assert complaints == []


def test_operator_allows_an_origin_in_the_console(
    stack: Stack, open_page: Any, complaints: list[str], frontends: list[str], launch: dict[str, Any]
) -> None:
    page = open_page()
    sign_in(page, stack)
    page.goto(f"{stack.service}/admin/installations/application/?q={DESK}")
    page.click("#result_list tbody th a")
    page.click("#content a[href$='/origins/']")
    page.fill("textarea[name=origins]", f"{frontends[0]}/")
    page.fill("textarea[name=reason]", "Our frontend.")
    page.click("#content form button[type=submit]")
    assert "leave out the path, also a slash at the end" in page.inner_text("#content")
    page.fill("textarea[name=origins]", frontends[0])
    page.click("#content form button[type=submit]")
    page.wait_for_url("**/change/")
    assert frontends[0] in page.inner_text("#content")
    page.wait_for_timeout(5_500)

    _page, name = opened(open_page, frontends[0], launch)

    assert name not in ("", "network_error", "origin_not_allowed")
    assert complaints == []
