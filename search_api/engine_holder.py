"""The engine of a running server: opened when first asked for, opened again while there is none, swapped when newer.

A missing or broken index never keeps the server from starting: questions are answered 503 with what to do until a
generation is there. A newer generation is loaded beside the old one, which answers meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from pathlib import Path
from typing import Final

from encoders.bundle import Encoder
from encoders.manifest import BundleError
from indexer.generations import GenerationError, IndexMissing
from indexer.schema import StoreError
from search_api.engine import EncoderMismatch, SearchEngine
from search_api.errors import Problem, problem_of

_LOG = logging.getLogger(__name__)
NOT_SERVABLE: Final = (IndexMissing, GenerationError, EncoderMismatch, StoreError, BundleError, sqlite3.Error, OSError)


class EngineHolder:
    """Safe to use from several threads."""

    def __init__(self, data: Path, encoder: Encoder | None = None, reload_seconds: float = 1.0) -> None:
        self._data = data
        self._encoder = encoder
        self._reload_seconds = reload_seconds
        self._opening = threading.Lock()
        self._reloading = threading.Lock()
        self._engine: SearchEngine | None = None
        self._problem: Problem | None = None
        self._skipped: str | None = None
        self._looked = float("-inf")

    def engine(self) -> SearchEngine:
        """The engine of the newest generation. Raises Problem (503) where none can be served."""
        engine = self._engine
        if engine is None:
            return self._open()
        if self._due() and self._reloading.acquire(blocking=False):
            self._looked = time.monotonic()
            threading.Thread(target=self._reload, args=(engine,), daemon=True).start()
        return engine

    def opened(self) -> SearchEngine | None:
        """The engine where it is open."""
        return self._engine

    def problem(self) -> Problem | None:
        """Why nothing can be served, or None where all is well; opens the engine where it can."""
        try:
            self.engine()
        except Problem as problem:
            return problem
        return None

    def skipped(self) -> Problem | None:
        """That a newer generation than the one that serves cannot be served, or None."""
        engine = self._engine
        if engine is None or not (self._skipped or engine.notices):
            return None
        return Problem(
            503,
            "generation_skipped",
            f"A newer generation of the index cannot be served ({self._skipped or 'index_broken'}); "
            f"{engine.generation} serves.",
            "Run `neurorecall verify`, then `neurorecall rebuild`.",
        )

    def start(self) -> None:
        """Open in the background, so that the first question does not wait for the encoder."""
        threading.Thread(target=self.problem, daemon=True).start()

    def close(self) -> None:
        with self._opening:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _open(self) -> SearchEngine:
        with self._opening:
            if self._engine is not None:
                return self._engine
            if self._problem is not None and not self._due():
                raise self._problem
            try:
                self._engine = SearchEngine.open(self._data, self._loaded_encoder())
            except NOT_SERVABLE as error:
                self._problem = problem_of(error)
                raise self._problem from error
            finally:
                self._looked = time.monotonic()
            self._problem = None
            return self._engine

    def _loaded_encoder(self) -> Encoder:
        if self._encoder is None:
            import torch

            import encoders

            # Requests run side by side, one thread each: more threads in each only makes them wait for one another.
            torch.set_num_threads(1)
            self._encoder = encoders.load()
        return self._encoder

    def _due(self) -> bool:
        return time.monotonic() - self._looked >= self._reload_seconds

    def _reload(self, engine: SearchEngine) -> None:
        try:
            if engine.reload():
                _LOG.info("a newer generation is served", extra={"generation": engine.generation})
            self._skipped = None
        except NOT_SERVABLE as error:
            self._skip(problem_of(error).code)
        except Exception as error:  # noqa: BLE001  a thread of its own: the old generation goes on answering
            self._skip(type(error).__name__)
        finally:
            self._reloading.release()

    def _skip(self, code: str) -> None:
        if code != self._skipped:  # it is tried every second, and said once
            _LOG.warning("a newer generation is not served", extra={"code": code})
        self._skipped = code
