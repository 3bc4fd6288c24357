"""A plugin of pytest for ``make coverage``: backends' processes say which of their lines ran.

They are killed otherwise, which is what ends them whatever they are at, and says nothing.
"""

import time
from typing import Any

from bce_conformance.backends import BackendProcess

_PATIENCE = 3.0  # seconds: for a process that answers nothing any more
_end = BackendProcess._end


def _end_and_say(self: BackendProcess) -> None:
    channel: Any = self._channel
    if channel is not None and self._pid is not None and self._client is None:
        channel.close()  # the worker leaves of its own accord
        until = time.monotonic() + _PATIENCE
        while self._status() is None and time.monotonic() < until:
            time.sleep(0.01)
    _end(self)


BackendProcess._end = _end_and_say  # type: ignore[method-assign]
