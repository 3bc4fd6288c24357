"""The hunter: a search for the inputs with the largest errors, and the corpora that keep them."""
