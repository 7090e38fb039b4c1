"""Figures for Prometheus: requests, queries by kind, uploads, the audit, the generation that is served, the disk.

Each application has its own registry. Labels are route templates and words of our own, never keys, queries or names.
"""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CODE = re.compile(r"[a-z0-9_]{1,40}")
_MOST_CODES = 64


class Metrics:
    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "neurorecall_requests", "Requests answered", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "neurorecall_request_seconds", "Seconds until answered", ("route",), registry=registry, buckets=_SECONDS
        )
        self.in_progress = Gauge("neurorecall_requests_in_progress", "Requests under way", registry=registry)
        self._queries = Counter(
            "neurorecall_queries",
            "Queries: answered, refused or failed",
            ("kind", "outcome"),
            registry=registry,
        )
        self._query_seconds = Histogram(
            "neurorecall_query_seconds",
            "Seconds until a query is answered",
            ("kind",),
            registry=registry,
            buckets=_SECONDS,
        )
        self.uploads = Gauge("neurorecall_uploads_in_progress", "Uploads being read", registry=registry)
        self.uploads_waiting = Gauge("neurorecall_uploads_waiting", "Uploads waiting for their turn", registry=registry)
        self._uploads_refused = Counter(
            "neurorecall_uploads_refused", "Uploads refused, by code", ("code",), registry=registry
        )
        self._codes: set[str] = set()
        self.audit_seconds = Histogram(
            "neurorecall_audit_seconds", "Seconds until a record is on disk", registry=registry, buckets=_SECONDS
        )
        self.audit_failures = Counter(
            "neurorecall_audit_failures", "Answers withheld because the audit could not be written", registry=registry
        )
        self.ready = Gauge("neurorecall_ready", "1 while an index is served", registry=registry)
        self._generation = Gauge(
            "neurorecall_generation_info",
            "1 for the generation that is served",
            ("generation", "encoder_id"),
            registry=registry,
        )
        self.generation_age = Gauge(
            "neurorecall_generation_age_seconds", "Age of the generation that is served", registry=registry
        )
        self.free = Gauge("neurorecall_free_bytes", "Free space where the data directory lies", registry=registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_query(self, kind: str, status: int, seconds: float) -> None:
        outcome = "answered" if status < 400 else "refused" if status < 500 else "failed"
        self._queries.labels(kind, outcome).inc()
        self._query_seconds.labels(kind).observe(seconds)

    def count_refused_upload(self, code: str) -> None:
        # Codes of a file come from the process that read it: whatever it says must not make endless labels.
        if _CODE.fullmatch(code) and len(self._codes) < _MOST_CODES:
            self._codes.add(code)
        self._uploads_refused.labels(code if code in self._codes else "other").inc()

    def serve(self, generation: str, encoder_id: str) -> None:
        """Say which generation is served, and no other."""
        self._generation.clear()
        self._generation.labels(generation, encoder_id).set(1)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)
