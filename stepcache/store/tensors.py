"""The codec for torch tensors and state dicts, in the format of safetensors.

    bytes = size of head (8 bytes)  head (JSON)  tensors, one after the other

Any reader of safetensors reads them. Ours maps them: what comes back lies over the stored bytes, copied on write. What
the format has no word for (whether it was one tensor or a dict, its order, a state dict's versions) stands under
"stepcache" in the head's metadata. Nothing of torch is imported unless the value is torch's own.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from stepcache.store.codecs import Declined, Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepcache.store.frame import Buffer

_ALIGNMENT = 64
_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
_NAMES = {short: long for long, short in _DTYPES.items()}


class TensorCodec:
    """The codec called "safetensors"."""

    name = "safetensors"
    safe = True
    types: Sequence[str] = ("torch.Tensor", "builtins.dict", "collections.OrderedDict")

    def takes(self, value: Any) -> bool:
        if "torch" not in sys.modules:
            return False
        if not isinstance(value, dict):
            return describable(value)
        return bool(value) and all(map(_is_named, value.items())) and not _share(list(value.values()))

    def encode(self, value: Any) -> Encoded:
        tensors = value if isinstance(value, dict) else {"tensor": value}
        about = {"kind": _kind(value), "order": list(tensors)}
        if (versions := getattr(value, "_metadata", None)) is not None:
            about["versions"] = _versions(versions)
        elif isinstance(value, OrderedDict) and value.__dict__:
            raise Declined("it has attributes of its own")
        # Widest first, as safetensors has it: each then begins on a multiple of its own width.
        names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
        head: dict[str, Any] = {"__metadata__": {"stepcache": _dumps(about)}}
        parts: list[Buffer] = []
        end = 0
        for name in names:
            start, data = end, content(tensors[name])
            end += len(data)
            parts.append(data)
            shape = list(tensors[name].shape)
            head[name] = {"dtype": short_name(tensors[name]), "shape": shape, "data_offsets": [start, end]}
        text = _dumps(head).encode()
        text += b" " * (-(8 + len(text)) % _ALIGNMENT)
        return Encoded((len(text).to_bytes(8, "little") + text, *parts))

    def decode(self, data: memoryview) -> object:
        size = 8 + int.from_bytes(data[:8], "little")
        head = json.loads(bytes(data[8:size]))
        about = json.loads(head.pop("__metadata__")["stepcache"])
        tensors = {}
        for name in about["order"]:
            start, end = head[name]["data_offsets"]
            tensors[name] = rebuild(head[name]["dtype"], head[name]["shape"], data[size + start : size + end])
        if about["kind"] == "tensor":
            return tensors["tensor"]
        if about["kind"] == "dict":
            return tensors
        ordered = OrderedDict(tensors)
        if "versions" in about:
            ordered._metadata = OrderedDict(about["versions"])  # type: ignore[attr-defined]
        return ordered


def describable(value: Any) -> bool:
    """Whether a tensor comes back from its bytes, type and shape: one in memory, of no graph."""
    torch = sys.modules["torch"]
    return (
        type(value) is torch.Tensor
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.requires_grad
        and not value.is_conj()
        and not value.is_neg()
        and str(value.dtype).removeprefix("torch.") in _DTYPES
        and not value.__dict__
    )


def short_name(tensor: Any) -> str:
    """The type of its elements, as safetensors calls it."""
    return _DTYPES[str(tensor.dtype).removeprefix("torch.")]


def content(tensor: Any) -> memoryview:
    """The bytes of *tensor* in C order: itself where it lies so, else a copy."""
    torch: Any = sys.modules["torch"]
    if not tensor.numel():
        return memoryview(b"")
    try:
        flat = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    except RuntimeError as error:
        raise Declined(f"its bytes cannot be had: {error}") from error
    return memoryview(flat)


def rebuild(short: str, shape: Sequence[int], data: memoryview) -> Any:
    """The tensor over *data*, which it does not copy."""
    import torch

    dtype = getattr(torch, _NAMES[short])
    if not len(data):
        return torch.empty(tuple(shape), dtype=dtype)
    return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(tuple(shape))


def memory(tensor: Any) -> memoryview:
    """All of the memory that *tensor* lies in."""
    torch: Any = sys.modules["torch"]
    return content(torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()))


def view(short: str, shape: Sequence[int], data: memoryview, offset: int, stride: Sequence[int]) -> Any:
    """The tensor that lies so in *data*, which it does not copy."""
    import torch

    storage = torch.frombuffer(data, dtype=torch.uint8).untyped_storage()
    return torch.empty(0, dtype=getattr(torch, _NAMES[short])).set_(storage, offset, tuple(shape), tuple(stride))


def _is_named(item: tuple[object, object]) -> bool:
    name, value = item
    return type(name) is str and name != "__metadata__" and describable(value)


def _share(tensors: Sequence[Any]) -> bool:
    """Whether some lie in one memory: a change to one is then a change to the other, which separate bytes lose."""
    places = [tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()]
    return len(set(places)) < len(places)


def _kind(value: object) -> str:
    return "ordered" if isinstance(value, OrderedDict) else "dict" if isinstance(value, dict) else "tensor"


def _versions(found: object) -> list[list[object]]:
    """What a module says of its state dict, if it is as modules say it."""
    if type(found) is OrderedDict:
        rows: list[list[object]] = [[name, dict(each)] for name, each in found.items() if isinstance(each, dict)]
        try:
            again = json.loads(_dumps(rows))
        except (TypeError, ValueError):
            again = None
        if again == rows and len(rows) == len(found):
            return rows
    raise Declined("its _metadata is no module's")


def _dumps(value: Mapping[str, Any] | list[list[object]]) -> str:
    return json.dumps(value, separators=(",", ":"))
