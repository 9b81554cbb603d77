"""The groups of users, as tokens name them."""

VIEWER, OPERATOR = "viewer", "operator"
"""Who may see the results. Operators may ask everything."""
