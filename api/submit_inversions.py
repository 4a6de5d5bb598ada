"""What a spec says of inversions and photographs: it must fit the model and the picture."""

from api.errors import about
from storage.errors import InvalidInput, ModelIncomplete
from storage.inversion_specs import Inverting
from storage.photographs import check_box, original_of
from storage.records import Image, Job, Model
from storage.specs import EditSpec, InvertSpec, JobSpec
from storage.stores import Stores


def check_start(spec: JobSpec, model: Model) -> None:
    """Raises ModelIncomplete where an inversion is to start from an encoder that the model lacks."""
    own = isinstance(spec, Inverting)
    how = spec if own else getattr(spec, "inverting", None)
    if isinstance(how, Inverting) and how.start == "encoder" and "encoder" not in model.files:
        raise ModelIncomplete(
            f"The model {model.name} has no encoder.",
            field="start" if own else "inverting.start",
            expected="w_avg; or a model that a train_encoder job has left",
        )


def check_seen(spec: InvertSpec | EditSpec, image: Image) -> None:
    """The box of a picture that is to be inverted. Raises InvalidInput."""
    if isinstance(spec, InvertSpec):
        check_box(spec.box, image, "box")
    elif spec.photo is not None:
        check_box(spec.photo.box, image, "photo.box")


def check_photograph(spec: EditSpec, inversion: Job, stores: Stores) -> None:
    """What an inversion's edit is to be pasted into. Raises InvalidInput, ImageNotFound."""
    if spec.photo is None:
        return
    if spec.photo.box is not None:
        raise InvalidInput(
            "An inversion brings the box that it was made from.",
            field="photo.box",
            expected="no box, or an image in place of the inversion",
        )
    with about("photo"):
        original_of(inversion, stores.library)
