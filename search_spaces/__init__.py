"""What to try: priors and spaces for a search (`prior`, `space`, `spaces`, `grid`), the plans (`paper`)."""
