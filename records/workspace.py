"""The part of the records that a batch of changes works on.

Read at once, changed in memory, written at once: as many statements for two hundred changes as
for one. Leave out `write` and it was a rehearsal: no record has changed.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from django.db import models, transaction

from pkb.bulk import insert
from records import attachments, points
from records.models import (
    DataPoint,
    Patient,
    PatientEmail,
    PatientIdentifier,
    PatientTeam,
    Source,
)
from records.points import PointKey

Row = TypeVar("Row", bound=models.Model)
Point = TypeVar("Point", bound=DataPoint)
# Written in this order: what is pointed at before what points
_ORDER: list[type[models.Model]] = [
    Patient,
    PatientIdentifier,
    PatientEmail,
    PatientTeam,
    *points.MODELS.values(),
]


class Workspace:
    """Rows by what they are asked for; new and changed ones are remembered until `write`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._patients: dict[uuid.UUID, Patient] = {}
        self._identifiers: dict[uuid.UUID, list[PatientIdentifier]] = defaultdict(list)
        self._emails: dict[uuid.UUID, list[PatientEmail]] = defaultdict(list)
        self._teams: dict[uuid.UUID, list[PatientTeam]] = defaultdict(list)
        self._points: dict[PointKey, DataPoint] = {}
        self._touched: dict[type[models.Model], dict[object, models.Model]] = defaultdict(dict)
        self._email_owners: dict[str, uuid.UUID] = {}
        self._files: dict[str, bytes] = {}
        self._sources: dict[str, int] = {}

    def read(
        self,
        patients: Iterable[uuid.UUID],
        keys: Iterable[PointKey],
        addresses: Iterable[str] = (),
    ) -> None:
        """Read what is known of these patients, data points and e-mail addresses."""
        ids = set(patients)
        self._patients |= Patient.objects.in_bulk(list(ids))
        for identifier in PatientIdentifier.objects.filter(patient__in=ids):
            self._identifiers[identifier.patient_id].append(identifier)
        for email in PatientEmail.objects.filter(patient__in=ids).order_by("created_at"):
            self._emails[email.patient_id].append(email)
        for link in PatientTeam.objects.filter(patient__in=ids):
            self._teams[link.patient_id].append(link)
        if wanted_addresses := list(addresses):
            emails = PatientEmail.objects.filter(address__in=wanted_addresses)
            self._email_owners |= dict(emails.values_list("address", "patient_id"))
        by_kind: dict[str, set[PointKey]] = defaultdict(set)
        for key in keys:
            by_kind[key[1]].add(key)
        for kind, wanted in by_kind.items():
            rows = points.MODELS[kind]._default_manager.filter(
                external_id__in={key[2] for key in wanted},
                controller__in={key[0] for key in wanted},
            )
            for row in rows.select_related("origin"):
                self._points[row.controller_id, kind, row.external_id] = row

    def patient(self, patient_id: uuid.UUID) -> Patient | None:
        """Return the patient's record, if it has been started."""
        return self._patients.get(patient_id)

    def identifiers(self, patient: Patient) -> list[PatientIdentifier]:
        """Return the patient's identifiers."""
        return self._identifiers[patient.pk]

    def emails(self, patient: Patient) -> list[PatientEmail]:
        """Return the patient's e-mail addresses, oldest first."""
        return self._emails[patient.pk]

    def email_owner(self, address: str) -> uuid.UUID | None:
        """Return in whose record an e-mail address is."""
        return self._email_owners.get(address)

    def teams(self, patient: Patient) -> list[PatientTeam]:
        """Return the patient's links to teams."""
        return self._teams[patient.pk]

    def point(self, model: type[Point], controller_id: int, external_id: str) -> Point | None:
        """Return the data point with this id in the controller's namespace."""
        found = self._points.get((controller_id, model.kind, external_id))
        assert found is None or isinstance(found, model)
        return found

    def add(self, row: Row) -> Row:
        """Take in a new row."""
        if isinstance(row, Patient):
            self._patients[row.pk] = row
        elif isinstance(row, PatientIdentifier):
            self._identifiers[row.patient_id].append(row)
        elif isinstance(row, PatientEmail):
            self._emails[row.patient_id].append(row)
            self._email_owners[row.address] = row.patient_id
        elif isinstance(row, PatientTeam):
            self._teams[row.patient_id].append(row)
        elif isinstance(row, DataPoint):
            self._points[row.controller_id, row.kind, row.external_id] = row
        self.change(row)
        return row

    def change(self, row: models.Model) -> None:
        """Remember that a row must be written."""
        self._touched[type(row)][row.pk] = row

    def source_id(
        self, partner: int | None, connecting: int, controller: int, team: int | None
    ) -> int:
        """Return the id of the source that these make; remembered once it is committed."""
        key = f"{partner}/{connecting}/{controller}/{team}"
        if known := _sources.get(key) or self._sources.get(key):
            return known
        row, _ = Source.objects.get_or_create(
            key=key,
            defaults={
                "partner_id": partner,
                "connecting_id": connecting,
                "controller_id": controller,
                "team_id": team,
            },
        )
        self._sources[key] = row.pk
        transaction.on_commit(lambda: _sources.update({key: row.pk}))
        return row.pk

    def keep_file(self, content: bytes) -> str:
        """Take in the content of an attachment, and return its digest."""
        digest = attachments.digest(content)
        self._files[digest] = content
        return digest

    def write(self) -> None:
        """Put every new and changed row in the database: one statement for each model."""
        for content in self._files.values():
            attachments.keep(content)
        for model in _ORDER:
            if rows := self._touched.pop(model, None):
                insert(sorted(rows.values(), key=lambda row: str(row.pk)), replacing=True)
        assert not self._touched, "a model is missing from the order of writing"


_sources: dict[str, int] = {}  # kept for good in the database, so remembered for good
