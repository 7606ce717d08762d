"""How often one may ask, on a clock that the test moves."""

from __future__ import annotations

from runstate.web._rates import _KNOWN, Allowance


def test_a_bucket_fills_with_time() -> None:
    """After its burst a client has as many requests as seconds have passed times the rate, and never more than the burst."""
    now = [0.0]
    allowance = Allowance(2.0, 3, lambda: now[0])
    assert [allowance.spend("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now[0] += 0.5
    assert [allowance.spend("ann") for _ in range(2)] == [0.0, 0.5]
    now[0] += 100.0
    assert [allowance.spend("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_clients_are_counted_apart_and_not_without_bound() -> None:
    """One client's requests cost no other one's, and whoever comes, only so many are remembered."""
    allowance = Allowance(1.0, 1, lambda: 0.0)
    assert allowance.spend("ann") == 0.0
    assert allowance.spend("bob") == 0.0
    assert allowance.spend("ann") > 0.0
    for number in range(_KNOWN + 10):
        allowance.spend(str(number))
    assert len(allowance._left) == _KNOWN
