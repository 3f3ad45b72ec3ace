"""The LoRA's card: read back as YAML and Markdown, with the base's licence, and safe with any words."""

import pytest
import yaml

from packshot.errors import OverwriteError
from packshot.project import save_choices
from packshot.report import write_model_card
from packshot.report.model_card import licence_of, model_card
from packshot.settings import choices_of


def parts(card):
    _, header, body = card.split("---\n", 2)
    return yaml.safe_load(header), body


def test_it_tells_photos_rights_base_and_use(product):
    save_choices(
        product,
        choices_of(base="black-forest-labs/FLUX.1-dev", rights={"photos": "our own *studio*"}),
    )
    header, body = parts(write_model_card(product).read_text())
    assert header["base_model"] == "black-forest-labs/FLUX.1-dev"
    assert header["license"] == "flux-1-dev-non-commercial-license"
    assert header["instance_prompt"] == product.subject.phrase
    assert "4 photos of the product. Rights to them, as stated: our own \\*studio\\*." in body
    assert "Not for commercial use" in body and "No class images" in body
    assert product.lora_file.name in body and product.diffusers_lora_file.name in body


@pytest.mark.parametrize(
    "base,licence",
    [
        ("pocket", "apache-2.0"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "openrail++"),
        ("stabilityai/stable-diffusion-3.5-medium", "stabilityai-ai-community"),
        ("black-forest-labs/FLUX.2-klein-base-4B", "apache-2.0"),
        ("black-forest-labs/FLUX.2-klein-9B", "flux-non-commercial-license"),
        ("/home/ada/my-finetune.safetensors", ""),
        ("somebody/pocket-like", ""),
    ],
)
def test_each_base_has_its_own_licence_and_an_unknown_one_none(base, licence):
    assert licence_of(base)[0] == licence


def test_a_path_of_the_users_is_not_told(product, tmp_path):
    (tmp_path / "secret folder").mkdir()
    file = tmp_path / "secret folder" / "tuned.safetensors"
    file.write_bytes(b"x")
    save_choices(product, choices_of(base=str(file)))
    header, body = parts(model_card(product))
    assert "base_model" not in header and header["license"] == "other"
    assert "tuned.safetensors" in body and "secret folder" not in body
    assert "not known to Packshot" in body


def test_a_card_of_the_users_own_is_not_replaced(product):
    product.lora_folder.mkdir()
    (product.lora_folder / "README.md").write_text("mine")
    with pytest.raises(OverwriteError):
        write_model_card(product)
