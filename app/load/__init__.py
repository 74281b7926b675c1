"""The load generator: orders over HTTP on a fixed schedule, and how long each took."""
