"""The service as it is deployed: the image's files, secrets of make-secrets, gunicorn, and nginx before it."""

import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import resolve

from installations.errors import RateLimited, RequestTooLarge
from tests.bench.load import free_port
from tests.deploy import image
from tests.deploy.edge import MISSING, NAME, ROOT, TEMPLATE, Answer, Edge, before, running
from tests.security.test_smuggling import AMBIGUOUS, BEHIND
from tokens.api.parsers import CALL_BYTES, HANDSHAKE_BYTES

pytestmark = [
    pytest.mark.skipif(
        bool(MISSING), reason=f"NOT RUN without {', '.join(MISSING)} (Debian: nginx-light gettext-base)"
    ),
    pytest.mark.xdist_group("deploy"),
]
CANARY = "c4n4ry-in-a-query"
SECURITY_HEADERS = (
    "Strict-Transport-Security",
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
    "Cache-Control",
)
UPLOADS = (
    "/admin/installations/application/import/",
    "/admin/installations/installation/7/manifest/",
    "/admin/installations/catalogueedition/import/",
    "/admin/tokens/oauthtoken/leaked/",
)
TAKES = {
    "/": 256 * 1024,
    "/accounts/login/": 256 * 1024,
    "/admin/installations/installation/7/change/": 256 * 1024,
    "/api/v1/session": HANDSHAKE_BYTES,
    "/service/v1/other": HANDSHAKE_BYTES,
    "/api/v1/flowlu/crm/account/create": CALL_BYTES,
    "/service/v1/flowlu/crm/account/create": CALL_BYTES,
    **dict.fromkeys(UPLOADS, 3 * 1024 * 1024),
}
OWN_HEADERS = ("Strict-Transport-Security", "X-Content-Type-Options", "Cache-Control", "X-Request-ID")


@dataclass(frozen=True, slots=True)
class Deployed:
    edge: Edge
    files: Path  # of the image
    log: Path  # of gunicorn
    environment: dict[str, str]
    port: int

    def written(self) -> str:
        return self.edge.written() + self.log.read_text(errors="replace")

    def answered(self) -> list[str]:
        """Return the requests of gunicorn's access log."""
        return re.findall(r'^\S+ "([A-Z]+ [^"]+)" \d{3} ', self.log.read_text(errors="replace"), re.MULTILINE)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    files, secrets, at_nginx, var = (folder / name for name in ("image", "secrets", "nginx", "var"))
    for made in (files, at_nginx):
        made.mkdir()
    image.make(files)
    subprocess.run([ROOT / "deploy/make-secrets", secrets], check=True, env={"PATH": os.environ["PATH"], "FOR": "me"})
    port = free_port()
    names = ("SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY")
    environment = {
        "PATH": os.environ["PATH"],
        **{f"{name}_FILE": str(secrets / name.lower()) for name in names},
        "VAR_DIR": str(var),
        "STATIC_ROOT": str(files / "static"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ALLOWED_HOSTS": NAME,
        "PUBLIC_URL": f"https://{NAME}",
        "TRUSTED_PROXIES": "127.0.0.1",
        "PORT": str(port),
    }
    manage = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(manage, cwd=files, env=environment, check=True)
    started = re.search(r"^CMD (\[.*\])$", image.DOCKERFILE, re.MULTILINE)
    assert started
    command = [sys.executable, "-m", *json.loads(started[1])]
    log = folder / "gunicorn.log"
    with running(command, port, log, environment, cwd=files), before(port, at_nginx) as edge:
        yield Deployed(edge, files, log, environment, port)


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """nginx before something that answers with the headers and the length that reached it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with before(server.server_address[1], tmp_path_factory.mktemp("echoing")) as edge:
        yield edge
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """nginx before a port where nobody listens."""
    with before(free_port(), tmp_path_factory.mktemp("away")) as edge:
        yield edge


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        received = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        body = json.dumps({"received": received, "headers": [[*pair] for pair in self.headers.items()]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


def once(answer: Answer, names: tuple[str, ...]) -> dict[str, int]:
    return {name: len(answer.headers.get_all(name, [])) for name in names}


def test_it_is_alive_and_ready(deployed: Deployed) -> None:
    assert [deployed.edge.ask(path).status for path in ("/healthz", "/readyz")] == [200, 200]


def test_health_check_of_the_image_tells_whether_it_answers(deployed: Deployed) -> None:
    command = [sys.executable, "deploy/healthcheck.py"]
    assert f'CMD ["python", "{command[1]}"]' in image.DOCKERFILE
    asked = {"cwd": deployed.files, "stderr": subprocess.DEVNULL}

    assert subprocess.run(command, env=deployed.environment, check=False, **asked).returncode == 0
    elsewhere = deployed.environment | {"PORT": str(free_port())}
    assert subprocess.run(command, env=elsewhere, check=False, **asked).returncode == 1


def test_console_and_api_answer_with_each_header_once(deployed: Deployed) -> None:
    console, sign_in = deployed.edge.ask("/admin/"), deployed.edge.ask("/accounts/login/")
    api = deployed.edge.ask("/api/v1/session")

    assert (console.status, console.headers["Location"]) == (302, "/admin/login/?next=/admin/")
    assert (sign_in.status, api.status) == (200, 401)
    assert json.loads(api.body)["error"] == "invalid_session"
    for answer in (console, sign_in, api):
        assert once(answer, SECURITY_HEADERS) == dict.fromkeys(SECURITY_HEADERS, 1)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers.get_all("Server") == ["nginx"]


def test_cookies_are_for_https_only(deployed: Deployed) -> None:
    cookies = deployed.edge.ask("/accounts/login/").headers.get_all("Set-Cookie", [])
    assert cookies
    assert [cookie for cookie in cookies if "Secure" not in cookie or "HttpOnly" not in cookie] == []


def test_what_pages_load_is_kept_for_good_and_what_frontends_import_is_not(deployed: Deployed) -> None:
    page = deployed.edge.ask("/accounts/login/").body.decode()
    loaded = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert loaded
    for path in loaded:
        answer = deployed.edge.ask(path)
        assert (answer.status, "immutable" in answer.headers["Cache-Control"]) == (200, True), path
        assert once(answer, SECURITY_HEADERS[:3]) == dict.fromkeys(SECURITY_HEADERS[:3], 1)

    imported = deployed.edge.ask("/static/embed/flowlu-client.js")
    assert imported.headers["Cache-Control"].startswith("max-age=300")
    assert imported.headers["Access-Control-Allow-Origin"] == "*"


def test_body_over_the_limit_is_refused_as_the_api_refuses_it(deployed: Deployed) -> None:
    body = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    said = {"error": RequestTooLarge.code, "error_description": str(RequestTooLarge.public_message)}

    for path in ("/api/v1/session", "/service/v1/flowlu/crm/account/list"):
        answer = deployed.edge.ask(path, method="POST", body=body, headers={"Content-Type": "application/json"})
        assert (answer.status, answer.headers.get_all("Content-Type")) == (413, ["application/json"])
        assert json.loads(answer.body) == {**said, "request_id": answer.headers["X-Request-ID"]}
        assert once(answer, OWN_HEADERS) == dict.fromkeys(OWN_HEADERS, 1)

    page = deployed.edge.ask("/accounts/login/", method="POST", body=body)
    assert (page.status, page.body) == (413, f"{RequestTooLarge.public_message}\n".encode())


@pytest.mark.parametrize(("path", "limit"), TAKES.items())
def test_body_within_the_limit_is_passed_on_whole_and_is_never_on_a_disk(echoing: Edge, path: str, limit: int) -> None:
    answer = echoing.ask(path, method="POST", body=b"x" * limit)

    assert json.loads(answer.body)["received"] == limit
    assert echoing.ask(path, method="POST", body=b"x" * (limit + 1)).status == 413
    template = TEMPLATE.read_text(encoding="utf-8")
    # What may come is in memory as a whole.
    assert re.findall(r"client_max_body_size (\w+);", template) == re.findall(
        r"client_body_buffer_size (\w+);", template
    )


def test_pages_that_take_a_file_are_known() -> None:
    assert {TAKES[path] for path in UPLOADS} == {settings.DATA_UPLOAD_MAX_MEMORY_SIZE}
    assert [resolve(path).url_name for path in UPLOADS if resolve(path).url_name is None] == []
    taking = [
        f"{path.parent.name}/{path.name}: {form}"
        for path in sorted(ROOT.glob("*/*forms.py"))
        for form in re.findall(
            r"^class (\w+)\((?:(?!^class ).)*?forms\.FileField\(", path.read_text(encoding="utf-8"), re.M | re.S
        )
    ]
    assert taking == [
        "installations/catalogue_forms.py: ImportCatalogueForm",
        "installations/forms.py: ImportForm",
        "tokens/forms.py: LeakedForm",
    ]


@pytest.mark.parametrize(("path", "many"), [("/", 100), (UPLOADS[0], 10), ("/api/v1/session", 100)])
def test_address_has_so_many_requests_under_way_and_no_more(echoing: Edge, path: str, many: int) -> None:
    """Each says that it brings more, and does not: what it holds is bounded, and others come in again when it ends."""
    began = f"POST {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1000\r\n\r\nx".encode()
    with ExitStack() as held:
        for _ in range(many):
            held.enter_context(echoing.connected()).sendall(began)
        answer = ask_until(echoing, path, 429)

        assert answer.headers["Retry-After"] == "1"
        assert once(answer, OWN_HEADERS) == dict.fromkeys(OWN_HEADERS, 1)
        if path.startswith("/api/"):
            assert json.loads(answer.body)["error"] == RateLimited.code
        if many == 10:  # the small forms beside them
            assert echoing.ask("/", method="POST", body=b"").status == 200
    assert ask_until(echoing, path, 200).headers["Retry-After"] is None


def ask_until(edge: Edge, path: str, status: int) -> Answer:
    """Ask until nginx has heard of every connection that was opened, or closed."""
    deadline = time.monotonic() + 20
    while (answer := edge.ask(path, method="POST", body=b"")).status != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


@pytest.mark.parametrize("path", ["/readyz", "/api/schema"])
def test_what_is_dear_is_asked_for_a_few_times_a_second(echoing: Edge, path: str) -> None:
    ask_until(echoing, path, 200)
    refused = [answer for _ in range(60) if (answer := echoing.ask(path, method="POST", body=b"")).status == 429]

    assert refused[0].headers["Retry-After"] == "1"
    assert once(refused[0], OWN_HEADERS) == dict.fromkeys(OWN_HEADERS, 1)
    assert echoing.ask("/healthz", method="POST", body=b"").status == 200


def test_nobody_says_for_whom_they_speak(echoing: Edge) -> None:
    claimed = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example.com",
        "Forwarded": "for=203.0.113.7",
        "X_Forwarded_For": "203.0.113.7",
    }
    answer = echoing.ask("/", method="POST", body=b"", headers=claimed)
    received = [(name.lower(), value) for name, value in json.loads(answer.body)["headers"]]

    forwarded = sorted(pair for pair in received if "forwarded" in pair[0])
    assert forwarded == [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")]
    assert ("host", NAME) in received


# What would be a header of its own, if it ended the line before it.
BREAKS = ("%0d%0aX-Injected:%201", "%0aX-Injected:1", "%0d%0a%0d%0a<script>", "%e5%98%8d%e5%98%8aX-Injected:1", "%00")
PLACES = (
    "/{}", "/admin{}", "/admin/?next={}", "/accounts/login/?next=/{}", "/api/v1/session{}",
    "/api/v1/flowlu/crm/{}/list", "/api/v1/permissions?module={}",
    "/service/v1/flowlu/{}", "/embed/?portal={}", "/static/{}", "/metrics{}",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_header_comes_of_a_line_break_in_an_address(deployed: Deployed, place: str) -> None:
    for text in BREAKS:
        for plain in (False, True):
            answer = deployed.edge.ask(place.format(text), plain=plain)
            assert answer.status < 500, text
            assert "X-Injected" not in answer.headers, text
            # nginx refuses a null in a path while it reads the line: without TLS it does not know yet for which server.
            own = 0 if plain and text == "%00" and "?" not in place else 1
            assert once(answer, OWN_HEADERS[1:]) == dict.fromkeys(OWN_HEADERS[1:], own), text
            assert not re.search(r"[\r\n]", "".join(answer.headers.values())), text


@pytest.mark.parametrize(
    "line",
    [
        b"X-A: a\nX-Forwarded-For: 203.0.113.7",
        b"X-A: a\rX-Forwarded-For: 203.0.113.7",
        b"X-A: a\r\n X-Forwarded-For: 203.0.113.7",
        b"X-A: a\x00\r\nX-Forwarded-For: 203.0.113.7",
        b"X-Forwarded-For : 203.0.113.7",
        b"X-Forwarded-For\t: 203.0.113.7",
        b"X-Forwarded-For\x0b: 203.0.113.7",
        b"X_Forwarded_For: 203.0.113.7",
        b"X-Forwarded-For: 203.0.113.7\r\nConnection: X-Forwarded-For, X-Forwarded-Proto, Host",
        b"Forwarded: for=203.0.113.7;host=evil.example.com",
        b"Host: evil.example.com",
        b"Host: desk.example.com\tevil.example.com",
    ],
)
def test_no_header_of_the_proxy_comes_of_a_broken_line(echoing: Edge, line: bytes) -> None:
    """It is refused, or what the service is told of the caller is what nginx says alone."""
    told = echoing.send(
        b"POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (NAME.encode(), line)
    )

    head, _, body = told.partition(b"\r\n\r\n")
    status = head.split(b" ")[1]
    assert status in (b"200", b"400", b"421")
    if status == b"200":
        received = [(name.lower(), value) for name, value in json.loads(body)["headers"]]
        about = sorted(pair for pair in received if "forwarded" in pair[0].replace("_", "-") or pair[0] == "host")
        assert about == [("host", NAME), ("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")]


def test_metrics_are_for_who_asks_the_service_itself(deployed: Deployed) -> None:
    before_it = len(deployed.edge.passed_on())
    for path in ("/metrics", "//metrics", "/x/../metrics", "/%6detrics", "/metrics?x=1"):
        assert deployed.edge.ask(path).status == 404
    assert deployed.edge.passed_on()[before_it:] == []


def test_request_has_one_id_everywhere_and_nobody_else_gives_it(deployed: Deployed, echoing: Edge) -> None:
    claimed = {"X-Request-ID": "c1a1" * 8}

    answer = deployed.edge.ask("/api/v1/session", headers=claimed)

    request_id = answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", request_id)
    assert (request_id != claimed["X-Request-ID"], json.loads(answer.body)["request_id"]) == (True, request_id)
    deadline = time.monotonic() + 10  # both write of a request when it is over
    while time.monotonic() < deadline and not (
        request_id in deployed.edge.written() and request_id in deployed.log.read_text(errors="replace")
    ):
        time.sleep(0.05)
    assert request_id in deployed.edge.written()
    assert request_id in deployed.log.read_text(errors="replace")
    received = json.loads(echoing.ask("/", method="POST", body=b"", headers=claimed).body)["headers"]
    assert [value for name, value in received if name.lower() == "x-request-id"] != [claimed["X-Request-ID"]]


def test_service_that_is_away_is_told_in_the_shape_of_errors(away: Edge) -> None:
    api, page = away.ask("/api/v1/session"), away.ask("/admin/")

    assert (api.status, json.loads(api.body)["error"]) == (502, "server_error")
    assert (page.status, page.headers.get_all("Content-Type")) == (502, ["text/plain"])
    for answer in (api, page):
        assert once(answer, OWN_HEADERS) == dict.fromkeys(OWN_HEADERS, 1)


def test_no_query_and_no_referrer_is_in_any_log(deployed: Deployed, away: Edge) -> None:
    query, referrer = f"?access_token={CANARY}", {"Referer": f"https://elsewhere.example.com/?q={CANARY}"}
    paths = ("/admin/", "/api/v1/session", "/nowhere", "/static/nowhere", "/embed/", "/healthz", "/api/x/%0a")
    body = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    for path in paths:
        deployed.edge.ask(path + query, headers=referrer)
        deployed.edge.ask(path + query, headers=referrer, plain=True)
        away.ask(path + query, headers=referrer)
    deployed.edge.ask("/api/v1/session" + query, method="POST", body=body, headers=referrer)
    assert deployed.edge.ask("/accounts/login/", method="POST", body=b"login=a", headers=referrer).status == 403
    deployed.edge.ask("/else" + query, headers=referrer, name="else.example.com")
    deployed.edge.ask("/long" + query + "x" * 9000, headers=referrer)

    assert CANARY not in deployed.written() + away.written()
    assert '"GET /nowhere" 404' in deployed.edge.written()
    assert '"GET /nowhere" 404' in deployed.log.read_text(errors="replace")
    assert '"GET /nowhere" 502' in away.written()


def test_nothing_reaches_the_service_but_what_nginx_passed_on(deployed: Deployed) -> None:
    """Whatever a request says of its end, the two agree on how many there were."""
    name = NAME.encode()
    before_it = len(deployed.answered()), len(deployed.edge.passed_on())
    for raw in AMBIGUOUS.values():
        deployed.edge.send((raw + BEHIND).replace(b"Host: localhost", b"Host: " + name))
    deployed.edge.ask("/readyz")

    deadline = time.monotonic() + 10  # both write of a request when it is over
    while True:
        answered, passed_on = deployed.answered()[before_it[0] :], deployed.edge.passed_on()[before_it[1] :]
        if answered[-1:] == passed_on[-1:] == ["GET /readyz"] or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert sorted(answered) == sorted(passed_on)
    assert answered.count("GET /readyz") == 1


def test_http_leads_to_https_and_another_name_leads_nowhere(deployed: Deployed) -> None:
    plain = deployed.edge.ask("/admin/?q=1", plain=True)
    assert (plain.status, plain.headers["Location"]) == (301, f"https://{NAME}/admin/?q=1")

    assert deployed.edge.ask("/admin/", plain=True, name="else.example.com").status == 421
    assert deployed.edge.ask("/admin/", name="else.example.com").status == 421


@pytest.mark.parametrize("path", ["/service/v1/flowlu/crm/account/list", "/api/v1/session", "//service/v1/x"])
def test_call_over_plain_http_is_refused_and_not_led_on(deployed: Deployed, path: str) -> None:
    before_it = len(deployed.edge.passed_on())
    answer = deployed.edge.ask(path, plain=True, headers={"Authorization": "Bearer fls_SECRET"})

    assert (answer.status, answer.headers["Location"]) == (403, None)
    told = json.loads(answer.body)
    assert (told["error"], told["request_id"]) == ("https_required", answer.headers["X-Request-ID"])
    assert deployed.edge.passed_on()[before_it:] == []


def test_only_tls_that_is_not_broken_is_spoken(deployed: Deployed) -> None:
    assert deployed.edge.shake_hands(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert deployed.edge.shake_hands(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        deployed.edge.shake_hands(ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        deployed.edge.shake_hands(ssl.TLSVersion.TLSv1_3, "else.example.com")


def test_service_writes_nothing_among_its_files(deployed: Deployed) -> None:
    before_it = {path: path.stat().st_mtime_ns for path in deployed.files.rglob("*")}
    for path in ("/readyz", "/admin/", "/accounts/login/", "/embed/", "/api/schema"):
        deployed.edge.ask(path)

    assert {path: path.stat().st_mtime_ns for path in deployed.files.rglob("*")} == before_it


def test_slow_senders_hold_no_thread(deployed: Deployed) -> None:
    """Many more than there are threads, in the midst of their headers or bodies: nginx alone waits for them."""
    begun = (
        b"GET /slow-headers HTTP/1.1\r\nHost: %s\r\nX-A: " % NAME.encode(),
        b"POST /slow-body HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\n{" % NAME.encode(),
    )
    with ExitStack() as stack:
        slow = [stack.enter_context(deployed.edge.connected()) for _ in range(48)]
        for drip in range(2):
            for number, link in enumerate(slow):
                with suppress(OSError):  # nginx ends those that take too long
                    link.sendall(b"x" if drip else begun[number % 2])
            answers = [deployed.edge.ask("/api/v1/session") for _ in range(4)]
            assert [json.loads(answer.body)["error"] for answer in answers] == ["invalid_session"] * 4
        assert [path for path in deployed.answered() if "slow" in path] == []
