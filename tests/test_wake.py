"""`Wake`: an event that survives interrupts. The storm of interrupts itself is in `crash/test_interrupt.py`."""

from __future__ import annotations

import threading

from runstate._wake import Wake


def test_set_is_kept_until_cleared() -> None:
    """However often it is set or waited for, it stays set until it is cleared, and is cleared by one call."""
    wake = Wake()
    assert not wake.is_set()
    wake.set()
    wake.set()
    assert (wake.wait(), wake.wait(0.001), wake.is_set()) == (True, True, True)
    wake.clear()
    assert (wake.wait(0.001), wake.is_set()) == (False, False)


def test_a_waiter_is_woken_from_another_thread() -> None:
    """A thread that waits without a limit goes on once another one sets it."""
    wake, woken = Wake(), []
    waiter = threading.Thread(target=lambda: woken.append(wake.wait()))
    waiter.start()
    wake.set()
    waiter.join(30)
    assert woken == [True]
