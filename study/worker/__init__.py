"""What runs in a worker: the trainable, checkpoints, shared stages, heartbeat, ranks."""
