"""`keep_scopes` and `lower_scopes`: what is decided, by when it is reviewed next, and what stays as it was."""

from datetime import timedelta

import pytest
from django.core.management import CommandError

from installations.four_columns import utc_today
from installations.models import ApprovedPermission
from tests import factories
from tests.unchanged import nothing_changes

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.crm")
BY = ("--operator", "reviewer", "--reason", "Looked at.")
IT = "com.example.crm on acme.flowlu.com (generation 1)"


def in_days(days):
    return str(utc_today() + timedelta(days=days))


@pytest.fixture
def approved(reviewer):
    """An installation whose approvals are due today."""
    app = factories.application("com.example.crm", permissions=["crm.accounts.full", "task.read"])
    found = factories.installation(app, approved=["crm.accounts.full", "task.read"])
    found.approved_permissions.update(review_by=utc_today())
    return found


def test_what_is_kept_is_named_with_its_next_review(approved, run):
    printed = run("keep_scopes", *HERE, "crm.accounts", "task.read", *BY)

    assert printed == f"{IT}: kept crm.accounts.full (review by {in_days(90)}), task.read (review by {in_days(180)})\n"


def test_earlier_review_is_taken_and_a_later_one_or_no_date_is_refused(approved, run):
    assert run("keep_scopes", *HERE, "task", "--review-by", in_days(5), *BY) == (
        f"{IT}: kept task.read (review by {in_days(5)})\n"
    )

    with nothing_changes():
        with pytest.raises(CommandError, match=f"task.read is of medium risk, so it is reviewed by {in_days(180)}"):
            run("keep_scopes", *HERE, "task", "--review-by", in_days(181), *BY)
        with pytest.raises(CommandError, match="'soon' is no date like 2026-04-01"):
            run("keep_scopes", *HERE, "task", "--review-by", "soon", *BY)


def test_second_run_on_one_day_says_so(approved, run):
    run("keep_scopes", *HERE, "task", *BY)

    with nothing_changes():
        printed = run("keep_scopes", *HERE, "task", *BY)

    assert printed == f"{IT}: kept nothing anew; decided about today already: task.read\n"


def test_what_is_lowered_is_named_and_what_is_at_read_stays(approved, run):
    printed = run("lower_scopes", *HERE, "crm.accounts.full", "task", *BY)

    assert (
        printed == f"{IT}: lowered to read crm.accounts.full (review by {in_days(180)}); at read already: task.read\n"
    )
    with nothing_changes():
        assert run("lower_scopes", *HERE, "task", *BY) == f"{IT}: lowered to read nothing; at read already: task.read\n"


def test_approving_takes_an_earlier_review_too(reviewer, run):
    factories.installation(factories.application("com.example.crm", permissions=["task.read"]))

    run("approve_scopes", *HERE, "task.read", "--review-by", in_days(3), *BY)

    assert str(ApprovedPermission.objects.get().review_by) == in_days(3)
