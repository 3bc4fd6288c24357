"""The ledger of known deviations: its files, reading and updating them."""
