"""A report against itself: what findings and impression do not agree on, presence, side, or being normal at all.

No scan is needed. A denial that is narrower than the finding ("no new infarct", "no left-sided haematoma") denies
nothing that another section may state, and a finding that is named on both sides has no side to change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from indexer.case_words import tokens_of
from indexer.cases import Assertion, Report, Section, Sentence
from indexer.finding_words import INCIDENTAL, named_findings
from search_api.asks import Asks
from search_api.query import QueryError, understand
from search_api.scan_answers import Contradiction

SIDES = {"left": "left", "lt": "left", "right": "right", "rt": "right"}
BOTH = frozenset({"bilateral", "bilaterally", "both", "either", "midline"})
_SITE = re.compile(
    r"\b(left|right)\s+((?:[a-z]+\s+){0,2}(?:lobe|hemisphere|wing|convexity|ganglia|thalamus|capsule|radiata|angle|"
    r"territory|insula|cerebellum|peduncle|gyrus|hippocampus|fossa|ventricle|pole|tentorium|sinus))\b"
)
_NOTHING = re.compile(r"no (?:(?:intracranial|brain|cerebral) )?abnormality\b", re.IGNORECASE)
_STATING = frozenset({Assertion.PRESENT, Assertion.UNCERTAIN})
# A lacune speaks of small vessels and is not all of the disease: who denies the one may state the other.
_SHARED_WORD = {"small_vessel_disease": "lacunar_infarct"}
# What narrows a denial down to less than the finding.
# fmt: off
NARROWING = frozenset({
    "new", "newer", "other", "another", "further", "additional", "acute", "subacute", "hyperacute", "chronic",
    "old", "older", "recent", "remote", "active", "significant", "large", "larger", "big", "major", "sizeable",
    "gross", "definite", "obvious", "clear", "convincing", "frank", "overt", "residual", "recurrent", "recurrence",
    "enhancing", "enhancement", "progressive", "increased", "increasing", "interval", "change", "changed",
    "evolving", "established", "territorial", "cortical", "lacunar", "focal", "discrete", "separate", "second",
    "associated", "underlying", "restricted", "supratentorial", "infratentorial", "intraventricular",
    "subarachnoid", "intraparenchymal", "parenchymal", "tonsillar", "uncal",
})
# fmt: on


def contradictions(report: Report) -> tuple[Contradiction, ...]:
    """What the findings and the impression of a report do not agree on."""
    sections = [_by_finding(report.sentences, section) for section in (Section.FINDINGS, Section.IMPRESSION)]
    found = []
    for finding in dict.fromkeys(name for section in sections for name in section):
        described, concluded = (section.get(finding, ()) for section in sections)
        if described and concluded:
            found += _presence(finding, described, concluded) or _side(finding, described, concluded)
    found += _called_normal(report, sections[0])
    if not any(one.kind == "side" for one in found):
        found += _site(report)
    return tuple(found)


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


def sides_of(texts: Iterable[str]) -> frozenset[str]:
    """The sides that texts name; both where they speak of both.

    >>> sorted(sides_of(["Left frontal mass.", "The right side is normal."]))
    ['left', 'right']
    """
    words = {word for text in texts for word in tokens_of(text)}
    return frozenset(SIDES.values()) if words & BOTH else frozenset(SIDES[word] for word in words if word in SIDES)


def _by_finding(sentences: Sequence[Sentence], section: Section) -> dict[str, tuple[Sentence, ...]]:
    found: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        if sentence.section is section:
            named = named_findings(sentence)
            for name in named:
                if _SHARED_WORD.get(name) in named:
                    continue
                found.setdefault(name, []).append(sentence)
    return {name: tuple(named) for name, named in found.items()}


def _presence(finding: str, described: Sequence[Sentence], concluded: Sequence[Sentence]) -> list[Contradiction]:
    for stating, denying in ((described, concluded), (concluded, described)):
        stated = [one for one in stating if one.assertion is Assertion.PRESENT]
        if stated and all(_denies(one, finding) for one in denying):
            first, second = (stated[0], denying[0]) if stating is described else (denying[0], stated[0])
            return [_contradiction("presence", finding, first, second, "One section states it, the other denies it.")]
    return []


def _denies(sentence: Sentence, finding: str) -> bool:
    narrowed = NARROWING - set(finding.split("_"))
    words = set(tokens_of(sentence.text))
    return sentence.assertion is Assertion.ABSENT and not words & narrowed and not sides_of([sentence.text])


def _side(finding: str, described: Sequence[Sentence], concluded: Sequence[Sentence]) -> list[Contradiction]:
    stated = [[one for one in part if one.assertion in _STATING] for part in (described, concluded)]
    before, after = (sides_of(one.text for one in part) for part in stated)
    if len(before) != 1 or len(after) != 1 or before == after:
        return []
    first, second = (
        next(one for one in part if sides_of([one.text]) == side)
        for part, side in zip(stated, (before, after), strict=True)
    )
    message = f"The findings say {next(iter(before))}, the impression says {next(iter(after))}."
    return [_contradiction("side", finding, first, second, message)]


def _called_normal(report: Report, described: Mapping[str, Sequence[Sentence]]) -> list[Contradiction]:
    """Findings that state something, under an impression that calls the examination normal and states nothing."""
    concluded = [one for one in report.sentences if one.section is Section.IMPRESSION]
    stated = [
        (name, one)
        for name, sentences in described.items()
        for one in sentences
        if one.assertion is Assertion.PRESENT and name not in INCIDENTAL
    ]
    normal = next((one for one in concluded if says_normal(one) and not NARROWING & set(tokens_of(one.text))), None)
    if not stated or normal is None or any(one.assertion in _STATING and named_findings(one) for one in concluded):
        return []
    finding, first = stated[0]
    return [_contradiction("presence", finding, first, normal, "The findings state it, the impression is normal.")]


def _site(report: Report) -> list[Contradiction]:
    """A part of the brain that the findings have on one side only and the impression on the other only."""
    parts = [_sites(report.sentences, section) for section in (Section.FINDINGS, Section.IMPRESSION)]
    for site in parts[0]:
        before, after = (part.get(site, {}) for part in parts)
        if len(before) == 1 and len(after) == 1 and before.keys() != after.keys():
            first, second = next(iter(before.values())), next(iter(after.values()))
            message = f"The findings say {next(iter(before))} {site}, the impression says {next(iter(after))} {site}."
            return [_contradiction("side", site, first, second, message)]
    return []


def _sites(sentences: Sequence[Sentence], section: Section) -> dict[str, dict[str, Sentence]]:
    """The named parts of the brain, each with the sides that stating sentences have it on."""
    found: dict[str, dict[str, Sentence]] = {}
    for sentence in sentences:
        if sentence.section is section and sentence.assertion in _STATING:
            for side, site in _SITE.findall(sentence.text.lower()):
                found.setdefault(" ".join(site.split()), {}).setdefault(side, sentence)
    return found


def _contradiction(kind: str, finding: str, first: Sentence, second: Sentence, message: str) -> Contradiction:
    return Contradiction(
        kind="side" if kind == "side" else "presence",
        finding=finding,
        title=finding.replace("_", " "),
        first=first.text,
        second=second.text,
        message=f"Flagged for review. {message}",
    )
