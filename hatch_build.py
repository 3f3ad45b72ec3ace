"""What the wheel has that lies elsewhere in a clone: the studio's sample."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SAMPLE = "examples/torvane_ridge"


class SampleHook(BuildHookInterface):
    """An editable installation finds it in the clone; an image that leaves it out has none."""

    def initialize(self, version, build_data):
        if version == "standard" and Path(self.root, SAMPLE).is_dir():
            build_data["force_include"][SAMPLE] = "packshot/studio/sample"
