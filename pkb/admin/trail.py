"""The audit trail: read, never written here."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from pkb.configured_admin import ConfiguredAdmin, moment
from pkb.models import AuditEvent, Organisation


@admin.register(AuditEvent)
class AuditEventAdmin(ConfiguredAdmin[AuditEvent]):
    purpose = (
        "Who did what to what, and when. Search for an action (grant.revoked), for a person, "
        "or for one thing (partners.Grant:12)."
    )
    empty = "Nothing has been done yet."
    organisation_paths = ("organisation",)
    list_display = ("when", "action", "what", "actor", "for_organisation", "details")
    search_fields = ("action", "target", "actor")
    search_help_text = "Action, target or actor"
    show_full_result_count = False
    fields = ("when", "action", "what", "actor", "for_organisation", "details")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        names = Organisation.objects.filter(pk=OuterRef("organisation")).values("name")[:1]
        open_to_her = [
            model._meta.label
            for model, page in self.admin_site._registry.items()
            if page.has_view_permission(request)
        ]
        return (
            super()
            .get_queryset(request)
            .annotate(organisation_name=Subquery(names), open_to_her=Value(" ".join(open_to_her)))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        if ":" in search_term:  # one thing: 5 is not 50
            return queryset.filter(target=search_term.strip()), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="when", ordering="id")
    def when(self, row: AuditEvent) -> str:
        return moment(row.at)

    @admin.display(description="organisation")
    def for_organisation(self, row: AuditEvent) -> str:
        return getattr(row, "organisation_name", None) or ""

    @admin.display(description="target", ordering="target")
    def what(self, row: AuditEvent) -> str:
        """The target, and the way to its page for whoever may open that."""
        label, _, pk = row.target.partition(":")
        if label not in getattr(row, "open_to_her", "").split():
            return row.target
        try:
            model = apps.get_model(label)
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
            return format_html('<a href="{}">{}</a>', reverse(name, args=[pk]), row.target)
        except (LookupError, ValueError, NoReverseMatch):
            return row.target

    @admin.display(description="details")
    def details(self, row: AuditEvent) -> str:
        return ", ".join(f"{name} {value}" for name, value in row.detail.items() if value)
