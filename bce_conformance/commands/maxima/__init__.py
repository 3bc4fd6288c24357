"""The commands that look for the largest errors: sweeps, which prove them, and hunts."""
