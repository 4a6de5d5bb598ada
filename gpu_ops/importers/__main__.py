"""python -m gpu_ops.importers FILE ... --to FOLDER: import checkpoints; `editq models import` starts it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gpu_ops.importers.importing import import_files, model_name
from gpu_ops.importers.refusals import CheckpointRefused


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gpu_ops.importers",
        description="Import other projects' checkpoints as a model's folder. Nothing in a file is executed.",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="generator, classifiers, vectors")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="a new one; by default the first file's name"
    )
    parser.add_argument("--name", help="of the model; by default the folder's")
    parser.add_argument("--parts", help="names of the classifiers' parts, in order, with commas between")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    folder = options.to or Path(model_name(options.files[0].stem))
    parts = [part.strip() for part in options.parts.split(",")] if options.parts else None
    try:
        description = import_files(options.files, folder, name=options.name, parts=parts)
    except CheckpointRefused as refusal:
        print(f"refused ({refusal.code}): {refusal}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cannot import: {error}", file=sys.stderr)
        return 1
    for each in description["imported"]:
        print(f"{each['file']}  {each['format']}  sha256 {each['sha256'][:16]}")
        for note in each["notes"]:
            print(f"  note: {note}")
    print(f"written: {folder}")
    if "generator" in description["files"]:
        print(f"look at {folder / 'preview.png'}: samples as this project draws them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
