"""`longop.wsgi` under the servers that people run."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ..web import doors
from ..waiting import WAIT, wait_until
from .peers import needs

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = """
import longop
from tests.web import doors
application = longop.wsgi(*doors.operations(), **doors.OPTIONS)
"""


@contextlib.contextmanager
def running(folder, *command, source=APPLICATION):
    """Run a server of an application; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    (folder / "application.py").write_text(source)
    command = [text.format(*address) for text in command]
    environment = {"PYTHONPATH": f"{ROOT}:{folder}"}
    with subprocess.Popen([sys.executable, "-m", *command], cwd=str(folder), env=environment,
                          stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: is_there(address), 2 * WAIT)
            yield address
        finally:
            process.terminate()
            process.wait(WAIT)


def is_there(address):
    with contextlib.suppress(OSError), socket.create_connection(address):
        return True
    return False


@pytest.mark.parametrize("command", [
    pytest.param(("gunicorn", "--threads", "8", "--bind", "{}:{}", "application"),
                 marks=needs("gunicorn")),
    pytest.param(("waitress", "--threads=8", "--listen={}:{}", "application:application"),
                 marks=needs("waitress"))], ids=lambda command: command[0])
def test_wsgi_servers(tmp_path, command):
    """What holds of all doors holds through this server."""
    with running(tmp_path, *command) as address:
        assert len(doors.converse(doors.Client(*address))) > 30
