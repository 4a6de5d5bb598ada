"""The names that a pickle may mention. Everything else is refused, and none of these is ever looked up."""

from collections.abc import Mapping

from gpu_ops.importers.reader.dtypes import STORAGES
from gpu_ops.importers.reader.nodes import Use

_TENSORS = {
    "torch._utils._rebuild_tensor": Use.CALL,
    "torch._utils._rebuild_tensor_v2": Use.CALL,
    "torch._utils._rebuild_parameter": Use.CALL,
}
_ARRAYS = {
    "numpy.ndarray": Use.NAME,
    "numpy.dtype": Use.CALL,
    "_codecs.encode": Use.CALL,  # how bytes are written in protocol 2
} | {
    f"numpy.{core}.{name}": Use.CALL
    for core in ("core", "_core")
    for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
}
_PLAIN = {
    "collections.OrderedDict": Use.TABLE,
    "builtins.set": Use.CALL,  # sets, before protocol 4
    "__builtin__.set": Use.CALL,
}
_STORAGES = dict.fromkeys(STORAGES, Use.NAME)

# a file of torch.save: tensors by persistent id, and the command line of a training run
TORCH: Mapping[str, Use] = _TENSORS | _ARRAYS | _PLAIN | _STORAGES | {"argparse.Namespace": Use.RECORD}

# a storage within a pickle, which is a file of torch.save by itself
STORAGE: Mapping[str, Use] = _STORAGES

# a pickle of whole networks
PICKLE: Mapping[str, Use] = (
    _TENSORS
    | _ARRAYS
    | _PLAIN
    | {
        "torch.storage._load_from_bytes": Use.CALL,
        "torch_utils.persistence._reconstruct_persistent_obj": Use.CALL,
        "dnnlib.util.EasyDict": Use.TABLE,
        "dnnlib.tflib.network.Network": Use.RECORD,
    }
)
