"""The ledger of known deviations: its files, and reading, judging by, updating and writing them."""
