"""Ray's side: Tune's loop and the hooks that it calls, nodes, workers that hang."""
