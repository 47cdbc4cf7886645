"""Secrets of a development machine: made once, for their owner only, and agreed on by whoever starts at once."""

import json
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from flowlu_admin import local_secrets
from flowlu_admin.local_secrets import read_or_make
from installations.keys import parse_key_ring


def test_secrets_are_made_usable_and_different(tmp_path):
    made = read_or_make(tmp_path / "var" / "secrets.json")

    assert made.keys() == {"SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY"}
    assert len(made["SECRET_KEY"]) >= 50
    rings = [parse_key_ring(made[name]) for name in ("TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY")]
    assert len({ring.newest.material for ring in rings}) == 3
    assert rings[0].newest.id == "k1"


def test_file_is_for_its_owner_only(tmp_path):
    path = tmp_path / "secrets.json"
    read_or_make(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_second_start_reads_what_the_first_made(tmp_path):
    path = tmp_path / "secrets.json"

    assert read_or_make(path) == read_or_make(path) == json.loads(path.read_text())


def test_nothing_is_left_beside_the_file(tmp_path):
    read_or_make(tmp_path / "secrets.json")

    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.json"]


def test_two_directories_get_different_secrets(tmp_path):
    assert read_or_make(tmp_path / "a.json") != read_or_make(tmp_path / "b.json")


def test_processes_that_start_at_once_agree(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(read_or_make, [tmp_path / "secrets.json"] * 8))

    assert [each == found[0] for each in found] == [True] * 8
    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.json"]


def test_start_that_comes_second_takes_what_the_first_made_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "secrets.json"
    make = local_secrets._make

    def make_slowly():
        made = make()
        path.write_text(json.dumps({"SECRET_KEY": "of the first"}))
        return made

    monkeypatch.setattr(local_secrets, "_make", make_slowly)

    assert read_or_make(path) == {"SECRET_KEY": "of the first"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.json"]
