"""The review queue: what waits for an Organisation Administrator, and her decision.

Platform staff see that something waits, why and how long; never whom it is about.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from hl7ingest import review
from hl7ingest.admin.comparison import DIFFERS, compare
from hl7ingest.admin.effects import in_words
from hl7ingest.admin.filters import CauseFilter, DecidedFilter, HeldPartnerFilter, KindFilter
from hl7ingest.admin.names import names_of
from hl7ingest.admin.states import above, point_of, reason, short
from hl7ingest.models import HeldMessage, InboundMessage, Outcome
from pkb import audit
from pkb.permissions import administers
from pkb.scoped_admin import signed_in
from records.admin.page import PageAdmin
from records.models import Patient

Cause, State = HeldMessage.Cause, Outcome.State
LONGEST_NOTE = 500


class HeldList(ChangeList):
    """A page of the list, with the names that whoever asks may see: one query for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[HeldMessage] = list(self.result_list)
        mine = [row.pk for row in rows if administers(signed_in(request), row.controller_id)]
        names = names_of(mine) if mine else {}
        for row in rows:
            row.whom = names.get(row.pk, "")  # type: ignore[attr-defined]
        self.result_list = rows


@admin.register(HeldMessage)
class HeldAdmin(PageAdmin[HeldMessage]):
    """Held messages: an administrator's own, to decide; all of them for staff, to count."""

    organisation_paths = ("controller",)
    page_template = "hl7ingest/held.html"
    page_title = "Held message"
    purpose = "Messages in doubt. The administrator of the organisation decides, oldest first."
    change_list_template = "hl7ingest/held_list.html"
    list_display = ("kind", "whom_", "doubt", "waiting", "source_line", "decision")
    list_filter = (DecidedFilter, HeldPartnerFilter, CauseFilter, KindFilter)
    lookups = frozenset({"decision", "partner", "cause", "kind"})
    ordering = (F("decided_at").desc(nulls_first=True), "message_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[HeldMessage]:
        return (
            super()
            .get_queryset(request)
            .select_related(
                "message__partner",
                "message__connecting",
                "message__controller",
                "controller",
                "decided_by",
            )
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return HeldList

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(self.decide_view)
        return [path("<int:pk>/decide/", decide, name="hl7ingest_held_decide"), *super().get_urls()]

    @admin.display(description="waiting")
    def waiting(self, held: HeldMessage) -> str:
        """How long it has waited, or did."""
        return timesince(held.held_at, held.decided_at, depth=1)

    @admin.display(description="patient in the message")
    def whom_(self, held: HeldMessage) -> str:
        """The name in the message, for the administrator of its organisation."""
        return short(getattr(held, "whom", "")) or "not shown"

    @admin.display(description="why it waits")
    def doubt(self, held: HeldMessage) -> SafeString:
        """The cause, and what is in doubt, in words."""
        return above(held.get_cause_display(), reasons_of(held))

    @admin.display(description="kind of data")
    def kind(self, held: HeldMessage) -> SafeString:
        """What kind of data point it brings, and the message type."""
        return above(point_of(held), held.message.type.replace("^", " "))

    @admin.display(description="source")
    def source_line(self, held: HeldMessage) -> str:
        """Who sent it, for whom."""
        return held.message.source_line

    @admin.display(description="decision")
    def decision(self, held: HeldMessage) -> str:
        """How it was decided, and by whom."""
        if held.decided_at is None:
            return "waits for you" if getattr(held, "whom", "") else "waits"
        by = f" by {held.decided_by}" if held.decided_by else ""
        return f"{held.get_verdict_display()}{by}"

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Approve or reject by POST. A refused attempt is on the audit trail, whoever made it."""
        if request.method != "POST":
            return self.nothing_done(request, pk)
        held = HeldMessage.objects.filter(pk=pk).first()
        if held is None:
            raise Http404
        approves = {"approve": True, "reject": False}.get(request.POST.get("verdict", ""))
        why = request.POST.get("why", "").strip()[:LONGEST_NOTE]
        if approves is None:
            return self.page(request, self.find(request, str(pk)), error="Choose one of the two.")
        user = signed_in(request)
        count = review.same_point(held).count() if held.point_id else 1
        try:
            if approves:
                review.approve(held=held, by=user, why=why)
            else:
                review.reject(held=held, by=user, why=why)
        except PermissionDenied:
            self.find(request, str(pk))  # 404 for whoever may not know that there is such a message
            raise
        except ValidationError as error:
            row = self.find(request, str(pk))
            return self.page(request, row, error=" ".join(error.messages), why=why)
        _tell(request, held, count, approves=approves)
        return redirect("admin:hl7ingest_heldmessage_changelist")

    def context_of(self, request: HttpRequest, row: HeldMessage) -> dict[str, Any]:
        context = {
            "cause": row.get_cause_display(),
            "reasons": reasons_of(row),
            "kind": point_of(row),
            "decided": review.decision_of(row) if row.decided_at else "",
            "is_hers": administers(signed_in(request), row.controller_id),
            "longest_note": LONGEST_NOTE,
        }
        if context["is_hers"]:
            audit.record(
                "held.viewed", row.message, by=signed_in(request), organisation=row.controller
            )
            context |= _for_the_decision(row)
        return context


def reasons_of(held: HeldMessage) -> str:
    """Return what is in doubt, in words."""
    return "; ".join(f"{one['label']}: {one['reason']}" for one in held.reasons)


def _for_the_decision(held: HeldMessage) -> dict[str, Any]:
    """Return what the administrator must see before she decides."""
    change = review.change_of(held.message)
    patient = Patient.objects.filter(pk=held.patient_id).first()
    lines = compare(held, change, patient)
    context: dict[str, Any] = {
        "lines": lines,
        "differing": sum(line.verdict == DIFFERS for line in lines),
        "has_record": patient is not None,
        "starts_record": patient is None and held.message.terms["may_create"],
    }
    if held.decided_at is None:
        rehearsal = review.rehearse(held.message)
        context |= {
            "effect": in_words(rehearsal.entries),
            "impossible": reason(rehearsal.impossible) if rehearsal.impossible else "",
            "also": _also_decided(held),
        }
        if held.cause == Cause.AWAITS_RECORD:
            context["starting"] = HeldMessage.objects.filter(
                patient_id=held.patient_id,
                controller=held.controller_id,
                cause=Cause.STATUS,
                decided_at=None,
            ).first()
    return context


def _also_decided(held: HeldMessage) -> list[InboundMessage]:
    """Return the other messages that wait for the same decision."""
    if not held.point_id:
        return []
    return [
        row.message
        for row in review.same_point(held).select_related("message")
        if row.pk != held.pk
    ]


def _tell(request: HttpRequest, held: HeldMessage, count: int, *, approves: bool) -> None:
    """Say what came of the decision."""
    others = f" So were {count - 1} other messages of the same data point." if count > 2 else ""
    if count == 2:
        others = " So was another message of the same data point."
    if not approves:
        messages.success(request, f"Rejected. Nothing of it reaches the record.{others}")
        return
    outcome = Outcome.objects.filter(pk=held.pk).first()
    if outcome is None:
        messages.info(request, f"Approved. It waits for its turn and is applied then.{others}")
    elif outcome.state == State.APPLIED:
        messages.success(request, f"Approved, and applied to the record.{others}")
    elif outcome.state == State.HELD:
        messages.warning(request, f"Approved, but it still waits: {reason(outcome.reason)}.")
    else:
        told = f"Approved, but it could not be applied: {reason(outcome.reason)}."
        if outcome.state == State.FAILED:
            told += " Platform staff look at it."
        messages.warning(request, told)
