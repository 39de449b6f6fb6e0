"""Tables of the lecture's figures: one for each experiment of the laboratory.

Nothing here imports TensorFlow.
"""

from rows import Row, Table

__all__ = ["TABLES", "Row", "Table"]
TABLES = {}
