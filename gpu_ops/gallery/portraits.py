"""Portraits in styles that no model saw, edited with vectors that were learned on ordinary faces."""

from gpu_ops.gallery.sections import Figure, Section
from gpu_ops.gallery.sheet import Tile, rendered, sheet
from gpu_ops.gallery.shown import Shown, Subject
from gpu_ops.gallery.strengths import told
from gpu_ops.gallery.table import scene_of
from gpu_ops.refine import look, refine
from gpu_ops.scenes.portraits import STYLES, render
from gpu_ops.training.applied import Vector
from gpu_ops.training.console import report
from gpu_ops.training.portraits import LAMBDA_PRIOR, STRENGTH, both


def draw_portraits(shown: Shown) -> Section:
    """Of a domain that has portraits. Raises NotShown."""
    names = shown.show.portrait_vectors
    assert names is not None
    one, other = (shown.vector(name) for name in names)
    vectors = {names[0]: one, names[1]: other, "both": both(one, other)}
    styles = list(STYLES)
    scenes = [scene_of(shown.scenes, seed) for seed in shown.show.portraits]
    size_px = shown.bundle.resolution_px
    drawn = [render(scene, style, size_px) for scene, style in zip(scenes, styles, strict=True)]
    subjects = shown.inverted(drawn, shown.effort.portrait, LAMBDA_PRIOR)
    rows = [
        [
            rendered(subject.picture, subject.exact, f"{style},"),
            Tile(subject.before.pictures[0], subject.before.masks[0]),
            *(_refined(shown, subject, vector, f"{style}, {name}") for name, vector in vectors.items()),
        ]
        for subject, style in zip(subjects, styles, strict=True)
    ]
    image = sheet(f"{shown.name}: portraits", ("portrait", "inversion", *vectors), rows, shown.palette)
    text = (
        f"No model saw these styles. Each portrait is inverted in {shown.effort.portrait} steps, a prior "
        "keeping its code among those of ordinary faces (`lambda_prior`); vectors that were learned on such "
        f"faces are applied at strength {STRENGTH:g} and refined in {shown.effort.refinement} steps, one at "
        "a time, and both at once."
    )
    shows = f"a drawing, a cubist face and a sculpture, with {names[0]}, {names[1]}, and both"
    return Section("Portraits outside the domain", text, (Figure(f"{shown.name}-portraits", image, shows),))


def _refined(shown: Shown, subject: Subject, vector: Vector, title: str) -> Tile:
    w_plus, delta_w = subject.w_plus, STRENGTH * vector.delta_w.to(subject.w_plus)[None]
    target = look(shown.bundle, w_plus + delta_w).masks[0]
    run = refine(shown.bundle, w_plus, delta_w, vector.q_edit, steps=shown.effort.refinement)
    refined = look(shown.bundle, w_plus + report(run, title).delta_w)
    return Tile(refined.pictures[0], refined.masks[0], told(subject.leak_db(refined, target, vector.q_edit)))
