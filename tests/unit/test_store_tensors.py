"""torch tensors and state dicts: in the format of safetensors, mapped, exactly the same again."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from stepcache.store import Codecs, Scratch, Seal, Store, StoreSettings, open_store
from stepcache.store.content import measured

torch = pytest.importorskip("torch")
CODECS = Codecs.builtin()

DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
)  # fmt: skip


def again(value: Any) -> tuple[str, Any]:
    codec, encoded = CODECS.encode(value)
    return codec.name, codec.decode(memoryview(bytearray(b"".join(encoded.parts))))


def digest(value: Any) -> str:
    codec, encoded = CODECS.encode(value)
    return measured(codec.name, encoded).digest


def same(one: Any, two: Any) -> bool:
    return bool(type(one) is type(two) is torch.Tensor and one.dtype == two.dtype and torch.equal(one, two))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
def test_tensors_come_back(dtype: str, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape) * 10).to(getattr(torch, dtype))
    codec, back = again(tensor)
    assert codec == "safetensors"
    assert same(tensor, back)
    assert back.shape == shape
    assert digest(tensor) == digest(tensor.clone())


def test_how_it_lies_in_memory_does_not_count() -> None:
    tensor = torch.arange(12).reshape(3, 4)
    assert digest(tensor.t().contiguous()) == digest(tensor.t())
    assert same(again(tensor[:, ::2])[1], tensor[:, ::2])


def test_a_state_dict_comes_back_with_its_order_and_versions() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = module.state_dict()
    codec, back = again(state)
    assert codec == "safetensors"
    assert type(back) is OrderedDict
    assert list(back) == list(state)
    assert all(same(back[name], state[name]) for name in state)
    assert back._metadata == state._metadata
    assert type(back._metadata) is OrderedDict
    torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).load_state_dict(back)


def test_a_dict_of_tensors_stays_a_dict() -> None:
    value = {"b": torch.ones(3, dtype=torch.int8), "a": torch.zeros(2, 2, dtype=torch.float64)}
    codec, back = again(value)
    assert (codec, type(back), list(back)) == ("safetensors", dict, ["b", "a"])
    assert all(same(back[name], value[name]) for name in value)


def test_any_reader_of_safetensors_reads_it() -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    value = {
        "b": torch.ones(3, dtype=torch.int8),
        "a": torch.rand(5, dtype=torch.float64),
        "c": torch.rand(2).bfloat16(),
    }
    _, encoded = CODECS.encode(value)
    read = safetensors.load(b"".join(encoded.parts))
    assert all(same(read[name], value[name]) for name in value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": 1},
        {1: torch.ones(2)},
        torch.ones(2, requires_grad=True),
        torch.ones(2, dtype=torch.complex128),
        torch.eye(3).to_sparse(),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=["empty", "number", "numbered", "with a gradient", "complex128", "sparse", "parameter"],
)
def test_what_the_format_does_not_hold_goes_elsewhere(value: Any) -> None:
    codec, back = again(value)
    assert codec in ("plain", "pickle")
    assert type(back) is type(value)
    if isinstance(value, torch.Tensor):
        assert torch.equal(back.to_dense(), value.to_dense())
        assert back.requires_grad == value.requires_grad


def test_tensors_within_other_objects_have_digests_of_their_own_bytes() -> None:
    module = torch.nn.Linear(4, 4)
    codec, back = again(module)
    assert codec == "pickle"
    assert torch.equal(back.weight, module.weight)
    assert type(back.weight) is torch.nn.Parameter
    assert digest(module) == digest(again(module)[1])
    assert digest([torch.ones(3)]) == digest([torch.ones(3)])


def test_tensors_that_share_memory_still_do() -> None:
    whole = torch.zeros(4)
    codec, back = again({"whole": whole, "half": whole[:2]})
    assert codec == "pickle"
    back["whole"][0] = 7
    assert back["half"][0] == 7
    tied = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    tied[1].weight = tied[0].weight
    _, back = again(tied)
    assert back[0].weight is back[1].weight


def test_a_large_tensor_is_mapped_and_its_owns(tmp_path: Path) -> None:
    store = open_store(
        tmp_path / "cache", project="/p", seal=Seal(b"k" * 32), codecs=CODECS, settings=StoreSettings(formats="safe")
    )
    assert isinstance(store, Store)
    tensor = torch.rand(200_000)
    value = store.save(tensor)
    one, two = store.load(value), store.load(value)
    assert same(one, tensor)
    one[0] = -1  # type: ignore[index]
    assert same(two, tensor)
    assert same(store.load(value), tensor)
    store.close()


def test_the_scratch_area_takes_them_too() -> None:
    scratch = Scratch(CODECS, formats="safe")
    value = scratch.save({"w": torch.ones(3)}, "safetensors")
    assert same(scratch.load(value)["w"], torch.ones(3))  # type: ignore[index]
    scratch.close()
