"""One rule of the service, and the smallest change that breaks it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breakage:
    name: str
    file: str
    text: str  # occurs once in the file
    instead: str
    tests: tuple[str, ...]
    needs_postgresql: bool = False


def race(name: str, file: str, text: str, instead: str, tests: tuple[str, ...]) -> Breakage:
    return Breakage(name, file, text, instead, tests, needs_postgresql=True)
