"""How fast runstate is: every figure is a ratio inside one run. `python -m bench`; see README.md."""
