"""How much one principal may ask in a minute, and how often an address may fail to sign in.

Sliding windows in memory, one set a server. A server that nobody has to sign in to knows no principals and sets no
limits but those of its size.
"""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from search_api.access_settings import AccessSettings
from search_api.errors import Problem
from search_api.principals import LOCAL, Principal

_PICTURES = (".png", ".nii.gz")


class RateLimits:
    """Safe to use from several threads."""

    def __init__(self, settings: AccessSettings) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._questions = RateLimitItemPerMinute(settings.questions_per_minute)
        self._uploads = RateLimitItemPerMinute(settings.uploads_per_minute)
        self._pictures = RateLimitItemPerMinute(settings.pictures_per_minute)
        self._failures = RateLimitItemPerMinute(settings.failed_sign_ins_per_minute)

    def count(self, principal: Principal, method: str, path: str, content_type: str) -> None:
        """Count a request. Raises Problem (429) where it is one too many."""
        if principal is LOCAL or path.startswith("/static/"):
            return
        if content_type.startswith("multipart/"):
            self._hit(self._uploads, "uploads", principal.name)
        elif method in ("GET", "HEAD") and path.endswith(_PICTURES):
            self._hit(self._pictures, "pictures", principal.name)
        else:
            self._hit(self._questions, "questions", principal.name)

    def count_failure(self, address: str) -> None:
        """Count a wrong key or cookie. Raises Problem (429) where there were too many from that address."""
        self._hit(self._failures, "failures", address)

    def _hit(self, item: RateLimitItem, kind: str, who: str) -> None:
        if self._limiter.hit(item, kind, who):
            return
        wait = self._limiter.get_window_stats(item, kind, who).reset_time - time.time()
        raise Problem(
            429,
            "too_many_requests",
            f"Expected at most {item.amount} {kind} a minute.",
            "Wait a moment, then go on.",
            {"Retry-After": str(max(1, math.ceil(wait)))},
        )
