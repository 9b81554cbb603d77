"""The payload contract of a stage: what its devices' payloads mean as readings."""
