"""The HTTP API of a stage: its operations, what they take and give, and the OpenAPI document that is made of these."""
