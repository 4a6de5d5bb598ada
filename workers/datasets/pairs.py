"""PNG pairs: <split>/pictures/<id>.png and <split>/masks/<id>.png, with <split>/provenance/<id>.json."""

from workers.datasets.drafts import Drafts
from workers.datasets.item import Encoded


def add_pair(drafts: Drafts, split: str, encoded: Encoded) -> None:
    item_id = encoded.item.id
    drafts.tar(f"pairs-{split}").add(
        [
            (f"{split}/pictures/{item_id}.png", encoded.picture_png),
            (f"{split}/masks/{item_id}.png", encoded.mask_png),
            (f"{split}/provenance/{item_id}.json", encoded.provenance_json),
        ]
    )
