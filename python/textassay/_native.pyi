"""The compiled backend. `textassay._numba` holds the same names with the same results; docs/semantics.md says what they are.

Byte strings are UTF-8. Offsets are in bytes. Every function releases the GIL while it computes.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

SIGNALS: tuple[str, ...]
"""All document signals in column order."""

INTEGER_SIGNALS: tuple[str, ...]
BATCH_SIGNALS: tuple[str, ...]
"""`batch_n_tokens`, `batch_entropy_bits`, `batch_entropy_mm_bits`, `batch_type_token_ratio`, `batch_mattr`."""

def backend_info() -> dict[str, str]:
    """`backend` ("native" or "numba"), `kernels` (the set in use), and the versions of what it stands on (`zstd`, `simdjson`, `zlib`; `numba`, `zstandard`)."""

def available_kernels() -> tuple[str, ...]:
    """Kernel sets this machine can run, best first. The last is always "scalar"."""

def use_kernels(name: str) -> None:
    """Force a kernel set for the whole process (tests; users set TEXTASSAY_KERNELS). Raises ValueError on an unknown or unsupported name."""

def word_boundaries(text: bytes) -> NDArray[np.int64]:
    """All UAX #29 word boundaries of valid UTF-8, 0 and len(text) included; empty for empty text. Raises ValueError on invalid UTF-8."""

def word_spans(text: bytes) -> NDArray[np.int64]:
    """Shape (n, 2): start and end of each *word*, through the path that a scan takes."""

def sentence_boundaries(text: bytes, tailored: bool = True) -> NDArray[np.int64]:
    """All UAX #29 sentence boundaries, 0 and len(text) included; `tailored` joins hard-wrapped lines."""

def sentence_lengths(text: bytes) -> NDArray[np.int64]:
    """Words per sentence (tailored), sentences without a word left out; through the path that a scan takes."""

def tokens(text: bytes, kind: str = "word") -> list[bytes]:
    """The tokens of a text in order. Kinds: `word`, `byte`, `char`, and `bigram`: neighbouring words with a blank between."""

def log2_times(count: int) -> int:
    """L(count): count * log2(count) with 32 fractional bits."""

def token_hash(token: bytes) -> int:
    """The stable 64-bit hash that decides about sampling."""

def token_hashes(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Of each token data[offsets[i]:offsets[i + 1]]. Raises ValueError where the offsets don't ascend within the data."""

def bin_index(signal: str, value: float) -> int:
    """The bin of a (batch) signal's histogram that a value falls into."""

class DocumentColumns(TypedDict, total=False):
    """One array per selected signal (int64 or float64, NaN for null) and `n_replaced` (int64), all of one length; in a scan also the next four."""

    byte_offset: NDArray[np.int64]
    line: NDArray[np.int64]
    id_bytes: NDArray[np.uint8]
    """UTF-8 of all ids, one after the other."""
    id_offsets: NDArray[np.int64]
    """Length n + 1."""
    id_null: NDArray[np.bool_]

    words: NDArray[np.uint32]
    """With `words`: those of the documents' sentences by the anchor's numbers, 2 behind each sentence."""
    word_offsets: NDArray[np.int64]
    """Length n + 1."""

    provenance: NDArray[np.uint8]
    """The label, its number in `textassay.provenance.LABELS`; this and the next two in a scan with rules."""
    provenance_reason_bytes: NDArray[np.uint8]
    """UTF-8 of all reasons, one after the other; empty: no rule matched."""
    provenance_reason_offsets: NDArray[np.int64]

class ProvenanceTable(TypedDict):
    """Documents, tokens and bytes of each of the four labels, by name."""

    level: int
    """Names whose hash is not below 2^(64 - level) are among the others."""
    unnamed: NDArray[np.uint64]
    """Shape (4, 3)."""
    others: NDArray[np.uint64]
    name_bytes: NDArray[np.uint8]
    """Names in the order of their bytes."""
    name_offsets: NDArray[np.int64]
    """Length n + 1."""
    counts: NDArray[np.uint64]
    """Shape (n, 4, 3)."""

class ProvenanceTables(TypedDict):
    sources: ProvenanceTable
    months: ProvenanceTable
    reasons: ProvenanceTable

class Provenance(TypedDict):
    """Rules, as `ProvenanceRules.for_inputs` hands them over. A pattern is the state in which it begins."""

    fields: Sequence[Sequence[str]]
    source: int
    """Which of the fields; -1: none. So is `date`."""
    date: int
    date_start: int
    default: int
    suspicion: bytes
    """The reason of a document that no rule labels and the detector suspects; empty: such are left alone."""
    labels: NDArray[np.int64]
    """Of each rule. So are `names`, `generators` (a field, or -1), and `condition_ends` (in `conditions`)."""
    names: Sequence[bytes]
    generators: NDArray[np.int64]
    condition_ends: NDArray[np.int64]
    conditions: NDArray[np.int64]
    """Shape (n, 3): field, pattern, whether it is negated."""
    applies: NDArray[np.uint8]
    """Shape (inputs, rules)."""
    classes: NDArray[np.uint8]
    transitions: NDArray[np.uint16]
    accepting: NDArray[np.uint8]

class SignalState(TypedDict):
    bins: NDArray[np.uint64]
    nulls: int
    sum: int
    sum_squares: int

class Types(TypedDict):
    """Corpus histogram entries sorted by token bytes."""

    token_bytes: NDArray[np.uint8]
    token_offsets: NDArray[np.int64]
    """Length n + 1."""
    counts: NDArray[np.uint64]
    document_frequencies: NDArray[np.uint64]
    peaks: NDArray[np.uint64]

class Bounded(TypedDict):
    level: int
    floor_level: int
    width: int
    count_sketch: NDArray[np.uint64]
    """Shape (4, width)."""
    document_sketch: NDArray[np.uint64]
    frequent: Types
    """Sorted by token; `counts` and `document_frequencies` are 0 here: they are read from the sketches."""

class ProfileState:
    """All counts of a corpus. Integers only."""

    def __init__(self, signals: Sequence[str], max_types: int = 1 << 24) -> None: ...
    @property
    def signals(self) -> tuple[str, ...]: ...
    @property
    def max_types(self) -> int: ...
    def totals(self) -> dict[str, int]:
        """`n_documents`, `n_tokens`, `n_bytes`, `n_chars`, `n_sentences`, `n_replaced`, `n_batches`, in this order: sums over documents."""
    def add_totals(self, totals: dict[str, int]) -> None: ...
    def signal(self, name: str) -> SignalState: ...
    def add_signal(self, name: str, state: SignalState) -> None:
        """Raises ValueError where the number of bins differs."""
    @property
    def n_types(self) -> int:
        """Types kept by name with an exact count."""
    @property
    def level(self) -> int:
        """0: exact."""
    def types(self, after: bytes | None = None, limit: int = 1 << 20) -> Types:
        """Up to `limit` entries in token order, beginning behind `after`."""
    def top(self, k: int) -> Types:
        """The k most frequent exact entries, by count descending, then token bytes ascending."""
    def count_of_counts(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Distinct counts ascending, and how many exact types have each."""
    def add_types(self, types: Types) -> None: ...
    def bounded(self) -> Bounded | None:
        """None while exact."""
    def add_bounded(self, bounded: Bounded) -> None: ...
    def provenance(self) -> ProvenanceTables: ...
    def add_provenance(self, tables: ProvenanceTables) -> None:
        """Raises ValueError where arrays don't fit together."""
    def merge(self, other: ProfileState) -> None:
        """Adds `other`, which is unchanged. Raises ValueError where signals or max_types differ."""
    def copy(self) -> ProfileState: ...

class TextEncoder(Protocol):
    """Texts to the ids of a vocabulary, for Measurer and Scan: tokens of kind "id". Several threads may ask at once; they need the GIL."""

    def encode(self, texts: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Ids of all texts; those of text i are ids[offsets[i]:offsets[i + 1]]."""

class Measurer:
    """Texts in memory: document columns out, counts into a profile."""

    def __init__(
        self,
        signals: Sequence[str],
        *,
        tokens: Literal["word", "byte", "char", "bigram", "id"] = "word",
        markers: Sequence[Sequence[bytes]] = (),
        anchor: Anchor | None = None,
        detector: Detector | None = None,
        batch_tokens: int = 1 << 20,
        max_types: int = 1 << 24,
        threads: int = 1,
        encoder: TextEncoder | None = None,
    ) -> None:
        """`encoder`: whose ids are the tokens, with tokens="id"."""
    def measure(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> DocumentColumns:
        """Text i is data[offsets[i]:offsets[i + 1]]. Raises ValueError naming the text and byte that is not valid UTF-8; nothing is counted then."""
    def update(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> DocumentColumns:
        """As `measure`, and counts the texts into the profile, after those of earlier calls, as documents of one file."""
    def profile(self) -> ProfileState:
        """A copy, in which the open batch counts as closed."""
    def batches(self) -> dict[str, NDArray[Any]]:
        """Columns of the batches closed so far: `batch`, `first_document`, `n_documents`, `n_tokens`, `n_types` (int64), `entropy_bits`, `entropy_mm_bits`, `type_token_ratio`, `mattr` (float64)."""

class FileOutcome(TypedDict):
    status: Literal["ok", "damaged", "unreadable"]
    reason: str
    """Empty where ok; otherwise what was wanted and what was found."""
    format: str
    """"zstd", "gzip" or "plain"; of a file of rows what its reader says; of one in a format that is not read that format's name."""
    byte_offset: int
    """Uncompressed bytes decoded before the damage."""
    compressed_offset: int
    """Compressed bytes consumed before the damage: the start of the damaged frame's bad block, as the decoder saw it. Not compared between backends."""
    bytes_compressed: int
    bytes: int
    bytes_parsed: int
    bytes_malformed: int
    bytes_blank: int
    bytes_too_long: int
    bytes_lost: int
    lines: int
    documents: int
    malformed: int
    frames: int
    frames_without_checksum: int
    malformed_by_reason: dict[str, int]

class Event(TypedDict, total=False):
    """What a scan hands over. Events of one file come in its order; those of different files interleave."""

    file: int
    documents: DocumentColumns
    errors: list[tuple[int, int, str]]
    """line, byte offset, reason"""
    batches: dict[str, NDArray[Any]]
    """Closed batches of this file; `batch` and `first_document` count within the file."""
    outcome: FileOutcome
    """Only in the file's last event."""

class FileState(TypedDict):
    """How far a file has been counted, so that another scan can go on with it, on either backend. `begin`, `end` and `uncompressed` are offsets of uncompressed bytes, in a file of rows of those of their texts."""

    format: Literal["plain", "zstd", "gzip", "rows"]
    compressed: int
    """A frame or member, or plain text, begins at this offset of the file and at `uncompressed` <= `begin`: from here it is read on. Both 0 of rows."""
    uncompressed: int
    frames: int
    """Before `compressed`."""
    frames_without_checksum: int
    begin: int
    """Documents from here to `end` are in no batch yet; but for that they have been counted."""
    begin_line: int
    """Lines or rows before `begin`."""
    end: int
    """All before has been counted: the bytes of the account below add up to it."""
    batch: int
    """That begins at `begin`, with the document `first_document` of the file."""
    first_document: int
    bytes_parsed: int
    bytes_malformed: int
    bytes_blank: int
    bytes_too_long: int
    lines: int
    documents: int
    malformed_by_reason: dict[str, int]

class RowReader(Protocol):
    """A file of rows instead of lines, for Scan, which asks for rows from one thread at a time, but not always the same. While
    such a scan runs its threads need the GIL."""

    format: str
    size: int
    """Bytes on disk."""
    position: int
    """How much of them has been read."""
    def open(self) -> str | None:
        """Called once, before `read`. A string: the file is unreadable, and why."""
    def skip(self, rows: int) -> None:
        """Between the two, if the scan has begun with them before: the first rows are left out."""
    def read(self) -> list[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_] | None] | None] | str | None:
        """The next rows: a column for each text field, for the id and for each field of `provenance`, None where no row has a value. In a column value i is data[offsets[i]:offsets[i + 1]], UTF-8 if all is well; the third says which rows have one, None: all. None behind the last row; a string: the file is damaged, and why."""

class Scan:
    """A running scan. Threads start at once."""

    def __init__(
        self,
        paths: Sequence[bytes | int | RowReader],
        *,
        signals: Sequence[str],
        tokens: Literal["word", "byte", "char", "bigram", "id"] = "word",
        text_fields: Sequence[Sequence[str]] = (("text",),),
        id_field: Sequence[str] = ("id",),
        markers: Sequence[Sequence[bytes]] = (),
        anchor: Anchor | None = None,
        detector: Detector | None = None,
        ngram_folder: str | bytes | None = None,
        ngram_memory: int = 1 << 30,
        met: NDArray[np.uint8] | None = None,
        words: bool = False,
        batch_tokens: int = 1 << 20,
        max_types: int = 1 << 24,
        max_record_bytes: int = 64 << 20,
        max_window_log: int = 27,
        threads: int = 1,
        documents: bool = True,
        stage: Literal["decompress", "json", "words", "signals", "histogram"] = "histogram",
        provenance: Provenance | None = None,
        encoder: TextEncoder | None = None,
        begun: dict[int, FileState | None] = {},
        profile: ProfileState | None = None,
    ) -> None:
        """`paths`: a path, an open file descriptor (a pipe), or a reader of rows, whose `line` is the number of a row and whose bytes are those of the rows' texts. `documents=False` leaves the document columns out of the events. `stage` stops the work early, for benchmarks. With `provenance` documents get labels. `ngram_folder`: where sorted runs of two uint64 a record go, gathered in `ngram_memory` bytes: of 3-grams of the anchor's words (`ngrams-*.bin`: middle << 32 | first, last << 32 | count) and of the documents' fingerprints (`fingerprints-*.bin`: hash, file << 40 | line). `met`: an element for each of the anchor's fingerprints, set to 1 where a document has it; for the signal anchor_overlap. `words`: the documents come with the numbers of their words in the anchor. `begun`: by their places in `paths` the files that another scan has begun, or, None, ended. `profile`: what it has counted; this scan adds to it."""
    def next(self, timeout: float = -1.0) -> Event | None:
        """The next event; None when the scan is over. Raises TimeoutError after `timeout` seconds (>= 0) without one, at once if the scan is paused."""
    def pause(self) -> None:
        """Nothing is read any more, but what has been is counted to its end."""
    def is_paused(self) -> bool:
        """Whether that is done, and all events are taken."""
    def states(self) -> dict[int, FileState]:
        """Of a scan that is paused: the files begun and not ended, by their places in `paths`. `profile()` is what they say then. Raises RuntimeError where it is not paused."""
    def resume(self) -> None:
        """Goes on."""
    def progress(self) -> dict[str, int]:
        """`bytes_compressed`, `bytes`, `documents`, `files` done so far."""
    def cancel(self) -> None:
        """Stops at the next block border; `next` then drains and returns None."""
    def profile(self) -> ProfileState:
        """The profile, the same object each time; complete once `next` has returned None. Raises RuntimeError before."""

class Decompressor:
    """The uncompressed bytes of a file (zstd, gzip, plain), as a scan decodes them: of a damaged file the same bytes come out before the damage."""

    def __init__(self, source: int | bytes, *, max_window_log: int = 27) -> None:
        """Of a path, or of an open file descriptor, which stays open. Raises OSError where the file cannot be read, ValueError on a window out of range."""
    def read_into(self, memory: NDArray[np.uint8]) -> int:
        """Fills `memory` from its front and returns how many bytes that were: fewer than there is room for only at the end. Not for two threads at once."""
    @property
    def damage(self) -> str:
        """Why the file ended early, once its end has been read; empty where it did not."""

class Anchor:
    """Views of an anchor's arrays (textassay.anchor.file), for Measurer and Scan. Whatever the numbers inside the arrays are, no look-up leaves them."""

    def __init__(
        self, arrays: dict[str, NDArray[Any]], *, n_modelled: int, tail_begin: int = 0, tail_end: int = 0
    ) -> None:
        """`token_bytes` (uint8), `token_offsets` (uint64), `word_slots` (uint32); of documents `fingerprints` (uint64, ascending); with a model also `unigrams` and `ngrams_2` ... `ngrams_5` (uint64). Raises ValueError on other types and impossible sizes."""

def fill_table(table: NDArray[np.uint64], hashes: NDArray[np.uint64], values: NDArray[np.uint64]) -> int:
    """Puts entries into a table of n-grams (buckets of 8 entries); returns how many did not fit, since one with the same tag is in the way."""

class Detector:
    """How much documents resemble synthetic text (docs/detector-spec.md), for Measurer and Scan."""

    def __init__(
        self,
        weights: NDArray[np.int8],
        *,
        terms: Sequence[tuple[str, float, float, float, float]],
        intercept: float,
        logits: Sequence[float],
        probabilities: Sequence[float],
        bands: Sequence[tuple[int, float]],
    ) -> None:
        """2^18 weights; terms are (name, low, high, centre, coefficient), bands the words from which on documents are held
        against a threshold of the logit. Raises ValueError on what makes no detector."""

def count_trigrams(
    words: NDArray[np.uint32], bits: int, first_begin: int, first_end: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """3-grams of a corpus whose first word is in [first_begin, first_end), ascending, and how often each was seen.

    `words`: of each sentence its words and 2; documents are ranges of whole sentences. A 3-gram is first << 2 * bits | middle << bits | last; sentences begin behind 1, which is no first word of a 3-gram's last two, and behind their end stands another 2. Raises ValueError on words that do not fit `bits` (2 to 21).
    """

def find_last_bigrams(
    keys: NDArray[np.uint64], bits: int, bigram_begin: NDArray[np.int64], bigram_last: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Of each 3-gram the place of the 2-gram of its last two words, 0 where there is none. 2-grams in order: those that begin with word w are bigram_last[bigram_begin[w]:bigram_begin[w + 1]]."""

class Sampler:
    """Draws documents from an order-3 model (docs/simulation.md). Several threads may ask it at once."""

    def __init__(self, arrays: dict[str, NDArray[Any]], *, longest: int) -> None:
        """`bigram_begin`, `trigram_begin` (int64), `bigram_last`, `bigram_limits`, `trigram_last`, `trigram_limits`, `sentences` (uint32), `word_limits` (uint64). `longest`: words of a sentence. Raises ValueError on arrays that do not fit together."""
    def sample(self, seed: int, first: int, n: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Documents first ... first + n - 1 of the stream `seed` (uint64): their words and n + 1 offsets."""

def measure_documents(words: NDArray[np.uint32], offsets: NDArray[np.int64], n_words: int) -> dict[str, NDArray[Any]]:
    """`n_tokens`, `n_types`, `n_sentences` (int64), `entropy_bits`, `mattr`, `burstiness` (float64, NaN for null) of documents, as of their text. Raises ValueError on words that are not below `n_words`."""

class IdBatches(TypedDict):
    """One element a batch."""

    n_tokens: NDArray[np.int64]
    """Ids inside the vocabulary. All other figures are of these."""
    n_types: NDArray[np.int64]
    n_outside: NDArray[np.int64]
    """Ids that are negative or not below `vocab_size`."""
    first_outside: NDArray[np.int64]
    """Place in the batch of the first of them; -1 where there is none."""
    entropy_bits: NDArray[np.float64]
    """Plug-in; NaN where there is no token."""

class IdCounter:
    """Counts batches of token ids. Calls from several threads wait for each other."""

    def __init__(self, vocab_size: int, *, totals: bool = False) -> None:
        """`vocab_size`: 1 to 2^62, with `totals` at most 2^22. Raises ValueError otherwise."""
    def measure(self, ids: NDArray[np.integer[Any]], ends: NDArray[np.int64]) -> IdBatches:
        """Batch i is ids[ends[i - 1]:ends[i]], of at most 2^26 ids. Ids: 1-D, contiguous, aligned, native byte order; read where they lie.

        Raises TypeError where they are no integers, ValueError on another layout and on ends that do not rise to len(ids).
        """
    def totals(self) -> NDArray[np.uint64]:
        """Occurrences of each id in all batches so far, shape (vocab_size,); empty without `totals`."""
