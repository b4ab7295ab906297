"""The record as staff read it: searched by POST, each look noted, nothing in it that runs."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from pkb.models import AuditEvent, Organisation, User
from records.models import Document, IdentifierType, Patient
from tests.conftest import Sender
from tests.messages import a28, mdm, siu

LIST = reverse("admin:records_patient_changelist")
SEARCH = reverse("admin:records_patient_search")
TYPES = reverse("admin:records_identifiertype_changelist")
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(patient: Patient) -> str:
    return reverse("admin:records_patient_change", args=[patient.pk])


def document_page(document: Document) -> str:
    return reverse("admin:records_document", args=[document.patient_id, document.pk])


def attachment(document: Document, number: int) -> str:
    return reverse("admin:records_attachment", args=[document.patient_id, document.pk, number])


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return str(response.content.decode())


def file(kind: str, content: bytes, title: str = "File") -> str:
    data = base64.b64encode(content).decode()
    return f"OBX|1|ED|^{title}||^{kind}^Base64^{data}\r"


@pytest.fixture
def smith(pas: Sender) -> Patient:
    """John Smith's record."""
    pas.send(
        a28(
            identifiers="9990000018^^^NHS^NH{status:01}",
            rest="|M|||1 Example Street^^Exampleton||01632960001^PRN~^NET^^john@example.org",
        )
    )
    return Patient.objects.get()


def letter(mailco: Sender, obx: str, **given: Any) -> Document:
    """Return a document that MailCo sent."""
    mailco.send(mdm(obx=obx, **given))
    return Document.objects.latest("created_at")


def test_the_list_has_names_numbers_and_sources(smith: Patient, staff: User) -> None:
    shown = text(as_(staff).get(LIST))
    for words in ("John Smith", "999 000 0018", "1 Jan 1970", "Royal Example NHS Trust"):
        assert words in shown


@pytest.mark.parametrize("term", ["9990000018", "999 000 0018", "999-000-0018", "Smi", "smith"])
def test_a_patient_is_found_by_an_identifier_or_the_beginning_of_the_family_name(
    term: str, smith: Patient, staff: User
) -> None:
    response = as_(staff).post(SEARCH, {"term": term})
    assert page(smith) in text(response)
    assert "no-store" in response["Cache-Control"]
    event = AuditEvent.objects.get(action="patient.searched")
    assert event.detail == {"found": 1}


@pytest.mark.parametrize("term", ["999000001", "mith", "S", "", "%", "9990000026"])
def test_a_part_of_an_identifier_or_name_finds_nobody(
    term: str, smith: Patient, staff: User
) -> None:
    assert "Nobody found" in text(as_(staff).post(SEARCH, {"term": term}))


def test_patient_data_never_reaches_an_address(smith: Patient, staff: User) -> None:
    client = as_(staff)
    assert client.get(f"{SEARCH}?term=Smith").status_code == 302
    shown = text(client.get(LIST))
    assert 'name="q"' not in shown
    assert page(smith) in text(client.get(f"{LIST}?q=Nobody"))  # there is no such question
    for lookup in ("family_name", "family_name__startswith", "identifiers__value", "born_on"):
        assert client.get(f"{LIST}?{lookup}=Smith").status_code == 400
    for link in (page(smith), LIST, SEARCH):
        assert "9990000018" not in link
    assert f'action="{SEARCH}"' in shown
    assert 'method="post"' in shown


def test_searching_needs_the_csrf_token(smith: Patient, staff: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert client.post(SEARCH, {"term": "Smith"}).status_code == 403


def test_the_page_shows_everything_with_its_source_and_its_message(
    smith: Patient, mailco: Sender, staff: User
) -> None:
    mailco.send(siu())
    mailco.send(mdm())
    shown = text(as_(staff).get(page(smith)))
    for words in (
        "John Smith",
        "999 000 0018",
        "01, verified",
        "john@example.org",
        "Patient Record Team",
        "Check-up",
        "1 March 2026, 09:30",
        "Discharge letter",
        "MailCo on behalf of Royal Example NHS Trust",
        "Exampleton",
    ):
        assert words in shown
    for message in {smith.message_id, Document.objects.get().message_id}:
        assert reverse("admin:hl7ingest_inboundmessage_change", args=[message]) in shown


def test_opening_a_record_or_a_document_is_audited_by_ids_alone(
    smith: Patient, mailco: Sender, staff: User
) -> None:
    document = letter(mailco, "OBX|1|TX|||Dear patient\r")
    client = as_(staff)
    client.get(page(smith))
    client.get(document_page(document))
    seen = AuditEvent.objects.filter(action__endswith=".viewed").order_by("id")
    assert [(event.action, event.target, event.detail) for event in seen] == [
        ("patient.viewed", f"records.Patient:{smith.pk}", {}),
        ("document.viewed", f"records.Document:{document.pk}", {}),
    ]


def test_a_withdrawn_document_says_so(smith: Patient, mailco: Sender, staff: User) -> None:
    document = letter(mailco, "OBX|1|TX|||Dear patient\r")
    mailco.send(mdm(event="T11", control_id="gone"))
    client = as_(staff)
    assert "withdrawn" in text(client.get(page(smith)))
    assert "Withdrawn by its sender" in text(client.get(document_page(document)))


def test_html_is_shown_as_text_without_anything_that_runs(
    smith: Patient, mailco: Sender, staff: User
) -> None:
    markup = f"<p onclick='x()'>Dear <b>patient</b></p>{SCRIPT}<img src=x onerror=alert(1)>1 &lt; 2"
    document = letter(mailco, file("TEXT^HTML", markup.encode()))
    shown = text(as_(staff).get(document_page(document)))
    assert "Dear patient\n1 &lt; 2" in shown
    for bad in ("alert(1)", "onclick", "onerror"):
        assert bad not in shown


def test_an_attachment_is_handed_over_to_be_kept_and_never_to_be_run(
    smith: Patient, mailco: Sender, staff: User
) -> None:
    title = '..\\T\\/..\\E\\evil"\\X0D0A\\Set-Cookie.pdf'
    document = letter(mailco, file("TEXT^PDF", b"%PDF-1.4 hello", title))
    client = as_(staff)
    assert attachment(document, 1) in text(client.get(document_page(document)))
    response = client.get(attachment(document, 1))
    assert response.content == b"%PDF-1.4 hello"
    assert response["Content-Disposition"].startswith("attachment; filename=")
    assert "/" not in response["Content-Disposition"]
    assert "Set-Cookie" not in response.headers
    assert response["Content-Type"] == "application/pdf"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert "no-store" in response["Cache-Control"]
    event = AuditEvent.objects.get(action="attachment.downloaded")
    assert (event.target, event.detail) == (f"records.Document:{document.pk}", {"part": 1})


def test_html_is_handed_over_as_bytes(smith: Patient, mailco: Sender, staff: User) -> None:
    document = letter(mailco, file("TEXT^HTML", b"<p>Hello</p>", "page"))
    response = as_(staff).get(attachment(document, 1))
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="page.html"'


def test_there_is_no_attachment_but_those_of_the_document(
    smith: Patient, mailco: Sender, pas: Sender, staff: User
) -> None:
    document = letter(mailco, "OBX|1|TX|||Dear patient\r")
    pas.send(a28("b", identifiers="9990000026^^^NHS^NH", name="Other^Person"))
    other = Patient.objects.get(family_name="Other")
    client = as_(staff)
    for number in (0, 1, 2):
        assert client.get(attachment(document, number)).status_code == 404
    wrong = reverse("admin:records_document", args=[other.pk, document.pk])
    assert client.get(wrong).status_code == 404


def test_organisation_administrators_see_no_records(
    smith: Patient, mailco: Sender, royal_admin: User
) -> None:
    document = letter(mailco, file("TEXT^PDF", b"%PDF-1.4 hello"))
    client = as_(royal_admin)
    for where in (LIST, page(smith), document_page(document), attachment(document, 1), TYPES):
        assert client.get(where).status_code == 403
    assert client.post(SEARCH, {"term": "Smith"}).status_code == 403
    assert not AuditEvent.objects.filter(actor="royal.admin").exists()


def test_nobody_adds_changes_or_deletes_patients(smith: Patient, staff: User) -> None:
    client = as_(staff)
    assert client.get(reverse("admin:records_patient_add")).status_code == 403
    delete = reverse("admin:records_patient_delete", args=[smith.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    client.post(page(smith), {"family_name": "Forged"})
    smith.refresh_from_db()
    assert smith.family_name == "Smith"


def test_script_in_any_field_is_shown_harmless(mailco: Sender, staff: User) -> None:
    mailco.send(
        a28(
            name=f"{SCRIPT}^{IMAGE}^{SCRIPT}^^{IMAGE}",
            rest=f"|M|||{SCRIPT}^{IMAGE}^{SCRIPT}^{IMAGE}^ZZ99^{SCRIPT[:20]}||{SCRIPT}^PRN",
        )
    )
    mailco.send(
        siu(
            placer=IMAGE,
            sch=f"||||||{SCRIPT}^{IMAGE}|{SCRIPT}|||^^^20260301093000+0000",
            location=IMAGE,
        )
    )
    more = file("TEXT^PLAIN", f"{SCRIPT}{IMAGE}".encode(), SCRIPT)
    obx = f"OBX|1|TX|{SCRIPT}^{IMAGE}||{SCRIPT}{IMAGE}\r{more}"
    document = letter(mailco, obx, number=SCRIPT, kind=IMAGE)
    client = as_(staff)
    shown = [
        text(client.get(LIST)),
        text(client.get(page(Patient.objects.get()))),
        text(client.get(document_page(document))),
        text(client.post(SEARCH, {"term": SCRIPT})),
        text(client.post(SEARCH, {"term": "<scr"})),
    ]
    for one in shown:
        assert SCRIPT not in one
        assert "<img src=x" not in one
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown[2]


def test_staff_set_identifier_types_and_nobody_deletes_them(
    royal: Organisation, staff: User
) -> None:
    client = as_(staff)
    response = client.post(
        reverse("admin:records_identifiertype_add"),
        {
            "name": "Ward number",
            "authority": "WARD",
            "type_code": "WN",
            "scope": "organisation",
            "check_digit": "none",
            "organisation": royal.pk,
        },
    )
    assert response.status_code == 302
    added = IdentifierType.objects.get(authority="WARD")
    assert AuditEvent.objects.filter(action="identifiertype.added").exists()
    delete = reverse("admin:records_identifiertype_delete", args=[added.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    assert "Ward number" in text(client.get(TYPES))
