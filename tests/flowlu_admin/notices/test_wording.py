"""A message names what happened in sections, with plurals and UTC; as JSON no name becomes a link or a mention."""

import json
from datetime import UTC, datetime

import pytest

from flowlu_admin.notices.kinds import Kind
from flowlu_admin.notices.models import NoticeDelivery
from flowlu_admin.notices.wording import PROBLEMS, SHOWN, Line, message, problem_words, slack_body

AT = datetime(2026, 11, 29, 6, 5, 59, tzinfo=UTC)


def line(kind: Kind, label: str = "Desk on acme.flowlu.com", count: int = 1) -> Line:
    return Line(kind, label, "https://console.example.com/x/", AT, count)


def test_one_kind_is_the_subject_and_several_are_counted() -> None:
    one = message([line(Kind.WAITS)], daily=False)
    two = message([line(Kind.SUSPECTED), line(Kind.WAITS), line(Kind.WAITS)], daily=True)

    assert one.subject == "[Flowlu console] An installation began to wait for a decision"
    assert two.subject == "[Flowlu console] Daily digest: 2 things to look at"
    assert [section.title for section in two.sections] == [
        "2 installations began to wait for a decision",
        "An installation is suspected to be removed",
    ]
    assert two.sections[0].lines[0].when == "2026-11-29 06:05 UTC"


def test_long_list_says_how_many_more_and_counts_what_was_folded() -> None:
    lines = [line(Kind.WAITS, f"n{number}") for number in range(SHOWN + 3)]
    (section,) = message([*lines, line(Kind.WAITS, "", 500)], daily=False).sections
    assert (len(section.lines), section.more) == (SHOWN, 4)
    assert section.title == "513 installations began to wait for a decision"


def test_name_is_text_in_the_json() -> None:
    told = message([line(Kind.WAITS, "<!channel> <https://evil.example|click> *a* & b|c")], daily=False)

    body = json.loads(slack_body(told, message_id="7", sent_at=AT))

    assert (body["id"], body["sent_at"]) == ("7", "2026-11-29T06:05:59Z")
    (_header, block) = body["blocks"]
    assert block["text"]["verbatim"] is True
    assert block["text"]["text"] == (
        "*An installation began to wait for a decision*\n"
        "• <https://console.example.com/x/|&lt;!channel&gt; &lt;https://evil.example¦click&gt; *a* &amp; b¦c> "
        "(2026-11-29 06:05 UTC)"
    )


def test_block_is_never_longer_than_slack_takes() -> None:
    told = message([line(Kind.WAITS, "&" * 200) for _ in range(SHOWN)], daily=False)
    body = json.loads(slack_body(told, message_id="7", sent_at=AT))
    assert all(len(block["text"]["text"]) <= 3000 for block in body["blocks"])
    assert "too long to be shown here" in body["blocks"][1]["text"]["text"]


@pytest.mark.parametrize("problem", [*PROBLEMS, "status_503", "something_new"])
def test_problem_is_told_in_a_sentence_and_fits_its_column(problem: str) -> None:
    assert problem_words(problem) == "" or problem_words(problem).endswith(".")
    assert len(problem) <= NoticeDelivery._meta.get_field("problem").max_length


def test_block_says_how_many_more_there_are() -> None:
    told = message([line(Kind.WAITS) for _ in range(SHOWN + 3)], daily=False)
    body = json.loads(slack_body(told, message_id="7", sent_at=AT))
    assert body["blocks"][1]["text"]["text"].endswith("• and 3 more")
