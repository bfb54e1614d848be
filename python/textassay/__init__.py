"""textassay: measure zstd-compressed JSONL corpora. Shards go in, one mergeable profile comes out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textassay.anchor import Anchor, load_anchor
    from textassay.anchor.build import build_anchor
    from textassay.anchor.check import check_anchor
    from textassay.batch import batch_entropy_audit
    from textassay.classifier import ProvenanceClassifier
    from textassay.detector import Detector
    from textassay.errors import (
        AnchorError,
        BackendError,
        FolderError,
        InputError,
        OutputError,
        ProfileError,
        TextassayError,
        UsageError,
    )
    from textassay.measuring import Scanner, measure
    from textassay.profile import Profile
    from textassay.provenance import ProvenanceRules
    from textassay.scanning import ScanResult, scan
    from textassay.table import Table
    from textassay.tokenizer import Tokenizer
    from textassay.version import __version__

# Name -> module, loaded on first access, so that `import textassay` costs about a millisecond. No module may bear
# the name of a public function: importing it would put the module in the function's place.
_HOME = {
    "Anchor": "anchor",
    "AnchorError": "errors",
    "BackendError": "errors",
    "Detector": "detector",
    "FolderError": "errors",
    "InputError": "errors",
    "OutputError": "errors",
    "Profile": "profile",
    "ProfileError": "errors",
    "ProvenanceClassifier": "classifier",
    "ProvenanceRules": "provenance",
    "ScanResult": "scanning",
    "Scanner": "measuring",
    "Table": "table",
    "TextassayError": "errors",
    "Tokenizer": "tokenizer",
    "UsageError": "errors",
    "__version__": "version",
    "batch_entropy_audit": "batch",
    "build_anchor": "anchor.build",
    "check_anchor": "anchor.check",
    "load_anchor": "anchor",
    "measure": "measuring",
    "scan": "scanning",
}

__all__ = [
    "Anchor",
    "AnchorError",
    "BackendError",
    "Detector",
    "FolderError",
    "InputError",
    "OutputError",
    "Profile",
    "ProfileError",
    "ProvenanceClassifier",
    "ProvenanceRules",
    "ScanResult",
    "Scanner",
    "Table",
    "TextassayError",
    "Tokenizer",
    "UsageError",
    "__version__",
    "batch_entropy_audit",
    "build_anchor",
    "check_anchor",
    "load_anchor",
    "measure",
    "scan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'textassay' has no attribute {name!r}")
    value = getattr(import_module(f"textassay.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
