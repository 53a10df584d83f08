"""What runs next and what ends: the session, its queue, shared stages, the confirmation."""
