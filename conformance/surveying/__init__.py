"""Surveys: drawn calls, evaluated and judged, and the mechanisms behind what they show."""
