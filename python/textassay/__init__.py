"""textassay: measure zstd-compressed JSONL corpora. Shards go in, one mergeable profile comes out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textassay import collapse, simulate
    from textassay.anchor import Anchor, load_anchor
    from textassay.anchor.build import build_anchor
    from textassay.anchor.check import check_anchor
    from textassay.audit import AuditResult, audit_tokens
    from textassay.batch import batch_entropy_audit
    from textassay.batch_auditor import BatchAuditor
    from textassay.calibration import Calibration
    from textassay.calibration.build import calibrate
    from textassay.classifier import ProvenanceClassifier
    from textassay.clusters import preserve_clusters
    from textassay.comparison import Comparison, Timeline, compare, compare_timeline
    from textassay.detector import Detector
    from textassay.errors import (
        AnchorError,
        BackendError,
        FolderError,
        InputError,
        OutputError,
        ProfileError,
        ScanInterrupted,
        TextassayError,
        UsageError,
    )
    from textassay.filtering import filter_shards
    from textassay.gate_policy import GatePolicy
    from textassay.gating import GateResult, gate
    from textassay.illustration import illustrate
    from textassay.labels import take_labels
    from textassay.measuring import Scanner, measure
    from textassay.merging import merge_profiles
    from textassay.metrics import flat_metrics, write_metrics
    from textassay.mixing import MixPolicy, plan_mix
    from textassay.profile import Profile
    from textassay.provenance import ProvenanceRules
    from textassay.report.writing import write_report
    from textassay.sampling import sample_documents
    from textassay.scanning import ScanResult, scan
    from textassay.shards import scan_shard
    from textassay.status import scan_status
    from textassay.table import Table
    from textassay.tail_probes import answer_with_model, make_probes, score_probes
    from textassay.tail_weights import TailWeights, weigh_documents
    from textassay.tokenizer import Tokenizer
    from textassay.version import __version__

# Name -> module, loaded on first access, so that `import textassay` costs about a millisecond. No module may bear
# the name of a public function: importing it would put the module in the function's place.
_HOME = {
    "Anchor": "anchor",
    "AnchorError": "errors",
    "AuditResult": "audit",
    "BackendError": "errors",
    "BatchAuditor": "batch_auditor",
    "Calibration": "calibration",
    "Comparison": "comparison",
    "Detector": "detector",
    "FolderError": "errors",
    "GatePolicy": "gate_policy",
    "GateResult": "gating",
    "InputError": "errors",
    "MixPolicy": "mixing",
    "OutputError": "errors",
    "Profile": "profile",
    "ProfileError": "errors",
    "ProvenanceClassifier": "classifier",
    "ProvenanceRules": "provenance",
    "ScanInterrupted": "errors",
    "ScanResult": "scanning",
    "Scanner": "measuring",
    "Table": "table",
    "TailWeights": "tail_weights",
    "TextassayError": "errors",
    "Timeline": "comparison",
    "Tokenizer": "tokenizer",
    "UsageError": "errors",
    "__version__": "version",
    "answer_with_model": "tail_probes",
    "audit_tokens": "audit",
    "batch_entropy_audit": "batch",
    "build_anchor": "anchor.build",
    "calibrate": "calibration.build",
    "check_anchor": "anchor.check",
    "compare": "comparison",
    "compare_timeline": "comparison",
    "filter_shards": "filtering",
    "flat_metrics": "metrics",
    "gate": "gating",
    "illustrate": "illustration",
    "load_anchor": "anchor",
    "make_probes": "tail_probes",
    "measure": "measuring",
    "merge_profiles": "merging",
    "plan_mix": "mixing",
    "preserve_clusters": "clusters",
    "sample_documents": "sampling",
    "scan": "scanning",
    "scan_shard": "shards",
    "scan_status": "status",
    "score_probes": "tail_probes",
    "take_labels": "labels",
    "weigh_documents": "tail_weights",
    "write_metrics": "metrics",
    "write_report": "report.writing",
}

# Public modules, loaded on first access as well.
_MODULES = ("collapse", "simulate")

__all__ = [
    "Anchor",
    "AnchorError",
    "AuditResult",
    "BackendError",
    "BatchAuditor",
    "Calibration",
    "Comparison",
    "Detector",
    "FolderError",
    "GatePolicy",
    "GateResult",
    "InputError",
    "MixPolicy",
    "OutputError",
    "Profile",
    "ProfileError",
    "ProvenanceClassifier",
    "ProvenanceRules",
    "ScanInterrupted",
    "ScanResult",
    "Scanner",
    "Table",
    "TailWeights",
    "TextassayError",
    "Timeline",
    "Tokenizer",
    "UsageError",
    "__version__",
    "answer_with_model",
    "audit_tokens",
    "batch_entropy_audit",
    "build_anchor",
    "calibrate",
    "check_anchor",
    "collapse",
    "compare",
    "compare_timeline",
    "filter_shards",
    "flat_metrics",
    "gate",
    "illustrate",
    "load_anchor",
    "make_probes",
    "measure",
    "merge_profiles",
    "plan_mix",
    "preserve_clusters",
    "sample_documents",
    "scan",
    "scan_shard",
    "scan_status",
    "score_probes",
    "simulate",
    "take_labels",
    "weigh_documents",
    "write_metrics",
    "write_report",
]


if not TYPE_CHECKING:  # or a checker would take every misspelt name for one of these

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"textassay.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'textassay' has no attribute {name!r}")
        value = getattr(import_module(f"textassay.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
