"""The stage that turns stream records into partials on S3."""
