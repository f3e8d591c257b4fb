"""The page's routes: from a request to the template or picture that answers it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from index.explore.asking import PhotoAnswerer
from index.explore.guard import Guard
from index.explore.lookups import Lookups
from index.explore.markdown import render_markdown
from index.explore.pictures import SIDES, PictureCache
from index.explore.requests import (
    MAX_UPLOAD_BYTES,
    Asked,
    asked_of,
    number_of,
    read_upload,
    tags_asked_of,
)
from index.explore.shard_pictures import NoPictureError
from index.explore.stores import MAX_K, Query, Store
from index.explore.tagged import Place, find_tagged
from index.explore.views import card_text, tag_link, verdict_of
from index.report_page import render_page
from index.report_page.style import STYLE
from index.report_page.verdict import verdict
from tagmine.errors import ConfigurationError, TagmineError
from tagmine.parts import tag_of_record
from tagmine.printable import printable
from tagmine.vocabulary_summary import list_tags

_HERE = Path(__file__).parent
_TAGS_A_PAGE = 50
_IMAGES_A_PAGE = 24
# The report's page allows its own style alone; a sandbox besides, since its texts are strangers'.
_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def make_app(stores: Sequence[Store], answerer: PhotoAnswerer | None = None) -> ASGIApp:
    """The page as an ASGI application.

    Args:
        stores: the datastores, numbered from 0.
        answerer: a model to ask questions; None for a page without.
    """
    pages = _Pages(stores, answerer)
    numbered = "/{store:int}"
    routes = [
        Route("/", pages.look),
        Route("/look", pages.look_up, methods=["GET", "POST"]),
        Route("/ask", pages.ask, methods=["POST"]),
        Route("/vocabulary" + numbered, pages.vocabulary),
        Route("/tag" + numbered, pages.tag),
        Route("/image" + numbered + "/{id:int}", pages.image),
        Route("/picture" + numbered + "/{id:int}/{size}", pages.picture),
        Route("/card" + numbered, pages.card),
        Route("/report" + numbered, pages.report),
        *(Route(f"/static/{name}", _static(*made)) for name, made in _files().items()),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard)],
        exception_handlers={
            HTTPException: pages.refused,
            TagmineError: pages.failed,
            NoPictureError: lambda request, error: PlainTextResponse(str(error), 404),
        },
    )


def _files() -> dict[str, tuple[str, str]]:
    """The only files that are served as such: content and type by name."""
    folder = _HERE / "static"
    return {
        "style.css": (STYLE + (folder / "explore.css").read_text("utf-8"), "text/css"),
        "explore.js": ((folder / "explore.js").read_text("utf-8"), "text/javascript"),
        "icon.svg": ((folder / "icon.svg").read_text("utf-8"), "image/svg+xml"),
    }


def _static(content: str, kind: str) -> Callable[[Request], Response]:
    return lambda request: Response(content, media_type=kind)


class _Pages:
    """Answers requests. Methods that are no coroutines run in Starlette's threads."""

    def __init__(self, stores: Sequence[Store], answerer: PhotoAnswerer | None) -> None:
        self._stores = tuple(stores)
        self._answerer = answerer
        self._lookups = Lookups(answerer)
        self._cache = PictureCache()
        self._templates = jinja2.Environment(
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"said": _said, "lines": _lines}
        self._templates.globals["stores"] = self._stores

    def _page(self, template: str, status: int = 200, **context: object) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(template).render(context), status)

    def _store(self, request: Request) -> Store:
        number = request.path_params["store"]
        if number >= len(self._stores):
            raise HTTPException(404, f"There are {len(self._stores)} datastores here.")
        return self._stores[number]

    def look(self, request: Request) -> Response:
        asked = asked_of(request.query_params, self._stores)
        samples = [(store, row_id) for store in self._stores for row_id in store.samples()]
        return self._page(
            "look.html",
            asked=asked,
            samples=samples,
            max_k=MAX_K,
            max_upload=MAX_UPLOAD_BYTES,
            model=self._answerer.name if self._answerer else "",
        )

    async def look_up(self, request: Request) -> Response:
        asked = asked_of(request.query_params, self._stores)
        data = await read_upload(request) if request.method == "POST" else None
        return await run_in_threadpool(self._look_up, asked, data)

    def _look_up(self, asked: Asked, data: bytes | None) -> Response:
        query = asked.query if data is None else Query(photo=data)
        if query is None:
            raise ConfigurationError("Nothing was asked: give a photo, words, or an image.")
        return self._page("results.html", columns=self._lookups.columns(asked, query))

    async def ask(self, request: Request) -> Response:
        asked = asked_of(request.query_params, self._stores)
        question = request.query_params.get("question", "").strip()
        data = await read_upload(request)
        answers = functools.partial(self._lookups.answers, asked, Query(photo=data), question)
        return await run_in_threadpool(
            lambda: self._page("answers.html", question=question, answers=answers())
        )

    def vocabulary(self, request: Request) -> Response:
        store = self._store(request)
        asked = tags_asked_of(request.query_params)
        start = (asked.page - 1) * _TAGS_A_PAGE
        total, entries = list_tags(
            store.datastore.vocabulary, asked.selection, start, _TAGS_A_PAGE, asked.rarest
        )
        return self._page(
            "vocabulary.html",
            store=store,
            asked=asked,
            total=total,
            entries=[(entry, tag_link(store, entry)) for entry in entries],
            first=start + 1,
            pages=-(-total // _TAGS_A_PAGE),
            most=max((entry.images for entry in entries), default=1),
        )

    def tag(self, request: Request) -> Response:
        store, given = self._store(request), request.query_params
        key = given.get("kind", ""), given.get("label", ""), given.get("lemma", "")
        (entry,) = store.datastore.vocabulary.look_up([key])
        if entry is None:
            raise HTTPException(404, f"{store.name} has no tag {key[2]!r} of the kind {key[0]!r}.")
        start = Place(number_of(given, "part", 0), number_of(given, "row", 0))
        found = find_tagged(store.datastore, key, start, _IMAGES_A_PAGE)
        rows = store.datastore.rows(found.ids)
        return self._page(
            "tag.html",
            store=store,
            entry=entry,
            link=tag_link(store, entry),
            rows=[rows[i] for i in found.ids if i in rows],
            found=found,
            begun=start != Place(),
        )

    def image(self, request: Request) -> Response:
        store, row_id = self._store(request), request.path_params["id"]
        key = store.key_of(row_id)
        if key is None:
            raise HTTPException(404, f"{store.name} has no image {row_id}.")
        row = store.datastore.rows([row_id]).get(row_id)
        tags = [tag_link(store, tag_of_record(record)) for record in (row or {}).get("tags", ())]
        captions = [row["caption"], *row["more_captions"]] if row else []
        return self._page(
            "image.html", store=store, id=row_id, key=key, captions=captions, tags=tags
        )

    def picture(self, request: Request) -> Response:
        size = request.path_params["size"]
        if size not in SIDES:
            raise HTTPException(404, f"Pictures are {' or '.join(SIDES)}.")
        made = self._cache.get(self._store(request), request.path_params["id"], size)
        return Response(
            made, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"}
        )

    def card(self, request: Request) -> Response:
        store = self._store(request)
        front, text = card_text(store)
        return self._page(
            "card.html",
            store=store,
            manifest=store.datastore.manifest,
            verdict=(found := verdict_of(store)),
            judged=verdict(found.report) if found.report else "",
            front=front,
            text=render_markdown(text),
        )

    def report(self, request: Request) -> Response:
        found = verdict_of(self._store(request))
        if found.report is None:
            raise HTTPException(404, found.problem or "It has no report; run tagmine validate.")
        headers = {"Content-Security-Policy": _REPORT_POLICY}
        return HTMLResponse(render_page(found.report), headers=headers)

    def refused(self, request: Request, error: HTTPException) -> Response:
        return self._problem(request, error.status_code, error.detail)

    def failed(self, request: Request, error: TagmineError) -> Response:
        return self._problem(
            request, 400 if isinstance(error, ConfigurationError) else 500, str(error)
        )

    def _problem(self, request: Request, status: int, problem: str) -> Response:
        # What a script asked for is shown as text in its place.
        if request.url.path.startswith(("/look", "/ask", "/picture", "/static")):
            return PlainTextResponse(problem, status)
        return self._page("problem.html", status, problem=problem)


def _said(text: str, length: int = 300) -> str:
    """Text of strangers without what steers, cut off with an ellipsis; the template escapes it."""
    return printable(text if len(text) <= length else text[: length - 1].rstrip() + "…")


def _lines(text: str) -> str:
    """As `_said`, for a text of many lines."""
    return "\n".join(printable(line) for line in text.splitlines())
