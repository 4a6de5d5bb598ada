"""The operators of ONNX that are read here, and what each may be told. Standard library only: the reading
process uses this too.

All others are refused by name. Source: the specification of ONNX's operators, versions 7 and later.
"""

from dataclasses import dataclass, field

OLDEST, NEWEST = 7, 24  # operator sets of the main domain
DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Operator:
    """attributes  by name: int, float, string, ints or floats
    inputs         fewest and most; an optional one may be left out
    static         inputs that must be constants, by place
    """

    inputs: tuple[int, int]
    attributes: dict[str, str] = field(default_factory=dict)
    static: tuple[int, ...] = ()


_WINDOW = {"auto_pad": "string", "kernel_shape": "ints", "pads": "ints", "strides": "ints"}
_REDUCE = Operator((1, 2), {"axes": "ints", "keepdims": "int", "noop_with_empty_axes": "int"}, (1,))
_ONE, _TWO = Operator((1, 1)), Operator((2, 2))

OPERATORS: dict[str, Operator] = {
    "Abs": _ONE,
    "Add": _TWO,
    "AveragePool": Operator(
        (1, 1), {**_WINDOW, "ceil_mode": "int", "count_include_pad": "int", "dilations": "ints"}
    ),
    "BatchNormalization": Operator(
        (5, 5),
        {"epsilon": "float", "momentum": "float", "spatial": "int", "training_mode": "int"},
        (1, 2, 3, 4),
    ),
    "Clip": Operator((1, 3), {"min": "float", "max": "float"}, (1, 2)),
    "Concat": Operator((1, 64), {"axis": "int"}),
    "Constant": Operator(
        (0, 0),
        {
            "value": "tensor",
            "value_float": "float",
            "value_floats": "floats",
            "value_int": "int",
            "value_ints": "ints",
        },
    ),
    "Conv": Operator((2, 3), {**_WINDOW, "dilations": "ints", "group": "int"}, (1, 2)),
    "Div": _TWO,
    "Dropout": Operator((1, 3), {"ratio": "float", "seed": "int"}, (1, 2)),
    "Elu": Operator((1, 1), {"alpha": "float"}),
    "Flatten": Operator((1, 1), {"axis": "int"}),
    "Gemm": Operator((2, 3), {"alpha": "float", "beta": "float", "transA": "int", "transB": "int"}),
    "GlobalAveragePool": _ONE,
    "GlobalMaxPool": _ONE,
    "HardSigmoid": Operator((1, 1), {"alpha": "float", "beta": "float"}),
    "HardSwish": _ONE,
    "Identity": _ONE,
    "LeakyRelu": Operator((1, 1), {"alpha": "float"}),
    "LpNormalization": Operator((1, 1), {"axis": "int", "p": "int"}),
    "MatMul": _TWO,
    "MaxPool": Operator((1, 1), {**_WINDOW, "ceil_mode": "int", "dilations": "ints", "storage_order": "int"}),
    "Mul": _TWO,
    "Neg": _ONE,
    "PRelu": Operator((2, 2), {}, (1,)),
    "Pad": Operator((1, 3), {"mode": "string", "pads": "ints", "value": "float"}, (1, 2)),
    "Pow": Operator((2, 2), {}, (1,)),
    "ReduceL2": _REDUCE,
    "ReduceMean": _REDUCE,
    "ReduceSum": _REDUCE,
    "Relu": _ONE,
    "Reshape": Operator((2, 2), {"allowzero": "int"}, (1,)),
    "Sigmoid": _ONE,
    "Sqrt": _ONE,
    "Squeeze": Operator((1, 2), {"axes": "ints"}, (1,)),
    "Sub": _TWO,
    "Tanh": _ONE,
    "Transpose": Operator((1, 1), {"perm": "ints"}),
    "Unsqueeze": Operator((1, 2), {"axes": "ints"}, (1,)),
}
