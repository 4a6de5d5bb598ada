"""The demo: a picture goes through the whole service and comes back with larger wheels."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image
from rich.console import Console
from rich.text import Text

from editq import embedded, report
from editq.calls import JSON
from editq.cli_start import key_for
from editq.client import Client
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
@click.option(
    "--inversion-steps", type=int, default=500, show_default=True, help="To find the picture's code."
)
@click.option("--steps", type=int, default=100, show_default=True, help="To find the edit.")
def demo(picture: Path, out: Path, model: str, inversion_steps: int, steps: int) -> None:
    """Edit PICTURE (a bundled one by default): find its parts, make the wheels 1.4 times as large.

    Uses the service that runs in this folder, or starts one and stops it at the end.
    """
    console = Console(highlight=False)
    try:
        with _service(console) as (address, tick), Client(address, key=key_for(None)) as client:
            edited = Demo(client, console, tick, model, inversion_steps, steps).edit(picture)
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


@dataclass(frozen=True)
class Demo:
    """`tick` is called now and then while a job runs."""

    client: Client
    console: Console
    tick: Callable[[], None]
    model: str
    inversion_steps: int
    steps: int

    def edit(self, picture: Path) -> report.Edited:
        """Upload, invert, edit. Raises DemoFailed, EditqError."""
        began = time.monotonic()
        described = self.client.model(self.model)
        image = self.client.upload_image(picture)
        self.console.print(f"uploaded {picture.name}: {image['width_px']} x {image['height_px']} px")

        find = InvertSpec(model=self.model, image=image["id"], steps=self.inversion_steps)
        inversion = self._run("finding the picture's code", find)
        self._show_mask(self.client.output(inversion["id"], "mask.png"), described)

        change = EditSpec(
            model=self.model, inversion=inversion["id"], mask_operations=(_OPERATION,), steps=self.steps
        )
        edit = self._run(f"making the {_OPERATION.part}s larger", change)
        outputs = {"input.png": self.client.output(inversion["id"], "input.png")}
        outputs |= {
            name: self.client.output(edit["id"], name) for name in edit["outputs"] if name.endswith(".png")
        }
        asked = f"{_OPERATION.part} {_OPERATION.factor} times as large"
        return report.Edited(inversion, edit, outputs, described, asked, time.monotonic() - began)

    def _run(self, label: str, spec: InvertSpec | EditSpec) -> JSON:
        job: JSON = self.client.submit(spec)
        job = watch(self.console, label, self.client.follow(job["id"]), tick=self.tick)
        if job["status"] != "succeeded":
            why = (job.get("error") or {}).get("detail", "no reason given")
            raise DemoFailed(f"{job['kind']} job {job['id']} {job['status']}: {why}")
        return job

    def _show_mask(self, mask: bytes, model: JSON) -> None:
        coloured = self.console.is_terminal and self.console.color_system is not None
        with Image.open(io.BytesIO(mask)) as picture:
            present = (
                {index for _, index in picture.getcolors(256) or []} if picture.mode in ("P", "L") else set()
            )
            if coloured:
                self.console.print(half_blocks(picture, columns=min(64, self.console.width)), end="")
        line = Text("parts found: ")
        for part in (part for part in model["parts"] if part["id"] in present):
            line.append("■ " if coloured else "", style=f"rgb({','.join(map(str, part['colour']))})")
            line.append(f"{part['name']}  ")
        self.console.print(line, soft_wrap=True)


if __name__ == "__main__":
    demo()
