"""The checks: one test for each requirement of SPEC.md, and what they share."""
