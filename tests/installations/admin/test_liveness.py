"""Is it still there: what the page, the list and the first page say, and the two answers of an operator."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from installations.models import Installation, Liveness
from tests import factories
from tests.installations.admin.console import confirm, messages, signed_in, text, url
from tests.unchanged import last_event, nothing_changes
from tokens.models import OAuthToken, Revocation


@pytest.fixture
def suspected(active: Installation) -> Installation:
    factories.suspect(active)
    return active


def page_of(installation: Installation) -> str:
    return url("installations_installation_change", installation.pk)


def listed(client: Any, **query: str) -> list[str]:
    page = client.get(url("installations_installation_changelist"), query)
    assert page.status_code == 200
    return [row.portal.domain for row in page.context["cl"].result_list]


def test_page_says_the_verdict_why_and_on_what_evidence(auditor: Any, suspected: Installation) -> None:
    page = signed_in(auditor).get(page_of(suspected))

    assert "liveness: suspected removed" in text(page)
    assert "Flowlu refused a token that had not expired on 2 days" in text(page)
    assert "Confidence: medium." in text(page)
    table = page.context["tables"][0]
    assert table.title == "Evidence"
    assert [(str(what), str(answer)) for _at, what, answer in table.rows] == [
        ("probe: unexpired token refused", "HTTP 401"),
        ("probe: unexpired token refused", "HTTP 401"),
        ("launched", "–"),
    ]
    assert table.note.startswith("Not probed yet. The first probe is due from ")
    assert f"installation__id__exact={suspected.pk}" in table.more_url
    assert "Confirm the removal" not in text(page)  # an auditor may not


def test_page_of_one_that_is_new_says_that_it_was_opened(auditor: Any, active: Installation) -> None:
    page = signed_in(auditor).get(page_of(active))

    assert "liveness: seen" in text(page)
    assert "and no call of it was accepted in the last 14 days" in text(page)
    assert page.context["tables"][0].note == ""


def test_evidence_is_shown_to_those_who_may_see_it(outsider: Any, suspected: Installation) -> None:
    outsider.user_permissions.set([Permission.objects.get(codename="view_installation")])
    page = signed_in(outsider).get(page_of(suspected))

    assert "liveness: suspected removed" in text(page)
    assert page.context["tables"] == []


def test_page_goes_by_the_evidence_where_the_kept_verdict_is_older(auditor: Any, active: Installation) -> None:
    active.evidence.update(observed_at=timezone.now() - timedelta(days=20))
    Liveness.objects.update(judge_again_at=timezone.now() - timedelta(seconds=1))
    client = signed_in(auditor)

    assert "liveness: quiet" in text(client.get(page_of(active)))
    assert "seen medium, judged anew soon" in text(client.get(url("installations_installation_changelist")))


def test_last_probe_is_told(auditor: Any, suspected: Installation) -> None:
    Liveness.objects.update(probe_outcome="token_stale")
    page = signed_in(auditor).get(page_of(suspected))
    assert page.context["tables"][0].note.startswith("The last probe ended with token_stale. The next one is due from ")


def test_list_shows_the_kept_verdict_and_how_old_it_is(auditor: Any, suspected: Installation) -> None:
    Liveness.objects.update(judged_at=timezone.now() - timedelta(days=3))
    client = signed_in(auditor)
    assert "suspected removed medium, 3 days old" in text(client.get(url("installations_installation_changelist")))
    Liveness.objects.update(judged_at=timezone.now())
    assert "suspected removed medium, new" in text(client.get(url("installations_installation_changelist")))
    Liveness.objects.update(judged_at=None)
    assert "not judged yet" in text(client.get(url("installations_installation_changelist")))
    Liveness.objects.all().delete()
    assert "not judged yet" in text(client.get(url("installations_installation_changelist")))
    assert client.get(page_of(suspected)).status_code == 200


def test_list_is_narrowed_by_the_verdict(auditor: Any, suspected: Installation, application: Any) -> None:
    factories.installation(application, portal="globex.flowlu.com")
    client = signed_in(auditor)

    assert listed(client, liveness="suspected_removed") == ["acme.flowlu.com"]
    assert listed(client, liveness="seen") == ["globex.flowlu.com"]
    assert listed(client, liveness="confirmed_removed") == []
    assert len(listed(client, liveness="nonsense")) == 2


def statements(client: Any, where: str, **query: str) -> int:
    """Return what a page costs, once every cache is warm."""
    client.get(where, query)
    with CaptureQueriesContext(connection) as found:
        assert client.get(where, query).status_code == 200
    return len(found)


def test_pages_cost_the_same_however_much_was_observed(responder: Any, suspected: Installation) -> None:
    client = signed_in(responder)
    acts = ("uninstall", "still_there")
    pages = [
        page_of(suspected),
        *(url(f"installations_installation_{act}", object_id=suspected.pk) for act in acts),
    ]
    before = [statements(client, where) for where in pages]
    assert before[0] <= 17
    for days in range(1, 40):
        suspected.evidence.create(kind="probe_unclear", observed_at=timezone.now() - timedelta(days=days))
    assert [statements(client, where) for where in pages] == before


def test_list_costs_the_same_however_long_it_is(auditor: Any, application: Any) -> None:
    client, where = signed_in(auditor), url("installations_installation_changelist")
    factories.installation(application, portal="p0.flowlu.com")
    few = statements(client, where, liveness="seen")
    # Five of them count the choices of the filters, one says among what, one reads the filters that are kept.
    assert few <= 15
    for number in range(1, 12):
        factories.installation(application, portal=f"p{number}.flowlu.com")
    assert statements(client, where, liveness="seen") == few


def test_first_page_names_suspected_removals(auditor: Any, suspected: Installation) -> None:
    page = signed_in(auditor).get(url("index"))
    assert "1 installation is suspected to be removed" in text(page)
    where = f"{url('installations_installation_changelist')}?liveness=suspected_removed"
    assert where in page.content.decode()
    Liveness.objects.update(state="quiet")
    assert "suspected to be removed" not in text(signed_in(auditor).get(url("index")))


def test_operator_confirms_the_removal_from_what_was_observed(responder: Any, token: OAuthToken) -> None:
    here = token.installation
    factories.suspect(here)
    client = signed_in(responder)
    where = url("installations_installation_uninstall", object_id=here.pk)
    assert f'href="{where}">Confirm the removal</a>' in client.get(page_of(here)).content.decode()
    shown = client.get(where)
    assert "Flowlu refused a token that had not expired on 2 days" in text(shown)
    assert "probe: unexpired token refused HTTP 401" in text(shown)

    done = confirm(client, where, {"reason": "Their administrator says so."}, follow=True)

    assert messages(done) == [f"Marked as uninstalled. 1 token revoked. See revocation #{Revocation.objects.get().pk}."]
    here.refresh_from_db()
    token.refresh_from_db()
    assert (here.status, token.state) == ("uninstalled", "revoked")
    assert (Liveness.objects.get().state, Liveness.objects.get().probe_after) == ("confirmed_removed", None)
    assert "liveness: confirmed removed" in text(done)
    assert "An operator stated on" in text(done)
    assert "Confirm the removal" not in text(done)


def test_launch_after_a_confirmed_removal_is_a_new_generation_without_approvals(
    responder: Any, suspected: Installation, application: Any
) -> None:
    client = signed_in(responder)
    where = url("installations_installation_uninstall", object_id=suspected.pk)
    confirm(client, where, {"reason": "A test."}, follow=True)

    new = factories.launch(application).installation

    assert (new.generation, new.status, new.approved_permissions.count()) == (2, "pending_approval", 0)
    assert dict(Liveness.objects.values_list("pk", "state")) == {suspected.pk: "confirmed_removed", new.pk: "seen"}
    assert "liveness: seen" in text(client.get(page_of(new)))


def test_operator_states_that_it_is_still_there(responder: Any, suspected: Installation) -> None:
    client = signed_in(responder)
    where = url("installations_installation_still_there", object_id=suspected.pk)
    assert where in client.get(page_of(suspected)).content.decode()
    assert "Flowlu refused a token" in text(client.get(where))

    done = client.post(where, {"reason": "Their administrator says so."}, follow=True)

    assert messages(done) == ["Stated that it is still there."]
    assert (last_event().verb, last_event().actor_name) == ("installation.stated_present", "responder")
    assert "liveness: quiet" in text(done)
    assert where not in done.content.decode()
    with nothing_changes():
        again = client.post(where, {"reason": "Their administrator says so."}, follow=True)
    assert messages(again) == ["Nothing changed: it is not suspected to be removed."]


def test_who_may_only_look_may_answer_neither(auditor: Any, reviewer: Any, suspected: Installation) -> None:
    for operator in (auditor, reviewer):
        client = signed_in(operator)
        for act in ("still_there", "uninstall"):
            where = url(f"installations_installation_{act}", object_id=suspected.pk)
            assert where not in client.get(page_of(suspected)).content.decode()
            with nothing_changes():
                assert client.get(where).status_code == 403


@time_machine.travel("2026-04-01 10:15:20", tick=False)
def test_evidence_has_a_page_of_its_own(auditor: Any, suspected: Installation) -> None:
    client = signed_in(auditor)
    rows = client.get(url("installations_evidence_changelist"), {"installation__id__exact": suspected.pk})
    assert "HTTP 401" in text(rows)
    one = suspected.evidence.latest("pk")
    assert "a single observation" in text(client.get(url("installations_evidence_change", one.pk)))
