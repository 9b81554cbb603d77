"""Building and deploying: the template, the functions' packages, stacks, and the embedded stack."""
