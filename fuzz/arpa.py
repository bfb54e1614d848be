"""ARPA files: an anchor, the same to the byte on both backends, or an `AnchorError`. What is imported can be exported and imported
again, and measures.
"""

import gzip
import io
import random
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import textassay as ta
from mutation import mutated_bytes
from textassay import _backend
from textassay.anchor import load_anchor
from textassay.anchor.arpa import export_arpa, import_arpa
from textassay.errors import AnchorError

ORDERS = {
    2: "\\data\\\nngram 1=4\nngram 2=3\n\n\\1-grams:\n-99 <s> -0.5\n-1.5 </s>\n-2 <unk>\n-0.5 a -0.25\n\n"
    "\\2-grams:\n-0.25 <s> a\n-0.5 a a\n-1 a </s>\n\n\\end\\\n",
    3: "\\data\\\nngram 1=5\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-99 <s> -0.5\n-1.5 </s>\n-2 <unk>\n-0.5 a -0.25\n"
    "-0.75 b -0.125\n\n\\2-grams:\n-0.25 <s> a -0.5\n-0.5 a b 0.0625\n-0.375 b a\n\n\\3-grams:\n-0.125 <s> a b\n\n\\end\\\n",
    4: "\\data\\\nngram 1=5\nngram 2=2\nngram 3=2\nngram 4=1\n\n\\1-grams:\n-99\t<s>\t-0.5\n-1.5\t</s>\n-2\t<UNK>\n"
    "-0.5\ta\t-0.25\n-0.75\tb\t-0.125\n\n\\2-grams:\n-0.25\t<s> a\t-0.5\n-0.5\ta b\t0.0625\n\n\\3-grams:\n"
    "-0.125\t<s> a b\t-0.75\n-0.0625\ta b a\t-0.03125\n\n\\4-grams:\n-0.015625\t<s> a b a\n\n\\end\\\n",
}
ALPHABET = [b"\n", b"\t", b" ", b"a", b"b", b"<s>", b"</s>", b"<unk>", b"<UNK>", b"-99", b"-0.5", b"0", b"nan", b"inf"]
ALPHABET += [
    b"1e-7",
    b"-1e6",
    b"\\end\\",
    b"\\2-grams:",
    b"ngram 2=",
    b"ngram 1=",
    b"\r\n",
    b"\xc3\xa9",
    b"\xff",
    b"9" * 30,
]


def seeds() -> Iterator[bytes]:
    for text in ORDERS.values():
        yield text.encode()


def check(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        native, numba = (_outcome(data, Path(folder), backend) for backend in ("native", "numba"))
        assert native == numba


def _outcome(data: bytes, folder: Path, backend: str) -> bytes:
    model, path = folder / "m.arpa", folder / f"{backend}.anchor"
    model.write_bytes(data)
    with _backend.using(backend):
        try:
            import_arpa(model, path)
        except AnchorError:
            assert not path.exists()
            return b"refused"
        anchor = load_anchor(path)
        anchor.verify()
        found = ta.measure(["a b a", "b é </s> a", ""], ["perplexity", "oov_rate", "tail_share"], anchor=anchor)
        assert np.isnan(found["tail_share"]).all()
        assert not (found["perplexity"] < 1).any()
        out = io.StringIO()
        export_arpa(anchor, out)
        model.write_text(out.getvalue())
        import_arpa(model, folder / "again.anchor")
        return path.read_bytes()


def mutate(data: bytes, rng: random.Random) -> bytes:
    plain = data
    if data[:2] == b"\x1f\x8b":
        try:
            plain = gzip.GzipFile(fileobj=io.BytesIO(data)).read(1 << 16)
        except (OSError, EOFError, ValueError, zlib.error):
            return mutated_bytes(data, rng)
    lines = plain.split(b"\n")
    if rng.randrange(2):
        at = rng.randrange(len(lines))
        lines[at] = mutated_bytes(lines[at], rng, ALPHABET)
    else:
        lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
        del lines[rng.randrange(len(lines))]
    text = b"\n".join(lines)
    return gzip.compress(text) if rng.randrange(16) == 0 else text
