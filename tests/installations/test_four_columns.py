"""Requested, approved, effective and used, side by side: what each line says and what stands out."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from installations import catalogue, scopes
from installations.four_columns import (
    USE_DAYS,
    Answers,
    CodeUse,
    Line,
    Use,
    four_columns,
    use_of,
    utc_today,
)
from installations.models import Application, ApprovedPermission, Installation, PortalUser, ScopeUsage
from installations.scopes import to_json
from tests import factories

pytestmark = pytest.mark.django_db


def approved(text: str, *, days_ago: int = 90, **columns: Any) -> ApprovedPermission:
    """Return an approval in force as the catalogue describes the scope now, without a row."""
    scope = scopes.parse(text)
    entry = catalogue.load().get(scope.code)
    values = {
        "code": scope.code,
        "level": scope.level.value,
        "catalogue_entry": {"covers": to_json(entry.covers) if entry else []},
        "approved_at": timezone.now() - timedelta(days=days_ago),
    }
    return ApprovedPermission(**(values | columns))


def lines(requested: list[str], *in_force: ApprovedPermission, use: dict[str, Use] | None = None) -> dict[str, Line]:
    all_use = {code: CodeUse(each, Answers()) for code, each in (use or {}).items()}
    found = four_columns(requested, in_force, all_use, now=timezone.now())
    return {line.text: line for line in found}


def test_what_is_asked_for_comes_in_its_order_then_what_is_only_approved_then_what_was_only_used() -> None:
    found = lines(
        ["fin.full", "warehouse.read", "task.read", "fin.read", "no scope!"],
        approved("crm.deals.read"),
        approved("task.read"),
        use={"users": Use(accepted=3), "crm.deals": Use(accepted=1)},
    )

    assert list(found) == ["fin.full", "warehouse.read", "task.read", "no scope!", "crm.deals.read", "users"]
    assert [line.declared for line in found.values()] == [True, True, True, True, False, False]
    assert [line.requested for line in found.values()] == ["full", "read", "read", None, None, None]
    assert [line.approval is not None for line in found.values()] == [False, False, True, False, True, False]


def test_highest_level_that_is_asked_for_counts_wherever_it_stands() -> None:
    assert [line.requested for line in lines(["fin.read", "fin.full", "fin"]).values()] == ["full"]


@pytest.mark.parametrize(
    ("requested", "in_force", "text", "effective", "why"),
    [
        (["fin.full"], [approved("fin.full")], "fin.full", "full", "As approved."),
        (["fin.full"], [approved("fin.read")], "fin.full", "read", "As approved."),
        (["fin.full"], [], "fin.full", None, "Nobody approved it."),
        (["nope.full"], [], "nope.full", None, "It cannot be approved: nobody can say what it would allow."),
        (
            ["crm.read", "crm.deals.full"],
            [approved("crm.read"), approved("crm.deals.full")],
            "crm.deals.full",
            None,
            "crm is approved too, and decides with its own level. This one grants nothing beside it.",
        ),
        (
            ["nope.full"],
            [approved("nope.full")],
            "nope.full",
            None,
            "The catalogue does not know it any more. What nobody can explain grants nothing.",
        ),
        (
            ["fin.full"],
            [approved("fin.full", catalogue_entry={"covers": []})],
            "fin.full",
            None,
            "Nothing is left that the approval and today's catalogue both cover.",
        ),
        (
            ["fin.full"],
            [approved("fin.full", catalogue_entry={"damaged": True})],
            "fin.full",
            None,
            "Nothing is left that the approval and today's catalogue both cover.",
        ),
        (
            ["fin.full"],
            [
                approved(
                    "fin.full",
                    catalogue_entry={"covers": [{"module": "fin", "model": "invoice", "actions": ["list"]}]},
                )
            ],
            "fin.full",
            "read",
            "The catalogue changed since it was approved: only what both cover counts.",
        ),
        (["user.me.full"], [approved("user.me.full")], "user.me.full", "read",
         "It covers no action that needs the level full."),
    ],
)  # fmt: skip
def test_effective_level_comes_with_the_sentence_why(
    requested: list[str], in_force: list[ApprovedPermission], text: str, effective: str | None, why: str
) -> None:
    line = lines(requested, *in_force)[text]

    assert (line.effective, line.why) == (effective, why)


def test_use_without_approval_says_that_it_is_not_approved_any_more() -> None:
    line = lines([], use={"fin": Use(accepted=1)})["fin"]

    assert (line.effective, line.why, line.differences) == (None, "It is not approved any more.", ())


USED = Use(accepted=5, writes=2)


@pytest.mark.parametrize(
    ("requested", "approval", "use", "expected"),
    [
        ("fin.full", None, Use(), ["requested, not approved"]),
        ("nope.full", None, Use(), ["requested, unknown"]),
        ("no scope!", None, Use(), ["requested, unknown"]),
        ("fin.full", approved("fin.full"), USED, []),
        ("task.read", approved("fin.full"), USED, ["approved, not requested any more"]),
        ("fin.read", approved("fin.full"), USED, ["more approved than requested"]),
        ("fin.full", approved("fin.read"), Use(accepted=5), ["less approved than requested"]),
        ("fin.full", approved("fin.full"), Use(accepted=5), ["only read was used"]),
        ("fin.full", approved("fin.full"), Use(), ["unused"]),
        ("fin.full", approved("fin.full", days_ago=29), Use(), []),
        ("fin.full", approved("fin.full", days_ago=30), Use(), ["unused"]),
        ("fin.full", approved("fin.full"), Use(denied=7), ["Flowlu denies it"]),
        ("fin.full", approved("fin.full"), Use(accepted=1, writes=1, denied=7), []),
        ("fin.full", approved("fin.full", catalogue_entry={"covers": []}), USED, ["approved, not effective"]),
    ],
)
def test_differences_stand_out(
    requested: str, approval: ApprovedPermission | None, use: Use, expected: list[str]
) -> None:
    code = "fin" if approval or requested.startswith("fin") else "other"
    found = lines([requested], *([approval] if approval else []), use={code: use} if use != Use() else {})

    assert [list(line.differences) for line in found.values() if line.text != "task.read"] == [expected]


def test_answers_to_a_user_are_laid_beside_their_scope() -> None:
    answers = Answers(3, 1, timezone.now())

    found = four_columns(["fin.read", "task.read"], [], {"fin": CodeUse(Use(), answers)}, now=timezone.now())

    assert [line.answers for line in found] == [answers, Answers()]


# --- Reads ---


def used(
    installation: Installation, user: PortalUser | None, code: str, *, days_ago: int = 0, **columns: Any
) -> ScopeUsage:
    day: date = utc_today() - timedelta(days=days_ago)
    values = {"level": "read", "purpose": "", "accepted": 1, "last_at": timezone.now() - timedelta(days=days_ago)}
    return ScopeUsage.objects.create(
        installation=installation, portal_user=user, code=code, day=day, **(values | columns)
    )


def test_use_is_summed_over_users_levels_and_purposes_by_day(application: Application) -> None:
    ana = factories.launch(application)
    ben = factories.launch(application, user_id="8")
    here = ana.installation
    used(here, ana.portal_user, "fin", accepted=3)
    used(here, ana.portal_user, "fin", accepted=2, level="full", denied=1)
    used(here, ben.portal_user, "fin", accepted=4, days_ago=1)
    used(here, None, "fin", accepted=5, days_ago=USE_DAYS - 1, purpose="nightly")
    old = used(here, ben.portal_user, "task", accepted=9, days_ago=USE_DAYS)

    found = use_of(here.pk, today=utc_today())

    fin = found["fin"].use
    assert (fin.accepted, fin.denied, fin.writes, fin.users, fin.purposes) == (14, 1, 2, 2, ("", "nightly"))
    assert fin.per_day == (5, *(0,) * (USE_DAYS - 3), 4, 6)
    assert found["task"].use == Use(last_at=old.last_at)


def test_use_of_another_installation_is_not_counted(application: Application) -> None:
    here, there = factories.launch(application), factories.launch(application, portal="globex.flowlu.com")
    used(there.installation, there.portal_user, "fin")

    assert use_of(here.installation.pk, today=utc_today()) == {}
    used(here.installation, here.portal_user, "task")
    found = use_of(here.installation.pk, today=utc_today(), portal_user_id=there.portal_user.pk)
    assert {code: each.answers for code, each in found.items()} == {"task": Answers()}


def test_probe_of_the_sweep_is_no_use(application: Application) -> None:
    ana = factories.launch(application, user_id="1")
    here, user = ana.installation, ana.portal_user
    used(here, user, "user.me", accepted=2, purpose="liveness")
    used(here, user, "fin", accepted=3, denied=1, level="full", days_ago=2)
    used(here, None, "fin", accepted=5, denied=5, level="full", purpose="liveness")

    found = use_of(here.pk, today=utc_today(), portal_user_id=user.pk)

    assert list(found) == ["fin"]
    fin = found["fin"].use
    assert (fin.accepted, fin.denied, fin.writes, fin.users, fin.purposes) == (3, 1, 3, 1, ("",))
    assert sum(fin.per_day) == 4
    assert fin.last_at == found["fin"].answers.last_at


def test_day_of_a_clock_that_runs_ahead_is_counted_and_breaks_nothing(application: Application) -> None:
    record = factories.launch(application)
    used(record.installation, record.portal_user, "fin", days_ago=-1)

    assert use_of(record.installation.pk, today=utc_today())["fin"].use.accepted == 1


def test_answers_to_one_user_are_theirs_alone_and_of_all_time(application: Application) -> None:
    ana, ben = factories.launch(application), factories.launch(application, user_id="8")
    used(ana.installation, ana.portal_user, "fin", accepted=3, denied=1)
    last = used(ana.installation, ana.portal_user, "fin", accepted=0, denied=2, days_ago=-1).last_at
    used(ana.installation, ben.portal_user, "fin", accepted=70)

    found = use_of(ana.installation.pk, today=utc_today(), portal_user_id=ana.portal_user.pk)
    assert found["fin"].answers == Answers(3, 3, last)
    assert found["fin"].use.accepted == 73
    assert use_of(ana.installation.pk, today=utc_today())["fin"].answers == Answers()
