"""What the wheel has that lies elsewhere in a clone: the studio's sample."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SAMPLES = {"examples/torvane_ridge": "sample", "examples/plates": "sample_plates"}


class SampleHook(BuildHookInterface):
    """An editable installation finds it in the clone; an image that leaves it out has none."""

    def initialize(self, version, build_data):
        for source, name in SAMPLES.items():
            if version == "standard" and Path(self.root, source).is_dir():
                build_data["force_include"][source] = f"packshot/studio/{name}"
