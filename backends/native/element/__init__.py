"""One element at each precision, and the ladder that decides between them."""
