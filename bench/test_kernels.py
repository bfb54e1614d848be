"""Word and sentence segmentation by kernel set, in one document: novels, and the densest ASCII and non-ASCII there is."""

import json

import pytest

import inputs
from textassay import _backend

NOVEL = "\n\n".join(
    json.loads(line)["text"] for line in inputs.read_lines(inputs.ROOT / "examples" / "shards" / "shard-000.jsonl.zst")
)
TEXTS = {
    "novel": NOVEL,
    "one-letter words": "a b. " * 100_000,
    "one long word": "a" * 500_000,
    "Japanese": "吾輩は猫である。名前はまだ無い。" * 10_000,
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता। " * 4_000,
    "emoji": "👩‍👩‍👧‍👦🇩🇪❤️ ok " * 20_000,
}

with _backend.using("native") as NATIVE:
    KERNELS = NATIVE.available_kernels()


@pytest.fixture
def reset():
    yield
    NATIVE.use_kernels(KERNELS[0])


@pytest.mark.usefixtures("reset")
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("function", ["word_spans", "sentence_lengths"])
def test_segmentation(benchmark, kernels, name, function):
    text = TEXTS[name].encode()
    NATIVE.use_kernels("scalar")
    expected = getattr(NATIVE, function)(text)
    NATIVE.use_kernels(kernels)
    assert (getattr(NATIVE, function)(text) == expected).all() and len(expected) > 0
    benchmark.group = f"{function}, {name}"
    benchmark.extra_info["bytes"] = len(text)
    benchmark(getattr(NATIVE, function), text)
