"""The feeds in the admin: messages, what waits for a decision, what was refused."""

from hl7ingest.admin import figures, held, messages, refusals

__all__ = ["figures", "held", "messages", "refusals"]
