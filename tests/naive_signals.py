"""Every figure of docs/semantics.md as the shortest true thing: plain Python over lists, no numpy, nothing of ours.

A function takes what the definition names (tokens, text, lengths) and returns what it says. None stands for null.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from unicode_data import category

MASK = (1 << 64) - 1
LN2 = 0.6931471805599453

LINEAR = {
    "entropy_bits": (0, 64, 1536),
    "entropy_mm_bits": (0, 64, 1536),
    "char_entropy_bits": (0, 64, 1536),
    "type_token_ratio": (0, 1024, 1025),
    "mattr": (0, 1024, 1025),
    "hapax_ratio": (0, 1024, 1025),
    "oov_rate": (0, 1024, 1025),
    "tail_share": (0, 1024, 1025),
    "synthetic_logit": (-8, 64, 1024),
    "synthetic_probability": (0, 1024, 1025),
    "anchor_overlap": (0, 1024, 1025),
    "top_ngram_share": (0, 1024, 1025),
    "dup_line_share": (0, 1024, 1025),
    "burstiness": (0, 256, 2048),
    "burstiness_gb": (-1, 512, 1025),
    "marker_rate": (0, 16, 1024),
}
PER_OCTAVE = {"perplexity": (32, 960)}
LOG8 = ("n_bytes", "n_chars", "n_tokens", "n_types", "n_sentences", "invisible_chars")
LOG8_BINS = 512


def log2_times(c: int) -> int:
    """L(c), by the recipe of docs/semantics.md."""
    if c < 2:
        return 0
    k = c.bit_length() - 1
    m, f = c << (63 - k), 0
    for _ in range(58):
        p = m * m
        if p >= 1 << 127:
            f, m = 2 * f + 1, p >> 64
        else:
            f, m = 2 * f, p >> 63
    return (c * ((k << 58) + f)) >> 26


def entropy_bits(counts: Iterable[int]) -> float | None:
    counts = list(counts)
    n = sum(counts)
    if n == 0:
        return None
    return max(0.0, float(log2_times(n) - sum(map(log2_times, counts))) / (float(n) * 4294967296.0))


def entropy_mm_bits(counts: Iterable[int]) -> float | None:
    counts = list(counts)
    h = entropy_bits(counts)
    return None if h is None else h + float(len(counts) - 1) / (float(2 * sum(counts)) * LN2)


def mattr(tokens: Sequence[bytes], window: int = 100) -> float | None:
    n = len(tokens)
    if n == 0:
        return None
    if n < window:
        return float(len(set(tokens))) / float(n)
    windows = sum(len(set(tokens[i : i + window])) for i in range(n - window + 1))
    return float(windows) / (float(window) * float(n - window + 1))


def hapax_ratio(tokens: Sequence[bytes]) -> float | None:
    counts = Counter(tokens)
    return float(sum(c == 1 for c in counts.values())) / float(len(counts)) if counts else None


def sigma_and_sum(lengths: Sequence[int]) -> tuple[float, float]:
    total = sum(lengths)
    return math.sqrt(float(len(lengths) * sum(s * s for s in lengths) - total * total)), float(total)


def burstiness(lengths: Sequence[int]) -> float | None:
    if len(lengths) < 2:
        return None
    sigma, total = sigma_and_sum(lengths)
    return sigma / total


def burstiness_gb(lengths: Sequence[int]) -> float | None:
    if len(lengths) < 2:
        return None
    sigma, total = sigma_and_sum(lengths)
    return (sigma - total) / (sigma + total)


def code_points(token: bytes) -> int:
    """Of a token of kind "byte", which may be a piece of one: a character counts where it begins."""
    return sum(byte & 0xC0 != 0x80 for byte in token)


def top_ngram_share(tokens: Sequence[bytes], n_chars: int) -> float | None:
    grams = Counter(zip(tokens, tokens[1:], tokens[2:], strict=False))
    if not grams:
        return None
    count, characters = max((c, sum(map(code_points, gram))) for gram, c in grams.items())
    return min(1.0, float(count * characters) / float(n_chars))


def dup_line_share(text: str) -> float | None:
    lines = [line for line in (raw.strip(" \t\r") for raw in text.split("\n")) if line]
    return float(len(lines) - len(set(lines))) / float(len(lines)) if lines else None


def marker_matches(tokens: Sequence[bytes], markers: Iterable[Sequence[bytes]]) -> int:
    """Leftmost-longest, not overlapping."""
    phrases, at, found = {tuple(m) for m in markers if m}, 0, 0
    while at < len(tokens):
        longest = max((len(p) for p in phrases if tuple(tokens[at : at + len(p)]) == p), default=0)
        found += longest > 0
        at += longest or 1
    return found


def marker_rate(tokens: Sequence[bytes], markers: Iterable[Sequence[bytes]]) -> float | None:
    return float(1000 * marker_matches(tokens, markers)) / float(len(tokens)) if tokens else None


INVISIBLE = {
    cp
    for first, last in (
        (0x200B, 0x200F),
        (0x2060, 0x2060),
        (0xFEFF, 0xFEFF),
        (0x061C, 0x061C),
        (0x202A, 0x202E),
        (0x2066, 0x2069),
        (0xE0000, 0xE007F),
    )
    for cp in range(first, last + 1)
}


def takes_selector(base: str, selector: int, is_emoji: Callable[[int], bool]) -> bool:
    if selector in (0xFE0E, 0xFE0F):
        return is_emoji(ord(base))
    if 0xFE00 <= selector <= 0xFE0D:
        return category(base)[0] in "LNS"
    if 0xE0100 <= selector <= 0xE01EF:
        return category(base) == "Lo"
    return 0x1800 <= ord(base) <= 0x18AF


def is_selector(cp: int) -> bool:
    return 0xFE00 <= cp <= 0xFE0F or 0x180B <= cp <= 0x180D or cp == 0x180F or 0xE0100 <= cp <= 0xE01EF


def invisible_chars(text: str, is_emoji: Callable[[int], bool]) -> int:
    n = 0
    for i, ch in enumerate(text):
        cp = ord(ch)
        if cp in INVISIBLE:
            n += 1
        elif is_selector(cp):
            n += not (i > 0 and takes_selector(text[i - 1], cp, is_emoji))
    return n


def document(
    text: str,
    tokens: Sequence[bytes],
    lengths: Sequence[int],
    is_emoji: Callable[[int], bool],
    markers: Iterable[Sequence[bytes]] = (),
    tokens_are_words: bool = True,
) -> dict[str, int | float | None]:
    counts = Counter(tokens).values()
    return {
        "n_bytes": len(text.encode()),
        "n_chars": len(text),
        "n_tokens": len(tokens),
        "n_types": len(counts),
        "n_sentences": len(lengths),
        "entropy_bits": entropy_bits(counts),
        "entropy_mm_bits": entropy_mm_bits(counts),
        "char_entropy_bits": entropy_bits(Counter(text).values()),
        "type_token_ratio": float(len(counts)) / float(len(tokens)) if tokens else None,
        "mattr": mattr(tokens),
        "hapax_ratio": hapax_ratio(tokens),
        "burstiness": burstiness(lengths),
        "burstiness_gb": burstiness_gb(lengths),
        "top_ngram_share": top_ngram_share(tokens, len(text)),
        "dup_line_share": dup_line_share(text),
        "marker_rate": marker_rate(tokens, markers) if tokens_are_words else None,
        "invisible_chars": invisible_chars(text, is_emoji),
        "perplexity": None,  # without an anchor
        "oov_rate": None,
        "tail_share": None,
        "synthetic_logit": None,  # without a detector
        "synthetic_probability": None,
        "anchor_overlap": None,
    }


def bin_index(signal: str, value: float) -> int:
    signal = signal.removeprefix("batch_")
    if signal in LOG8:
        if value < 8:
            return int(value)
        v = int(value)
        k = v.bit_length() - 1
        return 8 * (k - 2) + ((v >> (k - 3)) & 7)
    if signal in PER_OCTAVE:
        scale, count = PER_OCTAVE[signal]
        edges = [Fraction(2) ** (i // scale) * (1 + Fraction(i % scale, scale)) for i in range(count)]
        return max(0, sum(edge <= value for edge in edges) - 1)
    lo, scale, count = LINEAR[signal]
    return min(count - 1, max(0, math.floor((value - lo) * scale)))


def n_bins(signal: str) -> int:
    signal = signal.removeprefix("batch_")
    return LOG8_BINS if signal in LOG8 else (LINEAR | PER_OCTAVE)[signal][-1]


def fixed_point(signal: str, value: float) -> int:
    """What one value adds to `sum`; its square goes into `sum_squares`. Exact: a double times 2^32 is a fraction."""
    if signal.removeprefix("batch_") in LOG8:
        return int(value)
    return math.floor(Fraction(value) * (1 << 32) + Fraction(1, 2))


def signal_state(signal: str, values: Iterable[int | float | None]) -> dict:
    bins, nulls, total, squares = [0] * n_bins(signal), 0, 0, 0
    for value in values:
        if value is None:
            nulls += 1
            continue
        bins[bin_index(signal, value)] += 1
        q = fixed_point(signal, value)
        total, squares = total + q, squares + q * q
    return {"bins": bins, "nulls": nulls, "sum": total, "sum_squares": squares}


# Batches and the corpus


def batches(documents: Iterable[Sequence[bytes]], batch_tokens: int) -> list[list[Sequence[bytes]]]:
    """The documents of one file in batches; a batch is closed by the first document that brings it to `batch_tokens`."""
    closed, opened, size = [], [], 0
    for tokens in documents:
        opened.append(tokens)
        size += len(tokens)
        if size >= batch_tokens:
            closed.append(opened)
            opened, size = [], 0
    return [*closed, opened] if opened else closed


def batch_figures(documents: Iterable[Sequence[bytes]]) -> dict[str, int | float | None]:
    tokens = [t for document_tokens in documents for t in document_tokens]
    counts = Counter(tokens).values()
    return {
        "batch_n_tokens": len(tokens),
        "batch_entropy_bits": entropy_bits(counts),
        "batch_entropy_mm_bits": entropy_mm_bits(counts),
        "batch_type_token_ratio": float(len(counts)) / float(len(tokens)) if tokens else None,
        "batch_mattr": mattr(tokens),
    }


def histogram(files: Iterable[Iterable[Sequence[bytes]]], batch_tokens: int) -> dict[bytes, tuple[int, int, int]]:
    """token -> (count, document frequency, peak); a file is a list of documents, a document a list of tokens."""
    counts, frequencies, peaks = Counter(), Counter(), Counter()
    for documents in files:
        for batch in batches(documents, batch_tokens):
            in_batch = Counter()
            for tokens in batch:
                in_batch.update(tokens)
                frequencies.update(set(tokens))
            counts.update(in_batch)
            for token, c in in_batch.items():
                peaks[token] = max(peaks[token], c)
    return {token: (counts[token], frequencies[token], peaks[token]) for token in sorted(counts)}


def token_hash(token: bytes) -> int:
    h = 0xCBF29CE484222325
    for byte in token:
        h = ((h ^ byte) * 0x100000001B3) & MASK
    h ^= h >> 33
    h = (h * 0xFF51AFD7ED558CCD) & MASK
    h ^= h >> 33
    h = (h * 0xC4CEB9FE1A85EC53) & MASK
    return h ^ (h >> 33)


def sketch_width(max_types: int) -> int:
    width = 1 << 10
    while width < max_types / 16 and width < 1 << 20:
        width *= 2
    return width


def sketch_index(h: int, row: int, width: int) -> int:
    g = ((h * 0x9E3779B97F4A7C15) & MASK) | 1
    return (((h + row * g) & MASK) >> 20) & (width - 1)


def bounded(types: dict[bytes, tuple[int, int, int]], max_types: int) -> dict:
    """The bounded form of a histogram that holds more than `max_types` types."""
    level = 0
    while sum(token_hash(t) < 1 << (64 - level) for t in types) > max_types:
        level += 1
    sample = {t: v for t, v in types.items() if token_hash(t) < 1 << (64 - level)}
    others = {t: v for t, v in types.items() if t not in sample}
    width = sketch_width(max_types)
    count_sketch = [[0] * width for _ in range(4)]
    document_sketch = [[0] * width for _ in range(4)]
    for token, (count, frequency, _) in others.items():
        h = token_hash(token)
        for row in range(4):
            count_sketch[row][sketch_index(h, row, width)] += count
            document_sketch[row][sketch_index(h, row, width)] += frequency
    floor_level, max_frequent = 0, max(1024, max_types // 16)
    while sum(peak >= 1 << floor_level for _, _, peak in others.values()) > max_frequent:
        floor_level += 1
    return {
        "level": level,
        "floor_level": floor_level,
        "width": width,
        "sample": sample,
        "count_sketch": count_sketch,
        "document_sketch": document_sketch,
        "frequent": {t: peak for t, (_, _, peak) in others.items() if peak >= 1 << floor_level},
    }
