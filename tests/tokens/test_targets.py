"""What a revocation is aimed at, and the pin of what was looked at: nothing widens, nothing is repaired."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tokens.errors import NoPin, NoTarget
from tokens.targets import MOST_FINGERPRINTS, Pin, RevocationTarget

AT = datetime(2026, 11, 25, 10, 15, 1, 250, UTC)
WHOLE = "0123456789abcdef" * 4

TARGETS = [
    RevocationTarget.of_token(1),
    RevocationTarget.of_portal_user(2),
    RevocationTarget.of_portal_user(2, installation_id=3),
    RevocationTarget.of_installation(3),
    RevocationTarget.of_portal(4),
    RevocationTarget.of_application(5),
    RevocationTarget.stored_before(AT),
    RevocationTarget.stored_before(AT, portal_id=4, application_id=5),
    RevocationTarget.of_fingerprints([WHOLE, "deadbeef"]),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind.value)
def test_ledger_gives_a_target_back_as_it_was(target):
    assert RevocationTarget.from_json(target.to_json()) == target


def test_time_is_kept_in_utc():
    there = AT.astimezone(timezone(timedelta(hours=5)))

    assert RevocationTarget.stored_before(there).to_json()["before"] == "2026-11-25T10:15:01.000250+00:00"


def test_fingerprints_are_sorted_once_each_and_lower_case():
    target = RevocationTarget.of_fingerprints([" DEADBEEF ", WHOLE, "", "deadbeef"])

    assert target.fingerprints == (WHOLE, "deadbeef")


@pytest.mark.parametrize("wrong", ["0123456", "x" * 8, WHOLE + "0", "01234567 89"])
def test_line_that_is_no_fingerprint_is_named_by_its_place_only(wrong):
    with pytest.raises(NoTarget, match=r"Look at line 2\.$") as caught:
        RevocationTarget.of_fingerprints(["deadbeef", wrong, ""])

    assert wrong not in caught.value.public_message


def test_none_and_too_many_are_refused():
    with pytest.raises(NoTarget, match="at least one"):
        RevocationTarget.of_fingerprints(["", "  "])
    with pytest.raises(NoTarget, match="At most 1,000"):
        RevocationTarget.of_fingerprints(f"{number:08x}" for number in range(MOST_FINGERPRINTS + 1))


def test_pin_is_typed_as_it_is_printed():
    pin = Pin.over(TARGETS[0], [7, 9], AT)

    assert (pin.tokens, pin.newest, pin.at) == (2, 9, AT)
    assert Pin.parse(f" {pin}\n") == pin


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2.3", "1.2.3.xyz", "1.2.3." + "g" * 24, "a.2.3." + "0" * 24, "1.2." + "9" * 40 + "." + "0" * 24],
)
def test_what_is_no_pin_is_refused(text):
    with pytest.raises(NoPin):
        Pin.parse(text)


def test_pin_holds_for_the_same_tokens_of_the_same_target_only():
    rows = [7, 9]
    pin = Pin.over(TARGETS[3], rows, AT)

    assert pin.holds_for(Pin.over(TARGETS[3], rows, AT + timedelta(hours=1)))
    for other in ([7], [7, 10], [7, 9, 10], [79], [9, 7], []):
        assert not pin.holds_for(Pin.over(TARGETS[3], other, AT))
    assert not pin.holds_for(Pin.over(TARGETS[4], rows, AT))


def test_empty_set_has_a_pin():
    assert (Pin.over(TARGETS[0], [], AT).tokens, Pin.over(TARGETS[0], [], AT).newest) == (0, 0)
