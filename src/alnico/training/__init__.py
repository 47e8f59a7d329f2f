"""Training of any `nn.Module`, many members at once where their architecture allows it."""

from alnico.training.loop import train
from alnico.training.optimisers import Setting, optimisers
from alnico.training.records import Epoch, Trained, Training

__all__ = ["Epoch", "Setting", "Trained", "Training", "optimisers", "train"]
