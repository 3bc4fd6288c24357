"""The figures of the report that are drawn from more than one run or one table."""
