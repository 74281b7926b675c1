"""The shell of each stage: take a batch, ask the models, save, send."""
