"""A mail server and a receiver of webhooks on loopback, and operators who are told."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from flowlu_admin.notices.models import NoticeCursor, NoticeDelivery
from flowlu_admin.notices.telling import look
from installations.models import Application
from tests import factories

SECRET = "a-secret-of-the-webhook-for-tests-only"


class Mailbox:
    """An SMTP server (RFC 5321, as far as Django speaks it) that keeps what it gets and answers as a test says."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}  # by verb, or by verb and address: what is answered instead of 250
        self.silent = 0.0  # seconds before the greeting
        box = self

        class Session(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                time.sleep(box.silent)
                self.say(box.answers.get("greeting", "220 mailbox"))
                while line := self.rfile.readline().decode().strip():
                    verb = line[:4].upper()
                    address = line.partition("<")[2].partition(">")[0]
                    answer = box.answers.get(f"{verb} {address}") or box.answers.get(verb)
                    if verb == "DATA" and answer is None:
                        self.say("354 go on")
                        body = b""
                        while (part := self.rfile.readline()) != b".\r\n":
                            body += part[1:] if part.startswith(b"..") else part
                        answer = box.answers.get("TAKE") or "250 taken"
                        if answer.startswith("250"):
                            box.keep(body)
                        if answer == "250 and gone":
                            return  # kept, and nobody told
                    if verb == "RCPT" and answer is None:
                        box.recipients.append(address)
                    self.say(answer or ("221 bye" if verb == "QUIT" else "250 ok"))
                    if verb == "QUIT":
                        return

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Session)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keep(self, body: bytes) -> None:
        self.raw.append(body)
        parsed = message_from_bytes(body, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)

    def texts(self, kind: str = "plain") -> list[str]:
        bodies = (mail.get_body((kind,)) for mail in self.mails)
        return [body.get_content() for body in bodies if body is not None]


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    box = Mailbox()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_TIMEOUT = 1
    yield box
    box.server.shutdown()
    box.server.server_close()


class Receiver:
    """A receiver of webhooks: keeps each POST with its headers, and answers as a test says."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.silent = 0.0
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                time.sleep(box.silent)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                box.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(box.status)
                self.send_header("Location", f"http://127.0.0.1:{box.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/services/T0/B0/x8Kq2nN0vR7bT4mZ9pLsWd3yC5fG1hJ6"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.posts]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    box = Receiver()
    settings.DEBUG = True  # plain http, and an address of this machine
    settings.NOTICE_WEBHOOK_URL, settings.NOTICE_WEBHOOK_SECRET = box.url, SECRET
    settings.NOTICE_WEBHOOK_SECONDS = 1
    yield box
    box.server.shutdown()
    box.server.server_close()


@pytest.fixture(autouse=True)
def _told_at_once(settings: Any) -> None:
    settings.NOTICE_PAUSE_MINUTES = 0
    settings.PUBLIC_URL = "https://console.example.com"
    settings.CELERY_TASK_ALWAYS_EAGER = True


def told(name: str, group: str | None = None, *, superuser: bool = False) -> User:
    """Return an operator with a mail address."""
    operator: User = factories.operator(name, group, superuser=superuser)
    operator.email = f"{name}@example.com"
    operator.save()
    return operator


@pytest.fixture
def rita(db: None) -> User:
    """A reviewer with a mail address."""
    return told("rita", "Reviewer")


@pytest.fixture
def begun(application: Application) -> None:
    """What happens from here on is told."""
    look()
    NoticeDelivery.objects.all().delete()
    NoticeCursor.objects.update(until=timezone.now() - timezone.timedelta(minutes=10))
