"""What a spec of a training, or of a measurement, names."""

from api.errors import about
from api.named import decoded, named_image
from api.submit_vectors import named_vector
from storage.annotations import fitted, parts_of
from storage.errors import InvalidInput
from storage.library_records import Model
from storage.specs import JobSpec
from storage.stores import Stores
from storage.training_specs import EvaluateSpec, TrainEncoderSpec, TrainGeneratorSpec, TrainSegmenterSpec


def check_training(spec: JobSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault. Specs of other kinds pass."""
    if isinstance(spec, TrainSegmenterSpec):
        _check_annotations(spec, model, tenant_id, stores)
    elif isinstance(spec, TrainGeneratorSpec | TrainEncoderSpec):
        _check_pictures(spec.images, tenant_id, stores)
        if "perceptual" not in model.files:
            raise InvalidInput(f"The model {model.name} has no perceptual backbone.", field="model")
    elif isinstance(spec, EvaluateSpec):
        _check_pictures(spec.images, tenant_id, stores)
        if spec.vector is not None:
            named_vector(spec.vector, "vector", model, tenant_id, stores)


def _check_annotations(spec: TrainSegmenterSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    parts = parts_of(spec, model)
    for index, annotation in enumerate(spec.annotations):
        field, picture_px = f"annotations.{index}", None
        if annotation.image is not None:
            shown = named_image(annotation.image, f"{field}.image", "picture", tenant_id, stores)
            picture_px = (shown.width_px, shown.height_px)
        mask = named_image(annotation.mask, f"{field}.mask", "mask", tenant_id, stores)
        with about(f"{field}.mask"):
            found = decoded(mask.object, stores)
            fitted(found, model.resolution_px, parts, field=f"{field}.mask", picture_px=picture_px)


def _check_pictures(images: tuple[str, ...], tenant_id: str, stores: Stores) -> None:
    for image_id in dict.fromkeys(images):
        named_image(image_id, f"images.{images.index(image_id)}", "picture", tenant_id, stores)
