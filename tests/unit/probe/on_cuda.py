"""A module that a probe cannot be forked from: it has a tensor on the device as soon as it is imported."""

import torch
from users_models import conv as conv

SCALE = torch.ones(1, device="cuda")
