"""The stage that answers questions about the results: queries, verification."""
