"""The ranges that the numbers of face scenes are drawn from.

Lengths are fractions of the picture's side at zoom 1: 1/64 is one pixel of the smallest model,
where an eye spans 9.5 to 11.5 px and a face 44 to 49. An identity's numbers are the same in all
its pictures.
"""

from __future__ import annotations

Ranges = dict[str, tuple[float, float]]

IDENTITY_RANGES: Ranges = {
    # the head
    "face_width": (0.318, 0.352),
    "face_length": (0.405, 0.452),
    "jaw_width": (0.72, 0.9),
    "chin_width": (0.34, 0.56),
    "cheek_fullness": (0.0, 1.0),
    "ear_size": (0.8, 1.25),
    "skin_tone": (0.0, 1.0),
    "skin_warmth": (-1.0, 1.0),
    "freckles": (-2.0, 1.0),
    "stubble": (-2.0, 1.0),
    # eyes and brows
    "eye_width": (0.15, 0.178),
    "eye_height": (0.54, 0.68),
    "eye_spacing": (0.143, 0.161),
    "eye_tilt": (-0.08, 0.16),
    "iris_size": (0.045, 0.053),
    "iris_hue": (0.05, 0.62),
    "iris_saturation": (0.3, 0.75),
    "iris_value": (0.42, 0.85),
    "lashes": (0.0, 1.0),
    "lid_shade": (0.0, 1.0),
    "brow_thickness": (0.02, 0.05),
    "brow_height": (0.115, 0.15),
    "brow_length": (0.165, 0.205),
    "brow_arch": (0.0, 1.0),
    "brow_shade": (0.0, 1.0),
    # nose and mouth
    "nose_length": (0.148, 0.19),
    "nose_width": (0.056, 0.092),
    "nose_bridge": (0.018, 0.034),
    "mouth_width": (0.115, 0.155),
    "mouth_height": (0.0, 1.0),
    "upper_lip": (0.024, 0.046),
    "lower_lip": (0.032, 0.058),
    "lip_redness": (0.0, 1.0),
    # hair; its length and volume depend on its style
    "hair_hue": (0.035, 0.115),
    "hair_saturation": (0.25, 0.9),
    "hair_value": (0.1, 0.85),
    "hairline": (0.235, 0.295),
    "fringe": (0.0, 1.0),
    "parting": (-1.0, 1.0),
    "hair_streaks": (0.2, 1.0),
}

HAIR_RANGES: dict[str, Ranges] = {
    "short": {"hair_length": (-0.08, 0.06), "hair_volume": (0.02, 0.06)},
    "long": {"hair_length": (0.42, 0.6), "hair_volume": (0.05, 0.12)},
    "wavy": {"hair_length": (0.4, 0.6), "hair_volume": (0.07, 0.13)},
    "bob": {"hair_length": (0.16, 0.34), "hair_volume": (0.06, 0.12)},
    "curly": {"hair_length": (0.05, 0.4), "hair_volume": (0.05, 0.11)},
    "afro": {"hair_length": (0.0, 0.2), "hair_volume": (0.13, 0.22)},
    "cropped": {"hair_length": (-0.12, -0.02), "hair_volume": (0.0, 0.02)},
    "buns": {"hair_length": (-0.06, 0.02), "hair_volume": (0.015, 0.04)},
    "ponytail": {"hair_length": (-0.06, 0.02), "hair_volume": (0.015, 0.04)},
}

PICTURE_RANGES: Ranges = {
    # expression and gaze
    "smile": (-1.0, 1.0),
    "mouth_open": (-1.2, 1.0),
    "eye_open": (-0.25, 2.0),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
    "brow_lift": (-0.6, 1.0),
    "brow_frown": (-0.9, 0.75),
    "blush": (-0.5, 1.0),
    # the head's place
    "yaw": (-0.36, 0.36),
    "pitch": (-0.16, 0.16),
    "roll": (-0.14, 0.14),
    "zoom": (0.99, 1.1),
    "centre_x": (0.485, 0.515),
    "centre_y": (0.425, 0.455),
    # light
    "light_side": (-1.0, 1.0),
    "light_height": (-0.2, 0.8),
    "light_strength": (0.25, 1.0),
    "light_warmth": (-1.0, 1.0),
    "shine": (0.0, 1.0),
    # glasses, clothes, what is behind
    "glasses_size": (0.0, 1.0),
    "glasses_frame": (0.014, 0.026),
    "glasses_hue": (0.0, 1.0),
    "glasses_value": (0.05, 0.6),
    "clothes_hue": (0.0, 1.0),
    "clothes_saturation": (0.1, 0.7),
    "clothes_value": (0.25, 0.85),
    "neckline_depth": (0.0, 1.0),
    "backdrop_hue": (0.0, 1.0),
    "backdrop_saturation": (0.05, 0.55),
    "backdrop_value": (0.35, 0.95),
    "backdrop_turn": (0.0, 1.0),
    "clutter": (0.0, 1.0),
}
