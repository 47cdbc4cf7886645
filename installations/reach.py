"""What rules reach, as sets of calls: what two have in common, and what one reaches beyond the other.

Pure and exact. There are endless calls, but rules tell apart only the modules, models and actions that they name, the
rest of each, and whether there is an id.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from installations.said import said
from installations.scopes import ANY, READ_ACTIONS, Coverage, Level

_NAMED = 20  # actions that words name; the rest is counted


@dataclass(frozen=True, slots=True)
class Actions:
    """Some actions by name, or all but some."""

    named: frozenset[str] = frozenset()
    all_but: bool = False

    def __bool__(self) -> bool:
        return self.all_but or bool(self.named)

    def __invert__(self) -> "Actions":
        return Actions(self.named, not self.all_but)

    def __and__(self, other: "Actions") -> "Actions":
        if self.all_but and other.all_but:
            return Actions(self.named | other.named, True)
        if self.all_but:
            return Actions(other.named - self.named)
        return Actions(self.named - other.named if other.all_but else self.named & other.named)

    def __or__(self, other: "Actions") -> "Actions":
        return ~(~self & ~other)

    def __str__(self) -> str:
        names = ", ".join(sorted(self.named)[:_NAMED])
        if len(self.named) > _NAMED:
            names = said("%(names)s and %(count)s more", names=names, count=len(self.named) - _NAMED)
        if not self.all_but:
            return names
        if self.named == READ_ACTIONS:
            return said("every write")
        return said("every action but %(names)s", names=names) if names else said("every action")


NONE = Actions()
EVERY = Actions(all_but=True)
READS = Actions(READ_ACTIONS)


@dataclass(frozen=True, slots=True)
class Cell:
    """What may be done with the records of one model: by id, and without one, which means the caller's own."""

    by_id: Actions = NONE
    without_id: Actions = NONE

    def __bool__(self) -> bool:
        return bool(self.by_id) or bool(self.without_id)

    def __or__(self, other: "Cell") -> "Cell":
        return Cell(self.by_id | other.by_id, self.without_id | other.without_id)

    def in_words(self) -> Iterator[str]:
        both = self.by_id & self.without_id
        if both:
            yield str(both)
        if own := self.without_id & ~both:
            yield said("%(own)s, own record only", own=own)
        if others := self.by_id & ~both:
            yield said("%(others)s, records by id only", others=others)


@dataclass(frozen=True, slots=True)
class Reach:
    """Calls by module and model; the model `*` stands for all that have no cell of their own in the module."""

    cells: Mapping[tuple[str, str], Cell]

    @classmethod
    def of(cls, covers: Iterable[Coverage], level: Level = Level.FULL) -> "Reach":
        """Return what the rules cover, up to a level."""
        within = EVERY if level is Level.FULL else READS
        own: dict[tuple[str, str], Cell] = {}
        for rule in covers:
            actions = within & (EVERY if rule.actions == ANY else Actions(frozenset(rule.actions)))
            key = (rule.module, rule.model)
            own[key] = own.get(key, Cell()) | Cell(NONE if rule.own_only else actions, actions)
        rest = {module: own.get((module, ANY), Cell()) for module, _model in own}
        cells = {(module, model): cell | rest[module] for (module, model), cell in own.items()}
        return cls(cells | {(module, ANY): cell for module, cell in rest.items()})

    def __bool__(self) -> bool:
        return any(self.cells.values())

    def __and__(self, other: "Reach") -> "Reach":
        """Return the calls that both reach."""
        return self._with(other, lambda mine, theirs: mine & theirs)

    def __sub__(self, other: "Reach") -> "Reach":
        """Return the calls that this one reaches and the other does not."""
        return self._with(other, lambda mine, theirs: mine & ~theirs)

    def _with(self, other: "Reach", taken: Callable[[Actions, Actions], Actions]) -> "Reach":
        cells = {}
        for key in self.cells.keys() | other.cells.keys():
            mine, theirs = self._cell(key), other._cell(key)
            cells[key] = Cell(taken(mine.by_id, theirs.by_id), taken(mine.without_id, theirs.without_id))
        return Reach(cells)

    def _cell(self, key: tuple[str, str]) -> Cell:
        return self.cells.get(key, self.cells.get((key[0], ANY), Cell()))

    def in_words(self) -> list[str]:
        """Return a line for each model that is reached."""
        lines: list[str] = []
        for module in sorted({key[0] for key in self.cells}):
            rest = self._cell((module, ANY))
            named = sorted(key[1] for key in self.cells if key[0] == module and self.cells[key] != rest)
            cells: list[tuple[str, Cell]] = [(said("every other model") if named else said("every model"), rest)]
            cells += [(model, self._cell((module, model))) for model in named]
            lines += [
                said("%(module)s: %(model)s, %(actions)s", module=module, model=model, actions=words)
                for model, cell in cells
                for words in cell.in_words()
            ]
        return lines
