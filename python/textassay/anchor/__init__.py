"""Verified human text, frozen: what documents are measured against."""

from textassay.anchor.anchor import Anchor, load_anchor

__all__ = ["Anchor", "load_anchor"]
