"""What a run measured, for people: reading, comparing, summarising and rendering results.

Everything shown comes from a ``results.json``; nothing here measures or judges.
"""
