"""The environment, read once into a frozen Settings. Every variable of the platform is documented here.

Each field is read from EDITQ_<NAME>; `Settings()` reads the environment, arguments win over it (tests).
An empty variable counts as one that is not set. Only EDITQ_ variables are read, and nothing else reads them.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from storage.addresses import is_loopback, networks_of
from storage.limit_records import Limit
from storage.oidc_settings import OidcSettings
from storage.records import LOCAL_TENANT
from storage.sources import BucketSettings


def _with_keys(value: int) -> Callable[[dict[str, Any]], int]:
    """A limit that the one user of a machine needs not."""
    return lambda data: value if data["keys_required"] else 0


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="EDITQ_", env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(default=Path(".editq"), description="Where the embedded service keeps everything.")
    cache_dir: Path = Field(
        default_factory=lambda data: data["data_dir"] / "cache",
        description="Where workers keep copies of models; may be emptied. Default: DATA_DIR/cache.",
    )

    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['data_dir']}/editq.db",
        repr=False,
        description="sqlite:///path or postgresql+psycopg://user:password@host/name. Default: in DATA_DIR.",
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        description="The broker and the progress board: Valkey or Redis (redis:// or rediss://).",
    )

    s3_bucket: str | None = Field(default=None, description="Set: objects live in this bucket, not in files.")
    s3_endpoint: str | None = Field(default=None, description="URL of an S3 server other than Amazon's.")
    s3_region: str = Field(default="us-east-1", description="Region that requests are signed for.")
    s3_prefix: str = Field(default="", description="Put before every key, such as 'editq/'.")
    s3_path_style: bool = Field(default=False, description="Address buckets by path, not by host name.")
    s3_access_key: str | None = Field(default=None, description="Unset: boto3's own chain of credentials.")
    s3_secret_key: SecretStr | None = Field(default=None, description="Goes with S3_ACCESS_KEY.")

    buckets: dict[str, BucketSettings] = Field(
        default={},
        description="Buckets that batches may read from, and write to where writable, as JSON by name: "
        '{"photos": {"folder": "/data/photos"}, "out": {"bucket": "results", "endpoint": "https://...", '
        '"access_key": "...", "secret_key": "...", "writable": true, "tenants": ["local"]}}.',
    )
    max_picture_bytes: PositiveInt = Field(
        default=64 << 20, description="Largest picture file that a batch reads from a bucket or a tar."
    )
    chunk_items: NonNegativeInt = Field(
        default=0, description="Items of a batch that one claim takes; 0: by kind (256 to apply, else 32)."
    )
    chunks_ready: PositiveInt = Field(
        default=4, description="Chunks of a batch that are kept queued: others' batches come in between."
    )

    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    keys_required: bool = Field(
        default_factory=lambda data: not is_loopback(data["host"]),
        description="Whether every request needs an API key. Without keys only loopback is answered. "
        "Default: where HOST is another address.",
    )
    oidc: OidcSettings | None = Field(
        default=None,
        description="Who issues bearer tokens to people, as JSON: "
        '{"issuer": "https://login.example.org", "audience": "editq"}. Needs the extra `oidc`.',
    )
    operators: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(LOCAL_TENANT,),
        description="Tenants whose admin keys may pause queues and drain workers, separated by commas.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port that the API listens on.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("127.0.0.1", "localhost", "[::1]"),
        description="Host names that requests may carry in Host and Origin, separated by commas.",
    )
    max_body_bytes: PositiveInt = Field(default=64 << 20, description="Largest request body.")
    max_file_bytes: PositiveInt = Field(
        default=8 << 30, description="Largest file at /v1/files, where no other limit of bodies holds."
    )
    max_picture_pixels: PositiveInt = Field(
        default=40_000_000, description="Largest picture, width times height."
    )

    limit_requests_per_s: NonNegativeFloat = Field(
        default_factory=_with_keys(50),
        description="Requests a second of one tenant, after a burst of twice as many. 0, here and below: no "
        "limit. Rows of the database set others for single tenants (`python -m workers.limits`). "
        "Default: 50 where keys are required, else 0.",
    )
    limit_jobs_waiting: NonNegativeInt = Field(
        default_factory=_with_keys(10_000),
        description="Queued jobs of one tenant. Default: 10 000 where keys are required, else 0.",
    )
    limit_jobs_running: NonNegativeInt = Field(
        default=0, description="Running jobs of one tenant in a queue; more wait, others take their turn."
    )
    limit_bytes_stored: NonNegativeInt = Field(
        default_factory=_with_keys(100 << 30),
        description="Bytes of one tenant's pictures, files, vectors, outputs and results. "
        "Default: 100 GiB where keys are required, else 0.",
    )
    limit_batch_items: NonNegativeInt = Field(
        default_factory=_with_keys(1_000_000),
        description="Items of one batch. Default: 1 000 000 where keys are required, else 0.",
    )
    limit_gpu_s_per_day: NonNegativeFloat = Field(
        default=0.0, description="GPU seconds of one tenant on one day (UTC); more waits for the next."
    )

    lease_s: PositiveFloat = Field(
        default=30.0, description="Length of a claim's lease; renewed at a third of it."
    )
    stall_loading_s: PositiveFloat = Field(
        default=900.0, description="A job that loads for longer is taken to be hung."
    )
    stall_s: PositiveFloat = Field(
        default=300.0, description="A step, or an output being saved, that takes longer is taken to be hung."
    )
    max_lost: PositiveInt = Field(
        default=3, description="A job whose workers were lost so often is quarantined."
    )
    max_failures: PositiveInt = Field(
        default=3, description="A job that failed so often by errors of its own fails for good."
    )
    max_outages: PositiveInt = Field(
        default=20, description="The same limit where storage was away: an outage of minutes is waited for."
    )
    ageing_s: PositiveFloat = Field(
        default=600.0, description="A job that has waited so long counts as one priority class higher."
    )
    housekeeping_s: PositiveFloat = Field(
        default=5.0, description="Pause between two passes of housekeeping."
    )
    presence_s: PositiveFloat = Field(
        default=5.0, description="How often a worker says on the board that it is there."
    )
    alive_file: Path | None = Field(
        default=None, description="A file that a worker touches as often, for an orchestrator to look at."
    )

    outputs_kept_s: PositiveFloat = Field(
        default=30 * 86400.0, description="How long outputs are kept after a job has ended, by default."
    )
    jobs_kept_s: PositiveFloat = Field(
        default=90 * 86400.0, description="How long the rows of ended jobs are kept, and webhook deliveries."
    )
    usage_kept_s: PositiveFloat = Field(
        default=400 * 86400.0,
        description="How long a day's sums of jobs and GPU seconds are kept; /v1/usage tells of 366 days.",
    )
    idempotency_kept_s: PositiveFloat = Field(
        default=86400.0, description="How long an Idempotency-Key is remembered."
    )
    keep_inversions_s: PositiveFloat = Field(
        default=90 * 86400.0, description="How long a saved inversion is kept after it was last used."
    )
    garbage_every_s: PositiveFloat = Field(
        default=3600.0, description="Pause between two searches for objects that no record names."
    )
    garbage_grace_s: PositiveFloat = Field(
        default=86400.0,
        description="How long such an object is left before it is looked at again and removed.",
    )

    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs webhooks (Standard Webhooks): whsec_ and base64 of 24 to 64 bytes. Unset: jobs "
        "that name a webhook are refused.",
    )
    webhook_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Private networks that webhooks may reach, such as 10.1.0.0/16, separated by commas.",
    )
    webhook_timeout_s: PositiveFloat = Field(default=15.0, description="How long a receiver may take.")

    checkpoint_s: PositiveFloat = Field(default=5.0, description="How often a running job saves its state.")
    models_kept: PositiveInt = Field(default=2, description="Models that a worker keeps loaded at most.")
    models_kept_bytes: PositiveInt = Field(
        default=8 << 30, description="Weights that a worker keeps loaded at most, the model in use aside."
    )

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:0 ...")
    threads: NonNegativeInt = Field(
        default=0,
        description="CPU threads of a GPU worker; 0: one for models up to 64 px, all cores for larger ones.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="What the steps of an edit compute in. bfloat16: faster for models larger than 64 px, "
        "where the processor has units for it (else float32). Pictures handed out are drawn in float32 "
        "anyway, save for those of `apply` on a GPU: float16 (bundled models: two grey levels off at most).",
    )
    perceptual_weights: str | None = Field(
        default=None,
        description="Backbone weights for the perceptual distance: a path, or an object's key. "
        "Unset: the model's own bundled backbone.",
    )
    perceptual_sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="What PERCEPTUAL_WEIGHTS is checked against."
    )
    inception_weights: str | None = Field(
        default=None,
        description="Inception v3 for FID and KID (safetensors, torchvision's layout): a path, or an "
        "object's key. Unset: `evaluate` reads pictures with the model's own perceptual backbone.",
    )
    inception_sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="What INCEPTION_WEIGHTS is checked against."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="How much is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: lines for people where a terminal reads them, else JSON."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of this process's /metrics (Prometheus). Unset: none. Under `editq up` the API's; "
        "the GPU worker has the next one, housekeeping the one after.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address that /metrics listens on: no key is asked for there."
    )
    traces_url: str | None = Field(
        default=None,
        description="Where spans are sent (OTLP over HTTP), such as http://collector:4318/v1/traces; needs "
        "the extra `tracing`.",
    )
    traces_headers: dict[str, SecretStr] = Field(
        default={}, description='Headers that go with them, as JSON: {"authorization": "..."}.'
    )

    @property
    def objects(self) -> Literal["files", "s3"]:
        """Which object store: S3 where a bucket is named."""
        return "s3" if self.s3_bucket else "files"

    @property
    def limits(self) -> dict[Limit, float]:
        """Of a tenant that has none of its own."""
        return {limit: float(getattr(self, f"limit_{limit.value}")) for limit in Limit}

    @property
    def objects_dir(self) -> Path:
        return self.data_dir / "objects"

    @field_validator("allowed_hosts", "operators", "webhook_networks", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @model_validator(mode="after")
    def _never_open(self) -> Self:
        if not self.keys_required and not is_loopback(self.host):
            raise ValueError(f"keys_required must be true where host is {self.host}: it is open to others")
        return self

    @field_validator("webhook_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks_of(value)
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _standard_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_secret(value.get_secret_value())
        return value

    @field_validator("s3_prefix")
    @classmethod
    def _prefix_is_a_folder(cls, value: str) -> str:
        stripped = value.strip("/")
        return f"{stripped}/" if stripped else ""


def _check_secret(secret: str) -> None:
    """Says nothing of the secret itself."""
    try:
        byte_size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        byte_size = 0
    if not secret.startswith("whsec_") or not 24 <= byte_size <= 64:
        raise ValueError("must be whsec_ and the base64 of 24 to 64 bytes")
