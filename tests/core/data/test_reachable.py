"""What the walk of the leakage guard finds, in whatever it is hidden, and what it lets pass."""

from __future__ import annotations

import array
import collections
import ctypes
import functools
import itertools
import mmap
import operator
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from scipy import sparse

from dygenept.data.reachable import MAX_OBJECTS, reachable, reachable_arrays
from dygenept.errors import LeakageError
from dygenept.types import Condition, Perturbation

Array = npt.NDArray[np.float64]


class Text(str):
    """A text that may have attributes."""


class Number(int):
    """A number that may have attributes."""


class Matrix(np.ndarray):
    """An array that may have attributes."""


class Words(dict[str, object]):
    """A dict that shows nothing of what it contains."""

    def items(self) -> Any:
        return ()


class Row(list[object]):
    """A list that shows nothing of what it contains."""

    def __iter__(self) -> Iterator[object]:
        return iter(())


class Pair(tuple[object, ...]):
    """A tuple that may have attributes."""


class Label(Condition):
    """A condition that may have attributes, as it declares no slots."""


class Hidden:
    """Its slot has another name than it says."""

    __slots__ = ("__values",)

    def __init__(self, values: object) -> None:
        self.__values = values


class Slotted:
    __slots__ = ("values",)


class Shadowed(Slotted):
    values = None


class Secretive:
    """What it says of its attributes is nothing."""

    def __init__(self, values: object) -> None:
        object.__setattr__(self, "values", values)

    __dict__ = {}  # type: ignore[assignment]


class Empty(Mapping[str, object]):
    """A mapping without entries."""

    def __init__(self, values: object) -> None:
        self.values_of = values

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: str) -> object:
        return self.values_of


class Lazy(Empty):
    """A mapping that reads its entries when they are asked for."""

    def __iter__(self) -> Iterator[str]:
        raise OSError("the file was moved")


class Endless(Empty):
    """A mapping that computes entries for ever."""

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())


class Holder:
    def __init__(self, values: object) -> None:
        self.values = values
        self.itself = self

    def read(self) -> object:
        return self.values


# What weak references point to has to be alive.
KEPT: list[object] = []


def kept(values: Array) -> Holder:
    KEPT.append(Holder(values))
    return KEPT[-1]  # type: ignore[return-value]


def with_attribute(item: Any, values: Array) -> object:
    item.values = values
    return item


def shadowed(values: Array) -> object:
    item = Shadowed()
    Slotted.values.__set__(item, values)  # type: ignore[attr-defined]
    return item


def generated(values: Array) -> Iterator[object]:
    yield 1
    yield values


def started(values: Array) -> object:
    generator = generated(values)
    next(generator)
    return generator


def remembering(values: Array) -> object:
    @functools.lru_cache
    def read(holder: Holder) -> int:
        return id(holder)

    read(Holder(values))
    return read


def function_with_attribute(values: Array) -> object:
    def read() -> None:
        """Read nothing."""

    return with_attribute(read, values)


def of_a_local_class(values: Array) -> object:
    class Local:
        def read(self) -> object:
            return values

    return Local()


def with_a_class_attribute(values: Array) -> object:
    class Local:
        kept = values

    return Local()


def structured(values: Array) -> object:
    records = np.zeros(2, dtype=[("n", "i4"), ("inner", [("any", object)])])
    records["inner"]["any"][1] = values
    return records


def tensor_that_learns(values: Array) -> object:
    layer = torch.nn.Linear(2, 2)
    layer.bias = torch.nn.Parameter(torch.from_numpy(values)[0, :2])
    return layer


def weakly_valued(values: Array) -> object:
    found: weakref.WeakValueDictionary[str, Holder] = weakref.WeakValueDictionary()
    found["a"] = kept(values)
    return found


HIDDEN: dict[str, Callable[[Array], object]] = {
    "text": lambda values: with_attribute(Text("a"), values),
    "number": lambda values: with_attribute(Number(1), values),
    "array_with_attribute": lambda values: with_attribute(np.zeros(3).view(Matrix), values),
    "dict_that_shows_nothing": lambda values: Words(a=values),
    "list_that_shows_nothing": lambda values: Row([values]),
    "tuple_with_attribute": lambda values: with_attribute(Pair((1,)), values),
    "mangled_slot": Hidden,
    "shadowed_slot": shadowed,
    "no_dict_to_see": Secretive,
    "empty_mapping": Empty,
    "generator": started,
    "generator_not_begun": generated,
    "weak_reference": lambda values: weakref.ref(kept(values)),
    "weak_proxy": lambda values: weakref.proxy(kept(values)),
    "weak_method": lambda values: weakref.WeakMethod(kept(values).read),
    "weak_values": weakly_valued,
    "cache_of_a_function": remembering,
    "attribute_of_a_function": function_with_attribute,
    "local_class": of_a_local_class,
    "attribute_of_a_local_class": with_a_class_attribute,
    "structured_array": structured,
    "metadata_of_a_type": lambda values: np.zeros(
        2, dtype=np.dtype("f8", metadata={"values": values})
    ),
    "tensor": torch.from_numpy,
    "part_of_a_tensor": lambda values: torch.from_numpy(values)[1:, 1],
    "memory_of_a_tensor": lambda values: torch.from_numpy(values).untyped_storage(),
    "parameter_of_a_network": tensor_that_learns,
    "ctypes": lambda values: (ctypes.c_double * values.size).from_buffer(values),
    "exception": ValueError,
    "deque": lambda values: collections.deque([values]),
    "values_of_a_dict": lambda values: {"a": values}.values(),
    "iterator": lambda values: iter([values]),
    "chain": lambda values: itertools.chain([values]),
    "map": lambda values: map(len, [values]),
    "default_of_a_dict": lambda values: collections.defaultdict(lambda: values),
    "table": lambda values: pd.DataFrame(values, copy=False),
    "column": lambda values: pd.Series(values[:, 0], copy=False),
    "method_of_an_array": lambda values: values.sum,
    "attribute_of_a_partial": lambda values: with_attribute(functools.partial(len), values),
    "call_of_a_method": lambda values: operator.methodcaller("read", values),
    "cell_of_a_closure": lambda values: types.CellType(values),
    "flat": lambda values: values.flat,
    "several_at_once": lambda values: np.nditer([values, values]),
    "broadcast": lambda values: np.broadcast(values, 1.0),
    "sparse": lambda values: sparse.csr_array(
        (values.reshape(-1), np.zeros(values.size, int), [0, values.size]), copy=False
    ),
    "view_of_a_view": lambda values: memoryview(values)[1:],
    "partial_of_a_method": lambda values: functools.partial(Holder(values).read),
    "key": lambda values: {Holder(values): 1},
}


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
def test_an_array_is_found_wherever_it_is_hidden(hide: Callable[[Array], object]) -> None:
    values = np.arange(12.0).reshape(4, 3)
    found = [
        path for path, item in reachable_arrays(hide(values)) if np.may_share_memory(item, values)
    ]
    assert found
    assert all(path.startswith("task") for path in found)


def test_a_condition_of_a_class_of_its_own_is_followed() -> None:
    values = np.arange(3.0)
    label = Label(Perturbation("A", ("A",)), "a")
    object.__setattr__(label, "values", values)
    assert any(item is values for _, item in reachable_arrays([label]))


def test_memory_of_buffers_and_files_is_found(tmp_path: Path) -> None:
    numbers = array.array("d", [1.0, 2.0, 3.0])
    path = tmp_path / "values"
    path.write_bytes(bytes(64))
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 64)
    for buffer in (numbers, bytearray(24), mapped):
        values = np.frombuffer(buffer, dtype=np.float64)
        found = list(reachable_arrays([buffer]))
        assert any(np.may_share_memory(item, values) for _, item in found)
        del found, values
    mapped.close()
    nothing = [mapped, memoryview(b""), array.array("d"), mmap]
    assert not any(item.size for _, item in reachable_arrays(nothing))


@pytest.mark.parametrize("kind", [Lazy, Endless])
def test_what_cannot_be_listed_is_refused(kind: type[Empty]) -> None:
    with pytest.raises(LeakageError, match=r"what task\[0\] refers to cannot be listed"):
        list(reachable([kind(None)]))


def test_arrays_of_other_libraries_are_refused_where_only_numpy_may_be(tmp_path: Path) -> None:
    import h5py
    import polars as pl

    with h5py.File(tmp_path / "values.h5", "w") as file:
        file["values"] = np.arange(3.0)
        for item in (file, {"a": file["values"]}, [pl.Series([1.0])], Holder(pl.DataFrame())):
            list(reachable_arrays(item))
            with pytest.raises(LeakageError, match="of which no memory or file can be checked"):
                list(reachable_arrays(item, only_numpy=True))
    allowed = [torch.zeros(2), pd.DataFrame({"a": [1.0]}), np.float64(1.0), sparse.eye_array(2)]
    list(reachable_arrays(allowed, only_numpy=True))


def test_honest_objects_end() -> None:
    gone = weakref.ref(Holder(1))
    proxy = weakref.proxy(Holder(1))
    cycle: list[object] = [gone, proxy, threading.Lock(), threading.Thread(), sys.stderr]
    cycle += [cycle, {"a": cycle}, Path(), np, type, Slotted(), (n for n in cycle), collections]
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    names = tuple(str(number) for number in range(MAX_OBJECTS + 1))
    everything = [cycle, deep, names, dict.fromkeys(names)]
    assert not list(reachable_arrays(everything, only_numpy=True))
    assert sum(1 for _ in reachable([cycle, names])) < 10_000


def test_what_a_module_knows_is_not_followed() -> None:
    # Functions and classes of a module lead to all of it, and it to the whole process.
    assert not any(item is KEPT for _, item in reachable([kept, Holder, Holder(1), sys]))


def test_a_name_that_a_function_closes_over_may_be_unbound() -> None:
    values = np.arange(3.0)

    def both() -> object:
        return values, unbound

    assert any(item is values for _, item in reachable([both]))
    if values is None:
        unbound = 1


def test_paths_say_how_an_array_is_reached() -> None:
    values = np.arange(3.0)
    named = {
        "task target.values": weakref.proxy(kept(values)),
        "task target.itself target.values": weakref.ref(with_proxy(values)),
        "task reference['values']": function_with_attribute(values),
        "task reference": collections.deque([values]),
        "task closure": lambda: values,
        "task class['kept']": with_a_class_attribute(values),
    }
    for path, item in named.items():
        assert path in [found for found, each in reachable_arrays(item) if each is values]
    assert list(reachable("a plain value")) == []


def with_proxy(values: Array) -> Holder:
    first = kept(None)  # type: ignore[arg-type]
    first.itself = weakref.proxy(kept(values))
    return first
