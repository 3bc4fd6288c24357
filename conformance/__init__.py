"""The conformance matrix: specification, inputs, judge, ledger and the pytest plugin."""
