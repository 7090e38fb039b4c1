"""The HTTP application: the calls of the contract on one data directory, with their guards.

`build_app` makes it. The pages are put onto it by `web.build_site(app)`, which asks the calls themselves, in process,
so that a page can do what its JSON twin can and no more. What the calls share stands in `app.state.services` (settings,
engine holder, upload reader, pictures, metrics, audit); routes reach it through `services_of(request)`. Listening is
left to server, statuses and shapes of refusals to errors, host, origin, size and headers to guards, what is recorded
to audit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.sessions import SessionMiddleware

from encoders.bundle import Encoder
from search_api import (
    routes_cases,
    routes_collections,
    routes_pictures,
    routes_scans,
    routes_search,
    routes_status,
    sign_in,
)
from search_api.access import SESSION_COOKIE, Access, Door
from search_api.answers import BANNER
from search_api.audit import Audited
from search_api.audit_chain import AuditTrail
from search_api.deface import DefacedVolume
from search_api.engine_holder import EngineHolder
from search_api.errors import add_handlers
from search_api.guards import Guard, Shaped
from search_api.heat import HEAT_CACHE_BYTES, ShownHeat
from search_api.memory import kept_tidy
from search_api.metrics import Metrics
from search_api.observing import Observed
from search_api.services import Services
from search_api.settings import Settings
from search_api.sign_in import make_provider
from search_api.slices import BoundedCache, Picture
from search_api.uploads import UploadReader

_TAGS = [
    {"name": "search", "description": "Past cases for words, scans, both, or an example"},
    {"name": "scans", "description": "Findings of uploaded scans"},
    {"name": "cases", "description": "Examinations with report, slices and the de-faced volume"},
    {"name": "collections", "description": "Teaching folders"},
    {"name": "state", "description": "What is served, and how the server does"},
]
_ROUTES = (routes_search, routes_scans, routes_cases, routes_pictures, routes_collections, routes_status, sign_in)


def build_app(settings: Settings | None = None, encoder: Encoder | None = None) -> FastAPI:
    """The application; `encoder` None loads the shipped bundle when the first question comes."""
    settings = settings or Settings()
    metrics = Metrics()
    access = Access(settings.data, settings.access)
    services = Services(
        settings=settings,
        access=access,
        holder=EngineHolder(settings.data, encoder, settings.reload_seconds),
        uploads=UploadReader(settings, metrics),
        pictures=BoundedCache[Picture](settings.picture_cache_bytes),
        volumes=BoundedCache[DefacedVolume](settings.viewer_cache_bytes),
        heats=BoundedCache[ShownHeat](HEAT_CACHE_BYTES),
        metrics=metrics,
        trail=AuditTrail(settings.data),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services.holder.start()
        async with kept_tidy():
            yield
        services.holder.close()

    app = FastAPI(
        title="NeuroRecall",
        summary="Search past brain MRI examinations by words or by scan.",
        description=f"{BANNER}\n\nWhere one has to sign in, programs send `Authorization: Bearer KEY`.",
        version="0.1.0",
        openapi_tags=_TAGS,
        docs_url=None,  # both load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.provider = make_provider(settings.access)
    add_handlers(app)
    for routes in _ROUTES:
        app.include_router(routes.router)
    # The last added is the outermost. Whoever refuses stands inside of the audit, which records refusals too.
    app.add_middleware(Door, access=access)
    app.add_middleware(
        SessionMiddleware,
        secret_key=access.session_secret(),
        session_cookie=SESSION_COOKIE,
        max_age=round(settings.access.session_hours * 3600),
        https_only=settings.access.secure,
    )
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Audited, trail=services.trail, metrics=metrics)
    app.add_middleware(Shaped)
    app.add_middleware(Observed, metrics=metrics)
    return app
