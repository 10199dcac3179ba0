"""Plans in the form that nnU-Net's planner writes, of small networks."""

import json
from pathlib import Path
from typing import Any

DATASET = {
    "channel_names": {"0": "FLAIR", "1": "T1w", "2": "T1Gd", "3": "T2w"},
    "labels": {"background": 0, "edema": 1, "core": 2},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


def architecture(sides: int, strides: list[list[int]]) -> dict[str, Any]:
    stages = len(strides)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [8 * 2**stage for stage in range(stages)],
            "conv_op": f"torch.nn.modules.conv.Conv{sides}d",
            "kernel_sizes": [[3] * sides] * stages,
            "strides": strides,
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{sides}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def configuration(patch: list[int], batch: int, strides: list[list[int]]) -> dict[str, Any]:
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "batch_size": batch,
        "patch_size": patch,
        "spacing": [1.0] * len(patch),
        "normalization_schemes": ["ZScoreNormalization"] * 4,
        "batch_dice": False,
        "architecture": architecture(len(patch), strides),
    }


def plans() -> dict[str, Any]:
    return {
        "dataset_name": "Dataset001_MadeUp",
        "plans_name": "nnUNetPlans",
        "configurations": {
            "2d": configuration([64, 48], 12, [[1, 1], [2, 2], [2, 2]]),
            "3d_lowres": configuration([32, 32, 32], 2, [[1, 1, 1], [2, 2, 2], [2, 2, 2]]),
            "3d_fullres": configuration([16, 48, 32], 2, [[1, 1, 1], [1, 2, 2], [2, 2, 2]]),
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
    }


def write(folder: Path, content: Any = None, dataset: Any = DATASET) -> Path:
    file = folder / "nnUNetPlans.json"
    file.write_text(json.dumps(plans() if content is None else content))
    if dataset:
        (folder / "dataset.json").write_text(json.dumps(dataset))
    return file
