"""Pictures that a command leaves: where they go, in which format, and how they are written."""

import io
import os
import secrets
from pathlib import Path

import click
from PIL import Image

OUT = click.Path(path_type=Path, dir_okay=False)


def place_for(asked: Path | None, otherwise: str) -> Path:
    """Where a picture is to go; a name that nobody asked for takes no other file's place.

    Raises click.UsageError before any work where it could not be written there.
    """
    path = asked if asked is not None else Path(otherwise)
    if asked is None and path.exists():
        raise click.UsageError(f"{path} is there already: say where the picture is to go with -o")
    format_of(path)
    if not path.parent.is_dir():
        raise click.UsageError(f"{path}: there is no folder {path.parent}")
    return path


def format_of(path: Path) -> str:
    """Pillow's name of the format that a file's ending asks for. Raises click.UsageError."""
    found = Image.registered_extensions().get(path.suffix.lower())
    if found not in ("PNG", "JPEG", "WEBP", "TIFF", "BMP"):
        raise click.UsageError(f"{path}: name a .png, .jpg, .webp, .tif or .bmp file")
    return found


def write_picture(path: Path, png: bytes) -> None:
    """A PNG's bytes as they are, in any other format drawn anew; whole or not at all."""
    data, wanted = png, format_of(path)
    if wanted != "PNG":
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(png)) as picture:
            picture.convert("RGB").save(buffer, wanted, quality=95)
        data = buffer.getvalue()
    write_whole(path, data)


def write_whole(path: Path, data: bytes) -> None:
    """Raises click's error where it cannot be written."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
