"""The dashboard's files: a fixed list, read once, so that no address leads anywhere else in the file system.

Their media types stand here too, because browsers run no script of another type, and what the system thinks of an ending differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ._access import Gate
from ._refusals import RefusedError

STATIC: Final = Path(__file__).parent / "static"
PAGE: Final = "index.html"
MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
)
"""By ending; a file with another one is not served."""


class Pages:
    """Answers with the dashboard's files.

    Args:
        gate: Who may have them. Where a token is asked for everybody may: they hold nothing, and the page asks for the token itself.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES}

    async def page(self, request: Request) -> Response:
        """Answer with the page."""
        return await self._file(PAGE, request)

    async def static(self, request: Request) -> Response:
        """Answer with one of the files that the page asks for."""
        return await self._file(request.path_params["name"], request)

    async def _file(self, name: str, request: Request) -> Response:
        if not self._gate.has_token:
            await self._gate.admit(request)
        content = self._files.get(name)
        if content is None:
            raise RefusedError(404, "not_found", "the dashboard has no such file")
        return Response(content, media_type=MEDIA_TYPES[Path(name).suffix])
