"""Masks and mask operations for Hypothesis to choose among."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_trial import GROUPS, NAMES

from storage.mask_specs import (
    Copy,
    Grow,
    MaskOperation,
    Mirror,
    Polygon,
    Relabel,
    Remove,
    Rotate,
    Scale,
    Shift,
    Shrink,
    Swap,
)

OTHER = "0" * 32

masks = arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 4))
blots = st.builds(  # larger shapes than noise has
    lambda mask, times: np.kron(mask, np.ones((times, times), np.uint8)),
    arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 4)),
    st.integers(1, 4),
)
some_masks = st.one_of(masks, blots)
some_parts = st.sampled_from([*NAMES, *GROUPS])
single_parts = st.sampled_from(NAMES)
some_pieces = st.one_of(st.sampled_from(["all", "largest", "left", "right"]), st.integers(0, 3))
some_factors = st.floats(0.1, 10)
some_offsets = st.integers(-30, 30)
some_points = st.tuples(st.floats(-5, 30), st.floats(-5, 30))

some_operations: dict[type, st.SearchStrategy[MaskOperation]] = {
    Grow: st.builds(Grow, part=some_parts, piece=some_pieces, px=st.integers(-64, 64)),
    Shrink: st.builds(Shrink, part=some_parts, piece=some_pieces, px=st.integers(0, 64)),
    Shift: st.builds(Shift, part=some_parts, piece=some_pieces, dx_px=some_offsets, dy_px=some_offsets),
    Scale: st.builds(
        lambda factors, **rest: Scale(**factors, **rest),
        factors=st.one_of(
            st.fixed_dictionaries({"factor": some_factors}),
            st.fixed_dictionaries({"factor_x": some_factors}, optional={"factor_y": some_factors}),
        ),
        part=some_parts,
        piece=some_pieces,
        anchor=st.sampled_from(["centre", "bottom", "top", "left", "right"]),
        about=st.sampled_from(["piece", "part"]),
    ),
    Rotate: st.builds(
        Rotate,
        part=some_parts,
        piece=some_pieces,
        degrees=st.floats(-360, 360),
        about=st.sampled_from(["piece", "part"]),
    ),
    Mirror: st.builds(
        Mirror,
        part=some_parts,
        piece=some_pieces,
        direction=st.sampled_from(["horizontal", "vertical"]),
        about=st.sampled_from(["piece", "part", "picture"]),
    ),
    Remove: st.builds(Remove, part=some_parts, piece=some_pieces),
    Relabel: st.builds(Relabel, part=some_parts, piece=some_pieces, into=single_parts),
    Swap: st.lists(single_parts, min_size=2, max_size=2, unique=True).map(
        lambda names: Swap(part=names[0], other=names[1])
    ),
    Polygon: st.builds(
        Polygon,
        into=single_parts,
        points=st.lists(some_points, min_size=3, max_size=6).map(tuple),
        only=st.lists(some_parts, max_size=2).map(tuple),
    ),
    Copy: st.builds(
        Copy,
        part=some_parts,
        piece=some_pieces,
        mask=st.just(OTHER),
        dx_px=some_offsets,
        dy_px=some_offsets,
    ),
}
any_operation = st.one_of(*some_operations.values())
moving = st.one_of(*(some_operations[kind] for kind in (Shift, Scale, Rotate, Mirror)))
