"""Losses of some steps of torch's AdamW on one batch; adamw_curve.h has our side and the same settings."""

import torch

STEPS = 20
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.01


def adamw(model):
    """Weight decay is for matrices."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW([{"params": [p for p in trained if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
                              {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0}], lr=LEARNING_RATE)


def curve(optimizer, loss_of):
    """`loss_of()` is the mean over the supervised tokens."""
    losses = []
    for _ in range(STEPS):
        loss = loss_of()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.tensor(losses, dtype=torch.float64)
