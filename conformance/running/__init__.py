"""Running the checks: subjects, the matrix, when each call is made, and what is kept."""
