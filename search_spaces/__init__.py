"""What to try: priors for a search (`optuna`, `space`, `samplers`, `grid`) and the paper's plan (`paper`)."""
