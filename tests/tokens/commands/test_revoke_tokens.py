"""`revoke_tokens`: one user's or the whole installation's, with the number in its line."""

import io

import pytest
from django.core.management import CommandError

from installations.models import PortalUser
from tests import factories
from tests.unchanged import nothing_changes
from tokens.models import OAuthToken, Purpose, Revocation, ServiceCall, ServiceClient
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
BY = ("--operator", "responder", "--reason", "An incident.")
IT = "com.example.desk on acme.flowlu.com (generation 1)"


@pytest.fixture
def scene(application, record, responder):
    """Two tokens of user 7 and one of user 8."""
    bea = factories.launch(application, user_id="8", name="Bea")
    for holder, name in ((record, "first"), (record, "second"), (bea, "third")):
        factories.token(holder.installation, holder.portal_user, name)


def test_all_of_the_installation_are_revoked(scene, run):
    assert run("revoke_tokens", *HERE, *BY) == f"{IT}: 3 tokens revoked\n"
    assert OAuthToken.objects.live().count() == 0


def test_only_one_users_are_revoked(scene, run):
    assert run("revoke_tokens", *HERE, "--user", "8", *BY) == f"user 8 of acme.flowlu.com in {IT}: 1 token revoked\n"
    assert set(OAuthToken.objects.live().values_list("portal_user__flowlu_user_id", flat=True)) == {"7"}


def test_second_run_revokes_none_and_succeeds(scene, run):
    run("revoke_tokens", *HERE, *BY)

    with nothing_changes():
        assert run("revoke_tokens", *HERE, *BY) == f"{IT}: 0 tokens revoked\n"


def test_unknown_user_is_refused_and_does_not_mean_all(scene, run):
    with nothing_changes(), pytest.raises(CommandError, match="No user '99' of 'acme.flowlu.com' was ever seen here"):
        run("revoke_tokens", *HERE, "--user", "99", *BY)


def test_empty_user_does_not_mean_all(scene, run):
    with nothing_changes(), pytest.raises(CommandError):
        run("revoke_tokens", *HERE, "--user", "", *BY)


def test_resuming_says_what_was_cut_now_and_in_all(scene, run, application):
    def stop(_done, _of):
        raise KeyboardInterrupt

    target = RevocationTarget.of_application(application.pk)
    with pytest.raises(KeyboardInterrupt):
        revoke_tokens(target=target, batch=1, on_progress=stop, actor=factories.superactor(), reason="A test.")
    number = Revocation.objects.get().pk

    assert run("revoke_tokens", "--resume", str(number), *BY) == f"revocation #{number}: 2 tokens revoked, 3 in all\n"


# --- What is aimed at ---------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(application, scene):
    """A token of user 7 in another application, and one on another portal."""
    other = factories.launch(factories.application("com.example.other"))
    there = factories.launch(application, portal="globex.flowlu.com")
    return [factories.token(each.installation, each.portal_user, name) for each, name in ((other, "o"), (there, "t"))]


@pytest.mark.parametrize(
    ("options", "cut", "label"),
    [
        (("--portal", "acme.flowlu.com"), 4, "acme.flowlu.com"),
        (("--app", "com.example.desk"), 4, "Desk (com.example.desk)"),
        (("--portal", "acme.flowlu.com", "--user", "7"), 3, "user 7 of acme.flowlu.com"),
        (("--stored-before", "2299-01-01 00:00"), 5, "stored before 2299-01-01 00:00:00 UTC"),
        (("--stored-before", "2299-01-01 00:00", "--portal", "globex.flowlu.com"), 1, None),
        (("--stored-before", "2299-01-01 00:00", "--app", "com.example.other"), 1, None),
        (("--stored-before", "2000-01-01 00:00"), 0, None),
    ],
)
def test_each_way_to_name_tokens_cuts_exactly_those(elsewhere, run, options, cut, label):
    said = run("revoke_tokens", *options, *BY)

    assert said.endswith(f": {cut} token{'' if cut == 1 else 's'} revoked\n")
    assert label is None or said.startswith(f"{label}: ")
    assert OAuthToken.objects.live().count() == 5 - cut


def test_one_token_is_named_by_its_number(elsewhere, run):
    row = elsewhere[0]

    assert run("revoke_tokens", "--token", str(row.pk), *BY).endswith(": 1 token revoked\n")

    assert not OAuthToken.objects.live().filter(pk=row.pk).exists()
    assert OAuthToken.objects.live().count() == 4


@pytest.mark.parametrize("by", ["file", "standard input"])
def test_fingerprints_come_from_a_file_or_standard_input(scene, run, tmp_path, monkeypatch, by):
    row = OAuthToken.objects.order_by("pk").first()
    listed = f"{row.access_fingerprint}\n\n{'0' * 64}\n"
    path = tmp_path / "list"
    path.write_text(listed)
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))

    said = run("revoke_tokens", "--fingerprints", str(path) if by == "file" else "-", *BY)

    assert "of no token that could be revoked: 1 fingerprint\n" in said
    assert said.endswith(": 1 token revoked\n")
    assert not OAuthToken.objects.live().filter(pk=row.pk).exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read as a list of fingerprints"),
        ("ä", "cannot be read as a list of fingerprints"),
        ("0" * 64, "No token that could be revoked has or had one of these fingerprints"),
    ],
)
def test_list_that_names_no_token_cuts_nothing(scene, run, tmp_path, content, words):
    path = tmp_path / "list"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    with nothing_changes(), pytest.raises(CommandError, match=words):
        run("revoke_tokens", "--fingerprints", str(path), *BY)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Name whose tokens"),
        (("--token", "1", "--portal", "acme.flowlu.com"), "Name one thing"),
        (("--token", "1", "--stored-before", "2026-01-01 00:00"), "Name one thing"),
        (("--fingerprints", "-", "--app", "com.example.desk"), "Name one thing"),
        (("--app", "com.example.desk", "--user", "7"), "--user goes with --portal"),
        (("--portal", "acme.flowlu.com", "--user", "7", "--stored-before", "2026-01-01 00:00"), "--user goes with"),
        (("--stored-before", "yesterday"), "--stored-before: "),
        (("--resume", "1", "--portal", "acme.flowlu.com"), "--resume goes alone"),
        (("--resume", "1"), "There is no such revocation"),
        ((*HERE, "--batch", "0"), "must be a number of tokens, 1 or more"),
        ((*HERE, "--batch", "many"), "must be a number of tokens, 1 or more"),
        ((*HERE, "--expect", "nonsense"), "--expect takes what --dry-run printed behind it. Run that first."),
    ],
)
def test_options_that_name_nothing_or_two_things_cut_nothing(scene, run, options, words):
    with nothing_changes(), pytest.raises(CommandError, match=words):
        run("revoke_tokens", *options, *BY)


# --- Looking first ------------------------------------------------------------------------------------------------


def test_dry_run_shows_who_is_hit_and_a_pin_that_holds_until_something_changes(scene, run, record, application):
    user = PortalUser.objects.get(flowlu_user_id="7")
    row = OAuthToken.objects.filter(portal_user=user).first()
    ServiceCall.objects.create(
        service_client=ServiceClient.objects.create(name="nightly-jobs", key_hash="a" * 64),
        purpose=Purpose.objects.create(code="billing", acts_as="user"), oauth_token=row, outcome="ok",
    )  # fmt: skip

    with nothing_changes():
        lines = run("revoke_tokens", *HERE, "--dry-run", *BY).splitlines()

    assert lines[:-1] == [
        "3 tokens (3 active), 0 open sessions, 2 people",
        "  user 7 of acme.flowlu.com, Ana Ruiz",
        "  user 8 of acme.flowlu.com, Bea",
        "  purpose billing: 1 call in the last 30 days",
        "  service client nightly-jobs: 1 call in the last 30 days",
    ]
    assert lines[-1].startswith(f"{IT}: 3 tokens would be revoked; --expect ")
    pin = lines[-1].rpartition(" ")[2]
    factories.token(record.installation, record.portal_user, "came-since")
    with nothing_changes(), pytest.raises(CommandError, match="changed since"):
        run("revoke_tokens", *HERE, "--expect", pin, *BY)
    again = run("revoke_tokens", *HERE, "--dry-run", *BY).rstrip().rpartition(" ")[2]
    assert run("revoke_tokens", *HERE, "--expect", again, *BY) == f"{IT}: 4 tokens revoked\n"


def test_dry_run_names_some_people_and_counts_the_rest(application, run, responder, record):
    for number in range(30):
        user = factories.launch(application, user_id=str(100 + number), name="")
        factories.token(user.installation, user.portal_user, f"token-{number}")

    lines = run("revoke_tokens", *HERE, "--dry-run", *BY).splitlines()

    named = [line for line in lines if line.startswith("  user ")]
    assert lines[len(named) + 1] == f"  and {30 - len(named)} more"
    assert "," not in named[0]


@pytest.mark.parametrize("locks", [True, False])
def test_drill_does_every_step_and_cuts_nothing(scene, run, locks):
    options = HERE if locks else ("--stored-before", "2299-01-01 00:00")

    with nothing_changes(but={"installations.AuditEvent", "installations.AuditHead"}):
        said = run("revoke_tokens", *options, "--drill", *BY)

    assert ": drill, nothing was cut. Looking took " in said
    assert ("the lock " in said) is locks
    assert "the cut of 3 tokens " in said


def test_dry_run_is_for_who_may_revoke(scene, run, auditor):
    with nothing_changes(), pytest.raises(CommandError, match="permission"):
        run("revoke_tokens", *HERE, "--dry-run", "--operator", "auditor", "--reason", "A look.")


def test_list_of_known_fingerprints_is_cut_in_batches_of_any_size(scene, run, tmp_path):
    path = tmp_path / "list"
    path.write_text("\n".join(OAuthToken.objects.values_list("access_fingerprint", flat=True)))

    said = run("revoke_tokens", "--fingerprints", str(path), "--batch", "2", *BY)

    assert said.endswith(": 3 tokens revoked\n")
    assert "could be revoked:" not in said
