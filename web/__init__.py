"""HTTP: commands in, queries out, on every worker."""
