"""`pytest tests/bases --families FILE`: the table of what the tests showed of each family."""

import re

FAMILIES = {
    "sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "SDXL",
    "sd3": "Stable Diffusion 3.x", "flux1": "FLUX.1", "flux2": "FLUX.2 klein",
    "qwen_image": "Qwen-Image", "z_image": "Z-Image",
}  # fmt: skip
FEATURES = {
    "folder": ["test_the_checkpoint_makes_the_picture_that_diffusers_makes_of_it"],
    "single file": [
        "test_it_is_the_folders_checkpoint_whatever_its_name",
        "test_the_parts_in_comfyuis_folders_are_the_checkpoint",
    ],
    "GGUF": ["test_a_gguf_is_the_transformer_as_near_as_its_bits_are"],
    "inpainting (9 channels)": ["test_a_shot_is_what_diffusers_inpaints_of_nothing"],
    "loss and gradients as diffusers and peft": [
        "test_loss_and_gradients_equal_plain_diffusers_and_peft"
    ],
    "30 steps halve the loss": ["test_thirty_steps_on_one_picture_halve_the_loss"],
    "gradient checkpointing": ["test_checkpointing_changes_no_gradient_and_keeps_less"],
    "resume, bit for bit": ["test_stopping_and_going_on_is_bit_identical"],
    "kohya's file has every module": ["test_kohyas_file_has_every_module_of_every_scope"],
    "same picture from the LoRA's files": [
        "test_diffusers_makes_the_same_picture_from_either_file"
    ],
}
_outcomes: dict[tuple[str, str], set[str]] = {}


def pytest_addoption(parser):
    parser.addoption("--families", help="write the table of families and features to this file")


def pytest_runtest_logreport(report):
    match = re.match(r".*::(\w+)\[(.*)\]$", report.nodeid)
    if match and (report.when == "call" or report.failed):
        named = set(match[2].split("-"))
        for family in named & FAMILIES.keys():
            _outcomes.setdefault((match[1], family), set()).add(report.outcome)


def pytest_sessionfinish(session):
    if file := session.config.getoption("--families", default=None):
        with open(file, "w", encoding="utf-8") as table:
            table.write(rendered())


def rendered():
    """The table in Markdown: a tick where every test of a feature ran and passed."""
    lines = [
        "# What works on which family",
        "",
        "Written by `make families` from the tests that ran, on small random models of the real "
        "classes. A tick: every test of that name passed for that family.",
        "",
        "| | " + " | ".join(FAMILIES.values()) + " |",
        "|---" * (len(FAMILIES) + 1) + "|",
    ]
    for feature, tests in FEATURES.items():
        ticks = []
        for family in FAMILIES:
            seen = set().union(*(_outcomes.get((test, family), set()) for test in tests))
            ticks.append("✓" if seen == {"passed"} else "")
        lines.append(f"| {feature} | " + " | ".join(ticks) + " |")
    tests = "\n".join(
        f"- {feature}: {', '.join(f'`{test}`' for test in tests)}"
        for feature, tests in FEATURES.items()
    )
    return "\n".join(lines) + f"\n\nThe tests, all in `tests/bases`:\n\n{tests}\n"
