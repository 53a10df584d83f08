"""What people see of a study: the console, its status, the summary, Optuna's dashboard."""
