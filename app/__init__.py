"""The process: the one Faust app, its settings, topics and delivery, the broker and the command line."""
