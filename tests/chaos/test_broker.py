"""The broker gone: whoever revokes is not held up, and what was to be told in the background is told by the sweep."""

import subprocess
import sys

import psycopg
import pytest

from tests.chaos.parts import Postgres, Redis, wait_for
from tests.chaos.service import PORTALS, ROOT, Service
from tests.factories import APP_ID

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.chaos]


@pytest.fixture
def revoking(large: Service) -> Service:
    """The same, with a revocation endpoint to tell, and a broker of its own name."""
    sandbox = large.sandbox
    large.settings |= {
        "FLOWLU_REVOCATION_URL": sandbox.revocation_url,
        "FLOWLU_CLIENT_ID": sandbox.state.oauth.client_id,
        "FLOWLU_CLIENT_SECRET": sandbox.state.oauth.client_secret,
    }
    return large


def revoke(service: Service, portal: str) -> str:
    return service.manage(
        "revoke_tokens", "--portal", portal, "--app", APP_ID, "--operator", "root", "--reason", "A test."
    )


def states(postgres: Postgres) -> set[str]:
    with psycopg.connect(postgres.url) as link:
        return {str(row[0]) for row in link.execute("SELECT DISTINCT state FROM tokens_upstreamrevocation")}


def test_revocation_without_a_broker_is_done_and_told_by_the_sweep(
    revoking: Service, postgres_here: Postgres, redis_here: Redis
) -> None:
    session = revoking.open(PORTALS[0])
    redis_here.stop()
    try:
        revoke(revoking, PORTALS[0])
        assert revoking.call(session).told == (401, "token_revoked")
        assert "pending" in states(postgres_here)
        revoking.manage("sweep")
    finally:
        redis_here.start()
    assert states(postgres_here) == {"confirmed"}
    revoking.look_for_secrets(postgres_here.log)


def test_worker_goes_on_when_its_broker_is_back(revoking: Service, postgres_here: Postgres, redis_here: Redis) -> None:
    log = revoking.folder / "worker"
    command = [sys.executable, "-m", "celery", "-A", "tests.celery_on_http", "worker", "-c", "1", "-l", "INFO"]
    with log.open("wb") as stream:
        worker = subprocess.Popen(command, cwd=ROOT, env=revoking.environment, stdout=stream, stderr=stream)
    try:
        wait_for(lambda: "ready." in log.read_text(errors="replace"), "the worker is there")
        redis_here.stop()
        wait_for(lambda: "onnection" in log.read_text(errors="replace").partition("ready.")[2], "it sees that")
        redis_here.start()
        revoking.open(PORTALS[1])
        revoke(revoking, PORTALS[1])
        wait_for(lambda: states(postgres_here) == {"confirmed"}, "the worker told it")
    finally:
        worker.terminate()
        worker.wait(60)
    revoking.look_for_secrets(log.read_text(errors="replace"), postgres_here.log)
