"""The worklist: examinations without a report, the highest "abnormal" score first, with reasons and thresholds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_cases import CASES, build_archive
from test_report_check import FixedScores
from toy_encoder import ToyEncoder

from encoders.calibration import Measured, OperatingPoint
from encoders.findings import FindingScore
from encoders.sequences import MRSequence
from indexer.cases import CaseFilter
from search_api.engine import SearchEngine
from search_api.query import QueryError
from search_api.scan_answers import Worklist


class ByEmbedding(FixedScores):
    """Scores that differ by examination: the first value of the embedding decides."""

    def score_series(self, embeddings, sequences, point: OperatingPoint | None = None) -> tuple[FindingScore, ...]:
        value = float(np.clip(0.5 + 2 * self.fuse(embeddings, sequences)[0], 0.0, 1.0))
        self.fixed = {"abnormal": value, "infarct": value / 2, "meningioma": 0.9}
        return super().score_series(embeddings, sequences, point)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(tmp_path_factory.mktemp("archive"), reports=False)


def test_every_unreported_examination_is_listed_highest_first(data: Path) -> None:
    with SearchEngine.open(data, ByEmbedding()) as engine:
        listed = engine.triage()
    assert len(listed.entries) == listed.total == len(CASES)
    scores = [entry.score for entry in listed.entries]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
    assert [entry.rank for entry in listed.entries] == list(range(1, len(CASES) + 1))
    assert all(entry.reasons[0].finding == "meningioma" for entry in listed.entries)
    assert all(reason.flagged for entry in listed.entries for reason in entry.reasons)
    assert all(entry.flagged == (entry.score >= listed.threshold) for entry in listed.entries)
    assert Worklist.from_dict(listed.to_dict()) == listed


def test_the_operating_point_moves_the_threshold(data: Path) -> None:
    with SearchEngine.open(data, ByEmbedding()) as engine:
        sensitive, specific = engine.triage("sensitivity=0.95"), engine.triage("specificity=0.9")
        assert (sensitive.threshold, specific.threshold) == (0.2, 0.8)
        assert (sensitive.operating_point, specific.operating_point) == ("sensitivity=0.95", "specificity=0.9")
        flagged = [sum(entry.flagged for entry in listed.entries) for listed in (sensitive, specific)]
        assert flagged[0] >= flagged[1]
        for wrong in ("sensitivity=2", "accuracy=0.9", "0.95", "sensitivity=nan"):
            with pytest.raises(QueryError) as caught:
                engine.triage(wrong)
            assert caught.value.code == "bad_operating_point"


def test_filters_hold_and_reported_cases_are_not_listed(data: Path, tmp_path: Path) -> None:
    with SearchEngine.open(data, ToyEncoder()) as engine:
        assert {entry.examination.sex for entry in engine.triage(filters=CaseFilter(sex="M")).entries} == {"M"}
    with SearchEngine.open(build_archive(tmp_path), ToyEncoder()) as engine:
        assert engine.triage().total == 2
        assert not any(entry.examination.reported for entry in engine.triage().entries)


def test_without_measured_figures_there_is_an_order_but_no_threshold(data: Path) -> None:
    with SearchEngine.open(data, FixedScores(measured=False)) as engine:
        listed = engine.triage()
    assert listed.threshold is None
    assert not any(entry.flagged for entry in listed.entries)
    assert any("measured" in notice for notice in listed.notices)


class Measured4(ByEmbedding):
    """With figures behind the thresholds, for T1w with FLAIR only."""

    def score_series(self, embeddings, sequences, point: OperatingPoint | None = None) -> tuple[FindingScore, ...]:
        figures = Measured(0.9, 0.8, 100, (0.8, 0.95), (0.7, 0.9), "made up")
        known = set(sequences) == {MRSequence.T1W, MRSequence.FLAIR}
        return tuple(
            replace(one, measured=figures) if known else replace(one, threshold=None, flagged=False)
            for one in super().score_series(embeddings, sequences, point)
        )


def test_predictive_values_follow_from_the_prevalence_that_is_given(data: Path) -> None:
    with SearchEngine.open(data, Measured4()) as engine:
        plain, asked = engine.triage(), engine.triage(prevalence=0.5)
        assert all(entry.predictive_values is None for entry in plain.entries)
        measured = [entry for entry in asked.entries if entry.measured is not None]
        assert measured
        assert {entry.predictive_values for entry in measured} == {(0.8182, 0.8889)}
        for wrong in (0.0, 1.0, -1.0, 30.0, float("nan")):
            with pytest.raises(QueryError, match="between 0 and 1"):
                engine.triage(prevalence=wrong)


def test_examinations_without_a_threshold_are_said_to_be_so(data: Path) -> None:
    with SearchEngine.open(data, Measured4()) as engine:
        listed = engine.triage()
    without = [entry for entry in listed.entries if entry.threshold is None]
    assert all(not entry.flagged for entry in without)
    assert any("never flagged" in notice for notice in listed.notices) == bool(without)
