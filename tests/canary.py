"""Canaries: secrets that a test knows, and every place where they could have got out of the service."""

import base64
import html
import io
import json
import logging
import logging.config
import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.db import connection
from django.test import Client

_SHORTEST = 12


@lru_cache(maxsize=1000)
def forms_of(secret: str) -> tuple[bytes, ...]:
    """Return the forms in which a secret would still be one.

    Whole, by half, backwards; percent-encoded, escaped for HTML and for JSON; hexadecimal, base32, base64 at each
    place of its three; as UTF-16.
    """
    raw = secret.encode()
    half = max(_SHORTEST, len(raw) // 2)
    padded = [base64.b64encode(b"x" * shift + raw)[(4 if shift else 0) : -4] for shift in range(3)]
    parts = {raw, raw[:half], raw[-half:]}
    parts |= {part[::-1] for part in parts}
    found = parts | {part.hex().encode() for part in parts} | {part.hex().upper().encode() for part in parts}
    found |= {part.decode().encode("utf-16-le") for part in parts}
    found |= {*padded, *(part.translate(bytes.maketrans(b"+/", b"-_")) for part in padded)}
    found |= {base64.b32encode(raw).rstrip(b"=")[:-1], "".join(f"%{byte:02X}" for byte in raw).encode()}
    found |= {urllib.parse.quote(secret, safe="").encode(), html.escape(secret).encode()}
    found |= {json.dumps(secret)[1:-1].encode(), repr(raw)[2:-1].encode()}
    return tuple(sorted(part for part in found if len(part) >= _SHORTEST))


@dataclass
class Canaries:
    """Secrets by name, and where each was seen."""

    secrets: dict[str, str] = field(default_factory=dict)
    codes: dict[str, re.Pattern[bytes]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    looked_at: int = 0

    def add(self, name: str, secret: str) -> str:
        assert len(secret) >= _SHORTEST, "too short to be told from chance"
        self.secrets[name] = secret
        return secret

    def add_code(self, name: str, code: str) -> str:
        """Add a secret of a few digits: it is looked for as a word of its own, since any number may hold it."""
        self.codes[name] = re.compile(rb"(?<![\w+/=.-])" + re.escape(code.encode()) + rb"(?![\w+/=-])")
        return code

    def names(self) -> tuple[str, ...]:
        return (*self.secrets, *self.codes)

    def look(self, where: str, content: Any, *, but: tuple[str, ...] = ()) -> None:
        """Note every secret that is in `content`, apart from those that belong there."""
        raw = _raw(content)
        self.looked_at += 1
        for name, secret in self.secrets.items():
            if name not in but and any(form in raw for form in forms_of(secret)):
                self.seen.append(f"{name} in {where}")
        self.seen += [f"{name} in {where}" for name, code in self.codes.items() if name not in but and code.search(raw)]

    def look_at_log(self, where: str, written: str) -> None:
        """Look at each line by itself, so that a failure says which."""
        lines = written.splitlines()
        for at in self._holding([_raw(line) for line in lines]):
            self.look(f"{where}: {self._hidden(lines[at])[:200]}", lines[at])

    def _holding(self, contents: list[bytes]) -> range:
        """Return the places of contents to look at one by one: none when all of them together hold no secret."""
        self.looked_at += len(contents)
        together = b"\n".join(contents)
        forms = (form for secret in self.secrets.values() for form in forms_of(secret))
        found = any(form in together for form in forms) or any(code.search(together) for code in self.codes.values())
        return range(len(contents) if found else 0)

    def _hidden(self, text: str) -> str:
        for name, secret in self.secrets.items():
            text = text.replace(secret, f"<{name}>")
        return text

    def look_at_response(self, where: str, response: Any, *, but: tuple[str, ...] = ()) -> Any:
        body = b"".join(response.streaming_content) if response.streaming else response.content
        self.look(f"the body of {where}", body, but=but)
        self.look(f"the headers of {where}", list(response.items()))
        self.look(f"the cookies of {where}", response.cookies.output())
        return response

    def look_at_database(self) -> None:
        """Look at every column of every table, as the driver gives it, and at the file where there is one."""
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
                columns = [column[0] for column in cursor.description]
                rows = cursor.fetchall()
                for column, values in zip(columns, zip(*rows, strict=True), strict=False):
                    contents = [_raw(value) for value in values]
                    for at in self._holding(contents):
                        self.look(f"the column {table}.{column}", contents[at])
        for name, raw in dumps():
            self.look(name, raw)

    def look_at_rows(self) -> None:
        """Look at what every row of every model says of itself."""
        for model in apps.get_models(include_auto_created=True):
            for row in model._default_manager.all():
                self.look(f"the text of a {model.__name__}", f"{row!r} {row}")

    def look_at_memory(self) -> None:
        """Look at cached values and at what operators' browsers keep."""
        for name in ("_cache", "_expire_info"):
            kept = getattr(cache, name, {}) if isinstance(caches["default"], LocMemCache) else {}
            self.look("the cache", [(key, value) for key, value in dict(kept).items()])
            for value in dict(kept).values():
                if isinstance(value, bytes):
                    self.look("the cache", repr(pickle.loads(value)))
        for key, raw in kept_in_redis():
            self.look("Redis", key)
            self.look("Redis", raw)
        for session in Session.objects.all():
            self.look("an operator's session", session.get_decoded())

    def look_at_mail(self) -> None:
        """Look at every message that was sent, as it goes over the wire and with its parts decoded."""
        for message in getattr(mail, "outbox", []):
            self.look("a mail", message.message().as_bytes())
            self.look("a mail", f"{message.subject}\n{message.body}\n{getattr(message, 'alternatives', [])}")

    def look_everywhere(self) -> None:
        """Look at everything that is kept, and report."""
        self.look_at_database()
        self.look_at_rows()
        self.look_at_memory()
        self.look_at_mail()
        self.report()

    def report(self) -> None:
        assert self.looked_at
        assert not self.seen, "\n".join(sorted(set(self.seen)))


def _raw(content: Any) -> bytes:
    if isinstance(content, bytes | memoryview):
        return bytes(content)
    return str(content).encode("utf-8", "surrogateescape")


def dumps() -> Iterator[tuple[str, bytes]]:
    """Yield the bytes that somebody holds who has the database: its file, or what PostgreSQL's own tools write."""
    if connection.vendor == "sqlite":
        yield "the database file", _file_of_sqlite()
        return
    if shutil.which("pg_dump"):
        for form in ("plain", "custom"):
            yield f"pg_dump, {form}", _pg_dump(form)
        return
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for form in ("text", "binary"):
                with cursor.cursor.copy(f'COPY "{table}" TO STDOUT (FORMAT {form})') as rows:  # type: ignore[attr-defined]
                    yield f"COPY of {table}, {form}", b"".join(bytes(part) for part in rows)


def _pg_dump(form: str) -> bytes:
    values = connection.get_connection_params()
    # Not compressed: what is looked for must be there to be seen.
    command = ["pg_dump", f"--format={form}", "--compress=0", f"--dbname={values['dbname']}"]
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    environment = os.environ | {name: str(values[key]) for name, key in names.items() if values.get(key)}
    return subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60).stdout


def _file_of_sqlite() -> bytes:
    connection.ensure_connection()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.sqlite3"
        target = sqlite3.connect(path)
        connection.connection.backup(target)
        target.close()
        return path.read_bytes()


def kept_in_redis() -> list[tuple[bytes, bytes]]:
    """Return the keys and values of this test's prefix, as they lie in Redis; nothing when the cache is another."""
    if not isinstance(caches["default"], RedisCache):
        return []
    client = caches["default"]._cache.get_client()
    keys = list(client.scan_iter(f"{caches['default'].key_prefix}:*"))
    assert all(client.type(key) == b"string" for key in keys)
    values = [(key, client.get(key)) for key in keys]
    return [(key, raw) for key, raw in values if raw is not None]


@contextmanager
def production_log() -> Iterator[io.StringIO]:
    """Give what the configured handlers write at DEBUG: SQL with its parameters included.

    The levels that the settings raise (django.request, urllib3) stay: they are rules of their own, since both write
    addresses, into which a caller may have put anything.
    """
    out = io.StringIO()
    config = deepcopy(settings.LOGGING)
    config["handlers"]["console"]["stream"] = out
    config["root"]["level"] = "DEBUG"
    config["loggers"]["django"]["level"] = "DEBUG"
    config["loggers"]["django.db.backends"] = {"level": "DEBUG"}
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logging.config.dictConfig(config)
    try:
        yield out
    finally:
        logging.config.dictConfig(settings.LOGGING)
        root.handlers[:], root.level = before[0], before[1]
        logging.getLogger("django.db.backends").setLevel(logging.NOTSET)


@contextmanager
def unfiltered_log() -> Iterator[io.StringIO]:
    """Give what a handler without the redaction would write: the first belt has to hold by itself."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s %(args)s"))
    names = ("", "django", "django.db.backends", "tokens", "installations", "flowlu_admin")
    levels = {name: logging.getLogger(name).level for name in names}
    root = logging.getLogger()
    root.handlers.insert(0, handler)  # the configured handlers redact the record itself, for whoever comes after
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield out
    finally:
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def signed_in(user: Any, password: str) -> Client:
    """Sign in by the form, as an operator does, so that the password passes through."""
    client = Client(raise_request_exception=False)
    client.post("/accounts/login/", {"login": user.get_username(), "password": password})
    return client
