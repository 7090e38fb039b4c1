"""`neurorecall evaluate assertions`: what sentences say of a finding, by the rules, against labels made by reading.

`teaching/assertions.tsv` points at mentions of findings in the shared text (file, record, field, offsets) and holds no
text. One third, `dev`, was looked at while the rules were written; figures are of the rest. Baselines in the same run:
everything is present, and negspacy (NegEx) with the same terms where that package is installed.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from indexer.assertions import judge
from indexer.cases import Assertion, Section
from indexer.report_text import split_sections
from training.intervals import bootstrap_interval

ASSERTIONS = tuple(str(assertion) for assertion in Assertion)


class AssertionLabelsError(ValueError):
    """Labels that do not fit the text folder."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One mention of a finding: its sentence, the section, where in the sentence it stands, and what is said of it."""

    group: str
    sentence: str
    section: Section
    start: int
    end: int
    said: str


Judge = Callable[[Sequence[Mention]], list[str]]


def evaluate_assertions(text_dir: Path, part: str = "test", seed: int = 1) -> dict[str, object]:
    """F1 of each assertion, their mean, and accuracy, with bootstrap intervals over groups."""
    mentions = read_mentions(text_dir, part)
    judges: dict[str, Judge] = {"rules": by_rules, "always present": lambda asked: ["present"] * len(asked)}
    if (negex := _negspacy()) is not None:
        judges["negspacy (NegEx)"] = negex
    figures = {name: _figures(mentions, judged(mentions), seed) for name, judged in judges.items()}
    return {"part": part, "mentions": len(mentions), "groups": len({m.group for m in mentions}), "figures": figures}


def read_mentions(text_dir: Path, part: str) -> tuple[Mention, ...]:
    """The labelled mentions of `dev` or `test`. Raises AssertionLabelsError where a pointer points nowhere."""
    source = files("training") / "teaching" / "assertions.tsv"
    rows = [
        row for row in csv.DictReader(source.read_text("utf-8").splitlines(), delimiter="\t") if row["split"] == part
    ]
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        wanted[row["file"]].add(row["id"])
    records = {(name, record["id"]): record for name, ids in wanted.items() for record in _records(text_dir, name, ids)}
    return tuple(_mention(row, records) for row in rows)


def by_rules(mentions: Sequence[Mention]) -> list[str]:
    """The assertion of the clause that a mention stands in, as the indexer reads it."""
    return [_clause_assertion(mention) for mention in mentions]


def assertions_table(document: Mapping[str, object]) -> str:
    """The figures as Markdown: one row a class, one column a judge."""
    figures = document["figures"]
    assert isinstance(figures, Mapping)  # noqa: S101 - narrows a JSON document
    names = list(figures)
    lines = [
        f"{document['mentions']} mentions of findings in sentences of {document['groups']} cases, labelled by reading.",
        "",
        f"| | n | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for row in figures[names[0]]:
        cells = [figures[name].get(row) for name in names]
        shown = [f"{c['value']:.3f} ({c['low']:.3f}-{c['high']:.3f})" if c else "" for c in cells]
        lines.append(f"| {row} | {cells[0]['n']} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _records(text_dir: Path, name: str, ids: set[str]) -> Iterator[dict[str, str]]:
    with gzip.open(text_dir / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["id"] in ids:
                yield record


def _mention(row: Mapping[str, str], records: Mapping[tuple[str, str], Mapping[str, str]]) -> Mention:
    record = records.get((row["file"], row["id"]))
    text = (record or {}).get(row["field"]) or ""
    start, end = int(row["start"]), int(row["end"])
    if record is None or end > len(text):
        raise AssertionLabelsError(f"Expected {row['field']} of {row['id']} to have {end} characters, got {len(text)}")
    before = list(split_sections(text[:end]))
    section = before[-1][0] if before else Section.BODY
    if row["field"] == "history":
        section = Section.INDICATION
    return Mention(
        group=record.get("group") or record["id"],
        sentence=text[start:end],
        section=section,
        start=int(row["finding_start"]) - start,
        end=int(row["finding_end"]) - start,
        said=row["assertion"],
    )


def _clause_assertion(mention: Mention) -> str:
    """Clauses leave out the words that join them: a mention there belongs to the clause before it."""
    cursor, said = 0, Assertion.PRESENT
    for clause, assertion in judge(mention.sentence, mention.section):
        begin = mention.sentence.find(clause, cursor)
        if begin > mention.start:
            break
        cursor, said = begin + len(clause), assertion
    return str(said)


def _figures(mentions: Sequence[Mention], judged: Sequence[str], seed: int) -> dict[str, dict[str, float | int]]:
    truth, said = np.array([mention.said for mention in mentions]), np.array(judged)
    groups = np.array([mention.group for mention in mentions])
    members = [np.flatnonzero(groups == name) for name in sorted(set(groups))]

    def figure(statistic: Callable[[np.ndarray, np.ndarray], float], n: int) -> dict[str, float | int]:
        def resampled(rows: np.ndarray) -> float:
            chosen = np.concatenate([members[row] for row in rows])
            return statistic(truth[chosen], said[chosen])

        low, high = bootstrap_interval(resampled, len(members), seed)
        return {"value": round(statistic(truth, said), 4), "low": round(low, 4), "high": round(high, 4), "n": n}

    present = [name for name in ASSERTIONS if (truth == name).any()]
    table = {
        f"F1, {name}": figure(lambda t, s, name=name: _f1(t == name, s == name), int((truth == name).sum()))  # type: ignore[misc]
        for name in present
    }
    table["F1, mean over the classes"] = figure(
        lambda t, s: float(np.mean([_f1(t == name, s == name) for name in present if (t == name).any()])), len(truth)
    )
    table["F1, stated or not (present and uncertain against the rest)"] = figure(
        lambda t, s: _f1(np.isin(t, ("present", "uncertain")), np.isin(s, ("present", "uncertain"))), len(truth)
    )
    table["accuracy"] = figure(lambda t, s: float((t == s).mean()), len(truth))
    return table


def _f1(truth: np.ndarray, said: np.ndarray) -> float:
    both = int((truth & said).sum())
    return 2 * both / max(1, int(truth.sum()) + int(said.sum()))


def _negspacy() -> Judge | None:
    """NegEx as the package ships it, told where each finding stands; it knows present and absent only."""
    try:
        import spacy
        from negspacy.negation import Negex  # noqa: F401 - registers the pipe
        from negspacy.termsets import termset
        from spacy.tokens import Doc
    except ImportError:
        return None
    cues = termset("en_clinical").get_patterns()
    cues["following_negations"] = [*cues["following_negations"], "not seen", "is not seen", "not identified",
                                   "not demonstrated", "has resolved", "resolved", "not visualized"]  # fmt: skip
    cues["pseudo_negations"] = [
        *cues["pseudo_negations"],
        "cannot exclude",
        "can not exclude",
        "not excluded",
        "no change in",
    ]
    language = spacy.blank("en")
    language.add_pipe("sentencizer")
    negex = language.add_pipe("negex", config={"neg_termset": cues})

    def judged(asked: Sequence[Mention]) -> list[str]:
        answers = []
        for mention in asked:
            document: Doc = language.make_doc(mention.sentence)
            language.get_pipe("sentencizer")(document)
            span = document.char_span(mention.start, mention.end, label="FINDING", alignment_mode="expand")
            document.set_ents([span])
            negex(document)
            answers.append("absent" if document.ents[0]._.negex else "present")
        return answers

    return judged
