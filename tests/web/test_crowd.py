"""A crowd of clients, one of which reads nothing."""

from __future__ import annotations

from pathlib import Path

from .crowd import crowd


def test_a_silent_client_costs_nobody_an_event(tmp_path: Path) -> None:
    """A hundred clients get every event of their conversations, while one that follows all reads nothing and is given up."""
    assert crowd(str(tmp_path / "runs.db"), clients=100, rounds=3, pause=0.0).wrong == []
