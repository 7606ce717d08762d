"""The clock of the product, under the name that the tests know it by."""

from runstate.testing import FakeClock
from runstate.testing._clock import SECOND

__all__ = ["SECOND", "FakeClock"]
