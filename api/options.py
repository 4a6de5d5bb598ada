"""How a job is to be treated: what cannot be kept is refused before a row is written."""

from urllib.parse import urlsplit

from storage.addresses import literal_address, networks_of, permitted
from storage.errors import InvalidInput
from storage.records import Job
from storage.settings import Settings
from storage.specs import JobOptions, Webhook

PUBLIC_URL = "an http or https URL of a public host, without user and password"


def check_options(options: JobOptions, settings: Settings) -> None:
    """Raises InvalidInput that names the member at fault."""
    start_s, finish_s = options.start_within_s, options.finish_within_s
    if start_s is not None and finish_s is not None and start_s > finish_s:
        raise InvalidInput(
            "A job cannot begin later than it must have ended.",
            field="options.start_within_s",
            expected="at most finish_within_s",
        )
    if options.webhook is not None:
        _check_webhook(options.webhook, settings)


def options_of(job: Job) -> JobOptions:
    """The options that a job was submitted with, its times counted from now again."""
    return JobOptions(
        priority=job.priority,
        start_within_s=_within(job.start_by, job),
        finish_within_s=_within(job.finish_by, job),
        keep_s=job.keep_s,
        webhook=None if job.webhook is None else Webhook.model_validate(job.webhook),
    )


def _within(moment: float | None, job: Job) -> float | None:
    return None if moment is None else round(moment - job.created_at, 3)


def _check_webhook(webhook: Webhook, settings: Settings) -> None:
    if settings.webhook_secret is None:
        raise InvalidInput(
            "This service sends no webhooks: it has no secret to sign them with (EDITQ_WEBHOOK_SECRET).",
            field="options.webhook",
            expected="no webhook",
        )
    host = _host(webhook.url)
    if host is None:
        raise InvalidInput(
            "A webhook cannot be sent to this URL.", field="options.webhook.url", expected=PUBLIC_URL
        )
    address = literal_address(host)
    if address is not None and not permitted(address, networks_of(settings.webhook_networks)):
        raise InvalidInput(
            "Webhooks are not sent to private addresses (EDITQ_WEBHOOK_NETWORKS allows some).",
            field="options.webhook.url",
            expected=PUBLIC_URL,
        )


def _host(url: str) -> str | None:
    """None for a URL that cannot be called, or would show a password in every view of its job."""
    try:
        parts = urlsplit(url)
        callable_ = parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return None
    return parts.hostname if callable_ else None
