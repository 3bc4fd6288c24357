"""The one home of results.json: its schema, its types, reading, writing, and the host.

``read`` is all that a reader of results needs::

    from bce_conformance import results

    frame = results.read("reports/out").to_frame()   # with pandas
    rows = results.read("reports/out").rows()        # without
"""

from .reading import read

__all__ = ["read"]
