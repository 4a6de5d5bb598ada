"""ONNX files that are hostile, broken, or of another kind: refused in words, by what they ask for."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from importers_refused import in_this_process, leaving_nothing, refused_here
from onnx import TensorProto, helper
from onnx_files import SIZE_PX, Writer, arcface, model, random_network, written

from gpu_ops.graph_identity import Sight
from gpu_ops.importers.identities import import_identity
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader.onnx import MOST_NODES
from gpu_ops.importers.refusals import (
    CheckpointRefused,
    DamagedFile,
    ForbiddenContent,
    LayoutMismatch,
    LimitExceeded,
    UnsupportedNetwork,
)
from gpu_ops.importers.sandbox import read_checkpoint


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with leaving_nothing(tmp_path, monkeypatch):
        yield


def plain(**about: Any) -> onnx.ModelProto:
    """A convolution, flattened."""
    writer = Writer()
    x = writer.node("Conv", "x", writer.constant(np.ones((2, 3, 1, 1), np.float32)))
    writer.nodes.append(helper.make_node("Flatten", [x], ["y"]))
    return model(writer.nodes, writer.constants, **about)


Change = Callable[[onnx.ModelProto], None]


def changed(change: Change) -> bytes:
    made = plain()
    change(made)
    return made.SerializeToString()


def weight(made: onnx.ModelProto) -> TensorProto:
    return made.graph.initializer[0]


def add_node(made: onnx.ModelProto, op: str, inputs: list[str], outputs: list[str], **about: Any) -> None:
    made.graph.node.insert(0, helper.make_node(op, inputs, outputs, **about))


def external(made: onnx.ModelProto) -> None:
    tensor = weight(made)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../../etc/passwd"), ("length", "24")):
        tensor.external_data.add(key=key, value=value)


def dims(*sizes: int) -> Change:
    def change(made: onnx.ModelProto) -> None:
        weight(made).dims[:] = sizes

    return change


def subgraph(made: onnx.ModelProto) -> None:
    branch = plain().graph
    add_node(made, "If", ["x"], ["z"], then_branch=branch, else_branch=branch)


def graph_attribute(made: onnx.ModelProto) -> None:
    made.graph.node[0].attribute.append(helper.make_attribute("group", plain().graph))


def functions(made: onnx.ModelProto) -> None:
    function = helper.make_function("own", "Relu", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
    made.functions.append(function)


def sparse(made: onnx.ModelProto) -> None:
    made.graph.sparse_initializer.add().dims.append(3)


def typed_and_raw(made: onnx.ModelProto) -> None:
    weight(made).float_data.extend([1.0] * 6)


def texts(made: onnx.ModelProto) -> None:
    made.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [1], [b"__import__"]))


def integer_input(made: onnx.ModelProto) -> None:
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def sequence_input(made: onnx.ModelProto) -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [3])
    made.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(tensor))


def second_input(made: onnx.ModelProto) -> None:
    made.graph.input.append(helper.make_tensor_value_info("x2", TensorProto.FLOAT, [1]))


def second_output(made: onnx.ModelProto) -> None:
    made.graph.output.append(
        helper.make_tensor_value_info(made.graph.node[0].output[0], TensorProto.FLOAT, [1])
    )


def cycle(made: onnx.ModelProto) -> None:
    made.graph.node[0].input[0] = "y"


def out_of_order(made: onnx.ModelProto) -> None:
    first = made.graph.node.pop(0)
    made.graph.node.append(first)


def made_twice(made: onnx.ModelProto) -> None:
    made.graph.node.append(made.graph.node[0])


def not_finite(made: onnx.ModelProto) -> None:
    made.graph.node.append(helper.make_node("LeakyRelu", ["x"], ["z"], alpha=float("nan")))


def nodes(count: int) -> Change:
    def change(made: onnx.ModelProto) -> None:
        for index in range(count):
            made.graph.node.append(helper.make_node("Relu", ["x"], [f"z{index}"]))

    return change


HOSTILE: list[tuple[str, Change, type, str]] = [
    ("external", external, ForbiddenContent, "keeps its numbers in another file"),
    ("huge", dims(1 << 40, 1 << 20, 1 << 20), DamagedFile, "has 24 bytes of numbers"),
    ("two gigabytes", dims(1 << 29), DamagedFile, "has 24 bytes of numbers"),
    ("overflow", dims(1 << 62, 1 << 62, 4), DamagedFile, "has 24 bytes of numbers"),
    ("negative", dims(-1, -6), DamagedFile, "whole numbers from 0 up"),
    ("zeros", dims(0, 1 << 62), DamagedFile, "has 24 bytes of numbers"),
    ("dimensions", dims(*[1] * 9), LimitExceeded, "9 dimensions"),
    ("texts", texts, UnsupportedNetwork, "holds texts; numbers were expected"),
    ("both ways", typed_and_raw, DamagedFile, "holds its numbers twice"),
    ("sparse", sparse, UnsupportedNetwork, "sparse constants"),
    ("custom domain", lambda m: add_node(m, "Relu", ["x"], ["z"], domain="com.example"), UnsupportedNetwork,
     "the operator 'Relu' of the domain 'com.example', which is not read here"),
    ("custom operator", lambda m: add_node(m, "RunThis\n" * 99, ["x"], ["z"]), UnsupportedNetwork,
     "the operator 'RunThis"),
    ("python operator", lambda m: add_node(m, "PythonOp", ["x"], ["z"]), UnsupportedNetwork, "'PythonOp'"),
    ("branches", subgraph, UnsupportedNetwork, "the operator 'If'"),
    ("a loop", lambda m: add_node(m, "Loop", ["x"], ["z"]), UnsupportedNetwork, "the operator 'Loop'"),
    ("graph attribute", graph_attribute, UnsupportedNetwork, "Conv has a graph as its attribute"),
    ("functions", functions, UnsupportedNetwork, "functions of its own"),
    ("unknown attribute", lambda m: add_node(m, "Relu", ["x"], ["z"], alpha=1.0), UnsupportedNetwork,
     "Relu has the attribute 'alpha'"),
    ("wrong attribute", lambda m: add_node(m, "Flatten", ["x"], ["z"], axis="one"), LayoutMismatch,
     "of the kind string; int was expected"),
    ("long attribute", lambda m: add_node(m, "Transpose", ["x"], ["z"], perm=[0] * 9999), LimitExceeded,
     "more than 64 numbers"),
    ("not a number", not_finite, LayoutMismatch, "alpha of LeakyRelu is infinite or no number"),
    ("too many inputs", lambda m: add_node(m, "Relu", ["x"] * 999, ["z"]), UnsupportedNetwork, "999 inputs"),
    ("no output", lambda m: add_node(m, "Relu", ["x"], []), UnsupportedNetwork, "0 outputs"),
    ("cycle", cycle, DamagedFile, "'y' is used before it is made"),
    ("itself", lambda m: add_node(m, "Add", ["z", "x"], ["z"]), DamagedFile, "'z' is used before it is made"),
    ("out of order", out_of_order, DamagedFile, "is used before it is made"),
    ("nowhere", lambda m: add_node(m, "Relu", ["nobody"], ["z"]), DamagedFile, "'nobody' is used before"),
    ("made twice", made_twice, DamagedFile, "is made twice"),
    ("over the input", lambda m: add_node(m, "Relu", ["x"], ["x"]), DamagedFile, "'x' is made twice"),
    ("whole numbers in", integer_input, UnsupportedNetwork, "no tensor of 32-bit numbers"),
    ("a sequence in", sequence_input, UnsupportedNetwork, "no tensor of 32-bit numbers"),
    ("two inputs", second_input, UnsupportedNetwork, "2 inputs; one picture was expected"),
    ("two outputs", second_output, UnsupportedNetwork, "2 outputs; one was expected"),
    ("no such output", lambda m: setattr(m.graph.output[0], "name", "q"), DamagedFile, "made by no node"),
    ("old operators", lambda m: setattr(m.opset_import[0], "version", 6), UnsupportedNetwork, "set is 6;"),
    ("new operators", lambda m: setattr(m.opset_import[0], "version", 99), UnsupportedNetwork, "set is 99;"),
    ("no operators", lambda m: m.ClearField("opset_import"), UnsupportedNetwork, "operator set is 0"),
    ("no graph", lambda m: m.ClearField("graph"), DamagedFile, "the file has no graph"),
    ("an empty graph", lambda m: m.graph.Clear(), UnsupportedNetwork, "0 inputs"),
    ("no numbers", lambda m: m.graph.ClearField("initializer"), DamagedFile, "is used before it is made"),
    ("many nodes", nodes(MOST_NODES), LimitExceeded, f"{MOST_NODES} at most are read"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "says"), [case[1:] for case in HOSTILE], ids=[c[0] for c in HOSTILE]
)
def test_what_no_plain_network_has_is_refused(change: Change, error: type, says: str, tmp_path: Path) -> None:
    refusal = refused_here(changed(change), tmp_path)
    assert type(refusal) is error, refusal
    assert says in str(refusal)


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


BEGIN = b"\x08\x08"  # ir_version 8


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (BEGIN + b"\x3a\xff\xff\xff\xff\x07abc", DamagedFile, "field 7 declares 2147483647 bytes; 3 follow"),
        (BEGIN + varint(7 << 3 | 2) + b"\xff" * 9 + b"\x01", DamagedFile, "declares 184467440737095516"),
        (BEGIN + b"\x80" * 11, DamagedFile, "more than ten bytes"),
        (BEGIN + b"\x3a", DamagedFile, "ends within a number"),
        (BEGIN + b"\x00\x01", DamagedFile, "number 0"),
        (BEGIN + b"\x3b", ForbiddenContent, "is a group"),
        (BEGIN + b"\x3f\x01", ForbiddenContent, "of no known kind"),
        (BEGIN + b"\x38\x05", DamagedFile, "field 7 holds a number; bytes were expected"),
        (BEGIN + field(7, b"") * 2, DamagedFile, "two graphs"),
        (BEGIN + field(99, b"x"), DamagedFile, "field 99 of the file is none of ONNX's"),
        (BEGIN + field(7, field(99, b"x")) + field(8, b"\x10\x11"), DamagedFile, "field 99 of the graph"),
        (BEGIN, DamagedFile, "no graph"),
        (b"\x08", DamagedFile, "ends within a number"),
        (BEGIN + b"just text", DamagedFile, ""),
    ],
)  # fmt: skip
def test_bytes_that_are_no_messages_are_refused(data: bytes, error: type, says: str, tmp_path: Path) -> None:
    refusal = refused_here(data, tmp_path)
    assert type(refusal) is error
    assert says in str(refusal)


def test_truncated_anywhere(tmp_path: Path) -> None:
    data = plain().SerializeToString()
    for end in range(1, len(data)):
        refused_here(data[:end], tmp_path)
    in_this_process(data, tmp_path)


def refused_or_not(act: Callable[[], object]) -> CheckpointRefused | None:
    """What it was refused for. Any other error passes through."""
    try:
        act()
    except CheckpointRefused as refusal:
        return refusal
    return None


def test_with_changed_bytes_it_is_read_or_refused_in_words(tmp_path: Path) -> None:
    data, dice, read = plain().SerializeToString(), random.Random(5), 0
    for _ in range(1000):
        spoilt = bytearray(data)
        for _ in range(dice.randint(1, 3)):
            spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
        refusal = refused_or_not(lambda spoilt=spoilt: in_this_process(bytes(spoilt), tmp_path))
        assert str(refusal).isprintable()
        read += refusal is None
    assert 0 < read < 1000


def test_a_spoilt_network_is_imported_or_refused(tmp_path: Path) -> None:
    """All the way: what was read is believed no more than the file."""
    data, dice, made = written(random_network(arcface())).SerializeToString(), random.Random(6), 0
    path = tmp_path / "given.onnx"
    for _ in range(40):
        spoilt = bytearray(data)
        for _ in range(3):  # beside the weights, which are most of the file
            at = dice.randrange(2500)
            spoilt[at] = (spoilt[at] + dice.choice((1, -1, 8, 128))) % 256
        path.write_bytes(spoilt)
        refusal = refused_or_not(lambda: import_identity(read_checkpoint(path), Sight(SIZE_PX)))
        assert str(refusal).isprintable()
        made += refusal is None
    assert made < 40


def many_fields(count: int) -> bytes:
    """A node with so many inputs without a name: two bytes each."""
    graph = plain().graph.SerializeToString() + field(1, b"\x0a\x00" * count)
    return BEGIN + field(7, graph) + field(8, b"\x10\x11")


def test_steps_memory_time_and_tensors_are_limited_where_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "given.onnx"
    path.write_bytes(many_fields(700_000))
    with pytest.raises(LimitExceeded, match="more than 300000"):
        read_checkpoint(path, Limits(pickle_steps=300_000))
    with pytest.raises(LimitExceeded, match=r"longer than 0\.01 s"):
        read_checkpoint(path, Limits(time_s=0.01))
    path.write_bytes(plain().SerializeToString())
    with pytest.raises(LimitExceeded, match="24 bytes together"):
        read_checkpoint(path, Limits(tensor_bytes=23))
    made = plain()
    tensor = made.graph.initializer.add(name="n", data_type=TensorProto.INT64, dims=[1_200_000])
    tensor.int64_data.extend(range(1000, 1_201_000))
    path.write_bytes(made.SerializeToString())
    with pytest.raises(LimitExceeded, match="MiB of memory"):
        read_checkpoint(path, Limits(memory_bytes=1 << 20))


def test_nothing_that_the_file_says_is_passed_on_but_numbers(tmp_path: Path) -> None:
    """Names, notes and makers stay behind: the graph that comes out knows numbers, and known operators."""
    made = written(random_network(arcface()))
    made.producer_name, made.doc_string = "secret maker", "secret note"
    made.graph.name = made.graph.node[0].name = made.graph.node[0].doc_string = "secret name"
    made.metadata_props.add(key="secret key", value="secret value")
    path = tmp_path / "given.onnx"
    path.write_bytes(made.SerializeToString())
    checkpoint = read_checkpoint(path)
    assert "secret" not in repr(checkpoint.facts)
    assert "onnx::" not in repr(checkpoint.facts)
    assert all(name.startswith("v") and name[1:].isdigit() for name in checkpoint.tensors)
