"""Whether a report is one that can be checked at all: in English, and of the brain; and what of it is left out.

What is not understood is said and not compared: a denial in another language would else be read as a statement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from indexer.body_parts import other_part
from indexer.cases import Report
from indexer.language import is_foreign, is_foreign_sentence

_SHOWN = 80  # characters of a sentence that is skipped


@dataclass(frozen=True, slots=True)
class Scope:
    """The `report` without the sentences that are not understood, and notices that say so.

    `outside` says why nothing of it is to be compared.
    """

    report: Report
    notices: tuple[str, ...] = ()
    outside: Literal["language", "body_part"] | None = None


def scope_of(report: Report) -> Scope:
    """What of a report can be compared with a brain scan, or with itself."""
    if is_foreign(report.text):
        told = (
            "The report does not seem to be in English: nothing was compared. Only English reports are understood here."
        )
        return Scope(report, (told,), "language")
    part = other_part(report)
    if part is not None:
        told = f"The report seems to be of {part}, not of the brain: nothing was compared."
        return Scope(report, (told,), "body_part")
    foreign = [one for one in report.sentences if is_foreign_sentence(one.text)]
    if not foreign:
        return Scope(report)
    numbers = {one.number for one in foreign}
    kept = tuple(one for one in report.sentences if one.number not in numbers)
    quoted = ", ".join(f"\u201c{one.text[:_SHOWN]}\u201d" for one in foreign[:3]) + (
        ", \u2026" if len(foreign) > 3 else ""
    )
    told = f"Skipped and not compared, since it does not seem to be in English: {quoted}."
    return Scope(replace(report, sentences=kept), (told,))
