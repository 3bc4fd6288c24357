"""Pages and what they share: their templates, what was not measured, and the history."""
