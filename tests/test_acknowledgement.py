"""The answer: what was published, where the fault is, and nobody's data anywhere else."""

import logging
from dataclasses import replace
from typing import Any

import pytest
import time_machine

from config.logging import LineFormatter
from hl7ingest import review
from hl7ingest.handlers import HANDLERS
from hl7ingest.hl7v2 import Hl7Error, Message, parse
from hl7ingest.models import HeldMessage, InboundMessage, Outcome, Refusal
from pkb.models import AuditEvent, User
from records import apply as writers
from records.changes import PutAppointment
from records.models import Appointment, Patient
from tests.conftest import Sender
from tests.messages import NHS, a28, mdm, msh, pid, siu, told, verdict

CANARIES = {
    "family name": "Quetzalcoatl",
    "given name": "Xanthippe",
    "number": "9990000018",
    "date of birth": "19310317",
    "date of birth as Python writes it": "1931, 3, 17",
    "date of birth as ISO writes it": "1931-03-17",
    "e-mail": "xanthippe.q@example.com",
    "street": "Vesuvius Avenue",
    "note": "haemochromatosis",
}
PERSON = {
    "name": "Quetzalcoatl^Xanthippe",
    "born": "19310317",
    "rest": "|F|||7 Vesuvius Avenue^^Town^^NE1 1XC||xanthippe.q@example.com^NET",
}


def segments(ack: str) -> list[str]:
    """Return the segments of an acknowledgement; each ends with CR."""
    assert ack.endswith("\r")
    return ack[:-1].split("\r")


# What was published


@pytest.mark.spec("hl7-api", "acknowledgement")
def test_an_acceptance_is_what_the_published_page_shows(mailco: Sender) -> None:
    with time_machine.travel("2019-02-01T10:25:00+00:00", tick=False):
        ack = mailco.send(a28(control_id="messageID", sent="20190201102500+0000"))
    assert segments(ack) == [
        "MSH|^~\\&|HL7API|PKB|App|trustalias{trustalias}|20190201102500+0000||ACK^A28|PKB-20190201102500+0000|P|2.4",
        "MSA|AA|messageID",
    ]


@pytest.mark.spec("hl7-api", "acknowledgement")
def test_a_rejection_is_what_the_published_page_shows_and_says_where(mailco: Sender) -> None:
    with time_machine.travel("2019-02-01T11:25:00+00:00", tick=False):
        ack = mailco.send(siu(placer="", control_id="messageID"))
    text = "Parsing or validation error: SCH-1.1 (placer ID) must be provided. You provided []"
    header, msa, err = segments(ack)
    assert header.endswith("|20190201112500+0000||ACK^S12|PKB-20190201112500+0000|P|2.4")
    assert msa == f"MSA|AR|messageID|{text}"
    assert err == (
        "ERR|SCH^1^1^101&Required field missing&HL70357|SCH^1^1^1^1|"
        "101^Required field missing^HL70357|E|||required-field-missing|"
        "SCH-1.1 (placer ID) must be provided."
    )


@pytest.mark.spec("hl7-api", "acknowledgement")
@pytest.mark.parametrize(
    "control_id",
    [
        "ABC0000000001",
        "f691896e-977f-4f06-91ee-625155ca71f8",
        " padded ",
        "a^b&c~d",
        "A\\T\\B",
        "Ü-7",
        "x" * 199,
        "0",
        '""x',
    ],
)
@pytest.mark.parametrize("body", [pid(), ""])
def test_the_control_id_comes_back_as_it_was_sent(
    mailco: Sender, control_id: str, body: str
) -> None:
    ack = mailco.send(msh("ADT^A28", control_id=control_id) + body)
    assert segments(ack)[1].split("|")[:3] == ["MSA", "AR" if not body else "AA", control_id]


@pytest.mark.spec("hl7-api", "acknowledgement")
def test_application_and_facility_come_back_as_they_were_sent(pas: Sender) -> None:
    message = a28(facility="Ward&1^x~y").replace("|App|", "|A\\F\\B^C|")
    header = segments(pas.send(message))[0].split("|")
    assert header[2:6] == ["HL7API", "PKB", "A\\F\\B^C", "Ward&1^x~y"]


@pytest.mark.spec("hl7-api", "acknowledgement")
def test_the_answer_is_in_the_senders_delimiters(mailco: Sender) -> None:
    table = str.maketrans("|^~\\&", "$%*!@")
    ack = mailco.send(siu(placer="", control_id="7").translate(table))
    assert ack.startswith("MSH$%*!@$HL7API$PKB$App$trustalias{trustalias}$")
    assert "$ACK%S12$PKB-" in ack
    assert "\rMSA$AR$7$Parsing or validation error: SCH-1.1 (placer ID)" in ack
    assert "\rERR$SCH%1%1%101@Required field missing@HL70357$SCH%1%1%1%1$" in ack
    assert told(ack).endswith("You provided []")


@pytest.mark.spec("hl7-api", "acknowledgement")
def test_delimiters_in_an_error_text_are_escaped(mailco: Sender) -> None:
    mailco.send(a28())
    ack = mailco.send(siu(sch="||||||||||^^^a\\F\\b\\S\\c\\E\\d\\R\\e\\T\\f"))
    assert "You provided [a\\F\\b\\S\\c\\E\\d\\R\\e\\T\\f]" in segments(ack)[1]
    assert told(ack).endswith("You provided [a|b^c\\d~e&f]")


@pytest.mark.spec("hl7-api", "acknowledgement")
def test_an_error_text_stays_on_one_line_and_short(mailco: Sender) -> None:
    ack = mailco.send(a28(born="x\\.br\\y\\X0D0A\\MSA|AA|z"))
    assert len(segments(ack)) == 3
    ack = mailco.send(a28(born="9" * 5000))
    assert len(told(ack)) < 300


@pytest.mark.spec("hl7-api", "acknowledgement: error texts")
@pytest.mark.parametrize(
    ("message", "text"),
    [
        (a28(sent=""), "MSH-7.1 (message timestamp) must be provided. You provided []"),
        (a28(control_id=""), "MSH-10.1 (message control ID) must be provided. You provided []"),
        (
            a28().replace("|P|2.4", "||2.4"),
            "MSH-11.1 (processing ID) must be provided. You provided []",
        ),
        (a28(kind="ADT^A40"), "Unknown messageType received from HL7"),
        (
            a28(identifiers=""),
            "Lookup single patient must be provided with at least one identifier",
        ),
        (a28(name="^John"), "Cannot create patient missing these fields: surname"),
        (a28(name="Smith"), "Cannot create patient missing these fields: givenName"),
        (siu(), "No patient found for PID segment"),
        (a28(rest="|X"), "Invalid gender. Expected U, M, F or I"),
        (
            siu(placer=""),
            "Parsing or validation error: SCH-1.1 (placer ID) must be provided. You provided []",
        ),
    ],
)
def test_the_published_texts(mailco: Sender, message: str, text: str) -> None:
    ack = mailco.send(message)
    assert (verdict(ack), told(ack)) == ("AR", text)


@pytest.mark.spec("hl7-api", "acknowledgement: error texts")
def test_the_published_texts_about_records(mailco: Sender) -> None:
    other = "9990000026^^^NHS^NH"
    mailco.send(a28(rest="|M|||||example@pkbtest.com^NET"))
    mailco.send(a28(control_id="2", identifiers=other))
    both = siu(identifiers=f"{NHS}^^^NHS^NH~{other}")
    assert told(mailco.send(both)) == "Ambiguous patient IDs provided"
    taken = a28(control_id="3", identifiers=other, rest="|M|||||example@pkbtest.com^NET")
    assert told(mailco.send(taken)) == (
        "Patient email address [example@pkbtest.com] already active in PKB"
    )


@pytest.mark.spec("decisions", "ERR segments")
@pytest.mark.parametrize(
    ("message", "err_1", "err_2", "err_3", "code"),
    [
        (
            a28(control_id=""),
            "MSH^1^10^101&Required field missing&HL70357",
            "MSH^1^10^1^1",
            "101",
            "required-field-missing",
        ),
        (
            a28(kind="ADT^A40"),
            "MSH^1^9^200&Unsupported message type&HL70357",
            "MSH^1^9^1^1",
            "200",
            "unknown-message-type",
        ),
        (
            a28(rest="|X"),
            "PID^1^8^103&Table value not found&HL70357",
            "PID^1^8^1^1",
            "103",
            "invalid-gender",
        ),
        (
            a28(born="x"),
            "PID^1^7^102&Data type error&HL70357",
            "PID^1^7^1^1",
            "102",
            "invalid-value",
        ),
        (
            a28(name="Smith"),
            "PID^1^5^101&Required field missing&HL70357",
            "PID^1^5^1^2",
            "101",
            "cannot-create-patient",
        ),
        (siu(), "PID^1^3^204&Unknown key identifier&HL70357", "PID^1^3^1", "204", "no-patient"),
        (
            msh("ADT^A28"),
            "PID^1^^100&Segment sequence error&HL70357",
            "PID^1",
            "100",
            "required-segment-missing",
        ),
        (
            a28(facility="x{y}"),
            "MSH^1^4^204&Unknown key identifier&HL70357",
            "MSH^1^4^1^1",
            "204",
            "not-authorised",
        ),
        (
            a28() + "AL1|1\rAL1|2\r",
            "AL1^1^^100&Segment sequence error&HL70357",
            "AL1^1",
            "100",
            "unsupported-segment",
        ),
    ],
)
def test_an_error_is_located_and_coded(
    mailco: Sender, message: str, err_1: str, err_2: str, err_3: str, code: str
) -> None:
    err = segments(mailco.send(message))[2].split("|")
    assert err[1] == err_1
    assert err[2] == err_2
    assert err[3].split("^")[0] == err_3
    assert err[3].endswith("^HL70357")
    assert err[4:7] == ["E", "", ""]
    assert err[7] == code
    assert err[8]


@pytest.mark.spec("decisions", "ERR segments")
def test_a_code_is_a_word_that_stays(mailco: Sender) -> None:
    mailco.send(siu())
    refusal = Refusal.objects.get()
    assert (refusal.answer, refusal.code, refusal.location) == ("AR", "no-patient", "PID-3")
    assert (refusal.control_id, refusal.type, refusal.rule) == ("siu-1", "SIU^S12", "")
    assert refusal.credential == mailco.credential


@pytest.mark.spec("hl7-api", "acknowledgement: semantics")
def test_an_acceptance_does_not_mean_visible(mailco: Sender) -> None:
    mailco.send(a28())
    assert verdict(mailco.send(siu(born="19991231"))) == "AA"
    assert not Appointment.objects.exists()


# Our own fault


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of S12 that fails with the message in its words."""

    def fail(message: Message) -> Any:
        raise RuntimeError("\n".join(segment.line for segment in message.segments))

    monkeypatch.setitem(
        HANDLERS,
        "SIU^S12",
        replace(HANDLERS["SIU^S12"], understand=fail),
    )


@pytest.mark.spec("hl7-api", "acknowledgement: AE")
def test_our_own_fault_is_ae_with_an_id_that_stands_in_the_log(
    mailco: Sender, broken: None, caplog: pytest.LogCaptureFixture
) -> None:
    ack = mailco.send(siu())
    assert verdict(ack) == "AE"
    error_id = told(ack).removeprefix("Unexpected error while processing: ")
    assert len(error_id) == 32
    assert Refusal.objects.get().error_id == error_id
    assert Refusal.objects.get().answer == "AE"
    assert error_id in written(caplog.records)
    assert segments(ack)[2].startswith("ERR||")
    assert "|207^Application internal error^HL70357|E|||internal-error|" in ack
    assert not InboundMessage.objects.exists()


# Nobody's data


def written(records: list[logging.LogRecord]) -> str:
    """Return the lines as the installation writes them, and all that a record holds but a raised one."""
    lines = [LineFormatter().format(record) for record in records]
    held = [
        {
            name: value
            for name, value in vars(record).items()
            if name not in {"exc_info", "exc_text"}
        }
        for record in records
    ]
    return "\n".join(lines) + str(held)


def canaries_in(text: str) -> set[str]:
    """Return which of the patient's data stand in `text`."""
    return {name for name, value in CANARIES.items() if value in text}


def everything_but_messages_and_records() -> str:
    """Return all that is kept about messages outside their bodies and the records."""
    unapplied = Outcome.objects.exclude(state="applied")
    tables = (Refusal.objects, AuditEvent.objects, HeldMessage.objects, InboundMessage.objects)
    return str([*(list(table.values()) for table in tables), list(unapplied.values())])


REFUSED: dict[str, str] = {
    "no patient": siu(**PERSON),
    "bad number": a28(identifiers="9990000019^^^NHS^NH~Quetzalcoatl^^^XYZ^QQ", **PERSON),
    "bad date": a28(**(PERSON | {"born": "19310317x"})),
    "bad sex": a28(**(PERSON | {"rest": "|Xanthippe"})),
    "bad e-mail": a28(**(PERSON | {"rest": "|F|||||xanthippe.q@example.com@^NET"})),
    "unknown type": a28(kind="Quetzalcoatl^Xanthippe", **PERSON),
    "too long": a28(**(PERSON | {"name": "Quetzalcoatl" * 30 + "^Xanthippe"})),
    "half a time": siu(sch="||||||^haemochromatosis||||^^^1931031", **PERSON),
    "not authorised": a28(facility="Quetzalcoatl{Xanthippe}", **PERSON),
    "no braces": a28(facility="Quetzalcoatl", **PERSON),
    "second header": a28(**PERSON) + a28(**PERSON),
    "no segment": a28(**PERSON) + "Quetzalcoatl Xanthippe\r",
    "no header": pid(**PERSON),
    "clinical": a28(**PERSON) + "DG1|1||x^haemochromatosis\r",
    "bad base64": mdm(obx="OBX|1|ED|||^TEXT^HTML^Base64^haemochromatosis!\r", **PERSON),
}


@pytest.mark.spec("decisions", "logs hold ids")
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_message_leaves_no_trace_of_the_patient(
    mailco: Sender, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    answered = mailco.answer(REFUSED[name])
    assert answered.ack.verdict == "AR"
    assert Refusal.objects.count() == 1
    assert canaries_in(everything_but_messages_and_records()) == set()
    assert canaries_in(written(without_database(caplog.records))) == set()


@pytest.mark.spec("decisions", "logs hold ids")
def test_undecodable_bytes_leave_no_trace(mailco: Sender, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    mailco.send(a28(**PERSON).encode() + b"NTE|||\xff\r")
    assert canaries_in(everything_but_messages_and_records()) == set()
    assert canaries_in(written(without_database(caplog.records))) == set()


@pytest.mark.spec("decisions", "logs hold ids")
def test_our_own_fault_leaves_no_trace_of_the_patient(
    mailco: Sender, broken: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ack = mailco.send(siu(more="NTE|||haemochromatosis\r", **PERSON))
    assert verdict(ack) == "AE"
    assert canaries_in(ack) == set()
    assert canaries_in(everything_but_messages_and_records()) == set()
    assert canaries_in(written(without_database(caplog.records))) == set()


@pytest.mark.spec("decisions", "logs hold ids")
def test_a_failed_message_leaves_no_trace_of_the_patient(
    mailco: Sender, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(change: PutAppointment, *_: Any) -> None:
        raise ValueError(repr(change))

    caplog.set_level(logging.DEBUG)
    mailco.send(a28(**PERSON))
    monkeypatch.setitem(writers._WRITERS, PutAppointment, fail)
    mailco.send(siu(more="NTE|||haemochromatosis\r", **PERSON))
    assert Outcome.objects.get(message__control_id="siu-1").state == "failed"
    assert canaries_in(everything_but_messages_and_records()) == set()
    assert canaries_in(written(without_database(caplog.records))) == set()


@pytest.mark.spec("decisions", "logs hold ids")
@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_a_held_message_leaves_no_trace_of_the_patient(
    mailco: Sender,
    caplog: pytest.LogCaptureFixture,
    royal_admin: User,
    decide: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    mailco.send(a28(**(PERSON | {"born": "19310318"})))
    mailco.send(siu(more="NTE|||haemochromatosis\r", **PERSON))
    waiting = HeldMessage.objects.get()
    getattr(review, decide)(held=waiting, by=royal_admin, why="checked")
    review.read_raw(message=waiting.message, by=royal_admin)
    assert AuditEvent.objects.count() == 2
    assert canaries_in(everything_but_messages_and_records()) == set()
    assert canaries_in(written(without_database(caplog.records))) == set()


def without_database(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """Leave out what the database driver says at the level of debugging."""
    return [record for record in records if not record.name.startswith(("django.db", "factory"))]


@pytest.mark.spec("decisions", "logs hold ids")
@pytest.mark.parametrize("name", REFUSED)
def test_the_words_of_an_error_hold_no_data(
    mailco: Sender, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Hl7Error] = []
    whole = Hl7Error.__init__

    def remember(self: Hl7Error, *args: Any, **kwargs: Any) -> None:
        whole(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(Hl7Error, "__init__", remember)
    mailco.send(REFUSED[name])
    assert made
    for error in made:
        assert canaries_in(f"{error} {error!r} {error.args}") == set()


@pytest.mark.spec("decisions", "logs hold ids")
def test_what_the_message_is_turned_into_shows_no_content_when_printed(mailco: Sender) -> None:
    mailco.send(a28(**PERSON))
    printed = " ".join(str(row) for row in (Patient.objects.get(), InboundMessage.objects.get()))
    message = parse(siu(**PERSON))
    assert canaries_in(printed + repr(message.segments)) == set()


@pytest.mark.spec("decisions", "ERR segments")
def test_every_refusal_says_how_to_mend_it(mailco: Sender) -> None:
    for message in REFUSED.values():
        err = parse(mailco.send(message)).find("ERR")
        assert err.get(7)
        assert err.get(8)


@pytest.mark.spec("hl7-api", "acknowledgement")
@pytest.mark.parametrize("message", [*REFUSED.values(), a28()])
def test_every_answer_can_be_read_as_hl7(mailco: Sender, message: str) -> None:
    ack = parse(mailco.send(message))
    names = [segment.name for segment in ack.segments]
    assert names in (["MSH", "MSA"], ["MSH", "MSA", "ERR"])
    assert ack.msh.get(3) == "HL7API"
    assert ack.find("MSA").get(1) in {"AA", "AR"}
