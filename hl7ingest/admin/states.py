"""States, owners and reasons in words. Nothing is ever without an owner."""

from __future__ import annotations

from datetime import datetime

from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from hl7ingest.models import HeldMessage, InboundMessage, Outcome

RECEIVED = "received"
LONGEST_IN_LIST = 60  # characters of a name or an id
NAMES = {
    RECEIVED: "Received",
    Outcome.State.APPLIED.value: "Applied",
    Outcome.State.HELD.value: "Held",
    Outcome.State.FAILED.value: "Failed",
    Outcome.State.REJECTED.value: "Rejected",
}
_SHAPES = {"received": "…", "applied": "✓", "held": "‖", "failed": "✕", "rejected": "⊘"}
_REASONS = {
    "unknown-appointment": "there is no such appointment to change",
    "no-record": "the record has not been started",
    "data-point-of-another-patient": "its data point is in another patient's record",
    "data-point-of-another-sender": "its data point belongs to another sender",
    "cannot-create-patient": "it lacks what a new record needs",
    "no-creating-team": "there is no team to start the record in",
    "rejected-by-person": "a person rejected it",
    "earlier-decision": "an earlier decision about the same data point rejects it",
    "internal-error": "of a fault of ours",
    "tried-too-often": "it was tried too often",
    **{cause.value: str(cause.label) for cause in HeldMessage.Cause},
}
POINTS = {"": "demographics", "appointment": "appointment", "document": "document"}


def state_of(message: InboundMessage) -> str:
    """Return received, applied, held, failed or rejected."""
    outcome: Outcome | None = getattr(message, "outcome", None)
    return outcome.state if outcome else RECEIVED


def owner_of(message: InboundMessage) -> str:
    """Return who must act on the message next."""
    return {
        RECEIVED: "the worker",
        Outcome.State.HELD.value: f"the administrator of {message.controller}",
        Outcome.State.FAILED.value: "platform staff",
    }.get(state_of(message), "nobody")


def pill(state: str) -> SafeString:
    """Return a state as a mark that colour is not needed to read."""
    return format_html(
        '<span class="state state-{}"><span aria-hidden="true">{}</span> {}</span>',
        state,
        _SHAPES[state],
        NAMES[state],
    )


def reason(code: str) -> str:
    """Return a class of reasons in words."""
    return _REASONS.get(code, code.replace("-", " "))


def point_of(row: InboundMessage | HeldMessage) -> str:
    """Return what kind of data the message brings."""
    return POINTS.get(row.point_kind, row.point_kind)


def short(text: str) -> str:
    """Return no more of a name or an id than a list has room for."""
    return text if len(text) <= LONGEST_IN_LIST else f"{text[: LONGEST_IN_LIST - 1]}…"


def above(text: str, below: str) -> SafeString:
    """Return two lines of a cell: what it says, and what belongs to it in smaller letters."""
    return format_html('{} <span class="below">{}</span>', text, below)


def moment(at: datetime) -> SafeString:
    """Return a day and time of day that stay on two lines."""
    local = localtime(at)
    day, time = format_date(local, "j M Y"), format_date(local, "H:i:s")
    return format_html(
        '<span class="nowrap">{}</span> <span class="below nowrap">{}</span>', day, time
    )
