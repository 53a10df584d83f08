"""What a user types: options, the plan that they mean, the dry run, and a session from start to end."""
