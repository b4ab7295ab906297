"""Messages: what came, what became of it, and what it did to the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hl7ingest import review
from hl7ingest.admin.effects import in_words
from hl7ingest.admin.filters import PartnerFilter, StateFilter, TypeFilter
from hl7ingest.admin.states import above, moment, owner_of, pill, point_of, reason, short, state_of
from hl7ingest.models import HeldMessage, InboundMessage, Outcome, QueueEntry
from pkb import audit
from pkb.permissions import is_platform_staff
from pkb.scoped_admin import signed_in
from records.admin.page import PageAdmin

LONGEST_LINE = 4_000  # characters of a segment that are shown
MOST_REUSES = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a message's story."""

    at: datetime | None
    text: str
    more: str = ""


@admin.register(InboundMessage)
class MessageAdmin(PageAdmin[InboundMessage]):
    """Messages that were accepted. The list never reads their bodies or effects."""

    organisation_paths = ("controller",)
    page_template = "hl7ingest/message.html"
    page_title = "Message"
    purpose = "Every message that was accepted, what became of it, and who must act."
    empty = "No message has been accepted yet."
    list_display = ("control_id_", "type_", "state", "source_line", "received", "size_")
    list_filter = (
        StateFilter,
        TypeFilter,
        PartnerFilter,
        ("received_at", admin.DateFieldListFilter),
    )
    lookups = frozenset(
        {
            "state",
            "type",
            "partner",
            "received_at__gte",
            "received_at__lt",
            "received_at__isnull",
            "patient_id",
        }
    )
    search_fields = ("control_id__exact", "point_id__exact")
    search_help_text = "MSH-10, or the id of an appointment or document, in full"

    class Media:
        css: ClassVar = {"all": ["hl7ingest/pages.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundMessage]:
        rows = super().get_queryset(request)
        # The same sender, whichever credential it used: a partner, or an organisation for itself
        partner = Coalesce("partner_id", 0)
        organisation = Case(When(partner=None, then=F("connecting_id")), default=Value(0))
        same = (
            rows.alias(by_partner=partner, by_organisation=organisation)
            .filter(
                control_id=OuterRef("control_id"),
                by_partner=OuterRef("by_partner"),
                by_organisation=OuterRef("by_organisation"),
            )
            .exclude(pk=OuterRef("pk"))
            .order_by()
        )
        return (
            rows.select_related("partner", "connecting", "controller", "outcome")
            .defer("terms", "ignored", "outcome__effect")
            .alias(by_partner=partner, by_organisation=organisation)
            .annotate(is_reused=Exists(same))
        )

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/read/", wrap(self.read_view), name="hl7ingest_message_read"),
            path("<int:pk>/retry/", wrap(self.retry_view), name="hl7ingest_message_retry"),
            *super().get_urls(),
        ]

    @admin.display(description="MSH-10")
    def control_id_(self, message: InboundMessage) -> SafeString | str:
        """The control id, and a mark where its sender used it for other bytes too."""
        if not message.is_reused:  # type: ignore[attr-defined]
            return short(message.control_id)
        return format_html(
            '{} <span class="note-mark">used twice</span>', short(message.control_id)
        )

    @admin.display(description="state, and who acts")
    def state(self, message: InboundMessage) -> SafeString:
        """What became of it, and who must act next."""
        return above(pill(state_of(message)), owner_of(message))

    @admin.display(description="received")
    def received(self, message: InboundMessage) -> SafeString:
        """When it was received."""
        return moment(message.received_at)

    @admin.display(description="type")
    def type_(self, message: InboundMessage) -> str:
        """Message type and trigger event."""
        return message.type.replace("^", " ")

    @admin.display(description="source")
    def source_line(self, message: InboundMessage) -> str:
        """Who sent it, for whom."""
        return message.source_line

    @admin.display(description="size")
    def size_(self, message: InboundMessage) -> str:
        """How large it is."""
        return filesizeformat(message.size)

    def read_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the message's text once, and note in the audit trail who read it. By POST."""
        if request.method != "POST":
            return self.nothing_done(request, pk)
        message = self.find(request, str(pk))
        text = review.read_raw(message=message, by=signed_in(request))
        return self.page(request, message, raw=[_shortened(line) for line in text.split("\n")])

    def retry_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let the worker try a failed message again. By POST, by staff."""
        if request.method != "POST":
            return self.nothing_done(request, pk)
        message = self.find(request, str(pk))
        try:
            review.retry(message=message, by=signed_in(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            state = state_of(self.find(request, str(pk)))
            if state == Outcome.State.APPLIED:
                messages.success(request, "Tried again, and applied to the record.")
            elif state == Outcome.State.FAILED:
                messages.warning(request, "Tried again, and it failed again.")
            else:
                messages.info(request, f"Tried again: the message is now {state}.")
        return HttpResponseRedirect(
            reverse("admin:hl7ingest_inboundmessage_change", args=[message.pk])
        )

    def context_of(self, request: HttpRequest, row: InboundMessage) -> dict[str, Any]:
        outcome: Outcome | None = getattr(row, "outcome", None)
        if outcome and outcome.effect:
            audit.record("message.viewed", row, by=signed_in(request), organisation=row.controller)
        held = HeldMessage.objects.select_related("decided_by").filter(pk=row.pk).first()
        return {
            "state": pill(state_of(row)),
            "owner": owner_of(row),
            "outcome": outcome,
            "held": held,
            "point": point_of(row),
            "steps": story(row, outcome, held),
            "effect": in_words(outcome.effect) if outcome else [],
            "others": self._others(request, row) if row.is_reused else [],  # type: ignore[attr-defined]
            "may_retry": outcome is not None
            and outcome.state == Outcome.State.FAILED
            and is_platform_staff(request.user),
            "sees_records": is_platform_staff(request.user),
        }

    def _others(
        self, request: HttpRequest, message: InboundMessage
    ) -> QuerySet[InboundMessage, InboundMessage]:
        """Return the sender's other messages with this MSH-10, as far as she may see them."""
        sender = (
            Q(partner=message.partner_id)
            if message.partner_id
            else Q(partner=None, connecting=message.connecting_id)
        )
        rows = self.get_queryset(request).filter(sender, control_id=message.control_id)
        return rows.exclude(pk=message.pk)[:MOST_REUSES]


def story(message: InboundMessage, outcome: Outcome | None, held: HeldMessage | None) -> list[Step]:
    """Return what happened to the message, in order."""
    secret = f"with the credential {message.credential}"
    where = f"from {message.address}, " if message.address else ""
    under = f"under grant no. {message.grant_id}" if message.grant_id else "as the Customer itself"
    steps = [
        Step(
            message.received_at,
            "Received",
            f"{filesizeformat(message.size)}, {where}{secret}; sent {message.sent_at:%d/%m/%Y}",
        ),
        Step(message.received_at, "Accepted", f"AA: understood, and authorised {under}"),
    ]
    if held:
        steps.append(Step(held.held_at, "Held", _why_held(held)))
        if held.decided_at:
            steps.append(Step(held.decided_at, held.get_verdict_display(), _decided(held)))
    if outcome and not (held and outcome.state == Outcome.State.HELD):
        steps.append(Step(outcome.at, outcome.get_state_display(), _why_outcome(outcome)))
    if outcome is None:
        queued: QueueEntry | None = getattr(message, "queued", None)
        tries = f"tried {queued.attempts} times" if queued and queued.attempts else "in its turn"
        steps.append(Step(queued.ready_at if queued else None, "Waits for the worker", tries))
    return steps


def _why_held(held: HeldMessage) -> str:
    reasons = "; ".join(f"{one['label']}: {one['reason']}" for one in held.reasons)
    return held.get_cause_display() + (f" ({reasons})" if reasons else "")


def _decided(held: HeldMessage) -> str:
    if held.decided_by is None:
        return f"message {held.released_by} agreed" if held.released_by else ""
    return f"by {held.decided_by}" + (f": “{held.why}”" if held.why else "")


def _why_outcome(outcome: Outcome) -> str:
    told = [f"because {reason(outcome.reason)}"] if outcome.reason else []
    if outcome.error_id:
        told.append(f"error {outcome.error_id}")
    return ", ".join(told)


def _shortened(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[:LONGEST_LINE]} … ({len(line) - LONGEST_LINE:,} more characters)"
