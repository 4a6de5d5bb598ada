"""The networks of the first StyleGAN2, TensorFlow's, within a pickle.

Each is an object with a state: arguments, components, variables as arrays, and the source that built it,
which ordinary loading executes and which is not looked at.
"""

from gpu_ops.importers.reader.contents import Contents, plain
from gpu_ops.importers.reader.nodes import Call, Value, described
from gpu_ops.importers.reader.tensors import numpy_array
from gpu_ops.importers.refusals import DamagedFile, LayoutMismatch

NETWORK = "dnnlib.tflib.network.Network"


def read_tensorflow(root: Call) -> Contents:
    """The network Gs: the variables of its own and of its components, named by component."""
    state = _tensorflow_state(root, "Gs")
    contents = Contents("tensorflow")
    contents.facts = {"version": plain(state.get("version")), "kwargs": plain(state.get("static_kwargs", {}))}
    _add_variables(contents, "", state)
    components = state.get("components")
    if not isinstance(components, dict) or not {"mapping", "synthesis"} <= components.keys():
        raise LayoutMismatch("the network Gs has no components 'mapping' and 'synthesis'")
    for name in ("mapping", "synthesis"):
        below = _tensorflow_state(components[name], name)
        contents.facts[name] = plain(below.get("static_kwargs", {}))
        _add_variables(contents, f"{name}/", below)
    return contents


def _tensorflow_state(value: Value, name: str) -> dict[Value, Value]:
    if not isinstance(value, Call) or value.name != NETWORK:
        raise LayoutMismatch(f"{name} is {described(value)}; a dnnlib.tflib.network.Network was expected")
    if not isinstance(value.state, dict):
        raise DamagedFile(f"the network {name} has no state")
    return value.state


def _add_variables(contents: Contents, prefix: str, state: dict[Value, Value]) -> None:
    variables = state.get("variables")
    if not isinstance(variables, list):
        raise DamagedFile(f"the network {prefix or 'Gs'} has no list of variables")
    for pair in variables:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise DamagedFile(
                f"a variable of {prefix or 'Gs'} is {described(pair)}; (name, array) was expected"
            )
        array = numpy_array(pair[1])
        if array is None:
            raise LayoutMismatch(f"{prefix}{pair[0]} is {described(pair[1])}; an array was expected")
        contents.add(prefix + pair[0], array)
