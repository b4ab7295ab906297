"""The review queue: a person sees what differs and what would happen, and decides once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hl7ingest.models import HeldMessage, InboundMessage, Outcome
from partners.models import Partner
from pkb.models import AuditEvent, Organisation, User
from records.models import Appointment, Document, Patient
from tests import factories
from tests.conftest import Sender
from tests.messages import a28, mdm, siu

LIST = reverse("admin:hl7ingest_heldmessage_changelist")
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
NOTE = "The sender swapped day and month; told MailCo."


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(held: HeldMessage) -> str:
    return reverse("admin:hl7ingest_heldmessage_change", args=[held.pk])


def decide(held: HeldMessage) -> str:
    return reverse("admin:hl7ingest_held_decide", args=[held.pk])


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def said(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


@pytest.fixture
def known(pas: Sender) -> None:
    """John Smith, born on 3 July 1981, has a record."""
    pas.send(
        a28(
            control_id="start",
            identifiers="9990000018^^^NHS^NH{status:01}",
            born="19810703",
            rest="|M|||1 Example Street^^Exampleton^^ZZ99 3VZ^GBR||01632960001^PRN",
        )
    )


def swapped(mailco: Sender, control_id: str = "held-1", **given: Any) -> HeldMessage:
    """Return a message held for a date of birth with day and month swapped."""
    mailco.send(siu(**({"control_id": control_id, "born": "19810307"} | given)))
    return HeldMessage.objects.get(message__control_id=control_id)


@pytest.mark.spec("hl7-api", "soft matching: the two differing values, message and record")
def test_the_page_shows_message_and_record_side_by_side_with_what_differs_marked(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    shown = text(as_(royal_admin).get(page(swapped(mailco))))
    assert "0<mark>7</mark>/0<mark>3</mark>/1981" in shown
    assert "0<mark>3</mark>/0<mark>7</mark>/1981" in shown
    for words in (
        "day and month look swapped",
        "7 March 1981",
        "3 July 1981",
        "999 000 0018",
        "check digit correct; status 01, verified",
        "ZZ99 3VZ",
        "1 Example Street, Exampleton, GBR",
        "differs",
        "agrees",
        "not sent",
    ):
        assert words in shown


def test_the_record_side_shows_no_more_than_the_comparison_needs(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    mailco.send(mdm(obx="OBX|1|TX|||A letter of before\r", born="19810703"))
    shown = text(as_(royal_admin).get(page(swapped(mailco))))
    assert "01632960001" not in shown
    assert "A letter of before" not in shown


def test_the_page_says_what_approving_would_do_and_does_nothing(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    shown = text(as_(royal_admin).get(page(swapped(mailco))))
    assert "A new appointment on 1 March 2026, 09:30" in shown
    assert "Clinic 1" in shown
    assert not Appointment.objects.exists()


@pytest.mark.spec("hl7-api", "soft matching: a decision follows the data point")
def test_the_page_says_what_else_the_decision_decides(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    first, second = swapped(mailco), swapped(mailco, "held-2", event="S13")
    swapped(mailco, "held-3", placer="other")
    shown = text(as_(royal_admin).get(page(first)))
    assert "The same decision is made for 1 other held message of this appointment" in shown
    assert f'<a href="{page(second)}">changed (S13)</a>' in shown
    response = as_(royal_admin).post(decide(first), {"verdict": "approve"}, follow=True)
    assert said(response) == (
        "Approved, and applied to the record. Others of this appointment: 1 applied."
    )
    assert set(
        HeldMessage.objects.filter(verdict="approved").values_list("message__control_id", flat=True)
    ) == {"held-1", "held-2"}


def test_an_administrator_approves_and_is_told_what_happened(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    held = swapped(mailco)
    response = as_(royal_admin).post(decide(held), {"verdict": "approve", "why": NOTE}, follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert said(response) == "Approved, and applied to the record."
    assert Appointment.objects.get().external_id == "appt-1"
    held.refresh_from_db()
    assert (held.verdict, held.decided_by, held.why) == ("approved", royal_admin, NOTE)
    event = AuditEvent.objects.get(action="held.approved")
    assert (event.actor, event.organisation) == ("royal.admin", held.controller_id)


def test_an_administrator_rejects_with_a_note(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    held = swapped(mailco)
    response = as_(royal_admin).post(decide(held), {"verdict": "reject", "why": NOTE}, follow=True)
    assert said(response) == (
        "Rejected. Nothing of it reaches the record. "
        "Every later message of this appointment is refused too, even a corrected one."
    )
    assert not Appointment.objects.exists()
    held.refresh_from_db()
    assert (held.verdict, held.why) == ("rejected", NOTE)
    assert Outcome.objects.get(pk=held.pk).state == Outcome.State.REJECTED


def test_rejecting_needs_a_note_and_keeps_the_page(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    held = swapped(mailco)
    shown = text(as_(royal_admin).post(decide(held), {"verdict": "reject", "why": "  "}))
    assert "Say why" in shown
    assert 'required aria-invalid="true" aria-describedby="error" autofocus' in shown
    assert "Rejecting also refuses every later message of this appointment" in shown
    held.refresh_from_db()
    assert held.decided_at is None


def test_neither_verdict_decides_nothing(known: None, mailco: Sender, royal_admin: User) -> None:
    held = swapped(mailco)
    assert "Choose one of the two" in text(as_(royal_admin).post(decide(held), {"why": NOTE}))
    held.refresh_from_db()
    assert held.decided_at is None


def test_the_second_to_decide_is_told_who_decided(
    known: None, mailco: Sender, royal: Organisation, royal_admin: User
) -> None:
    held = swapped(mailco)
    colleague = factories.UserFactory(username="royal.colleague")
    factories.MembershipFactory(user=colleague, organisation=royal)
    as_(royal_admin).post(decide(held), {"verdict": "reject", "why": NOTE})
    shown = text(as_(colleague).post(decide(held), {"verdict": "approve"}))
    assert "This message is already decided: Rejected by royal.admin" in shown
    assert ">Approve</button>" not in shown
    assert not Appointment.objects.exists()


def test_what_cannot_be_applied_is_said_before_and_after(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    held = swapped(mailco)
    Appointment.objects.create(
        patient=Patient.objects.create(
            family_name="Other",
            given_name="Person",
            source=Patient.objects.get().source,
            origin=Patient.objects.get().source,
            entered_at=held.held_at,
            created_at=held.held_at,
            updated_at=held.held_at,
        ),
        controller=held.controller,
        external_id="appt-1",
        origin=Patient.objects.get(family_name="Smith").source,
        source=Patient.objects.get(family_name="Smith").source,
        starts_at=held.held_at,
        location="Elsewhere",
        entered_at=held.held_at,
        created_at=held.held_at,
        updated_at=held.held_at,
    )
    client = as_(royal_admin)
    because = "its data point is in another patient&#x27;s record"
    assert f"It cannot be applied as things are: {because}" in text(client.get(page(held)))
    response = client.post(decide(held), {"verdict": "approve"}, follow=True)
    assert said(response) == (
        "Approved, but it could not be applied: its data point is in another patient's record."
    )


@pytest.mark.spec("hl7-api", "status checking")
def test_a_first_a28_with_an_unverified_number_says_that_there_is_no_record_yet(
    riverside: Organisation, riverside_pas: Sender, riverside_admin: User
) -> None:
    riverside.checks_status = True
    riverside.save()
    riverside_pas.send(a28(identifiers="9990000018^^^NHS^NH{status:02}"))
    riverside_pas.send(siu())
    start, waits = HeldMessage.objects.order_by("pk")
    client = as_(riverside_admin)
    shown = text(client.get(page(start)))
    assert "There is no record yet. Approving starts one." in shown
    assert "status 02, not verified" in shown
    assert "A new record is started" in shown
    shown = text(client.get(page(waits)))
    assert "the message that starts it is held too" in shown
    assert page(start) in shown
    assert ">Approve</button>" not in shown
    response = client.post(decide(waits), {"verdict": "approve"}, follow=True)
    assert "it still waits: The message that starts its record is held" in said(response)
    client.post(decide(start), {"verdict": "approve"})
    assert Appointment.objects.count() == 1


def test_what_waits_for_a_start_that_was_rejected_says_so(
    riverside: Organisation, riverside_pas: Sender, riverside_admin: User
) -> None:
    riverside.checks_status = True
    riverside.save()
    riverside_pas.send(a28(identifiers="9990000018^^^NHS^NH{status:02}"))
    riverside_pas.send(siu())
    start, waits = HeldMessage.objects.order_by("pk")
    client = as_(riverside_admin)
    client.post(decide(start), {"verdict": "reject", "why": NOTE})
    shown = text(client.get(page(waits)))
    assert "The message that would have started the record was not applied." in shown
    assert ">Approve</button>" not in shown


def test_a_held_a31_is_compared_with_the_record(
    riverside: Organisation, riverside_pas: Sender, riverside_admin: User
) -> None:
    riverside_pas.send(a28(identifiers="9990000018^^^NHS^NH{status:01}"))
    riverside.checks_status = True
    riverside.save()
    riverside_pas.send(
        a28("u1", kind="ADT^A31", name="Smyth^John", identifiers="9990000018^^^NHS^NH{status:02}")
    )
    shown = text(as_(riverside_admin).get(page(HeldMessage.objects.get())))
    assert "Sm<mark>y</mark>th" in shown
    assert "Sm<mark>i</mark>th" in shown
    assert "The demographics change" in shown
    assert "<td>Smith</td><td>Smyth</td>" in shown.replace("> <", "><")


def test_the_list_has_open_ones_first_and_the_oldest_before_them(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    first = swapped(mailco, "first", placer="p1")
    swapped(mailco, "second", placer="p2")
    swapped(mailco, "third", placer="p3")
    client = as_(royal_admin)
    client.post(decide(first), {"verdict": "reject", "why": NOTE})
    response = client.get(LIST)
    order = [row.message.control_id for row in response.context["cl"].result_list]
    assert order == ["second", "third", "first"]
    shown = text(response)
    assert "Smith, John" in shown
    assert "date of birth: day and month look swapped" in shown
    assert "MailCo on behalf of Royal Example NHS Trust" in shown


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("?decision=open", {"a", "b"}),
        ("?kind=document", {"b"}),
        ("?cause=number-status", set()),
        ("?partner=none", set()),
    ],
)
def test_the_list_is_narrowed(
    question: str, found: set[str], known: None, mailco: Sender, royal_admin: User
) -> None:
    swapped(mailco, "a")
    mailco.send(mdm(control_id="b", born="19810307"))
    response = as_(royal_admin).get(LIST + question)
    assert {row.message.control_id for row in response.context["cl"].result_list} == found


def test_the_filter_offers_no_partner_of_others(
    known: None, mailco: Sender, riverside: Organisation, royal_admin: User
) -> None:
    stranger = factories.PartnerFactory(name="StrangerCo")
    factories.GrantFactory(partner=stranger, organisation=riverside)
    assert Partner.objects.count() == 2
    shown = text(as_(royal_admin).get(LIST))
    assert "MailCo" in shown
    assert "StrangerCo" not in shown


def test_an_empty_list_says_so_kindly(royal_admin: User) -> None:
    assert "Nothing waits for a decision." in text(as_(royal_admin).get(LIST))
    assert "Nothing waits for a decision." in text(as_(royal_admin).get(f"{LIST}?decision=open"))


def test_the_list_takes_as_many_queries_for_many_as_for_one(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    swapped(mailco, "first")
    client = as_(royal_admin)
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for number in range(6):
        mailco.send(mdm(control_id=f"m{number}", number=f"n{number}", born="19810307"))
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few)


def test_platform_staff_see_that_it_waits_and_why_but_not_whom_it_is_about(
    known: None, mailco: Sender, staff: User
) -> None:
    held = swapped(mailco)
    client = as_(staff)
    for shown in (text(client.get(LIST)), text(client.get(page(held)))):
        assert "day and month look swapped" in shown
        for hidden in ("Smith", "999 000 0018", "9990000018", "1981", "<mark>", ">Approve<"):
            assert hidden not in shown


def test_platform_staff_decide_nothing_and_trying_is_audited(
    known: None, mailco: Sender, staff: User
) -> None:
    held = swapped(mailco)
    assert as_(staff).post(decide(held), {"verdict": "approve"}).status_code == 403
    held.refresh_from_db()
    assert held.decided_at is None
    assert AuditEvent.objects.get(action="held.refused").actor == "staff"


def test_another_organisation_s_administrator_gets_nothing_and_trying_is_audited(
    known: None, mailco: Sender, riverside_admin: User
) -> None:
    held = swapped(mailco)
    client = as_(riverside_admin)
    for question in ("", "?decision=open", "?kind=appointment"):
        assert list(client.get(LIST + question).context["cl"].result_list) == []
    assert client.get(page(held)).status_code == 404
    for verdict in ("approve", "reject"):
        response = client.post(decide(held), {"verdict": verdict, "why": NOTE})
        assert response.status_code == 404
    assert client.post(decide(held), {}).status_code == 404
    held.refresh_from_db()
    assert held.decided_at is None
    assert AuditEvent.objects.filter(action="held.refused", actor="riverside.admin").count() == 2
    assert (
        client.post(
            reverse("admin:hl7ingest_held_decide", args=[held.pk + 99]), {"verdict": "approve"}
        ).status_code
        == 404
    )


def test_deciding_is_by_post_with_the_csrf_token(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    held = swapped(mailco)
    client = Client(enforce_csrf_checks=True)
    client.force_login(royal_admin)
    response = client.get(f"{decide(held)}?verdict=approve", follow=True)
    assert response.redirect_chain == [(page(held), 302)]
    assert said(response) == "Nothing was done. Look again."
    assert client.post(decide(held), {"verdict": "approve"}).status_code == 403
    held.refresh_from_db()
    assert held.decided_at is None


def test_nobody_adds_changes_or_deletes_held_messages(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    held = swapped(mailco)
    client = as_(royal_admin)
    assert client.get(reverse("admin:hl7ingest_heldmessage_add")).status_code == 403
    delete = reverse("admin:hl7ingest_heldmessage_delete", args=[held.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    client.post(page(held), {"verdict": "approved"})
    held.refresh_from_db()
    assert held.verdict == ""


def test_script_in_any_field_is_shown_harmless(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    person = {
        "name": f"{SCRIPT}^{IMAGE}^{SCRIPT}",
        "born": "19810307",
        "rest": f"|M|||{SCRIPT}^{IMAGE}^{SCRIPT}^{IMAGE}^{SCRIPT[:20]}",
    }
    swapped(
        mailco,
        IMAGE,
        placer=SCRIPT,
        sch=f"||||||^{SCRIPT}||||^^^20260301093000+0000",
        location=IMAGE,
        **person,
    )
    obx = f"OBX|1|TX|{SCRIPT}^{IMAGE}||{SCRIPT}{IMAGE}\r"
    mailco.send(mdm(number=IMAGE, control_id=SCRIPT, kind=SCRIPT, obx=obx, **person))
    client = as_(royal_admin)
    shown = [text(client.get(LIST))]
    shown += [text(client.get(page(held))) for held in HeldMessage.objects.all()]
    held = HeldMessage.objects.earliest("pk")
    client.post(decide(held), {"verdict": "reject", "why": SCRIPT})
    shown += [text(client.get(page(held))), text(client.get(LIST))]
    assert len(shown) == 5
    for one in shown:
        assert SCRIPT not in one
        assert "<img src=x" not in one
    assert "&lt;script&gt;" in shown[1]


def test_every_look_at_a_comparison_is_audited_by_id_alone(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    held = swapped(mailco)
    as_(royal_admin).get(page(held))
    event = AuditEvent.objects.get(action="held.viewed")
    assert event.target == f"hl7ingest.InboundMessage:{held.pk}"
    assert event.detail == {}


def test_a_large_document_is_not_loaded_for_its_name(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    mailco.send(mdm(obx=f"OBX|1|TX|||{'x' * 100_000}\r", born="19810307"))
    assert InboundMessage.objects.get(control_id="mdm-1").size > 100_000
    assert "Smith, John" in text(as_(royal_admin).get(LIST))
    assert not Document.objects.exists()


def test_names_with_little_in_common_are_marked_whole(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    shown = text(as_(royal_admin).get(page(swapped(mailco, name="Wholly^John"))))
    assert "<mark>Wholly</mark>" in shown
    assert "<mark>Smith</mark>" in shown


def test_accents_and_case_are_no_difference(known: None, mailco: Sender, royal_admin: User) -> None:
    shown = text(as_(royal_admin).get(page(swapped(mailco, name="SMITH^Jöhn"))))
    assert "The message and the record: 1 value differs" in shown
    assert "but for case, accents, spacing or punctuation" in shown
