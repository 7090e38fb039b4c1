"""Log lines of a server: one JSON document each on standard error, with request ids and never a name, query or path.

Our own lines are constant texts with fields from a fixed list. Of other libraries' lines only the place that wrote
them is kept, of an exception only its type and its places, since their texts may hold anything.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import PurePath

_OURS = ("search_api", "indexer", "encoders", "web")
# What a line of ours may carry beside its text.
_FIELDS = (
    "request_id",
    "method",
    "route",
    "status",
    "milliseconds",
    "principal",
    "generation",
    "code",
    "error",
    "places",
)
_SHOWN_PLACES = 3


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, object] = {"time": moment, "level": record.levelname.lower()}
        if record.name.partition(".")[0] in _OURS:
            line["event"] = record.getMessage()
            line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        else:
            place = f"{PurePath(record.pathname).name}:{record.lineno}"
            line |= {"event": "library", "logger": record.name, "places": place}
        if record.exc_info and isinstance(record.exc_info[1], BaseException):
            line |= {"error": type(record.exc_info[1]).__name__, "places": places(record.exc_info[1])}
        return json.dumps(line, default=str)


def set_up() -> None:
    """Have this process, which is a server's, write its log so; also what nobody caught."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    log = logging.getLogger(__name__)

    def uncaught(given: threading.ExceptHookArgs) -> None:
        error = given.exc_value or given.exc_type()
        log.error("uncaught in a thread", extra={"error": type(error).__name__, "places": places(error)})

    threading.excepthook = uncaught


def places(error: BaseException) -> str:
    """Where it happened, by file and line; neither message nor values, which may hold what was asked."""
    frames = traceback.extract_tb(error.__traceback__)[-_SHOWN_PLACES:]
    return " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
