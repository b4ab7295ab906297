"""The admin site: who may enter, and the figures on its home page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from pkb.models import AuditEvent, Organisation
from pkb.permissions import administered_organisations, is_platform_staff

Tone = Literal["calm", "attention", "alarm"]
RECENT = 8  # events on the home page


@dataclass(frozen=True, slots=True)
class Figure:
    """One big number on the home page, and the page it leads to."""

    label: str
    value: str
    link: str = ""
    tone: Tone = "calm"
    hint: str = ""


Count = Callable[[HttpRequest], Figure | None]


class Site(AdminSite):
    """Django admin for platform staff and Organisation Administrators."""

    site_header = "Partner integration"
    site_title = "Partner integration"
    index_title = "Home"
    site_url = None
    enable_nav_sidebar = True

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.figures: list[Count] = []
        self.last_figures: list[Count] = []

    def add_figure(self, count: Count, *, last: bool = False) -> None:
        """Show on the home page what `count` says to whoever asks; None: not for her."""
        (self.last_figures if last else self.figures).append(count)

    def has_permission(self, request: HttpRequest) -> bool:
        """Platform staff, and whoever administers an organisation; nobody for being a superuser."""
        return is_platform_staff(request.user) or bool(administered_organisations(request.user))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Say on every page whether this is a sandbox."""
        return {**super().each_context(request), "is_sandbox": settings.SANDBOX}

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """List what is used most first: that is installed last."""
        apps = super().get_app_list(request, app_label)
        order = [app.split(".")[0] for app in settings.INSTALLED_APPS]
        return sorted(apps, key=lambda app: -order.index(str(app["app_label"])))

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show the figures, then what there is, and what was done lately."""
        counts = [*self.figures, *self.last_figures]
        mine = Organisation.objects.filter(pk__in=administered_organisations(request.user))
        context = {
            "figures": [figure for count in counts if (figure := count(request))],
            "organisations": [] if is_platform_staff(request.user) else list(mine),
            "recent_events": seen_events(request)[:RECENT],
        }
        return super().index(request, context | (extra_context or {}))


def add_figure(count: Count, *, last: bool = False) -> None:
    """Show a figure on the home page of the site that is served."""
    assert isinstance(admin.site, Site)
    admin.site.add_figure(count, last=last)


def seen_events(request: HttpRequest) -> QuerySet[AuditEvent]:
    """Return the audit events that whoever asks may see."""
    if is_platform_staff(request.user):
        return AuditEvent.objects.all()
    return AuditEvent.objects.filter(organisation__in=administered_organisations(request.user))
