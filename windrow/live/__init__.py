"""Live values: the newest value of each series, on its way to a table and who watches. No row depends on them."""
