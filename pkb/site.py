"""The admin site: who may enter, and the figures on its home page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse

from pkb.models import Organisation
from pkb.permissions import administered_organisations, is_platform_staff

Tone = Literal["calm", "attention", "alarm"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One big number on the home page, and the page it leads to."""

    label: str
    value: str
    link: str = ""
    tone: Tone = "calm"
    hint: str = ""


class Site(AdminSite):
    """Django admin for platform staff and Organisation Administrators."""

    site_header = "Partner integration"
    site_title = "Partner integration"
    index_title = "Home"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.figures: list[Callable[[HttpRequest], Figure | None]] = []

    def add_figure(
        self, count: Callable[[HttpRequest], Figure | None]
    ) -> Callable[[HttpRequest], Figure | None]:
        """Show on the home page what `count` says to whoever asks; None: not for her."""
        self.figures.append(count)
        return count

    def has_permission(self, request: HttpRequest) -> bool:
        """Platform staff, and whoever administers an organisation; nobody for being a superuser."""
        return is_platform_staff(request.user) or bool(administered_organisations(request.user))

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show the figures, then the list of what there is."""
        figures = [figure for count in self.figures if (figure := count(request))]
        mine = Organisation.objects.filter(pk__in=administered_organisations(request.user))
        context = {"figures": figures, "organisations": list(mine), **(extra_context or {})}
        return super().index(request, context)
