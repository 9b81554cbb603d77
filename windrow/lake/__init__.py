"""The objects on S3: their keys, the store that reads and writes them, and the quarantine of rejected payloads."""
