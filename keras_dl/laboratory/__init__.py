"""What the apps of the lecture's figures compute and draw; each file is about one subject.

An app chooses what is computed, and says what was seen. What it needs for that stands here as functions of arrays,
with the equations in their docstrings; results.py writes pictures and their numbers into the run.
"""
