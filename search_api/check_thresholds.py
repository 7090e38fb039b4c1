"""The report check's own thresholds, what was measured there, and scores between them and those of screening.

The check flags few of the reports that are right, so that its thresholds are stricter than those that screening uses:
what it does not flag is not confirmed by that. Each figure here comes from the encoder's calibration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from encoders.findings import ABNORMAL, FindingScore
from indexer.cases import Assertion, Sentence
from search_api.scan_answers import CheckThreshold, LookAgain
from search_api.text_check import MASSES, says_normal


def own_thresholds(
    specific: Mapping[str, FindingScore], sensitive: Mapping[str, FindingScore], stated: Collection[str]
) -> tuple[CheckThreshold, ...]:
    """The thresholds for what a report denies or leaves out, and for the findings that it has `stated`."""
    denied = [_threshold(score, "denied") for score in specific.values()]
    claimed = [_threshold(score, "stated") for name, score in sensitive.items() if name in stated]
    return tuple(one for one in (*denied, *claimed) if one is not None)


def share_found(specific: Mapping[str, FindingScore]) -> tuple[float, float, float] | None:
    """How often a finding that is there reaches the check's threshold: mean of the findings, lowest, highest."""
    shares = [score.measured.sensitivity for name, score in specific.items() if score.measured and name != ABNORMAL]
    if not shares:
        return None
    return round(sum(shares) / len(shares), 4), min(shares), max(shares)


def look_again(
    screened: Sequence[FindingScore],
    specific: Mapping[str, FindingScore],
    named: Sequence[tuple[Sentence, str]],
    kinds: Collection[str],
    no_mass: Sentence | None = None,
) -> tuple[LookAgain, ...]:
    """Findings that are denied or left out, and whose score lies above screening's threshold only.

    `kinds` are the findings that are kinds of others: who mentions those need not say which. `no_mass` is a sentence
    that denies every mass.
    """
    found = []
    for score in screened:
        strict = specific.get(score.finding)
        limit = None if strict is None else strict.threshold
        if not score.flagged or score.threshold is None or (limit is not None and score.score >= limit):
            continue
        sentences = [sentence for sentence, name in named if name == score.finding]
        if not sentences and score.finding not in kinds and score.finding != ABNORMAL:
            denied = no_mass is not None and score.finding in MASSES
            found.append(_between(score, limit, no_mass.text if denied and no_mass else None))
        elif sentences and all(_denies(sentence) for sentence in sentences):
            found.append(_between(score, limit, sentences[0].text))
    return tuple(found)


def _denies(sentence: Sentence) -> bool:
    return sentence.assertion is Assertion.ABSENT or says_normal(sentence)


def _threshold(score: FindingScore, use: Literal["denied", "stated"]) -> CheckThreshold | None:
    if score.threshold is None:
        return None
    threshold = round(score.threshold, 4)
    return CheckThreshold(score.finding, score.title, use, threshold, score.operating_point, score.measured)


def _between(score: FindingScore, limit: float | None, text: str | None) -> LookAgain:
    does = "says nothing of it" if text is None else "denies it"
    above = "and below the check's" if limit is not None else "and the check has none for it"
    return LookAgain(
        finding=score.finding,
        title=score.title,
        kind="unmentioned" if text is None else "denied",
        score=round(score.score, 4),
        threshold=round(float(score.threshold or 0.0), 4),
        check_threshold=None if limit is None else round(limit, 4),
        message=f"Not flagged. The report {does}; the score is above the threshold of screening {above}.",
        measured=score.measured,
        text=text,
    )
