"""The messages that templates, Python and the shipped scope catalogue hand to gettext."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.template import Engine, Template
from django.template.base import Node
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

from installations import catalogue
from installations.scopes import Level

ROOT = Path(__file__).resolve().parents[2]
SINGULAR = frozenset({"gettext", "gettext_lazy", "gettext_noop", "said"})
PLURAL = frozenset({"ngettext", "ngettext_lazy", "said_of"})


@dataclass(frozen=True)
class Message:
    """One text to be translated; with `plural`, one for each form of the language's."""

    text: str
    plural: str | None
    place: str


def of_embed_page() -> Iterator[Message]:
    """Name everything that a portal user can read on the embed page."""
    yield from of_template(ROOT / "templates" / "embed" / "page.html")
    yield from of_python(ROOT / "tokens" / "embed_texts.py")
    yield from of_scopes()


def of_template(path: Path) -> Iterator[Message]:
    place = path.relative_to(ROOT).as_posix()
    template = Template(path.read_text(encoding="utf-8"), engine=Engine.get_default())
    for node in template.nodelist.get_nodes_by_type((TranslateNode, BlockTranslateNode)):  # type: ignore[arg-type]
        yield _of_node(node, place)


def _of_node(node: Node, place: str) -> Message:
    if node.message_context:  # type: ignore[attr-defined]
        raise NotImplementedError(f"{place}: a message with a context, which catalogues here do not keep apart")
    if isinstance(node, TranslateNode):
        return Message(node.filter_expression.var.literal, None, place)
    assert isinstance(node, BlockTranslateNode)
    plural = node.render_token_list(node.plural)[0] if node.plural else None
    return Message(node.render_token_list(node.singular)[0], plural, place)


def of_python(path: Path) -> Iterator[Message]:
    place = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = gettext_names(tree)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names):
            continue
        texts = [ast.literal_eval(argument) for argument in node.args[: 2 if names[node.func.id] in PLURAL else 1]]
        yield Message(texts[0], texts[1] if len(texts) > 1 else None, place)


def gettext_names(tree: ast.Module) -> dict[str, str]:
    """Return the names that gettext's functions go by in a module, and which function each is."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("django.utils.translation", "installations.said")
        for alias in node.names
        if alias.name in SINGULAR | PLURAL
    }


def of_scopes() -> Iterator[Message]:
    """What scopes are called and allow; the page shows the shipped words, and operators' own as they wrote them."""
    for entry in catalogue.load().entries:
        for text in (entry.title, entry.read.allows, entry.full.allows):
            yield Message(text, None, "installations/catalogue.json")


def scope_words() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each text about a scope as the API has it, and the messages that it is made of."""
    shipped = catalogue.load()
    for entry in shipped.entries:
        yield entry.title, (entry.title,)
        for level in Level:
            whole = shipped.describe(f"{entry.code}.{level.value}").allows
            meaning = entry.at(level)
            parts = (entry.read.allows, meaning.allows)
            yield whole, parts if whole == " ".join(parts) else (meaning.allows,)
