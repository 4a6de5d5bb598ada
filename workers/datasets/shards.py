"""WebDataset: <id>.png, <id>.mask.png and <id>.json beside one another, one sample to its readers."""

from workers.datasets.drafts import Drafts
from workers.datasets.item import Encoded


def add_sample(drafts: Drafts, split: str, encoded: Encoded) -> None:
    item_id = encoded.item.id
    drafts.tar(f"wds-{split}").add(
        [
            (f"{item_id}.png", encoded.picture_png),
            (f"{item_id}.mask.png", encoded.mask_png),
            (f"{item_id}.json", encoded.provenance_json),
        ]
    )
