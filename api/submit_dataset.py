"""What the spec of a data set names, and whether it may have so many shards."""

from api.submit_vectors import named_vector
from storage.dataset_specs import MOST_SHARDS, GenerateDatasetSpec
from storage.errors import InvalidInput
from storage.library_records import Model
from storage.masks import resolve_parts
from storage.stores import Stores


def check_dataset(spec: GenerateDatasetSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault."""
    for index, use in enumerate(spec.vectors):
        named_vector(use.vector, f"vectors.{index}.vector", model, tenant_id, stores)
    if spec.balance is not None:
        resolve_parts(spec.balance.parts, model.parts, model.groups, field="balance.parts")
    shards = spec.most_shards(spec.count, model.resolution_px)
    if shards > MOST_SHARDS:
        raise InvalidInput(
            f"{spec.count} pictures of {model.resolution_px} px may take {shards} shards.",
            field="shard_bytes",
            expected=f"larger shards, or a smaller count: at most {MOST_SHARDS} shards of a format",
        )
