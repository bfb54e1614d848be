"""The numba backend: the names of the compiled module (`_native.pyi`) with the same results.

Nothing is compiled before it is needed. TEXTASSAY_NUMBA_CACHE=1 keeps what was compiled beside the sources.
"""

from textassay._numba.anchor import Anchor, fill_table
from textassay._numba.backend import available_kernels, backend_info, use_kernels
from textassay._numba.batches import BATCH_SIGNALS
from textassay._numba.decompressor import Decompressor
from textassay._numba.detector import Detector
from textassay._numba.documents import INTEGER_SIGNALS, SIGNALS
from textassay._numba.fixed_log import log2_times
from textassay._numba.histogram import token_hash, token_hashes
from textassay._numba.id_counts import IdCounter
from textassay._numba.measurer import Measurer
from textassay._numba.profile import ProfileState
from textassay._numba.scan import Scan
from textassay._numba.segmentation import sentence_boundaries, sentence_lengths, word_boundaries, word_spans
from textassay._numba.signal_bins import bin_index
from textassay._numba.simulation import Sampler, count_trigrams, find_last_bigrams, measure_documents
from textassay._numba.tokens import tokens

__all__ = [
    "BATCH_SIGNALS",
    "INTEGER_SIGNALS",
    "SIGNALS",
    "Anchor",
    "Decompressor",
    "Detector",
    "IdCounter",
    "Measurer",
    "ProfileState",
    "Sampler",
    "Scan",
    "available_kernels",
    "backend_info",
    "bin_index",
    "count_trigrams",
    "fill_table",
    "find_last_bigrams",
    "log2_times",
    "measure_documents",
    "sentence_boundaries",
    "sentence_lengths",
    "token_hash",
    "token_hashes",
    "tokens",
    "use_kernels",
    "word_boundaries",
    "word_spans",
]
