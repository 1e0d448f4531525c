"""A text that grows, as longop serves it, and what would be installed instead.

``python -m tests.bench.grown KIND PORT`` runs one of the peers.
"""

import asyncio
import json
import sys
import time

import longop

STAMP = 20  # characters of the moment with which each piece begins
REST = 0.5  # seconds before the first piece, in which the watcher comes


def piece(length):
    """Return a piece that says when it was made; all processes have the same clock."""
    return f"{time.monotonic():19.9f} ".ljust(length, "x")


def pauses(count, pace):
    """Yield the seconds to wait before each of some pieces; ``pace`` a second, or 0: at once."""
    begin = time.monotonic()
    for number in range(count):
        yield max(0, begin + number / pace - time.monotonic()) if pace else 0


def pieces(size, count, pace):
    """Yield a text of so many characters in pieces."""
    for pause in pauses(count, pace):
        if pause:
            time.sleep(pause)
        yield piece(size // count)


def append(callback, size: int, count: int, pace: float = 0):
    """Report what is new."""
    callback.wait(REST)
    for one in pieces(size, count, pace):
        callback.append(one)


def whole(callback, size: int, count: int, pace: float = 0):
    """Report the whole text each time."""
    callback.wait(REST)
    text = ""
    for one in pieces(size, count, pace):
        text += one
        callback(text)


def crowd(callback, first: int, size: int, count: int):
    """Append to a text that is there already, ten times a second."""
    callback("x" * first)
    callback.wait(REST)
    for one in pieces(size, count, 10):
        callback.append(one)


OPERATIONS = [longop.LongOperation(append), longop.LongOperation(whole),
              longop.LongOperation(append, name="far_append", executor="process"),
              longop.LongOperation(whole, name="far_whole", executor="process"),
              longop.LongOperation(crowd)]
near, near_whole, far, far_whole, crowded = OPERATIONS  # which are served by these


def sse(port):
    """The deltas of OpenAI's API, of a function that runs in a thread, and of a coroutine."""
    import uvicorn
    from fastapi import FastAPI
    from sse_starlette import EventSourceResponse

    app = FastAPI()

    def event(one):
        return {"data": json.dumps({
            "id": "chatcmpl-7927331385124a7b236c70f6ff2b1ff1",
            "object": "chat.completion.chunk", "created": 1795896000, "model": "bench",
            "choices": [{"index": 0, "delta": {"content": one}, "finish_reason": None}]},
            separators=(",", ":"))}

    @app.get("/v1/thread")
    def in_thread(size: int, count: int, pace: float = 0):
        def events():
            time.sleep(REST)
            for one in pieces(size, count, pace):
                yield event(one)
            yield {"data": "[DONE]"}

        return EventSourceResponse(events())

    @app.get("/v1/loop")
    async def in_loop(size: int, count: int, pace: float = 0):
        async def events():
            await asyncio.sleep(REST)
            for pause in pauses(count, pace):
                if pause:
                    await asyncio.sleep(pause)
                yield event(piece(size // count))
            yield {"data": "[DONE]"}

        return EventSourceResponse(events())

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_level="warning")


def gradio(port):
    """Gradio's queue; a function yields the whole text there, and its client gets the new end."""
    import gradio

    def grow(size, count, pace):
        time.sleep(REST)
        text = ""
        for one in pieces(int(size), int(count), pace):
            text += one
            yield text

    with gradio.Blocks() as page:
        gradio.Button().click(grow, [gradio.Number() for _ in range(3)], gradio.Textbox())
    page.queue().launch(server_port=port, quiet=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
