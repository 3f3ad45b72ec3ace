"""Tiny segmenters of each kind: ONNX files of known arithmetic, SAMs with random weights."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
PICTURE = [1, 3, 32, 32]


def save_onnx(path, nodes, inputs=None, outputs=None, weights=(), kind=FLOAT):
    """Write a model of `nodes` from "input" to "output"; returns the path."""
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(n, kind, s)
            for n, s in (inputs or {"input": PICTURE}).items()
        ],
        [
            helper.make_tensor_value_info(n, kind, s)
            for n, s in (outputs or {"output": [1, 1, None, None]}).items()
        ],
        list(weights),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def weighted(values, kind=np.float32, name="w"):
    """Weights [1, 3, 1, 1] for a sum of the channels."""
    return numpy_helper.from_array(np.array(values, kind).reshape(1, 3, 1, 1), name)


def summing(path, shape, values, *, last=(), kind=FLOAT, outputs=None):
    """A model whose map is a weighted sum of its picture's channels; `last` nodes come after "sum"."""
    nodes = [helper.make_node("Conv", ["input", "w"], ["sum" if last else "output"]), *last]
    numbers = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    return save_onnx(path, nodes, {"input": shape}, outputs, [weighted(values, numbers)], kind)


def node(name, *inputs, to="output", **options):
    """A node of a graph."""
    return helper.make_node(name, list(inputs), [to], **options)


def sam2_config():
    """A Sam2Config of a few thousand weights; pictures of 64 px."""
    from transformers import Sam2Config

    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1,
        "image_size": [64, 64], "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 4, 2], "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 32,
    }  # fmt: skip
    prompts = {"hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 8}
    decoder = {
        "hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }  # fmt: skip
    return Sam2Config(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
    )


def sam2_video_config():
    """The same with what follows things through videos, as Meta's repositories have it."""
    from transformers import Sam2VideoConfig

    shared = sam2_config().to_dict()
    prompts, decoder = (
        {key: value for key, value in shared[part].items() if key != "model_type"}
        for part in ("prompt_encoder_config", "mask_decoder_config")
    )
    return Sam2VideoConfig(
        vision_config=shared["vision_config"], prompt_encoder_config=prompts,
        mask_decoder_config=decoder, image_size=64, memory_attention_hidden_size=32,
        memory_attention_num_layers=1, memory_attention_feed_forward_hidden_size=16,
        memory_encoder_hidden_size=32, memory_encoder_output_channels=8,
        mask_downsampler_embed_dim=32, memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=16, memory_attention_rope_feat_sizes=[4, 4],
    )  # fmt: skip


def sam_config():
    """The first SAM, as small."""
    from transformers import SamConfig

    vision = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 16, "output_channels": 32, "mlp_dim": 16, "window_size": 2,
        "global_attn_indexes": [1], "num_pos_feats": 16,
    }  # fmt: skip
    prompts = {
        "hidden_size": 32, "image_size": 64, "patch_size": 16, "image_embedding_size": 4,
        "mask_input_channels": 8,
    }  # fmt: skip
    decoder = {
        "hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }  # fmt: skip
    return SamConfig(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
    )


def save_sam(make, config, folder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make(config).eval()
        for weight in network.parameters():  # some begin at zero, and would hide mistakes
            torch.nn.init.normal_(weight, std=0.3)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}'
    )
    return folder


def save_apart(folder, location, name="model.onnx"):
    """Save a model with its weights in a file beside it; returns the path."""
    path = summing(folder / name, PICTURE, [0.2, 0.3, 0.5])
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    beside = path.parent / location
    if not beside.exists() and beside.parent.is_dir():
        beside.write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path
