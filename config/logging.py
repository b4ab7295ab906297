"""One line an event, ids only: no message text, no exception text."""

import logging
from traceback import extract_tb

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Time, level, logger, message, then `key=value` for each extra.

    An exception is told by its class and where it was raised: its text may hold what a sender
    sent (a database quotes the row it refused), so it is never written.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {record.getMessage()}"
        extras = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        line += "".join(f" {key}={value}" for key, value in extras.items() if key != "request")
        if record.exc_info and (error := record.exc_info[1]):
            line += f" raised={type(error).__module__}.{type(error).__qualname__}"
            frames = extract_tb(error.__traceback__)[-6:]
            line += " at=" + " < ".join(f"{f.filename}:{f.lineno}" for f in reversed(frames))
        return line.replace("\n", " ").replace("\r", " ")
