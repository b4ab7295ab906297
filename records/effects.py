"""What applying a change did: each data point created, changed or withdrawn, before and after.

Kept with the message, shown to staff, rehearsed before a decision; and what an undo will need.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from django.db import models

Facts = dict[str, Any]


class Action(StrEnum):
    """What happened to a data point."""

    CREATED = "created"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"


def facts(row: models.Model) -> Facts:
    """Return what a row says, as JSON can hold it; which columns count, its model says."""
    names: tuple[str, ...] = row.FACTS  # type: ignore[attr-defined]
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, uuid.UUID | date | datetime) else value


@dataclass
class Effect:
    """The effect of one message, collected while it is applied."""

    entries: list[dict[str, Any]] = field(default_factory=list)

    def created(self, row: models.Model) -> None:
        """Note a new row."""
        self._add(Action.CREATED, row, {}, facts(row))

    def changed(self, row: models.Model, before: Facts) -> None:
        """Note what differs from `before`; nothing where only its origin does."""
        after = facts(row)
        names = [name for name in after if after[name] != before[name]]
        if set(names) - _ORIGIN:
            self._add(
                Action.CHANGED,
                row,
                {name: before[name] for name in names},
                {name: after[name] for name in names},
            )

    def withdrawn(self, row: models.Model, before: Facts) -> None:
        """Note a row that no longer counts."""
        self._add(Action.WITHDRAWN, row, before, {})

    def _add(self, action: Action, row: models.Model, before: Facts, after: Facts) -> None:
        self.entries.append(
            {
                "kind": row.kind,  # type: ignore[attr-defined]
                "id": str(row.pk),
                "action": action.value,
                "before": before,
                "after": after,
            }
        )


_ORIGIN = {"source_id", "message_id", "entered_at"}
