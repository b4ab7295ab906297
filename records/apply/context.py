"""What a writer needs besides the change: where, for whom, on whose behalf."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TypeVar

from records import points
from records.identification import KnownIdentifier
from records.models import DataPoint, Patient
from records.workspace import Workspace

Point = TypeVar("Point", bound=DataPoint)


class NotApplicable(Exception):
    """The record does not allow the change. `reason` is a class, such as `email-in-use`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Context:
    """One message's place in the workspace."""

    workspace: Workspace
    patient_id: uuid.UUID
    identifiers: tuple[KnownIdentifier, ...]
    controller_id: int
    partner_id: int | None
    source_id: int
    message_id: int
    is_late: bool  # tried again: a later message may have been applied meanwhile
    amends_customer_data: bool
    may_create: bool
    links_teams: bool
    creating_team: tuple[int, int] | None  # the team, and its organisation

    @property
    def patient(self) -> Patient:
        """The record; there must be one."""
        patient = self.workspace.patient(self.patient_id)
        if patient is None:
            raise NotApplicable("no-record")
        return patient

    def find(self, model: type[Point], external_id: str) -> Point | None:
        """Return the data point that the sender means, if there is one and it may touch it."""
        point = self.workspace.point(model, self.controller_id, external_id)
        if point is None:
            return None
        if point.patient_id != self.patient_id:
            raise NotApplicable("data-point-of-another-patient")
        if self.is_late and (point.message_id or 0) > self.message_id:
            raise NotApplicable("superseded")
        if not points.may_amend(
            point.origin.partner_id, self.partner_id, customers_too=self.amends_customer_data
        ):
            raise NotApplicable("data-point-of-another-sender")
        return point

    def stamp(self, point: DataPoint, sent_at: object) -> None:
        """Note on a data point which message says what it says now."""
        point.source_id = self.source_id
        point.message_id = self.message_id
        point.entered_at = sent_at  # type: ignore[assignment]
        point.updated_at = self.workspace.now
