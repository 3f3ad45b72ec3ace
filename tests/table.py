"""A pytest plugin that writes docs/families.md from the tests that passed: `make families`."""

from pathlib import Path

from tests.families import MAKERS, PARAMETERS

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
IN_COMFYUI = Path(__file__).parents[1] / "benchmarks" / "comfyui_keys.md"
"""What `python -m benchmarks.comfyui_keys` printed: its section of the page."""
IN_DIFFUSERS = IN_COMFYUI.with_name("lora_readers.md")
"""What `python -m benchmarks.lora_readers` printed, likewise."""
NAMES = {
    "sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "SDXL",
    "sd3": "Stable Diffusion 3, 3.5", "flux1": "FLUX.1", "flux2": "FLUX.2 klein",
    "qwen_image": "Qwen-Image", "z_image": "Z-Image",
}  # fmt: skip
SIZE = "parameters of the denoiser"
# By column: the tests that show it, and what else must be in their ids.
COLUMNS = {
    "diffusers folder": (
        ("test_the_checkpoint_makes_the_picture_that_diffusers_makes_of_it",), "",
    ),
    "single file": (
        (
            "test_it_is_the_folders_checkpoint_whatever_its_name",
            "test_the_parts_in_comfyuis_folders_are_the_checkpoint",
        ),
        "",
    ),
    "GGUF": (("test_the_parts_around_a_gguf_are_the_checkpoint",), ""),
    "inpainting": (("test_a_shot_is_what_diffusers_inpaints_of_nothing",), ""),
    "from the hub": (("test_every_family_loads_from_the_hub",), ""),
    "prompts, loss, gradients": (("test_loss_and_gradients_equal_plain_diffusers_and_peft",), ""),
    "learns one picture": (("test_forty_steps_on_one_picture_halve_the_loss",), ""),
    "gradient checkpointing": (
        ("test_checkpointing_changes_no_gradient_and_keeps_less",), "",
    ),
    "memory told unloaded": (
        ("test_a_sketch_has_the_shapes_of_the_base_and_none_of_its_weights",), "",
    ),
    "int8": (("test_a_quantised_base_learns_as_one_with_its_rounded_weights",), "int8"),
    "NF4": (("test_a_quantised_base_learns_as_one_with_its_rounded_weights",), "nf4"),
    "offload": (("test_blocks_that_come_when_they_compute_change_nothing",), ""),
    "kohya file": (
        ("test_diffusers_makes_the_same_picture_from_either_file",), "kohya",
    ),
    "kohya file read back": (("test_kohyas_file_has_every_module_of_every_scope",), ""),
    "diffusers file": (
        ("test_diffusers_makes_the_same_picture_from_either_file",), "diffusers",
    ),
    "text encoders learn": (
        (
            "test_text_encoders_learn_as_peft_has_it",
            "test_diffusers_makes_the_same_picture_from_a_file_with_text_encoders",
            "test_a_run_that_was_stopped_ends_with_the_same_text_encoders",
        ),
        "",
    ),
    "resume": (("test_stopping_and_going_on_is_bit_identical",), ""),
    SIZE: (("test_at_full_size_a_lora_on_everything_is_the_one_that_peft_makes",), ""),
}  # fmt: skip
MEANINGS = {
    "diffusers folder": "the picture that diffusers makes of the same folder",
    "single file": "the same weights as the folder's, from the original layout",
    "GGUF": "the folder's weights but for what each type rounds",
    "inpainting": "the picture that diffusers' inpainting makes of an empty image",
    "from the hub": "the folder's content and prompts, from a server that acts as the hub",
    "prompts, loss, gradients": "as diffusers' training scripts and peft compute them, to 1e-4",
    "learns one picture": "forty steps halve the loss",
    "gradient checkpointing": "the same gradients from fewer activations",
    "memory told unloaded": "a step on fake tensors, of the base's own shapes",
    "int8": "learns as the base with its weights rounded so",
    "NF4": "learns as the base with its weights rounded so",
    "offload": "blocks that are copied when they compute: same pictures, same gradients",
    "kohya file": "diffusers makes our picture from it",
    "kohya file read back": "every module of every scope, as it was",
    "diffusers file": "diffusers makes our picture from it",
    "text encoders learn": "with peft's gradients; diffusers makes our picture from both files; resume",
    "resume": "a run that was stopped ends with the same bytes as one that was not",
    SIZE: "3.5 medium's, klein 4B's; there a LoRA on all of it has the shapes that peft gives",
}
YES, SKIPPED = "yes", "not compared"
Cells = dict[tuple[str, str], str]
"""By family and column."""


def cells_of(item):
    """The family and the columns that a test speaks for."""
    given = getattr(item, "callspec", None)
    values = [value for value in given.params.values() if isinstance(value, str)] if given else []
    family = next((value for value in values if value in MAKERS), None)
    if family is None:
        return []
    return [
        (family, column)
        for column, (tests, word) in COLUMNS.items()
        if item.originalname in tests and (not word or word in values)
    ]


def page(cells, skipped=()):
    """The page's text; `skipped` are sentences on what was not compared."""
    rows = [["family", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    for family, name in NAMES.items():
        told = [cells.get((family, column), "") for column in COLUMNS]
        rows.append([name, *told[:-1], f"{PARAMETERS[family]:,}" if told[-1] else ""])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    shown = "\n".join(
        f"- {column}: {MEANINGS[column]} (`{'`, `'.join(tests)}`)"
        for column, (tests, _) in COLUMNS.items()
    )
    comfyui, diffusers = (
        measured.read_text(encoding="utf-8").strip() for measured in (IN_COMFYUI, IN_DIFFUSERS)
    )
    left = "\n## Not compared\n" + "\n".join(f"- {why}" for why in skipped) if skipped else ""
    return (
        f"""# What each family of checkpoints can do

Written by `make families` from the tests that passed, on tiny random models of the families' real
classes; the last column is of the full size.

{table}

## Which test shows each
{shown}

{comfyui}

{diffusers}
{left}""".rstrip()
        + "\n"
    )


class Table:
    """Keeps of a run only the tests that the table speaks of, and what became of each."""

    def __init__(self):
        self.tests, self.outcomes, self.skipped = {}, {}, []

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if cells_of(item)]
        self.tests = {item.nodeid: cells_of(item) for item in items}

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and not report.skipped:
            return
        for cell in self.tests[report.nodeid]:
            self.outcomes.setdefault(cell, set()).add(report.outcome)
            if report.skipped:
                why = str(report.longrepr[2]).removeprefix("Skipped: ")
                self.skipped.append(f"{NAMES[cell[0]]}, {cell[1]}: {why}")

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus or not self.outcomes:
            return
        said = {
            cell: YES if "passed" in found else SKIPPED for cell, found in self.outcomes.items()
        }
        PAGE.write_text(page(said, sorted(set(self.skipped))), encoding="utf-8")


def pytest_configure(config):
    config.pluginmanager.register(Table())
