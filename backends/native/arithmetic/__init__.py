"""What evaluating is made of: single operations, formats, pairs, 200-bit numbers, exp and log."""
