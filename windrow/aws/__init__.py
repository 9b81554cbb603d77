"""AWS services as typed values: clients, the Kinesis stream, a deployed stage."""
