"""A report against itself: what findings and impression do not agree on: presence, side, severity, being normal at all.

No scan is needed, and few false alarms come before many finds: a denial that is narrower than the finding ("no new
infarct", "no left-sided haematoma") denies nothing that the other section may state; what is past, treated or elsewhere
in the body is not stated here; a finding that is named in several places has no side to change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from encoders.findings import Finding
from indexer.case_words import tokens_of
from indexer.cases import Assertion, Report, Section, Sentence
from indexer.finding_words import INCIDENTAL, named_findings
from search_api.asks import Asks
from search_api.query import QueryError, understand
from search_api.scan_answers import Contradiction
from search_api.sides import BOTH, parts_of, sides_of

_NOTHING = re.compile(r"no (?:(?:intracranial|brain|cerebral) )?abnormality\b", re.IGNORECASE)
_COMPARED = frozenset({Section.FINDINGS, Section.IMPRESSION})
_STATING = frozenset({Assertion.PRESENT, Assertion.UNCERTAIN})
# A lacune speaks of small vessels and is not all of the disease: who denies the one may state the other.
_SHARED_WORD = {"small_vessel_disease": "lacunar_infarct"}
# Findings whose names cover more than one thing: only what shares one of these words can contradict.
_ONE_THING = {"white_matter_lesions": ("demyelinat", "multiple sclerosis", "white matter lesion")}
# What comes with another finding and has no place of its own.
_ACCOMPANYING = frozenset({"mass_effect", "midline_shift", "oedema", "herniation"})
_PAST = re.compile(
    r"\b(?:treated|clipped|coiled|resected|resolved|previous|prior|removed|post[- ]operative|status post)\b"
)
_OUTSIDE = re.compile(
    r"\b(?:lung|liver|bones?|bony|calvari\w*|skull|spin\w+|neck|extracranial|cervical|breast|nod(?:e|al)s?|abdom\w+"
    r"|aort\w+)\b"
)
_SPARED = re.compile(r"\b(?:normal|preserved|unremarkable|spared|intact|clear)\b")
# Only the ends of the scale: who calls the same thing moderate and marked does not contradict himself.
_GRADES = (
    ("mild", re.compile(r"\b(?:mild|mildly|minimal|minimally|slight|slightly)\b")),
    ("severe", re.compile(r"\b(?:severe|severely|massive|massively|gross|grossly|marked|markedly)\b")),
)
_EXCEPTION = re.compile(r"(?:other than|except|apart from|aside from|besides|beyond)\b", re.IGNORECASE)
_MASS = re.compile(r"\b(?:mass(?:es)?(?! effect)|tumou?rs?|neoplasms?)\b")
_NO_MASS = re.compile(
    r"\bno (?:evidence of )?(?:an? )?(?:intracranial )?(?:mass(?:es)?|tumou?rs?)(?: lesions?)?"
    r"(?=\s*(?:[.,;]|$|(?:or|and|is|are|seen|identified)\b))"
)
MASSES = frozenset({"glioma", "meningioma", "metastases", "lymphoma", "schwannoma", "pituitary_mass"})
# What narrows a denial down to less than the finding.
# fmt: off
NARROWING = frozenset({
    "new", "newer", "other", "another", "further", "additional", "acute", "subacute", "hyperacute", "chronic", "fresh",
    "old", "older", "recent", "remote", "active", "significant", "large", "larger", "big", "major", "sizeable",
    "gross", "definite", "obvious", "clear", "convincing", "frank", "overt", "residual", "recurrent", "recurrence",
    "enhancing", "enhancement", "progressive", "increased", "increasing", "interval", "change", "changed",
    "evolving", "established", "territorial", "cortical", "lacunar", "focal", "discrete", "separate", "second",
    "associated", "underlying", "restricted", "supratentorial", "infratentorial", "intraventricular", "abnormal",
    "subarachnoid", "intraparenchymal", "parenchymal", "tonsillar", "uncal", "transformation", "haemorrhagic",
    "hemorrhagic", "disproportionate", "proportion", "than", "excess", "lobar", "hippocampal", "mesial", "pathological",
})
# fmt: on


def contradictions(report: Report, catalogue: Sequence[Finding] = ()) -> tuple[Contradiction, ...]:
    """What the findings and the impression of a report do not agree on; titles are those of the catalogue."""
    kind_of = {finding.name: finding.kind_of for finding in catalogue}
    on_both = any(one.assertion in _STATING and sides_of([one.text]) == BOTH for one in report.sentences)
    sections = [_by_finding(report.sentences, section) for section in (Section.FINDINGS, Section.IMPRESSION)]
    excepted = _excepted(report.sentences)
    found: list[Contradiction] = []
    for finding in dict.fromkeys(name for section in sections for name in section):
        described, concluded = (section.get(finding, ()) for section in sections)
        if described and concluded:
            presence = _presence(finding, described, concluded, excepted)
            found += presence or ([] if on_both else _side(finding, described, concluded, kind_of))
            found += [] if presence else _severity(finding, described, concluded, kind_of)
    found += _no_mass(report) + _called_normal(report, sections[0])
    if not on_both and not any(one.kind == "side" for one in found):
        found += _part(report)
    titles = {finding.name: finding.title for finding in catalogue}
    once = {(one.first, one.second): one for one in reversed(found)}  # a kind and what it is a kind of are one
    return tuple(_titled(one, titles) for one in reversed(once.values()))


def comparable(report: Report) -> bool:
    """Whether findings and an impression were told apart, by their headings."""
    return {Section.FINDINGS, Section.IMPRESSION} <= {sentence.section for sentence in report.sentences}


def cross_checked(report: Report) -> frozenset[int]:
    """Numbers of the sentences that findings and impression were compared by; none where they were not told apart."""
    if not comparable(report):
        return frozenset()
    return frozenset(one.number for one in report.sentences if one.section in _COMPARED and _speaks(one))


def _speaks(sentence: Sentence) -> bool:
    text = sentence.text.lower()
    named = named_findings(sentence) or _MASS.search(text) or _NO_MASS.search(text) or parts_of(text)
    return bool(named) or says_normal(sentence)


def says_normal(sentence: Sentence) -> bool:
    """Whether the sentence calls the whole examination normal, as "Normal study" does."""
    if _NOTHING.match(sentence.text):
        return True
    try:
        query = understand(sentence.text[:2_000])
    except QueryError:
        return False
    return [concept.asks for concept in query.concepts] == [Asks.NORMAL] and (
        "asks for a normal examination" in query.expanded
    )


def _by_finding(sentences: Sequence[Sentence], section: Section) -> dict[str, tuple[Sentence, ...]]:
    found: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        if sentence.section is section:
            named = named_findings(sentence)
            for name in named:
                if _SHARED_WORD.get(name) not in named:
                    found.setdefault(name, []).append(sentence)
    return {name: tuple(named) for name, named in found.items()}


def _excepted(sentences: Sequence[Sentence]) -> frozenset[int]:
    """Numbers of the clauses after which an exception is made: "no meningioma", "other than the known one"."""
    return frozenset(
        before.number for before, after in pairwise(sentences) if _EXCEPTION.match(after.text.lstrip(" ,"))
    )


def _presence(
    finding: str, described: Sequence[Sentence], concluded: Sequence[Sentence], excepted: frozenset[int]
) -> list[Contradiction]:
    for stating, denying in ((described, concluded), (concluded, described)):
        stated = [one for one in stating if one.assertion is Assertion.PRESENT and _here_and_now(one)]
        if stated and all(_denies(one, finding) and one.number not in excepted for one in denying):
            if finding in _ONE_THING and not _share(_ONE_THING[finding], stated[0], denying[0]):
                continue
            first, second = (stated[0], denying[0]) if stating is described else (denying[0], stated[0])
            return [_contradiction("presence", finding, first, second, "One section states it, the other denies it.")]
    return []


def _here_and_now(sentence: Sentence) -> bool:
    text = sentence.text.lower()
    return not _PAST.search(text) and not _OUTSIDE.search(text)


def _denies(sentence: Sentence, finding: str) -> bool:
    narrowed = NARROWING - set(finding.split("_"))
    words = set(tokens_of(sentence.text))
    return sentence.assertion is Assertion.ABSENT and not words & narrowed and not sides_of([sentence.text])


def _share(words: Sequence[str], *sentences: Sentence) -> bool:
    return any(all(word in sentence.text.lower() for sentence in sentences) for word in words)


def _side(
    finding: str, described: Sequence[Sentence], concluded: Sequence[Sentence], kind_of: Mapping[str, str | None]
) -> list[Contradiction]:
    """A finding that every sentence of the findings has on one side and every one of the impression on the other."""
    if finding in _ACCOMPANYING:
        return []
    stated = [[one for one in part if one.assertion in _STATING] for part in (described, concluded)]
    sides = []
    for part in stated:
        named = [sides_of([one.text]) for one in part]
        if not named or any(len(one) != 1 for one in named) or len(set(named)) != 1:
            return []
        if any(_others(one, finding, kind_of) for one in part):
            return []
        sides.append(next(iter(named[0])))
    if sides[0] == sides[1]:
        return []
    message = f"The findings say {sides[0]}, the impression says {sides[1]}."
    return [_contradiction("side", finding, stated[0][0], stated[1][0], message)]


def _severity(
    finding: str, described: Sequence[Sentence], concluded: Sequence[Sentence], kind_of: Mapping[str, str | None]
) -> list[Contradiction]:
    """A finding that is mild wherever the one section states it, and severe wherever the other does."""
    family = _family(finding, kind_of)
    graded = []
    for part in (described, concluded):
        stated = [one for one in part if one.assertion is Assertion.PRESENT]
        grades = [{grade for grade, words in _GRADES if words.search(one.text.lower())} for one in stated]
        if (
            not stated
            or any(len(one) != 1 for one in grades)
            or any(set(named_findings(one)) - family for one in stated)
        ):
            return []
        graded.append((stated[0], set.union(*grades)))
    (first, before), (second, after) = graded
    if len(before) != 1 or len(after) != 1 or before == after:
        return []
    message = f"The findings say {min(before)}, the impression says {min(after)}."
    return [_contradiction("severity", finding, first, second, message)]


def _others(sentence: Sentence, finding: str, kind_of: Mapping[str, str | None]) -> bool:
    """Whether the sentence names another thing as well, whose side its words may be."""
    return bool(set(named_findings(sentence)) - _family(finding, kind_of) - _ACCOMPANYING)


def _family(finding: str, kind_of: Mapping[str, str | None]) -> set[str | None]:
    return {finding, kind_of.get(finding)} | {name for name, parent in kind_of.items() if parent == finding}


def _no_mass(report: Report) -> list[Contradiction]:
    """One section denies any mass, the other has one."""
    parts = [
        [one for one in report.sentences if one.section is section]
        for section in (Section.FINDINGS, Section.IMPRESSION)
    ]
    for number, (denying, stating) in enumerate((parts, parts[::-1])):
        denied = next((one for one in denying if _NO_MASS.search(one.text.lower())), None)
        stated = next((one for one in stating if _states_mass(one)), None)
        if denied is not None and stated is not None:
            first, second = (denied, stated) if number == 0 else (stated, denied)
            return [_contradiction("presence", "mass", first, second, "One section states it, the other denies it.")]
    return []


def denial_of_masses(report: Report) -> Sentence | None:
    """The first sentence that denies any mass."""
    said = (one for one in report.sentences if one.section in (*_COMPARED, Section.BODY))
    return next((one for one in said if _NO_MASS.search(one.text.lower())), None)


def _states_mass(sentence: Sentence) -> bool:
    if sentence.assertion is not Assertion.PRESENT or not _here_and_now(sentence):
        return False
    return bool(_MASS.search(sentence.text.lower()) or MASSES & set(named_findings(sentence)))


def _called_normal(report: Report, described: Mapping[str, Sequence[Sentence]]) -> list[Contradiction]:
    """Findings that state something, under an impression that calls the examination normal and states nothing."""
    concluded = [one for one in report.sentences if one.section is Section.IMPRESSION]
    if any(one.assertion in _STATING and named_findings(one) for one in concluded):
        return []
    stated = [
        (name, one)
        for name, sentences in described.items()
        for one in sentences
        if one.assertion is Assertion.PRESENT and name not in INCIDENTAL and _here_and_now(one)
    ]
    stated += [("mass", one) for one in report.sentences if one.section is Section.FINDINGS and _states_mass(one)]
    for sentence in concluded:
        if not says_normal(sentence):
            continue
        narrowed = NARROWING & set(tokens_of(sentence.text))
        against = [pair for pair in stated if not narrowed or narrowed <= set(tokens_of(pair[1].text)) & {"acute"}]
        if against:
            finding, first = against[0]
            told = "The findings state it, the impression is normal."
            return [_contradiction("presence", finding, first, sentence, told)]
    return []


def _part(report: Report) -> list[Contradiction]:
    """A part of the brain that is all that the findings place on one side, and the impression on the other."""
    parts = [_parts(report.sentences, section) for section in (Section.FINDINGS, Section.IMPRESSION)]
    sides = [frozenset(side for side, _ in part) for part in parts]
    if any(len(one) != 1 for one in sides) or sides[0] == sides[1]:
        return []
    (before,), (after,) = sides
    for (_, name), first in parts[0].items():
        second = parts[1].get((after, name))
        if second is not None:
            message = f"The findings say {before} {name}, the impression says {after} {name}."
            return [_contradiction("side", name, first, second, message)]
    return []


def _parts(sentences: Sequence[Sentence], section: Section) -> dict[tuple[str, str], Sentence]:
    found: dict[tuple[str, str], Sentence] = {}
    for sentence in sentences:
        if sentence.section is section and sentence.assertion in _STATING:
            if _SPARED.search(sentence.text.lower()):
                continue
            for pair in sorted(parts_of(sentence.text)):
                found.setdefault(pair, sentence)
    return found


def _contradiction(
    kind: Literal["presence", "side", "severity"], finding: str, first: Sentence, second: Sentence, message: str
) -> Contradiction:
    return Contradiction(
        kind=kind,
        finding=finding,
        title=finding.replace("_", " "),
        first=first.text,
        second=second.text,
        message=f"Flagged for review. {message}",
    )


def _titled(found: Contradiction, titles: Mapping[str, str]) -> Contradiction:
    return replace(found, title=titles.get(found.finding, found.title))
