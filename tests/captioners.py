"""Captioners of the real classes, a few thousand random weights each, saved as their authors do."""

import json

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipConfig,
    BlipForConditionalGeneration,
    CLIPConfig,
    CLIPModel,
    Florence2Config,
    Florence2ForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

WORDS = ["a", "red", "car", "parked", "in", "the", "snow", "at", "night", "side", "view", "of"]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<|im_start|>", "<|im_end|>"]
SPECIAL += ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
VOCABULARY = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
SIZE = len(VOCABULARY)
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
# Qwen2-VL's own, without videos; Qwen3-VL's has no words of the system's.
SYSTEM = (
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}"
)
TEMPLATE = (
    "{% for message in messages %}SYSTEM<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_template(kind):
    return TEMPLATE.replace("SYSTEM", "" if kind == "qwen3_vl" else SYSTEM)


STRENGTH = 0.8


def _saved(model, folder, **preprocessor):
    torch.manual_seed(0)
    for parameter in model.parameters():  # larger than usual, so that pictures make a difference
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=STRENGTH)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"} if "image_seq_length" in preprocessor else {},
    ).save_pretrained(folder)  # fmt: skip
    settings = {
        "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True,
        "image_mean": MEAN, "image_std": STD, "resample": 3, "rescale_factor": 1 / 255,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | preprocessor))
    return folder


def _bert(**more):
    return {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "vocab_size": SIZE, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 0, "sep_token_id": 2, **more,
    }  # fmt: skip


_VIT = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "image_size": 32, "patch_size": 16,
}  # fmt: skip


def make_blip(folder):
    config = BlipConfig(
        text_config=_bert(encoder_hidden_size=16), vision_config=dict(_VIT),
        projection_dim=8, image_text_hidden_size=8,
    )  # fmt: skip
    return _saved(
        BlipForConditionalGeneration(config), folder,
        image_processor_type="BlipImageProcessor", size={"height": 32, "width": 32},
    )  # fmt: skip


def make_blip2(folder, vocab_size=SIZE, **more):
    config = Blip2Config(
        vision_config=dict(_VIT),
        qformer_config=_bert(encoder_hidden_size=16),
        text_config={
            "model_type": "opt", "hidden_size": 16, "num_hidden_layers": 1, "ffn_dim": 16,
            "num_attention_heads": 2, "vocab_size": vocab_size, "max_position_embeddings": 128,
            "word_embed_proj_dim": 16, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        },
        num_query_tokens=3, **({"image_token_index": VOCABULARY["<image>"]} | more),
    )  # fmt: skip
    return _saved(
        Blip2ForConditionalGeneration(config), folder,
        image_processor_type="BlipImageProcessor", size={"height": 32, "width": 32},
    )  # fmt: skip


def make_blip2_t5(folder):
    """BLIP-2 over an encoder and a decoder."""
    config = Blip2Config(
        vision_config=dict(_VIT),
        qformer_config=_bert(encoder_hidden_size=16),
        text_config={
            "model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1,
            "num_heads": 2, "vocab_size": SIZE, "pad_token_id": 0, "eos_token_id": 2,
            "decoder_start_token_id": 0, "bos_token_id": 1,
        },
        num_query_tokens=3, image_token_index=VOCABULARY["<image>"],
    )  # fmt: skip
    return _saved(
        Blip2ForConditionalGeneration(config), folder,
        image_processor_type="BlipImageProcessor", size={"height": 32, "width": 32},
    )  # fmt: skip


def make_florence(folder):
    config = Florence2Config(
        vision_config={
            "depths": (1, 1), "patch_size": (7, 3), "patch_stride": (4, 2), "patch_padding": (3, 1),
            "patch_prenorm": (False, True), "embed_dim": (8, 16), "num_heads": (2, 2),
            "num_groups": (2, 2), "window_size": 4, "projection_dim": 16, "drop_path_rate": 0.0,
        },
        text_config={
            "model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16,
            "decoder_ffn_dim": 16, "vocab_size": SIZE, "max_position_embeddings": 128,
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 2,
            "forced_eos_token_id": 2,
        },
        image_token_id=VOCABULARY["<image>"],
    )  # fmt: skip
    return _saved(
        Florence2ForConditionalGeneration(config), folder,
        image_processor_type="CLIPImageProcessor", size={"height": 32, "width": 32},
        do_center_crop=False, image_seq_length=17, crop_size={"height": 32, "width": 32},
    )  # fmt: skip


def _text(**more):
    return {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "num_key_value_heads": 2, "vocab_size": SIZE, "max_position_embeddings": 256,
        "bos_token_id": 1, "eos_token_id": VOCABULARY["<|im_end|>"], "pad_token_id": 0, **more,
    }  # fmt: skip


def _qwen(config, network, vision, folder, *, patch, text):
    made = config(
        text_config=text, vision_config=vision,
        image_token_id=VOCABULARY["<|image_pad|>"], video_token_id=VOCABULARY["<|video_pad|>"],
        vision_start_token_id=VOCABULARY["<|vision_start|>"],
        vision_end_token_id=VOCABULARY["<|vision_end|>"],
    )  # fmt: skip
    saved = _saved(
        network(made), folder, image_processor_type="Qwen2VLImageProcessor", patch_size=patch,
        temporal_patch_size=2, merge_size=2, min_pixels=(2 * patch) ** 2, max_pixels=(4 * patch) ** 2,
    )  # fmt: skip
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": endless}))
    return saved


def make_qwen2_vl(folder):
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "patch_size": 14}
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    text = _text(rope_parameters=rope)
    return _qwen(
        Qwen2VLConfig, Qwen2VLForConditionalGeneration, vision, folder, patch=14, text=text
    )


def make_qwen2_5_vl(folder):
    vision = {
        "depth": 1, "hidden_size": 16, "out_hidden_size": 16, "intermediate_size": 16,
        "num_heads": 2, "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [0],
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    return _qwen(
        Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, vision, folder, patch=14,
        text=_text(rope_parameters=rope),
    )  # fmt: skip


def make_qwen3_vl(folder):
    vision = {
        "depth": 1, "hidden_size": 16, "out_hidden_size": 16, "intermediate_size": 16,
        "num_heads": 2, "patch_size": 16, "deepstack_visual_indexes": [0],
        "num_position_embeddings": 16,
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    return _qwen(
        Qwen3VLConfig, Qwen3VLForConditionalGeneration, vision, folder, patch=16,
        text=_text(rope_parameters=rope, head_dim=8),
    )  # fmt: skip


MAKERS = {
    "blip": make_blip, "blip-2": make_blip2, "blip-2-t5": make_blip2_t5, "florence2": make_florence,
    "qwen2_vl": make_qwen2_vl, "qwen2_5_vl": make_qwen2_5_vl, "qwen3_vl": make_qwen3_vl,
}  # fmt: skip


def make_clip(folder):
    """A tiny CLIP over the real vocabulary, as transformers saves it."""
    towers = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16
    }  # fmt: skip
    config = CLIPConfig(
        text_config={**towers, "vocab_size": 49_408, "eos_token_id": 49_407},
        vision_config={**towers, "image_size": 32, "patch_size": 16}, projection_dim=8,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text("{}")
    return folder
