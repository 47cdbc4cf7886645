"""Settings from the environment: text that means nothing is an error, and no message shows a secret."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from flowlu_admin.env import env_bool, env_choice, env_grants, env_int, env_list, env_pairs, env_secret, env_str

SECRET = "a-secret-of-the-service-0123456789"


@pytest.fixture
def env(monkeypatch):
    monkeypatch.delenv("NAME", raising=False)
    monkeypatch.delenv("NAME_FILE", raising=False)
    return lambda value, name="NAME": monkeypatch.setenv(name, value)


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "yes", "on", " On "])
def test_yes_is_true(env, text):
    env(text)
    assert env_bool("NAME", False) is True


@pytest.mark.parametrize("text", ["0", "false", "False", "no", "off", "", " "])
def test_no_and_empty_are_false(env, text):
    env(text)
    assert env_bool("NAME", True) is False


@pytest.mark.parametrize("text", ["flase", "2", "y", "t", "enabled", "None", "-1"])
def test_unknown_boolean_is_an_error(env, text):
    env(text)
    with pytest.raises(ImproperlyConfigured, match=f"NAME must be one of .*'{text}'"):
        env_bool("NAME", False)


@pytest.mark.parametrize("default", [True, False])
def test_unset_boolean_is_the_default(env, default):
    assert env_bool("NAME", default) is default


@pytest.mark.parametrize(("text", "expected"), [("5", 5), (" 5 ", 5), ("0", 0), ("", 7), (" ", 7)])
def test_whole_number_or_the_default(env, text, expected):
    env(text)
    assert env_int("NAME", 7) == expected


@pytest.mark.parametrize("text", ["five", "5.0", "5s", "0x5"])
def test_what_is_no_whole_number_is_an_error(env, text):
    env(text)
    with pytest.raises(ImproperlyConfigured, match="NAME must be a whole number"):
        env_int("NAME", 7)


@pytest.mark.parametrize(("text", "minimum"), [("-1", 0), ("0", 1)])
def test_number_below_the_minimum_is_an_error(env, text, minimum):
    env(text)
    with pytest.raises(ImproperlyConfigured, match=f"NAME must be at least {minimum}; it is {text}"):
        env_int("NAME", 7, minimum=minimum)


@pytest.mark.parametrize(("text", "expected"), [("on", "on"), (" OFF ", "off"), ("", "off")])
def test_choice_in_any_letter_case_or_the_default(env, text, expected):
    env(text)
    assert env_choice("NAME", "off", ("on", "off")) == expected


def test_unknown_choice_is_an_error(env):
    env("maybe")
    with pytest.raises(ImproperlyConfigured, match="NAME must be one of on, off; it is 'maybe'"):
        env_choice("NAME", "off", ("on", "off"))


def test_list_has_no_empty_parts(env):
    env(" a, ,b,,")
    assert env_list("NAME") == ["a", "b"]


def test_pairs_have_both_sides(env):
    env(" portal = domain ,language=lang,")
    assert env_pairs("NAME", "") == {"portal": "domain", "language": "lang"}


@pytest.mark.parametrize("text", ["portal", "portal=", "=domain", "a=b,c"])
def test_pair_with_one_side_is_an_error(env, text):
    env(text)
    with pytest.raises(ImproperlyConfigured, match="NAME must be name=value pairs"):
        env_pairs("NAME", "")


def test_grants_join_what_one_name_has_and_part_at_the_last_sign(env):
    env(" desk = Auditor, cn=leads=Reviewer ,desk=Responder")
    assert env_grants("NAME") == {"desk": ("Auditor", "Responder"), "cn=leads": ("Reviewer",)}
    env("")
    assert env_grants("NAME") == {}


@pytest.mark.parametrize("text", ["desk", "desk=", "=Auditor", "a=b,c"])
def test_grant_with_one_side_is_an_error(env, text):
    env(text)
    with pytest.raises(ImproperlyConfigured, match="NAME must be name=group pairs"):
        env_grants("NAME")


def test_unset_list_and_text_are_their_defaults(env):
    assert env_list("NAME", "x,y") == ["x", "y"]
    assert env_str("NAME", "x") == "x"


def test_secret_from_the_variable(env):
    env(f" {SECRET}\n")
    assert env_secret("NAME") == SECRET


def test_secret_from_a_file(env, tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    env(str(path), "NAME_FILE")
    assert env_secret("NAME") == SECRET


def test_unset_secret_is_empty(env):
    assert env_secret("NAME") == ""


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_variable_leaves_the_file(env, tmp_path, value):
    path = tmp_path / "secret"
    path.write_text(SECRET)
    env(value)
    env(str(path), "NAME_FILE")
    assert env_secret("NAME") == SECRET


def test_variable_and_file_together_are_an_error(env, tmp_path):
    env(SECRET)
    env(str(tmp_path / "secret"), "NAME_FILE")
    with pytest.raises(ImproperlyConfigured, match=r"^Set NAME or NAME_FILE, not both\.$"):
        env_secret("NAME")


@pytest.mark.parametrize("kind", ["missing", "directory", "not-text"])
def test_file_that_cannot_be_read_is_an_error_that_names_it(env, tmp_path, kind):
    path = tmp_path / "secret"
    if kind == "directory":
        path.mkdir()
    if kind == "not-text":
        path.write_bytes(SECRET.encode() + b"\xff")
    env(str(path), "NAME_FILE")

    with pytest.raises(ImproperlyConfigured) as caught:
        env_secret("NAME")

    assert str(caught.value) == f"NAME_FILE names {str(path)!r}, which cannot be read as text."
    assert caught.value.__suppress_context__ is True


@pytest.fixture
def settings_of(tmp_path, project_root):
    """Print one setting of `flowlu_admin.settings` under an environment of its own."""

    def settings_of(expression, **environment):
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-c", f"from flowlu_admin import settings; print({expression})"],
            cwd=project_root,
            env={**kept, "VAR_DIR": str(tmp_path / "var"), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return settings_of


@pytest.mark.parametrize("name", ["SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY"])
def test_each_secret_may_come_from_a_file(settings_of, tmp_path, name):
    path = tmp_path / "secret"
    path.write_text(SECRET)

    assert settings_of(f"settings.{name}", **{f"{name}_FILE": str(path)}).stdout == f"{SECRET}\n"


def test_without_debug_a_missing_secret_stays_empty_and_no_file_is_made(settings_of, tmp_path):
    expression = "[settings.SECRET_KEY, settings.TOKEN_KEYS, settings.FINGERPRINT_KEY, settings.AUDIT_KEY]"

    assert settings_of(expression).stdout == "['', '', '', '']\n"
    assert not (tmp_path / "var" / "secrets.json").exists()


def test_with_debug_missing_secrets_are_made_and_given_ones_are_kept(settings_of, tmp_path):
    first = settings_of("settings.TOKEN_KEYS, settings.SECRET_KEY", DEBUG="1", SECRET_KEY=SECRET)
    second = settings_of("settings.TOKEN_KEYS, settings.SECRET_KEY", DEBUG="1", SECRET_KEY=SECRET)

    assert first.stdout == second.stdout != ""
    assert SECRET in first.stdout
    assert (tmp_path / "var" / "secrets.json").exists()


def test_debug_is_off_unless_it_is_said(settings_of):
    assert settings_of("settings.DEBUG").stdout == "False\n"


def test_misspelt_boolean_stops_the_start(settings_of):
    result = settings_of("settings.DEBUG", DEBUG="flase")

    assert result.returncode == 1
    assert "ImproperlyConfigured: DEBUG must be one of" in result.stderr


def test_package_key_of_sealing_is_random_and_no_secret_of_ours(settings_of):
    first = settings_of("settings.CRYPTOGRAPHY_KEY", SECRET_KEY=SECRET).stdout
    second = settings_of("settings.CRYPTOGRAPHY_KEY", SECRET_KEY=SECRET).stdout

    assert len(first) > 40
    assert first != second


def test_sqlite_is_the_default_and_takes_its_write_lock_at_begin(settings_of):
    found = settings_of("settings.DATABASES['default']['ENGINE'], settings.DATABASES['default']['OPTIONS']").stdout

    assert "sqlite3" in found
    assert "'transaction_mode': 'IMMEDIATE'" in found
    assert "journal_mode=WAL" in found


@pytest.mark.parametrize(
    ("debug", "expected"), [("0", "True True 31536000 required\n"), ("1", "False False 0 optional\n")]
)
def test_cookies_and_second_factor_are_strict_without_debug(settings_of, debug, expected):
    expression = (
        "settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE, settings.SECURE_HSTS_SECONDS,"
        " settings.OPERATOR_MFA"
    )

    found = settings_of(expression, DEBUG=debug).stdout

    assert found.replace("(", "").replace(")", "").replace(",", "").replace("'", "") == expected
