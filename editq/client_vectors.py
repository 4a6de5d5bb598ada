"""What the client asks of the library of editing vectors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from editq.calls import JSON, Calls


class VectorCalls(Calls):
    """The part of Client that is about vectors. Every method may raise EditqError."""

    def list_vectors(
        self,
        *,
        model: str | None = None,
        editing_type: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        limit: int | None = None,
    ) -> Iterator[JSON]:
        """Newest first, the bundled ones too; all of them unless there is a limit. Reports are left out.
        `text` is looked for in names, editing types and tags."""
        asked = {"model": model, "editing_type": editing_type, "tag": tag, "text": text}
        return self._pages("/v1/vectors", asked, limit)

    def get_vector(self, vector_id: str) -> JSON:
        return self._json("GET", f"/v1/vectors/{vector_id}")

    def change_vector(
        self,
        vector_id: str,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        editing_type: str | None = None,
    ) -> JSON:
        """What is None stays as it is; tags take the place of those that there are."""
        asked = {"name": name, "tags": None if tags is None else list(tags), "editing_type": editing_type}
        change = {member: value for member, value in asked.items() if value is not None}
        return self._json("PATCH", f"/v1/vectors/{vector_id}", json=change)

    def delete_vector(self, vector_id: str) -> None:
        self._request("DELETE", f"/v1/vectors/{vector_id}")

    def import_vector(
        self,
        file: Path | bytes,
        *,
        model: str,
        name: str | None = None,
        tags: Sequence[str] = (),
        editing_type: str | None = None,
        q_edit: Sequence[str] = (),
    ) -> JSON:
        """Put a file's vector (safetensors with delta_w, or .npy) into the library. A path's name serves
        where no other is given."""
        data = file.read_bytes() if isinstance(file, Path) else file
        fields: JSON = {
            "model": model,
            "name": name or (file.stem if isinstance(file, Path) else "vector"),
            "tags": list(tags),
            "q_edit": list(q_edit),
        }
        if editing_type is not None:
            fields["editing_type"] = editing_type
        return self._json("POST", "/v1/vectors", files={"file": ("vector", data)}, data=fields)

    def export_vector(self, vector_id: str) -> bytes:
        """A safetensors file with delta_w [L, D], to be kept or imported elsewhere."""
        return self._request("GET", f"/v1/vectors/{vector_id}/content").content

    def vector_file(self, vector_id: str, name: str) -> bytes:
        """One of its files: before and after (PNG), report (JSON), delta_w."""
        return self._request("GET", f"/v1/vectors/{vector_id}/files/{name}").content
