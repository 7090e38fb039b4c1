"""Teaching folders: made, renamed, filled, put in order and deleted. Keeping them is left to the case store."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from indexer.cases import Collection
from search_api.audit_acts import act_of
from search_api.errors import described, described_with_body
from search_api.principals import Role, needs
from search_api.services import engine_of, known_only, services_of
from search_api.strict_json import StrictRoute

router = APIRouter(
    prefix="/api/collections", tags=["collections"], dependencies=[Depends(known_only)], route_class=StrictRoute
)

_CURATOR = [Depends(needs(Role.CURATOR))]
Key = Annotated[str, Field(min_length=1, max_length=64)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Title(_Asked):
    title: Annotated[str, Field(max_length=2_000)]


class Entry(_Asked):
    """An examination of a collection with the curator's note."""

    key: Key
    note: Annotated[str, Field(max_length=10_000)] = ""


class Order(_Asked):
    keys: Annotated[list[Key], Field(max_length=10_000)]


class CollectionDocument(BaseModel):
    name: str
    title: str
    created: str
    entries: list[Entry]


class CollectionsDocument(BaseModel):
    collections: list[CollectionDocument]


@router.get("", summary="All collections", response_model=CollectionsDocument, responses=described(503))
def collections(request: Request) -> Any:
    found = engine_of(request).store.collections()
    act_of(request.scope).shows(key for one in found for key, _ in one.entries)
    return {"collections": [_document(one) for one in found]}


@router.post(
    "",
    summary="Make a collection",
    status_code=201,
    response_model=CollectionDocument,
    responses=described_with_body(409, 507),
    dependencies=_CURATOR,
)
def create(request: Request, asked: Title) -> Any:
    act_of(request.scope).asks(title=asked.title)
    with services_of(request).writing() as store:
        return _document(store.create_collection(asked.title))


@router.get("/{name}", summary="One collection", response_model=CollectionDocument, responses=described(404, 503))
def collection(request: Request, name: str) -> Any:
    found = engine_of(request).store.collection(name)
    act_of(request.scope).shows(key for key, _ in found.entries)
    return _document(found)


@router.patch(
    "/{name}",
    summary="Give a collection another title",
    response_model=CollectionDocument,
    responses=described_with_body(404, 409),
    dependencies=_CURATOR,
)
def rename(request: Request, name: str, asked: Title) -> Any:
    act_of(request.scope).asks(title=asked.title)
    with services_of(request).writing() as store:
        return _document(store.rename_collection(name, asked.title))


@router.delete(
    "/{name}",
    summary="Delete a collection; its cases stay",
    status_code=204,
    responses=described_with_body(404),
    dependencies=_CURATOR,
)
def delete(request: Request, name: str) -> Response:
    with services_of(request).writing() as store:
        store.delete_collection(name)
    return Response(status_code=204)


@router.post(
    "/{name}/examinations",
    summary="Put an examination into a collection, or change its note",
    response_model=CollectionDocument,
    responses=described_with_body(404, 507),
    dependencies=_CURATOR,
)
def add(request: Request, name: str, asked: Entry) -> Any:
    act = act_of(request.scope)
    act.asks(key=asked.key, note_characters=len(asked.note))
    act.shows([asked.key])
    with services_of(request).writing() as store:
        return _document(store.add_to_collection(name, asked.key, asked.note))


@router.put(
    "/{name}/examinations",
    summary="Put the examinations of a collection into another order",
    response_model=CollectionDocument,
    responses=described_with_body(404),
    dependencies=_CURATOR,
)
def reorder(request: Request, name: str, asked: Order) -> Any:
    act_of(request.scope).shows(asked.keys)
    with services_of(request).writing() as store:
        return _document(store.reorder_collection(name, asked.keys))


@router.delete(
    "/{name}/examinations/{key}",
    summary="Take an examination out of a collection",
    response_model=CollectionDocument,
    responses=described_with_body(404),
    dependencies=_CURATOR,
)
def take_out(request: Request, name: str, key: str) -> Any:
    with services_of(request).writing() as store:
        return _document(store.remove_from_collection(name, key))


def _document(one: Collection) -> dict[str, Any]:
    entries = [{"key": key, "note": note} for key, note in one.entries]
    return {"name": one.name, "title": one.title, "created": one.created, "entries": entries}
