"""Find texts that people read and that do not go through gettext: in templates, in Python, and in the page's script."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from django.template.base import Lexer, Token, TokenType

from tests.messages.marked import PLURAL, gettext_names

_LETTER = re.compile(r"[^\W\d_]")
# Two words, a sentence, or one capitalised word: what a name in code is not.
_PROSE = re.compile(r"[^\W\d_]\S*\s+\S*[^\W\d_]|^[A-Z][a-zA-Z’' -]*[a-z][.!?…]?$|[a-z][.!?…]$")
_STRING = re.compile(r"""_\("[^"]*"\)|_\('[^']*'\)|"([^"]*)"|'([^']*)'""")
# What a browser shows or speaks; data-label is what the stylesheet puts before a cell on a narrow page.
_SAID = frozenset({"alt", "aria-description", "aria-label", "data-label", "placeholder", "title"})
_SILENT = frozenset({"script", "style", "code", "pre"})
_CLASSES = frozenset({"bodyclass", "body_class"})  # blocks that fill an attribute
# Filters whose text ends up on the page, and pluralize, which makes English plurals by hand.
_SHOWING = re.compile(r"""\|(?:default|default_if_none|yesno|add|join|pluralize):?(?P<text>"[^"]*"|'[^']*')?""")
# Names, which are the same in every language.
_NAMES = re.compile(
    r"\b(?:Flowlu|OpenID Connect|JSON|CSV|UTC|SHA-256|appId|HTTP|Edge|Opera|Firefox|Chrome|Safari|Windows|Android"
    r"|macOS|Mac OS X|Linux)\b"
)
# What these take is read by programs, developers or the log, never by an operator.
_NOT_SHOWN = frozenset(
    {
        "AssertionError", "AttributeError", "ImproperlyConfigured", "KeyError", "LookupError", "NotImplementedError",
        "RuntimeError", "TypeError", "ValueError", "RawSQL", "cast", "compile", "getattr", "hasattr", "setattr",
        "import_string", "getLogger", "TypeVar", "critical", "debug", "exception", "execute", "record_event",
        "note_refusal", "BadRequest", "CommandError", "DisallowedModelAdminLookup", "SuspiciousOperation", "reverse",
        "path",
    }
)  # fmt: skip


# What is given to these, or assigned, or has one of these keys is shown, however it reads.
_TEXT_NAMES = frozenset(
    {
        "about", "already", "description", "empty", "empty_label", "empty_text", "empty_value", "empty_value_display",
        "help_text", "index_title", "intro", "label", "legend", "more", "note", "public_message", "search_help_text",
        "short_description", "site_header", "site_title", "stays_heading", "stops_heading", "submit", "subtitle",
        "summary", "title", "verbose_name", "verbose_name_plural", "words",
    }
)  # fmt: skip
# Of what is given to these by place: which are shown.
_TEXT_ARGUMENTS = {
    "add_error": (1,), "at": (1,), "badge": (0,), "column": (1,), "error": (1,), "info": (1,), "join": (0,),
    "lock_badge": (0,), "message_user": (1,), "of": (1,), "Outcome": (0,), "Series": (0,), "success": (1,),
    "Table": (0, 1, 3), "text_of": (1,), "to": (1,), "ValidationError": (0,), "visible": (0,), "warning": (1,),
    "when": (1,),
}  # fmt: skip
# What these return is shown, and so is what stands in the place of it.
_SHOWING_CALLS = frozenset({"_", "badge", "gettext", "join", "link", "lock_badge", "ngettext", "visible", "when"})
_KEPT = frozenset({"__all__", "permissions"})  # what permissions are called is kept in a table of Django's
_TAG = re.compile(r"</?[a-zA-Z][^>]*>|</?[a-z][^>]*$")
_SPOKEN = re.compile(r"""\b(?:alt|aria-label|placeholder|title)="([^"]*)\"""")
_SILENT_CODE = re.compile(r"<(code|pre|style)\b.*?</\1>", re.S)
_HOLE = re.compile(r"\{\w*\}|%\(\w+\)[sd]")
# Codes and keys, names of classes, headers, settings and media types, routes, files, SQL, and how a date is written.
_CODE = re.compile(
    r"[a-z]+(?:[_:][a-z0-9_{}-]+)+"
    r"|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
    r"|[A-Z][a-z]+(?:[A-Z][a-z]*)+"
    r"|[A-Z]\w*(?:-[A-Z]\w*)+"
    r"|[a-z]+/[\w.+-]+(?:; ?charset=\S+)?"
    r"|%[A-Za-z].*|[\w/-]*<(?:int|str):.*|admin:.*|attachment; .*|--\w.*|[\w{}-]+\.(?:html|json|csv)"
    r"|\(?(?:SELECT|WITH|INSERT|UPDATE|CASE|LEFT JOIN|AND|WHERE)\s.*|[A-Z][a-z]",
    re.S,
)
_WORD = re.compile(r"(?:^|[\s(])[^\W\d_]+(?:[\s.,:;!?)]|$)")  # one that stands for itself beside what is filled in
_DATE = re.compile(r"%[A-Za-z]\b")
_NAMELESS = re.compile(r"(?<!%)%[sd]|\{\}")


def in_template(path: Path) -> list[str]:
    """Return each unmarked text of a template, with the line that it begins on."""
    tokens = Lexer(path.read_text(encoding="utf-8")).tokenize()
    reader = _Reader()
    found = list(_in_tags(tokens))
    reader.feed("".join(_markup(tokens)))
    reader.close()
    return [f"{line}: {text}" for line, text in sorted(found + reader.found)]


def _markup(tokens: list[Token]) -> Iterator[str]:
    """Give the HTML of a template with what Django puts in left out, and every line where it was."""
    closing = None
    for token in tokens:
        words = token.split_contents() if token.token_type is TokenType.BLOCK else []
        if closing:
            closing = None if words[:1] == [closing] else closing
            yield "\n" * token.contents.count("\n")
        elif words and words[0] in ("blocktranslate", "blocktrans", "comment"):
            closing = f"end{words[0]}"
        elif words[:1] == ["block"] and words[1] in _CLASSES:
            closing = "endblock"
        elif token.token_type is TokenType.TEXT:
            yield token.contents
        else:
            yield "\n" * token.contents.count("\n")


def _in_tags(tokens: list[Token]) -> Iterator[tuple[int, str]]:
    for token in tokens:
        if token.token_type is TokenType.VAR:
            for match in _SHOWING.finditer(token.contents):
                if "pluralize" in match[0] or _is_text((match["text"] or "").strip("\"'")):
                    yield token.lineno, token.contents
        elif token.token_type is TokenType.BLOCK:
            name, *rest = token.contents.split(maxsplit=1)
            if name not in ("translate", "trans", "blocktranslate", "blocktrans", "comment", "load"):
                texts = (first or second for first, second in _STRING.findall(rest[0] if rest else ""))
                yield from ((token.lineno, text) for text in texts if _PROSE.search(text))


class _Reader(HTMLParser):
    """Read the words between tags and in the attributes that are shown or spoken."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, str]] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        values = dict(attrs)
        button = tag == "button" or values.get("type") in ("submit", "button", "reset")
        for name, value in attrs:
            if (name in _SAID or (name == "value" and tag == "input" and button)) and _is_text(value or ""):
                self.found.append((self.getpos()[0], f'{name}="{value}"'))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT

    def handle_data(self, data: str) -> None:
        if self._silent or not _is_text(data):
            return
        line = self.getpos()[0] + data[: len(data) - len(data.lstrip())].count("\n")
        self.found.append((line, " ".join(data.split())))


def _is_text(text: str) -> bool:
    return bool(_LETTER.search(_NAMES.sub("", text)))


def in_python(path: Path) -> list[str]:
    """Return each unmarked text of a module, with its line, and each mark that no catalogue could have an entry for.

    A literal is a text by how it reads (words, a sentence, a capitalised word) or by where it stands (a label, a title,
    a choice). Docstrings, logs, types and errors of programmers are no texts.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marks = gettext_names(tree)
    found = [(node.lineno, said(node)) for node in texts_of(tree, marks)]
    found += [(node.lineno, problem) for node in ast.walk(tree) for problem in _wrong_mark(node, marks)]
    return [f"{line}: {text}" for line, text in sorted(found)]


def texts_of(tree: ast.Module, marks: dict[str, str]) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Give the literals of a module that are texts and are not marked."""
    passed: set[int] = set()
    placed: set[int] = set()
    for node in ast.walk(tree):  # parents come before their children
        if id(node) in passed:
            continue
        placed.update(id(literal) for place in _text_places(node) for literal in _literals(place))
        hidden = [node] if _is_not_shown(node, marks) else _hidden_parts(node, marks)
        passed.update(id(inner) for part in hidden for inner in ast.walk(part))
        if isinstance(node, ast.JoinedStr):
            passed.update(id(inner) for part in node.values for inner in _pieces(part))
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            if id(node) not in passed and _reads_as_text(node, id(node) in placed):
                yield node


def _pieces(part: ast.expr) -> Iterator[ast.AST]:
    """Give what of a part of an f-string is no literal of its own: the words between the braces, and the format."""
    if isinstance(part, ast.Constant):
        yield part
    elif isinstance(part, ast.FormattedValue) and part.format_spec is not None:
        yield from ast.walk(part.format_spec)


def said(node: ast.Constant | ast.JoinedStr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else f'f"{_words(node)}"'


def _words(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _reads_as_text(node: ast.Constant | ast.JoinedStr, is_placed: bool) -> bool:
    text = _words(node)
    if _CODE.fullmatch(text.strip()):
        return False
    if _TAG.search(text):
        shown = " ".join([_SILENT_CODE.sub("", text), *_SPOKEN.findall(text)])
        return _is_text(_HOLE.sub("", _TAG.sub(" ", shown)))
    text = _DATE.sub("", _NAMES.sub("", text))
    if isinstance(node, ast.JoinedStr) or _HOLE.search(text):
        return bool(_WORD.search(text)) or (is_placed and _is_text(_HOLE.sub("", text)))
    return bool(_PROSE.search(text)) or (is_placed and _is_text(_HOLE.sub("", text)))


def _text_places(node: ast.AST) -> Iterator[ast.expr]:
    """Give what has to be a text wherever it comes from: labels, titles, choices, and what is said of an act."""
    match node:
        case ast.Call():
            name = called(node)
            yield from (word.value for word in node.keywords if word.arg in _TEXT_NAMES)
            yield from (node.args[index] for index in _TEXT_ARGUMENTS.get(name, ()) if index < len(node.args))
            yield from (part.body for part in node.args if name == "column" and isinstance(part, ast.Lambda))
            if name.endswith("Field") and node.args:  # what a field of a model is called
                yield node.args[0]
            yield from (pair for word in node.keywords if word.arg == "choices" for pair in _second(word.value))
        case ast.Assign(targets=[ast.Name(id=name)]) if name in _TEXT_NAMES:
            yield node.value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()) if name in _TEXT_NAMES:
            yield node.value
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            yield from (value for key, value in pairs if isinstance(key, ast.Constant) and key.value in _TEXT_NAMES)
        case ast.IfExp() if any(_reads_as_text(part, False) for part in _literals(node)):  # so is what is said else
            yield node
        case ast.IfExp() if any(called(part) in _SHOWING_CALLS for part in _calls(node)):
            yield node
        case ast.JoinedStr() if _reads_as_text(node, False):
            yield from (part.value for part in node.values if isinstance(part, ast.FormattedValue))
        case ast.FunctionDef(name=name) if "word" in name:
            yield from (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value)
        case ast.FunctionDef(name="lookups"):
            yield from (
                pair for inner in ast.walk(node) if isinstance(inner, ast.Return) for pair in _second(inner.value)
            )
        case ast.ClassDef() if any(ast.unparse(base).endswith("Choices") for base in node.bases):
            for member in node.body:
                if isinstance(member, ast.Assign):
                    yield member.value.elts[1] if isinstance(member.value, ast.Tuple) else member.value


def _second(node: ast.expr | None) -> Iterator[ast.expr]:
    """Give the second of each pair in a list of choices."""
    for pair in node.elts if isinstance(node, ast.List | ast.Tuple) else ():
        if isinstance(pair, ast.Tuple) and len(pair.elts) == 2:
            yield pair.elts[1]


def _literals(node: ast.expr) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Give the literals that an expression can come to be."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            yield node
        case ast.IfExp():
            yield from _literals(node.body)
            yield from _literals(node.orelse)
        case ast.BinOp(op=ast.Add()):
            yield from _literals(node.left)
            yield from _literals(node.right)
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _literals(part)


def _calls(node: ast.expr) -> Iterator[ast.Call]:
    """Give the calls of which an expression can come to be the answer."""
    match node:
        case ast.Call():
            yield node
        case ast.IfExp():
            yield from _calls(node.body)
            yield from _calls(node.orelse)


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _is_not_shown(node: ast.AST, marks: dict[str, str]) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # a docstring
    if isinstance(node, ast.Call):
        is_log = called(node) in ("error", "info", "warning") and "logger" in ast.unparse(node.func)
        return called(node) in _NOT_SHOWN or is_log
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
        return name in _KEPT or name.endswith("salt")
    return isinstance(node, ast.Assert | ast.Compare | ast.MatchValue)


def _hidden_parts(node: ast.AST, marks: dict[str, str]) -> list[ast.AST]:
    """Return what of a node is a type, the name of a model, or a text that is marked; the rest of it may be shown."""
    match node:
        case ast.arg() | ast.AnnAssign():
            alias = isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias"
            return [node] if alias else [node.annotation] if node.annotation else []
        case ast.FunctionDef():
            return [node.returns] if node.returns else []
        case ast.Subscript():
            return [node.slice]
        case ast.Call() if called(node) in marks:
            return list(node.args[: 2 if marks[called(node)] in PLURAL else 1])
        case ast.Call() if called(node) in ("ForeignKey", "OneToOneField", "ManyToManyField"):
            return list(node.args[:1])
    return []


def _wrong_mark(node: ast.AST, marks: dict[str, str]) -> Iterator[str]:
    """Say of a marked text what keeps it from being translated as a whole."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in marks):
        return
    for text in node.args[: 2 if marks[node.func.id] in PLURAL else 1]:
        if isinstance(text, ast.JoinedStr):
            yield "an f-string given to gettext"
        elif isinstance(text, ast.Constant) and isinstance(text.value, str):
            if text.value != text.value.strip():
                yield f"half a sentence: {text.value}"
            if _NAMELESS.search(text.value):
                yield f"a placeholder without a name: {text.value}"


def in_script(path: Path) -> list[str]:
    """Return each text of a script that is written there instead of asked for by its key."""
    source = re.sub(
        r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), path.read_text(encoding="utf-8"), flags=re.S
    )
    found = []
    for number, line in enumerate(source.splitlines(), start=1):
        code = re.sub(r"(?:^|\s)//.*", "", line)
        texts = (first or second for first, second in re.findall(r"'([^']*)'|`([^`]*)`", code))
        found += [f"{number}: {text}" for text in texts if _PROSE.search(re.sub(r"\$\{[^}]*\}", "0", text))]
    return found
