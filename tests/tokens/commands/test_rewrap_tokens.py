"""`rewrap_tokens`: one line of what was done, exit code 1 while one row is left, and which it is."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests import factories
from tests.tokens.keyring import K1, K2
from tests.unchanged import nothing_changes
from tokens.management.commands import rewrap_tokens
from tokens.models import OAuthToken

BY = ("--operator", "responder", "--reason", "A rotation.")


@pytest.fixture
def scene(record, responder):
    return [factories.token(record.installation, record.portal_user, f"token-{number}") for number in range(3)]


def test_everything_is_moved(scene, run, settings):
    settings.TOKEN_KEYS = f"{K2},{K1}"

    said = run("rewrap_tokens", *BY, "--batch", "2")

    assert said == (
        "complete: 3 rows rewrapped, none is left under an old key. key_status says which keys are not needed.\n"
    )
    assert set(OAuthToken.objects.values_list("seal_key_id", flat=True)) == {"k2"}


def test_dry_run_says_how_many_and_writes_nothing(scene, run, settings):
    settings.TOKEN_KEYS = f"{K2},{K1}"

    with nothing_changes():
        assert run("rewrap_tokens", *BY, "--dry-run") == "3 rows would be rewrapped. Nothing was written.\n"


def test_nothing_to_do_is_complete(scene, run):
    with nothing_changes():
        assert run("rewrap_tokens", *BY).startswith("complete: 0 rows rewrapped")


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_one_row_that_is_left_is_named_and_makes_it_incomplete(scene, settings, capsys, dry):
    from django.core.management import call_command

    OAuthToken.objects.filter(pk=scene[1].pk).update(sealed_access_token=bytes(scene[1].sealed_access_token)[:-1])
    settings.TOKEN_KEYS = f"{K2},{K1}"

    expected = (
        "3 rows|2 rows would be rewrapped; 1 row left alone"
        if dry
        else r"NOT complete: 1 row is still under an old key; 1 row left alone \(2 rows rewrapped\)"
    )
    with pytest.raises(CommandError, match=expected):
        call_command("rewrap_tokens", *BY, *dry)

    assert f"token #{scene[1].pk} was left alone: tampered (key 'k1')" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "-1"])
def test_batch_of_none_is_refused(scene, run, size):
    with pytest.raises(CommandError, match="at least 1"):
        run("rewrap_tokens", *BY, "--batch", size)


def test_broken_ring_is_one_line(scene, run, settings):
    settings.TOKEN_KEYS = "k1:not-a-key!"

    with pytest.raises(CommandError, match="A key ring is not usable. Key 1 is not base64."):
        run("rewrap_tokens", *BY)


def test_rows_that_are_left_alone_are_named_up_to_a_bound(scene, run, settings, monkeypatch):
    monkeypatch.setattr(rewrap_tokens, "_SHOWN", 2)
    OAuthToken.objects.update(sealed_access_token=b"damaged")
    settings.TOKEN_KEYS = f"{K2},{K1}"
    out = StringIO()

    with pytest.raises(CommandError, match="NOT complete: 3 rows are still under an old key; 3 rows left alone"):
        call_command("rewrap_tokens", *BY, stdout=out, stderr=out)

    assert out.getvalue().count("was left alone") == 2
    assert "and 1 more" in out.getvalue()
