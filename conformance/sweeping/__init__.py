"""Exhaustive sweeps: every bit pattern of the logits, judged against the truth."""
