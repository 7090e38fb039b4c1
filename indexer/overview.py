"""What a data directory holds and what it still lacks, for the command `status`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer import generation_files
from indexer.case_store import CaseStore
from indexer.cases import Counts, Refused
from indexer.embedding_store import Kind
from indexer.generation_manifest import GenerationError

BEFORE = "stored as given, before this release could de-identify them; ingest the source again"


@dataclass(frozen=True, slots=True)
class Generation:
    name: str
    current: bool
    created: str
    encoder_id: str
    vectors: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """`pending` counts what lacks an embedding of the current generation's encoder."""

    counts: Counts
    sources: tuple[tuple[str, str], ...]
    texts: dict[str, str]
    generations: tuple[Generation, ...]
    broken: tuple[str, ...]
    pending: int
    up_to_date: bool
    faiss: str
    gpus: int
    refused: tuple[Refused, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        counts = self.counts
        found = [
            f"{counts.examinations} examinations of {counts.participants} people, {counts.reported} with a report;"
            f" {counts.series} series, {counts.sentences} sentences.",
            *(f"Source: {name} ({kind}); its texts: {self.texts[name]}." for name, kind in self.sources),
        ]
        for one in self.generations:
            marks = ", current" if one.current else ""
            about = one.problem or f"{one.vectors} vectors by {one.encoder_id}"
            found.append(f"Generation {one.name}{marks}: {about}")
        found += [f"Set aside as broken: {name}" for name in self.broken]
        if not self.generations:
            found.append("There is no index yet; `neurorecall rebuild` makes one.")
        elif not self.up_to_date:
            found.append(f"The index is behind: {self.pending} items to encode; `neurorecall rebuild` does it.")
        found.append(f"FAISS {self.faiss}, {self.gpus} GPUs.")
        return found


def overview(data: Path | str) -> Overview:
    """Raises StoreError where there is no case store. Hashes are left to `verify`."""
    import faiss

    data = Path(data)
    current = generation_files.current_name(data)
    with CaseStore.open(data, read_only=True) as store:
        generations = tuple(_generation(data, name, current) for name in generation_files.names(data))
        serving = next((one for one in generations if one.current and not one.problem), None)
        pending, same = 0, False
        if serving:
            pending = len(store.embeddings.pending_series(serving.encoder_id))
            pending += sum(
                store.embeddings.count_pending(kind, serving.encoder_id) for kind in (Kind.REPORT, Kind.SENTENCE)
            )
            same = generation_files.manifest_of(
                data / generation_files.FOLDER / serving.name
            ).content == store.embeddings.content(serving.encoder_id)
        return Overview(
            counts=store.counts(),
            sources=tuple((name, kind) for name, kind, _ in store.sources()),
            texts={name: texts or BEFORE for name, texts in store.texts_of_sources().items()},
            generations=generations,
            broken=generation_files.bad_names(data),
            pending=pending,
            up_to_date=same and not pending,
            faiss=faiss.__version__,
            gpus=int(getattr(faiss, "get_num_gpus", int)()),
            refused=store.refused(),
        )


def _generation(data: Path, name: str, current: str | None) -> Generation:
    try:
        manifest = generation_files.manifest_of(data / generation_files.FOLDER / name)
    except GenerationError as error:
        return Generation(name, name == current, "", "", 0, f"its manifest cannot be read: {error}")
    vectors = sum(manifest.counts.values())
    return Generation(name, name == current, manifest.created, manifest.encoder_id, vectors)
