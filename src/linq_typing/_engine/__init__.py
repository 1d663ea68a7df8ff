"""What runs the pure decisions: the loop thread, the HTTP requests, and the engine that ties them together."""
