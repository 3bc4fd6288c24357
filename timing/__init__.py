"""Side by side: how fast every backend is now, on this machine, in one interleaved session."""
