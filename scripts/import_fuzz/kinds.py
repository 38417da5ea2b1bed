"""Which kind of graph a seed draws."""

from __future__ import annotations

import random

from scripts.import_fuzz.bent import bent
from scripts.import_fuzz.draft import Case
from scripts.import_fuzz.float_graphs import float_case
from scripts.import_fuzz.operator_graphs import operator_case
from scripts.import_fuzz.qdq_graphs import qdq_case

__all__ = ["case_of_seed"]

# Of graphs with something changed at random.
_BENT = 0.1


def case_of_seed(seed: int) -> Case:
    """Return the graph of a seed: float, QDQ or QOperator, some of them bent."""
    dice = random.Random(f"kind {seed}")
    made = dice.random()
    if made < 0.5:
        case = float_case(seed)
    else:
        case = qdq_case(seed) if made < 0.8 else operator_case(seed)
    return bent(case) if dice.random() < _BENT else case
