"""Keys of the settings, and their change."""

from tests.broken_rules.breakage import Breakage, race

DRILL = "tests/flowlu_admin/restoring/test_restore_drill.py"
REWRAP = ("tests/tokens/services/test_rewrap_tokens.py",)

KEYS = (
    Breakage(
        "rewrap: what somebody changed beside it is overwritten",
        "tokens/sealed_models.py",
        'same = [f"{column} IS %s" for column in sealed]',
        'same = [f"({column} IS %s OR 1=1)" for column in sealed]',
        REWRAP,
    ),
    race(
        "rewrap: what somebody changed beside it is overwritten, on PostgreSQL",
        "tokens/sealed_models.py",
        'f"t.{column} IS NOT DISTINCT FROM d.c{place}" for column',
        'f"(t.{column} IS NOT DISTINCT FROM d.c{place} OR true)" for column',
        REWRAP,
    ),
    Breakage(
        "rewrap: complete although a row is left",
        "tokens/services/keys.py",
        "        return not (self.remaining or self.left_alone)",
        "        return True",
        (*REWRAP, "tests/tokens/commands/test_rewrap_tokens.py"),
    ),
    Breakage(
        "rewrap: a denied token gets a fingerprint that is not denied",
        "tokens/sealed_models.py",
        "denied = RevokedFingerprint.objects.filter(fingerprint__in=list(moved)) if moved else ()",
        "denied = ()",
        REWRAP,
    ),
    Breakage(
        "revoking: denied under the key of the row only",
        "tokens/vault.py",
        "        found |= {other.digest: other for other in fingerprints(value, ring)}\n",
        "",
        REWRAP,
    ),
    Breakage(
        "keys: another key under the right id is not seen",
        "tokens/key_report.py",
        "            elif known and key.fingerprint not in known:",
        "            elif False:",
        ("tests/tokens/commands/test_key_status.py",),
    ),
    Breakage(
        "desk: what was pasted comes back",
        "tokens/forms.py",
        "    def format_value(self, value: Any) -> None:\n        return None\n",
        "    pass\n",
        ("tests/tokens/admin/test_leaked.py",),
    ),
    Breakage(
        "desk: an API key is told about to who may not see keys",
        "tokens/admin/leaked.py",
        '    sees_keys = request.user.has_perm("tokens.view_apikey")\n',
        "    sees_keys = True\n",
        ("tests/tokens/admin/test_leaked.py",),
    ),
    Breakage(
        "desk: anybody on the staff may look tokens up",
        "tokens/services/leaks.py",
        '    actor.require("tokens.find_leaked")\n',
        "",
        ("tests/tokens/services/test_find_leaked.py",),
    ),
    Breakage(
        "drill: it looks at, and migrates, any database",
        "flowlu_admin/restoring/__main__.py",
        "    return Path(name).name.startswith(PREFIX)",
        "    return True",
        (f"{DRILL}::test_what_looks_refuses_a_database_that_is_no_scratch_one",),
    ),
    Breakage(
        "drill: a database is taken for the one that its address names",
        "flowlu_admin/restoring/__main__.py",
        " and _is_scratch(_opened())",
        "",
        (f"{DRILL}::test_what_looks_asks_the_database_that_an_option_of_its_address_led_to",),
    ),
    Breakage(
        "drill: a signal interrupts what drops the scratch database",
        "flowlu_admin/restoring/stopping.py",
        "            self._heeding = False  # what",
        "            pass  # what",
        (f"{DRILL}::test_drill_that_is_asked_to_stop_again_and_again_leaves_nothing",),
    ),
    Breakage(
        "drill: an empty database is a good backup",
        "flowlu_admin/restoring/inspection.py",
        '    if ("installations", "0001_initial") not in applied:',
        "    if False:",
        (f"{DRILL}::test_what_cannot_be_migrated_is_not_looked_at_further",),
    ),
    Breakage(
        "drill: a row that does not unseal is passed over",
        "tokens/sealed_models.py",
        'yield LeftAlone(self._called(row["pk"]), why) if why else None',
        "yield None",
        (f"{DRILL}::test_everything_that_is_wrong_is_told_beside_the_rest",),
    ),
)
