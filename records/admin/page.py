"""What our read-only pages are built on: a page for each row, and lists that stay quick."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, TypeVar

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from pkb.scoped_admin import ScopedAdmin

Row = TypeVar("Row", bound=models.Model)
MOST_COUNTED = 10_000
NOTHING_DONE = "Nothing was done. Look again."


class Counted(Paginator[Any]):
    """Counts no further than anybody turns pages: ten million rows are not counted for a list."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most `MOST_COUNTED`."""
        rows = self.object_list
        assert isinstance(rows, QuerySet)
        return rows[:MOST_COUNTED].count()


class PageAdmin(ScopedAdmin[Row]):
    """A list to read, and a page of our own for each row where Django would show a form.

    Only `lookups` may stand in the list's address, so that nobody can ask it for a patient there.
    """

    page_template: ClassVar[str]
    page_title: ClassVar[str]
    lookups: ClassVar[frozenset[str]] = frozenset()
    paginator = Counted
    show_full_result_count = False
    list_per_page = 50
    sortable_by = ()
    actions = None

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, called by what is in it."""
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the page of a row; 404 where there is none, or none for whoever asks."""
        return self.page(request, self.find(request, object_id))

    def nothing_done(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Lead whoever only opened the address of a deed to the row, or to the list."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        if pk is None:
            address = redirect(f"{name}_changelist")
        else:
            address = redirect(f"{name}_change", self.find(request, str(pk)).pk)
        messages.info(request, NOTHING_DONE)
        return address

    def find(self, request: HttpRequest, object_id: str) -> Row:
        """Return the row, if whoever asks may see it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        return row

    def context_of(self, request: HttpRequest, row: Row) -> dict[str, Any]:
        """Return what the template needs besides the row."""
        raise NotImplementedError

    def page(self, request: HttpRequest, row: Row, **more: Any) -> HttpResponse:
        """Return the page of `row`."""
        return self.show(
            request, self.page_template, **{"row": row, **self.context_of(request, row), **more}
        )

    def show(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """Return a page that stands inside the admin. Nothing keeps a copy of it."""
        response = TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "title": self.page_title,
                "opts": self.opts,
                "media": self.media,
                **context,
            },
        )
        response["Cache-Control"] = "no-store"
        return response
