"""Memory given back to the operating system: what glibc's allocator would keep of threads and questions that are over.

Each thread that works gets an arena of its own by default, and what is free in one arena no other thread can use: after
some hundred uploads a server held twice what it needs. Elsewhere than on glibc only the number of threads is bounded.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio.to_thread

ARENAS = 2
THREADS = 16  # that answer side by side; each keeps some megabytes of torch's own, and processors are fewer
TIDY_SECONDS = 10.0
_M_ARENA_MAX = -8  # malloc.h


def bound_arenas() -> None:
    """Have all threads share a few arenas; to be called before there are many threads."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return what is free inside the arenas; some milliseconds, without holding Python's lock."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@asynccontextmanager
async def kept_tidy() -> AsyncIterator[None]:
    """While the server runs: few threads, idle ones ended, and what they held given back."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    tidying = asyncio.create_task(_tidy())
    try:
        yield
    finally:
        tidying.cancel()


async def _tidy() -> None:
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        await anyio.to_thread.run_sync(give_back)  # which also has idle threads end
