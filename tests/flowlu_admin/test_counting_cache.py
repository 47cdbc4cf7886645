"""Counting rates in Redis, and without it: together while it answers, each process for itself while it does not."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from redis import Redis
from redis.exceptions import RedisError

from flowlu_admin import counting_cache
from flowlu_admin.counting_cache import LocalCache, SharedCache
from installations.errors import RateLimited
from tests.embedded import Frontend
from tests.factories import PASSWORD
from tokens.rates import take

REDIS = ("127.0.0.1", 6379)


class Way:
    """The way to the real Redis, which can be cut, and on which nothing may come back."""

    def __init__(self) -> None:
        self.hangs = False
        self.taken = 0
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.mend()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._take, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener is not None
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _take(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _address = listener.accept()
                self.taken += 1
                self._open.append(near)
                if self.hangs:
                    continue
                far = socket.create_connection(REDIS)
                self._open.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    try:
        Redis(*REDIS).ping()
    except RedisError:
        pytest.skip("needs a Redis on 127.0.0.1:6379")
    monkeypatch.setattr(counting_cache, "_SECONDS_AWAY", 3600.0)  # tests say when it is tried again
    made = Way()
    yield made
    made.cut()


def process(way: Way, prefix: str) -> SharedCache:
    """Return the cache as one thread of a process has it."""
    return SharedCache(f"redis://127.0.0.1:{way.port}/14", {"KEY_PREFIX": prefix})


def try_again() -> None:
    for server in counting_cache._away_until:
        counting_cache._away_until[server] = time.monotonic()


@pytest.fixture
def prefix() -> Iterator[str]:
    made = f"test-{secrets.token_hex(6)}"
    yield made
    with suppress(RedisError):
        for key in Redis(*REDIS, db=14).scan_iter(f"{made}:*"):
            Redis(*REDIS, db=14).delete(key)


def test_processes_count_together_and_forget_in_time(way: Way, prefix: str) -> None:
    first, second = process(way, prefix), process(way, prefix)

    assert [first.count("a", 60), second.count("a", 60), first.count("b", 60), first.count("a", 60)] == [1, 2, 1, 3]
    client = Redis(*REDIS, db=14)
    assert {0 < client.ttl(key) <= 60 for key in client.scan_iter(f"{prefix}:*")} == {True}


def test_count_goes_on_in_a_redis_that_forgot_its_scripts(
    way: Way, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = process(way, prefix)
    assert cache.count("a", 60) == 1

    Redis(*REDIS).script_flush()  # as one that was started again

    assert cache.count("a", 60) == 2
    assert caplog.records == []


def test_local_cache_counts_and_begins_anew_when_a_count_is_lost() -> None:
    cache = LocalCache(secrets.token_hex(6), {})

    assert [cache.count("a", 60), cache.count("a", 60), cache.count("b", 60)] == [1, 2, 1]
    assert [cache.count("gone", 0), cache.count("gone", 0)] == [1, 1]
    for number in range(2000):  # Django's own default would have evicted it
        cache.count(str(number), 60)
    assert cache.count("a", 60) == 3


def test_process_counts_for_itself_while_redis_is_gone_and_says_so_once(
    way: Way, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = process(way, prefix), process(way, prefix)
    assert [first.count("a", 60), second.count("a", 60)] == [1, 2]

    way.cut()

    # Of one process both: threads have instances of their own.
    assert [first.count("a", 60), second.count("a", 60), first.count("a", 60)] == [1, 2, 3]
    first.set("code", "used", 60)
    assert second.get("code") == "used"
    assert first.add("code", "again", 60) is False
    said = [record.getMessage() for record in caplog.records]
    assert said == ["Redis does not answer (ConnectionError): each process counts rates for itself until it does."]

    try_again()
    assert first.count("a", 60) == 4
    assert len(caplog.records) == 1  # it is still gone: said already

    way.mend()
    assert first.count("a", 60) == 5  # not tried yet
    try_again()
    assert [second.count("a", 60), first.count("a", 60)] == [3, 4]
    assert caplog.records[-1].getMessage() == "Redis answers again: rates are counted for all processes together."


def test_threads_that_find_it_gone_together_say_so_once(
    way: Way, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caches_of_threads = [process(way, prefix) for _ in range(8)]
    for each in caches_of_threads:
        each.count("a", 60)
    begin = threading.Barrier(len(caches_of_threads))

    def count(cache: SharedCache) -> None:
        begin.wait()
        cache.count("a", 60)

    way.cut()
    threads = [threading.Thread(target=count, args=(cache,)) for cache in caches_of_threads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(caplog.records) == 1


def test_connection_that_broke_while_it_lay_idle_is_no_outage(
    way: Way, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = process(way, prefix)
    assert cache.count("a", 60) == 1

    way.cut()
    way.mend()

    assert cache.count("a", 60) == 2
    assert caplog.records == []


def test_forked_process_counts_over_a_connection_of_its_own(way: Way, prefix: str) -> None:
    cache = process(way, prefix)
    assert cache.count("a", 60) == 1

    forked = os.fork()
    if not forked:
        os._exit(0 if cache.count("a", 60) == 2 else 1)
    _pid, status = os.waitpid(forked, 0)

    assert (status, way.taken) == (0, 2)
    assert cache.count("a", 60) == 3


def test_redis_that_hangs_is_asked_once_and_not_by_every_request(way: Way, prefix: str) -> None:
    way.hangs = True
    cache = process(way, prefix)

    assert [cache.count("a", 60) for _ in range(50)] == list(range(1, 51))
    assert way.taken <= 2  # the first try and its one repetition


@pytest.mark.django_db(transaction=True)
def test_calls_and_sign_ins_go_on_without_redis_and_limits_hold_in_the_process(
    way: Way, prefix: str, settings: Any, ana: Frontend, superuser: Any, client: Client
) -> None:
    where = {"BACKEND": "flowlu_admin.counting_cache.SharedCache", "LOCATION": f"redis://127.0.0.1:{way.port}/14"}
    settings.CACHES = {"default": {**where, "KEY_PREFIX": prefix}}
    settings.CALL_RATE = "3/d"
    assert isinstance(caches["default"], SharedCache)
    way.cut()

    ana.open()
    assert [ana.get("session").status_code for _ in range(4)] == [200, 200, 200, 429]
    client.post(reverse("account_login"), {"login": superuser.username, "password": PASSWORD})
    assert client.get(reverse("admin:index")).status_code == 200
    take("1/d", "x")
    with pytest.raises(RateLimited):
        take("1/d", "x")
    assert way.taken == 0
