"""`neurorecall evaluate deidentification`: planted identifiers that remain, and words that are taken out wrongly.

Planted: lines of `planted_identifiers` inside reports of phantoms, by kind, for the templates and languages that were
looked at while the rules were written and for those that were not. Wrong: phrases that must stay, and, with the shared
text, what is taken out of kept-back records; of a sample of these `deidentification/removed_spans.tsv` says which were
right to go. The baseline is what is usually done by hand: patterns of dates, numbers, telephones, addresses and titles.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from indexer.deidentify import identifiers_in, without_identifiers
from training.intervals import wilson_interval
from training.phantoms.reports import write_report
from training.phantoms.scenario import draw_facts
from training.planted_identifiers import planted_lines, remains
from training.text_data import Record, read_text_collection, split

KEPT_BACK_PERCENT = 15
REPORT_LIKE = frozenset({"form", "report", "caption", "template"})  # the other records are articles and clinic notes
PHANTOM_SEED = 9_800_000  # phantoms whose reports no rule was tried on
_BASELINE = re.compile(
    r"\b\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b|\b\d{4}-\d\d-\d\d\b"
    r"|\b\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\w* \d{4}\b"
    r"|\b\d{1,2}:\d\d\b|\S+@\S+|https?://\S+|\+?\d[\d -]{8,}\d|\b\d{6,}\b|\b[A-Z]{1,3}-?\d{5,}\b"
    r"|\b(?:Dr|Mr|Mrs|Ms|Miss|Prof)\.? (?:[A-Z]\.? )?[A-Z][a-z]+(?: [A-Z][a-z]+)?"
    r"|(?<=by: )[A-Z][^\n]*|(?<=[Nn]ame: )[^\n]*"
)


def evaluate_deidentification(count: int, seed: int, text_dir: Path | None = None) -> dict[str, Any]:
    """All figures; `count` lines of each template. Raises FakerMissing, TextDataError."""
    document: dict[str, Any] = {"seed": seed, "lines": count}
    document["remaining"] = {half: _remaining(half, count, seed) for half in ("tuned", "kept_back")}
    document["changed"] = _changed_phrases()
    document["phantoms"] = _changed_phantoms(count)
    if text_dir is not None:
        document["text"] = _removed_words(text_dir)
    return document


def deidentification_table(document: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"Identifiers planted into reports, {document['lines']} lines a template: the share that remains in part.",
        "",
        "| kind | kept back: n | rules | plain patterns | tuned: n | rules |",
        "|---|---|---|---|---|---|",
    ]
    kept, tuned = document["remaining"]["kept_back"], document["remaining"]["tuned"]
    for kind, figures in kept.items():
        cells = [_percent(figures["rules"]), _percent(figures["plain"])]
        other = tuned[kind]["rules"]
        cells = [kind.replace("_", " "), str(figures["rules"]["n"]), *cells, str(other["n"]), _percent(other)]
        lines.append(f"| {' | '.join(cells)} |")
    changed = ", ".join(f"{name} {one['changed']} of {one['n']}" for name, one in document["changed"].items())
    lines += ["", f"Phrases that must stay and were changed: {changed}."]
    phantoms = document["phantoms"]
    lines.append(
        f"Phantom reports: of {phantoms['words']} words {phantoms['changed']} were taken out that are no age above 89"
        f" ({phantoms['ages']} ages were)."
    )
    if "text" in document:
        lines += ["", *_text_lines(document["text"])]
    return "\n".join(lines)


def _remaining(half: str, count: int, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Of each kind, how many planted values remain in part, by the rules and by the baseline."""
    body = write_report(draw_facts(PHANTOM_SEED), PHANTOM_SEED)
    before, after = f"FINDINGS: {body.findings}\n", f"\nIMPRESSION: {body.impression}"
    total: Counter[str] = Counter()
    left: dict[str, Counter[str]] = defaultdict(Counter)
    ways: dict[str, Callable[[str], str]] = {
        "rules": without_identifiers,
        "plain": lambda text: _BASELINE.sub("[...]", text),
    }
    for planted in planted_lines(half, count, seed):
        if not planted.parts:
            continue
        total[planted.kind] += 1
        for name, way in ways.items():
            scrubbed = way(f"{before}{planted.line}{after}")
            line = scrubbed[len(before) : len(scrubbed) - len(after)]
            left[planted.kind][name] += remains(planted, line)
    return {kind: {name: _figure(left[kind][name], total[kind]) for name in ways} for kind in total}


def _changed_phrases() -> dict[str, dict[str, Any]]:
    source = files("training") / "deidentification" / "planted_identifiers.toml"
    found = {}
    for name, phrases in tomllib.loads(source.read_text("utf-8"))["kept"].items():
        changed = [phrase for phrase in phrases if any(_wrong_in(phrase))]
        found[name] = {"n": len(phrases), "changed": len(changed), "phrases": changed}
    return found


def _wrong_in(phrase: str) -> Iterable[bool]:
    """Whether a phrase changes inside a sentence, at its beginning, at its end, or alone."""
    for sentence in (f"There is {phrase} as before.", f"{phrase} is noted.", f"This shows {phrase}.", phrase):
        yield without_identifiers(sentence) != sentence


def _changed_phantoms(count: int) -> dict[str, int]:
    """Words taken out of phantoms' reports. An age above 89 is right to go."""
    words = ages = changed = 0
    for seed in range(PHANTOM_SEED, PHANTOM_SEED + count):
        report = write_report(draw_facts(seed), seed)
        for text in (report.indication, report.findings, report.impression):
            words += len(text.split())
            for span in identifiers_in(text):
                ages += span.kind == "age"
                changed += (span.kind != "age") * len(text[span.start : span.end].split())
    return {"words": words, "ages": ages, "changed": changed}


def _removed_words(text_dir: Path) -> dict[str, Any]:
    """What is taken out of kept-back records of the shared text, and how much of a sample was right to go."""
    _, kept = split(read_text_collection(text_dir).corpus, KEPT_BACK_PERCENT)
    words: Counter[str] = Counter()
    removed: dict[str, Counter[str]] = defaultdict(Counter)
    labels = _labels()
    judged: dict[str, Counter[str]] = defaultdict(Counter)
    for record in kept:
        group = _group(record)
        words[group] += len(record.text.split())
        for span in identifiers_in(record.text):
            removed[group][span.kind] += len(record.text[span.start : span.end].split())
            verdict = labels.get((record.key, span.start, span.end))
            if verdict:
                judged[str(span.kind)][verdict] += 1
    return {
        "words": dict(words),
        "removed": {group: {str(kind): n for kind, n in counts.items()} for group, counts in removed.items()},
        "judged": {kind: _figure(counts["wrong"], sum(counts.values())) for kind, counts in judged.items()},
    }


def _group(record: Record) -> str:
    return "reports, templates and captions" if record.kind in REPORT_LIKE else "articles and clinic notes"


def _labels() -> dict[tuple[str, int, int], str]:
    source = files("training") / "deidentification" / "removed_spans.tsv"
    rows = csv.DictReader(source.read_text("utf-8").splitlines(), delimiter="\t")
    return {(row["id"], int(row["start"]), int(row["end"])): row["verdict"] for row in rows}


def _text_lines(text: Mapping[str, Any]) -> list[str]:
    kinds = sorted({kind for counts in text["removed"].values() for kind in counts})
    lines = [f"| kept-back text | words | taken out | {' | '.join(kinds)} |", f"|---|---|---|{'---|' * len(kinds)}"]
    for group, words in text["words"].items():
        counts = text["removed"].get(group, {})
        cells = [f"{100 * counts.get(kind, 0) / words:.3f} %" for kind in kinds]
        lines.append(f"| {group} | {words} | {100 * sum(counts.values()) / words:.3f} % | {' | '.join(cells)} |")
    judged = "; ".join(
        f"{kind} {figure['left']} of {figure['n']}" for kind, figure in sorted(text["judged"].items()) if figure["n"]
    )
    return [
        *lines,
        "",
        f"Of a sample that was read, wrongly taken out: {judged}. The rest were names, dates, numbers, places.",
    ]


def _figure(left: int, total: int) -> dict[str, float]:
    low, high = wilson_interval(left, total)
    return {"left": left, "n": total, "share": left / max(1, total), "low": low, "high": high}


def _percent(figure: Mapping[str, float]) -> str:
    return f"{100 * figure['share']:.2f} % ({100 * figure['low']:.2f}-{100 * figure['high']:.2f})"
