"""What the scripts read: studies, their runs, the paper's numbers and symbols."""
