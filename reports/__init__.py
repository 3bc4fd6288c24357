"""What a run measured, for people: comparing, summarising and rendering results.

Everything shown comes from a ``results.json``; nothing here measures or judges.
"""
