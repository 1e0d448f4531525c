"""A long operation inside a server of your own.

python3 -m examples.embed
"""

import sys
from http.server import ThreadingHTTPServer

import longop

from .long_process import a_long_process

operation = longop.LongOperation(a_long_process)


class Handler(longop.Handler):
    """Serves longop's paths; all other paths go to the methods below."""

    operations = (operation,)
    page = "/jobs"

    def do_GET(self):
        """Answer as in any ``http.server``."""
        body = b'<h1>My own server</h1> <p>It has <a href="/jobs">long jobs</a>.</p>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    # On Windows, this would let another server take the port too.
    ThreadingHTTPServer.allow_reuse_address = sys.platform != "win32"
    with ThreadingHTTPServer(("127.0.0.1", 8080), Handler) as server:
        print("http://127.0.0.1:8080/")
        server.serve_forever()
