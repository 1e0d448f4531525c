"""Chat with a language model in a GGUF file, token by token, with llama.cpp.

python3 -m pip install llama-cpp-python
python3 -m longop.serve examples.llama_chat

A model stays loaded for the next job. A cancel takes hold at the next token. There is none
while a model loads or reads a long prompt: ``--executor process`` stops it even then.
"""

from pathlib import Path

_idle: dict = {}  # loaded models that no job is using


def llama_chat(prompt: str, model: Path, callback, max_tokens: int = 256,
               temperature: float = 0.8, context: int = 4096):
    """Answer a prompt. ``context`` limits the tokens of the prompt and the answer together."""
    if max_tokens < 1:
        raise ValueError("max_tokens must be 1 or more")
    callback("", 0, max_tokens, f"loading {model.name}")
    key = model.resolve(), context
    llama = _idle.pop(key, None)
    _idle.clear()  # memory may not hold a second model
    llama = llama or _load(model, context)
    text, tokens = "", 0

    def on_token():
        nonlocal tokens
        callback(text, tokens, max_tokens, "answering")  # with the text of the token before
        tokens += 1

    try:
        callback(text, tokens, max_tokens, "reading the prompt")
        llama.on_token = on_token
        for piece in llama.create_chat_completion(
                [{"role": "user", "content": prompt}], stream=True, max_tokens=max_tokens,
                temperature=temperature):
            text += piece["choices"][0]["delta"].get("content") or ""
        callback(text, tokens, max_tokens, "answered")
        return text
    finally:
        _idle[key] = llama


def _load(model, context):
    try:
        from llama_cpp import Llama
    except ImportError:
        raise RuntimeError(
            "this needs llama.cpp: python3 -m pip install llama-cpp-python") from None

    class Model(Llama):
        """Calls ``on_token`` for each token: not every token yields a piece of text."""

        def generate(self, *arguments, **options):
            for token in super().generate(*arguments, **options):
                self.on_token()
                yield token

    if not model.is_file():
        raise ValueError(f"there is no file {model}")
    return Model(str(model), n_ctx=context, verbose=False)
