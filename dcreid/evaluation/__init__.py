"""What is measured and written down: retrieval, partitions, and what the merges joined."""
