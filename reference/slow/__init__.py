"""The slow path: certified rounding by integer enclosures of growing precision."""
