"""Checks of behaviour: types, layouts, relations between results, misuse, interface, devices."""
