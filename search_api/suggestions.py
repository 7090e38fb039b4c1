"""Suggested findings for an unreported scan: what is flagged, where it shows, and the reported cases that speak for it.

Each is phrased as a draft sentence. It names a side only where the masks of the series that show the finding agree on
one, and never a size: the masks of the networks are too coarse to be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from encoders.bundle import Bundle, Encoder
from encoders.explain import explain_finding, mask_classes_of, side_of
from encoders.findings import ABNORMAL, Finding, FindingScore
from encoders.preprocess import NetworkInput
from encoders.vision import VENTRICLES, VisionOutput
from encoders.volume import Volume
from search_api.folding import Folding
from search_api.heat import hottest, shown_by
from search_api.hits import person_of_case
from search_api.precedents import Precedents
from search_api.retrieval import Shelves
from search_api.scan_answers import Place, Suggestion, Suggestions
from search_api.scoring import MOST_SERIES, EncodedScans, alone_or_with, encode_scans, only_brain
from search_api.slices import read_stored

MOST = 5
SAME_PLACE_MM = 30.0  # the peaks of a large lesion lie apart from series to series


@dataclass(frozen=True, slots=True)
class _Shown:
    """The series, by its place among the uploaded ones, in which a finding shows best, and its side over all."""

    number: int | None
    side: Literal["left", "right"] | None


@dataclass(slots=True)
class _Group:
    """A finding to suggest, whether it is a lesion that has a place, and the others that show in the same one."""

    finding: Finding
    score: FindingScore
    shown: _Shown
    place: Place | None
    lesion: bool
    alternatives: list[str]


def for_scans(shelves: Shelves, folding: Folding, encoder: Encoder, volumes: Sequence[Volume]) -> Suggestions:
    """Suggestions for uploaded series; raises QueryError and EncodingError as `score`."""
    scans = only_brain(encode_scans(encoder, volumes))
    return suggest(encoder, volumes, scans, Precedents.of(shelves, folding, scans.series))


def for_case(shelves: Shelves, folding: Folding, encoder: Encoder, key: str) -> Suggestions:
    """Suggestions for a stored case by the series that the encoder has a network for.

    Raises
    ------
    CaseMissing
        no case with that key
    SourceMissing, VolumeError
        a file is gone or broken
    EncodingError
        `not_brain_mri`
    """
    identity = shelves.store.id_of(key)
    examination = shelves.store.examination(key)
    numbers = [one.number for one in examination.series if one.sequence in encoder.sequences][:MOST_SERIES]
    volumes = [read_stored(shelves.store, key, number) for number in numbers]
    scans = only_brain(encode_scans(encoder, volumes))
    precedents = Precedents.of(shelves, folding, scans.series, person_of_case(shelves, identity))
    suggested = suggest(encoder, volumes, scans, precedents, numbers)
    if examination.report is None:
        return suggested
    return replace(suggested, notices=(*suggested.notices, "This examination has a report already."))


def suggest(
    encoder: Encoder,
    volumes: Sequence[Volume],
    scans: EncodedScans,
    precedents: Precedents | None = None,
    numbers: Sequence[int] | None = None,
) -> Suggestions:
    """What to look for in `volumes`, encoded as `scans`; with `precedents`, cases for each.

    `numbers` are those by which the series are named in the answer, from 1 on where none are given.
    """
    known = {finding.name: finding for finding in encoder.findings}
    alone = _alone(encoder, scans)
    groups: list[_Group] = []
    places = _Places(encoder, volumes, numbers)
    for score in _flagged(scans.findings, known):
        finding = known[score.finding]
        shown = _where(finding, scans, alone)
        place = places.of(finding, shown)
        lesion = mask_classes_of(finding) != (VENTRICLES,)
        same = next((group for group in groups if lesion and group.lesion and _same(place, group.place)), None)
        if same is None:
            groups.append(_Group(finding, score, shown, place, lesion, []))
        else:
            same.alternatives.append(finding.title)
    suggestions = tuple(
        _suggestion(rank, group, scans, precedents) for rank, group in enumerate(groups[:MOST], start=1)
    )
    notices = list(scans.notices)
    if scans.unscored is not None:
        notices.append(f"Nothing is scored, and nothing can be suggested: {scans.unscored}.")
    elif all(score.threshold is None for score in scans.findings):
        notices.append(f"No finding has a threshold for {alone_or_with(scans.sequences)}: nothing can be suggested.")
    elif not groups:
        notices.append("No finding reaches its threshold: nothing is suggested, which does not make a scan normal.")
    return Suggestions(
        suggestions=suggestions,
        abnormal=scans.abnormal,
        findings=scans.findings,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=tuple(notices),
        not_calibrated=scans.not_calibrated,
        unscored=scans.unscored,
    )


def _flagged(scores: Sequence[FindingScore], known: dict[str, Finding]) -> list[FindingScore]:
    """The flagged findings, likeliest first; what a flagged one is a kind of is said by it already."""
    flagged = [score for score in scores if score.flagged and score.finding != ABNORMAL]
    said = {known[score.finding].kind_of for score in flagged}
    return sorted((one for one in flagged if one.finding not in said), key=lambda one: -one.score)


def _suggestion(rank: int, group: _Group, scans: EncodedScans, precedents: Precedents | None) -> Suggestion:
    name, shown = group.finding.name, group.shown
    sequence = None if shown.number is None else scans.scored[shown.number].sequence
    return Suggestion(
        rank=rank,
        finding=name,
        title=group.finding.title,
        sentence=_sentence(group.finding, shown.side, sequence, group.alternatives),
        score=group.score,
        sequence=sequence,
        place=group.place,
        alternatives=tuple(group.alternatives),
        similar=precedents.having(name) if precedents else (),
        look_alike=precedents.lacking(name, 1) if precedents else (),
    )


def _same(one: Place | None, other: Place | None) -> bool:
    """Whether two findings show most in the same place of the scan, where they are likely one lesion."""
    if one is None or other is None:
        return False
    return math.dist(one.millimetres, other.millimetres) <= SAME_PLACE_MM


def _alone(encoder: Encoder, scans: EncodedScans) -> list[dict[str, FindingScore]]:
    """The scores of each series by itself; none of one that findings are not scored by."""
    found: list[dict[str, FindingScore]] = []
    for number, encoding in enumerate(scans.encodings):
        sequence = scans.sequence_of(number)
        usable = sequence is not None and not encoding.unscorable
        scores = encoder.score_series(encoding.embedding[None], [sequence]) if usable and sequence is not None else ()
        found.append({one.finding: one for one in scores})
    return found


def _where(finding: Finding, scans: EncodedScans, alone: Sequence[dict[str, FindingScore]]) -> _Shown:
    best: tuple[float, int] | None = None
    sides = set()
    for number, (encoding, scores) in enumerate(zip(scans.encodings, alone, strict=True)):
        if encoding.unscorable:
            continue
        score = scores.get(finding.name)
        if score is not None and score.threshold is not None and (best is None or score.score > best[0]):
            best = (score.score, number)
        sides.add(side_of(finding, encoding.lesions))
    known_sides = sides - {None}
    return _Shown(best[1] if best else None, known_sides.pop() if len(known_sides) == 1 else None)


class _Places:
    """Tells where the masks show a finding most; each series is looked at once."""

    def __init__(self, encoder: Encoder, volumes: Sequence[Volume], numbers: Sequence[int] | None) -> None:
        self._encoder, self._volumes = encoder, volumes
        self._numbers = numbers or range(1, len(volumes) + 1)
        self._seen: dict[int, tuple[VisionOutput, NetworkInput]] = {}

    def of(self, finding: Finding, shown: _Shown) -> Place | None:
        """None for what has no mask, since occlusion would take too long for all."""
        number, encoder = shown.number, self._encoder
        if number is None or not mask_classes_of(finding) or not isinstance(encoder, Bundle):
            return None
        volume = self._volumes[number]
        if number not in self._seen:
            self._seen[number] = encoder.see(volume)
        heat = shown_by(explain_finding(encoder, volume, finding.name, self._seen[number]), volume)
        x, y, z = (round(value, 1) for value in heat.heat.peak)
        sequence = None if volume.sequence is None else str(volume.sequence)
        return Place(self._numbers[number], sequence, hottest(heat), (x, y, z), shown.side)


def _sentence(finding: Finding, side: str | None, sequence: str | None, alternatives: Sequence[str] = ()) -> str:
    """A draft for the report.

    >>> _sentence(Finding("glioma", "glioma", ("x",), ("y",)), "left", "FLAIR", ["old infarct"])
    'Possible glioma (or old infarct) on the left, most evident in FLAIR; for review.'
    """
    others = f" (or {', or '.join(alternatives)})" if alternatives else ""
    where = f" on the {side}" if side else ""
    seen = f", most evident in {sequence}" if sequence else ""
    return f"Possible {finding.title}{others}{where}{seen}; for review."
