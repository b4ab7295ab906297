"""What was refused, and by which rule. Nothing of the message itself is kept."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from hl7ingest.admin.filters import PartnerFilter, TypeFilter
from hl7ingest.admin.states import above, moment, short
from hl7ingest.models import Refusal
from records.admin.page import PageAdmin


class AnswerFilter(admin.SimpleListFilter):
    """By what the sender was answered."""

    title = "answer"
    parameter_name = "answer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("AR", "AR, refused"),
            ("AE", "AE, a fault of ours"),
            ("401", "401, not who it says"),
            ("403", "403, address not allowed"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(answer=self.value()) if self.value() else queryset


@admin.register(Refusal)
class RefusalAdmin(PageAdmin[Refusal]):
    """Refusals: all of them for staff, those under her organisation's name for an administrator."""

    organisation_paths = ("controller",)
    page_template = "hl7ingest/refusal.html"
    page_title = "Refusal"
    purpose = "What was refused, and by which rule; the sender was told less."
    empty = "Nothing has been refused."
    list_display = ("when", "answer", "why_", "sent_by_", "for_whom", "message")
    list_filter = (AnswerFilter, TypeFilter, PartnerFilter, ("at", admin.DateFieldListFilter))
    lookups = frozenset({"answer", "type", "partner", "at__gte", "at__lt", "at__isnull"})
    list_select_related = ("credential", "partner", "sender", "controller")
    search_fields = ("control_id__exact",)
    search_help_text = "MSH-10, in full"

    class Media:
        css: ClassVar = {"all": ["hl7ingest/pages.css"]}

    @admin.display(description="when")
    def when(self, refusal: Refusal) -> SafeString:
        """When it was refused."""
        return moment(refusal.at)

    @admin.display(description="refused by, and where")
    def why_(self, refusal: Refusal) -> SafeString:
        """The rule, and the field at fault."""
        return above(rule_of(refusal), refusal.location)

    @admin.display(description="sender")
    def sent_by_(self, refusal: Refusal) -> SafeString:
        """Whose credential, which, and from where."""
        return above(sender_of(refusal), refusal.address or "")

    @admin.display(description="Customer")
    def for_whom(self, refusal: Refusal) -> str:
        """The Customer it was to be for, if that was known."""
        return str(refusal.controller or "not known")

    @admin.display(description="message")
    def message(self, refusal: Refusal) -> SafeString:
        """Its type and MSH-10, as far as it could be read."""
        return above(refusal.type.replace("^", " ") or "not read", short(refusal.control_id))

    def context_of(self, request: HttpRequest, row: Refusal) -> dict[str, Any]:
        return {"sent_by": sender_of(row), "why": rule_of(row)}


def rule_of(refusal: Refusal) -> str:
    """Return the true rule, else the code that the sender was told."""
    return refusal.rule or refusal.code.replace("-", " ")


def sender_of(refusal: Refusal) -> str:
    """Return whose credential it was, and which, as far as that is known."""
    known = [str(one) for one in (refusal.partner or refusal.sender, refusal.credential) if one]
    return ", ".join(known) or "unknown"
