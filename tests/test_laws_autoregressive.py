"""The law of every row of the table that predicts step by step: what it may see, and that it sees all of it."""

import numpy as np
import pytest
from cases import CASES, having


@pytest.mark.parametrize("row", having("autoregressive"))
def test_an_input_moves_the_logits_of_its_own_step_and_of_all_later_ones_alone(row):
    case = CASES[row]
    inputs, (steps, _) = case.example(3), case.output
    logits = np.asarray(case.model(inputs, training=False))
    others = case.example(3, seed=1)
    for step in range(steps):
        changed = inputs.copy()
        changed[:, step] = np.where(others[:, step] == inputs[:, step], (inputs[:, step] + 1) % 5, others[:, step])
        moved = np.abs(np.asarray(case.model(changed, training=False)) - logits).max(-1)  # (B, T)
        assert (moved[:, :step] < 1e-6).all() and (moved[:, step:] > 1e-6).all()
