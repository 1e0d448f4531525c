"""Paint a picture with Stable Diffusion, and show it after each step.

python3 -m pip install diffusers transformers torch pillow
python3 -m longop.serve examples.text_to_image

``model`` is a folder that `save_pretrained` has written. The model stays loaded for the next
job. A picture is a ``data:`` URL of a PNG, which the page shows. A cancel takes hold at the end
of a step.
"""

import base64
import io
from pathlib import Path

_idle: dict = {}  # loaded pipelines that no job is using


def text_to_image(prompt: str, model: Path, callback, steps: int = 20, width: int = 512,
                  height: int = 512, seed: int = 0, preview_every: int = 1):
    """Paint a picture, and show it each ``preview_every`` steps (0: only at the end)."""
    if steps < 1:
        raise ValueError("steps must be 1 or more")
    callback(None, 0, steps, f"loading {model.name}")
    key = model.resolve()
    pipeline = _idle.pop(key, None)
    _idle.clear()  # memory may not hold a second model
    pipeline = pipeline or _load(model)

    def on_step_end(pipeline, step, timestep, tensors):
        done = step + 1
        shown = preview_every and done % preview_every == 0
        picture = _preview(pipeline, tensors["latents"]) if shown else None
        callback(picture, done, steps, "painting")
        return tensors

    import torch  # late: this import takes seconds

    try:
        return _data_url(pipeline(
            prompt, num_inference_steps=steps, width=width, height=height,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=on_step_end).images[0])
    finally:
        _idle[key] = pipeline


def _load(model):
    try:
        import torch
        from diffusers import StableDiffusionPipeline
    except ImportError:
        raise RuntimeError("this needs diffusers: python3 -m pip install "
                           "diffusers transformers torch pillow") from None
    if not (model / "model_index.json").is_file():  # otherwise it is downloaded
        raise ValueError(f"{model} is not the folder of a diffusers pipeline")
    # Only safetensors: other formats can hold code.
    pipeline = StableDiffusionPipeline.from_pretrained(model, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda", torch.float16) if torch.cuda.is_available() else pipeline


def _preview(pipeline, latents):
    """Return the picture as if this were the last step."""
    vae = pipeline.vae
    image = vae.decode(latents / vae.config.scaling_factor).sample
    return _data_url(pipeline.image_processor.postprocess(image)[0])


def _data_url(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
