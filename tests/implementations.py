"""Every implementation that must exist on this machine: the compiled backend with each kernel set, and the numba path.

What must exist is derived from the machine, not from what answers: a kernel set that does not load fails its tests, it is not skipped.
"""

import importlib
import itertools
import math
import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def expected_kernels() -> tuple[str, ...]:
    """Best first, as `available_kernels` orders them."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return ("neon", "scalar")
    if machine not in ("x86_64", "amd64"):
        return ("scalar",)
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().partition("flags")[2].partition("\n")[0].split()) if cpuinfo.exists() else set()
    kernels = []
    if {"bmi1", "bmi2", "popcnt", "avx512f", "avx512bw", "avx512_vbmi2"} <= flags:
        kernels.append("avx512")
    if {"bmi1", "bmi2", "popcnt", "avx2"} <= flags:
        kernels.append("avx2")
    return (*kernels, "scalar")


@dataclass(frozen=True)
class Implementation:
    backend: str
    kernels: str

    def __str__(self) -> str:
        return f"{self.backend}-{self.kernels}"

    def use(self) -> ModuleType:
        """The backend module, with these kernels in force until another implementation is used."""
        module = backend_module(self.backend)
        module.use_kernels(self.kernels)
        return module


@cache
def backend_module(name: str) -> ModuleType:
    if name == "numba":
        # Compiling takes a minute; a warm cache of an earlier run takes a second. Asked for here because it is off by default.
        os.environ.setdefault("TEXTASSAY_NUMBA_CACHE", "1")
    return importlib.import_module(f"textassay._{name}")


IMPLEMENTATIONS = tuple(Implementation("native", k) for k in expected_kernels()) + (Implementation("numba", "scalar"),)
BACKENDS = (IMPLEMENTATIONS[0], IMPLEMENTATIONS[-1])
"""One of each backend, where the instruction set plays no part."""

on_every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=str)
on_every_backend = pytest.mark.parametrize("implementation", BACKENDS, ids=str)


def packed(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Texts as a Measurer takes them."""
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(t) for t in texts], out=offsets[1:])
    return np.frombuffer(b"".join(texts), np.uint8), offsets


def unpacked_ids(columns: dict[str, Any]) -> list[str | None]:
    data, offsets = columns["id_bytes"].tobytes(), columns["id_offsets"]
    return [
        None if null else data[offsets[i] : offsets[i + 1]].decode()
        for i, null in enumerate(columns["id_null"].tolist())
    ]


def unpacked_types(types: dict[str, Any]) -> dict[bytes, tuple[int, int, int]]:
    data, offsets = types["token_bytes"].tobytes(), types["token_offsets"].tolist()
    tokens = [data[a:b] for a, b in itertools.pairwise(offsets)]
    columns = (types[name].tolist() for name in ("counts", "document_frequencies", "peaks"))
    return dict(zip(tokens, zip(*columns, strict=True), strict=True))


def all_types(state: Any) -> dict[bytes, tuple[int, int, int]]:
    """Of a ProfileState, page by page."""
    found: dict[bytes, tuple[int, int, int]] = {}
    after = None
    while page := unpacked_types(state.types(after, 1000)):
        assert not page.keys() & found.keys(), "a page repeats a type"
        found.update(page)
        after = list(page)[-1]
    return found


@dataclass
class Scanned:
    """All that a Scan said about its files, in order."""

    documents: list[dict[str, list]]
    """By file: column name -> values; `id` instead of the id columns; None for null."""
    errors: list[list[tuple[int, int, str]]]
    batches: list[dict[str, list]]
    outcomes: list[dict[str, Any]]
    profile: Any


def as_list(column: np.ndarray) -> list:
    values = column.tolist()
    return [None if math.isnan(v) else v for v in values] if column.dtype.kind == "f" else values


def append_columns(into: dict[str, list], columns: dict[str, list]) -> None:
    for name, values in columns.items():
        into.setdefault(name, []).extend(values)


def scan(module: ModuleType, paths: list[Any], **options: Any) -> Scanned:
    options.setdefault("signals", module.SIGNALS)
    running = module.Scan([os.fsencode(p) if isinstance(p, (str, Path)) else p for p in paths], **options)
    files = range(len(paths))
    scanned = Scanned([{} for _ in files], [[] for _ in files], [{} for _ in files], [{} for _ in files], None)
    while (event := running.next()) is not None:
        file = event["file"]
        assert not scanned.outcomes[file], f"file {file}: an event after its last"
        if "documents" in event:
            columns = {name: as_list(c) for name, c in event["documents"].items() if not name.startswith("id_")}
            if "id_bytes" in event["documents"]:
                columns["id"] = unpacked_ids(event["documents"])
            assert len({len(c) for c in columns.values()}) == 1, "columns of unequal length"
            append_columns(scanned.documents[file], columns)
        scanned.errors[file] += [tuple(e) for e in event.get("errors", ())]
        if "batches" in event:
            append_columns(scanned.batches[file], {name: as_list(c) for name, c in event["batches"].items()})
        if "outcome" in event:
            scanned.outcomes[file] = dict(event["outcome"])
    assert all(scanned.outcomes), "a file without an outcome"
    for outcome in scanned.outcomes:
        assert_accounted(outcome)
    scanned.profile = running.profile()
    return scanned


def assert_accounted(outcome: dict[str, Any]) -> None:
    """Law 2: every byte ends in exactly one counter."""
    parts = ("bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long")
    assert sum(outcome[p] for p in parts) == outcome["bytes"], outcome
    assert sum(outcome["malformed_by_reason"].values()) == outcome["malformed"], outcome
    if outcome["status"] == "ok":
        assert outcome["bytes_lost"] == 0 and outcome["reason"] == "", outcome
    else:
        assert outcome["reason"], outcome


def comparable(outcome: dict[str, Any]) -> dict[str, Any]:
    """What both backends must say alike; the wording of a reason and where a decoder stood in its input are its own."""
    own = {"reason", "compressed_offset", "bytes_lost"}
    if outcome["status"] != "ok":
        own |= {"frames", "frames_without_checksum"}  # whether a broken frame counts
    return {k: v for k, v in outcome.items() if k not in own}


def profile_of(state: Any) -> dict[str, Any]:
    """Everything a ProfileState holds, as plain values."""
    signals = {}
    for name in (*state.signals, *(f"batch_{n}" for n in BATCH_FIGURES)):
        signal = state.signal(name)
        signals[name] = {**signal, "bins": signal["bins"].tolist()}
    bounded = state.bounded()
    if bounded is not None:
        bounded = {
            **bounded,
            "count_sketch": bounded["count_sketch"].tolist(),
            "document_sketch": bounded["document_sketch"].tolist(),
            "frequent": unpacked_types(bounded["frequent"]),
        }
    return {"totals": state.totals(), "signals": signals, "types": all_types(state), "bounded": bounded}


BATCH_FIGURES = ("n_tokens", "entropy_bits", "entropy_mm_bits", "type_token_ratio", "mattr")
