"""A process of its own on the test's database: does the named job at the named moment and says how it ended.

Reads one JSON object a line from standard input, writes one a line to standard output. Run by `workers.py`.
"""

import itertools
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "flowlu_admin.settings_test"
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import reverse  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from flowlu_admin import invitations, operator_accounts  # noqa: E402
from flowlu_admin.oidc import accounts as company_accounts  # noqa: E402
from flowlu_admin.oidc.id_tokens import Holder  # noqa: E402
from flowlu_admin.operator_accounts import remove_operator as remove  # noqa: E402
from installations import approval_requests, reviewing, services  # noqa: E402
from installations.actors import Via, operator_actor  # noqa: E402
from installations.approving import Seen  # noqa: E402
from installations.errors import DomainError  # noqa: E402
from installations.models import (  # noqa: E402
    Application,
    ApprovedPermission,
    AuditEvent,
    Installation,
    Portal,
    PortalUser,
)
from tests import catalogues, factories  # noqa: E402
from tokens import activity, observations, refusals, sweeps, usage  # noqa: E402
from tokens.models import Purpose, RefreshAttempt  # noqa: E402
from tokens.services import api_keys, keys, long_runs, probing, proving, refreshing, revocation  # noqa: E402
from tokens.services.acting import act_as_system, act_as_user  # noqa: E402
from tokens.targets import RevocationTarget  # noqa: E402

_MODELS: dict[str, Any] = {
    "portal": Portal,
    "application": Application,
    "installation": Installation,
    "user": PortalUser,
}
WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}

api = APIClient(raise_request_exception=False)


def _answered(response: Any) -> list[Any]:
    body = response.json() if response.content else {}
    return [response.status_code, body.get("error", ""), body.get("session_token", "")]


def handshake(pair: dict[str, str], portal: str, app_id: str) -> list[Any]:
    body = {"portal": portal, "app_id": app_id, **pair}
    return _answered(api.post("/api/v1/session", body, format="json"))


def hand_over(session: str, pair: dict[str, str]) -> list[Any]:
    return _answered(api.put("/api/v1/session/token", pair, format="json", headers={"X-Session-Token": session}))


def call(session: str) -> list[Any]:
    return _answered(api.get("/api/v1/flowlu/crm/account/list", headers={"X-Session-Token": session}))


def delete(session: str, path: str) -> list[Any]:
    return _answered(api.delete(f"/api/v1/{path}", headers={"X-Session-Token": session}))


def many(jobs: list[dict[str, Any]]) -> list[Any]:
    return [_JOBS[job.pop("job")](**job) for job in jobs]


def revoke(installation: int, token: int | None = None, user: int | None = None) -> int:
    target = RevocationTarget.of_installation(installation)
    if user is not None:
        target = RevocationTarget.of_portal_user(user, installation_id=installation)
    if token is not None:
        target = RevocationTarget.of_token(token)
    return revocation.revoke_tokens(target=target, **WHY).tokens_cut


def revoke_target(target: dict[str, Any]) -> int:
    return revocation.revoke_tokens(target=RevocationTarget.from_json(target), **WHY).tokens_cut


def cut_in_background(batch: int) -> int:
    return long_runs.cut_in_background(batch=batch)


def stop_revocation(number: int) -> bool:
    return long_runs.stop_revocation(revocation_id=number, **WHY)


def revoke_killed(target: dict[str, Any], batch: int, point: int) -> str:
    """Revoke in a child that is killed at its `point`th statement or commit. Tells whether it came that far."""
    return _killed(
        lambda: revocation.revoke_tokens(target=RevocationTarget.from_json(target), batch=batch, **WHY), point
    )


def killed(order: dict[str, Any], point: int) -> str:
    """Do another job in a child that is killed at its `point`th statement or commit. Tells whether it came that far."""
    job = _JOBS[order.pop("job")]
    return _killed(lambda: job(**order), point)


def _killed(work: Callable[[], Any], point: int) -> str:
    # The child needs connections of its own.
    connection.close()
    connection.close_pool()
    child = os.fork()
    if child == 0:
        try:
            _die_at(point)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return "done" if os.WEXITSTATUS(status) == 0 else f"failed with {status}"


def _die_at(point: int) -> None:
    passed = itertools.count(1)

    def pass_a_point() -> None:
        if next(passed) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(execute: Any, *arguments: Any) -> Any:
        pass_a_point()
        return execute(*arguments)

    # The wrapper sees no COMMIT.
    commit = connection.commit

    def before_and_after_commit() -> None:
        pass_a_point()
        commit()
        pass_a_point()

    connection.execute_wrappers.append(statement)
    connection.commit = before_and_after_commit  # type: ignore[method-assign]


def remove_operator(by: int, operator: int) -> bool:
    actor = operator_actor(get_user_model().objects.get(pk=by), Via.ADMIN)
    return bool(remove(operator_id=operator, actor=actor, reason="A test."))


def invite(email: str) -> int:
    return int(invitations.invite_operator(email=email, groups=["Auditor"], **WHY).invitation.pk)


def accept(code_hash: str, username: str) -> str:
    done = invitations.accept_invitation(code_hash=code_hash, username=username, password=factories.PASSWORD)
    return str(done.username)


def admit(subject: str) -> int:
    holder = Holder("https://id.example.com", subject, frozenset({"desk"}), subject)
    with override_settings(OIDC_GROUP_MAP={"desk": ("Auditor",)}, OIDC_CREATE_OPERATORS=True):
        return int(company_accounts.admit_holder(holder=holder).pk)


def withdraw_invitation(invitation: int) -> bool:
    return invitations.withdraw_invitation(invitation_id=invitation, **WHY)


def remove_factor(cookie: str, path: str) -> list[Any]:
    settings.OPERATOR_MFA = "required"
    client = Client(raise_request_exception=False)
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie
    answer = client.post(path)
    return [answer.status_code, answer.headers.get("Location", "")]


def give_code(cookie: str, code: str) -> list[Any]:
    """Give the second factor of a sign-in that waits for it. Tells the status and the cookie after it."""
    client = Client(raise_request_exception=False)
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie
    answer = client.post(reverse("mfa_authenticate"), {"code": code})
    return [answer.status_code, client.cookies[settings.SESSION_COOKIE_NAME].value]


def reset_factors(operator: int) -> bool:
    return operator_accounts.reset_second_factors(operator_id=operator, **WHY)


def use_keys(token_keys: str, fingerprint_key: str) -> None:
    settings.TOKEN_KEYS, settings.FINGERPRINT_KEY = token_keys, fingerprint_key


def rewrap() -> dict[str, int]:
    done = keys.rewrap_tokens(**WHY)
    return {"rewrapped": done.rewrapped, "left_alone": done.left_alone, "remaining": done.remaining}


def uninstall(installation: int) -> bool:
    return revocation.uninstall_installation(installation_id=installation, **WHY) is not None


def suspend(installation: int) -> bool:
    return services.suspend_installation(installation_id=installation, **WHY)


def resume(installation: int) -> bool:
    return services.resume_installation(installation_id=installation, **WHY)


def lock(kind: str, id: int) -> bool:
    return services.lock(target=_MODELS[kind].objects.get(pk=id), **WHY)


def unlock(kind: str, id: int) -> bool:
    return services.unlock(target=_MODELS[kind].objects.get(pk=id), **WHY)


def toggle(kind: str, id: int, times: int) -> int:
    return sum(verb(kind, id) for _ in range(times) for verb in (lock, unlock))


def approve(installation: int, scopes: list[str]) -> int:
    return len(services.approve_scopes(installation_id=installation, requested=scopes, **WHY).approved)


def approve_as_seen(installation: int, scopes: list[str], seen: str) -> str:
    """Approve what a page showed under an edition; return the edition that was copied."""
    services.approve_scopes(installation_id=installation, requested=scopes, seen=Seen(catalogue=seen), **WHY)
    row = ApprovedPermission.objects.in_force().get(installation=installation, code=scopes[0].rpartition(".")[0])
    return str(row.catalogue_entry["catalogue"])


def approve_and_note(installation: int, scopes: list[str]) -> list[Any]:
    """Approve, and return which edition was copied, by the row and by the trail."""
    services.approve_scopes(installation_id=installation, requested=scopes, **WHY)
    row = ApprovedPermission.objects.in_force().get(installation=installation, code=scopes[0].rpartition(".")[0])
    told = AuditEvent.objects.filter(verb="scopes.approved", installation_id=installation).latest("sequence")
    return [row.catalogue_entry["catalogue"], told.details["catalogue"], told.sequence]


def edit_catalogue(code: str, rules: list[str], seen: int | None = None) -> int:
    return catalogues.save(catalogues.entry(code, *rules), seen=seen).catalogue.edition


def declare(code: str) -> list[Any]:
    """Declare a purpose, and return what was copied for it and when that was."""
    row = factories.purpose(code, scopes=["warehouse.read"])
    told = AuditEvent.objects.get(verb="purpose.declared", target_id=code)
    return [row.covers["warehouse"], told.sequence]


def keep(installation: int, codes: list[str], review_by: str) -> int:
    until = date.fromisoformat(review_by)
    result = reviewing.keep_scopes(installation_id=installation, codes=codes, review_by=until, **WHY)
    return len(result.kept)


def lower(installation: int, codes: list[str]) -> int:
    return len(reviewing.lower_scopes(installation_id=installation, codes=codes, **WHY).lowered)


def decide(installation: int, seen: dict[str, str], **decisions: list[str]) -> int:
    result = reviewing.decide_reviews(installation_id=installation, seen=seen, **decisions, **WHY)
    return len(result.kept) + len(result.lowered) + len(result.withdrawn)


def withdraw(installation: int, codes: list[str]) -> int:
    return len(services.withdraw_scopes(installation_id=installation, codes=codes, **WHY).withdrawn)


def _by(operator: str) -> dict[str, Any]:
    account = get_user_model().objects.get(username=operator)
    return {"actor": operator_actor(account, Via.ADMIN), "reason": "A test."}


def ask(installation: int, scopes: list[str], operator: str) -> list[Any]:
    asked = approval_requests.request_approval(installation_id=installation, requested=scopes, **_by(operator))
    return [str(asked.request.pk), asked.is_new]


def approve_many(installations: list[int], scopes: list[str]) -> int:
    return approval_requests.approve_for_many(installation_ids=installations, requested=scopes, **WHY).approved


def confirm(request: int, operator: str) -> int:
    return approval_requests.confirm_request(request_id=request, **_by(operator)).installations


def refuse(request: int, operator: str) -> str:
    return approval_requests.refuse_request(request_id=request, **_by(operator))


def import_manifest(document: str) -> bool:
    return services.import_manifest(document=document, kind=None, actor=WHY["actor"]).changed


def refresh(token: int, generation: int) -> str:
    """Refresh a pair and have it proven, as a call would; return how the refresh ended."""
    ending = refreshing.refresh_pair(token_id=token, generation=generation, trigger=RefreshAttempt.Trigger.CALL)
    if ending is refreshing.Ending.FRESH:
        proving.prove_pair(token_id=token, generation=generation + 1)
    return ending.value


def add_key(installation: int, value: str, label: str) -> int:
    nightly = Purpose.objects.filter(code="nightly")
    return factories.api_key(Installation(pk=installation), value, purposes=list(nightly), label=label).pk


def replace_key(key: int, value: str, overlap: int = 0) -> int:
    stays = timedelta(seconds=overlap)
    new = api_keys.KeyText(value)
    return api_keys.replace_api_key(api_key_id=key, key=new, overlap=stays, expires_at=None, **WHY).pk


def revoke_key(key: int) -> bool:
    return api_keys.revoke_api_key(api_key_id=key, **WHY)


def wipe_keys() -> int:
    return api_keys.wipe_expired_api_keys()


def act(portal: str, app_id: str, user: str | None = None) -> str:
    """Call as the system, or as a user; return `ok` or the code of the refusal."""
    where = {"app_id": app_id, "portal": portal}
    acting = (
        act_as_system(purpose="nightly", **where)
        if user is None
        else act_as_user(purpose="account-sync", user_id=user, **where)
    )
    try:
        acting.call("crm", "account", "list")
    except DomainError as error:
        return error.code
    return "ok"


def sweep() -> list[str]:
    """Run what is due; return what failed."""
    return sweeps.run_due().failed


def probe() -> int:
    return probing.probe_quiet(lambda: False)


def judge() -> int:
    return probing.judge_liveness(lambda: False)


def state_present(installation: int) -> bool:
    return services.state_present(installation_id=installation, **WHY)


def store_refresh_tokens(application: int, on: bool) -> bool:
    return revocation.configure_application(
        application_id=application, stores_refresh_tokens=on, allowed_portals=[], **WHY
    )


_JOBS: dict[str, Callable[..., Any]] = {
    job.__name__: job
    for job in (
        handshake, hand_over, call, delete, many, revoke, revoke_target, revoke_killed, killed, uninstall,
        suspend, resume, cut_in_background, stop_revocation,
        lock, unlock, toggle, remove_operator, invite, accept, admit, withdraw_invitation, remove_factor,
        give_code, reset_factors,
        approve, approve_as_seen, approve_and_note, edit_catalogue, declare, withdraw, keep, lower, decide,
        ask, approve_many, confirm, refuse, import_manifest,
        store_refresh_tokens, use_keys, rewrap, refresh,
        add_key, replace_key, revoke_key, wipe_keys, act, sweep, probe, judge, state_present,
    )
}  # fmt: skip


def _do(order: dict[str, Any]) -> dict[str, Any]:
    until = order.pop("at")
    work = _JOBS[order.pop("job")]
    while (left := until - time.monotonic()) > 0:
        time.sleep(left if left > 0.002 else 0)
    began = time.monotonic()
    try:
        answer = {"value": work(**order)}
    except DomainError as error:
        answer = {"refused": error.code}
    except Exception as error:
        answer = {"broken": f"{type(error).__name__}: {error}"}
    ended = time.monotonic()
    # Now and not some seconds later: by then the test is over, and its tables are being emptied.
    for noted in (usage, observations, activity, refusals):
        noted.flush()
    return answer | {"began": began, "ended": ended}


def main() -> None:
    settings.DEBUG = True  # plain http to the sandbox
    settings.FLOWLU_PORTAL_URL = os.environ["SANDBOX_PORTAL_URL"]
    settings.FLOWLU_PORTAL_URL_IS_SET = True
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        print(json.dumps(_do(json.loads(line))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
