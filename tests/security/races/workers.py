"""The pool of processes that race, and the rounds of a race."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection

# `make stress` sets it to thousands.
ROUNDS = int(os.environ.get("STRESS", "8"))
_HEAD_START = 0.004  # seconds: every worker has read its order by then
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended, and when (seconds of the monotonic clock, which all processes share)."""

    job: str
    value: Any
    refused: str
    began: float
    ended: float

    @property
    def status(self) -> int:
        return int(self.value[0])

    @property
    def error(self) -> str:
        return str(self.value[1])

    @property
    def session(self) -> str:
        return str(self.value[2])


@dataclass
class Workers:
    """Processes with a connection of their own. A job's name and arguments are those of `worker.py`."""

    processes: "list[subprocess.Popen[str]]"
    portal_url: str  # of the sandbox, as FLOWLU_PORTAL_URL
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(10**6))
    endings: Counter[Any] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._took: dict[str, float] = {}
        self._under_way: list[str] = []

    def at_once(self, *orders: dict[str, Any]) -> list[Ended]:
        """Let each job go in a process of its own, spread so that each order and every overlap comes up.

        An order with `after` begins so many seconds after the others could.
        """
        self.begin(*orders)
        return self.end()

    def begin(self, *orders: dict[str, Any]) -> None:
        """Let the jobs go, beside those that are under way, and return at once."""
        free = self.processes[len(self._under_way) :]
        assert len(orders) <= len(free)
        self._under_way += [order["job"] for order in orders]
        # A window of what they usually take: one often begins while the other is in its middle.
        window = max((self._took.get(order["job"], 0.01) for order in orders), default=0.01)
        at = time.monotonic() + _HEAD_START
        for process, order in zip(free, orders, strict=False):
            assert process.stdin is not None
            wait = order["after"] if "after" in order else self.random.random() * window
            told = {name: value for name, value in order.items() if name != "after"}
            process.stdin.write(json.dumps({"at": at + wait} | told) + "\n")
            process.stdin.flush()

    def end(self) -> list[Ended]:
        """Wait for the jobs that were begun and return how each ended, in the order in which they began."""
        under_way, self._under_way = self._under_way, []
        return [self._answer(process, job) for process, job in zip(self.processes, under_way, strict=False)]

    def end_one(self, number: int) -> Ended:
        """Wait for one of the jobs that were begun; the last one, so that the others stay where they are."""
        assert number == len(self._under_way) - 1
        return self._answer(self.processes[number], self._under_way.pop())

    def _answer(self, process: "subprocess.Popen[str]", job: str) -> Ended:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"a worker died at {job}, seed {self.seed}"
        told = json.loads(line)
        assert "broken" not in told, f"{job}: {told['broken']}, seed {self.seed}"
        took = told["ended"] - told["began"]
        self._took[job] = 0.8 * self._took.get(job, took) + 0.2 * took
        found = Ended(job, told.get("value"), told.get("refused", ""), told["began"], told["ended"])
        if isinstance(found.value, list) and found.value and isinstance(found.value[0], int):
            assert found.status < 500, f"{job}: {found.value[:2]}, seed {self.seed}"
        return found

    def rounds(self, race: Callable[[int], Any], *, rounds: int = ROUNDS, expect: Sequence[Any] = ()) -> None:
        """Run the race again and again; `race` returns how the round ended.

        From some hundred rounds on each of the expected endings must have come up: else nothing raced.
        """
        self.endings.clear()
        began = time.monotonic()
        for number in range(rounds):
            self.endings[race(number)] += 1
        took = time.monotonic() - began
        if rounds >= 300:
            missing = [ending for ending in expect if not self.endings[ending]]
            assert not missing, f"never seen in {rounds} rounds: {missing}; seen: {dict(self.endings)}"
            name = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].rpartition("::")[2]
            seen = ", ".join(f"{ending} {count}" for ending, count in self.endings.most_common())
            with Path(os.environ.get("STRESS_REPORT", os.devnull)).open("a", encoding="utf-8") as report:
                report.write(f"{name}: {rounds} rounds, {rounds / took:.0f} a second; {seen}\n")


def environment_of(portal_url: str, **more: str) -> dict[str, str]:
    """Return the environment of a process on the database that pytest made."""
    return (
        os.environ
        | {"DATABASE_URL": database_url(), "DATABASE_POOL_SIZE": "2", "SANDBOX_PORTAL_URL": portal_url}
        | more
    )


def start(number: int, portal_url: str, **more: str) -> Workers:
    """Start the processes on the database that pytest made."""
    environment = environment_of(portal_url, **more)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.security.races.worker"],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return Workers(processes, portal_url)


def database_url() -> str:
    """Return the address of the database that pytest made."""
    database = connection.settings_dict
    password = f":{database['PASSWORD']}" if database["PASSWORD"] else ""
    address = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}/{database['NAME']}"
    return f"postgres://{database['USER']}{password}@{address}"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def stop(workers: Workers) -> None:
    for process in workers.processes:
        process.kill()
        process.wait()
