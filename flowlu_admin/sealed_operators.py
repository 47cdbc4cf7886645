"""What is sealed of operators: second factors and sign-in sessions, as rows that a rewrap walks. Operators are few."""

import base64
import binascii
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from flowlu_admin.operators import MFA
from flowlu_admin.sessions import context_of
from tokens.errors import UnsealFailed
from tokens.sealed_rows import Batch, LeftAlone, Rings, SealedRows
from tokens.sealing import Context, key_id_of, seal, unseal

_MFA_SECRETS = ("secret", "seed")  # of a time-based code, of recovery codes
_MFA_LISTS = ("migrated_codes",)


class _SmallTable(SealedRows):
    """Rows that are few enough to be read one by one: which key each is under is seen from its values alone."""

    model: type[Model]

    @abstractmethod
    def sealed(self, row: Any) -> list[str]:
        """Return the sealed values of the row, in base64."""

    @abstractmethod
    def replace(self, row: Any, values: list[str]) -> list[str]:
        """Put other values in the place of those of `sealed`; returns the columns to save."""

    @abstractmethod
    def context(self, row: Any) -> Context: ...

    def rows(self) -> QuerySet[Any]:
        return self.model._default_manager.order_by("pk")

    def seal_keys(self) -> set[str]:
        return set(self.rows_by_seal_key())

    def rows_by_seal_key(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for row in self.rows().iterator():
            counts.update({_key_of(value) for value in self.sealed(row)})
        return counts

    def count_sealed(self) -> int:
        return self.rows().count()

    def unsealing(self, keys: Rings) -> Iterator[LeftAlone | None]:
        for row in self.rows().iterator():
            unseals = all(self._unseals(row, value, keys) for value in self.sealed(row))
            yield None if unseals else LeftAlone(self.called(row.pk), "it does not unseal")

    def outdated(self, keys: Rings) -> int:
        return sum(self._is_outdated(row, keys) for row in self.rows().iterator())

    def proves(self, keys: Rings, key_id: str) -> bool | None:
        answers = [
            self._unseals(row, value, keys)
            for row in self.rows().iterator()
            for value in self.sealed(row)
            if _key_of(value) == key_id
        ]
        return any(answers) if answers else None

    def rewrap(self, keys: Rings, *, after: Any, size: int, dry_run: bool) -> Batch:
        rows = self.rows() if after is None else self.rows().filter(pk__gt=after)
        ids = [row.pk for row in rows.iterator() if self._is_outdated(row, keys)][:size]
        rewrapped, left_alone = 0, []
        for pk in ids:
            try:
                rewrapped += self._rewrap_one(pk, keys, dry_run)
            except UnsealFailed as error:
                left_alone.append(LeftAlone(self.called(pk), str(error)))
        return Batch(ids[-1] if ids else None, rewrapped, len(ids) - rewrapped - len(left_alone), left_alone)

    def called(self, pk: Any) -> str:
        return f"{self.model._meta.verbose_name} #{pk}"

    def _rewrap_one(self, pk: Any, keys: Rings, dry_run: bool) -> bool:
        with transaction.atomic():
            row = self.rows().select_for_update(skip_locked=True, no_key=True).filter(pk=pk).first()
            if row is None:
                return False
            clear = [unseal(_bytes(value), self.context(row), keys.seal) for value in self.sealed(row)]
            if not dry_run:
                values = [_text(seal(value, self.context(row), keys.seal)) for value in clear]
                row.save(update_fields=self.replace(row, values))
        return True

    def _is_outdated(self, row: Any, keys: Rings) -> bool:
        return any(_key_of(value) != keys.seal.newest.id for value in self.sealed(row))

    def _unseals(self, row: Any, value: str, keys: Rings) -> bool:
        try:
            unseal(_bytes(value), self.context(row), keys.seal)
        except UnsealFailed:
            return False
        return True


class SecondFactors(_SmallTable):
    name = "second factors"
    model = Authenticator

    def sealed(self, row: Any) -> list[str]:
        return [row.data[name] for name in self._names(row)] + [
            code for name in self._lists(row) for code in row.data[name]
        ]

    def replace(self, row: Any, values: list[str]) -> list[str]:
        left = iter(values)
        for name in self._names(row):
            row.data[name] = next(left)
        for name in self._lists(row):
            row.data[name] = [next(left) for _code in row.data[name]]
        return ["data"]

    def context(self, row: Any) -> Context:
        return MFA

    def _names(self, row: Any) -> Iterable[str]:
        return [name for name in _MFA_SECRETS if row.data.get(name)]

    def _lists(self, row: Any) -> Iterable[str]:
        return [name for name in _MFA_LISTS if row.data.get(name)]


class SignInSessions(_SmallTable):
    """Sessions that are still open. Without their key an operator signs in again, and nothing else is lost."""

    name = "operators' sessions"
    model = Session
    needs_their_key = False

    def rows(self) -> QuerySet[Any]:
        return super().rows().filter(expire_date__gt=timezone.now())

    def sealed(self, row: Any) -> list[str]:
        return [row.session_data]

    def replace(self, row: Any, values: list[str]) -> list[str]:
        (row.session_data,) = values
        return ["session_data"]

    def context(self, row: Any) -> Context:
        return context_of(row.session_key)

    def called(self, pk: Any) -> str:
        return "an operator's session"  # its key in the table, hashed as it is, is nobody's to read


def _key_of(value: str) -> str:
    try:
        return key_id_of(_bytes(value))
    except UnsealFailed:
        return "(unreadable)"


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise UnsealFailed("malformed") from None


def _text(sealed: bytes) -> str:
    return base64.b64encode(sealed).decode("ascii")
