"""A module whose import changes PyTorch for the whole process, as some libraries do."""

import torch
from users_models import conv as plain_conv


def conv() -> torch.nn.Module:
    return plain_conv()


torch.backends.cudnn.enabled = False
