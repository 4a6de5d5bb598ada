"""`editq vectors`: the library of editing vectors."""

from pathlib import Path

import click
from rich.markup import escape

from editq.cli_service import Desk, asks_service
from editq.tables import vector_table, vectors_table
from editq.vector_folder import told_beside, write_vector

vector_id = click.argument("vector_id", metavar="VECTOR")
tags = click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times.")


@click.group()
def vectors() -> None:
    """List editing vectors, name them, move them in and out."""


@vectors.command("list")
@click.option("--model", help="Only vectors of this model.")
@click.option("--type", "editing_type", help="Only vectors of this editing type.")
@click.option("--tag", help="Only vectors that have this tag.")
@click.option("--text", help="Only those whose name, editing type or tags hold this text.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@asks_service
def list_vectors(
    desk: Desk, model: str | None, editing_type: str | None, tag: str | None, text: str | None, limit: int
) -> None:
    """List vectors, newest first; the bundled ones too."""
    found = list(
        desk.client.list_vectors(model=model, editing_type=editing_type, tag=tag, text=text, limit=limit)
    )
    desk.show(found, vectors_table(found) if found else "No vectors.")


@vectors.command()
@vector_id
@asks_service
def show(desk: Desk, vector_id: str) -> None:
    """Show a vector: what it does, how it was made, at which strengths it works."""
    vector = desk.client.get_vector(vector_id)
    desk.show(vector, vector_table(vector))


@vectors.command()
@vector_id
@click.argument("name", required=False)
@click.option("--type", "editing_type", help="Another editing type.")
@asks_service
def rename(desk: Desk, vector_id: str, name: str | None, editing_type: str | None) -> None:
    """Give a vector another name, or another editing type."""
    if name is None and editing_type is None:
        raise click.UsageError("give a NAME, or --type")
    vector = desk.client.change_vector(vector_id, name=name, editing_type=editing_type)
    desk.show(vector, escape(f"{vector['name']} ({vector['editing_type'] or 'no editing type'})"))


@vectors.command()
@vector_id
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--remove", is_flag=True, help="Take these tags away instead.")
@asks_service
def tag(desk: Desk, vector_id: str, tags: tuple[str, ...], remove: bool) -> None:
    """Add tags to a vector, or take them away."""
    present = desk.client.get_vector(vector_id)["tags"]
    wanted = [tag for tag in present if tag not in tags] if remove else list(dict.fromkeys([*present, *tags]))
    vector = desk.client.change_vector(vector_id, tags=wanted)
    desk.show(vector, escape(", ".join(vector["tags"])) or "no tags")


@vectors.command()
@vector_id
@asks_service
def delete(desk: Desk, vector_id: str) -> None:
    """Delete a vector.

    Refused while a job that has not ended needs it. The bundled ones cannot be deleted.
    """
    desk.client.delete_vector(vector_id)
    desk.show({"id": vector_id, "deleted": True}, "deleted")


@vectors.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE")
@click.option("--model", help="The model whose codes it changes. By default what FILE's .json says, or cars.")
@click.option("--name", help="By default what FILE's .json says, or the file's name.")
@click.option("--type", "editing_type", help="What it does, in a word or two.")
@click.option("--part", "parts", multiple=True, help="A part that it is about; may be given several times.")
@tags
@asks_service
def import_vector(
    desk: Desk,
    file: Path,
    model: str | None,
    name: str | None,
    editing_type: str | None,
    parts: tuple[str, ...],
    tags: tuple[str, ...],
) -> None:
    """Put a file's vector into the library.

    FILE is safetensors with the tensor delta_w, or .npy: float32 [L, D] or [1, L, D]. A .json of the same
    name beside it, as export writes it, says what is not said here. Prints the id of the new vector.
    """
    given = {"model": model, "name": name, "editing_type": editing_type, "q_edit": parts, "tags": tags}
    said = {"model": "cars", **told_beside(file), **{key: value for key, value in given.items() if value}}
    vector = desk.client.import_vector(file, **said)
    desk.show(vector, vector["id"])


@vectors.command()
@vector_id
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="A folder."
)
@asks_service
def export(desk: Desk, vector_id: str, folder: Path) -> None:
    """Write a vector to files.

    They are called by its name: .safetensors with the numbers, .json with what is known of it, and pictures
    of before and after. Nothing is overwritten.
    """
    paths = [str(path) for path in write_vector(desk.client, vector_id, folder)]
    desk.show(paths, escape("\n".join(paths)))
