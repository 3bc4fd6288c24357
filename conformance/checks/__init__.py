"""The checks: one test for each requirement of SPEC.md, one module a family."""
