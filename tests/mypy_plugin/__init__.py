"""The mypy plugin, judged by what mypy says with it."""
