"""What a clause says of its findings, with the false friends of real reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.assertions import assertion_of, judge
from indexer.cases import Section
from indexer.report_text import make_report, split_sentences

ONE_CLAUSE = [
    ("There is hydrocephalus.", "present"),
    ("Normal study.", "present"),
    ("Ventricles and sulci are normal for age.", "present"),
    ("The mass is unchanged.", "present"),
    ("No change in hydrocephalus.", "present"),
    ("No significant interval change in the size of the known meningioma.", "present"),
    ("Not only hydrocephalus but also haemorrhage.", "present"),
    ("Partially resolved haematoma.", "present"),
    ("No more than mild atrophy.", "present"),
    ("White matter lesions; number and volume not measured.", "present"),
    ("MRI without contrast shows a mass.", "present"),
    ("Compared with the previous MRI, the mass is larger.", "present"),
    ("Compared with prior, the meningioma has grown.", "present"),
    ("New infarct compared to the MRI from 2 months prior.", "present"),
    ("New haemorrhage not seen on the prior study.", "present"),
    ("A lesion that was not present in 2019 is now seen.", "present"),
    ("Hemorrhage: No", "absent"),
    ("Hydrocephalus (none)", "absent"),
    ("Hydrocephalus (-)", "absent"),
    ("(-) hydrocephalus", "absent"),
    ("| Hydrocephalus | No |", "absent"),
    ("| Hydrocephalus | Yes |", "present"),
    ("Hydrocephalus may develop.", "hypothetical"),
    ("No acute infarct, large mass or haemorrhage.", "absent"),
    ("Old infarct in the left thalamus.", "present"),
    ("No abnormality.", "absent"),
    ("No hydrocephalus.", "absent"),
    ("no hydrocephalus", "absent"),
    ("Without midline shift.", "absent"),
    ("Haemorrhage is absent.", "absent"),
    ("Negative for infarct.", "absent"),
    ("The basal cisterns are free of blood.", "absent"),
    ("The haematoma has resolved.", "absent"),
    ("The previously seen haemorrhage has resolved.", "absent"),
    ("Hydrocephalus has been ruled out.", "absent"),
    ("Neither hydrocephalus nor haemorrhage.", "absent"),
    ("No haemorrhage, mass or shift.", "absent"),
    ("No haemorrhage, mass, or shift is seen.", "absent"),
    ("Hydrocephalus is not seen.", "absent"),
    ("Haemorrhage: none.", "absent"),
    ("There is no restricted diffusion to suggest acute infarct.", "absent"),
    ("No history of haemorrhage.", "absent"),
    ("Cannot exclude haemorrhage.", "uncertain"),
    ("Haemorrhage cannot be excluded.", "uncertain"),
    ("A small metastasis is not excluded.", "uncertain"),
    ("Possible meningioma.", "uncertain"),
    ("Findings are suspicious for glioma.", "uncertain"),
    ("This may represent demyelination.", "uncertain"),
    ("History of glioma.", "historical"),
    ("Previous surgery.", "historical"),
    ("Mother had an aneurysm.", "family"),
    ("If hydrocephalus develops, a shunt may be needed.", "hypothetical"),
    ("Evaluate for metastases.", "hypothetical"),
]
SEVERAL_CLAUSES = [
    ("No haemorrhage but a large mass.", [("No haemorrhage", "absent"), ("a large mass.", "present")]),
    ("Without midline shift, there is a large mass.", [("Without midline shift", "absent"), (None, "present")]),
    ("Large mass without haemorrhage.", [("Large mass", "present"), ("without haemorrhage.", "absent")]),
    ("Moderate hydrocephalus, no haemorrhage.", [(None, "present"), ("no haemorrhage.", "absent")]),
    ("No mass, and the ventricles are enlarged.", [("No mass", "absent"), ("the ventricles are enlarged.", "present")]),
    ("No abnormality other than a small cyst.", [("No abnormality", "absent"), (None, "present")]),
    ("No acute infarct; chronic small vessel change.", [("No acute infarct", "absent"), (None, "present")]),
    ("Infarct with no haemorrhage and with mass effect.", [(None, "present"), (None, "absent"), (None, "present")]),
    ("Mass, which shows no enhancement.", [("Mass", "present"), (None, "absent")]),
    ("No haemorrhage, marked hydrocephalus.", [("No haemorrhage", "absent"), (None, "present")]),
    ("No acute infarct or haemorrhage, mild small vessel change.", [(None, "absent"), (None, "present")]),
    ("No hydrocephalus, 3 mm midline shift.", [("No hydrocephalus", "absent"), ("3 mm midline shift.", "present")]),
    ("No midline shift, hydrocephalus present.", [("No midline shift", "absent"), (None, "present")]),
    ("No infarct - moderate small vessel disease", [("No infarct", "absent"), (None, "present")]),
    (
        "Large mass (no haemorrhage) with oedema.",
        [(None, "present"), ("(no haemorrhage)", "absent"), (None, "present")],
    ),
    ("Mass without haemorrhage, causing hydrocephalus.", [(None, "present"), (None, "absent"), (None, "present")]),
    ("Hydrocephalus: no; midline shift: yes (5 mm)", [("Hydrocephalus: no", "absent"), (None, "present")]),
    ("Haemorrhage: no, infarct: yes", [("Haemorrhage: no", "absent"), ("infarct: yes", "present")]),
    ("Mass present, haemorrhage absent.", [("Mass present", "present"), ("haemorrhage absent.", "absent")]),
    ("S/p craniotomy, residual tumour is present.", [("S/p craniotomy", "historical"), (None, "present")]),
    ("Evaluation for stroke shows left MCA infarct.", [("Evaluation for stroke", "hypothetical"), (None, "present")]),
    ("No cause for hydrocephalus is seen.", [("No cause", "absent"), (None, "present")]),
    ("The ventricles are not dilated and there is a mass.", [(None, "present"), (None, "absent"), (None, "present")]),
    ("Left frontal lesion ?metastasis", [("Left frontal lesion", "present"), ("?metastasis", "uncertain")]),
    ("The lesion does not enhance.", [("The lesion", "present"), ("does not enhance.", "absent")]),
]


@pytest.mark.parametrize(("sentence", "expected"), ONE_CLAUSE)
def test_a_sentence_with_one_assertion_stays_whole(sentence: str, expected: str) -> None:
    assert [(text, str(said)) for text, said in judge(sentence)] == [(sentence, expected)]


@pytest.mark.parametrize(("sentence", "expected"), SEVERAL_CLAUSES)
def test_a_mixed_sentence_is_cut_into_clauses(sentence: str, expected: list[tuple[str | None, str]]) -> None:
    clauses = judge(sentence)
    assert [str(said) for _, said in clauses] == [said for _, said in expected]
    assert all(wanted in (None, text) for (text, _), (wanted, _) in zip(clauses, expected, strict=True))


@pytest.mark.parametrize("text", ["? hydrocephalus", "Hydrocephalus?", "Rule out stroke.", "Suspected tumour."])
def test_a_question_in_the_indication_is_hypothetical(text: str) -> None:
    assert assertion_of(text, Section.INDICATION) == "hypothetical"


def test_the_comparison_tells_of_the_past() -> None:
    assert assertion_of("MRI of 2019 showed a haemorrhage.", Section.COMPARISON) == "historical"


@given(st.text(max_size=300))
def test_any_text_is_judged_and_no_word_is_made_up(text: str) -> None:
    clauses = judge(text)
    assert clauses
    assert all(clause in text for clause, _ in clauses)


def test_sentences_are_cut_at_their_ends_and_nowhere_else() -> None:
    text = "1. Mass of 3.5 mm, e.g. a cyst. 2. Seen by Dr. Lee. no shift.\n- T1 vs. T2.\nThe ventricles are\nenlarged."
    expected = ("Mass of 3.5 mm, e.g. a cyst.", "Seen by Dr. Lee.", "no shift.", "T1 vs. T2.")
    assert split_sentences(text) == (*expected, "The ventricles are enlarged.")


def test_an_answer_on_the_next_line_belongs_to_its_question() -> None:
    assert split_sentences("Haemorrhage:\nnone\nMass effect:\nThere is a shift.") == (
        "Haemorrhage: none",
        "Mass effect:",
        "There is a shift.",
    )


def test_a_report_is_cut_into_sections_by_its_headers() -> None:
    text = "MRI brain\nINDICATION: ? stroke.\nFINDINGS: Acute infarct. No haemorrhage.\n\nImpression\n1. Infarct."
    report = make_report({}, text)
    assert report is not None
    assert [str(section) for section, _ in report.sections] == ["body", "indication", "findings", "impression"]
    assert [(one.text, str(one.section), str(one.assertion)) for one in report.sentences[1:]] == [
        ("? stroke.", "indication", "hypothetical"),
        ("Acute infarct.", "findings", "present"),
        ("No haemorrhage.", "findings", "absent"),
        ("Infarct.", "impression", "present"),
    ]


def test_a_question_mark_before_a_finding_belongs_to_it() -> None:
    report = make_report({}, "HISTORY: Headaches, ? MS. Mother had a stroke.\nIMPRESSION: Glioma? Lymphoma.")
    assert report is not None
    assert [(one.text, str(one.assertion)) for one in report.sentences] == [
        ("Headaches, ? MS", "hypothetical"),
        ("Mother had a stroke.", "family"),
        ("Glioma?", "uncertain"),
        ("Lymphoma.", "present"),
    ]


def test_a_report_of_headers_alone_says_nothing() -> None:
    assert make_report({}, "FINDINGS:\nIMPRESSION:") is None
    assert make_report({Section.FINDINGS: " . "}) is None


def test_markup_and_control_characters_do_not_get_into_a_report() -> None:
    report = make_report(
        {}, "<p>No\x00 mass.</p><script>alert(1)</script>\u202eThe lateral ventricles are <b>wide</b>."
    )
    assert report is not None
    assert [one.text for one in report.sentences] == ["No mass.", "The lateral ventricles are wide."]


@given(st.text(max_size=400))
def test_any_text_is_a_report_or_is_refused_with_a_reason(text: str) -> None:
    report = make_report({}, text)
    if report is not None:
        report.text.encode()
        assert report.sentences
