"""No text that people read goes past gettext, in the parts of the code that are held to it."""

from pathlib import Path

import pytest

from tests.messages import unmarked
from tests.messages.marked import ROOT

# Folders and files whose every text is marked.
TEMPLATES = ("templates",)
PYTHON = ("flowlu_admin", "installations", "tokens")
SCRIPTS = ("tokens/static/embed/page.js", "tokens/static/embed/texts.js")
# What is in English only (docs/adr/0032): why nobody reads it on a page.
LEFT_OUT = {
    "templates/api": "for developers",
    "flowlu_admin/checks.py": "said on the terminal",
    "flowlu_admin/doctor": "said on the terminal",
    "flowlu_admin/health.py": "read by machines",
    "flowlu_admin/management": "said on the terminal",
    "flowlu_admin/metrics": "read by machines",
    "flowlu_admin/notices/sources.py": "kept with what happened",
    "flowlu_admin/oidc/fetching.py": "the wire",
    "flowlu_admin/restoring": "said on the terminal",
    "flowlu_admin/sandbox": "a portal for developers",
    "flowlu_admin/sealed_operators.py": "said by rewrap_tokens",
    "flowlu_admin/seeding": "a made-up world",
    "flowlu_admin/settings.py": "said on the terminal",
    "flowlu_admin/settings_test.py": "for tests",
    "flowlu_admin/wsgi.py": "said on the terminal",
    "installations/audit_chain.py": "what verify_audit finds",
    "installations/audit_files.py": "what verify_audit finds",
    "installations/flowlu/client.py": "the wire",
    "installations/flowlu/oauth_endpoint.py": "the wire",
    "installations/flowlu/pool.py": "the wire",
    "installations/flowlu/posting.py": "the wire",
    "installations/flowlu/wire.py": "what a check says of a setting",
    "installations/keys.py": "what a check says of a setting",
    "installations/management": "said on the terminal",
    "installations/trail/anchoring.py": "said by anchor_audit",
    "installations/trail/pruning.py": "said by prune_audit",
    "installations/trail/receiver.py": "said by anchor_audit",
    "installations/trail/verifying.py": "what verify_audit finds",
    "tokens/api": "error_description and the documentation of the API",
    "tokens/backend_access.py": "error_description",
    "tokens/key_report.py": "said by key_status",
    "tokens/management": "said on the terminal",
    "tokens/revocation_selectors.py": "how the ledger and the trail name what was aimed at",
    "tokens/sealed_models.py": "said by rewrap_tokens",
    "tokens/service_api": "error_description and the documentation of the API",
    "tokens/services/probing.py": "kept as evidence",
    "tokens/sweeps.py": "said by sweep",
}
_KEPT = "kept in the trail as the reason"
# (file, text): why it is no text of a page.
EXCEPTIONS = {
    ("templates/allauth/layouts/base.html", 'LANGUAGE_CODE|default:"en"'): "the code of a language",
    ("templates/admin/installations/installation/permissions.html", "Flowlu denies it"): "compared, not shown",
    ("tokens/static/embed/page.js", "Escape"): "the name of a key",
    ("flowlu_admin/operator_accounts.py", "The operator who asked was removed."): _KEPT,
    ("flowlu_admin/operator_accounts.py", "The operator who invited was removed."): _KEPT,
    (
        "flowlu_admin/counting_cache.py",
        "local count = redis.call('INCR', KEYS[1]) redis.call('EXPIRE', KEYS[1], ARGV[1]) return count",
    ): "a script for Redis",
    ("flowlu_admin/account_events.py", "confirm"): "a detail of an audit event",
    ("flowlu_admin/account_events.py", "sign in"): "a detail of an audit event",
    ("flowlu_admin/notices/models.py", "mail:<operator> or webhook:<digest of its address>"): "how a value is written",
    ("flowlu_admin/notices/telling.py", "Mail from this console reaches you."): "kept with what happened",
    ("flowlu_admin/notices/telling.py", "notice test"): "the name of a rate",
    ("flowlu_admin/notices/webhook.py", "redirected"): "a code",
    ("flowlu_admin/notices/wording.py", "Open the list"): "in the body of a webhook",
    ("flowlu_admin/notices/wording.py", 'f"• and {} more"'): "in the body of a webhook",
    (
        "flowlu_admin/notices/wording.py",
        'f"{}\n• too long to be shown here: open the console"',
    ): "in the body of a webhook",
    ("installations/actors.py", "OpenID provider"): "who did it, in the trail",
    ("flowlu_admin/home/notes.py", 'f"installations.view_{}"'): "the name of a permission",
    ("flowlu_admin/oidc/accounts.py", "The company's provider says so."): _KEPT,
    ("flowlu_admin/oidc/pages.py", "company account"): "a detail of an audit event",
    ("flowlu_admin/open_sessions.py", 'f"handle of {}"'): "hashed",
    ("flowlu_admin/redaction.py", "[not shown]"): "in the log",
    ("flowlu_admin/roles.py", "Auditor"): "the name of a group, kept in a table",
    ("flowlu_admin/roles.py", "Responder"): "the name of a group, kept in a table",
    ("flowlu_admin/roles.py", "Reviewer"): "the name of a group, kept in a table",
    ("installations/forms.py", 'f"keep {}"'): "the value of a choice",
    ("installations/forms.py", 'f"lower {}"'): "the value of a choice",
    ("installations/forms.py", 'f"withdraw {}"'): "the value of a choice",
    ("installations/list_files.py", "end of export"): "the last line of a file, by which programs know it",
    ("installations/strict_json.py", "Infinity"): "compared, not shown",
    ("installations/trail/exporting.py", "audit trail"): "a detail of an audit event",
    (
        "installations/trail/reading.py",
        'f"{} WHERE sequence >= %s AND (sequence, id) > (%s, %s){} ORDER BY sequence, id LIMIT {}"',
    ): "SQL",
    ("tokens/day_counts.py", "{table}.number + excluded.number"): "SQL",
    ("tokens/errors.py", 'f"{} (key {})"'): "in the log",
    ("tokens/sealing.py", "seal cipher"): "the purpose of a key",
    ("tokens/sealing.py", "seal mac"): "the purpose of a key",
    ("tokens/usage.py", "(installation_id, portal_user_id, purpose, code, level, day)"): "SQL",
    ("tokens/usage.py", "(installation_id, purpose, code, level, day) WHERE portal_user_id IS NULL"): "SQL",
    ("installations/approving.py", 'f"Replaced by {}: {}"'): _KEPT,
    ("installations/approving.py", 'f"{} instead of {}: {}"'): _KEPT,
    ("installations/reviewing.py", 'f"Lowered from {}: {}"'): _KEPT,
    ("installations/reviewing.py", 'f"Lowered to {}: {}"'): _KEPT,
    ("installations/services.py", 'f"The policy of the application: {}."'): _KEPT,
    ("installations/services.py", 'f"Withdrawn with {}, which had swallowed it: {}"'): _KEPT,
    ("tokens/services/denied.py", "The same token was revoked elsewhere."): _KEPT,
    ("tokens/services/revocation.py", "A refresh brought a token of another user."): _KEPT,
    ("tokens/services/revocation.py", "Revoked by the user."): _KEPT,
}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def files(places: tuple[str, ...], suffix: str) -> list[Path]:
    found = [ROOT / place for place in places]
    held = (file for place in found for file in ([place] if place.is_file() else place.rglob(f"*{suffix}")))
    return sorted(file for file in held if "migrations" not in file.parts and not is_left_out(named(file)))


def is_left_out(name: str) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in LEFT_OUT)


def unmarked_in(path: Path) -> list[str]:
    find = {".html": unmarked.in_template, ".py": unmarked.in_python, ".js": unmarked.in_script}[path.suffix]
    return find(path)


def text_of(line: str) -> str:
    return line.split(": ", 1)[1]


HELD = [*files(TEMPLATES, ".html"), *files(PYTHON, ".py"), *files(SCRIPTS, ".js")]


@pytest.mark.parametrize("path", HELD, ids=named)
def test_every_text_is_marked(path: Path) -> None:
    assert [line for line in unmarked_in(path) if (named(path), text_of(line)) not in EXCEPTIONS] == []


def test_every_exception_is_needed_and_every_place_exists() -> None:
    found = {(named(path), text_of(line)) for path in HELD for line in unmarked_in(path)}

    assert EXCEPTIONS.keys() - found == set()
    assert [place for place in (*TEMPLATES, *LEFT_OUT, *PYTHON, *SCRIPTS) if not (ROOT / place).exists()] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>{% translate 'Saved.' %}</p>", []),
        ("<p>Saved.</p>", ["1: Saved."]),
        ("\n<p>{{ name }} was saved</p>", ["2: was saved"]),
        ("<p>{% blocktranslate %}Saved {{ name }}.{% endblocktranslate %} 12 · &rarr; / {{ x }}</p>", []),
        ("{% comment %}Why{% endcomment %}{# Why #}<!-- Why -->", []),
        ('<a class="some words" href="/a b">1</a>', []),
        ('<a title="Some words" aria-label="More">1</a>', ['1: aria-label="More"', '1: title="Some words"']),
        ('<input type="text" value="a"><input type="submit" value="Go">', ['1: value="Go"']),
        ('<a aria-label="{% translate "More" %}">1</a>', []),
        ('{{ name|default:"none" }}', ['1: name|default:"none"']),
        ('{{ name|default:"–" }}{{ name|default:_("none") }}{{ day|date:"j F Y" }}', []),
        ("{{ many }} {% translate 'row' %}{{ many|pluralize }}", ["1: many|pluralize"]),
        ('{% include "a/b.html" with title="Some words" kind="wide" %}', ["1: Some words"]),
        ('{% include "a/b.html" with title=_("Some words") kind="wide one" %}', ["1: wide one"]),
        ('<td data-label="Scope"><pre>manage.py sweep</pre></td>', ['1: data-label="Scope"']),
        ("<script>const words = 'Some words';</script><code>crm read</code>", []),
        ("<p>Flowlu</p>", []),
        ("<p>Flowlu said</p>", ["1: Flowlu said"]),
        ("{% block bodyclass %}{{ block.super }} wide{% endblock %}", []),
        ("<p>Привет</p>", ["1: Привет"]),
    ],
)
def test_unmarked_text_of_a_template_is_found(tmp_path: Path, source: str, found: list[str]) -> None:
    path = tmp_path / "page.html"
    path.write_text(source, encoding="utf-8")

    assert unmarked.in_template(path) == found


HEAD = "from django.utils.translation import gettext_lazy as _, ngettext\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("text = _('Saved.')", []),
        ("text = 'Saved.'", ["2: Saved."]),
        ("text = 'Portal'", ["2: Portal"]),
        ("text = 'two words'", ["2: two words"]),
        ("name = 'some_name'; path = 'a/b.html'; code = 'crm.read'", []),
        ("text = f'Saved {name} now'", ['2: f"Saved {} now"']),
        ("text = _(f'Saved {name} now')", ["2: an f-string given to gettext"]),
        ("text = ngettext('%(n)s row', '%(n)s rows', n) % {'n': n}", []),
        ("def save():\n    'Save it.'\n    logger.info('It was saved')\n    raise ValueError('no such row')", []),
        ("label: str = 'Some words'", ["2: Some words"]),
        ("row = dict(label='Some words', key='some_words')", ["2: Some words"]),
        ("row = dict(label='token', key='token')", ["2: token"]),
        ("title = 'token'", ["2: token"]),
        ("badge('locked', 'bad')", ["2: locked"]),
        ("column('state', 'state', lambda row: 'open' if row else '–')", ["2: open", "2: state"]),
        ("Table(_('Rows'), ('State',), rows, _('None.'))", ["2: State"]),
        ("field = models.CharField('mail address')", ["2: mail address"]),
        ("field = models.ForeignKey('Application')", []),
        ("class State(TextChoices):\n    OPEN = 'open'\n    SHUT = 'shut', 'shut'", ["3: open", "4: shut"]),
        ("class State(TextChoices):\n    OPEN = 'open', _('open')", []),
        ("field(choices=[('', 'none'), ('a', _('all'))])", ["2: none"]),
        ("def lookups(self):\n    return [('no', 'locked')]", ["3: locked"]),
        ("def state_words(row):\n    return 'open' if row else _('Shut.')", ["3: open"]),
        ("words = _('Not open.') if row else 'open'", ["2: open"]),
        ("messages.success(request, 'saved')", ["2: saved"]),
        ("cell = badge(_('open')) if row else 'shut'", ["2: shut"]),
        ("cell = visible(row.mail or 'none'); other = when(row.at, 'never')", ["2: never", "2: none"]),
        ("raise ValidationError('wrong')", ["2: wrong"]),
        ("format_html('<a href=\"{}\">compare</a>', url)", ['2: <a href="{}">compare</a>']),
        ('format_html(\'<a class="some words" href="{}">{}</a>\', url, name)', []),
        ("format_html('<a title=\"More\">{}</a>', name)", ['2: <a title="More">{}</a>']),
        ("f'{row} of {other}'; f'{row}/{other}'; f'{row} UTC'", ['2: f"{} of {}"']),
        ("text = _('Saved {}.')", ["2: a placeholder without a name: Saved {}."]),
        ("text = _('Saved %s.') % name", ["2: a placeholder without a name: Saved %s."]),
        ("text = _('Saved.') + _(' And more.')", ["2: half a sentence:  And more."]),
        ("text = said('Saved %(name)s.', name='it')", ["2: Saved %(name)s."]),
        ("from installations.said import said\ntext = said('Saved %(name)s.', name=name)", []),
        ("row: 'Some words' = None; header = 'Content-Type'; url = reverse('admin:a b')", []),
        ("permissions = [('lock', 'Can lock')]; raise CommandError('No such row.')", []),
    ],
)
def test_unmarked_text_of_a_module_is_found(tmp_path: Path, source: str, found: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(HEAD + source, encoding="utf-8")

    assert unmarked.in_python(path) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("say('page.connected'); // 'Not this one'", []),
        ("/* 'Nor\n this' */ show('Connected.');", ["2: Connected."]),
        ("show(`${name} is connected`);", ["1: ${name} is connected"]),
        ("import { a } from './texts.js';", []),
    ],
)
def test_text_written_into_a_script_is_found(tmp_path: Path, source: str, found: list[str]) -> None:
    path = tmp_path / "script.js"
    path.write_text(source, encoding="utf-8")

    assert unmarked.in_script(path) == found
