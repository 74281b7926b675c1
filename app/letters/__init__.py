"""The operator's work on dead letters: look at them, put them back, set them aside; all of it on record."""
