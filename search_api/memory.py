"""Memory given back to the operating system: what glibc's allocator would keep of threads and uploads that are over.

Each thread that works gets an arena of its own by default, and what one question used in one arena another cannot use:
a busy server grew by half with every few hundred uploads. Elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENAS = 2
_M_ARENA_MAX = -8  # malloc.h


def bound_arenas() -> None:
    """Have all threads share a few arenas; to be called before there are many threads."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return what is free inside the arenas; some milliseconds, without holding Python's lock."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
