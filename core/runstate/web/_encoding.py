"""JSON as it goes over the wire.

The characters that mean something in HTML are escaped, so that no text of a user is ever markup, wherever a page or a proxy puts it.
"""

from __future__ import annotations

from pydantic_core import to_json


def encode(value: object) -> bytes:
    """Encode plain data as one line of JSON without `<`, `>` and `&`.

    These three stand only inside strings in JSON, where an escape means the same.
    """
    encoded = to_json(value, inf_nan_mode="null")
    if b"<" in encoded or b">" in encoded or b"&" in encoded:
        encoded = encoded.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")
    return encoded
