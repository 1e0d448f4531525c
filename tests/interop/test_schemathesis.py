"""schemathesis makes requests of ``/openapi.json``, and looks whether the answers fit it.

``LONGOP_FUZZ_EXAMPLES`` is how many for each operation (10).
"""

import os
import subprocess
import sys

from ..serve.test_main import served
from .peers import needs

pytestmark = needs("schemathesis", python=(3, 10))
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_headers_conformance,response_schema_conformance")


def test_openapi(tmp_path):
    """What the server answers is what its description says."""
    with served("examples.long_process", "--limit", "1000", "--timeout", "1", "--quiet") as server:
        url = server[2]
        done = subprocess.run(
            [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()",
             "run", f"{url}openapi.json", "--checks", CHECKS, "--seed", "1",
             "--phases", "examples,coverage,fuzzing", "--request-timeout", "30",
             "--max-examples", os.environ.get("LONGOP_FUZZ_EXAMPLES", "10")],
            cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout.decode()
