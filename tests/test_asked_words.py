"""A sentence that is asked of a scan, of which the text model knows no word or which names nothing, says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from http_cases import assert_refused, flair_of, upload
from search_cases import build_archive

import encoders
from encoders.bundle import PRETRAINED, Bundle
from encoders.calibration import CalibrationError, parse_operating_point
from encoders.sequences import MRSequence
from encoders.volume import Volume
from indexer.rebuild import rebuild
from search_api import figures, printing, scoring
from search_api.app import build_app
from search_api.asked_words import doubt_about
from search_api.scan_answers import ScoreReport
from search_api.settings import Settings


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return encoders.load(PRETRAINED)


def scan() -> Volume:
    """A ball of about a head's size: enough to encode."""
    grid = np.stack(np.meshgrid(*[np.arange(-40, 40)] * 3, indexing="ij"))
    inside = (np.square(grid).sum(axis=0) < 34**2).astype(np.float32)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -80.0
    return Volume(inside * (100 + grid[0]), affine, MRSequence.FLAIR)


@pytest.mark.parametrize(
    "sentence",
    [
        "sdfkj qwerty", "the of", "there is", "Es gibt einen Hirntumor", "Опухоль мозга", "脑肿瘤", "xqz", "and 42",
        "lorem ipsum dolor sit amet", "the weather is nice today",
    ],
)  # fmt: skip
def test_what_is_no_clinical_english_is_doubted(bundle: Bundle, sentence: str) -> None:
    assert doubt_about(sentence, bundle.neurobert.tokenize)


@pytest.mark.parametrize(
    "sentence",
    [
        "there is a colloid cyst", "no hydrocephalus", "T2/FLAIR hyperintensity", "pleomorphic xanthoastrocytoma",
        "haemorrhage", "Dandy-Walker malformation", "Susac syndrome", "hamartoma of the tuber cinereum", "PRES",
    ],
)  # fmt: skip
def test_what_is_is_not(bundle: Bundle, sentence: str) -> None:
    assert doubt_about(sentence, bundle.neurobert.tokenize) is None


def test_every_finding_s_own_sentences_are_known(bundle: Bundle) -> None:
    said = [text for finding in bundle.findings for text in (*finding.present, *finding.absent)]
    assert [text for text in said if doubt_about(text, bundle.neurobert.tokenize)] == []


def test_the_doubt_is_in_the_answer_and_on_the_screen(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    report = scoring.score_report(bundle, [scan()], ["sdfkj qwerty", "there is a cyst"])
    notes = {one.sentence: one.note for one in report.asked}
    assert "sdfkj, qwerty" in str(notes["sdfkj qwerty"]) and notes["there is a cyst"] is None
    assert ScoreReport.from_dict(report.to_dict()) == report
    printing.score_report(report)
    assert "does not know these words: sdfkj, qwerty" in " ".join(capsys.readouterr().out.split())


def test_several_sentences_are_asked_in_lines_or_in_fields(tmp_path: Path, bundle: Bundle) -> None:
    data = build_archive(tmp_path)
    rebuild(data, bundle)
    content = flair_of(tmp_path / "dataset").read_bytes()
    app = build_app(Settings.model_validate({"data": data}), encoder=bundle)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        lines = upload(client, content, "a_FLAIR.nii", ask="there is a cyst\nno cyst\n")
        fields = client.post(
            "/api/score", files=[("files", ("a_FLAIR.nii", content))], data={"ask": ["there is a cyst", "no cyst"]}
        )
        for answer in (lines, fields):
            assert answer.status_code == 200, answer.text
            assert [one["sentence"] for one in answer.json()["asked"]] == ["there is a cyst", "no cyst"]
        long = "\n".join(f"there is a cyst, {number} {'x' * 200}" for number in range(20))
        assert upload(client, content, "a_FLAIR.nii", ask=long).status_code == 200
        assert_refused(upload(client, content, "a_FLAIR.nii", ask="a" * 2001), 400, "too_long")
        refused = assert_refused(client.get("/api/triage?prevalence=7"), 400, "bad_prevalence")
        assert "0.3" in refused["hint"] and "openapi" not in refused["hint"]


@pytest.mark.parametrize("digits", ["٠.٩", "0.٩", "０.９"])
def test_an_operating_point_is_written_in_plain_digits(digits: str) -> None:
    with pytest.raises(CalibrationError):
        parse_operating_point(f"sensitivity={digits}")


def test_a_small_share_is_not_none() -> None:
    told = [figures.predictive((share, 1 - share), True) for share in (0.0031, 0.3, 0.999)]
    assert told == [f"{share} % of such flags are right" for share in ("0.31", "30", "99")]
