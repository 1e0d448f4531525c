"""The peers: servers of one status each, written as their frameworks' manuals would write them.

``python -m tests.bench.peers KIND PORT`` runs one. None of them logs its requests.
"""

import json
import sys
import time

ID = "7927331385124a7b236c70f6ff2b1ff1"
STARTED = time.time()
JOBS = {ID: {
    "id": ID, "module": "served", "operation": "hold", "state": "running", "result": "1 2 3",
    "step": 3, "total": 10, "progress": 0.3, "message": "the third of ten", "error": None,
    "stop_reason": None, "created_at": "2026-11-22T19:44:48.045Z",
    "started_at": "2026-11-22T19:44:48.045Z", "finished_at": None, "cancel_requested_at": None,
    "elapsed": None, "eta": None, "queue_position": None, "version": 3}}


def status(id):
    return {**JOBS[id], "elapsed": round(time.time() - STARTED, 3)}


def fastapi(port):
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/v1/jobs/{id}")
    async def show(id: str):
        return status(id)

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_level="warning")


def asgi(port):
    import uvicorn

    async def app(scope, receive, send):
        body = json.dumps(status(scope["path"][9:])).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_level="warning",
                lifespan="off")


def flask(port):
    from flask import Flask, jsonify
    from waitress import serve

    app = Flask(__name__)

    @app.get("/v1/jobs/<id>")
    def show(id):
        return jsonify(status(id))

    serve(app, host="127.0.0.1", port=port, connection_limit=2000)  # by default it takes 100


def aiohttp(port):
    """The one peer that also starts jobs, in threads, and streams their events."""
    import asyncio
    import uuid

    from aiohttp import web

    from . import served

    changed = {}  # an Event for each job, a new one after each change

    async def show(request):
        return web.json_response(status(request.match_info["id"]))

    async def start(request):
        loop, id = asyncio.get_running_loop(), uuid.uuid4().hex
        job = JOBS[id] = {**JOBS[ID], "id": id, "result": None, "version": 0}
        changed[id] = asyncio.Event()

        def change(**fields):
            job.update(fields, version=job["version"] + 1)
            changed[id].set()
            changed[id] = asyncio.Event()

        def report(result, step, total, message=None):
            loop.call_soon_threadsafe(lambda: change(result=result, step=step, total=total))

        def run():
            getattr(served, request.match_info["operation"])(report, **{
                name: json.loads(value) for name, value in request.query.items()})
            loop.call_soon_threadsafe(lambda: change(state="completed"))

        loop.run_in_executor(None, run)
        return web.json_response({"commandId": id})

    async def events(request):
        id = request.match_info["id"]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            now, change = status(id), changed[id]
            text = f"id: {now['version']}\ndata: {json.dumps(now)}\n\n"
            await response.write(text.encode())
            if now["state"] == "completed":
                return response
            await change.wait()

    app = web.Application()
    app.add_routes([web.get("/v1/jobs/{id}", show), web.get("/v1/jobs/{id}/events", events),
                    web.post("/v1/served/{operation}", start)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


def stock(port):
    """The standard library's, with its defaults repaired."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one write

        def do_GET(self):
            body = json.dumps(status(self.path[9:])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

    Server(("127.0.0.1", port), Handler).serve_forever()


def constant(port):
    """The limit: a loop that answers the same bytes to whatever it receives."""
    import selectors
    import socket

    body = json.dumps(status(ID)).encode()
    answer = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
              b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                one, _ = listener.accept()
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(one, selectors.EVENT_READ)
            elif key.fileobj.recv(65_536):
                key.fileobj.send(answer)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
