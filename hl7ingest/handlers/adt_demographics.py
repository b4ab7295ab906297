"""ADT A28 and A31: who the patient is. Source: hl7-api, demographics."""

from hl7ingest.handlers.header import sent_at
from hl7ingest.handlers.pid import patient_details
from hl7ingest.hl7v2 import Hl7Error, Message
from hl7ingest.hl7v2.errors import Condition
from records.changes import UpdatePatient

# Never half applied: a message that bears one of these is refused whole until it is supported
_UNSUPPORTED = {
    "AL1": "allergies",
    "DG1": "diagnoses",
    "ZRX": "medications",
    "ZTM": "team membership",
}


def update_patient(message: Message) -> UpdatePatient:
    """A28, A31: processed identically."""
    for segment in message.segments:
        if segment.name in _UNSUPPORTED:
            raise Hl7Error(
                f"{segment.name} ({_UNSUPPORTED[segment.name]}) is not supported yet. "
                "Nothing of this message was applied",
                code="unsupported-segment",
                at=segment.at(0, None),
                condition=Condition.SEGMENT_SEQUENCE,
                hint=f"Send the demographics without {segment.name}",
                prefixed=True,
            )
    patient = patient_details(message)
    pid = message.find("PID")
    for field, component, value, name in (
        (5, 1, patient.family_name, "surname"),
        (5, 2, patient.given_name, "given name"),
    ):
        if value == "":
            raise pid.wrong(field, component, name, 'must not be cleared with ""')
    return UpdatePatient(patient=patient, sent_at=sent_at(message))
