"""`doctor --portal`: what is assumed holds on the sandbox. Where a portal differs it says what mends it."""

import http.client
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flowlu_admin.doctor import portal as trial
from flowlu_admin.sandbox.server import SandboxServer

ACME = "acme.flowlu.com"


@dataclass(frozen=True)
class Said:
    rows: dict[str, dict[str, str]]
    refusal: str

    def of(self, verdict: str) -> list[str]:
        return [name for name, row in self.rows.items() if row["verdict"] == verdict]


class Doctor:
    """Runs the command with a token of acme's administrator and reads what it prints."""

    def __init__(self, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox = sandbox
        self.monkeypatch = monkeypatch
        self.token = sandbox.state.issue_tokens("acme", "1").access_token
        self.everything = ""

    def control(self, verb: str, /, **payload: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.sandbox.port, timeout=5)
        body = json.dumps({"portal": "acme", **payload})
        connection.request("POST", f"/_sandbox/{verb}", body, {"Host": f"localhost:{self.sandbox.port}"})
        answer = connection.getresponse()
        read = json.loads(answer.read())
        connection.close()
        assert answer.status in (200, 201), read
        return read

    def run(self, *line: str, typed: str | None = None) -> tuple[str, str]:
        out, refusal = StringIO(), ""
        self.monkeypatch.setattr("sys.stdin", StringIO(f"{self.token if typed is None else typed}\n"))
        try:
            call_command("doctor", "--portal", ACME, "--pause", "0", *line, stdout=out, stderr=out)
        except CommandError as error:
            refusal = str(error)
        self.everything += out.getvalue() + refusal
        return out.getvalue(), refusal

    def says(self, *line: str) -> Said:
        printed, refusal = self.run("--json", *line)
        return Said({row["name"]: row for row in json.loads(printed)["points"]}, refusal)


@pytest.fixture
def doctor(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    return Doctor(sandbox, monkeypatch)


HOW = "Give the token as the first line of standard input, a key as the second."
NEVER = ["launch", "refresh by a server", "revoking at Flowlu"]


def test_what_is_assumed_holds_and_nothing_is_written(doctor: Doctor, sandbox: SandboxServer) -> None:
    said = doctor.says()

    assert said.refusal == ""
    assert said.of("differs") == said.of("unclear") == []
    assert said.of("not tried") == [
        "API key",
        "expires_at",
        "rate header",
        "body of a write",
        "refused values",
        "delete",
        *NEVER,
    ]
    asked = sandbox.state.requests(ACME)
    assert {(entry.method, entry.path.split("/")[2]) for entry in asked} == {("GET", "get"), ("GET", "list")}
    assert len(asked) < 12


def test_plain_report_has_all_three_side_by_side(doctor: Doctor) -> None:
    doctor.control("variants", token="bare")
    printed, refusal = doctor.run()
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = lines.index("DIFFERS token header")
    assert lines[at + 1 : at + 5] == [
        "documented in a request header; its form is not shown",
        "assumed Authorization: Bearer {token}",
        "observed Authorization: {token}",
        "change FLOWLU_TOKEN_HEADER=Authorization: {token}",
    ]
    assert refusal == "8 holds, 1 differs, 0 unclear, 9 not tried"


def test_writes_are_tried_where_asked_and_taken_back(doctor: Doctor, sandbox: SandboxServer) -> None:
    before = {key: dict(rows) for key, rows in sandbox.state.portal("acme").tables.items()}
    said = doctor.says("--may-write")

    assert said.refusal == ""
    assert {"body of a write", "refused values", "delete"} <= set(said.of("holds"))
    assert said.rows["body of a write"]["observed"] == "form and json"
    assert sandbox.state.portal("acme").tables == before


SET: dict[str, tuple[dict[str, str], set[str], str]] = {
    "bare token": ({"token": "bare"}, {"token header"}, "FLOWLU_TOKEN_HEADER=Authorization: {token}"),
    "own header": ({"token": "own_header"}, {"token header"}, "FLOWLU_TOKEN_HEADER=X-Access-Token: {token}"),
    "json": ({"body": "json"}, {"body of a write"}, "FLOWLU_BODY=json"),
    "delete": ({"delete": "post"}, {"delete"}, "FLOWLU_DELETE_METHOD=post"),
    "codes": (
        {"errors": "own_codes"},
        {"refused token", "unknown module", "unknown model", "unknown record", "refused values"},
        "FLOWLU_ERROR_CODES=11=stale,20=not_found,21=invalid,22=denied,30=not_found,31=not_found,"
        "411=stale,420=not_found,421=invalid,430=not_found,431=not_found",
    ),
}


@pytest.mark.parametrize(("variant", "points", "change"), SET.values(), ids=SET.keys())
def test_setting_that_is_named_mends_it(
    doctor: Doctor, settings: Any, variant: dict[str, str], points: set[str], change: str
) -> None:
    doctor.control("variants", **variant)
    doctor.control("settings", auth_failure="error_11")

    said = doctor.says("--may-write")
    assert set(said.of("differs")) == points
    assert said.refusal.split(", ")[1] == f"{len(points)} differs"
    assert {said.rows[point]["change"] for point in points} == {change}

    name, _, value = change.partition("=")
    codes = dict(pair.split("=") for pair in value.split(",")) if name == "FLOWLU_ERROR_CODES" else {}
    setattr(settings, name, codes or value)
    again = doctor.says("--may-write")
    assert (again.of("differs"), again.refusal) == ([], "")


def test_errors_with_a_status_and_numbers_for_ids_are_understood(doctor: Doctor) -> None:
    doctor.control("variants", errors="statuses", user_id="number")
    said = doctor.says("--may-write")
    assert said.of("differs") == []
    assert said.rows["unknown record"]["observed"] == "HTTP 404, code 20"
    assert said.rows["current user"]["observed"] == "id is a number, `role_admin` is there"


@pytest.mark.parametrize(
    ("variant", "verdict", "observed"),
    [
        ({}, "holds", "`limit` works; all 34 records fit into a page, so no most is seen"),
        ({"page": "twenty"}, "differs", "20 without `limit`, 20 at most"),
        ({"page": "count"}, "differs", "the parameter is called `count`"),
    ],
)
def test_pages(doctor: Doctor, variant: dict[str, str], verdict: str, observed: str) -> None:
    doctor.control("variants", **variant)
    row = doctor.says().rows["page length"]
    assert (row["verdict"], row["observed"]) == (verdict, observed)


def test_pages_are_not_tried_with_what_may_not_be_listed_or_is_too_few(doctor: Doctor) -> None:
    assert doctor.says("--list", "crm/pipeline").rows["page length"]["verdict"] == "unclear"
    doctor.control("approved", scopes=["user.me"])
    assert doctor.says().rows["page length"]["verdict"] == "not tried"
    said = doctor.says("--may-write")
    assert {said.rows[name]["verdict"] for name in ("body of a write", "refused values", "delete")} == {"not tried"}


@pytest.mark.parametrize(
    ("retry", "verdict", "change"),
    [
        ("retry_after", "holds", ""),
        ("reset", "differs", "FLOWLU_RETRY_HEADER=X-RateLimit-Reset"),
        ("nothing", "differs", "callers wait by themselves"),
    ],
)
def test_limit_is_provoked_where_asked(
    doctor: Doctor, settings: Any, monkeypatch: pytest.MonkeyPatch, retry: str, verdict: str, change: str
) -> None:
    doctor.control("variants", retry=retry)
    doctor.control("settings", rate_limit=30)
    row = doctor.says("--burst", "100").rows["rate header"]
    assert (row["verdict"], row["change"]) == (verdict, change)
    if retry == "reset":
        settings.FLOWLU_RETRY_HEADER = "X-RateLimit-Reset"
        assert doctor.says("--burst", "100").rows["rate header"]["verdict"] == "holds"


def test_limit_that_is_met_by_the_way_is_waited_for(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(trial, "sleep", waited.append)
    doctor.control("faults", fault="status_429", path="crm/account/list", times=1)
    said = doctor.says()
    assert said.rows["page length"]["verdict"] == "holds"
    assert said.rows["rate header"]["observed"] == "a 429 with Retry-After: 7 s"
    assert [seconds for seconds in waited if seconds] == [5]

    doctor.control("faults", fault="status_429", path="crm/account/create")
    assert doctor.says("--may-write").rows["delete"]["observed"] == "no answer: rate_limited"
    doctor.control("faults", fault="status_429")
    said = doctor.says()
    assert said.rows["portal"]["change"] == "come again later, with a longer --pause"
    assert list(said.rows) == ["portal"]


def test_burst_that_breaks_off(doctor: Doctor) -> None:
    asked = len(doctor.sandbox.state.requests())
    doctor.says()
    before = len(doctor.sandbox.state.requests()) - asked
    observe, left = trial.FlowluClient.observe, [before]

    def breaks(*args: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            doctor.control("faults", fault="reset")
        return observe(*args)

    doctor.monkeypatch.setattr(trial.FlowluClient, "observe", breaks)
    assert doctor.says("--burst", "3").rows["rate header"]["observed"].startswith("no answer: flowlu_unavailable")


def test_connection_that_breaks_at_each_delete(doctor: Doctor) -> None:
    doctor.control("faults", fault="reset", path="crm/account/delete")
    said = doctor.says("--may-write")
    assert said.rows["delete"]["observed"].startswith("no answer: flowlu_unavailable")
    assert "left behind" in said.rows


@pytest.mark.parametrize(
    ("expiry", "zone", "verdict"),
    [
        ("utc", "UTC", "holds"),
        ("moscow", "UTC", "unclear"),
        ("moscow", "Europe/Moscow", "holds"),
        ("utc", "Europe/Moscow", "differs"),
        ("unix", "UTC", "differs"),
    ],
)
def test_expiry_is_read_as_it_is_set(doctor: Doctor, settings: Any, expiry: str, zone: str, verdict: str) -> None:
    settings.FLOWLU_EXPIRY_ZONE = zone
    doctor.control("variants", expiry=expiry)
    pair = doctor.control("tokens", user_id="1")
    doctor.token = pair["access_token"]
    row = doctor.says("--expires-at", pair["expires_at"]).rows["expires_at"]
    assert row["verdict"] == verdict
    assert pair["expires_at"] not in doctor.everything


def test_key_is_tried_where_one_is_given_and_is_in_no_address(
    doctor: Doctor, sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key = sandbox.state.create_api_key("acme")
    typed = f"{doctor.token}\n{key}"

    def row() -> dict[str, str]:
        printed, _refusal = doctor.run("--json", "--with-key", typed=typed)
        return next(row for row in json.loads(printed)["points"] if row["name"] == "API key")

    assert row()["verdict"] == "holds"
    (asked,) = [entry for entry in sandbox.state.requests() if entry.auth == "api_key"]
    assert (asked.method, asked.path) == ("POST", "crm/account/list")
    doctor.control("faults", fault="reset", path="crm/account/list")
    assert row()["observed"].startswith("no answer: flowlu_unavailable")
    sandbox.state.clear_faults()
    doctor.control("variants", key="get")
    assert (row()["verdict"], row()["observed"]) == ("differs", "HTTP 200, code 30")
    assert key not in doctor.everything + caplog.text
    assert doctor.run("--with-key")[1] == f"There is no API key. {HOW}"


def test_clock_of_the_portal_is_compared(doctor: Doctor) -> None:
    doctor.control("variants", clock="slow")
    row = doctor.says().rows["clock"]
    assert (row["verdict"], row["observed"].split(" ", 1)[1]) == ("differs", "seconds behind this machine's")


@pytest.mark.parametrize("fault", ["reset", "html", "malformed", "no_envelope", "empty", "redirect", "status_500"])
def test_portal_that_fails_is_no_verdict_on_the_token(doctor: Doctor, fault: str) -> None:
    doctor.control("faults", fault=fault)
    said = doctor.says()
    if fault == "reset":
        assert said.of("differs") == ["portal"]
    else:
        assert said.rows["token header"]["verdict"] == "unclear"
    assert said.of("holds") in ([], ["portal"], ["portal", "clock"])


def test_answers_of_wrong_types_are_told_and_stop_nothing(doctor: Doctor) -> None:
    doctor.control("faults", fault="wrong_types")
    said = doctor.says("--may-write")
    assert "current user" in said.of("differs")
    assert "page length" in said.of("differs")
    # The portal said that it made some, and not which.
    assert said.rows["left behind"]["observed"].count("one whose number was not told") == 3


def test_record_that_was_made_without_an_answer_is_told(doctor: Doctor) -> None:
    doctor.control("faults", fault="close_before_body", path="crm/account/create")
    said = doctor.says("--may-write")
    assert said.rows["left behind"]["observed"] == "records of crm/account: one whose number was not told"


@pytest.mark.parametrize(("text", "number"), [("34", 34), (34, 34), ("many", None), (True, None), ("٣", None)])
def test_number_of_records_may_be_written_as_text(text: Any, number: int | None) -> None:
    assert trial._total({"total_result": text}) == number


def test_one_point_without_an_answer_leaves_the_others(doctor: Doctor) -> None:
    doctor.control("faults", fault="reset", path="core/doctor_looks_for_nothing", times=1)
    doctor.control("faults", fault="reset", path="crm/account/list", times=1)
    said = doctor.says()
    assert said.of("unclear") == ["unknown model", "page length"]
    assert said.rows["unknown model"]["observed"].startswith("no answer: flowlu_unavailable")
    assert said.rows["unknown record"]["verdict"] == "holds"


def test_what_could_not_be_deleted_is_named(doctor: Doctor, sandbox: SandboxServer) -> None:
    doctor.control("faults", fault="status_500", path="crm/account/delete")
    said = doctor.says("--may-write")
    assert said.rows["delete"]["verdict"] == "unclear"
    left = [
        str(number)
        for number, row in sandbox.state.portal("acme").tables["crm", "account"].items()
        if row["name"] == trial.RECORD_NAME
    ]
    assert len(left) == 2
    assert said.rows["left behind"]["observed"] == f"records of crm/account: {', '.join(left)}"
    assert said.refusal != ""


def test_one_record_that_could_not_be_deleted_does_not_keep_the_others(doctor: Doctor, sandbox: SandboxServer) -> None:
    first = sandbox.state.portal("acme").next_ids["crm", "account"]
    doctor.control("faults", fault="reset", path=f"crm/account/delete/{first}")
    said = doctor.says("--may-write")
    assert said.rows["delete"]["verdict"] == "holds"
    assert said.rows["left behind"]["observed"] == f"records of crm/account: {first}"
    assert first + 1 not in sandbox.state.portal("acme").tables["crm", "account"]


def test_break_in_the_middle_clears_up_what_can_be(doctor: Doctor, sandbox: SandboxServer) -> None:
    doctor.control("faults", fault="reset", path="crm/account/get", times=1)
    said = doctor.says("--may-write")
    assert said.rows["delete"]["verdict"] == "unclear"
    assert "left behind" in said.rows


def test_trial_that_takes_too_long_ends(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def later() -> float:
        now[0] += 40.0
        return now[0]

    monkeypatch.setattr(trial, "monotonic", later)
    said = doctor.says()
    assert said.rows["unknown record"]["observed"] == "no answer: flowlu_timeout, the trial took too long"


def test_token_that_is_refused_in_every_form(doctor: Doctor, sandbox: SandboxServer) -> None:
    sandbox.state.expire_token(doctor.token)
    said = doctor.says()
    assert said.rows["token header"]["verdict"] == "unclear"
    assert "current user" not in said.rows
    assert len(sandbox.state.requests(ACME)) == 4


def test_token_is_nowhere_but_in_its_header(
    doctor: Doctor, caplog: pytest.LogCaptureFixture, sandbox: SandboxServer, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    doctor.run("--may-write")
    doctor.run("--json", "--burst", "3")
    for fault in ("html", "reset", "malformed"):
        doctor.control("faults", fault=fault, times=3)
        doctor.run()
    captured = capfd.readouterr()
    for text in (doctor.everything, caplog.text, captured.out, captured.err):
        assert doctor.token not in text
    assert doctor.token not in repr(
        trial.Trial(None, ACME, None, None, doctor.token, doctor.token, trial.Wanted(), lambda text: datetime.now(UTC))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("typed", ["", "two words", "tökén", "a" * 5000])
def test_what_is_no_token_is_not_sent(doctor: Doctor, sandbox: SandboxServer, typed: str) -> None:
    printed, refusal = doctor.run(typed=typed)
    assert (printed, refusal) == ("", f"There is no access token. {HOW}")
    assert sandbox.state.requests() == []


def test_token_is_asked_for_at_a_terminal_unseen(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("getpass.getpass", lambda prompt: doctor.token)
    monkeypatch.setattr("tests.flowlu_admin.doctor.test_portal.StringIO", Terminal)
    assert doctor.run(typed="")[1] == ""


@pytest.mark.parametrize("name", ["acme.example.com", "127.0.0.1", "acme.flowlu.com@evil.example", "a.b.flowlu.com"])
def test_portal_that_is_none_is_refused_before_a_token_is_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CommandError, match="This portal cannot be used here"):
        call_command("doctor", "--portal", name)


def test_address_guard_holds_here_too(doctor: Doctor, settings: Any) -> None:
    settings.FLOWLU_PORTAL_URL, settings.FLOWLU_PORTAL_URL_IS_SET = "https://{portal}", False
    settings.FLOWLU_PORTAL_SUFFIXES = [".localhost"]  # leads to this machine
    out = StringIO()
    doctor.monkeypatch.setattr("sys.stdin", StringIO(f"{doctor.token}\n"))
    with pytest.raises(CommandError):
        call_command("doctor", "--portal", "acme.localhost", "--json", stdout=out)
    (row,) = json.loads(out.getvalue())["points"]
    assert row["verdict"] == "differs"
    assert doctor.sandbox.state.requests() == []


def test_settings_of_the_wire_that_are_none_are_refused(doctor: Doctor, settings: Any) -> None:
    settings.FLOWLU_ERROR_CODES = {"11": "odd"}
    assert doctor.run()[1] == "The settings of Flowlu's wire are not usable: run doctor without --portal."


@pytest.mark.parametrize(
    "line",
    [
        ("--list", "crm"),
        ("--write", "crm/../x"),
        ("--burst", "201"),
        ("--burst", "-1"),
        ("--pause", "61"),
        ("--pause", "soon"),
    ],
)
def test_option_that_is_none_is_refused(doctor: Doctor, sandbox: SandboxServer, line: tuple[str, str]) -> None:
    assert line[0].lstrip("-") in doctor.run(*line)[1]
    assert sandbox.state.requests() == []


def test_model_that_takes_no_records_of_a_name_alone(doctor: Doctor) -> None:
    said = doctor.says("--may-write", "--write", "crm/lead")
    assert said.rows["body of a write"]["verdict"] in ("holds", "unclear")
