# A parent of the legacy modules. What else the real package defines is not known here.
from typing import Any

def __getattr__(name: str) -> Any: ...
