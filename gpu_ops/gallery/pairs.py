"""Two vectors, each alone and both together, on two pictures."""

from gpu_ops.gallery.sections import Figure, Section
from gpu_ops.gallery.sheet import Tile, rendered, sheet
from gpu_ops.gallery.shown import Shown, Subject
from gpu_ops.gallery.strengths import told
from gpu_ops.refine import look
from gpu_ops.vectors import Use, compose


def draw_pair(shown: Shown) -> Section:
    """Raises NotShown."""
    one, other = shown.show.pair
    subjects = shown.subjects(shown.show.pair_subjects)
    rows = [
        [
            rendered(subject.picture, subject.exact),
            Tile(subject.before.pictures[0], subject.before.masks[0]),
            *(_applied(shown, subject, names) for names in ((one,), (other,), (one, other))),
        ]
        for subject in subjects
    ]
    heads = ("render", "inversion", one, other, "both")
    image = sheet(f"{shown.name}: two vectors", heads, rows, shown.palette)
    text = (
        "Vectors add up: both at strength 1, in one forward pass. Outside means outside the regions of all "
        "that were applied."
    )
    figure = Figure(f"{shown.name}-pair", image, f"two pictures with {one}, with {other}, and with both")
    return Section("Two vectors at once", text, (figure,))


def _applied(shown: Shown, subject: Subject, names: tuple[str, ...]) -> Tile:
    vectors = [shown.vector(name) for name in names]
    uses = [Use(vector.delta_w, 1.0, name) for vector, name in zip(vectors, names, strict=True)]
    applied = look(shown.bundle, compose(subject.w_plus, uses))
    q_edit = tuple(sorted({part for vector in vectors for part in vector.q_edit}))
    return Tile(
        applied.pictures[0], applied.masks[0], told(subject.leak_db(applied, applied.masks[0], q_edit))
    )
