"""A portal to which connections fail is not asked by every call, and whatever else goes wrong there leaves it asked."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.errors import DomainError, FlowluError, FlowluTimeout, FlowluUnavailable, PortalUnreached
from installations.flowlu import breaker as module
from installations.flowlu.addresses import AddressInfo
from installations.flowlu.breaker import PortalBreaker
from installations.flowlu.calls import build_call
from installations.flowlu.client import FlowluClient, Limits

from .conftest import RawPortal

LIST = build_call("crm", "lead", "list")
TOKEN = "canary-token-5cb1"
FAILURES, PAUSE = 3, 600.0
SHORT = Limits(connect=1.5, read=1.5, total=2.0, failures=FAILURES, pause=PAUSE)
ACME, GLOBEX = "acme.flowlu.test", "globex.flowlu.test"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> PortalBreaker:
    return PortalBreaker(FAILURES, 10.0, clock=clock)


def fail(breaker: PortalBreaker, portal: str = ACME, *, times: int = FAILURES) -> None:
    for _ in range(times):
        breaker.admit(portal)
        breaker.failed(portal)


def refused_for(breaker: PortalBreaker, portal: str = ACME) -> int | None:
    try:
        breaker.admit(portal)
    except PortalUnreached as refusal:
        return refusal.retry_after
    return None


def test_after_so_many_failures_in_a_row_one_call_in_a_while_is_let_through(
    breaker: PortalBreaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fail(breaker)

    assert refused_for(breaker) == 10
    assert refused_for(breaker, GLOBEX) is None
    clock.now += 9.5
    assert refused_for(breaker) == 1
    clock.now += 0.5
    assert [refused_for(breaker) for _ in range(3)] == [None, 10, 10]  # the second is not let through beside the first
    clock.now += 10
    assert refused_for(breaker) is None  # the first never came back
    breaker.failed(ACME)
    assert refused_for(breaker) == 10
    assert [record.getMessage() for record in caplog.records] == [
        "acme.flowlu.test is not reached: it is asked once in 10 seconds until it is."
    ]


def test_connection_that_is_made_ends_it(breaker: PortalBreaker, caplog: pytest.LogCaptureFixture) -> None:
    fail(breaker)
    caplog.clear()

    breaker.reached(ACME)

    fail(breaker, times=FAILURES - 1)
    assert refused_for(breaker) is None
    breaker.reached(ACME)
    assert [record.getMessage() for record in caplog.records] == ["acme.flowlu.test is reached again."]


def test_asking_takes_nobody_s_turn(breaker: PortalBreaker, clock: Clock) -> None:
    fail(breaker)
    with pytest.raises(PortalUnreached):
        breaker.check(ACME)
    clock.now += 10

    breaker.check(ACME)
    breaker.check(ACME)

    assert [refused_for(breaker) for _ in range(2)] == [None, 10]


def test_without_a_number_every_call_is_let_through() -> None:
    breaker = PortalBreaker(0, 10.0)
    fail(breaker, times=50)
    assert refused_for(breaker) is None


def test_portals_that_are_none_are_not_remembered_for_good(
    breaker: PortalBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 5)
    fail(breaker)
    for number in range(4):
        fail(breaker, f"p{number}", times=1)
    assert refused_for(breaker) == 10
    fail(breaker, "p4", times=1)
    assert refused_for(breaker) is None
    assert len(breaker._troubled) == 5


@given(steps=st.lists(st.sampled_from(["failed", "reached", "later"]), max_size=40))
def test_it_agrees_with_a_count_of_failures_since_the_last_connection(steps: list[str]) -> None:
    clock = Clock()
    breaker = PortalBreaker(FAILURES, 10.0, clock=clock)
    in_a_row, again_at = 0, 0.0
    for step in steps:
        if step == "later":
            clock.now += 4
        elif refused_for(breaker) is not None:
            assert in_a_row >= FAILURES
            assert clock.now < again_at
        else:
            assert in_a_row < FAILURES or clock.now >= again_at
            getattr(breaker, step)(ACME)
            in_a_row, again_at = (in_a_row + 1, clock.now + 10) if step == "failed" else (0, 0.0)


def test_of_many_threads_one_is_let_through(breaker: PortalBreaker, clock: Clock) -> None:
    fail(breaker)
    clock.now += 10
    begin, let_through = threading.Barrier(8), []

    def call() -> None:
        begin.wait()
        if refused_for(breaker) is None:
            let_through.append(True)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert let_through == [True]


# --- On real connections -----------------------------------------------------------------------------------


@pytest.fixture
def nowhere() -> Iterator[int]:
    """A port where nobody listens, and nobody else will."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _client(port: int, *, scheme: str = "http", ca_file: Path | None = None) -> FlowluClient:
    def resolve(host: str, port: int) -> list[AddressInfo]:
        if host.startswith("nowhere"):
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    return FlowluClient(
        lambda portal: f"{scheme}://{portal}:{port}",
        allow_private=True,
        allow_http=True,
        ca_file=None if ca_file is None else str(ca_file),
        limits=SHORT,
        resolve=resolve,
    )


def kinds(client: FlowluClient, portal: str = ACME, *, times: int = FAILURES + 2) -> list[type[DomainError]]:
    found: list[type[DomainError]] = []
    for _ in range(times):
        with pytest.raises(DomainError) as caught:
            client.call(portal, LIST, TOKEN)
        found.append(type(caught.value))
    return found


GIVEN_UP = [FlowluUnavailable] * FAILURES + [PortalUnreached] * 2


def test_refused_connections_count(nowhere: int) -> None:
    client = _client(nowhere)
    assert kinds(client) == GIVEN_UP
    assert kinds(client, GLOBEX, times=1) == [FlowluUnavailable]  # it was tried
    with pytest.raises(PortalUnreached), client.place(ACME):
        pytest.fail("what waits for a portal that is not asked")


def test_name_that_is_not_found_counts(portal: RawPortal) -> None:
    assert kinds(_client(portal.port), "nowhere.flowlu.test") == GIVEN_UP
    assert portal.connections == 0


def test_certificate_that_does_not_verify_counts(tls_portal: RawPortal) -> None:
    assert kinds(_client(tls_portal.port, scheme="https")) == GIVEN_UP
    assert tls_portal.connections == FAILURES


def test_handshake_that_breaks_off_counts(portal: RawPortal) -> None:
    """Something that speaks no TLS closes the connection."""
    portal.script = lambda connection: connection.close()
    assert kinds(_client(portal.port, scheme="https")) == GIVEN_UP


def test_handshake_that_never_ends_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert kinds(_client(silent.getsockname()[1], scheme="https"), times=FAILURES + 1) == GIVEN_UP[:-1]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FlowluError),
        (b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FlowluError),
        (b"nonsense\r\n\r\n", FlowluError),
        (None, FlowluTimeout),
        (b"", FlowluUnavailable),
    ],
    ids=["500", "503", "garbage", "silence", "reset"],
)
def test_whatever_a_portal_answers_it_is_asked(
    portal: RawPortal, answer: bytes | None, kind: type[DomainError]
) -> None:
    def script(connection: socket.socket) -> None:
        if answer is not None:
            connection.sendall(answer)
            connection.close()

    portal.script = script
    client = _client(portal.port)
    times = FAILURES + (1 if answer is None else 3)  # silence takes its time

    assert kinds(client, times=times) == [kind] * times
    assert len(portal.requests) == times


def test_address_that_is_refused_here_is_refused_as_such_each_time(portal: RawPortal) -> None:
    client = FlowluClient(
        lambda name: f"http://127.0.0.1:{portal.port}", allow_private=False, allow_http=True, limits=SHORT
    )
    assert kinds(client) == [FlowluUnavailable] * (FAILURES + 2)


def test_portal_that_is_back_is_asked_by_all_before_it_has_answered(tls_portal: RawPortal, certificate: Path) -> None:
    """The one call that is let through may take long: that it was connected is enough."""
    client = _client(tls_portal.port, scheme="https", ca_file=certificate)
    for _ in range(FAILURES):
        client._breaker.failed(ACME)
    client._breaker._troubled[ACME].again_at = 0.0
    came, go_on = threading.Event(), threading.Event()
    answer = tls_portal.script

    def late(connection: socket.socket) -> None:
        came.set()
        go_on.wait(20)
        answer(connection)

    tls_portal.script = late
    first = threading.Thread(target=lambda: client.call(ACME, LIST, TOKEN))
    first.start()
    assert came.wait(20)
    tls_portal.script = answer

    assert client.call(ACME, LIST, TOKEN).response == 1

    go_on.set()
    first.join(20)


def test_connection_of_the_pool_that_is_dead_counts_for_neither(portal: RawPortal) -> None:
    """A portal that went away without a word: what is sent on a kept connection is lost, and proves nothing."""
    client = _client(portal.port)
    portal.answer_json(b'{"response": 1}')
    assert client.call(ACME, LIST, TOKEN).response == 1
    portal.script = lambda connection: None
    for _ in range(FAILURES - 1):
        client._breaker.failed(ACME)

    assert kinds(client, times=1) == [FlowluTimeout]

    client._breaker.failed(ACME)
    assert kinds(client, times=1) == [PortalUnreached]
    assert portal.connections == 1
