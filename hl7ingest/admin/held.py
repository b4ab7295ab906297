"""The review queue: what waits for an Organisation Administrator, and her decision.

Platform staff see that something waits, why and how long; never whom it is about.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from hl7ingest import review
from hl7ingest.admin import verdict
from hl7ingest.admin.comparison import DIFFERS, compare
from hl7ingest.admin.effects import in_words
from hl7ingest.admin.filters import CauseFilter, DecidedFilter, HeldPartnerFilter, KindFilter
from hl7ingest.admin.names import names_of
from hl7ingest.admin.states import above, point_of, reason, short
from hl7ingest.models import HeldMessage
from pkb import audit
from pkb.permissions import administers
from pkb.scoped_admin import signed_in
from records.admin.page import PageAdmin
from records.models import Patient

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
        others = [message.pk for message, _ in verdict.also_decided(held)]
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
        verdict.tell(request, held, others, approves=approves)
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
            "also": verdict.also_decided(held),
        }
        if verdict.awaits_record(held):
            first, is_lost = verdict.starting(held)
            context |= {"awaits_record": True, "starting": first, "start_is_lost": is_lost}
    return context
