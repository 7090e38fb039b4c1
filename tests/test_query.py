"""What a query's words are taken to mean: absence, normality, several findings, spellings, and words of any shape."""

import doctest
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_api import query, spelling
from search_api.asks import Asks
from search_api.query import QueryError, clean_text, understand
from search_api.spelling import edit_distance, lexicon

REPORT_WORDS = frozenset({"meningioma", "hydrocephalus", "ventricles", "hyperintense", "glioma", "haemorrhage"})


def read(text: str) -> list[tuple[str, str]]:
    return [(concept.texts[0], str(concept.asks)) for concept in understand(text, REPORT_WORDS).concepts]


def forms(text: str) -> set[str]:
    concepts = understand(text, REPORT_WORDS).concepts
    return {" ".join(form) for concept in concepts for group in concept.groups for form in group.forms}


@pytest.mark.parametrize("module", [query, spelling])
def test_the_examples_in_the_docstrings_hold(module) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("no midline shift", [("no midline shift", "absent")]),
        ("without hydrocephalus", [("no hydrocephalus", "absent")]),
        ("absence of atrophy", [("no atrophy", "absent")]),
        ("bilateral atrophy", [("bilateral atrophy", "present")]),
        ("\uff4d\uff45\uff4e\uff49\uff4e\uff47\uff49\uff4f\uff4d\uff41", [("meningioma", "present")]),
        ("atrophy: none", [("no atrophy", "absent")]),
        ("hydrocephalus ruled out", [("no hydrocephalus", "absent")]),
        ("negative for aneurysm", [("no aneurysm", "absent")]),
        ("resolved hydrocephalus", [("no hydrocephalus", "absent")]),
        ("infarct without haemorrhage", [("infarct", "present"), ("no haemorrhage", "absent")]),
        (
            "no haemorrhage, mass or shift",
            [("no haemorrhage", "absent"), ("no mass", "absent"), ("no shift", "absent")],
        ),
        ("neither atrophy nor aneurysm", [("no atrophy", "absent"), ("no aneurysm", "absent")]),
        ("no aneurysm but atrophy", [("no aneurysm", "absent"), ("atrophy", "present")]),
        ("no change in hydrocephalus", [("no change in hydrocephalus", "present")]),
        ("not only atrophy but aneurysm", [("atrophy", "present"), ("aneurysm", "present")]),
        ("infarct w/o atrophy", [("infarct", "present"), ("no atrophy", "absent")]),
        ("no mass, large infarct", [("no mass", "absent"), ("large infarct", "present")]),
        (
            "no mass, large infarct or atrophy",
            [("no mass", "absent"), ("no large infarct", "absent"), ("no atrophy", "absent")],
        ),
        ("no increase in atrophy", [("no increase in atrophy", "present")]),
        ("not excluded meningioma", [("possible meningioma", "uncertain")]),
        ("no history of meningioma", [("no meningioma", "absent")]),
        ("previous infarct", [("history of infarct", "historical")]),
        ("family history of glioma", [("family history of glioma", "family")]),
        ("probable glioma", [("possible glioma", "uncertain")]),
        ("the ventricles are not dilated", [("no hydrocephalus", "absent")]),
        ("infarct, ventricular system is not enlarged", [("infarct", "present"), ("no hydrocephalus", "absent")]),
        ("no evidence of acute infarct", [("no acute infarct", "absent")]),
        ("no signs of atrophy", [("no atrophy", "absent")]),
        ("infarct or atrophy", [("infarct", "present"), ("atrophy", "present")]),
        ("meningioma vs atrophy", [("meningioma", "present"), ("atrophy", "present")]),
        ("r/o meningioma", [("possible meningioma", "uncertain")]),
        ("pt with hx of meningioma", [("history of meningioma", "historical")]),
        ("we saw a meningioma", [("we saw a meningioma", "present")]),
        ("cannot exclude meningioma", [("possible meningioma", "uncertain")]),
        ("meningioma cannot be excluded", [("possible meningioma", "uncertain")]),
        ("? meningioma", [("possible meningioma", "uncertain")]),
        ("possible atrophy, no aneurysm", [("possible atrophy", "uncertain"), ("no aneurysm", "absent")]),
        ("meningioma?", [("meningioma", "present")]),
        ("history of meningioma", [("history of meningioma", "historical")]),
        ("atrophy with history of meningioma", [("atrophy", "present"), ("history of meningioma", "historical")]),
    ],
)
def test_absence_is_asked_for_where_the_words_say_so(text: str, meaning: list[tuple[str, str]]) -> None:
    assert read(text) == meaning


@pytest.mark.parametrize(
    "text", ["normal study", "normal brain", "normal ventricles", "unremarkable scan", "no abnormality"]
)
def test_normality_is_asked_for(text: str) -> None:
    assert [asks for _, asks in read(text)] == ["normal"]


def test_normal_pressure_hydrocephalus_is_a_finding_and_not_normal_is_abnormal() -> None:
    assert read("normal pressure hydrocephalus") == [("normal pressure hydrocephalus", "present")]
    assert read("not normal") == [("abnormal", "present")]


def test_several_findings_are_taken_apart_but_grey_and_white_matter_is_not() -> None:
    assert read("meningioma with hydrocephalus") == [("meningioma", "present"), ("hydrocephalus", "present")]
    assert read("grey and white matter") == [("grey and white matter", "present")]


def test_the_words_around_a_finding_are_left_out() -> None:
    assert read("Please show me cases of hydrocephalus!") == [("hydrocephalus", "present")]


@pytest.mark.parametrize(
    ("british", "american"), [("haemorrhage", "hemorrhage"), ("tumour", "tumor"), ("oedema", "edema")]
)
def test_both_spellings_are_the_same_query(british: str, american: str) -> None:
    first, second = understand(british).concepts[0], understand(american).concepts[0]
    assert first.texts == second.texts == (british, american)
    assert set(first.groups[0].forms) == set(second.groups[0].forms)


def test_unknown_words_have_their_other_spelling_as_well() -> None:
    assert {"leukodystrophy", "leucodystrophy"} <= forms("leukodystrophy")
    assert lexicon().twins("oedema") == ("edema",)
    assert lexicon().twins("edematous") == ("oedematous",)


@pytest.mark.parametrize(
    ("short", "full"),
    [("MS", "multiple sclerosis"), ("GBM", "glioblastoma"), ("nph", "normal pressure hydrocephalus")],
)
def test_abbreviations_are_read_and_it_is_said(short: str, full: str) -> None:
    read_as = understand(short)
    assert read_as.concepts[0].texts[0] == full
    assert any(full in sentence for sentence in read_as.expanded)
    assert short.casefold() in forms(full)


def test_misspellings_go_to_the_words_of_the_reports() -> None:
    read_as = understand("menigioma with hydrocephlus", REPORT_WORDS)
    assert [concept.texts[0] for concept in read_as.concepts] == ["meningioma", "hydrocephalus"]
    assert '"menigioma" read as "meningioma"' in read_as.expanded


@pytest.mark.parametrize("word", ["pizza", "knee", "asdf", "hypointense", "elbow"])
def test_a_word_near_to_nothing_or_to_its_opposite_stays_as_it_is(word: str) -> None:
    assert understand(word, REPORT_WORDS).concepts[0].texts[0] == word


def test_reading_can_be_switched_off() -> None:
    literal = understand("no menigioma, MS", REPORT_WORDS, expand=False)
    assert literal.expanded == ()
    assert [concept.asks for concept in literal.concepts] == [Asks.ANY]
    assert [group.forms for group in literal.concepts[0].groups] == [(("menigioma",),), (("ms",),)]


def test_absence_of_a_thing_is_not_said_by_the_absence_of_one_kind_of_it() -> None:
    assert "meningioma" in forms("tumour")
    assert "meningioma" not in forms("no tumour")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_query"),
        (" \t\n", "empty_query"),
        ("\x00\x1b", "empty_query"),
        ("?!.,;", "no_words"),
        ("the of", "no_words"),
        ("no", "no_words"),
        ("😀", "no_words"),
        ("x" * 2_001, "too_long"),
        ("a " * 20_000, "too_long"),
    ],
)
def test_what_cannot_be_asked_has_a_code_and_a_hint(text: str, code: str) -> None:
    with pytest.raises(QueryError) as caught:
        understand(text)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ['"', "(", "NEAR(", "T2/FLAIR", "don't", "a OR", "t:x", "C1–C2", ">5mm", "\ud800x", "e\u0301"]
)
def test_words_of_any_shape_are_words_or_an_error(text: str) -> None:
    try:
        assert understand(text, REPORT_WORDS).concepts
    except QueryError as error:
        assert error.code == "no_words"


def test_control_and_direction_characters_are_taken_out() -> None:
    assert clean_text("mid\u202eline\r\nshift\x07") == "midline shift"
    assert clean_text("e\u0301") == "é"


def test_a_pasted_report_is_read_as_a_passage_in_bounded_time() -> None:
    passage = "The ventricles are dilated. " * 70
    began = time.perf_counter()
    read_as = understand(passage, REPORT_WORDS)
    assert time.perf_counter() - began < 2
    assert [concept.asks for concept in read_as.concepts] == [Asks.ANY]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for expand in (True, False):
        try:
            assert understand(text, REPORT_WORDS, expand=expand).concepts
        except QueryError as error:
            assert error.code in {"empty_query", "no_words"}


@given(st.text("abcd", max_size=8), st.text("abcd", max_size=8))
def test_edit_distance_is_symmetric_and_bounded(first: str, second: str) -> None:
    distance = edit_distance(first, second, 8)
    assert distance == edit_distance(second, first, 8)
    assert (distance == 0) == (first == second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))


@pytest.mark.parametrize("word", ["hamartoma", "vertebral", "perfusion", "craniectomy", "interval", "concussion"])
def test_a_word_of_the_field_is_not_taken_for_another(word: str) -> None:
    assert understand(word).expanded == ()


def test_the_side_may_be_a_letter_and_plurals_are_real_words() -> None:
    assert understand("L MCA infarct").concepts[0].side == "left"
    assert "anomalies" in forms("anomaly")
    assert "anomaly" in forms("anomalies")


def test_a_side_is_understood_and_the_other_side_counts_less() -> None:
    query = understand("left frontal meningioma", REPORT_WORDS)
    (concept,) = query.concepts
    assert concept.side == "left"
    assert "side: left; bilateral counts too, right counts half" in query.expanded
    assert concept.opposed(("right", "frontal", "meningioma"))
    assert not concept.opposed(("left", "and", "right"))
    assert not concept.opposed(("bilateral", "meningiomas"))
    assert understand("meningioma", REPORT_WORDS).concepts[0].side is None
