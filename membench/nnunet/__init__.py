"""What fits of a plans file of nnU-Net v2: its configurations, measured as nnU-Net trains them."""

from membench.nnunet.fit import Fit, fit
from membench.nnunet.plans import Configuration, Dataset, Plans, read_dataset, read_plans

__all__ = ["Configuration", "Dataset", "Fit", "Plans", "fit", "read_dataset", "read_plans"]
