"""Every error that editq raises on purpose, as one tree.

    EditqError                    code             status  retryable
    ├── InvalidInput              invalid_input       422  no   what the caller sent is wrong
    │   ├── UnreadablePicture     unreadable_picture  422
    │   ├── PictureTooLarge       picture_too_large   413
    │   ├── BodyTooLarge          body_too_large      413
    │   ├── DigestMismatch        digest_mismatch     422    the bytes are not those that were announced
    │   ├── CheckpointRefused     checkpoint_refused  422    an uploaded checkpoint is not imported
    │   │   ├── UnknownFormat     unknown_format      422    no kind of file that is read
    │   │   ├── DamagedFile       damaged_file        422    it ends early, or contradicts itself
    │   │   ├── ForbiddenContent  forbidden_content   422    it names code, or has what none needs
    │   │   ├── LimitExceeded     limit_exceeded      422    it takes more than is allowed
    │   │   ├── LayoutMismatch    layout_mismatch     422    a tensor is missing, or of another shape
    │   │   └── UnsupportedNetwork unsupported_network 422   a network of another build
    │   ├── UnreadableVector      unreadable_vector   422    no file of an editing vector
    │   ├── VectorMismatch        vector_mismatch     422    it is of another shape than the model's
    │   ├── MaskMismatch          mask_mismatch       422
    │   ├── MaskUnchanged         mask_unchanged      422
    │   ├── UnknownPart           unknown_part        422
    │   ├── AmountUnreachable     amount_unreachable  422    no strength of a vector changes so much
    │   ├── TooManyItems          too_many_items      422    a batch of more items than the tenant may
    │   └── KeyReused             idempotency_key_reused 422    the same key came with another body
    ├── Unauthorised              unauthorised        401  no   who asks is not known
    │   ├── KeyMissing            key_missing         401
    │   ├── KeyMalformed          key_malformed       401       not of the shape of a key
    │   ├── KeyUnknown            key_unknown         401
    │   ├── KeyExpired            key_expired         401
    │   ├── KeyRevoked            key_revoked         401
    │   ├── TokenMalformed        token_malformed     401       neither a key nor a token
    │   ├── TokenRefused          token_refused       401       by its algorithm, key, signature or claims
    │   ├── TokenForeign          token_foreign       401       of another issuer, or for another audience
    │   ├── TokenEarly            token_early         401       it does not hold yet
    │   └── TokenExpired          token_expired       401
    ├── Forbidden                 forbidden           403  no   this origin or host may not
    │   ├── ScopeMissing          scope_missing       403       the key may not do this
    │   └── TenantMissing         tenant_missing      403       the token names none
    ├── NotFound                  not_found           404  no   ... or it belongs to somebody else
    │   ├── ImageNotFound         image_not_found     404
    │   ├── FileNotFound          file_not_found      404
    │   ├── ModelNotFound         model_not_found     404
    │   ├── VectorNotFound        vector_not_found    404
    │   ├── JobNotFound           job_not_found       404
    │   ├── BatchNotFound         batch_not_found     404
    │   ├── ApiKeyNotFound        api_key_not_found   404
    │   └── OutputNotFound        output_not_found    404
    ├── Conflict                  conflict            409  no   the thing's state forbids it
    │   ├── JobEnded              job_ended           409
    │   ├── JobNotEnded           job_not_ended       409
    │   ├── BatchEnded            batch_ended         409
    │   ├── BatchNotEnded         batch_not_ended     409
    │   ├── NothingToStop         nothing_to_stop     409       no step was done yet
    │   ├── ModelIncomplete       model_incomplete    409       it lacks a network that this needs
    │   ├── ImageInUse            image_in_use        409
    │   ├── FileInUse             file_in_use         409
    │   ├── VectorInUse           vector_in_use       409
    │   ├── ModelInUse            model_in_use        409
    │   └── JobInUse              job_in_use          409
    ├── LimitReached              limit_reached       429  yes  as much as the tenant may
    │   ├── TooManyRequests       too_many_requests   429
    │   ├── TooManyJobsWaiting    too_many_jobs_waiting 429
    │   ├── TooManyBytesStored    too_many_bytes_stored 429
    │   └── GpuTimeUsedUp         gpu_time_used_up    429       of this day
    ├── LeaseLost                 lease_lost          409  no   another attempt owns the row
    ├── Unavailable               unavailable         503  yes  a part of the platform is away
    │   ├── TooBusy               too_busy            503       of requests: more than can be answered
    │   ├── StorageUnavailable    storage_unavailable 503
    │   │   ├── StorageFull       storage_full        507
    │   │   └── NotMigrated       not_migrated        503       the database has not this version's tables
    │   ├── IssuerUnavailable     issuer_unavailable  503       of tokens: none can be checked
    │   └── ObjectCorrupt         object_corrupt      503       the bytes read are not those written
    └── JobFailed                 job_failed          500  no   an operation could not end well
        ├── JobCanceled           job_canceled        409       who waited for its result has none
        ├── NonFinite             non_finite          500
        ├── OutOfMemory           out_of_memory       500  yes
        ├── DeviceFailed          device_failed       500  yes  a GPU reported an error; its process ends
        ├── ModelUnavailable      model_unavailable   500       its files are not where its row says
        ├── SandboxUnavailable    sandbox_unavailable 500  yes  the process that reads files did not start
        ├── Stalled               stalled             500  yes  no step within the stall limit
        ├── DeadlinePassed        deadline_passed     500       it did not start, or finish, in time
        ├── Quarantined           quarantined         500       it was lost with its worker again and again
        └── InternalError         internal_error      500

`code` is stable and part of the API; `status` is the HTTP status; `retryable` says whether the same
work may succeed later. `field` names the member of the request that is at fault, `expected` what
would have been right.
"""

from typing import Any, ClassVar


class EditqError(Exception):
    """The root. `detail` is a sentence for a person; it never holds a secret or a stack trace."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, field: str | None = None, expected: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.expected = expected

    def as_dict(self) -> dict[str, Any]:
        """What a job row and a problem document keep of an error."""
        members = {"code": self.code, "detail": self.detail, "field": self.field, "expected": self.expected}
        return {name: value for name, value in members.items() if value is not None}


class InvalidInput(EditqError):
    code, status = "invalid_input", 422


class UnreadablePicture(InvalidInput):
    code = "unreadable_picture"


class PictureTooLarge(InvalidInput):
    code, status = "picture_too_large", 413


class BodyTooLarge(InvalidInput):
    code, status = "body_too_large", 413


class DigestMismatch(InvalidInput):
    code = "digest_mismatch"


class CheckpointRefused(InvalidInput):
    code = "checkpoint_refused"


class UnknownFormat(CheckpointRefused):
    code = "unknown_format"


class DamagedFile(CheckpointRefused):
    code = "damaged_file"


class ForbiddenContent(CheckpointRefused):
    code = "forbidden_content"


class LimitExceeded(CheckpointRefused):
    code = "limit_exceeded"


class LayoutMismatch(CheckpointRefused):
    code = "layout_mismatch"


class UnsupportedNetwork(CheckpointRefused):
    code = "unsupported_network"


class UnreadableVector(InvalidInput):
    code = "unreadable_vector"


class VectorMismatch(InvalidInput):
    code = "vector_mismatch"


class MaskMismatch(InvalidInput):
    code = "mask_mismatch"


class MaskUnchanged(InvalidInput):
    code = "mask_unchanged"


class UnknownPart(InvalidInput):
    code = "unknown_part"


class AmountUnreachable(InvalidInput):
    code = "amount_unreachable"


class TooManyItems(InvalidInput):
    code = "too_many_items"


class KeyReused(InvalidInput):
    code = "idempotency_key_reused"


class Unauthorised(EditqError):
    code, status = "unauthorised", 401


class KeyMissing(Unauthorised):
    code = "key_missing"


class KeyMalformed(Unauthorised):
    code = "key_malformed"


class KeyUnknown(Unauthorised):
    code = "key_unknown"


class KeyExpired(Unauthorised):
    code = "key_expired"


class KeyRevoked(Unauthorised):
    code = "key_revoked"


class TokenMalformed(Unauthorised):
    code = "token_malformed"


class TokenRefused(Unauthorised):
    code = "token_refused"


class TokenForeign(Unauthorised):
    """The token is of another issuer, or for another audience."""

    code = "token_foreign"


class TokenEarly(Unauthorised):
    code = "token_early"


class TokenExpired(Unauthorised):
    code = "token_expired"


class Forbidden(EditqError):
    code, status = "forbidden", 403


class ScopeMissing(Forbidden):
    """The API key may not do this: its scope is less than the route's."""

    code = "scope_missing"


class TenantMissing(Forbidden):
    """The token is the issuer's, and names no tenant."""

    code = "tenant_missing"


class NotFound(EditqError):
    code, status = "not_found", 404


class ImageNotFound(NotFound):
    code = "image_not_found"


class FileNotFound(NotFound):
    code = "file_not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class VectorNotFound(NotFound):
    code = "vector_not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class BatchNotFound(NotFound):
    code = "batch_not_found"


class ApiKeyNotFound(NotFound):
    code = "api_key_not_found"


class OutputNotFound(NotFound):
    code = "output_not_found"


class Conflict(EditqError):
    code, status = "conflict", 409


class JobEnded(Conflict):
    code = "job_ended"


class JobNotEnded(Conflict):
    code = "job_not_ended"


class BatchEnded(Conflict):
    code = "batch_ended"


class BatchNotEnded(Conflict):
    code = "batch_not_ended"


class NothingToStop(Conflict):
    code = "nothing_to_stop"


class ModelIncomplete(Conflict):
    code = "model_incomplete"


class ImageInUse(Conflict):
    code = "image_in_use"


class FileInUse(Conflict):
    code = "file_in_use"


class VectorInUse(Conflict):
    code = "vector_in_use"


class ModelInUse(Conflict):
    code = "model_in_use"


class JobInUse(Conflict):
    code = "job_in_use"


class LimitReached(EditqError):
    """As much as this tenant may, by one of its limits in /v1/limits."""

    code, status, retryable = "limit_reached", 429, True

    def __init__(self, detail: str, *, retry_after_s: float = 1.0, **about: Any) -> None:
        super().__init__(detail, **about)
        self.retry_after_s = retry_after_s


class TooManyRequests(LimitReached):
    code = "too_many_requests"


class TooManyJobsWaiting(LimitReached):
    code = "too_many_jobs_waiting"


class TooManyBytesStored(LimitReached):
    code = "too_many_bytes_stored"


class GpuTimeUsedUp(LimitReached):
    code = "gpu_time_used_up"


class LeaseLost(EditqError):
    code, status = "lease_lost", 409


class Unavailable(EditqError):
    code, status, retryable = "unavailable", 503, True


class TooBusy(Unavailable):
    """More is asked of a process at once than it can answer; nothing of this request was begun."""

    code = "too_busy"


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"


class StorageFull(StorageUnavailable):
    code, status = "storage_full", 507


class NotMigrated(StorageUnavailable):
    """The database lacks a table or column of this version: `python -m workers.release` adds them."""

    code = "not_migrated"


class IssuerUnavailable(Unavailable):
    """The issuer of tokens does not answer, and its keys are not known."""

    code = "issuer_unavailable"


class ObjectCorrupt(Unavailable):
    code = "object_corrupt"


class JobFailed(EditqError):
    code, status = "job_failed", 500


class JobCanceled(JobFailed):
    code, status = "job_canceled", 409


class NonFinite(JobFailed):
    code = "non_finite"


class OutOfMemory(JobFailed):
    code, retryable = "out_of_memory", True


class DeviceFailed(JobFailed):
    code, retryable = "device_failed", True


class ModelUnavailable(JobFailed):
    code = "model_unavailable"


class SandboxUnavailable(JobFailed):
    code, retryable = "sandbox_unavailable", True


class Stalled(JobFailed):
    code, retryable = "stalled", True


class DeadlinePassed(JobFailed):
    code = "deadline_passed"


class Quarantined(JobFailed):
    """`losses`: what is known of each loss, for whoever looks for the cause."""

    code = "quarantined"

    def __init__(self, detail: str, losses: list[dict[str, Any]] | None = None, **about: str | None) -> None:
        super().__init__(detail, **about)
        self.losses = losses or []

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "losses": self.losses}


class InternalError(JobFailed):
    code = "internal_error"
