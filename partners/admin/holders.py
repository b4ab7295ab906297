"""One list to choose a holder from, where a row belongs to one of several kinds of things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import QuerySet

from partners.models import Credential, Partner
from pkb.models import Organisation, Team


@dataclass(frozen=True)
class Holders:
    """The kinds of things that something may belong to, each with its live rows."""

    kinds: tuple[type[models.Model], ...]

    def key(self, row: models.Model) -> str:
        """Return how a row is named in the list: `partner:3`."""
        return f"{row._meta.model_name}:{row.pk}"

    def rows(self) -> Iterator[tuple[str, QuerySet[Any]]]:
        """Return the rows of each kind that something new may be given to."""
        for kind in self.kinds:
            rows: QuerySet[Any] = kind._default_manager.all()
            if kind in (Partner, Organisation):
                rows = rows.filter(is_active=True)
            elif kind is Team:
                rows = rows.filter(organisation__is_active=True).select_related("organisation")
            elif kind is Credential:
                rows = rows.filter(revoked_at=None)
            yield str(kind._meta.verbose_name_plural).capitalize(), rows

    def choices(self) -> Iterable[Any]:
        """Return the list, one group for each kind."""
        yield "", "Choose…"
        for name, rows in self.rows():
            yield name, [(self.key(row), str(row)) for row in rows]

    def find(self, key: str) -> models.Model:
        """Return the row that was chosen."""
        for _, rows in self.rows():
            kind, _, pk = key.partition(":")
            if kind == rows.model._meta.model_name and pk.isdigit():
                found: models.Model | None = rows.filter(pk=pk).first()
                if found:
                    return found
        raise ValidationError("Choose one of the list.")


sender_holders = Holders((Partner, Organisation, Team))
network_holders = Holders((Credential, Partner, Organisation))


class HolderField(forms.ChoiceField):
    """Chooses a row of one of several kinds."""

    def __init__(self, holders: Holders, **kwargs: Any) -> None:
        super().__init__(choices=holders.choices, **kwargs)
        self.holders = holders

    def clean(self, value: Any) -> Any:
        key = super().clean(value)
        return self.holders.find(key) if key else None
