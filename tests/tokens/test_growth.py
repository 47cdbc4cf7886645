"""Which rows one act adds, and that a call adds none: what docs/operations.md reckons with."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps

from installations.models import Application, Installation
from tests import factories
from tests.backend import Backend
from tests.refreshed import hand_over_both, page, soon
from tokens import activity, day_counts, observations, refusals, usage
from tokens.models import OAuthToken

pytestmark = pytest.mark.django_db(transaction=True)

# Some dozen rows a day, whatever the load.
BOUNDED = "daycount"


def rows() -> Counter[str]:
    for noted in (usage, observations, activity, refusals, day_counts):
        noted.flush()
    models = [
        model for app in ("installations", "tokens", "flowlu_admin") for model in apps.get_app_config(app).get_models()
    ]
    return Counter(
        {model._meta.model_name: model._default_manager.count() for model in models if not model._meta.proxy}
    )


@contextmanager
def adds(**expected: int) -> Iterator[None]:
    before = rows()
    yield
    added = rows() - before
    del added[BOUNDED]
    assert added == expected


def test_rows_of_each_act(revoking: Any, application: Application, api: Any) -> None:
    jose = page(revoking, application, api)
    here = Installation.objects.get()

    jose.pair = revoking.state.issue_tokens(jose.portal, jose.user_id)
    with adds(embedsession=1, oauthtoken=1, auditevent=1):
        jose.open()
    with adds(embedsession=1):
        jose.open()
    assert hand_over_both(jose).status_code == 204
    with adds(scopeusage=1, evidence=1):
        assert jose.accounts().status_code == 200  # the first under its scope today, and the first sign of its kind
    with adds():
        assert jose.accounts().status_code == 200
    soon(OAuthToken.objects.latest("pk"))
    with adds(refreshattempt=1, auditevent=1, replacedfingerprint=2):
        assert jose.accounts().status_code == 200
    backend = Backend(
        factories.service_client(purposes=[factories.purpose()], applications=[application], portals=[here.portal]).key
    )
    with adds(servicecall=1, scopeusage=1):
        assert backend.get().status_code == 200
    with adds(servicecall=1):
        assert backend.get().status_code == 200
    # Two events: the cut, and that Flowlu confirmed it. Two fingerprints of the pair, and the two that it replaced.
    with adds(revocation=1, revokedfingerprint=4, upstreamrevocation=1, auditevent=2):
        assert jose.delete("session/token").status_code == 204


def test_rows_of_a_hand_over(sandbox: Any, application: Application, ana: Any) -> None:
    ana.open()
    ana.refresh()
    with adds(auditevent=1, evidence=1, replacedfingerprint=1):
        assert ana.hand_over().status_code == 204
    ana.refresh()
    with adds(auditevent=1, replacedfingerprint=1):
        assert ana.hand_over().status_code == 204
