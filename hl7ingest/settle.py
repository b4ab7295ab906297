"""Settle a batch of messages: match each, then apply it to the record or hold it for a person.

As many queries for many messages as for one. Called inside the transaction of `process`.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import timezone

from hl7ingest.handlers import understand
from hl7ingest.hl7v2 import parse
from hl7ingest.models import Decision, Expected, HeldMessage, InboundMessage, Outcome, QueueEntry
from partners.registry import registry
from pkb.bulk import insert
from records import identification, matching
from records.apply import Context, apply
from records.changes import Change, UpdatePatient
from records.effects import Effect
from records.models import PatientIdentifier
from records.points import PointKey
from records.workspace import Workspace

State = Outcome.State
Cause = HeldMessage.Cause
UNVERIFIED = "the national number is not verified (status {status})"


def settle(entries: Sequence[QueueEntry]) -> int:
    """Apply or hold each of `entries`, in order, inside the caller's transaction."""
    work = _Work.read(entries)
    outcomes: list[Outcome] = []
    postponed: set[uuid.UUID] = set()
    for entry in entries:
        if entry.patient_id in postponed:
            continue
        if work.release_earlier(entry):
            postponed.add(entry.patient_id)  # the earlier message goes first, in the next round
            continue
        outcomes.append(work.settle(entry))
    work.workspace.write()
    finish(outcomes)
    insert(work.held, replacing=True)
    started = {entry.patient_id for entry in entries if work.has_started(entry.patient_id)}
    release(
        HeldMessage.objects.filter(
            patient_id__in=started, cause=Cause.AWAITS_RECORD, decided_at=None
        )
        if started
        else [],
        HeldMessage.Verdict.RELEASED,
        vouched=False,
    )
    forget_expectations({entry.patient_id for entry in entries})
    return len(outcomes)


def rehearse(entry: QueueEntry) -> Effect:
    """Return what applying a message would do; nothing is written."""
    return _Work.read([entry]).apply(entry)


@dataclass(slots=True)
class _Work:
    """A batch of messages, and what is known of their patients and data points."""

    workspace: Workspace
    changes: dict[int, Change]
    decisions: dict[tuple[PointKey, uuid.UUID], bool]
    open: dict[tuple[PointKey, uuid.UUID], list[HeldMessage]]
    held: list[HeldMessage]

    @classmethod
    def read(cls, entries: Sequence[QueueEntry]) -> _Work:
        """Read what the batch needs: as many queries for many messages as for one."""
        now = timezone.now()
        workspace = Workspace(now)
        points = {_point_key(entry) for entry in entries if entry.point_id}
        bodies = InboundMessage.objects.filter(pk__in=[e.pk for e in entries]).values_list(
            "pk", "body__raw", "body__charset"
        )
        raw = {pk: bytes(body).decode(charset) for pk, body, charset in bodies}
        changes = {
            entry.pk: understand(
                parse(raw[entry.pk]).in_zone(ZoneInfo(entry.message.terms["zone"]))
            )
            for entry in entries
        }
        workspace.read(
            {entry.patient_id for entry in entries},
            points,
            {address for change in changes.values() for address in change.patient.emails},
        )
        ids = {key[2] for key in points}
        decisions = Decision.objects.filter(point_id__in=ids) if ids else Decision.objects.none()
        held = (
            HeldMessage.objects.filter(point_id__in=ids, decided_at=None)
            if ids
            else HeldMessage.objects.none()
        )
        waiting: dict[tuple[PointKey, uuid.UUID], list[HeldMessage]] = defaultdict(list)
        for row in held:
            waiting[_point_key(row), row.patient_id].append(row)
        return cls(
            workspace,
            changes,
            {(_point_key(row), row.patient_id): row.approves for row in decisions},
            waiting,
            [],
        )

    def settle(self, entry: QueueEntry) -> Outcome:
        """Decide what becomes of one message."""
        change, terms = self.changes[entry.pk], entry.message.terms
        decision = self.decisions.get((_point_key(entry), entry.patient_id))
        if decision is False and not entry.approved:
            return Outcome(message_id=entry.pk, state=State.REJECTED, reason="earlier-decision")
        patient = self.workspace.patient(entry.patient_id)
        if patient is None and not terms["may_create"]:
            return self._hold(entry, Cause.AWAITS_RECORD, [])
        if not entry.approved and not decision:
            if doubt := self._doubt(entry, change):
                return self._hold(entry, *doubt)
        effect = self.apply(entry)
        return Outcome(message_id=entry.pk, state=State.APPLIED, effect=effect.entries)

    def apply(self, entry: QueueEntry) -> Effect:
        """Apply one message to the workspace."""
        return apply(
            self.changes[entry.pk], _context(entry, self.changes[entry.pk], self.workspace)
        )

    def _doubt(
        self, entry: QueueEntry, change: Change
    ) -> tuple[HeldMessage.Cause, list[dict[str, str]]] | None:
        """Return why a person must look, or None."""
        message = entry.message
        if isinstance(change, UpdatePatient):
            if message.terms["checks_status"] and (
                reasons := _unverified(message, change, self.workspace, entry.patient_id)
            ):
                return Cause.STATUS, reasons
            return None
        patient = self.workspace.patient(entry.patient_id)
        if patient is None:
            return None
        if differences := matching.soft_match(change.patient, patient, message.terms["soft_match"]):
            return Cause.SOFT_MATCH, [asdict(difference) for difference in differences]
        return None

    def has_started(self, patient_id: uuid.UUID) -> bool:
        """Return whether the patient's record was started by this batch."""
        patient = self.workspace.patient(patient_id)
        return patient is not None and patient.created_at == self.workspace.now

    def release_earlier(self, entry: QueueEntry) -> bool:
        """Release held messages of the same data point, where this one agrees with the record.

        Source: hl7-api, soft matching: it also works backwards.
        """
        held = self.open.get((_point_key(entry), entry.patient_id), [])
        earlier = [row for row in held if row.pk < entry.pk and row.cause == Cause.SOFT_MATCH]
        if not earlier or entry.approved or self._doubt(entry, self.changes[entry.pk]):
            return False
        if not any(row in self.held for row in earlier):  # else they are released next round
            release(earlier, HeldMessage.Verdict.RELEASED, released_by=entry.pk)
        return True

    def _hold(
        self, entry: QueueEntry, cause: HeldMessage.Cause, reasons: list[dict[str, str]]
    ) -> Outcome:
        if not registry.get().organisations[entry.controller_id].has_access:
            # A sender without access reviews nothing: it is told by the message's status
            return Outcome(message_id=entry.pk, state=State.REJECTED, reason=cause.value)
        held = HeldMessage(
            message_id=entry.pk,
            controller_id=entry.controller_id,
            patient_id=entry.patient_id,
            point_kind=entry.point_kind,
            point_id=entry.point_id,
            cause=cause,
            reasons=reasons,
            held_at=_held_since(entry) or self.workspace.now,
        )
        self.held.append(held)
        if entry.point_id:
            self.open[_point_key(entry), entry.patient_id].append(held)
        return Outcome(message_id=entry.pk, state=State.HELD, reason=cause.value)


def _held_since(entry: QueueEntry) -> datetime | None:
    """Return since when a message that is held again has waited: approving resets no clock."""
    if not entry.is_late:
        return None
    return HeldMessage.objects.filter(pk=entry.pk).values_list("held_at", flat=True).first()


def release(
    held: Iterable[HeldMessage], verdict: str, *, vouched: bool = True, **decision: object
) -> None:
    """Let held messages wait for the worker again, in their place in the order.

    `vouched`: they are not compared with the record again.
    """
    ids = [row.pk for row in held]
    if ids:
        HeldMessage.objects.filter(pk__in=ids).update(
            verdict=verdict, decided_at=timezone.now(), **decision
        )
        requeue(ids, approved=vouched)


def requeue(ids: Iterable[int], *, approved: bool) -> None:
    """Let messages that have an outcome wait for the worker again."""
    ids = list(ids)
    Outcome.objects.filter(pk__in=ids).delete()
    QueueEntry.objects.bulk_create(
        QueueEntry.of(message, approved=approved, is_late=True)
        for message in InboundMessage.objects.filter(pk__in=ids)
    )


def finish(outcomes: list[Outcome]) -> None:
    """Note outcomes, and take their messages off the queue."""
    now = timezone.now()
    for outcome in outcomes:
        outcome.at = now
    insert(outcomes)
    QueueEntry.objects.filter(pk__in=[outcome.message_id for outcome in outcomes]).delete()


def forget_expectations(patients: Iterable[uuid.UUID]) -> None:
    """Drop expectations that are met, or that nothing waits to meet any more."""
    expected = Expected.objects.filter(patient_id__in=set(patients))
    rows = list(expected)
    if not rows:
        return
    met = set(
        PatientIdentifier.objects.filter(patient__in={row.patient_id for row in rows}).values_list(
            "type_id", "value"
        )
    )
    awaited = {row.patient_id for row in rows}
    hopeful = set(
        QueueEntry.objects.filter(patient_id__in=awaited).values_list("patient_id", flat=True)
    ) | set(
        HeldMessage.objects.filter(patient_id__in=awaited, decided_at=None).values_list(
            "patient_id", flat=True
        )
    )
    gone = [
        row.pk for row in rows if (row.type_id, row.value) in met or row.patient_id not in hopeful
    ]
    Expected.objects.filter(pk__in=gone).delete()


def _context(entry: QueueEntry, change: Change, workspace: Workspace) -> Context:
    message = entry.message
    identifiers = _identifiers(message, change)
    team_id = message.terms["creating_team"]
    team = registry.get().teams.get(team_id) if team_id else None
    controller = registry.get().organisations[message.controller_id]
    return Context(
        workspace=workspace,
        patient_id=entry.patient_id,
        identifiers=tuple(identifiers),
        controller_id=message.controller_id,
        partner_id=message.partner_id,
        source_id=workspace.source_id(
            message.partner_id, message.connecting_id, message.controller_id, message.team_id
        ),
        message_id=message.pk,
        is_late=entry.is_late,
        amends_customer_data=message.terms["amends_customer_data"],
        may_create=message.terms["may_create"],
        links_teams=controller.has_access
        and (isinstance(change, UpdatePatient) or message.terms["may_create"]),
        creating_team=(team.id, team.organisation_id) if team else None,
    )


def _identifiers(message: InboundMessage, change: Change) -> list[identification.KnownIdentifier]:
    """Return the identifiers that count, by the terms of the message's acceptance."""
    known, _ = identification.recognise(
        change.patient.identifiers, message.controller_id, frozenset(message.terms["teams"])
    )
    return known


def _unverified(
    message: InboundMessage, change: UpdatePatient, workspace: Workspace, patient_id: uuid.UUID
) -> list[dict[str, str]]:
    """Return why the number's status needs a person. Source: hl7-api, status checking."""
    identifiers = _identifiers(message, change)
    national = [one for one in identifiers if one.is_national]
    if not national:
        patient = workspace.patient(patient_id)
        held = workspace.identifiers(patient) if patient else []
        if any(one.is_national for one in held):
            reason = "only a local identifier, and the record has a national number"
            return [{"field": "identifier", "label": "identifier", "reason": reason}]
    return [
        {
            "field": "identifier",
            "label": "identifier",
            "reason": UNVERIFIED.format(status=one.status or "not given"),
        }
        for one in national
        if one.status != identification.VERIFIED
    ]


def _point_key(row: QueueEntry | HeldMessage | Decision) -> PointKey:
    return row.controller_id, row.point_kind, row.point_id
