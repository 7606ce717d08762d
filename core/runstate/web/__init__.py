"""Live events and questions over HTTP: `app(tracker)` is an ASGI application. Needs the extra `web`: `pip install "runstate[web]"`.

See docs/web.md.
"""

from ._app import WebApp as WebApp
from ._app import app as app
from ._presence import Handed as Handed
from ._presence import Presence as Presence
from ._serving import AddressError as AddressError
from ._serving import WebServer as WebServer
from ._serving import serve as serve
from ._settings import Authorize as Authorize
from ._settings import Principal as Principal
from ._settings import WebLimits as WebLimits

__all__ = [
    "AddressError",
    "Authorize",
    "Handed",
    "Presence",
    "Principal",
    "WebApp",
    "WebLimits",
    "WebServer",
    "app",
    "serve",
]
