"""`find_leaked`: what is known of each line, and never any of it."""

import io

import pytest
from django.core.management import CommandError

from tests import factories
from tests.unchanged import nothing_changes
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

BY = ("--operator", "responder", "--reason", "A leak.")


@pytest.fixture
def scene(record, responder):
    factories.token(record.installation, record.portal_user, "an-older-token")
    revoke_tokens(
        target=RevocationTarget.of_installation(record.installation.pk),
        actor=factories.superactor(),
        reason="For a test.",
    )
    return factories.token(record.installation, record.portal_user, "an-access-token")


@pytest.mark.parametrize("from_file", [True, False])
def test_hits_are_named_and_misses_counted(scene, run, monkeypatch, tmp_path, from_file):
    text = b"an-access-token\nwhat-nobody-knows\n\nan-older-token\n"
    (tmp_path / "leak.txt").write_bytes(text)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))

    said = run("find_leaked", str(tmp_path / "leak.txt") if from_file else "-", *BY)

    place = "com.example.desk on acme.flowlu.com (generation 1)"
    lines = said.splitlines()
    assert lines[0] == (
        f"line 1: access token, token #{scene.pk} of user 7, {place}; active; may do: nothing approved; "
        "last use not known"
    )
    assert lines[1].startswith(f"line 4: access token, token #{scene.pk - 1} of user 7, {place}; revoked already on 20")
    assert lines[2:] == ["3 lines: 1 live, 1 revoked before, 1 not known here"]
    assert "nobody" not in said
    assert "older" not in said


def test_file_that_is_not_there_is_one_line(scene, run):
    with nothing_changes(), pytest.raises(CommandError, match="The file cannot be read: No such file"):
        run("find_leaked", "/nowhere/at/all", *BY)


def test_too_much_at_once_is_refused(scene, run, tmp_path):
    (tmp_path / "leak.txt").write_text("x\n" * 10_001)

    with nothing_changes(), pytest.raises(CommandError, match="at most 10,000 lines"):
        run("find_leaked", str(tmp_path / "leak.txt"), *BY)


def test_bytes_that_are_no_text_are_read_all_the_same(scene, run, tmp_path):
    (tmp_path / "leak.bin").write_bytes(b"\xff\xfe\x00\n an-access-token \n")

    assert run("find_leaked", str(tmp_path / "leak.bin"), *BY).endswith(
        "2 lines: 1 live, 0 revoked before, 1 not known here\n"
    )
