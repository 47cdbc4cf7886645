"""`revoke_tokens`: one user's or the whole installation's, with the number in its line."""

import pytest
from django.core.management import CommandError

from tests import factories
from tests.unchanged import nothing_changes
from tokens.models import OAuthToken, Revocation
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
