"""Patients: found by a question that stays out of the address, and read on one page."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.text import Truncator

from pkb import audit
from pkb.scoped_admin import signed_in
from records.admin import documents
from records.admin.page import PageAdmin
from records.models import (
    Appointment,
    Document,
    IdentifierType,
    Patient,
    PatientIdentifier,
)

MOST_FOUND = 50
LONGEST_NAME = 60  # characters in a list
MOST_POINTS = 200  # of a kind on one page
_SOURCE = ("source__partner", "source__connecting", "source__controller")


@admin.register(Patient)
class PatientAdmin(PageAdmin[Patient]):
    """Every record; for platform staff alone."""

    page_template = "records/patient.html"
    page_title = "Patient record"
    change_list_template = "records/patient_list.html"
    purpose = "Every record, the newest first. That one is opened is noted in the audit trail."
    empty = "There is no record yet."
    list_display = ("name_", "nhs_number", "born_on", "source_line", "updated_at")
    ordering = ("-created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Patient]:
        national = PatientIdentifier.objects.filter(is_national=True).select_related("type")
        return (
            super()
            .get_queryset(request)
            .select_related(*_SOURCE)
            .prefetch_related(Prefetch("identifiers", national, to_attr="national"))
        )

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        document = "<uuid:patient_id>/document/<uuid:document_id>/"
        return [
            path("search/", wrap(self.search_view), name="records_patient_search"),
            path(document, wrap(self.document_view), name="records_document"),
            path(
                f"{document}part/<int:number>/",
                wrap(self.attachment_view),
                name="records_attachment",
            ),
            *super().get_urls(),
        ]

    @admin.display(description="name")
    def name_(self, patient: Patient) -> str:
        """The name."""
        return Truncator(patient.name).chars(LONGEST_NAME)

    @admin.display(description="NHS number")
    def nhs_number(self, patient: Patient) -> str:
        """The national numbers, as people read them."""
        rows: list[PatientIdentifier] = patient.national  # type: ignore[attr-defined]
        return ", ".join(grouped(row.value) for row in rows) or "none"

    @admin.display(description="source")
    def source_line(self, patient: Patient) -> str:
        """Who sent the demographics, for whom."""
        return str(patient.source)

    def search_view(self, request: HttpRequest) -> HttpResponse:
        """Show who has this identifier, or a family name that begins so. Asked by POST."""
        if request.method != "POST":
            return self.nothing_done(request)
        term = request.POST.get("term", "").strip()[:255]
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = list(search(self.get_queryset(request), term))
        user = signed_in(request)
        audit.record("patient.searched", user, by=user, found=len(found))
        return self.show(
            request,
            "records/patient_search.html",
            title="Patients found",
            term=term,
            found=[(row, self.nhs_number(row)) for row in found[:MOST_FOUND]],
            is_cut=len(found) > MOST_FOUND,
        )

    def context_of(self, request: HttpRequest, row: Patient) -> dict[str, Any]:
        audit.record("patient.viewed", row, by=signed_in(request))
        return {
            "address": [
                line
                for line in (
                    row.address_line_1,
                    row.address_line_2,
                    row.city,
                    row.state,
                    row.postcode,
                    row.country,
                )
                if line
            ],
            "identifiers": [
                (item, grouped(item.value) if item.is_national else item.value)
                for item in row.identifiers.select_related("type", *_SOURCE).order_by("created_at")
            ],
            "emails": row.emails.select_related(*_SOURCE).order_by("created_at"),
            "teams": row.teams.select_related("team__organisation", *_SOURCE),
            "appointments": Appointment.objects.filter(patient=row).select_related(*_SOURCE)[
                :MOST_POINTS
            ],
            "documents": Document.objects.filter(patient=row)
            .select_related(*_SOURCE)
            .defer("parts")[:MOST_POINTS],
            "most": MOST_POINTS,
        }

    def document_view(
        self, request: HttpRequest, patient_id: uuid.UUID, document_id: uuid.UUID
    ) -> HttpResponse:
        """Show a document: its texts as text, its files to take away."""
        document = self._document(request, patient_id, document_id)
        audit.record("document.viewed", document, by=signed_in(request))
        return self.show(
            request,
            "records/document.html",
            title="Document",
            row=document,
            parts=documents.parts_of(document),
        )

    def attachment_view(
        self, request: HttpRequest, patient_id: uuid.UUID, document_id: uuid.UUID, number: int
    ) -> HttpResponse:
        """Hand over the file in a document."""
        document = self._document(request, patient_id, document_id)
        response = documents.download(document, number)
        audit.record("attachment.downloaded", document, by=signed_in(request), part=number)
        return response

    def _document(
        self, request: HttpRequest, patient_id: uuid.UUID, document_id: uuid.UUID
    ) -> Document:
        patient = self.find(request, str(patient_id))
        return documents.find(patient, document_id)


def search(patients: QuerySet[Patient], term: str) -> QuerySet[Patient]:
    """Return who has the identifier `term`, or a family name that begins with it."""
    if len(term) < 2:
        return patients.none()
    compact = re.sub(r"[\s-]", "", term)
    if any(character.isdigit() for character in compact):
        identifiers = PatientIdentifier.objects.filter(
            type__in=list(IdentifierType.objects.values_list("pk", flat=True)),
            value__in={term, compact},
        )
        patients = patients.filter(pk__in=identifiers.values("patient_id"))
    else:
        patients = patients.filter(family_name__istartswith=term)
    return patients.order_by("family_name", "given_name")[: MOST_FOUND + 1]


def grouped(number: str) -> str:
    """Return ten digits as people read them out.

    >>> grouped("9990000018"), grouped("H1")
    ('999 000 0018', 'H1')
    """
    if len(number) == 10 and number.isdigit():
        return f"{number[:3]} {number[3:6]} {number[6:]}"
    return number
