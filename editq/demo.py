"""The demo: a picture goes through the whole service and comes back with larger wheels."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from PIL import Image
from rich.console import Console

from editq import embedded, report
from editq.client import JSON, Client
from editq.folder import AlreadyRunning, DataFolder
from editq.live import half_blocks, watch
from editq.processes import Interrupted
from storage.errors import EditqError
from storage.specs import EditSpec, InvertSpec, Scale

PICTURE = Path(__file__).resolve().parent.parent / "examples" / "car.jpg"
_OPERATION = Scale(part="wheel", factor=1.4)


class DemoFailed(Exception):
    """A job of the demo did not succeed."""


@click.command()
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=PICTURE)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("demo-out"), show_default=True
)
@click.option("--model", default="cars", show_default=True, help="The model to edit with.")
def demo(picture: Path, out: Path, model: str) -> None:
    """Edit PICTURE (a bundled one by default): find its parts, make the wheels 1.4 times as large.

    Uses the service that runs in this folder, or starts one and stops it at the end.
    """
    console = Console(highlight=False)
    try:
        with _service(console) as (address, tick), Client(address) as client:
            began = time.monotonic()
            edited = _edit(client, console, picture, model, tick, began)
            sheet, summary, figures = report.write(out, edited)
            (out / "mask.png").write_bytes(edited.outputs["mask.png"])
            console.print(report.table(figures))
            console.print(f"pictures: {sheet}\nfigures:  {summary}", soft_wrap=True)
    except Interrupted as interruption:
        console.print("stopped: nothing is left running")
        sys.exit(interruption.exit_status)
    except (DemoFailed, embedded.ServiceFailed, AlreadyRunning, EditqError) as error:
        click.echo(f"demo failed: {error}", err=True)
        sys.exit(1)


@contextlib.contextmanager
def _service(console: Console) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a service, and what to call now and then while it is used."""
    folder = DataFolder.chosen(os.environ)
    address = folder.running_address()
    if address is not None:
        console.print(f"using the service that runs at {address}")
        yield address, lambda: None
        return
    console.print("starting the service ...")
    with embedded.running(folder, say=console.print) as service:
        console.print(f"ready at {service.address} (logs in {folder.logs})", soft_wrap=True)
        yield service.address, service.tend
        console.print("stopping the service ...")


def _edit(
    client: Client, console: Console, picture: Path, model: str, tick: Callable[[], None], began: float
) -> report.Edited:
    """Upload, invert, edit. Raises DemoFailed, EditqError."""
    described = client.model(model)
    image = client.upload_image(picture)
    console.print(f"uploaded {picture.name}: {image['width_px']} x {image['height_px']} px")

    inversion = _run(
        client, console, "finding the picture's code", InvertSpec(model=model, image=image["id"]), tick
    )
    mask = client.output(inversion["id"], "mask.png")
    _show_mask(console, mask, described)

    spec = EditSpec(model=model, inversion=inversion["id"], mask_operations=(_OPERATION,))
    edit = _run(client, console, f"making the {_OPERATION.part}s larger", spec, tick)
    outputs = {"input.png": client.output(inversion["id"], "input.png")}
    outputs |= {name: client.output(edit["id"], name) for name in edit["outputs"] if name.endswith(".png")}
    asked = f"{_OPERATION.part} {_OPERATION.factor} times as large"
    return report.Edited(inversion, edit, outputs, described, asked, time.monotonic() - began)


def _run(
    client: Client, console: Console, label: str, spec: InvertSpec | EditSpec, tick: Callable[[], None]
) -> JSON:
    job = client.submit(spec)
    job = watch(console, label, client.follow(job["id"]), tick=tick)
    if job["status"] != "succeeded":
        error = job.get("error") or {}
        raise DemoFailed(
            f"{job['kind']} job {job['id']} {job['status']}: {error.get('detail', 'no reason given')}"
        )
    return job


def _show_mask(console: Console, mask: bytes, model: JSON) -> None:
    with Image.open(io.BytesIO(mask)) as picture:
        present = (
            {index for _, index in picture.getcolors(256) or []} if picture.mode in ("P", "L") else set()
        )
        parts = [part for part in model["parts"] if part["id"] in present]
        if console.is_terminal and console.color_system:
            console.print(half_blocks(picture, columns=min(64, console.width)), end="")
    names = ", ".join(
        f"[rgb({','.join(map(str, part['colour']))})]■[/] {part['name']}"
        if console.is_terminal and console.color_system
        else part["name"]
        for part in parts
    )
    console.print(f"parts found: {names}", soft_wrap=True)


if __name__ == "__main__":
    demo()
