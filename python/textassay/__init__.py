"""textassay: measure zstd-compressed JSONL corpora. Shards go in, one mergeable profile comes out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textassay.anchor import Anchor, load_anchor
    from textassay.anchor.build import build_anchor
    from textassay.anchor.check import check_anchor
    from textassay.audit import AuditResult, audit_tokens
    from textassay.batch import batch_entropy_audit
    from textassay.batch_auditor import BatchAuditor
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
    from textassay.tail_probes import answer_with_model, make_probes, score_probes
    from textassay.tail_weights import TailWeights, weigh_documents
    from textassay.version import __version__

# Name -> module, loaded on first access, so that `import textassay` costs about a millisecond. No module may bear
# the name of a public function: importing it would put the module in the function's place.
_HOME = {
    "Anchor": "anchor",
    "AnchorError": "errors",
    "AuditResult": "audit",
    "BackendError": "errors",
    "BatchAuditor": "batch_auditor",
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
    "TailWeights": "tail_weights",
    "TextassayError": "errors",
    "UsageError": "errors",
    "__version__": "version",
    "answer_with_model": "tail_probes",
    "audit_tokens": "audit",
    "batch_entropy_audit": "batch",
    "build_anchor": "anchor.build",
    "check_anchor": "anchor.check",
    "load_anchor": "anchor",
    "make_probes": "tail_probes",
    "measure": "measuring",
    "scan": "scanning",
    "score_probes": "tail_probes",
    "weigh_documents": "tail_weights",
}

__all__ = [
    "Anchor",
    "AnchorError",
    "AuditResult",
    "BackendError",
    "BatchAuditor",
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
    "TailWeights",
    "TextassayError",
    "UsageError",
    "__version__",
    "answer_with_model",
    "audit_tokens",
    "batch_entropy_audit",
    "build_anchor",
    "check_anchor",
    "load_anchor",
    "make_probes",
    "measure",
    "scan",
    "score_probes",
    "weigh_documents",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'textassay' has no attribute {name!r}")
    value = getattr(import_module(f"textassay.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
