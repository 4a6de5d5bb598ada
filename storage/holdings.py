"""What a library must do, whatever it is kept in. One of the protocols of storage/stores.py."""

from collections.abc import Collection, Iterable
from typing import Protocol

from storage.file_records import File
from storage.library_records import Inversion, Model, Vector
from storage.records import Image, Page


class Library(Protocol):
    """Images, files, models, editing vectors, inversions: as records. What is the system's, every tenant may
    read."""

    def add_image(self, image: Image) -> Image:
        """Removes its key's mark. Raises StorageUnavailable while the object is condemned as garbage: put it
        and try again."""

    def get_image(self, tenant_id: str, image_id: str) -> Image: ...
    def get_images(self, tenant_id: str, image_ids: Collection[str]) -> dict[str, Image]:
        """Those of them that are there, by id."""

    def list_images(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Image]: ...
    def delete_image(self, tenant_id: str, image_id: str) -> Image:
        """Raises ImageInUse while a queued or running job names it, or pastes into it by its inversion."""

    def names_object(self, key: str) -> bool:
        """Whether an image record names this object: ask after delete_image, before deleting the object."""

    def add_file(self, file: File) -> File:
        """The record of this tenant and content: the one that is there already, or this. Marks and condemned
        objects as in add_image."""

    def get_file(self, tenant_id: str, file_id: str) -> File:
        """Raises FileNotFound, also for another tenant's file."""

    def list_files(
        self, tenant_id: str, *, sha256: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[File]:
        """Newest first. `sha256`: the one of this content, if it is there."""

    def delete_file(self, tenant_id: str, file_id: str) -> File:
        """Raises FileInUse while a queued or running job names it, by its id or its digest.

        Its object is then garbage.
        """

    def put_model(self, model: Model) -> Model:
        """Add, or replace the one of the same tenant and name; the same digest again changes nothing.

        Marks and condemned objects as in add_image.
        """

    def get_model(self, tenant_id: str, name: str) -> Model:
        """The tenant's own model of this name, else the system's. Raises ModelNotFound."""

    def delete_model(self, tenant_id: str, name: str) -> Model:
        """With the tenant's vectors that fit its digest. Raises ModelNotFound; Forbidden for the system's;
        ModelInUse while an open job names it. Its objects are then garbage."""

    def list_models(self, tenant_id: str) -> tuple[Model, ...]: ...

    def put_vector(self, vector: Vector) -> Vector:
        """Add, or replace the one of this tenant and id, which keeps its created_at.

        Marks and condemned objects as in add_image.
        """

    def get_vector(self, tenant_id: str, vector_id: str) -> Vector:
        """The tenant's own, or the system's. Raises VectorNotFound."""

    def list_vectors(
        self,
        tenant_id: str,
        *,
        model: str | None = None,
        editing_type: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Vector]:
        """The tenant's own and the system's, newest first. `text`: what name, editing type or a tag holds,
        in whatever case."""

    def change_vector(
        self,
        tenant_id: str,
        vector_id: str,
        *,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        editing_type: str | None = None,
    ) -> Vector:
        """None: as it is. Raises VectorNotFound, or Forbidden for the system's."""

    def delete_vector(self, tenant_id: str, vector_id: str) -> Vector:
        """Raises VectorNotFound; Forbidden for the system's; VectorInUse while an open job names it.

        Its objects are then garbage, unless another record names them.
        """

    def inversion(self, tenant_id: str, digest: str) -> Inversion | None:
        """The saved inversion of this digest, if there is one. It counts as used now."""
