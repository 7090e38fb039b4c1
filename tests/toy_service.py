"""The server as `neurorecall serve` starts it, with the tests' encoder: `python tests/toy_service.py DATA PORT`.

In a process of its own it has its own log, temporary folder and memory, which tests look into from outside.
"""

from __future__ import annotations

import sys
from pathlib import Path

from toy_encoder import ToyEncoder

from search_api.app import build_app
from search_api.server import serve
from search_api.settings import Settings
from web import build_site


def main() -> None:
    data, port = Path(sys.argv[1]), int(sys.argv[2])
    app = build_app(Settings(data=data), encoder=ToyEncoder())
    build_site(app)
    serve(app, "127.0.0.1", port)


if __name__ == "__main__":
    main()
