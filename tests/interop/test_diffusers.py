"""`examples.text_to_image` with diffusers, and a tiny Stable Diffusion that is made here."""

import base64
import io
import sys
import urllib.parse

import pytest

from examples.text_to_image import text_to_image
from longop import LongOperation, State

from ..serve.test_main import get, served
from ..waiting import WAIT, end_of, wait_until
from .peers import needs

pytestmark = needs("torch", "diffusers", "transformers", "PIL", python=(3, 10), group="torch")
SMALL = {"prompt": "a red hat", "width": 32, "height": 32}
FOREVER = {**SMALL, "steps": 900}  # it would take a minute


@pytest.fixture(scope="module")
def pipeline():
    """A pipeline whose weights are random, so what it paints is noise, but always the same."""
    import torch
    from diffusers import (AutoencoderKL, DDIMScheduler, StableDiffusionPipeline,
                           UNet2DConditionModel)
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(1)
    letters = [letter + end for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    words = {word: number for number, word in enumerate(
        [*letters, "<|startoftext|>", "<|endoftext|>"])}
    size = {"block_out_channels": (32, 64), "norm_num_groups": 8}
    return StableDiffusionPipeline(
        tokenizer=CLIPTokenizer(words, [], model_max_length=16),
        text_encoder=CLIPTextModel(CLIPTextConfig(
            vocab_size=len(words), hidden_size=32, intermediate_size=37, num_attention_heads=4,
            num_hidden_layers=1, max_position_embeddings=16, bos_token_id=len(words) - 2,
            eos_token_id=len(words) - 1)),
        unet=UNet2DConditionModel(
            sample_size=16, layers_per_block=1, cross_attention_dim=32, attention_head_dim=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **size),
        vae=AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * 2,
                          up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=4, **size),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)


@pytest.fixture(scope="module")
def model(pipeline, tmp_path_factory):
    """The folder of the pipeline."""
    folder = tmp_path_factory.mktemp("model")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def painted(pipeline):
    """What the pipeline paints when it is called directly, in three steps."""
    import torch

    pipeline.set_progress_bar_config(disable=True)
    return pixels(pipeline(**SMALL, num_inference_steps=3,
                           generator=torch.Generator().manual_seed(7)).images[0])


def pixels(image):
    """Return the size and the bytes of a picture, or of the one in a data URL."""
    from PIL import Image

    if isinstance(image, str):
        kind, data = image.split(",")
        assert kind == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data)), formats=["PNG"])
    return image.size, image.tobytes()


def test_plain_callback(model, painted):
    """With any callback it shows a picture after each step; the last one is what comes out."""
    reports = []
    image = text_to_image(**SMALL, model=model, callback=lambda *report: reports.append(report),
                          steps=3, seed=7)
    assert pixels(image) == painted
    assert [report[1:] for report in reports] == [
        (0, 3, f"loading {model.name}"), *((step, 3, "painting") for step in (1, 2, 3))]
    assert reports[0][0] is None
    assert len({pixels(report[0]) for report in reports[1:]}) == 3
    assert pixels(reports[3][0]) == painted


def test_fewer_previews(model):
    """It can show a picture only every so many steps, or none."""

    def shown(preview_every):
        reports = []
        text_to_image(**SMALL, model=model, callback=lambda *report: reports.append(report),
                      steps=4, preview_every=preview_every)
        return [step for image, step, *_ in reports if image]

    assert [shown(2), shown(0)] == [[2, 4], []]


def test_cancel(model, painted):
    """A cancel takes hold after the step; the last preview is kept, and the next job is right."""
    operation = LongOperation(text_to_image)
    job = operation.start(**FOREVER, model=model)
    wait_until(lambda: job.done() or (job.status().step or 0) >= 2, 6 * WAIT)
    assert (job.status().state, job.status().total) == (State.RUNNING, 900)
    job.cancel()
    status = end_of(job)
    assert status.state is State.CANCELLED
    assert pixels(status.result)[0] == (32, 32)
    assert status.step < 900
    status = end_of(operation.start(**SMALL, model=model, steps=3, seed=7))
    assert (status.state, pixels(status.result)) == (State.COMPLETED, painted)


def test_over_http(model, painted):
    """A form starts it, in a process, where a cancel ends it and the model stays loaded."""
    with served("examples.text_to_image", "--executor", "process") as (_, _, url):

        def start(**parameters):
            form = urllib.parse.urlencode({"model": model, **parameters}).encode()
            return get(f"{url}v1/text_to_image/text_to_image", form)["commandId"]

        def updates(id):
            status = {"version": 0, "finished_at": None}
            while status["finished_at"] is None:
                status = get(f"{url}v1/jobs/{id}?since={status['version']}&wait={WAIT}")
                yield status

        id, seen = start(**FOREVER), set()
        for status in updates(id):
            if status["result"]:
                seen.add(pixels(status["result"]))
            if len(seen) == 3:
                get(f"{url}v1/jobs/{id}/cancel", b"")
        assert (status["state"], len(seen) >= 3) == ("cancelled", True)
        *_, status = updates(start(**SMALL, steps=3, seed=7))
        assert (status["state"], pixels(status["result"])) == ("completed", painted)


@pytest.mark.parametrize(("parameters", "says"), [
    ({"model": "nowhere"}, "ValueError: {}/nowhere is not the folder of a diffusers pipeline"),
    ({"width": 33}, "ValueError: `height` and `width` have to be divisible by 8"),
    ({"steps": 0}, "ValueError: steps must be 1 or more"),
    ({"steps": 1001}, "ValueError: `num_inference_steps`: 1001 cannot be larger than")])
def test_bad_input(model, painted, parameters, says):
    """A wrong parameter is an error that says so, and spoils nothing."""
    operation = LongOperation(text_to_image)
    status = end_of(operation.start(**{
        **SMALL, "steps": 3, "seed": 7, **parameters,
        "model": model / parameters.get("model", "")}))
    assert (status.error or "").startswith(says.format(model)), status.error
    assert pixels(end_of(operation.start(**SMALL, model=model, steps=3, seed=7)).result) == painted


def test_without_diffusers(model, monkeypatch):
    """Without diffusers it says what to install."""
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.setattr("examples.text_to_image._idle", {})
    with pytest.raises(RuntimeError, match="python3 -m pip install diffusers transformers torch"):
        text_to_image("", model, print)
