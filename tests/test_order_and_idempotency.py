"""Each message takes effect once, in the order of acceptance, and never blocks another patient's."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from hl7ingest import review
from hl7ingest.models import (
    Expected,
    HeldMessage,
    InboundMessage,
    Lane,
    Outcome,
    QueueEntry,
    Receipt,
    lane_of,
)
from hl7ingest.process import ATTEMPTS, drain
from partners.models import Grant
from pkb.models import Organisation, User
from records import apply as writers
from records.changes import PutAppointment
from records.models import (
    Appointment,
    Patient,
    PatientEmail,
    PatientIdentifier,
    PatientTeam,
    Source,
)
from tests import factories
from tests.conftest import Sender
from tests.messages import NHS, a28, mdm, siu, told, verdict

OTHER = "9990000026"
LOCAL = "A1^^^HOSP^MR"
BARE: dict[str, Any] = {"sch": "", "location": ""}
Break = Callable[..., list[str]]


@pytest.fixture
def patient(mailco: Sender) -> Patient:
    """A patient of the Royal."""
    mailco.send(a28())
    return Patient.objects.get()


@pytest.fixture
def hospital_number(royal: Organisation) -> None:
    """The Royal's hospital number, HOSP/MR."""
    factories.LocalIdentifierTypeFactory(organisation=royal)


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Have the writer of appointments raise for one placer id, as often as is said."""

    def breaks(placer: str, error: Exception, times: int = 10_000) -> list[str]:
        whole, seen = writers._WRITERS[PutAppointment], list[str]()

        def write(change: PutAppointment, *rest: Any) -> None:
            seen.append(change.external_id)
            if change.external_id == placer and seen.count(placer) <= times:
                raise error
            whole(change, *rest)

        monkeypatch.setitem(writers._WRITERS, PutAppointment, write)
        return seen

    return breaks


def state(control_id: str) -> str:
    """Return what became of the message with this MSH-10; empty while it waits."""
    found = Outcome.objects.filter(message__control_id=control_id).first()
    return found.state if found else ""


# Once


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_the_same_bytes_get_the_same_answer_and_one_effect(
    mailco: Sender, patient: Patient
) -> None:
    with time_machine.travel("2026-05-01T12:00:00+00:00", tick=False):
        first = mailco.answer(siu())
    with time_machine.travel("2026-05-02T12:00:00+00:00", tick=False):
        second = mailco.answer(siu())
    assert (first.replayed, second.replayed) == (False, True)
    assert first.ack.text == second.ack.text
    assert Appointment.objects.count() == 1
    assert InboundMessage.objects.filter(type="SIU^S12").count() == 1


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_a_replay_does_not_undo_what_came_after(mailco: Sender, patient: Patient) -> None:
    mailco.send(siu())
    mailco.send(siu("S15", control_id="2", **BARE))
    assert mailco.answer(siu()).replayed
    assert Appointment.objects.get().status == "CANCELLED"


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_the_same_bytes_before_the_first_are_applied_are_one_message(
    mailco: Sender, patient: Patient
) -> None:
    first = mailco.answer(mdm(), process=False)
    second = mailco.answer(mdm(), process=False)
    assert first.ack.text == second.ack.text
    assert second.replayed
    assert QueueEntry.objects.count() == 1


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_the_same_bytes_of_a_held_message_stay_held(mailco: Sender, patient: Patient) -> None:
    message = siu(born="19700102")
    assert mailco.send(message) == mailco.send(message)
    assert state("siu-1") == "held"
    assert HeldMessage.objects.count() == 1


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_the_same_sender_may_use_another_of_its_credentials(
    mailco: Sender, patient: Patient
) -> None:
    rotated = Sender(
        factories.CredentialFactory(username="partner_mailco2", partner=mailco.credential.partner)
    )
    assert mailco.send(siu()) == rotated.send(siu())
    assert Receipt.objects.count() == 2


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_the_same_bytes_of_another_sender_are_another_message(
    pas: Sender, riverside_pas: Sender, patient: Patient
) -> None:
    assert not pas.answer(siu()).replayed
    assert not riverside_pas.answer(siu()).replayed
    assert Appointment.objects.count() == 2


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_the_same_bytes_of_a_partner_and_its_customer_are_two_messages(
    mailco: Sender, pas: Sender, patient: Patient
) -> None:
    mailco.send(siu())
    assert not pas.answer(siu()).replayed
    assert InboundMessage.objects.filter(type="SIU^S12").count() == 2


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_the_same_bytes_of_another_team_are_another_message(royal: Organisation) -> None:
    teams = [factories.TeamFactory(organisation=royal) for _ in range(2)]
    for team in teams:
        sender = Sender(factories.CredentialFactory(team=team))
        assert not sender.answer(a28()).replayed
    assert set(Patient.objects.get().teams.values_list("team", flat=True)) == {t.pk for t in teams}


@pytest.mark.spec("hl7-api", "MSH-10 duplicates")
def test_the_same_control_id_with_other_bytes_is_accepted(mailco: Sender, patient: Patient) -> None:
    mailco.send(siu())
    answered = mailco.answer(siu("S15", **BARE))
    assert (answered.ack.verdict, answered.replayed) == ("AA", False)
    assert Appointment.objects.get().status == "CANCELLED"


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_a_refused_message_is_judged_anew(mailco: Sender) -> None:
    assert verdict(mailco.send(siu())) == "AR"
    mailco.send(a28())
    assert verdict(mailco.send(siu())) == "AA"


@pytest.mark.spec("decisions", "same sender, same bytes")
def test_who_may_not_send_any_more_gets_no_old_answer(
    mailco: Sender, patient: Patient, grant: Grant
) -> None:
    mailco.send(siu())
    grant.suspended_at, grant.suspended_by = timezone.now(), grant.granted_by
    grant.save()
    assert told(mailco.send(siu())) == "Not authorised to send for [trustalias{trustalias}]"


@pytest.mark.spec("decisions", "after the answer")
def test_draining_twice_applies_once(mailco: Sender, patient: Patient) -> None:
    mailco.send(siu(), process=False)
    assert drain() == 1
    before = Appointment.objects.values().get()
    assert drain() == 0
    assert Appointment.objects.values().get() == before
    assert not QueueEntry.objects.exists()


# In order


@pytest.mark.spec("decisions", "order of acceptance")
def test_messages_of_a_patient_take_effect_in_the_order_of_acceptance(
    mailco: Sender, patient: Patient
) -> None:
    for number in range(12):
        mailco.send(siu(control_id=f"{number}", location=f"Clinic {number}"), process=False)
    mailco.send(siu("S15", control_id="x", **BARE))
    assert (Appointment.objects.get().location, Appointment.objects.get().status) == (
        "Clinic 11",
        "CANCELLED",
    )


@pytest.mark.spec("decisions", "order of acceptance")
def test_order_holds_whatever_identifiers_the_messages_carry(
    mailco: Sender, hospital_number: None
) -> None:
    both = f"{NHS}^^^NHS^NH~{LOCAL}"
    mailco.send(a28(identifiers=both), process=False)
    mailco.send(siu(control_id="1", identifiers=LOCAL), process=False)
    mailco.send(siu("S15", control_id="2", **BARE), process=False)
    mailco.send(siu("S13", control_id="3", identifiers=LOCAL, sch="", location="B"), process=False)
    mailco.send(siu("S26", control_id="4", identifiers=both, **BARE), process=False)
    assert len(set(InboundMessage.objects.values_list("patient_id", flat=True))) == 1
    drain()
    assert [state(n) for n in "1234"] == ["applied"] * 4
    found = Appointment.objects.get()
    assert (found.status, found.location) == ("DNA", "B")
    assert not Expected.objects.exists()


@pytest.mark.spec("decisions", "before the answer")
def test_a_message_is_accepted_for_a_record_that_is_yet_to_be_started(mailco: Sender) -> None:
    mailco.send(a28(), process=False)
    for number, message in enumerate((siu(), mdm(), siu("S15", control_id="2", **BARE))):
        assert verdict(mailco.send(message, process=False)) == "AA", number
    drain()
    assert set(Outcome.objects.values_list("state", flat=True)) == {"applied"}


@pytest.mark.spec("decisions", "before the answer")
def test_another_customers_message_is_accepted_for_it_too(
    mailco: Sender, riverside_pas: Sender
) -> None:
    mailco.send(a28(), process=False)
    assert verdict(riverside_pas.send(siu(), process=False)) == "AA"
    assert verdict(riverside_pas.send(a28(name="Smith^Jack"), process=False)) == "AA"
    drain()
    assert Patient.objects.get().given_name == "Jack"
    assert Patient.objects.get().teams.count() == 2


@pytest.mark.spec("decisions", "before the answer")
def test_an_identifier_that_a_waiting_message_adds_is_known(
    mailco: Sender, patient: Patient, hospital_number: None
) -> None:
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^NHS^NH~{LOCAL}"), process=False)
    assert verdict(mailco.send(siu(identifiers=LOCAL), process=False)) == "AA"
    assert verdict(mailco.send(a28(control_id="3", identifiers=LOCAL), process=False)) == "AA"
    drain()
    assert Patient.objects.count() == 1
    assert Appointment.objects.get().patient == patient


@pytest.mark.spec("decisions", "before the answer")
def test_the_answer_to_a_team_grants_message_does_not_hang_on_the_worker(
    partner: Any, royal: Organisation, riverside_pas: Sender
) -> None:
    team = factories.TeamFactory(organisation=royal)
    factories.GrantFactory(partner=partner, organisation=royal, team=team)
    factories.AliasFactory(partner=partner, organisation=royal, value="trustalias")
    sender = Sender(factories.CredentialFactory(partner=partner))
    riverside_pas.send(a28())
    assert verdict(sender.send(a28(), process=False)) == "AA"  # makes the patient the team's
    assert verdict(sender.send(siu())) == "AA"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_a_number_that_a_waiting_message_gives_up_is_not_given_back_by_the_next(
    mailco: Sender, hospital_number: None
) -> None:
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH~{LOCAL}"))
    mailco.send(a28(control_id="2", identifiers=f"{OTHER}^^^NHS^NH~{LOCAL}"), process=False)
    mailco.send(a28(control_id="3", name="Jones^Ann"))  # NHS alone: its old number
    held = Patient.objects.get(identifiers__value="A1")
    assert held.identifiers.get(is_national=True).value == OTHER


# One alone


@pytest.mark.spec("decisions", "one bad message never blocks others")
def test_a_failing_message_fails_alone(mailco: Sender, patient: Patient, breaking: Break) -> None:
    breaking("bad", ValueError("Smith 1970-01-01"))
    mailco.send(siu(control_id="1", placer="before"), process=False)
    mailco.send(siu(control_id="2", placer="bad"), process=False)
    mailco.send(siu(control_id="3", placer="after"), process=False)
    drain()
    assert [state(n) for n in "123"] == ["applied", "failed", "applied"]
    failed = Outcome.objects.get(state="failed")
    assert len(failed.error_id) == 32
    assert failed.reason == "internal-error"
    assert {a.external_id for a in Appointment.objects.all()} == {"before", "after"}
    assert not QueueEntry.objects.exists()


@pytest.mark.spec("decisions", "nothing is ever without an owner")
def test_a_record_whose_start_failed_keeps_what_was_accepted_for_it(
    mailco: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError

    with monkeypatch.context() as patched:
        patched.setattr(writers.demographics, "start_record", fail)
        mailco.send(a28(control_id="1"), process=False)
        mailco.send(siu(control_id="2"))
    assert (state("1"), state("2")) == ("failed", "held")
    mailco.send(a28(control_id="3"))
    assert (state("2"), state("3")) == ("applied", "applied")
    assert Appointment.objects.get().patient == Patient.objects.get()


@pytest.mark.spec("decisions", "one bad message never blocks others")
def test_staff_may_have_a_failed_message_tried_again(
    mailco: Sender, patient: Patient, breaking: Break, staff: User, royal_admin: User
) -> None:
    breaking("appt-1", ValueError(), times=2)  # together, then alone
    mailco.send(siu())
    assert state("siu-1") == "failed"
    review.retry(message=InboundMessage.objects.get(control_id="siu-1"), by=staff)
    assert state("siu-1") == "applied"


@pytest.mark.spec("decisions", "order of acceptance")
def test_a_message_that_is_tried_again_does_not_undo_a_later_one(
    mailco: Sender, patient: Patient, breaking: Break, staff: User
) -> None:
    breaking("appt-1", ValueError(), times=2)
    mailco.send(siu(control_id="1", location="Earlier"))
    mailco.send(siu(control_id="2", location="Later"))
    assert (state("1"), state("2")) == ("failed", "applied")
    review.retry(message=InboundMessage.objects.get(control_id="1"), by=staff)
    assert Appointment.objects.get().location == "Later"


@pytest.mark.spec("decisions", "three kinds of wrong: a retry can mend it")
@pytest.mark.parametrize("error", [OperationalError("locked"), IntegrityError("race")])
def test_what_a_retry_can_mend_is_tried_again_later(
    mailco: Sender, patient: Patient, breaking: Break, error: Exception
) -> None:
    breaking("bad", error, times=2)  # together, then alone
    mailco.send(siu(control_id="1", placer="bad"), process=False)
    mailco.send(siu(control_id="2", placer="good"), process=False)
    drain()
    assert (state("1"), state("2")) == ("", "")  # the patient's later message waits meanwhile
    entry = QueueEntry.objects.get(message__control_id="1")
    assert entry.attempts == 1
    assert entry.ready_at is not None
    assert entry.ready_at > timezone.now()
    with time_machine.travel(entry.ready_at + timedelta(seconds=1)):
        drain()
    assert (state("1"), state("2")) == ("applied", "applied")


@pytest.mark.spec("decisions", "one bad message never blocks others")
def test_another_patients_messages_do_not_wait_for_a_retry(
    mailco: Sender, patient: Patient, breaking: Break
) -> None:
    mailco.send(a28(control_id="other", identifiers=f"{OTHER}^^^NHS^NH"))
    breaking("bad", OperationalError("locked"))
    mailco.send(siu(control_id="1", placer="bad"), process=False)
    mailco.send(siu(control_id="2", identifiers=f"{OTHER}^^^NHS^NH"), process=False)
    drain()
    assert (state("1"), state("2")) == ("", "applied")


@pytest.mark.spec("decisions", "one bad message never blocks others")
def test_what_no_retry_mends_fails_and_the_others_go_on(
    mailco: Sender, patient: Patient, breaking: Break
) -> None:
    breaking("bad", OperationalError("locked"))
    mailco.send(siu(control_id="1", placer="bad"), process=False)
    mailco.send(siu(control_id="2", placer="good"), process=False)
    now = timezone.now()
    for hour in range(ATTEMPTS + 1):
        with time_machine.travel(now + timedelta(hours=hour)):
            drain()
    assert (state("1"), state("2")) == ("failed", "applied")
    failed = Outcome.objects.get(state="failed")
    assert (failed.reason, len(failed.error_id)) == ("tried-too-often", 32)


# A hand that died


def die_in(patient: Patient) -> None:
    """Leave the lease of a hand that was killed in the patient's lane."""
    Lane.objects.update_or_create(
        pk=lane_of(patient.pk),
        defaults={"holder": "dead", "leased_until": timezone.now() - timedelta(seconds=1)},
    )


@pytest.mark.spec("decisions", "safe against a crash")
def test_after_a_hand_was_killed_messages_are_taken_one_by_one(
    mailco: Sender, patient: Patient, breaking: Break
) -> None:
    seen = breaking("", ValueError())
    die_in(patient)
    mailco.send(siu(control_id="1", placer="a"), process=False)
    mailco.send(siu(control_id="2", placer="b"), process=False)
    drain()
    assert (state("1"), state("2")) == ("applied", "applied")
    assert seen == ["a", "b"]
    lane = Lane.objects.get(pk=lane_of(patient.pk))
    assert (lane.holder, lane.leased_until) == ("", None)


@pytest.mark.spec("decisions", "safe against a crash")
def test_an_attempt_is_counted_before_it_is_made(
    mailco: Sender, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise SystemExit  # no clause catches it, as none catches a kill

    die_in(patient)
    mailco.send(siu(), process=False)
    monkeypatch.setitem(writers._WRITERS, PutAppointment, die)
    with pytest.raises(SystemExit):
        drain()
    assert QueueEntry.objects.get().attempts == 1


@pytest.mark.spec("decisions", "safe against a crash")
def test_a_message_that_kills_its_hand_each_time_is_given_up(
    mailco: Sender, patient: Patient
) -> None:
    mailco.send(siu(control_id="deadly", placer="a"), process=False)
    mailco.send(siu(control_id="fine", placer="b"), process=False)
    QueueEntry.objects.filter(message__control_id="deadly").update(attempts=ATTEMPTS)
    die_in(patient)
    drain()
    assert (state("deadly"), state("fine")) == ("failed", "applied")
    assert Outcome.objects.get(state="failed").reason == "tried-too-often"
    assert [a.external_id for a in Appointment.objects.all()] == ["b"]


@pytest.mark.spec("decisions", "one patient, one lane, one hand at a time")
def test_a_lane_that_another_hand_holds_is_left_to_it(mailco: Sender, patient: Patient) -> None:
    Lane.objects.update_or_create(
        pk=lane_of(patient.pk),
        defaults={"holder": "alive", "leased_until": timezone.now() + timedelta(seconds=30)},
    )
    mailco.send(siu())
    assert state("siu-1") == ""
    Lane.objects.update(holder="", leased_until=None)
    drain()
    assert state("siu-1") == "applied"


@pytest.mark.spec("decisions", "safe against a crash")
def test_what_was_undone_is_not_remembered(
    mailco: Sender, royal: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source that a first message makes is undone with it where its batch is undone."""
    whole, seen = writers._WRITERS[PutAppointment], list[str]()

    def fail_once(change: PutAppointment, *rest: Any) -> None:
        seen.append(change.external_id)
        if len(seen) == 1:
            raise ValueError
        whole(change, *rest)

    monkeypatch.setitem(writers._WRITERS, PutAppointment, fail_once)
    mailco.send(a28(), process=False)
    mailco.send(siu())
    sources = set(Source.objects.values_list("pk", flat=True))
    found = set(Patient.objects.values_list("source_id", flat=True))
    # set right for the end of the test, where the database looks for itself
    Appointment.objects.all().delete()
    PatientIdentifier.objects.all().delete()
    PatientTeam.objects.all().delete()
    Patient.objects.all().delete()
    assert found <= sources


@pytest.mark.spec("decisions", "after the answer")
def test_one_round_settles_many_patients(mailco: Sender) -> None:
    numbers = [f"99900{n:04}" for n in range(60)]
    valid = [f"{n}{check}" for n in numbers if (check := check_digit(n)) is not None][:40]
    for place, number in enumerate(valid):
        identifiers = f"{number}^^^NHS^NH"
        mailco.send(a28(control_id=f"p{place}", identifiers=identifiers), process=False)
        mailco.send(
            siu(control_id=f"s{place}", placer=f"{place}", identifiers=identifiers), process=False
        )
    assert drain() == 2 * len(valid)
    assert Patient.objects.count() == len(valid) == Appointment.objects.count()
    assert not PatientEmail.objects.exists()


def check_digit(nine: str) -> int | None:
    """Return the tenth digit of an NHS number; None where there is none."""
    rest = 11 - sum(int(d) * (10 - place) for place, d in enumerate(nine)) % 11
    return None if rest == 10 else rest % 11
