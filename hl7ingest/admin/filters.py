"""What lists can be narrowed by. Nobody is offered a choice that is not hers."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from hl7ingest.admin.states import NAMES, POINTS, RECEIVED
from hl7ingest.handlers import HANDLERS
from hl7ingest.models import HeldMessage
from partners.models import Partner
from pkb.permissions import administered_organisations, is_platform_staff

Choices = list[tuple[str, str]]
OWN_FEED = "none"


class StateFilter(SimpleListFilter):
    """By what became of the message."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return list(NAMES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        if state == RECEIVED:
            return queryset.filter(outcome=None)
        return queryset.filter(outcome__state=state) if state in NAMES else queryset


class TypeFilter(SimpleListFilter):
    """By message type and trigger event."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(kind, kind.replace("^", " ")) for kind in HANDLERS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(type=self.value()) if self.value() in HANDLERS else queryset


class PartnerFilter(SimpleListFilter):
    """By partner: those that may, or might once, send for whoever asks."""

    title = "partner"
    parameter_name = "partner"
    path = "partner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        partners = Partner.objects.all()
        if not is_platform_staff(request.user):
            mine = administered_organisations(request.user)
            partners = partners.filter(
                Q(grants__organisation__in=mine) | Q(aliases__organisation__in=mine)
            ).distinct()
        return [
            (OWN_FEED, "the Customer's own feed"),
            *((str(partner.pk), partner.name) for partner in partners[:200]),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == OWN_FEED:
            return queryset.filter(**{self.path: None})
        if (self.value() or "") in {value for value, _ in self.lookup_choices}:
            return queryset.filter(**{self.path: self.value()})
        return queryset


class HeldPartnerFilter(PartnerFilter):
    """By the partner that sent what is held."""

    path = "message__partner"


class CauseFilter(SimpleListFilter):
    """By why the message waits."""

    title = "cause"
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(cause.value, str(cause.label)) for cause in HeldMessage.Cause]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        known = self.value() in HeldMessage.Cause.values
        return queryset.filter(cause=self.value()) if known else queryset


class KindFilter(SimpleListFilter):
    """By the kind of data."""

    title = "kind of data"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(kind or "demographics", name) for kind, name in POINTS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        kind = self.value()
        if kind is None:
            return queryset
        return queryset.filter(point_kind="" if kind == "demographics" else kind)


class DecidedFilter(SimpleListFilter):
    """By whether, and how, it was decided."""

    title = "decision"
    parameter_name = "decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        verdicts = [(v.value, str(v.label)) for v in HeldMessage.Verdict]
        return [("open", "Waiting for a decision"), *verdicts]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "open":
            return queryset.filter(decided_at=None)
        known = self.value() in HeldMessage.Verdict.values
        return queryset.filter(verdict=self.value()) if known else queryset
