"""The states made anew from what the topics say, and from nothing else.

A stage reads several topics, and no record says in which order it took their records in. Each topic's own
order is sure, the log's time is a good guess for the rest, and what the stage said afterwards is the proof:
every message names the event that led into the status which it was said in.
"""
