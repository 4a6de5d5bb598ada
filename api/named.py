"""Images and files that a spec names: there, the caller's own, and of the right role."""

from api.errors import about
from api.service import service
from storage.decoders import decode_mask
from storage.errors import InvalidInput
from storage.file_records import File
from storage.masks import Mask
from storage.records import Image, ObjectRef
from storage.stores import Stores


def named_image(image_id: str, field: str, role: str, tenant_id: str, stores: Stores) -> Image:
    """Raises ImageNotFound or InvalidInput, naming the field."""
    with about(field, f"the id of a {role} that you uploaded"):
        image = stores.library.get_image(tenant_id, image_id)
        if image.role != role:
            raise InvalidInput(f"Image {image_id} was uploaded as a {image.role}.")
    return image


def named_file(file_id: str, field: str, tenant_id: str, stores: Stores) -> File:
    """Raises FileNotFound, naming the field."""
    with about(field, "the id of a file that you uploaded"):
        return stores.library.get_file(tenant_id, file_id)


def decoded(ref: ObjectRef, stores: Stores) -> Mask:
    """A mask's part ids."""
    data = stores.objects.get(ref)
    return decode_mask(data, service().settings.max_picture_pixels)
