"""Whether diffusers, in its versions that people have, loads the LoRA files that are written here.

Per family a tiny checkpoint, and three LoRAs of random weights, written in diffusers' format: of one
rank, of other ranks in other modules, and of queries and values alone; with the text encoders where
they can be trained. A process of each Python that is named loads each file into diffusers' own
pipeline, and tells what its layers add to their weights. That is compared with what the LoRA adds.

    python -m benchmarks.lora_readers --python .venv/bin/python --python old/bin/python [--only sd1]

Prints a section of docs/families.md, which `make families` takes from benchmarks/lora_readers.md.
An environment with the older versions: `pip install torch diffusers==0.35.2 "transformers<5" "peft<0.19"
sentencepiece protobuf`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.comfyui_keys import random_lora
from packshot.lora import Lora, LoraWeights, write_lora
from packshot.models import load_base, registry
from packshot.models.diffusion_model import DiffusionModel

MAKERS = importlib.import_module("tests.families").MAKERS  # tests are not typed
SECTION = """\
## In diffusers
How many modules of a `.diffusers` file each version loads so that they add to its weights what they should:
tiny checkpoints, all modules that can be trained, the text encoders too where they can be. Measured with
`python -m benchmarks.lora_readers`; a dash is where that diffusers does not know the family.
"""
# In the other environment, which has no Packshot: what each layer adds, by its name.
READER = """
import json, sys
import diffusers, peft, torch, transformers
from safetensors.torch import save_file

folder, files = sys.argv[1], json.loads(sys.argv[2])
print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}", flush=True)
parts = json.load(open(f"{folder}/model_index.json"))
absent = {name: None for name in parts if name.startswith("tokenizer")}  # in files that 4 cannot read
try:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, **absent)
except (AttributeError, ImportError):
    sys.exit(3)
for file, out in files:
    pipeline.load_lora_weights(file, adapter_name="a")
    added = {}
    for root, network in pipeline.components.items():
        if isinstance(network, torch.nn.Module):
            for name, layer in network.named_modules():
                if hasattr(layer, "get_delta_weight") and "a" in layer.lora_A:
                    added[f"{root}.{name}"] = layer.get_delta_weight("a").detach().contiguous()
    save_file(added, out)
    pipeline.unload_lora_weights()
"""


def loras_of(base: DiffusionModel) -> dict[str, Lora]:
    """By what is said of them in the table."""
    whole = random_lora(base, "all")
    mixed = {
        name: grown(each, 1 + number % 3) if number % 2 else each
        for number, (name, each) in enumerate(whole.weights.items())
    }
    part = {n: w for n, w in whole.weights.items() if n.endswith(("to_q", "to_v", "q_proj"))}
    return {"one rank": whole, "several ranks": Lora(mixed), "queries and values": Lora(part)}


def grown(weights: LoraWeights, times: int) -> LoraWeights:
    """The same change of a higher rank, at another alpha."""
    down, up = (
        torch.cat([each] * times, dim) for dim, each in ((0, weights.down), (1, weights.up))
    )
    return LoraWeights(down, up / times, weights.alpha * times)


def tell(python: str, folder: Path, files: list[tuple[Path, Path]]) -> tuple[str, bool]:
    """What versions a Python has, and whether they know the checkpoint; the files are written."""
    named = json.dumps([[str(file), str(out)] for file, out in files])
    done = subprocess.run(
        [python, "-c", READER, str(folder), named], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 3):
        sys.exit(f"{python} failed on {folder.name}: {done.stderr[-2000:]}")
    return done.stdout.splitlines()[0], done.returncode == 0


def loaded(lora: Lora, added: dict[str, Tensor]) -> str:
    """How many modules add what they should; those that nobody asked for count as wrong."""
    got = {name.replace(".text_model.", "."): value for name, value in added.items()}
    meant = {name.replace(".text_model.", "."): each for name, each in lora.weights.items()}
    good = sum(
        name in got and torch.allclose(got[name], each.delta(), rtol=1e-3, atol=1e-4)
        for name, each in meant.items()
    )
    more = sum(bool(value.any()) for name, value in got.items() if name not in meant)
    return f"{good} of {len(meant)}" + f" ({more} elsewhere)" * bool(more)


def rows_of(family: str, pythons: list[str], folder: Path) -> tuple[list[str], list[str]]:
    """The table's rows of a family, and what the columns are."""
    checkpoint = MAKERS[family](folder / family)
    base = load_base(str(checkpoint), device="cpu", dtype=torch.float32)
    loras = loras_of(base)
    versions: list[str] = []
    cells: dict[str, list[str]] = {called: [] for called in loras}
    for number, python in enumerate(pythons):
        places = {called: folder / f"{family}-{n}" for n, called in enumerate(loras)}
        for called, lora in loras.items():
            write_lora(lora, places[called].with_suffix(".safetensors"), base, "diffusers")
        outs = {called: place.with_suffix(f".{number}") for called, place in places.items()}
        files = [(p.with_suffix(".safetensors"), outs[called]) for called, p in places.items()]
        version, knows = tell(python, checkpoint, files)
        versions.append(version)
        for called, lora in loras.items():
            cells[called].append(loaded(lora, load_file(outs[called])) if knows else "-")
    title = registry.families()[family].title
    return [
        f"| {title} | {called} | {' | '.join(told)} |" for called, told in cells.items()
    ], versions


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", required=True, help="a Python with diffusers")
    parser.add_argument("--only", help="this family")
    options = parser.parse_args()
    rows: list[str] = []
    versions: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for family in registry.families():
            if options.only in (None, family):
                more, versions = rows_of(family, options.python, Path(folder))
                rows += more
                print(*more, sep="\n", file=sys.stderr, flush=True)
    print(SECTION)
    print(f"| family | LoRA | {' | '.join(versions)} |")
    print("| --- " * (2 + len(versions)) + "|")
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()
