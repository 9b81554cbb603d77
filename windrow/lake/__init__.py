"""What lies where on S3, the store that holds it, and quarantine."""
