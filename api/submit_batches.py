"""What a batch names must be there, fit its model and belong to the caller, before a row is written.

Its items are not looked at here: that may take minutes, and is the first thing that the batch does.
"""

from api.errors import about
from api.options import check_options
from api.service import service
from api.starting import named_mask
from api.submit_inversions import check_start
from api.submit_vectors import check_uses
from storage.annotations import check_annotated
from storage.batch_specs import BatchInputs, BatchSpec, ManifestInputs, SeedInputs, TarInputs, how_of
from storage.errors import BatchNotEnded, InvalidInput, ModelNotFound
from storage.library_records import Model
from storage.mask_operations import check_operations, copied_masks
from storage.masks import resolve_parts
from storage.specs import EditSpec, InvertSpec, JobOptions
from storage.stores import Stores
from storage.vector_specs import ApplySpec


def check_batch(spec: BatchSpec, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault."""
    wanted = spec.wanted
    check_options(JobOptions(webhook=spec.options.webhook), service().settings)
    model = _model(wanted.model, tenant_id, stores)
    check_annotated(model, wanted.kind)
    check_start(wanted, model)
    how = how_of(spec)
    if how.tune_steps:
        raise InvalidInput(
            "A batch shares one generator between its items.",
            field="spec.tune_steps" if isinstance(wanted, InvertSpec) else "spec.inverting.tune_steps",
            expected="0",
        )
    if isinstance(wanted, ApplySpec):
        check_uses(wanted, model, tenant_id, stores, within="spec.")
    if isinstance(wanted, EditSpec):
        _check_edit(wanted, model, tenant_id, stores)
    _check_inputs(spec, tenant_id, stores)
    if spec.output is not None:
        stores.sources.open(tenant_id, spec.output.bucket, field="output.bucket", writing=True)


def _model(name: str, tenant_id: str, stores: Stores) -> Model:
    with about("spec.model", "the name of a model listed at /v1/models"):
        try:
            return stores.library.get_model(tenant_id, name)
        except ModelNotFound as error:
            error.field = None  # the library knows no place in a request
            raise


def _check_edit(wanted: EditSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    resolve_parts(wanted.q_edit, model.parts, model.groups, field="spec.q_edit")
    within = "spec.mask_operations"
    check_operations(wanted.mask_operations, model.parts, model.groups, field=within)
    for image_id, field in copied_masks(wanted.mask_operations, field=within).items():
        named_mask(image_id, field, model, tenant_id, stores)


def _check_inputs(spec: BatchSpec, tenant_id: str, stores: Stores) -> None:
    inputs = spec.inputs
    bucket = getattr(inputs, "bucket", None)
    stores.sources.open(tenant_id, bucket, field="inputs.bucket")
    match inputs:
        case ManifestInputs(file=str(file)):
            with about("inputs.file", "the id of a file that you uploaded"):
                stores.library.get_file(tenant_id, file)
        case TarInputs(files=files):
            for index, file in enumerate(files):
                with about(f"inputs.files.{index}", "the id of a file that you uploaded"):
                    stores.library.get_file(tenant_id, file)
        case SeedInputs() if isinstance(spec.wanted, InvertSpec):
            raise InvalidInput("Samples have their codes: there is nothing to invert.", field="inputs.type")
        case BatchInputs(batch=earlier):
            with about("inputs.batch", "the id of a batch of yours that has ended"):
                batch = stores.batches.get(tenant_id, earlier)
                if not batch.status.ended:
                    raise BatchNotEnded(f"Batch {batch.id} is {batch.status}.")
                if "errors" not in batch.files:
                    raise InvalidInput(f"Batch {batch.id} has no list of errors (any more).")
