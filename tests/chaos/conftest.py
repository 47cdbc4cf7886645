"""The service and its parts. What takes long runs with `make chaos` only; the others once, with the suite on SQLite."""

import os
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from flowlu_admin.sandbox.server import SandboxServer
from tests.bench.load import free_port, make_certificate
from tests.chaos.parts import Postgres, Redis, TlsWay
from tests.chaos.service import PORTALS, Service
from tests.factories import APP_ID

ALL = bool(os.environ.get("MAKE_CHAOS"))
HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, and on PostgreSQL all of it: each test here has a database of its own."""
    if ALL:
        return
    left_out = [
        item
        for item in items
        if HERE in item.path.parents and (item.get_closest_marker("chaos") or connection.vendor != "sqlite")
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


class NamedSandbox(SandboxServer):
    """The sandbox portal, which answers to the portals' own names, too."""

    def refusal_of(self, request: object) -> None:
        return None


@pytest.fixture(scope="session")
def sandbox_here() -> Iterator[SandboxServer]:
    with NamedSandbox(port=0, embed_url="http://127.0.0.1:9/embed/", app_id=APP_ID) as server:
        yield server


@pytest.fixture(scope="session")
def redis_here() -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        pytest.skip("NOT RUN without redis-server (Debian: redis-server)")
    with Redis() as server:
        yield server


class Portals:
    """Each portal at an address of its own, with a certificate for its name, before the one sandbox."""

    def __init__(self, folder: Path, sandbox: SandboxServer) -> None:
        self._sandbox, self.port = sandbox, free_port()
        self.certificate, key = make_certificate(folder, PORTALS)
        self._good = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._good.load_cert_chain(self.certificate, key)
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        self._of_another = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._of_another.load_cert_chain(*make_certificate(elsewhere, PORTALS))
        self._hosts = {portal: f"127.0.0.{number}" for number, portal in enumerate(PORTALS, 1)}
        self.names = folder / "names"
        self.names.write_text("".join(f"{portal} {host}\n" for portal, host in self._hosts.items()))
        self.ways = {portal: self._way(portal, self._good) for portal in PORTALS}

    @property
    def settings(self) -> dict[str, str]:
        return {
            "FLOWLU_PORTAL_URL": f"https://{{portal}}:{self.port}/{{portal}}",
            "SSL_CERT_FILE": str(self.certificate),
            "NAMES_FILE": str(self.names),
            "PYTHONPATH": str(HERE / "surroundings"),
        }

    def _way(self, portal: str, context: ssl.SSLContext | None) -> TlsWay:
        return TlsWay(self._hosts[portal], self.port, self._sandbox.port, context)

    def kill(self, portal: str) -> None:
        self.ways[portal].close()

    def silence(self, portal: str) -> None:
        self.kill(portal)
        self.ways[portal] = self._way(portal, None)

    def replace(self, portal: str) -> None:
        """Let somebody answer there whose certificate nobody trusts."""
        self.kill(portal)
        self.ways[portal] = self._way(portal, self._of_another)

    def mend(self, portal: str) -> None:
        self.kill(portal)
        self.ways[portal] = self._way(portal, self._good)

    def close(self) -> None:
        for portal in PORTALS:
            self.kill(portal)


@pytest.fixture(scope="session")
def portals(sandbox_here: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portals]:
    made = Portals(tmp_path_factory.mktemp("portals"), sandbox_here)
    yield made
    made.close()


@pytest.fixture(scope="session")
def small(
    sandbox_here: SandboxServer, redis_here: Redis, portals: Portals, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One process on SQLite, which all quick tests share."""
    values = {
        "REDIS_URL": redis_here.url,
        "THREADS": "8",
        "CALL_RATE": "1000000/m",  # so that Redis is asked
        "PORTAL_PAUSE_SECONDS": "1",
        **portals.settings,
    }
    service = Service(tmp_path_factory.mktemp("small"), sandbox_here, values)
    service.make_world()
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def postgres_here() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def _world_there(
    postgres_here: Postgres, sandbox_here: SandboxServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    Service(tmp_path_factory.mktemp("made"), sandbox_here, {"DATABASE_URL": postgres_here.url}).make_world()


@pytest.fixture
def large(
    sandbox_here: SandboxServer, redis_here: Redis, postgres_here: Postgres, _world_there: None, tmp_path: Path
) -> Iterator[Service]:
    """Two processes on PostgreSQL and Redis, as it is deployed."""
    values = {
        "DATABASE_URL": postgres_here.url,
        "REDIS_URL": redis_here.url,
        "CELERY_BROKER_URL": "",
        "CALL_RATE": "1000000/m",
        "WEB_CONCURRENCY": "2",
        "THREADS": "16",
        "DATABASE_POOL_SIZE": "8",
    }
    service = Service(tmp_path, sandbox_here, values)
    service.start()
    yield service
    service.stop()
