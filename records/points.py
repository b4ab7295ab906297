"""Whose a data point is. Customers and their partners share one namespace of ids."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from records.models import Appointment, DataPoint, Document

MODELS: dict[str, type[DataPoint]] = {
    Appointment.kind: Appointment,
    Document.kind: Document,
}
PointKey = tuple[int, str, str]  # controller, kind, external id


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose record a data point is in, and which partner, if any, created it."""

    patient_id: uuid.UUID
    partner_id: int | None


def owners(keys: Iterable[PointKey]) -> dict[PointKey, Owner]:
    """Return the owner of each data point that exists: one query for each kind."""
    by_kind: dict[str, set[PointKey]] = {}
    for key in keys:
        by_kind.setdefault(key[1], set()).add(key)
    found = {}
    for kind, wanted in by_kind.items():
        rows = MODELS[kind]._default_manager.filter(
            external_id__in={key[2] for key in wanted}, controller__in={key[0] for key in wanted}
        )
        for controller, external_id, patient, partner in rows.values_list(
            "controller_id", "external_id", "patient_id", "origin__partner_id"
        ):
            if (key := (controller, kind, external_id)) in wanted:
                found[key] = Owner(patient, partner)
    return found


def may_amend(owner: int | None, partner: int | None, *, customers_too: bool) -> bool:
    """Return whether `partner` (None: the Customer itself) may touch what `owner` created.

    The Customer may amend all in its namespace, a partner its own, and the Customer's where the
    grant says so; never another partner's.
    """
    if partner is None or owner == partner:
        return True
    return owner is None and customers_too
