"""`neurorecall evaluate evidence`: what each part of a text search brings, by leaving the others out.

Words alone, sentences alone, reports alone, scans alone, all; all without assertions and without expansion. Queries
name a finding, abbreviate it, or describe it. On real cases a hit is right by its diagnosis; on phantoms by the facts
that they were made from, with the diagnosis taken out of the archive. What a search is, is handed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Encoder
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter, Examination
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from training.evaluation_retrieval import OpenSearcher, Searcher
from training.evaluation_tables import interval_cell
from training.intervals import mean_interval

DEPTH = 10
# What is asked for, by the names of the right answers: diagnoses of real cases, labels of phantoms.
QUERIES: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (
        frozenset({"multiple sclerosis", "white_matter_lesions"}),
        ("multiple sclerosis", "MS", "demyelination", "periventricular plaques", "disseminated sclerosis"),
    ),
    (frozenset({"glioma"}), ("glioma", "brain tumour", "GBM", "infiltrating intra-axial mass", "glial neoplasm")),
    (
        frozenset({"ischaemic stroke", "infarct"}),
        ("infarct", "acute stroke", "CVA", "restricted diffusion in a vascular territory", "ischemia"),
    ),
    (frozenset({"normal"}), ("normal study", "no abnormality", "unremarkable brain", "normal appearances")),
    (
        frozenset({"small vessel disease", "small_vessel_disease"}),
        ("small vessel disease", "leukoaraiosis", "microangiopathy", "age related white matter change", "SVD"),
    ),
    (
        frozenset({"hydrocephalus"}),
        ("hydrocephalus", "dilated ventricles", "enlargement of the ventricular system", "ventriculomegaly"),
    ),
    (frozenset({"meningioma"}), ("meningioma", "extra-axial enhancing mass", "dural based tumour", "menigioma")),
    (frozenset({"haemorrhage"}), ("haemorrhage", "hemorrhage", "intracranial bleed", "blood products", "ICH")),
    (frozenset({"atrophy"}), ("atrophy", "cerebral volume loss", "widened sulci", "shrunken brain")),
    (
        frozenset({"mass_effect"}),
        ("mass effect", "midline shift", "compression of the ventricle", "subfalcine herniation"),
    ),
)
VARIANTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("words alone", {"evidence": ("words",)}),
    ("sentences alone", {"evidence": ("sentence",)}),
    ("whole reports alone", {"evidence": ("report",)}),
    ("scans alone", {"evidence": ("image",)}),
    ("all", {}),
    ("all, without assertions", {"assertions": False}),
    ("all, without expansion", {"expand": False}),
    ("words alone, without expansion and assertions", {"evidence": ("words",), "assertions": False, "expand": False}),
)


@dataclass(frozen=True, slots=True)
class EvidenceFigures:
    """For each variant the mean over the queries of P@k (k at most 10 and the number of right cases) and nDCG@10."""

    examinations: int
    queries: int
    chance: float
    precision: dict[str, tuple[float, float, float]]
    gain: dict[str, tuple[float, float, float]]
    encoder_id: str


def evaluate_evidence(
    dataset: Path, work: Path, encoder: Encoder, open_searcher: OpenSearcher, say: Callable[[str], None]
) -> EvidenceFigures:
    """Ingest a dataset with its reports into `work`, and ask every query in every variant."""
    data = work / "evidence"
    say("ingesting and indexing")
    ingest(str(dataset), data, reports=dataset / "reports.tsv")
    rebuild(data, encoder)
    with CaseStore.open(data, read_only=True) as store:
        cases = store.examinations(store.matching(CaseFilter()).tolist()).values()
    true_of = {case.key: _truths(dataset, case) for case in cases}
    asked = [
        (query, {key for key, truths in true_of.items() if truths & wanted})
        for wanted, queries in QUERIES
        for query in queries
    ]
    asked = [(query, right) for query, right in asked if right and len(right) < len(true_of)]
    precision, gain = {}, {}
    with open_searcher(data, encoder) as searcher:
        for name, options in VARIANTS:
            say(name)
            figures = np.array([_figures(searcher, query, right, options) for query, right in asked])
            precision[name], gain[name] = _with_interval(figures[:, 0]), _with_interval(figures[:, 1])
    chance = float(np.mean([len(right) / len(true_of) for _, right in asked]))
    return EvidenceFigures(len(true_of), len(asked), chance, precision, gain, encoder.encoder_id)


def evidence_table(figures: EvidenceFigures) -> str:
    """The figures as Markdown."""
    lines = [
        f"{figures.examinations} examinations, {figures.queries} queries, encoder `{figures.encoder_id}`; by chance a"
        f" hit is right in {figures.chance:.2f} of the cases. 95 % intervals over the queries.",
        "",
        "| evidence | P@10 | nDCG@10 |",
        "|---|---|---|",
    ]
    for name, _ in VARIANTS:
        cells = [interval_cell(*figure) for figure in (figures.precision[name], figures.gain[name])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def without_diagnosis(dataset: Path) -> None:
    """Take the diagnosis out of the table of people, so that only reports and scans can tell."""
    path = dataset / "participants.tsv"
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    place = rows[0].index("diagnosis")
    path.write_text("\n".join("\t".join(row[:place] + row[place + 1 :]) for row in rows) + "\n", "utf-8")


def _truths(dataset: Path, case: Examination) -> frozenset[str]:
    """What is true of a case: the labels of a phantom's facts, or the diagnosis."""
    facts = dataset / case.participant / (case.session or "") / "facts.json"
    if not facts.is_file():
        return frozenset({case.diagnosis or ""})
    labels = json.loads(facts.read_text("utf-8"))["labels"]
    true = frozenset(name for name, there in labels.items() if there)
    return true - {"abnormal"} or (frozenset() if "abnormal" in true else frozenset({"normal"}))


def _figures(searcher: Searcher, query: str, right: set[str], options: dict[str, object]) -> tuple[float, float]:
    hits = searcher.search(query, k=DEPTH, **options).hits  # type: ignore[arg-type]
    found = np.array([hit.key in right for hit in hits], dtype=np.float64)
    depth = min(DEPTH, len(right))
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    gained = float((found * discount[: len(found)]).sum() / discount[:depth].sum())
    return float(found[:depth].sum() / depth), gained


def _with_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values.mean()), *mean_interval(values))
