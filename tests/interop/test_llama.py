"""`examples.llama_chat` with llama.cpp, and a tiny model that is written here."""

import random
import string
import struct
import sys
import urllib.parse
from array import array
from itertools import chain

import pytest

from examples.llama_chat import llama_chat
from longop import LongOperation, State

from ..serve.test_main import get, served
from ..waiting import WAIT, end_of, wait_until
from .peers import needs

pytestmark = needs("llama_cpp")
SIZE = 64  # of the model's vectors
FOREVER = {"temperature": 0, "max_tokens": 10**5, "context": 10**5}  # it would take minutes

# The model knows what comes after each letter, and after z the end. Capital letters have none, nor
# has "!": after it comes a byte that is no text, again and again.
BYTES = [f"<0x{number:02X}>" for number in range(256)]
TOKENS = ["<unk>", "<s>", "</s>", *BYTES, *string.ascii_letters, "!"]
AFTER = {**dict(zip(string.ascii_letters, string.ascii_letters[1:])), "z": "</s>", "Z": "A",
         "!": "<0xFF>", "<0xFF>": "<0xFF>"}


def write_model(file):
    """Write a GGUF file with a model of the llama architecture and one layer."""
    dice = random.Random(1)
    vectors = {token: [dice.choice((-1, 1)) for _ in range(SIZE)] for token in TOKENS}
    answers = {token: [0] * SIZE for token in TOKENS}
    for token, after in AFTER.items():
        answers[after] = [sum(pair) for pair in zip(answers[after], vectors[token])]

    def matrix(spread):
        return (SIZE, SIZE), [dice.gauss(0, spread) for _ in range(SIZE * SIZE)]

    layer = {
        "attn_norm": ((SIZE,), [1] * SIZE), "ffn_norm": ((SIZE,), [1] * SIZE),
        **{name: matrix(0.1) for name in ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up")},
        "attn_output": matrix(0), "ffn_down": matrix(0)}  # which leave the vectors as they are
    tensors = {
        "token_embd": ((SIZE, len(TOKENS)), [*chain(*vectors.values())]),
        **{f"blk.0.{name}": tensor for name, tensor in layer.items()},
        "output_norm": ((SIZE,), [1] * SIZE),
        "output": ((SIZE, len(TOKENS)), [*chain(*answers.values())])}
    metadata = {
        "general.architecture": "llama", "llama.context_length": 10**5, "llama.block_count": 1,
        "llama.embedding_length": SIZE, "llama.feed_forward_length": SIZE,
        "llama.attention.head_count": 2, "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.scores": [0.0] * len(TOKENS),
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * len(BYTES), *[1] * 53],
        "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}"}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for name, value in metadata.items():
        kind, data = pack(value)
        head += pack(name)[1] + kind + data
    body = b""
    for name, (shape, numbers) in tensors.items():
        head += pack(name + ".weight")[1]
        head += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(body))
        body += array("f", numbers).tobytes()  # a multiple of 32 bytes, as it must be
    file.write_bytes(head + bytes(-len(head) % 32) + body)


def pack(value, integer=4):
    """Return the type and the bytes of a value in a GGUF file; whole numbers have several types."""
    if isinstance(value, str):
        kind, data = 8, struct.pack("<Q", len(value)) + value.encode()
    elif isinstance(value, list):
        items = [pack(item, 5) for item in value]
        kind, data = 9, items[0][0] + struct.pack("<Q", len(items)) + b"".join(
            item for _, item in items)
    else:
        kind, form = {bool: (7, "?"), int: (integer, "I"), float: (6, "f")}[type(value)]
        data = struct.pack("<" + form, value)
    return struct.pack("<I", kind), data


@pytest.fixture
def model(tmp_path):
    """A model that knows the alphabet."""
    write_model(tmp_path / "alphabet.gguf")
    return tmp_path / "alphabet.gguf"


def test_plain_callback(model):
    """With any callback it reports before each token: the text, and how many tokens that is."""
    reports = []
    text = llama_chat("w", model, lambda *report: reports.append(report), temperature=0)
    assert text == "xyz"
    assert reports == [
        ("", 0, 256, "loading alphabet.gguf"), ("", 0, 256, "reading the prompt"),
        ("", 0, 256, "answering"), ("x", 1, 256, "answering"), ("xy", 2, 256, "answering"),
        ("xyz", 3, 256, "answering"), ("xyz", 4, 256, "answered")]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_cancel(make, model, executor):
    """A cancel takes hold at the next token; the model stays loaded, and the next job is right."""
    operation = make(llama_chat, executor)
    job = operation.start(prompt="A", model=model, **FOREVER)
    wait_until(lambda: job.done() or (job.status().step or 0) >= 3, 3 * WAIT)
    assert job.status().result.startswith("BCD")
    job.cancel()
    status = end_of(job)
    assert (status.state, len(status.result)) == (State.CANCELLED, status.step)
    model.unlink()
    parameters = {**FOREVER, "prompt": "a", "model": model}
    for _ in range(2):
        status = end_of(operation.start(**parameters))
        assert (status.state, status.result) == (State.COMPLETED, string.ascii_lowercase[1:])


def test_cancel_where_there_is_no_text(model):
    """A cancel takes hold at the next token even if the tokens give no text."""
    job = LongOperation(llama_chat).start(prompt="!", model=model, **FOREVER)
    wait_until(lambda: job.done() or (job.status().step or 0) >= 3, 3 * WAIT)
    job.cancel()
    status = end_of(job)
    assert (status.state, status.result) == (State.CANCELLED, "")


def test_limit_of_tokens(model):
    """It ends after as many tokens as it was allowed."""
    status = end_of(LongOperation(llama_chat).start(prompt="a", model=model, max_tokens=5,
                                                    temperature=0))
    assert (status.result, status.step, status.total) == ("bcdef", 5, 5)


def test_two_at_once(model):
    """Jobs that run at once have a model each."""
    operation = LongOperation(llama_chat, limit=2)
    jobs = [operation.start(prompt=letter, model=model, **FOREVER) for letter in "AN"]
    for job, text in zip(jobs, ("BCD", "OPQ")):
        wait_until(lambda: job.done() or (job.status().step or 0) >= 3, 3 * WAIT)  # noqa: B023
        assert job.status().result.startswith(text)
    for job in jobs:
        job.cancel()
    assert [end_of(job).state for job in jobs] == [State.CANCELLED] * 2


def test_over_http(model):
    """A form starts it, the text is seen to grow, and a cancel ends it."""
    with served("examples.llama_chat") as (_, _, url):

        def start(**parameters):
            form = urllib.parse.urlencode({"model": model, "temperature": 0, **parameters}).encode()
            return get(f"{url}v1/llama_chat/llama_chat", form)["commandId"]

        def updates(id):
            status = {"version": 0, "finished_at": None}
            while status["finished_at"] is None:
                status = get(f"{url}v1/jobs/{id}?since={status['version']}&wait={WAIT}")
                yield status

        *before, last = updates(start(prompt="a"))
        assert (last["state"], last["result"]) == ("completed", string.ascii_lowercase[1:])
        assert all(last["result"].startswith(status["result"] or "") for status in before)
        id = start(prompt="A", **FOREVER)
        for status in updates(id):
            if (status["step"] or 0) >= 3:
                get(f"{url}v1/jobs/{id}/cancel", b"")
        assert status["state"] == "cancelled"
        assert status["result"].startswith("BCD")


def test_bad_input(model):
    """A wrong file or too long a prompt is an error that says so, and spoils nothing."""
    operation = LongOperation(llama_chat)

    def error(prompt="w", model=model, **parameters):
        return end_of(operation.start(prompt=prompt, model=model, context=512, **parameters)).error

    nowhere, wrong = model.parent / "nowhere.gguf", model.parent / "wrong.gguf"
    wrong.write_bytes(b"no model")
    assert error(model=nowhere) == f"ValueError: there is no file {nowhere}"
    assert error(model=wrong) == f"ValueError: Failed to load model from file: {wrong}"
    assert error("a" * 512) == "ValueError: Requested tokens (512) exceed context window of 512"
    assert error(max_tokens=0) == "ValueError: max_tokens must be 1 or more"
    assert error() is None


def test_without_llama(model, monkeypatch):
    """Without llama.cpp it says what to install."""
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(RuntimeError, match="python3 -m pip install llama-cpp-python"):
        llama_chat("a", model, print)
