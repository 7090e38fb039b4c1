"""De-identification of texts: what goes, what stays, what is refused, and that later readers are not disturbed."""

from __future__ import annotations

import doctest
import importlib
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import encoders
from indexer.assertions import judge
from indexer.cases import Draft, Section
from indexer.deidentify import CODE, NotDeidentified, deidentified, identifiers_in, names_something, without_identifiers
from indexer.report_text import make_report, split_sentences
from training.evaluation_deidentification import deidentification_table, evaluate_deidentification
from training.phantoms.reports import write_report
from training.phantoms.scenario import draw_facts

PHRASES = tomllib.loads((Path("training") / "deidentification" / "planted_identifiers.toml").read_text("utf-8"))["kept"]

GONE = {
    "Seen by Dr. Smith on 12/03/2019.": "Seen by [name] on [date].",
    "Reported by: J. Smith FRCR": "Reported by: [name]",
    "Referring clinician: Prof. Anna-Maria Müller": "Referring clinician: [name]",
    "Name: SMITH^JOHN": "Name: [name]",
    "pt name: jane doe": "pt name: [name]",
    "Patient Jane Doe fell.": "Patient [name] fell.",
    "Dictated by O'Brien; cc: Dr van der Berg": "Dictated by [name]; cc: [name]",
    "DR KOWALCZYK HAS BEEN INFORMED.": "[name] HAS BEEN INFORMED.",
    "Kowalski was told.": "[name] was told.",
    "Compared with 2019-03-12 and with 12 March 2019.": "Compared with [date] and with [date].",
    "Since March 2019, Mar-19 and the 3rd of May.": "Since [date], [date] and the [date].",
    "At 14:35 on 3.12.19.": "At [date] on [date].",
    "A 93-year-old woman; aged 92.": "A [age]-year-old woman; aged [age].",
    "Tel. 020 7946 0958, fax (555) 123-4567": "Tel. [contact], fax [contact]",
    "Write to j.smith@nhs.net or see https://example.org/x.": "Write to [contact] or see [contact]",
    "Call +49 711 123456.": "Call [contact].",
    "12 High Street, Leeds LS1 3EX": "[place] [place]",
    "Transferred from St Mary's Hospital.": "Transferred from [place].",
    "MRN: 1234567, NHS no. 943 476 5919": "MRN: [number], NHS no. [number]",
    "Accession RXH-2019-00123, SSN 123-45-6789": "Accession [number], SSN [number]",
    "UID 1.2.840.113619.2.55.3, S/N 45678A": "UID [number], S/N [number]",
    "Пациент Иванов": "[name]",
}


@pytest.mark.parametrize("text", GONE)
def test_identifiers_become_placeholders(text: str) -> None:
    assert without_identifiers(text) == GONE[text]


@pytest.mark.parametrize("text", GONE)
def test_what_is_deidentified_stays_as_it_is(text: str) -> None:
    assert without_identifiers(GONE[text]) == GONE[text]


@pytest.mark.parametrize(("kind", "phrase"), [(kind, phrase) for kind in PHRASES for phrase in PHRASES[kind]])
def test_measurements_scores_times_and_eponyms_stay(kind: str, phrase: str) -> None:
    for sentence in (f"There is {phrase} as before.", f"{phrase} is noted.", f"This shows {phrase}.", phrase):
        assert without_identifiers(sentence) == sentence


@pytest.mark.parametrize("name", ["indexer.deidentify", "indexer.known_words", "training.intervals"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def texts_of_phantoms(seeds: range) -> Iterator[str]:
    for seed in seeds:
        report = write_report(draw_facts(seed), seed)
        yield from (report.indication, report.technique, report.findings, report.impression)


def test_reports_of_phantoms_come_through_unchanged_but_for_ages_above_89() -> None:
    kinds = [span.kind for text in texts_of_phantoms(range(300)) for span in identifiers_in(text)]
    assert set(kinds) <= {"age"}
    assert len(kinds) < 10


@pytest.mark.shared
def test_reports_of_the_shared_cases_come_through_unchanged(shared_mri: Path) -> None:
    text = (shared_mri / "reports.tsv").read_text("utf-8")
    rows = [row.split("\t") for row in text.splitlines()]
    changed = [cell for row in rows[1:] for cell in row[2:] if without_identifiers(cell) != cell]
    assert (len(rows) > 40, changed) == (True, [])


# What the source knows of somebody


def draft(text: str, *identifiers: str, diagnosis: str | None = None, age: float | None = None) -> Draft:
    report = make_report({Section.FINDINGS: text})
    return Draft("p1", None, "cohort", report=report, diagnosis=diagnosis, age=age, identifiers=identifiers)


@pytest.mark.parametrize(
    ("identifiers", "text", "expected"),
    [
        (("Stone, Penny",), "Ms PENNY STONE has a mass; penny stone was told.", "[name] has a mass; [name] was told."),
        (("Xiu",), "A mass was shown to xiu.", "A mass was shown to [name]."),
        (("AB12X",), "Case AB12X: no mass.", "Case [number]: no mass."),
        (("4711",), "Film 4711 shows a mass.", "Film [number] shows a mass."),
        (("White, John",), "White matter lesions.", "White matter lesions."),
        (("A", "12"), "A mass of 12 mm.", "A mass of 12 mm."),
    ],
)
def test_known_identifiers_go_in_any_case_and_common_words_stay(
    identifiers: tuple[str, ...], text: str, expected: str
) -> None:
    found = deidentified(draft(text, *identifiers))
    assert found.report is not None
    assert found.report.text == f"Findings: {expected}"
    assert found.identifiers == ()


def test_diagnosis_sections_sentences_and_provenance_are_deidentified_too() -> None:
    report = make_report({Section.IMPRESSION: "Glioma. Told Dr Brathwick."}, provenance="From Dr Brathwick")
    found = deidentified(Draft("p1", None, "cohort", report=report, diagnosis="glioma (Dr Brathwick)"))
    assert "Brathwick" not in repr(found)
    assert found.diagnosis == "glioma ([name])"
    assert found.report is not None
    assert [one.text for one in found.report.sentences] == ["Glioma.", "Told [name]."]


def test_an_age_above_89_is_kept_as_90_and_said() -> None:
    found = deidentified(draft("No mass.", age=94.0))
    assert found.age == 90.0
    assert "above 89" in found.notes[0]
    assert deidentified(draft("No mass.", age=89.0)).age == 89.0


@pytest.mark.parametrize(
    "text",
    [
        "Write to zyx@clinic at once.",
        "Film named QUIL^BY-1 is missing; see QUI^L.",
        "Die Aufnahme zeigt keine frische Blutung, keine Ischämie und keinen Tumor; der Befund ist unauffällig, eine"
        " weitere Kontrolle wird daher vorerst nicht empfohlen.",
    ],
)
def test_what_may_still_tell_somebody_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(NotDeidentified) as caught:
        deidentified(draft(text))
    assert caught.value.code == CODE
    assert not {word for word in text.split() if len(word) > 6} & set(str(caught.value).split())


def test_a_known_identifier_that_the_rules_leave_is_seen_by_the_second_look() -> None:
    with pytest.raises(NotDeidentified, match="table gives"):
        deidentified(draft("The head of xîu is normal.", "Xiu"))


@pytest.mark.parametrize("name", ["scans", "cases", "reports", "cohort-48-1", "flair_brain", "T1_FLAIR"])
def test_names_of_folders_that_tell_nobody(name: str) -> None:
    assert not names_something(name)


@pytest.mark.parametrize("name", ["Smith_scans", "zyxelmann", "2019-03-12", "mrn_84736251", "doe_jane_reports"])
def test_names_of_folders_that_may_tell_somebody(name: str) -> None:
    assert names_something(name)


# What reads the text later


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Compared with 12/03/2019, the hydrocephalus has grown.", ["present"]),
        ("No change in the meningioma since 12 March 2019.", ["present"]),
        ("No haemorrhage was seen by Dr Brathwick on 12/03/2019.", ["absent"]),
        ("A possible abscess, seen by Dr Brathwick.", ["uncertain"]),
        ("Mrs Brathwick's mother had a glioma.", ["family"]),
        ("Large mass in the left lobe, without haemorrhage, on 12 March.", ["present", "absent"]),
    ],
)
def test_placeholders_do_not_change_what_is_said(text: str, said: list[str]) -> None:
    scrubbed = without_identifiers(text)
    assert scrubbed != text
    assert [str(assertion) for _, assertion in judge(scrubbed)] == [str(assertion) for _, assertion in judge(text)]
    assert [str(assertion) for _, assertion in judge(scrubbed)] == said


def test_placeholders_do_not_cut_sentences() -> None:
    text = "Seen by Dr. J. Smith on 12.03.2019. No mass. Call 020 7946 0958."
    assert split_sentences(without_identifiers(text)) == ("Seen by [name] on [date].", "No mass.", "Call [contact].")


def test_a_placeholder_hardly_moves_a_sentence_for_the_network() -> None:
    with_date = "Compared with the examination of 12 March 2019, the left frontal meningioma has grown."
    others = ["There is an acute infarct of the right middle cerebral artery.", "The ventricles are normal."]
    vectors = encoders.load().encode_texts([with_date, without_identifiers(with_date), *others])
    similar = vectors @ vectors[0]
    assert similar[1] > 0.8
    assert similar[1] > max(similar[2:]) + 0.3


# Measured


def test_planted_identifiers_of_kept_back_templates_are_found() -> None:
    pytest.importorskip("faker", reason="names and addresses are drawn by faker")
    document = evaluate_deidentification(count=6, seed=2)
    kept = document["remaining"]["kept_back"]
    for kind in ("name_with_context", "date", "age", "contact", "number"):
        assert kept[kind]["rules"]["share"] < 0.04, kind
    assert kept["name_with_context"]["plain"]["share"] > 0.2
    assert all(one["changed"] == 0 for one in document["changed"].values())
    assert document["phantoms"]["changed"] == 0
    assert deidentification_table(document).count("\n| ") > 6


@pytest.mark.parametrize(
    "piece", ["A", "1.", "1-", "a@", "Dr ", "John Smith ", "Name: ", "Smith, ", "St. ", " ", "O'", "[name] "]
)
def test_no_text_takes_long(piece: str) -> None:
    """Bounded by the characters of the text: patterns that look far would take minutes on these."""
    text = (piece * 20_000)[:20_000]
    begun = time.process_time()
    without_identifiers(text)
    assert time.process_time() - begun < 15
