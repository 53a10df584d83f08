"""How to try it: Algorithm 1 as a Ray Tune study that Optuna searches (`python study/run.py --help`)."""
