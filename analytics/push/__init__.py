"""Live values to browsers: from the stream of the newest values to messages on WebSockets, with Live=push."""
