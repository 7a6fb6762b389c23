"""The examples run as they stand, against a gateway with nothing configured."""

import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[3] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py")) + sorted(FOLDER.glob("*.sh"))


def test_there_are_examples():
    assert len(SCRIPTS) >= 6


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_an_example_runs(script):
    command = ["sh"] if script.suffix == ".sh" else [sys.executable]
    env = os.environ | {"OPTIMUX_URL": os.environ["OPTIMUX_PLAIN"]}
    done = subprocess.run([*command, script], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
