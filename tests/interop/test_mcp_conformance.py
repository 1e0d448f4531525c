"""The official conformance suite of the Model Context Protocol, against ``longop.serve``.

``LONGOP_MCP_CONFORMANCE`` names its ``dist/index.js``, and ``LONGOP_NODE`` a Node of 22 or more.
What it asks for and longop does not have is in ``tests/mcp/conformance.yml``, with the reasons.
"""

import subprocess

import pytest

from .test_mcp_clients import ENVIRONMENT, ROOT, http, needs

TARGET = "tests.mcp.conformance"
BASELINE = str(ROOT / "tests" / "mcp" / "conformance.yml")
# Those that a revision does not require are run one by one: in a run of its requirements they
# are not held against the baseline.
EXTENSION = ["tasks-lifecycle", "tasks-capability-negotiation", "tasks-wire-fields",
             "tasks-request-state-removal", "tasks-mrtr-input", "tasks-request-headers",
             "tasks-dispatch-and-envelope", "tasks-status-notifications",
             "tasks-required-task-error", "tasks-mrtr-composition"]
PENDING = ["json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conformance")
    with http(folder, target=TARGET) as where:
        yield where


def check(url, folder, *arguments):
    """Run scenarios; what is not in the baseline must pass, and what is in it must not."""
    command = [needs("LONGOP_NODE"), needs("LONGOP_MCP_CONFORMANCE"), "server", "--url", url,
               "--expected-failures", BASELINE, *arguments]
    done = subprocess.run(command, cwd=str(folder), env=ENVIRONMENT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
def test_requirements(url, tmp_path, revision):
    """All that a revision requires of a server with tools passes."""
    shown = check(url, tmp_path, "--requirements", revision)
    assert "Baseline check passed" in shown


@pytest.mark.slow
@pytest.mark.parametrize("scenario", EXTENSION + PENDING)
def test_scenarios(url, tmp_path, scenario):
    """The scenarios of the tasks extension, and those that are not yet required, pass."""
    check(url, tmp_path, "--scenario", scenario)
