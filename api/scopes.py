"""Which scope each route asks for. A route in no list, or in two, keeps the service from starting.

Whoever adds a route states its scope here. Those in OPERATORS are about the work of everybody: they ask for a
key of one of the tenants in EDITQ_OPERATORS besides.
"""

from collections.abc import Iterable

from storage.key_records import Scope

OPEN = frozenset(
    {
        *("health.livez", "health.readyz", "front", "openapi_json", "errors.list_errors", "errors.get_error"),
        *("studio.studio", "studio.studio_file"),
        *("openapi.static", "openapi.doc_url", "openapi.openapi"),
        *("swagger.static", "swagger.swagger", "swagger.oauth2-redirect"),
    }
)
READ = frozenset(
    {
        *("images.list_images", "images.get_image", "images.get_image_content"),
        *("files.list_files", "files.get_file", "files.get_file_content"),
        *("models.list_models", "models.get_model", "models.get_model_preview"),
        *("vectors.list_vectors", "vectors.get_vector", "vectors.get_vector_content"),
        "vectors.get_vector_file",
        *("jobs.list_jobs", "jobs.get_job", "jobs.get_output"),
        *("history.watch_job", "history.get_history", "history.explain_job", "deliveries.list_deliveries"),
        *("batches.list_batches", "batches.get_batch", "batches.watch_batch"),
        *("batches.get_file", "batches.get_archive", "results.get_result"),
        *("queues.list_queues", "workers.list_workers", "usage.get_usage", "limits.list_limits"),
    }
)
SUBMIT = frozenset(
    {
        *("images.upload_image", "images.delete_image", "files.upload_file", "files.delete_file"),
        *("vectors.import_vector", "vectors.change_vector", "vectors.delete_vector"),
        "models.delete_model",
        *("jobs.submit_job", "jobs.delete_job", "job_actions.cancel_job", "job_actions.stop_job"),
        *("job_actions.retry_job", "job_actions.change_job"),
        *("job_filters.cancel_jobs", "job_filters.retry_jobs", "deliveries.resend_delivery"),
        *("batches.submit_batch", "batches.pause_batch", "batches.resume_batch"),
        *("batches.cancel_batch", "batches.retry_batch", "batches.change_batch"),
    }
)
ADMIN = frozenset(
    {
        *("keys.create_key", "keys.list_keys", "keys.get_key", "keys.rotate_key", "keys.revoke_key"),
        *("queues.pause_queue", "queues.resume_queue", "workers.drain_worker", "workers.undrain_worker"),
    }
)
OPERATORS = frozenset(
    {"queues.pause_queue", "queues.resume_queue", "workers.drain_worker", "workers.undrain_worker"}
)

_STATED = {Scope.READ: READ, Scope.SUBMIT: SUBMIT, Scope.ADMIN: ADMIN}


class ScopeNotStated(Exception):
    """A programmer's mistake, told at the start."""


def scope_of(endpoint: str | None) -> Scope | None:
    """What a caller must be allowed; None: nothing, and no key is asked for. Where there is no route, READ:
    who may not look hears nothing of what is not there either."""
    if endpoint in OPEN:
        return None
    return next((scope for scope, endpoints in _STATED.items() if endpoint in endpoints), Scope.READ)


def check_stated(endpoints: Iterable[str]) -> None:
    """Raises ScopeNotStated unless each of these is in exactly one list, and each list holds these alone."""
    there = set(endpoints)
    lists = (OPEN, *_STATED.values())
    wrong = {name: sum(name in each for each in lists) for name in there.union(*lists)}
    wrong = {name: count for name, count in wrong.items() if count != 1 or name not in there}
    if wrong or not OPERATORS <= ADMIN:
        raise ScopeNotStated(f"api/scopes.py must state one scope for each route: {sorted(wrong)}")
