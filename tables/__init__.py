"""State: one table and one writer a module; `queries` is the read side."""
