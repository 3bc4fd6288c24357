"""The commands of ``bce-conformance``, one module each."""
