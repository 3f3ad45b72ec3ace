"""What is installed, and what does not fit together."""

from importlib.metadata import version

import pytest
from packaging.requirements import Requirement

from packshot.doctor import packages
from packshot.doctor.packages import package_findings


@pytest.fixture
def installation(monkeypatch):
    """Changes what is installed (None: not), and what a package needs."""
    versions, needs = {}, {}
    monkeypatch.setattr(
        packages, "installed", lambda name: versions[name] if name in versions else version(name)
    )
    real = packages.requirements
    monkeypatch.setattr(
        packages,
        "requirements",
        lambda name: [Requirement(text) for text in needs[name]] if name in needs else real(name),
    )
    versions |= dict.fromkeys((*packages.PINNED_TO_TORCH, "onnxruntime-gpu", "opencv-python"))
    return versions, needs


def found(about):
    return [finding for finding in package_findings() if finding.about == about]


def test_this_installation_is_in_order(installation):
    findings = list(package_findings())
    assert {finding.mark for finding in findings} == {"ok"}
    shown = {finding.about: finding.text for finding in findings}
    assert shown["torch"] == version("torch") and shown["packshot"] == version("packshot")
    assert {"Python", "diffusers", "transformers", *packages.EXTRAS} <= shown.keys()


def test_what_is_optional_and_missing_is_no_problem(installation):
    installation[0]["bitsandbytes"] = None
    (finding,) = found("bitsandbytes")
    assert finding.mark == "ok" and "pip install 'packshot[quantised]'" in finding.text


def test_a_version_that_packshot_cannot_work_with_is_told(installation):
    installation[0]["diffusers"] = "0.30.0"
    _, finding = found("diffusers")
    assert finding.mark == "problem" and "0.30.0; Packshot needs" in finding.text
    assert finding.advice.startswith("pip install 'diffusers") and ">=0.42" in finding.advice


def test_what_is_made_for_another_torch_is_told(installation):
    versions, needs = installation
    versions |= {"torchvision": "0.20.0", "torch": "2.13.0+cu130"}
    needs["torchvision"] = ["torch==2.5.0"]
    (finding,) = found("torchvision")
    assert finding.mark == "problem" and "is made for torch ==2.5.0" in finding.text
    needs["torchvision"] = ["torch==2.13.0"]
    assert found("torchvision") == []


def test_distributions_that_overwrite_each_other_are_told(installation):
    installation[0]["onnxruntime-gpu"] = "1.20.0"
    (finding,) = found("onnxruntime + onnxruntime-gpu")
    assert finding.mark == "note" and "pip uninstall" in finding.advice
