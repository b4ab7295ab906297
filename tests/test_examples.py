"""Every example in the documentation does what it says, against the demonstration data."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import demonstration
from hl7ingest.models import HeldMessage, InboundMessage, Outcome
from partners.models import Credential
from records.models import Appointment, Document, Patient, PatientIdentifier
from tests.conftest import Sender

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


@pytest.fixture
def demo_mailco(db: None, monkeypatch: pytest.MonkeyPatch) -> Sender:
    demonstration.load()
    return Sender(Credential.objects.get(username="partner_mailco"))


def send(sender: Sender, name: str) -> str:
    return sender.send((EXAMPLES / f"{name}.hl7").read_bytes())


@pytest.mark.spec("Partner connections", "source of each data point")
def test_the_published_message_starts_a_record_with_its_source(demo_mailco: Sender) -> None:
    answer = send(demo_mailco, "a28-partner")

    assert "MSA|AA|f691896e-977f-4f06-91ee-625155ca71f8" in answer
    patient = PatientIdentifier.objects.get(value="9191029996").patient
    assert (patient.family_name, patient.given_name) == ("Patient", "20191029")
    assert str(patient.source) == "MailCo on behalf of Royal Example NHS Trust"


def test_the_examples_book_cancel_hold_and_deliver(demo_mailco: Sender) -> None:
    for name in ("siu-s12-booked", "siu-s15-cancelled", "siu-s12-held", "mdm-t02-letter"):
        assert "MSA|AA|" in send(demo_mailco, name), name

    assert Appointment.objects.get().status == Appointment.Status.CANCELLED
    assert Appointment.objects.get().participants[0]["family_name"] == "Jones"
    assert Document.objects.get().file_name == "discharge.txt"
    held = HeldMessage.objects.get()
    assert held.reasons[0]["reason"] == "day and month look swapped"
    assert held.controller.name == demonstration.ROYAL


def test_the_examples_that_are_refused_say_why(demo_mailco: Sender) -> None:
    assert "PID-3.1 (NHS number) must be valid. You provided [9990000019]" in send(
        demo_mailco, "a28-refused"
    )
    assert "Not authorised to send for [riversidealias{riversidealias}]" in send(
        demo_mailco, "a28-not-granted"
    )


def test_the_demonstration_patients_are_all_there(demo_mailco: Sender) -> None:
    assert Patient.objects.count() == len(demonstration.PEOPLE) == 20
    assert Patient.objects.filter(is_deceased=True).count() == 1
    assert InboundMessage.objects.count() == 21
    assert set(Outcome.objects.values_list("state", flat=True)) == {"applied"}
