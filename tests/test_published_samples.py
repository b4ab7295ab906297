"""The messages that the published pages show do what those pages say."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from hl7ingest.hl7v2 import parse
from records.models import Appointment, Document, Patient, PatientEmail
from tests.conftest import Sender
from tests.messages import a28, mdm, siu, told, verdict

Read = Callable[[str], str]
SMITH = "9999999999^^^NHS^NH"  # the patient of the SIU and MDM samples


@pytest.fixture
def smith(pas: Sender) -> Patient:
    """The patient of the appointment and document samples."""
    pas.send(a28(identifiers=SMITH))
    return Patient.objects.get()


@pytest.mark.spec("hl7-api", "samples: partner connections")
def test_a_partners_a28_for_its_customer_starts_a_record(mailco: Sender, hl7: Read) -> None:
    ack = mailco.send(hl7("partner-a28-msh4-alias"))
    assert ack.split("\r")[1] == "MSA|AA|f691896e-977f-4f06-91ee-625155ca71f8"
    patient = Patient.objects.get()
    assert patient.family_name == "Patient"
    assert patient.given_name == "20191029"
    assert patient.title == "Mr"
    assert str(patient.born_on) == "2019-10-29"
    assert (patient.address_line_1, patient.city) == ("123 Main Street", "London")
    assert (patient.postcode, patient.country) == ("CB11BC", "GBR")
    assert patient.language == "en"
    assert patient.identifiers.get().value == "9191029996"
    assert patient.entered_at == datetime(2019, 10, 29, 15, 2, 9, tzinfo=UTC)
    assert str(patient.source) == "MailCo on behalf of Royal Example NHS Trust"


@pytest.mark.spec("hl7-api", "samples: mail management")
def test_the_a28_with_a_verified_number(pas: Sender, hl7: Read) -> None:
    assert verdict(pas.send(hl7("a28-mailmgmt-status01"))) == "AA"
    patient = Patient.objects.get()
    assert (patient.family_name, patient.given_name) == ("Richards", "Read")
    assert patient.identifiers.get().status == "01"
    assert patient.entered_at == datetime(2019, 4, 24, 9, 33, tzinfo=UTC)  # summer time


@pytest.mark.spec("hl7-api", "samples: GP details")
@pytest.mark.parametrize("name", ["a28-gp-pd1-3-and-4", "a28-gp-pd1-rol"])
def test_gp_details_are_ignored_and_the_demographics_kept(
    pas: Sender, hl7: Read, name: str
) -> None:
    assert verdict(pas.send(hl7(name))) == "AA"
    patient = Patient.objects.get()
    assert patient.name == "Mr John Joe Smith"
    assert patient.address_line_1 == "My flat name"
    assert patient.address_line_2 == "1, The Road"
    assert patient.home_phone == "01234567890"
    assert patient.mobile_phone == "07123456789"
    assert patient.work_phone == "01234098765"
    assert not patient.is_deceased
    assert dict(PatientEmail.objects.values_list("address", "is_primary")) == {
        "john.smith@hotmail.com": True,
        "john.smith@company.com": False,
    }


@pytest.mark.spec("hl7-api", "samples: next of kin")
def test_the_number_of_nine_digits_is_refused(pas: Sender, hl7: Read) -> None:
    ack = pas.send(hl7("a28-nk1-next-of-kin"))
    assert verdict(ack) == "AR"
    assert "(NHS number) must be valid. You provided [523456789]" in told(ack)


@pytest.mark.spec("hl7-api", "samples: SIU")
def test_an_appointment_is_booked(pas: Sender, smith: Patient, hl7: Read) -> None:
    ack = pas.send(hl7("siu-s12"))
    assert ack.split("\r")[1] == "MSA|AA|ABC0000000001"
    appointment = Appointment.objects.get()
    assert appointment.patient == smith
    assert appointment.external_id == "ID123"
    assert appointment.subject == "checkup"
    assert appointment.starts_at == datetime(2014, 11, 20, 12, 31, tzinfo=UTC)
    assert appointment.ends_at == datetime(2014, 11, 20, 12, 32, tzinfo=UTC)
    assert appointment.starts_precision == "minute"
    assert appointment.description == "My comment"
    assert appointment.location == "health centre"
    assert appointment.participants == [
        {
            "family_name": "Jones",
            "given_name": "Stuart",
            "middle_names": "James",
            "title": "Dr",
            "role": "Doctor",
        }
    ]


@pytest.mark.spec("hl7-api", "samples: SIU")
def test_an_appointment_is_booked_moved_cancelled_and_missed(
    pas: Sender, smith: Patient, hl7: Read
) -> None:
    told_of = []
    for name in ("siu-s12", "siu-s13", "siu-s15", "siu-s26"):
        assert verdict(pas.send(hl7(name))) == "AA"
        appointment = Appointment.objects.get()
        told_of.append((appointment.status, appointment.location, len(appointment.participants)))
    assert told_of == [
        ("ACTIVE", "health centre", 1),
        ("ACTIVE", "new health centre", 1),
        ("CANCELLED", "new health centre", 1),
        ("DNA", "new health centre", 1),
    ]


@pytest.mark.spec("hl7-api", "samples: SIU")
@pytest.mark.parametrize("name", ["siu-s15", "siu-s26"])
def test_a_cancellation_of_an_unknown_appointment_is_refused(
    pas: Sender, smith: Patient, hl7: Read, name: str
) -> None:
    ack = pas.send(hl7(name))
    assert verdict(ack) == "AR"
    assert told(ack) == (
        "Parsing or validation error: SCH-11.4 (start) must be provided. You provided []"
    )


@pytest.mark.spec("hl7-api", "samples: SIU")
def test_a_description_in_html_is_kept(pas: Sender, smith: Patient, hl7: Read) -> None:
    fragment = hl7("siu-s12-html-description-fragment")
    header, person = siu(facility="x", identifiers=SMITH).split("\r")[:2]
    ack = pas.send(f"{header}\r{person}\r{fragment}\rPV1|||^^^^^^^^Ward\r")
    assert verdict(ack) == "AA"
    appointment = Appointment.objects.get()
    assert appointment.subject == "Followup"
    assert appointment.description.startswith("<b>Heading here</b></p>Information about")


@pytest.mark.spec("hl7-api", "samples: MDM")
def test_a_document_is_taken_back(pas: Sender, smith: Patient, hl7: Read) -> None:
    pas.send(mdm(number="MYDOC00001", identifiers=SMITH))
    assert verdict(pas.send(hl7("mdm-t11"))) == "AA"
    assert Document.objects.get().withdrawn_at is not None


@pytest.mark.spec("hl7-api", "samples: not supported yet")
@pytest.mark.parametrize("name", ["adt-a03", "qry-a19-nhs"])
def test_a_type_that_is_not_supported_yet_is_refused(
    pas: Sender, smith: Patient, hl7: Read, name: str
) -> None:
    ack = pas.send(hl7(name))
    assert verdict(ack) == "AR"
    assert told(ack) == "Unknown messageType received from HL7"


@pytest.mark.spec("hl7-api", "samples: ZTM")
def test_team_membership_refuses_the_message_until_it_is_supported(pas: Sender, hl7: Read) -> None:
    ack = pas.send(a28() + hl7("ztm-segment-only"))
    assert verdict(ack) == "AR"
    assert "ZTM (team membership) is not supported yet" in told(ack)
    assert not Patient.objects.exists()


@pytest.mark.spec("hl7-api", "acknowledgement")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ack-aa", ("AA", "messageID", "")),
        (
            "ack-ar-validation",
            (
                "AR",
                "messageID",
                "Parsing or validation error: OBR[1].OBX[2]: No observation timestamp in OBX or OBR",
            ),
        ),
        ("ack-ae-unexpected", ("AE", "messageId", "Unexpected error while processing: null")),
    ],
)
def test_the_published_acknowledgements_have_the_shape_of_ours(
    pas: Sender, hl7: Read, name: str, expected: tuple[str, str, str]
) -> None:
    theirs = parse(hl7(name))
    msa = theirs.find("MSA")
    assert (msa.get(1), msa.get(2), msa.get(3)) == expected
    ours = parse(pas.send(a28())).msh
    for number in (3, 4, 11, 12):
        assert ours.get(number) == theirs.msh.get(number)
    assert (ours.get(9), ours.get(10)[:4]) == (theirs.msh.get(9), "PKB-")
    assert len(ours.get(7)) == len(theirs.msh.get(7))
    assert ours.get(10) == "PKB-" + ours.get(7)
