"""What a result looks like: pictures, the report, its summary, and what a run would do."""
