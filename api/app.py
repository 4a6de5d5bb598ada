"""The application factory: the one place where the API is wired."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

from flask import Request, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError

from api.audit import register_audit
from api.auth import finish_auth, register_auth
from api.batches import batches
from api.body import discard_rest
from api.crowd import Crowd
from api.deliveries import deliveries
from api.entry import Entry
from api.error_catalogue import error_catalogue
from api.errors import Problem, problem, register_errors, responses
from api.files import files
from api.health import health
from api.history import history
from api.images import images
from api.job_actions import job_actions
from api.job_filters import job_filters
from api.jobs import jobs
from api.keys import keys
from api.limits import limits, register_limits
from api.log import register_log, tell_of_request
from api.meters import count_requests
from api.models import models
from api.queues import queues
from api.results import results
from api.scopes import scope_of
from api.service import Service
from api.slots import Slots
from api.studio_pages import FRONT, send_page, studio_pages
from api.usage import usage
from api.validation import explain
from api.vectors import vectors
from api.workers import workers
from storage.errors import NotFound, TooBusy
from storage.settings import Settings
from storage.stores import Stores
from storage.version import VERSION, code_version
from workers.queue import Ring

DOCS = "/docs"
NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")  # workers are called by host and process: pc:412:gpu
RESOURCES = (
    *(images, files, models, vectors, jobs, job_actions, job_filters, history, deliveries, batches, results),
    *(keys, limits, queues, workers, usage, error_catalogue, health),
)
WAITING_REQUESTS = WORKED_ON = 16  # gunicorn_conf.py sets them by the number of threads
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, or a token of the operator's issuer. The service of one machine, on "
    "loopback, takes requests without one.",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    VERSION: code_version(),
}
POLICY = "Content-Security-Policy"
NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"
DOCS_PAGE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'"
)


class App(OpenAPI):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view here is a coroutine, and Flask would look a dozen times in each request."""
        return func


def create_app(settings: Settings, stores: Stores, ring: Ring) -> OpenAPI:
    """`ring(queue, hint)` says that a queue has work; it must be fast and never raise."""
    app = App(
        __name__,
        info=Info(
            title="editq",
            version=code_version(),
            description="High-precision semantic image editing, as a queue of jobs.",
        ),
        security_schemes={"key": BEARER},
        doc_prefix=DOCS,
        validation_error_model=Problem,
        validation_error_callback=_invalid,
        static_folder=None,
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions["editq"] = Service(settings, stores, ring, Slots(WAITING_REQUESTS))
    register_log(app)
    count_requests(app)
    register_limits(app)
    register_audit(app)
    register_auth(app, settings)
    register_errors(app, settings.max_body_bytes)
    app.before_request(tell_of_request)
    app.before_request(_refuse_odd_names)
    for resource in RESOURCES:
        _join_paths(app, resource)
        app.register_api(resource)
    app.register_blueprint(studio_pages)
    _register_front(app)
    finish_auth(app)
    app.after_request(_harden)
    app.after_request(discard_rest)
    with app.test_request_context():
        refusal = _harden(problem(TooBusy("This service is asked for more than it can do.")))
    app.wsgi_app = Entry(app.wsgi_app, Crowd(WORKED_ON), refusal)  # type: ignore[method-assign]
    return app


def _join_paths(app: OpenAPI, resource: APIBlueprint) -> None:
    """What several resources say of one path: the framework would keep the last one's operations alone."""
    for path, item in resource.paths.items():
        if path in app.paths:
            new = {name: getattr(item, name) for name in item.model_fields_set}
            resource.paths[path] = app.paths[path].model_copy(update=new)


def _refuse_odd_names() -> None:
    """Nothing is called so, and some databases choke on a NUL."""
    for name, value in (request.view_args or {}).items():
        if not request.path.startswith(DOCS) and not NAME.fullmatch(value):
            raise NotFound(
                "There is nothing of that name.", field=name, expected="letters, digits and _ . : @ -"
            )


def _invalid(error: ValidationError) -> Response:
    """flask-openapi3 found the path, query or header of a view wrong: the model named in its hints."""
    view = current_app.view_functions[request.endpoint or ""]
    return problem(
        explain(error, next(hint for hint in get_type_hints(view).values() if hint.__name__ == error.title))
    )


def _register_front(app: OpenAPI) -> None:
    document = json.dumps(_document(app))

    @app.route("/openapi.json", endpoint="openapi_json")
    def openapi_json() -> ResponseReturnValue:
        return Response(document, mimetype="application/json")

    @app.route("/", endpoint="front")
    def front() -> ResponseReturnValue:
        if _browses(request):
            page = send_page(FRONT)
        else:
            page = jsonify(
                name="editq",
                version=code_version(),
                studio="/studio",
                docs=f"{DOCS}/swagger",
                openapi="/openapi.json",
            )
        page.vary.add("Accept")
        return page


def _browses(request: Request) -> bool:
    """Whether a person's browser asks: it names HTML, where programs name JSON or take anything."""
    wanted = request.accept_mimetypes
    return wanted.quality("text/html") > wanted.quality("application/json")


def _document(app: OpenAPI) -> dict[str, Any]:
    """OpenAPI 3.1, without the answer that the framework adds to routes which declare none of 422, and with
    what holds for all that ask for a key."""
    document = app.api_doc
    scopes = {
        (re.sub(r"<([^>]+)>", r"{\1}", rule.rule), method.lower()): scope_of(rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = scopes[path, method]
            operation["security"] = [] if scope is None else [{"key": [scope.value]}]
            if scope is not None:
                operation["responses"] |= {str(status): told for status, told in responses(401, 429).items()}
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    _require_kinds(document)
    return document


def _require_kinds(document: dict[str, Any]) -> None:
    """What tells one kind from another must be sent, though a Python caller need not write it: its schema
    has a default, and so leaves it out of `required`."""
    schemas = document["components"]["schemas"]
    for place in _places(document):
        if "discriminator" in place:
            for reference in place["discriminator"]["mapping"].values():
                schema, name = schemas[reference.rpartition("/")[2]], place["discriminator"]["propertyName"]
                schema["required"] = sorted({*schema.get("required", ()), name})


def _places(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value, however deep it lies."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _places(each)


def _harden(answer: Response) -> Response:
    """No view sets any of these, save for the studio's own policy."""
    answer.headers.extend(HEADERS)
    if POLICY not in answer.headers:
        answer.headers.add(POLICY, DOCS_PAGE if request.path.startswith(f"{DOCS}/") else NOTHING)
    return answer
