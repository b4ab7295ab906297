"""The message explorer: what came, what became of it, who acts; and nothing of others'."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hl7ingest import settle
from hl7ingest.models import InboundMessage, Outcome, Refusal
from pkb.models import AuditEvent, User
from tests.conftest import Sender
from tests.messages import a28, mdm, siu

LIST = reverse("admin:hl7ingest_inboundmessage_changelist")
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(message: InboundMessage) -> str:
    return reverse("admin:hl7ingest_inboundmessage_change", args=[message.pk])


def read(message: InboundMessage) -> str:
    return reverse("admin:hl7ingest_message_read", args=[message.pk])


def retry(message: InboundMessage) -> str:
    return reverse("admin:hl7ingest_message_retry", args=[message.pk])


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return str(response.content.decode())


@pytest.fixture
def known(pas: Sender) -> None:
    """John Smith has a record."""
    pas.send(a28(control_id="start"))


def failed(mailco: Sender, monkeypatch: pytest.MonkeyPatch) -> InboundMessage:
    """Return a message that failed for a fault that is mended by now."""

    def breaks(*args: Any) -> None:
        raise RuntimeError

    mailco.send(siu(control_id="before", placer="before"))
    with monkeypatch.context() as broken:
        broken.setattr(settle, "apply", breaks)
        mailco.send(siu(control_id="fails"))
    message = InboundMessage.objects.get(control_id="fails")
    assert message.outcome.state == Outcome.State.FAILED
    return message


def test_the_list_tells_state_owner_source_and_control_id(
    known: None, mailco: Sender, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailco.send(siu(control_id="fine"))
    mailco.send(siu(control_id="doubtful", placer="p2", born="19700102"))
    failed(mailco, monkeypatch)
    mailco.send(siu(control_id="fresh", placer="p3"), process=False)
    shown = text(as_(staff).get(LIST))
    for words in (
        "Applied",
        "Held",
        "Failed",
        "Received",
        "the administrator of Royal Example NHS Trust",
        "platform staff",
        "the worker",
        "nobody",
        "MailCo on behalf of Royal Example NHS Trust",
        "SIU S12",
        "fresh",
    ):
        assert words in shown


def test_the_list_takes_as_many_queries_for_many_messages_as_for_one(
    known: None, mailco: Sender, staff: User
) -> None:
    client = as_(staff)
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for number in range(6):
        mailco.send(siu(control_id=f"c{number}", placer=f"p{number}"))
        mailco.send(mdm(control_id=f"d{number}", number=f"n{number}", born="19700102"))
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few)


def test_the_list_never_reads_bodies_or_effects(known: None, staff: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        as_(staff).get(LIST)
    for query in queries:
        assert "messagebody" not in query["sql"]
        assert '"effect"' not in query["sql"]


def test_a_control_id_that_a_sender_used_twice_is_marked(
    known: None, mailco: Sender, pas: Sender, staff: User
) -> None:
    mailco.send(siu(control_id="once"))
    pas.send(siu(control_id="once", placer="p9"))
    assert "used twice" not in text(as_(staff).get(LIST))
    mailco.send(siu(control_id="once", placer="p2"))
    assert text(as_(staff).get(LIST)).count("used twice") == 2
    first, other, second = InboundMessage.objects.filter(control_id="once").order_by("id")
    shown = text(as_(staff).get(page(first)))
    assert page(second) in shown
    assert page(other) not in shown


def test_the_same_bytes_again_are_no_second_use(known: None, mailco: Sender, staff: User) -> None:
    mailco.send(siu(control_id="once"))
    mailco.send(siu(control_id="once"))
    assert "used twice" not in text(as_(staff).get(LIST))


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("?q=siu-1", {"siu-1"}),
        ("?q=doc-1", {"mdm-1"}),
        ("?q=Smith", set()),
        ("?q=9990000018", set()),
        ("?state=held", {"held-1"}),
        ("?state=received", {"late-1"}),
        ("?type=MDM^T02", {"mdm-1"}),
        ("?partner=none", {"start"}),
        ("?received_at__gte=2200-01-01 00:00:00%2B00:00", set()),
    ],
)
def test_messages_are_found_by_what_they_are_and_never_by_whom(
    question: str, found: set[str], known: None, mailco: Sender, staff: User
) -> None:
    mailco.send(siu())
    mailco.send(mdm())
    mailco.send(siu(control_id="held-1", placer="p2", born="19700102"))
    mailco.send(siu(control_id="late-1", placer="p3"), process=False)
    response = as_(staff).get(LIST + question)
    assert {row.control_id for row in response.context["cl"].result_list} == found


@pytest.mark.parametrize("lookup", ["body__raw__contains", "outcome__effect", "size", "terms"])
def test_the_list_s_address_cannot_ask_anything_else(lookup: str, staff: User) -> None:
    assert as_(staff).get(f"{LIST}?{lookup}=x").status_code == 400


def test_the_page_tells_the_story(known: None, mailco: Sender, staff: User) -> None:
    identifiers = "9990000018^^^NHS^NH~77^^^ELSEWHERE^XX"
    mailco.send(siu(identifiers=identifiers))
    message = InboundMessage.objects.get(control_id="siu-1")
    shown = text(as_(staff).get(page(message)))
    for words in (
        "from 127.0.0.1, with the credential partner_mailco",
        f"under grant no. {message.grant_id}",
        "Accepted",
        "Applied",
        "ELSEWHERE/XX",
    ):
        assert words in shown


def test_the_page_shows_the_effect_before_and_after_in_words(
    known: None, mailco: Sender, staff: User
) -> None:
    mailco.send(siu())
    mailco.send(siu(event="S15", control_id="cancel", sch="", location=""))
    booked, cancelled = InboundMessage.objects.filter(point_id="appt-1").order_by("id")
    shown = text(as_(staff).get(page(booked)))
    assert "A new appointment on 1 March 2026, 09:30" in shown
    assert "Clinic 1" in shown
    shown = text(as_(staff).get(page(cancelled)))
    assert "The appointment becomes: Cancelled" in shown
    assert "<td>Active</td><td>Cancelled</td>" in shown.replace("\n", "")
    assert AuditEvent.objects.filter(action="message.viewed").count() == 2


def test_times_are_shown_as_in_london(known: None, mailco: Sender, staff: User) -> None:
    sch = "||||||^Check-up||||^^^20260701093000+0000"
    mailco.send(siu(sch=sch))
    message = InboundMessage.objects.get(control_id="siu-1")
    assert "1 July 2026, 10:30" in text(as_(staff).get(page(message)))


def test_the_text_is_read_by_a_deliberate_click_that_is_audited(
    known: None, mailco: Sender, royal_admin: User
) -> None:
    mailco.send(siu())
    message = InboundMessage.objects.get(control_id="siu-1")
    client = as_(royal_admin)
    assert "PID|||" not in text(client.get(page(message)))
    assert client.get(read(message)).status_code == 302
    assert not AuditEvent.objects.filter(action="message.read").exists()
    response = client.post(read(message))
    assert "PID|||9990000018^^^NHS^NH||Smith^John" in text(response)
    assert "no-store" in response["Cache-Control"]
    event = AuditEvent.objects.get(action="message.read")
    assert (event.actor, event.target) == ("royal.admin", f"hl7ingest.InboundMessage:{message.pk}")


def test_reading_needs_the_csrf_token(known: None, staff: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert client.post(read(InboundMessage.objects.get())).status_code == 403


def test_staff_let_the_worker_try_a_failed_message_again(
    known: None, mailco: Sender, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = failed(mailco, monkeypatch)
    client = as_(staff)
    shown = text(client.get(page(message)))
    assert "Try again" in shown
    assert f"error {message.outcome.error_id}" in shown
    assert client.get(retry(message)).status_code == 302
    shown = text(client.post(retry(message), follow=True))
    assert "Tried again, and applied to the record." in shown
    assert "Try again</button>" not in shown
    assert "Only a failed message can be tried again" in text(
        client.post(retry(message), follow=True)
    )


def test_an_administrator_does_not_try_again(
    known: None, mailco: Sender, royal_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = failed(mailco, monkeypatch)
    client = as_(royal_admin)
    assert "Try again</button>" not in text(client.get(page(message)))
    assert client.post(retry(message)).status_code == 403
    assert Outcome.objects.get(pk=message.pk).state == Outcome.State.FAILED


def test_another_organisation_s_administrator_gets_nothing(
    known: None, mailco: Sender, riverside_admin: User
) -> None:
    mailco.send(siu())
    message = InboundMessage.objects.get(control_id="siu-1")
    client = as_(riverside_admin)
    for question in ("", "?q=siu-1", "?state=applied", f"?patient_id={message.patient_id}"):
        response = client.get(LIST + question)
        assert list(response.context["cl"].result_list) == []
        assert page(message) not in text(response)
    assert client.get(page(message)).status_code == 404
    assert client.post(read(message)).status_code == 404
    assert client.post(retry(message)).status_code == 404
    assert not AuditEvent.objects.filter(actor="riverside.admin").exists()


def test_somebody_without_a_part_gets_no_further_than_the_door(known: None, db: None) -> None:
    nobody = User.objects.create_user("nobody", is_staff=True, is_superuser=True)
    assert as_(nobody).get(LIST).status_code == 302


def test_nobody_adds_changes_or_deletes_messages(known: None, staff: User) -> None:
    message = InboundMessage.objects.get()
    client = as_(staff)
    assert client.get(reverse("admin:hl7ingest_inboundmessage_add")).status_code == 403
    delete = reverse("admin:hl7ingest_inboundmessage_delete", args=[message.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    client.post(page(message), {"control_id": "forged"})
    message.refresh_from_db()
    assert message.control_id == "start"


def test_script_in_any_field_is_shown_harmless(mailco: Sender, staff: User) -> None:
    person = {
        "name": f"{SCRIPT}^{IMAGE}^{SCRIPT}^^{IMAGE}",
        "identifiers": f"9990000018^^^NHS^NH~1^^^{IMAGE}^{SCRIPT}",
        "rest": f"|M|||{SCRIPT}^{IMAGE}^{SCRIPT}^{IMAGE}^ZZ99^{SCRIPT[:20]}||{SCRIPT}^PRN",
    }
    mailco.send(a28(control_id=SCRIPT, **person))
    mailco.send(
        siu(
            placer=IMAGE,
            control_id=IMAGE,
            sch=f"||||||{SCRIPT}^{IMAGE}|{SCRIPT}|||^^^20260301093000+0000",
            location=IMAGE,
        )
    )
    obx = f"OBX|1|TX|{SCRIPT}^{IMAGE}||{SCRIPT}{IMAGE}\r"
    mailco.send(mdm(number=SCRIPT, control_id=f"{SCRIPT}2", kind=IMAGE, obx=obx))
    mailco.send(siu(control_id=SCRIPT, facility=f"{SCRIPT}{{x}}"))
    assert Outcome.objects.filter(state=Outcome.State.APPLIED).count() == 3
    client = as_(staff)
    pages = [LIST, reverse("admin:hl7ingest_refusal_changelist")]
    pages += [page(message) for message in InboundMessage.objects.all()]
    pages += [
        reverse("admin:hl7ingest_refusal_change", args=[row.pk]) for row in Refusal.objects.all()
    ]
    shown = [text(client.get(where)) for where in pages]
    shown += [text(client.post(read(message))) for message in InboundMessage.objects.all()]
    for one in shown:
        assert SCRIPT not in one
        assert "<img src=x" not in one
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in "".join(shown)


def test_refusals_tell_the_true_rule_to_staff_and_to_the_customer(
    mailco: Sender, staff: User, royal_admin: User, riverside_admin: User
) -> None:
    ack = mailco.send(siu(control_id="r1", facility="riversidealias{riversidealias}"))
    assert "no grant" not in ack
    where = reverse("admin:hl7ingest_refusal_changelist")
    refusal = Refusal.objects.get()
    detail = reverse("admin:hl7ingest_refusal_change", args=[refusal.pk])
    for user in (staff, riverside_admin):
        shown = text(as_(user).get(where))
        for words in ("no grant", "MSH-4", "partner_mailco", "127.0.0.1", "r1"):
            assert words in shown
        assert "no grant" in text(as_(user).get(detail))
    assert "no grant" not in text(as_(royal_admin).get(where))
    assert as_(royal_admin).get(detail).status_code == 404
    assert "r1" not in text(as_(staff).get(f"{where}?answer=401"))


def test_the_home_page_tells_what_waits_and_what_failed(
    known: None,
    mailco: Sender,
    staff: User,
    royal_admin: User,
    riverside_admin: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed(mailco, monkeypatch)
    mailco.send(siu(control_id="held-1", placer="p2", born="19700102"))
    mailco.send(siu(control_id="late-1", placer="p3"), process=False)
    assert figures(staff) == {
        "Oldest waiting": "0 minutes",
        "Held for a decision": "1",
        "Failed": "1",
    }
    assert figures(royal_admin) == {"Held for a decision": "1"}
    assert figures(riverside_admin) == {"Held for a decision": "0"}


def figures(user: User) -> dict[str, str]:
    """Return the feeds' figures as `user` sees them."""
    request = RequestFactory().get("/admin/")
    request.user = user
    ours = {"Oldest waiting", "Held for a decision", "Failed"}
    counted = [count(request) for count in admin.site.figures]  # type: ignore[attr-defined]
    return {figure.label: figure.value for figure in counted if figure and figure.label in ours}


def test_a_long_segment_is_shown_shortened(known: None, mailco: Sender, staff: User) -> None:
    mailco.send(mdm(obx=f"OBX|1|TX|||{'A' * 6_000}\r"))
    message = InboundMessage.objects.get(control_id="mdm-1")
    shown = text(as_(staff).post(read(message)))
    assert "more characters)" in shown
    assert "A" * 4_001 not in shown
    assert message.received_at <= timezone.now()
