"""The rewind: has a stage whose table was lost read its topics from their beginning.

That is the way back for the tables that are not rebuilt: the statistics, and who was told what outside.
"""
