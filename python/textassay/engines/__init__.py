"""Who runs the shards of a scan. An engine launches scans and merges, and knows nothing of what they do (docs/cluster.md)."""
