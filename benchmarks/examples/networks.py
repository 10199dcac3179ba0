"""Networks of others, made for ``--model``; those whose own class takes plain arguments need no function here.

Run from the repository's root with ``PYTHONPATH=benchmarks/examples``, or copy what you need beside your own code.
"""

from torch import nn


def residual_encoder_unet(
    channels: int = 4, classes: int = 3, features: tuple[int, ...] = (32, 64, 128, 256, 320, 320)
) -> nn.Module:
    """nnU-Net's residual encoder (dynamic_network_architectures) as its planner makes it for 3-D patches of 128³."""
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

    stages = len(features)
    return ResidualEncoderUNet(
        input_channels=channels,
        n_stages=stages,
        features_per_stage=list(features),
        conv_op=nn.Conv3d,
        kernel_sizes=3,
        strides=[1] + [2] * (stages - 1),
        n_blocks_per_stage=[1, 3, 4, 6, 6, 6][:stages],
        num_classes=classes,
        n_conv_per_stage_decoder=1,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )


def gpt2(layers: int = 12, width: int = 768, heads: int = 12) -> nn.Module:
    """GPT-2 of transformers with random weights: nothing is downloaded. Given ``labels`` it has a loss of its own."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_layer=layers, n_embd=width, n_head=heads))
