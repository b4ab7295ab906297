"""The aggregated record: one per patient, made of data points from many Customers."""

from records.models.appointments import Appointment
from records.models.data_points import DataPoint, Source
from records.models.documents import Document
from records.models.identifiers import IdentifierType, PatientIdentifier
from records.models.patient import Patient, PatientEmail, PatientTeam

__all__ = [
    "Appointment",
    "DataPoint",
    "Document",
    "IdentifierType",
    "Patient",
    "PatientEmail",
    "PatientIdentifier",
    "PatientTeam",
    "Source",
]
