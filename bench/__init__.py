"""What the system costs, measured; each module is run by itself and says how in its head."""
