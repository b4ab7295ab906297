"""After the identifiers, chosen demographics must agree; where they do not, a person decides."""

import uuid
from datetime import date
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from hl7ingest import review
from hl7ingest.models import Decision, HeldMessage, Outcome
from pkb.models import AuditEvent, Organisation, SoftMatchField, User
from records.changes import PatientDetails
from records.matching import LABELS, normal, soft_match
from records.models import Appointment, Document, Patient
from tests.conftest import Sender
from tests.messages import NHS, a28, mdm, siu, told, verdict

WRONG = "19700102"  # one digit from 19700101
BARE: dict[str, Any] = {"sch": "", "location": ""}
ADDRESS = "|M|||1 Main Street^^Town^^NE1 1XC^GBR"


def choose(organisation: Organisation, *fields: str) -> None:
    """Have `organisation` compare these fields."""
    organisation.soft_match_fields = list(fields)
    organisation.save()


@pytest.fixture
def patient(mailco: Sender) -> Patient:
    """John Smith, born 1 January 1970."""
    mailco.send(a28(rest=ADDRESS))
    return Patient.objects.get()


def state(control_id: str) -> str:
    """Return what became of the message with this MSH-10."""
    return Outcome.objects.get(message__control_id=control_id).state


def held(control_id: str) -> HeldMessage:
    """Return the held message with this MSH-10."""
    return HeldMessage.objects.get(message__control_id=control_id)


@pytest.mark.spec("hl7-api", "soft matching")
@pytest.mark.parametrize(
    "message",
    [
        siu(born=WRONG),
        siu("S13", born=WRONG),
        siu("S15", born=WRONG),
        mdm(born=WRONG),
        mdm("T11", born=WRONG),
    ],
)
def test_every_data_message_that_differs_is_accepted_and_held(
    mailco: Sender, patient: Patient, royal: Organisation, message: str
) -> None:
    assert verdict(mailco.send(message)) == "AA"
    waiting = HeldMessage.objects.get()
    assert (waiting.cause, waiting.controller) == ("soft-match", royal)
    assert waiting.reasons == [
        {"field": "date_of_birth", "label": "date of birth", "reason": "one digit differs"}
    ]
    assert waiting.message.outcome.state == "held"
    assert not Appointment.objects.exists()
    assert not Document.objects.exists()


@pytest.mark.spec("hl7-api", "soft matching")
def test_demographics_are_not_compared(mailco: Sender, patient: Patient) -> None:
    mailco.send(a28(control_id="2", kind="ADT^A31", born="19800202", name="Other^Name"))
    assert state("2") == "applied"
    assert str(Patient.objects.get().born_on) == "1980-02-02"


@pytest.mark.spec("decisions", "identity: soft match")
def test_only_the_date_of_birth_is_compared_unless_the_customer_chooses(
    mailco: Sender, patient: Patient
) -> None:
    mailco.send(siu(name="Other^Person", rest="|F"))
    assert state("siu-1") == "applied"


@pytest.mark.spec("decisions", "identity: soft match")
def test_a_customer_may_choose_nothing(
    mailco: Sender, patient: Patient, royal: Organisation
) -> None:
    choose(royal)
    mailco.send(siu(born="", name=""))
    assert state("siu-1") == "applied"


@pytest.mark.spec("decisions", "identity: soft match")
@pytest.mark.parametrize("field", list(SoftMatchField.values))
def test_a_chosen_field_is_mandatory_in_every_data_message(
    mailco: Sender, patient: Patient, royal: Organisation, field: str
) -> None:
    choose(royal, field)
    places = {
        "date_of_birth": "PID-7.1",
        "family_name": "PID-5.1",
        "given_name": "PID-5.2",
        "initial": "PID-5.2",
        "sex": "PID-8.1",
        "postcode": "PID-11.5",
    }
    for message in (siu, mdm):
        ack = mailco.send(message(name="", born="", rest=""))
        assert verdict(ack) == "AR"
        assert told(ack) == (
            f"Parsing or validation error: {places[field]} ({LABELS[field]}) must be provided. "
            "You provided []"
        )
    assert verdict(mailco.send(a28(control_id="2", name="", born="", rest=""))) == "AA"


@pytest.mark.spec("decisions", "identity: soft match")
@pytest.mark.parametrize(
    "cleared", [{"name": '""^John'}, {"name": 'Smith^""'}, {"rest": '|M|||^^^^""'}]
)
def test_a_chosen_field_is_not_given_by_two_quotes(
    mailco: Sender, patient: Patient, royal: Organisation, cleared: dict[str, str]
) -> None:
    choose(royal, "family_name", "given_name", "postcode")
    assert verdict(mailco.send(siu(**({"rest": ADDRESS} | cleared)))) == "AR"


@pytest.mark.spec("decisions", "identity: soft match")
@pytest.mark.parametrize(
    ("field", "agrees", "differs"),
    [
        ("date_of_birth", {"born": "197001012359+0100"}, {"born": "19710101"}),
        ("family_name", {"name": " sMITH^X"}, {"name": "Smyth^John"}),
        ("given_name", {"name": "X^JÖHN"}, {"name": "Smith^Joan"}),
        ("initial", {"name": "X^jack"}, {"name": "Smith^Ann"}),
        ("sex", {"rest": "|M"}, {"rest": "|F"}),
        ("postcode", {"rest": "|F|||^^^^ne11xc"}, {"rest": "|M|||^^^^NE1 1XD"}),
    ],
)
def test_each_field_is_compared_where_it_is_chosen(
    mailco: Sender,
    patient: Patient,
    royal: Organisation,
    field: str,
    agrees: dict[str, str],
    differs: dict[str, str],
) -> None:
    choose(royal, field)
    mailco.send(siu(control_id="agrees", placer="a", **agrees))
    mailco.send(siu(control_id="differs", placer="b", **differs))
    assert (state("agrees"), state("differs")) == ("applied", "held")
    assert [reason["field"] for reason in held("differs").reasons] == [field]


@pytest.mark.spec("decisions", "identity: soft match")
def test_all_that_differs_is_told(mailco: Sender, patient: Patient, royal: Organisation) -> None:
    choose(royal, *SoftMatchField.values)
    mailco.send(siu(name="Jones^Ann", born="19991231", rest="|F|||^^^^AB1 2CD"))
    assert {reason["field"] for reason in held("siu-1").reasons} == set(SoftMatchField.values)


@pytest.mark.spec("decisions", "identity: soft match")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("SMITH", "Smith"),
        ("Müller", "Muller"),
        ("O'Neill", "O’NEILL"),
        ("O Neill", "ONeill"),
        ("Smith-Jones", "Smith Jones"),
        ("d’Árcy.", "darcy"),
        ("Straße", "STRASSE"),
        ("ﬁona", "Fiona"),
        ("Zoe\u0308", "Zoë"),
        ("van  der\tBerg", "Van Der Berg"),
        ("Smith_Jones", "Smith Jones"),
    ],
)
def test_texts_are_compared_without_case_accents_punctuation_and_spacing(
    sent: str, kept: str
) -> None:
    assert normal(sent) == normal(kept)


@pytest.mark.spec("decisions", "identity: soft match")
@pytest.mark.parametrize(
    ("sent", "kept"), [("Smith", "Smyth"), ("Smith", "Smith1"), ("Li", "Le"), ("Петров", "Петрова")]
)
def test_other_letters_are_other_texts(sent: str, kept: str) -> None:
    assert normal(sent) != normal(kept)


def reason(field: str, sent: dict[str, Any], kept: dict[str, Any]) -> str:
    """Return in words how a message differs from a record."""
    person: dict[str, Any] = {
        "family_name": "Smith",
        "given_name": "John",
        "born_on": date(1970, 1, 1),
        "sex": "M",
    }
    details = PatientDetails(identifiers=(), **(person | sent))
    record = Patient(id=uuid.uuid4(), **(person | kept))
    (difference,) = soft_match(details, record, [field])
    assert difference.field == field
    return difference.reason


@pytest.mark.spec("decisions", "identity: the reason in words")
@pytest.mark.parametrize(
    ("sent", "kept", "words"),
    [
        (date(1970, 2, 1), date(1970, 1, 2), "day and month look swapped"),
        (date(1970, 1, 1), date(1870, 1, 1), "the century differs"),
        (date(2015, 3, 4), date(1915, 3, 4), "the century differs"),
        (date(1970, 1, 1), date(1970, 1, 2), "one digit differs"),
        (date(1970, 1, 1), date(1971, 1, 1), "one digit differs"),
        (date(1970, 1, 31), date(1970, 1, 12), "only the year and the month agree"),
        (date(1970, 1, 31), date(1989, 5, 31), "only the day agrees"),
        (date(1970, 1, 31), date(1989, 5, 12), "the dates are different"),
        (date(1970, 1, 1), None, "one side has no date"),
    ],
)
def test_why_dates_of_birth_differ(sent: date, kept: date | None, words: str) -> None:
    assert reason("date_of_birth", {"born_on": sent}, {"born_on": kept}) == words


DOUBLE = "one side looks double-barrelled or is a maiden name"


@pytest.mark.spec("decisions", "identity: the reason in words")
@pytest.mark.parametrize(
    ("sent", "kept", "words"),
    [
        ("Smith", "Smyth", "one letter differs"),
        ("Smith", "Smiths", "one letter differs"),
        ("Smith", "Smth", "one letter differs"),
        ("Smith", "Smith-Jones", DOUBLE),
        ("Jones", "Smith-Jones", DOUBLE),
        ("Smith-Jones", "Smith", DOUBLE),
        ("Smith Jones", "JONES", DOUBLE),
        ("John", "Smith", "family and given name look swapped"),
        ("Brown", "Smith", "given name and date of birth agree: perhaps a married or maiden name"),
        (
            "Brown",
            "Smith-Jones",
            "given name and date of birth agree: perhaps a married or maiden name",
        ),
        (
            "Smith-Jones",
            "Brown",
            "given name and date of birth agree: perhaps a married or maiden name",
        ),
    ],
)
def test_why_family_names_differ(sent: str, kept: str, words: str) -> None:
    assert reason("family_name", {"family_name": sent}, {"family_name": kept}) == words


@pytest.mark.spec("decisions", "identity: the reason in words")
@pytest.mark.parametrize(
    ("sent", "kept"), [("Brown", "Smith"), ("Brown", "Smith-Jones"), ("Smith-Jones", "Brown")]
)
def test_family_names_of_another_person_are_just_different(sent: str, kept: str) -> None:
    other = {"family_name": sent, "given_name": "Ann", "born_on": date(1999, 9, 9)}
    assert reason("family_name", other, {"family_name": kept}) == "the names are different"


@pytest.mark.spec("decisions", "identity: the reason in words")
@pytest.mark.parametrize(
    ("sent", "kept", "words"),
    [
        ({"given_name": "J"}, {}, "one side has only the initial"),
        ({}, {"given_name": "J."}, "one side has only the initial"),
        ({"given_name": "Jon"}, {}, "one letter differs"),
        ({"given_name": "Joan"}, {}, "one letter differs"),
        ({"given_name": "Peter"}, {}, "same family name and date of birth: possibly a twin"),
        ({"given_name": "Peter", "family_name": "Brown"}, {}, "the names are different"),
        ({"given_name": "Peter", "born_on": date(1999, 1, 1)}, {}, "the names are different"),
    ],
)
def test_why_given_names_differ(sent: dict[str, Any], kept: dict[str, Any], words: str) -> None:
    assert reason("given_name", sent, kept) == words


@pytest.mark.spec("decisions", "identity: the reason in words")
@pytest.mark.parametrize(
    ("field", "sent", "kept", "words"),
    [
        ("initial", {"given_name": "Ann"}, {}, "the initials are different"),
        ("sex", {"sex": "F"}, {}, "they are different"),
        ("sex", {"sex": "M"}, {"sex": "U"}, "one side says unknown"),
        ("sex", {"sex": "U"}, {}, "one side says unknown"),
        ("postcode", {"postcode": "NE1 1XC"}, {}, "the record has no postcode"),
        (
            "postcode",
            {"postcode": "NE1 1XC"},
            {"postcode": "NE1 1XD"},
            "the same district: perhaps a typing mistake",
        ),
        (
            "postcode",
            {"postcode": "NE1 1XC"},
            {"postcode": "AB1 2CD"},
            "they are different: perhaps a move",
        ),
    ],
)
def test_why_the_others_differ(
    field: str, sent: dict[str, Any], kept: dict[str, Any], words: str
) -> None:
    assert reason(field, sent, kept) == words


@pytest.mark.spec("hl7-api", "soft matching")
def test_the_rules_are_those_of_when_the_message_was_accepted(
    mailco: Sender, patient: Patient, royal: Organisation
) -> None:
    mailco.send(siu(name="Jones^John"), process=False)
    choose(royal, "family_name")
    mailco.send(siu(control_id="2", placer="b", name="Jones^John"))
    assert (state("siu-1"), state("2")) == ("applied", "held")


@pytest.mark.spec("hl7-api", "soft matching")
def test_a_partners_message_waits_for_the_customers_administrator(
    mailco: Sender, patient: Patient, royal: Organisation, riverside_admin: User, royal_admin: User
) -> None:
    mailco.send(siu(born=WRONG))
    assert held("siu-1").controller == royal
    with pytest.raises(PermissionDenied):
        review.approve(held=held("siu-1"), by=riverside_admin)
    assert AuditEvent.objects.get(action="held.refused").actor == "riverside.admin"
    review.approve(held=held("siu-1"), by=royal_admin)
    assert state("siu-1") == "applied"


@pytest.mark.spec("hl7-api", "soft matching")
def test_each_customer_has_its_own_queue_and_its_own_decisions(
    pas: Sender, riverside_pas: Sender, patient: Patient, royal_admin: User
) -> None:
    pas.send(siu(control_id="1", born=WRONG))
    riverside_pas.send(siu(control_id="2", born=WRONG))
    review.approve(held=held("1"), by=royal_admin)
    assert (state("1"), state("2")) == ("applied", "held")
    riverside_pas.send(siu("S13", control_id="3", born=WRONG))
    assert state("3") == "held"


@pytest.mark.spec("hl7-api", "soft matching: decisions")
def test_what_is_approved_is_applied_as_it_was_sent(
    mailco: Sender, patient: Patient, royal_admin: User
) -> None:
    mailco.send(siu(born=WRONG))
    review.approve(held=held("siu-1"), by=royal_admin, why="Checked by telephone")
    assert Appointment.objects.get().subject == "Check-up"
    assert str(Patient.objects.get().born_on) == "1970-01-01"  # a data message never changes it
    found = held("siu-1")
    assert (found.verdict, found.decided_by, found.why) == (
        "approved",
        royal_admin,
        "Checked by telephone",
    )
    assert AuditEvent.objects.filter(action="held.approved", actor="royal.admin").count() == 1


@pytest.mark.spec("hl7-api", "soft matching: decisions")
def test_what_is_rejected_never_reaches_the_record(
    mailco: Sender, patient: Patient, royal_admin: User
) -> None:
    mailco.send(siu(born=WRONG))
    review.reject(held=held("siu-1"), by=royal_admin, why="Another person")
    outcome = Outcome.objects.get(message__control_id="siu-1")
    assert (outcome.state, outcome.reason) == ("rejected", "rejected-by-person")
    assert not Appointment.objects.exists()


@pytest.mark.spec("hl7-api", "soft matching: decisions")
def test_a_rejection_says_why(mailco: Sender, patient: Patient, royal_admin: User) -> None:
    mailco.send(siu(born=WRONG))
    with pytest.raises(ValidationError):
        review.reject(held=held("siu-1"), by=royal_admin, why="  ")
    assert state("siu-1") == "held"


@pytest.mark.spec("hl7-api", "soft matching: decisions")
@pytest.mark.parametrize("first", ["approve", "reject"])
@pytest.mark.parametrize("then", ["approve", "reject"])
def test_a_message_is_decided_once(
    mailco: Sender, patient: Patient, royal_admin: User, first: str, then: str
) -> None:
    mailco.send(siu(born=WRONG))
    waiting = held("siu-1")
    getattr(review, first)(held=waiting, by=royal_admin, why="x")
    with pytest.raises(ValidationError):
        getattr(review, then)(held=waiting, by=royal_admin, why="x")


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
def test_an_approval_holds_for_later_messages_of_the_same_data_point(
    mailco: Sender, patient: Patient, royal_admin: User
) -> None:
    mailco.send(siu(born=WRONG))
    review.approve(held=held("siu-1"), by=royal_admin)
    mailco.send(siu("S15", control_id="2", born="19990909", **BARE))
    assert state("2") == "applied"
    assert Appointment.objects.get().status == "CANCELLED"


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
@pytest.mark.parametrize("born", [WRONG, "19700101"])
def test_a_rejection_holds_for_later_messages_whatever_their_demographics(
    mailco: Sender, patient: Patient, royal_admin: User, born: str
) -> None:
    mailco.send(siu(born=WRONG))
    review.reject(held=held("siu-1"), by=royal_admin, why="Another person")
    assert verdict(mailco.send(siu(control_id="2", born=born))) == "AA"
    outcome = Outcome.objects.get(message__control_id="2")
    assert (outcome.state, outcome.reason) == ("rejected", "earlier-decision")
    assert not Appointment.objects.exists()


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_a_decision_is_about_one_data_point_only(
    mailco: Sender, patient: Patient, royal_admin: User, decide: str
) -> None:
    mailco.send(siu(born=WRONG))
    getattr(review, decide)(held=held("siu-1"), by=royal_admin, why="x")
    mailco.send(siu(control_id="2", placer="other", born=WRONG))
    mailco.send(mdm(control_id="3", number="appt-1", born=WRONG))
    assert (state("2"), state("3")) == ("held", "held")


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
def test_a_decision_is_about_one_patient_only(
    mailco: Sender, patient: Patient, royal_admin: User
) -> None:
    other = {"identifiers": "9990000026^^^NHS^NH"}
    mailco.send(a28(control_id="other", **other))
    mailco.send(siu(born=WRONG))
    review.reject(held=held("siu-1"), by=royal_admin, why="Wrong patient")
    ack = mailco.send(siu(control_id="2", **other))
    assert verdict(ack) == "AA"
    assert state("2") == "applied"


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
def test_approving_one_approves_all_that_wait_for_the_same_data_point_in_order(
    mailco: Sender, patient: Patient, royal_admin: User
) -> None:
    mailco.send(siu(control_id="1", born=WRONG, location="First"))
    mailco.send(siu("S13", control_id="2", born=WRONG, sch="", location="Second"))
    mailco.send(siu("S15", control_id="3", born=WRONG, **BARE))
    assert Appointment.objects.count() == 0
    review.approve(held=held("3"), by=royal_admin)
    assert [state(n) for n in "123"] == ["applied"] * 3
    found = Appointment.objects.get()
    assert (found.status, found.location) == ("CANCELLED", "Second")


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
def test_rejecting_one_rejects_all_that_wait_for_the_same_data_point(
    mailco: Sender, patient: Patient, royal_admin: User
) -> None:
    for control_id in "12":
        mailco.send(siu(control_id=control_id, born=WRONG))
    review.reject(held=held("1"), by=royal_admin, why="Another person")
    assert (state("1"), state("2")) == ("rejected", "rejected")
    assert Decision.objects.count() == 1


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
@pytest.mark.parametrize("together", [True, False])
def test_a_later_message_that_agrees_releases_the_earlier_ones_in_order(
    mailco: Sender, patient: Patient, together: bool
) -> None:
    mailco.send(siu(control_id="1", born=WRONG, location="First"), process=not together)
    mailco.send(
        siu("S13", control_id="2", born=WRONG, sch="", location="Second"), process=not together
    )
    mailco.send(siu("S15", control_id="3", **BARE))
    assert [state(n) for n in "123"] == ["applied"] * 3
    found = Appointment.objects.get()
    assert (found.status, found.location, found.subject) == ("CANCELLED", "Second", "Check-up")
    assert (held("1").verdict, held("1").decided_by) == ("released", None)


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
def test_a_withdrawal_that_agrees_comes_after_what_it_releases(
    mailco: Sender, patient: Patient
) -> None:
    mailco.send(mdm(control_id="1", born=WRONG))
    mailco.send(mdm("T11", control_id="2"))
    assert (state("1"), state("2")) == ("applied", "applied")
    assert Document.objects.get().withdrawn_at is not None


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
def test_a_message_that_agrees_releases_nothing_of_another_data_point(
    mailco: Sender, patient: Patient
) -> None:
    mailco.send(siu(control_id="1", born=WRONG))
    mailco.send(siu(control_id="2", placer="other"))
    assert (state("1"), state("2")) == ("held", "applied")


@pytest.mark.spec("hl7-api", "soft matching: decision memory")
def test_a_booking_that_was_rejected_leaves_nothing_to_cancel(
    mailco: Sender, patient: Patient, royal_admin: User
) -> None:
    mailco.send(siu(control_id="1", born=WRONG))
    mailco.send(siu("S15", control_id="2", born=WRONG, **BARE))
    review.reject(held=held("1"), by=royal_admin, why="Another person")
    assert not Appointment.objects.exists()
    assert not HeldMessage.objects.filter(decided_at=None).exists()


@pytest.mark.spec("hl7-api", "status checking")
def test_an_approved_a28_starts_the_record_and_lets_in_what_waited_for_it(
    mailco: Sender, royal: Organisation, royal_admin: User
) -> None:
    royal.checks_status = True
    royal.save()
    mailco.send(a28(control_id="1"))
    mailco.send(siu(control_id="2"))
    mailco.send(siu("S15", control_id="3", **BARE))
    assert [state(n) for n in "123"] == ["held"] * 3
    assert held("2").cause == "awaits-record"
    review.approve(held=held("1"), by=royal_admin)
    assert [state(n) for n in "123"] == ["applied"] * 3
    assert Appointment.objects.get().status == "CANCELLED"


@pytest.mark.spec("hl7-api", "status checking")
def test_what_waited_for_a_record_is_still_compared_with_it(
    mailco: Sender, royal: Organisation, royal_admin: User
) -> None:
    royal.checks_status = True
    royal.save()
    mailco.send(a28(control_id="1"))
    mailco.send(siu(control_id="2", born=WRONG))
    review.approve(held=held("1"), by=royal_admin)
    assert state("2") == "held"
    assert (held("2").cause, held("2").decided_at) == ("soft-match", None)


@pytest.mark.spec("hl7-api", "status checking")
def test_a_verified_message_starts_the_record_that_a_held_one_did_not(
    mailco: Sender, royal: Organisation, royal_admin: User
) -> None:
    royal.checks_status = True
    royal.save()
    mailco.send(a28(control_id="1", identifiers=f"{NHS}^^^NHS^NH{{status:02}}"))
    mailco.send(siu(control_id="2"))
    review.reject(held=held("1"), by=royal_admin, why="Not traced")
    mailco.send(a28(control_id="3", identifiers=f"{NHS}^^^NHS^NH{{status:01}}"))
    assert [state(n) for n in "123"] == ["rejected", "applied", "applied"]
    assert Patient.objects.count() == 1


@pytest.mark.spec("decisions", "order of acceptance")
def test_an_a28_that_is_approved_late_does_not_undo_a_later_one(
    mailco: Sender, royal: Organisation, royal_admin: User
) -> None:
    royal.checks_status = True
    royal.save()
    verified = f"{NHS}^^^NHS^NH{{status:01}}"
    mailco.send(a28(control_id="0", identifiers=verified))
    mailco.send(a28(control_id="1", name="Smith^Earlier"))  # held; of the same MSH-7
    mailco.send(a28(control_id="2", identifiers=verified, name="Smith^Later"))
    review.approve(held=held("1"), by=royal_admin)
    assert state("1") == "applied"
    assert Patient.objects.get().given_name == "Later"
