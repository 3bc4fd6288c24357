"""Print the table of the impostors, or write it into the documentation with ``--write``.

``--record REQUIREMENT…`` measures what all impostors get from some requirements, and writes it as a
pickle.
"""

import pickle
import sys
import warnings

from . import table

match sys.argv[1:]:
    case []:
        print(table.document(), end="")
    case ["--write"]:
        table.DOCUMENT.write_text(table.document(), "utf-8")
    case ["--record", *asked]:
        warnings.simplefilter("error")  # as the tests run
        sys.stdout.buffer.write(pickle.dumps(table.record(asked)))
    case given:
        sys.exit(f"arguments are {given}; accepted are --write and --record REQUIREMENT…")
