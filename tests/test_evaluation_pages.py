"""Evaluations as one file with pictures, and the shares of flagged reports by kind of error."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from search_cases import build_archive, write_dataset
from test_calibration import calibration
from test_report_check import FixedScores
from toy_encoder import ToyEncoder

from encoders.bundle import Encoder
from encoders.volume import Volume
from indexer.cases import Report
from indexer.finding_words import stated_findings
from indexer.report_text import make_report
from search_api.engine import SearchEngine
from training import evaluation_pictures, evaluation_report_check, evaluation_suggestions
from training.evaluation_chapters import confusion_of, tiles_of
from training.evaluation_html import Chapter, limits_of, write_html
from training.evaluation_pictures import Picture, Tile, axial, draw_curves
from training.evaluation_report_check import MIRRORED, OTHER, OWN, TEXT, evaluate_report_check_on, report_check_table
from training.evaluation_retrieval import evaluate_retrieval
from training.evaluation_suggestions import SuggestionCounts
from training.phantoms.scenario import draw_facts
from training.report_errors import errors_in

PNG = b"\x89PNG"


def test_the_file_holds_tables_pictures_and_limits_and_nothing_from_outside(tmp_path: Path) -> None:
    curves = Picture("ROC <of> findings", lambda: draw_curves({"abnormal": calibration()}))
    chapters = [
        Chapter("First & foremost", "| a | b |\n|---|---|\n| 1 | <script> |", {}, (curves,)),
        Chapter("B", "", {}),
    ]
    write_html(tmp_path / "report.html", chapters, {"bundle": "x-1"}, "- small lesions")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<td>1</td>" in page and "<li>small lesions</li>" in page and "x-1" in page
    assert "First &amp; foremost" in page and "ROC &lt;of&gt; findings" in page and "<script" not in page
    assert set(re.findall(r'src="([^",]{0,22})', page)) == {"data:image/png;base64"}
    assert "http" not in page


def test_limits_are_those_of_the_model_card(tmp_path: Path) -> None:
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# Card\n\n## Limits\n\n- one\n- two\n\n## More\n\nelse\n", "utf-8")
    assert limits_of(card) == "- one\n- two"
    assert limits_of(tmp_path / "none.md") == ""


def test_slices_and_confusion_become_sheets() -> None:
    volume = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert axial(volume, 1).shape == (3, 2)
    assert axial(volume, 1)[0, 0] == volume[1, 2, 1]  # anterior above, the head's right on the left
    tiles = [Tile(f"tile {number}", np.eye(8, dtype=np.float32), np.eye(8, dtype=np.float32)) for number in range(23)]
    sheets = tiles_of(tiles, "caption")
    assert len(sheets) == 2 and all(sheet.draw().startswith(PNG) for sheet in sheets)
    (picture,) = confusion_of({"glioma": {"glioma": 0.8, "normal": 0.2}}, {"glioma": 5})
    assert picture.draw().startswith(PNG)
    assert confusion_of({}, {}) == ()


def drawn(draw: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> str:
    """All that is written in a picture."""
    made: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        made.append(figure)
        return PNG

    monkeypatch.setattr(evaluation_pictures, "as_png", keep)
    assert draw() == PNG
    return " ".join(text.get_text() for text in made[0].findobj(Text))


def test_curves_have_axes_of_their_own_and_a_confusion_says_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = {"abnormal": calibration()}
    roc = drawn(lambda: draw_curves(curves), monkeypatch)
    precision = drawn(lambda: draw_curves(curves, precision=True), monkeypatch)
    assert "1 - specificity" in roc and "precision" not in roc
    assert "precision" in precision and "specificity" not in precision
    (picture,) = confusion_of({"glioma": {"glioma": 0.8, "normal": 0.2}}, {"glioma": 5})
    shown = drawn(picture.draw, monkeypatch)
    assert "glioma (5 hits)" in shown and "diagnosis of the scan" in shown


def test_retrieval_shows_what_it_retrieved_and_how_diagnoses_are_confused(tmp_path: Path) -> None:
    def open_searcher(data: Path, encoder: Encoder) -> SearchEngine:
        return SearchEngine.open(data, encoder)

    dataset = write_dataset(tmp_path / "dataset")
    found = evaluate_retrieval(dataset, tmp_path, ToyEncoder(), open_searcher, lambda _: None)
    assert found.tiles and found.tiles[0].title.startswith("query: ")
    assert len(found.tiles) % 5 == 0
    assert set(found.scans.confusion_hits) == set(found.scans.confusion)
    assert all(abs(sum(shares.values()) - 1) < 1e-9 for shares in found.scans.confusion.values())


def test_reports_of_a_dataset_are_checked_with_errors_put_in(tmp_path: Path) -> None:
    build_archive(tmp_path)

    def open_check(_: Encoder, volumes: Sequence[Volume]) -> Callable[[str], object]:
        assert volumes
        return lambda text: SimpleNamespace(
            statements=[SimpleNamespace(kind="stated")] if "glioma" in text.lower() else [],
            unmentioned=[],
            contradictions=["x"] if "right temporal" in text.lower() else [],
        )

    figures = evaluate_report_check_on(tmp_path / "dataset", ToyEncoder(), open_check, tmp_path / "checked")  # type: ignore[arg-type]
    assert next(iter(figures)) == OWN and figures[OWN].n == 13
    own = figures[OWN]
    assert own.by_flag[TEXT][0] == pytest.approx(0.0)
    assert own.flagged == own.by_flag["stated"][0] > 0
    assert figures[OTHER].n == 13 and 0 <= figures[OTHER].flagged <= 1
    mirrored = figures[MIRRORED]
    assert mirrored.by_flag["stated"][0] == own.flagged * own.n / mirrored.n
    assert mirrored.flagged >= mirrored.by_flag[TEXT][0] > 0  # left becomes right
    for kind in ("false finding", "omission"):
        assert 0 < figures[kind].n <= 13, kind
    table = report_check_table(figures, "real examinations")
    assert table.count("\n") == 1 + len(figures)
    assert OWN in table


def written(text: str) -> Report:
    report = make_report({}, text)
    assert report is not None
    return report


def test_errors_are_put_into_a_written_report() -> None:
    report = written("FINDINGS: Mild atrophy. Mass lesion, 4 ml, in the left hemisphere.\n\nIMPRESSION: Glioma, 44 ml.")
    changed = errors_in(report, 3)
    assert changed["wrong severity"].startswith("FINDINGS: Severe atrophy. Mass lesion, 40.0 ml")
    assert "Glioma, 4.4 ml" in changed["wrong severity"]
    false = stated_findings(written(changed["false finding"]))
    assert set(false) > set(stated_findings(report)) and "4 ml" in changed["false finding"]
    assert "glioma" not in stated_findings(written(changed["omission"]))
    normal = written("FINDINGS: No focal lesion.\n\nIMPRESSION: Normal study.")
    assert set(errors_in(normal, 3)) == {"false finding"}
    assert "Normal study" not in errors_in(normal, 3)["false finding"]


def test_an_exchanged_side_keeps_its_case() -> None:
    swap = evaluation_report_check._SIDE.sub(evaluation_report_check._exchanged, "Left of the right, LEFT; bright.")
    assert swap == "Right of the left, Right; bright."


def test_suggestions_are_counted_against_what_a_phantom_has(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = next(
        seed for seed in range(100) if (one := draw_facts(seed)).diagnosis == "infarct" and "infarct" in one.one_sided
    )
    true = draw_facts(seed).findings
    side = next(item.side for item in draw_facts(seed).abnormalities if item.finding == "infarct")

    def suggested(*findings: tuple[str, str | None]) -> SimpleNamespace:
        made = [SimpleNamespace(finding=name, place=SimpleNamespace(side=where)) for name, where in findings]
        told = [SimpleNamespace(finding=name, threshold=0.5) for name in ("abnormal", "infarct", "meningioma")]
        return SimpleNamespace(suggestions=made, findings=told)

    monkeypatch.setattr(evaluation_suggestions, "worker_bundle", lambda _: FixedScores())
    other = {"left": "right", "right": "left"}[side]
    for made, counts in (
        ((("infarct", side), ("meningioma", None)), (2, 1, 1, 1, 1, 1)),
        ((("infarct", other),), (1, 1, 1, 1, 1, 0)),
        ((), (0, 0, 1, 0, 0, 0)),
    ):
        found = evaluation_suggestions._suggest_for(Path(), lambda *_, made=made: suggested(*made), seed)
        assert found == counts, true
    table = evaluation_suggestions.suggestions_table(SuggestionCounts(10, 4, 3, 5, 3, 0, 0))
    assert "| suggestions that are there | 3 of 4 | 75.0% (30.1%-95.4%) |" in table
    assert "| sides named that are right | 0 of 0 |  |" in table
