"""What a decision reaches beyond its own message, told before and after it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpRequest

from hl7ingest import review
from hl7ingest.admin.states import point_of, reason
from hl7ingest.models import HeldMessage, InboundMessage, Outcome
from records.models import Patient

Cause, State = HeldMessage.Cause, Outcome.State
_DOES = {
    "SIU^S12": "booked",
    "SIU^S13": "changed",
    "SIU^S14": "changed",
    "SIU^S15": "cancelled",
    "SIU^S26": "not attended",
}
_BECAME = {
    State.APPLIED.value: "applied",
    State.REJECTED.value: "rejected",
    State.FAILED.value: "failed",
}


def does(message: InboundMessage) -> str:
    """Return in a word or two what a message does to its data point: changed (S14)."""
    trigger = message.type.rpartition("^")[2]
    does = _DOES.get(message.type, "written" if message.point_kind == "document" else "sent")
    return f"{does} ({trigger})"


def also_decided(held: HeldMessage) -> list[tuple[InboundMessage, str]]:
    """Return the other messages that wait for the same decision, and what each does."""
    if not held.point_id:
        return []
    rows = review.same_point(held).exclude(pk=held.pk).select_related("message")
    return [(row.message, does(row.message)) for row in rows]


def awaits_record(held: HeldMessage) -> bool:
    """Return whether approving is of no use yet: there is no record to apply it to."""
    return (
        held.cause == Cause.AWAITS_RECORD
        and held.decided_at is None
        and not Patient.objects.filter(pk=held.patient_id).exists()
    )


def starting(held: HeldMessage) -> tuple[HeldMessage | None, bool]:
    """Return the open message that would start the record, and whether it was lost instead."""
    rows = HeldMessage.objects.filter(
        patient_id=held.patient_id, controller=held.controller_id
    ).exclude(cause=Cause.AWAITS_RECORD)
    first = rows.filter(decided_at=None).first()
    gone = rows.filter(message__outcome__state__in=[State.REJECTED, State.FAILED])
    waits = rows.filter(decided_at__isnull=False, message__outcome=None)  # for its turn
    return first, first is None and gone.exists() and not waits.exists()


def tell(request: HttpRequest, held: HeldMessage, others: Iterable[int], *, approves: bool) -> None:
    """Say what came of the decision, for the message itself and for the `others` it decided."""
    told = _of_the_others(held, list(others))
    if not approves:
        later = (
            f" Every later message of this {point_of(held)} is refused too, even a corrected one."
            if held.point_id
            else ""
        )
        messages.success(request, f"Rejected. Nothing of it reaches the record.{told}{later}")
        return
    outcome = Outcome.objects.filter(pk=held.pk).first()
    if outcome is None:
        messages.info(request, f"Approved. It waits for its turn and is applied then.{told}")
    elif outcome.state == State.APPLIED:
        messages.success(request, f"Approved, and applied to the record.{told}")
    elif outcome.state == State.HELD:
        messages.warning(request, f"Approved, but it still waits: {reason(outcome.reason)}.{told}")
    else:
        why = f"Approved, but it could not be applied: {reason(outcome.reason)}."
        if outcome.state == State.FAILED:
            why += " Platform staff look at it."
        messages.warning(request, why + told)


def _of_the_others(held: HeldMessage, others: list[int]) -> str:
    """Return how many of them were applied, rejected, failed or still wait."""
    if not others:
        return ""
    states = dict(Outcome.objects.filter(pk__in=others).values_list("pk", "state"))
    counts = Counter(_BECAME.get(states.get(pk, ""), "still waiting") for pk in others)
    order = [*_BECAME.values(), "still waiting"]
    told = ", ".join(f"{counts[one]} {one}" for one in order if counts[one])
    return f" Others of this {point_of(held)}: {told}."
