"""The SDK and the portal page in a real browser: cross-site, third-party storage blocked, one trusted origin."""

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from flowlu_admin.sandbox.server import SandboxServer  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found: apt-get install chromium"),
]

# The smallest application: it keeps what it is given where a test can look at it.
APPLICATION = """<!doctype html><meta charset="utf-8"><title>Application</title>
<p id="launch">%s</p><p id="state">waiting</p>
<script src="%s"></script>
<script>
  const App = window.ACloudMiniApp;
  App.initializeFrame().then((frame) => {
    window.frame = frame;
    document.getElementById('state').textContent = 'ready';
  }, (error) => {
    document.getElementById('state').textContent = error.message;
  });
</script>"""


class ApplicationServer(ThreadingHTTPServer):
    daemon_threads = True
    sdk_url = ""


class Handler(BaseHTTPRequestHandler):
    server: ApplicationServer

    def do_GET(self) -> None:
        launch = f"{self.command} {self.path.partition('?')[2]}"
        self._answer(launch)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(f"{self.command} {body}")

    def _answer(self, launch: str) -> None:
        page = (APPLICATION % (launch.replace("&", "&amp;"), self.server.sdk_url)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def application() -> Iterator[ApplicationServer]:
    server = ApplicationServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site(application: ApplicationServer) -> Iterator[SandboxServer]:
    with SandboxServer(embed_url=f"http://127.0.0.1:{application.server_port}/embed/") as sandbox:
        application.sdk_url = sandbox.sdk_url
        yield sandbox


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        arguments = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--test-third-party-cookie-phaseout",
        ]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    context.set_default_timeout(10_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def on_console(message: Any) -> None:
        # The browser itself reports a 401; that one is what a test is about.
        if message.type == "error" and "status of 401" not in message.text:
            problems.append(message.text)

    page.on("console", on_console)
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def opened(page: Any, site: SandboxServer) -> Callable[[str], Any]:
    """Open a path of the sandbox and return the application's frame once the SDK has its context."""

    def open_path(path: str) -> Any:
        page.goto(site.url + path)
        return ready_frame(page)

    return open_path


def ready_frame(page: Any) -> Any:
    page.frame_locator("#application").locator("#state", has_text="ready").wait_for()
    return next(frame for frame in page.frames if frame.name == "application")


def test_the_launch_is_a_post_without_tokens_and_the_sdk_brings_the_context(opened: Any, site: SandboxServer) -> None:
    frame = opened("/open/acme.flowlu.com/2")
    launch = frame.text_content("#launch")
    assert launch.startswith("POST protocol=http&domain=acme.flowlu.com&language=es&")
    context = frame.evaluate("() => window.frame.getContext()")
    assert context["auth"]["access_token"] not in launch
    assert (context["domain"], context["language"], context["https"]) == ("acme.flowlu.com", "es", False)
    assert context["app"] == {"id": "com.example.desk", "version": "1.0.0"}
    assert frame.evaluate("() => [window.frame.domain, window.frame.language]") == ["acme.flowlu.com", "es"]
    caller = site.state.caller_by_token(site.state.portal("acme"), context["auth"]["access_token"])
    assert caller is not None
    assert caller.user is not None
    assert caller.user.id == "2"


def test_the_launch_may_be_a_get_in_another_language(opened: Any) -> None:
    frame = opened("/open/acme.flowlu.com/2?launch=get&lang=ru")
    assert frame.text_content("#launch").startswith("GET protocol=http&domain=acme.flowlu.com&language=ru")


def test_the_sdk_refreshes_through_the_parent_and_tells_listeners(opened: Any, site: SandboxServer) -> None:
    frame = opened("/open/acme.flowlu.com/2")
    result = frame.evaluate(
        """async () => {
          const oauth2 = window.ACloudMiniApp.OAuth2.getInstance();
          const before = { token: oauth2.accessToken, isDate: oauth2.expiresAt instanceof Date };
          const told = [];
          oauth2.events.onRefresh = (pair) => told.push(pair.access_token);
          const pair = await oauth2.refresh();
          return { before, told, pair, same: oauth2 === window.frame.rest.oauth2,
                   after: oauth2.accessToken, context: window.frame.getContext().auth };
        }"""
    )
    assert result["before"]["isDate"] is True
    assert result["same"] is True
    assert result["pair"]["access_token"] == result["after"] != result["before"]["token"]
    assert result["told"] == [result["after"]]
    assert result["context"] == result["pair"]
    portal = site.state.portal("acme")
    assert site.state.caller_by_token(portal, result["before"]["token"]) is None
    assert site.state.caller_by_token(portal, result["after"]) is not None


def test_refreshes_at_the_same_time_share_one_pair(opened: Any) -> None:
    frame = opened("/open/acme.flowlu.com/2")
    tokens = frame.evaluate(
        """async () => {
          const { oauth2 } = window.frame.rest;
          const pairs = await Promise.all([oauth2.refresh(), oauth2.refresh(), oauth2.refresh()]);
          return pairs.map((pair) => pair.access_token);
        }"""
    )
    assert len(set(tokens)) == 1


def test_the_sdks_own_calls_go_through_the_parent_and_survive_an_expiry(
    opened: Any, page: Any, site: SandboxServer
) -> None:
    frame = opened("/open/acme.flowlu.com/2")
    site.state.expire_token(frame.evaluate("() => window.frame.rest.oauth2.accessToken"))
    listed = frame.evaluate("() => window.frame.rest.get('/crm/account/list', { limit: 2, filter: { type: 2 } })")
    assert [item["id"] for item in listed["response"]["items"]] == [201, 202]
    assert frame.evaluate("() => window.frame.rest.get('/../x').then(() => 'done', (e) => e.message)") == (
        "The portal refused: This is no REST method."
    )


def test_the_buttons_of_the_portal_page(opened: Any, page: Any, site: SandboxServer) -> None:
    frame = opened("/open/acme.flowlu.com/2")
    portal = site.state.portal("acme")
    first = frame.evaluate("() => window.frame.rest.oauth2.accessToken")

    page.click("#expire")
    page.locator("#said", has_text="has expired").wait_for()
    assert site.state.caller_by_token(portal, first) is None
    second = frame.evaluate("async () => (await window.frame.rest.oauth2.refresh()).access_token")
    assert site.state.caller_by_token(portal, second) is not None

    page.click("#refresh")
    page.locator("#said", has_text="by itself").wait_for()
    assert site.state.caller_by_token(portal, second) is None

    page.click("#reload")
    page.locator("#said", has_text="has the pair of tokens").wait_for()
    third = ready_frame(page).evaluate("() => window.frame.rest.oauth2.accessToken")
    assert third not in (first, second)
    assert site.state.caller_by_token(portal, third) is not None

    page.click("#remove")
    page.locator("#said", has_text="is removed").wait_for()
    assert site.state.live_pairs("acme") == 0
    assert page.is_visible("#reload") is False
    page.click("#install")
    page.locator("#said", has_text="has the pair of tokens").wait_for()
    assert site.state.live_pairs("acme") == 1


def test_it_all_works_with_third_party_storage_denied(opened: Any, page: Any) -> None:
    frame = opened("/open/acme.flowlu.com/2")
    denied = "() => { try { return localStorage.length; } catch (error) { return error.name; } }"
    assert frame.evaluate(denied) == "SecurityError"
    assert frame.evaluate("async () => typeof (await window.frame.rest.oauth2.refresh()).access_token") == "string"
    assert page.context.cookies() == []


def test_without_a_portal_the_sdk_says_so(page: Any, application: ApplicationServer, site: SandboxServer) -> None:
    page.goto(f"http://127.0.0.1:{application.server_port}/embed/")
    page.locator("#state", has_text="not inside a portal").wait_for()


def test_a_parent_of_another_origin_gets_nothing_and_gives_nothing(
    browser: Any, application: ApplicationServer, site: SandboxServer
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{application.server_port}/robots.txt")
    page.evaluate(
        """(address) => {
          window.heard = [];
          addEventListener('message', (event) => window.heard.push(event.data));
          document.body.innerHTML = `<iframe name="application" src="${address}"></iframe>`;
          const answer = { channel: 'flowlu-sandbox', answers: 1, value: { auth: { access_token: 'forged' } } };
          setInterval(() => frames[0].postMessage(answer, '*'), 100);
        }""",
        f"http://127.0.0.1:{application.server_port}/embed/",
    )
    state = page.frame_locator("iframe").locator("#state", has_text="No portal answered within 5 seconds")
    state.wait_for(timeout=10_000)
    assert page.evaluate("() => window.heard") == []
    context.close()


def test_the_portal_page_answers_no_other_window(opened: Any, page: Any, site: SandboxServer) -> None:
    opened("/open/acme.flowlu.com/2")
    heard = page.evaluate(
        """async () => {
          const heard = [];
          addEventListener('message', (event) => heard.push(event.data));
          window.postMessage({ channel: 'flowlu-sandbox', id: 9, ask: 'context' }, '*');
          await new Promise((resolve) => setTimeout(resolve, 300));
          return heard.filter((data) => 'answers' in data);
        }"""
    )
    assert heard == []
