"""The shapes of public adapters, in small: what they use of the SDK, and how they work.

Each is a module's files by their names. What is heavy in the real ones is a fake here, which does
a step when the test lets it. The adapters import the SDK; a test may put longop in its place.
"""

# Asks the test before each step, and ends when the test says so.
GATE = '''
import os
import socket

def steps():
    with socket.create_connection(("127.0.0.1", int(os.environ["STEPS"]))) as test:
        while True:
            test.sendall(b"?")
            if test.recv(1) != b".":
                return
            yield
'''


def settings(id, routes, entry="adapter.py", queue=None, **variables):
    """Return a file of settings as the public ones are written: comments, commas and all."""
    lines = ",\n".join(
        f'{{"Name": "{name}", "Route": "{route}", "Method": "POST", "Command": "{command}",\n'
        f'  "Inputs": [ // no more than these\n {inputs} ], "Outputs": [] // TBD\n}}'
        for name, route, command, inputs in routes)
    environment = "".join(f'"{name}": "{text}", // as there\n' for name, text in variables.items())
    return f'''{{
  "Modules": {{
    "{id}": {{
      "Name": "The {id}", "Version": "1.2.0",
      "PublishingInfo": {{ "IconURL": null, "Category": "Generative AI" }},
      "LaunchSettings": {{
        "AutoStart": false,
        "FilePath": "{entry}", // Name of file that gets launched
        "Runtime": "python3.9",
        /* Alternatively: "Command": "%RUNTIMES_PATH%\\\\bin\\\\python", */
        "Queue": {f'"{queue}"' if queue else "null"}, // default
        "Parallelism": 1  // 0 = Default
      }},
      "EnvironmentVariables": {{
        // "MODEL_SIZE": "Medium",
        {environment}
      }},
      "GpuOptions": {{ "InstallGPU": true, "EnableGPU": true, "AcceleratorDeviceName": null,
                       "HalfPrecision": "enable", }},
      "RouteMaps": [
        {lines}
      ]
    }}
  }}
}}
'''


# A chat whose answer grows, and that ends itself when it is told to.
CHAT = {
    "adapter.py": '''
from codeproject_ai_sdk import RequestData, ModuleRunner, ModuleOptions, \\
                               LogMethod, LogVerbosity, JSON
from chat_model import Model

class Chat_adapter(ModuleRunner):

    def initialise(self) -> None:
        folder = ModuleOptions.getEnvVariable("CHAT_MODEL_DIR", "./nowhere")
        self.repository = ModuleOptions.getEnvVariable("CHAT_MODEL_REPO", "")
        if self.system_info.os == "macOS":
            is_fast = self.system_info.cpu_arch == "arm64"
        else:
            (major, minor) = self.system_info.getCudaVersion
            is_fast = major and (major > 11 or (major == 11 and minor >= 6))
        if is_fast:
            self.inference_device = "GPU"
        self.model = Model(folder, verbose=self.log_verbosity != LogVerbosity.Quiet)
        self.log(LogMethod.Info | LogMethod.Server,
                 {"message": f"Using {self.repository}", "loglevel": "information"})
        self.text, self.cancelled = "", False

    def process(self, data: RequestData) -> JSON:
        return self.chat

    def chat(self, data: RequestData) -> JSON:
        self.text, reason = "", "completed"
        try:
            most = data.get_int("max_tokens", 0)
            for piece in self.model.stream(data.get_value("prompt"), most,
                                           data.get_float("temperature", 0.4)):
                if self.cancelled:
                    self.cancelled, reason = False, "cancelled"
                    break
                delta = piece["choices"][0]["delta"]
                if "content" in delta:
                    self.text += delta["content"]
        except Exception as error:
            self.report_error(error, __file__)
            return {"success": False, "error": "Unable to generate text"}
        return {"success": True, "reply": self.text, "stop_reason": reason,
                "repository": self.repository, "processMs": 3, "inferenceMs": 2}

    def command_status(self) -> JSON:
        return {"success": True, "reply": self.text}

    def cancel_command_task(self):
        self.cancelled      = True
        self.force_shutdown = False

    def selftest(self) -> JSON:
        request = RequestData()
        request.queue   = self.queue_name
        request.command = "prompt"
        request.add_value("prompt", "How many planets are there?")
        request.add_value("max_tokens", 1)
        return {"success": self.chat(request)["success"], "message": "tested"}

if __name__ == "__main__":
    Chat_adapter().start_loop()
''',
    "chat_model.py": '''
from gate import steps

class Model:
    def __init__(self, folder, verbose):
        with open(f"{folder}/words.txt") as file:
            self.words = file.read().split()

    def stream(self, prompt, most, temperature):
        words = [prompt, f"{temperature:.1f}", *self.words]
        yield {"choices": [{"delta": {"role": "assistant"}}]}
        for word, _ in zip(words[:most or None], steps()):
            yield {"choices": [{"delta": {"content": word + " "}}]}
''',
    "models/words.txt": "eight of them",
    "gate.py": GATE,
    "modulesettings.json": settings(
        "SmallChat", [("Chat", "text/chat", "prompt", '''
            { "Name": "prompt", "Type": "Text" },
            { "Name": "max_tokens", "Type": "Integer", "Default": "0 (model default)" },
            { "Name": "temperature", "Type": "Float", "Default": 0.4 } ''')],
        CHAT_MODEL_DIR="./models", CHAT_MODEL_REPO="@small/chat-model"),
}

# Pictures that appear step by step, reported from a callback; its ``status`` is no method.
PICTURES = {
    "adapter.py": '''
from codeproject_ai_sdk import RequestData, ModuleOptions, ModuleRunner, JSON
import pipeline

class Pictures_adapter(ModuleRunner):

    def initialise(self):
        if self.system_info.hasTorchCuda:
            self.can_use_GPU = True
        self.folder = ModuleOptions.getEnvVariable("PICTURES_MODELS_DIR", "./assets")
        self.status = "Idle"
        self.steps, self.current_step, self.images = 0, 0, None

    def process(self, data: RequestData) -> JSON:
        return self.paint

    def paint(self, data: RequestData):
        self.status, self.current_step, self.images = "Started", 0, None
        self.steps = data.get_int("num_steps", 20)
        seed = data.get_int("seed", None)
        width = data.get_int("width", 512)
        if self.steps < 1:
            self.status = "Failed"
            return {"success": False, "status": "Failed", "error": "Bad input parameters"}
        made = pipeline.run(self.folder, self.steps, self.half_precision, self.seen)
        self.status = "Completed"
        return {"status": self.status, "inferenceMs": 5, "num_steps": self.steps, "seed": seed,
                "width": width, "images": [RequestData.encode_image(one) for one in made]}

    def seen(self, step, timestep, latents):
        self.current_step = step + 1
        if not self.current_step % 2:
            self.images = [pipeline.Image(latents)]

    def command_status(self):
        try:
            return {"status": self.status, "message": f"Step {self.current_step}/{self.steps}",
                    "current_step": self.current_step, "steps": self.steps, "error": "",
                    "images": [RequestData.encode_image(one) for one in self.images or []]}
        except Exception as error:
            print(error)

    def cleanup(self) -> None:
        pipeline.clean()

if __name__ == "__main__":
    Pictures_adapter().start_loop()
''',
    "pipeline.py": '''
import os
from gate import steps

class Image:
    def __init__(self, latents):
        self.latents = latents

    def save(self, file, format):
        file.write(f"{format} {self.latents}".encode())

def run(folder, count, half_precision, callback):
    assert os.path.isdir(folder), folder
    assert half_precision in ("enable", "disable"), half_precision
    for step, _ in zip(range(count), steps()):
        callback(step, 1000 - step, f"latents {step}")
    return [Image("done")]

def clean():
    pass
''',
    "assets/model": "",
    "gate.py": GATE,
    "modulesettings.json": settings(
        "Pictures", [("Create", "text2image/create", "create", '''
            { "Name": "num_steps", "Type": "Integer", "DefaultValue": 20, "MinValue": 1,
              "MaxValue": 100 },
            { "Name": "seed", "Type": "Integer" },
            { "Name": "width", "Type": "Integer", "MinValue": 16, "MaxValue": 1024 } ''')],
        queue="text2image_queue", PICTURES_MODELS_DIR="%CURRENT_MODULE_PATH%/assets"),
}

# A training that is another process, which writes how far it is into a file.
TRAINING = {
    "adapter.py": '''
import json
import os
import subprocess
import sys
import time
from codeproject_ai_sdk import RequestData, ModuleRunner, ModuleOptions, JSON

if ModuleOptions.launched_by_server:
    print("quietly")

class Trainer_adapter(ModuleRunner):

    def initialise(self) -> None:
        self.selftest_check_pkgs = False
        self.parallelism = 1
        self.device = "cpu"
        if ModuleOptions.enable_GPU and self.system_info.hasTorchCuda:
            self.device = "cuda"
        self.folder = os.path.join(
            self.module_path, ModuleOptions.getEnvVariable("TRAINING_DIRNAME", "elsewhere"))
        self.packages, self.root = self.python_pkgs_dir, self.server_root_path
        self.trainer, self.cancel_requested, self.action = None, False, "Idle"

    def process(self, data: RequestData) -> JSON:
        if not data or not hasattr(data, "command"):
            return {"success": False, "error": "Request data has no command."}
        if data.command == "train-model":
            return self.train
        if data.command == "list-classes":
            return {"success": True, "classes": ["cat", "dog"]}
        return {"success": False, "error": "Invalid command."}

    def train(self, data: RequestData) -> JSON:
        name = data.get_value("model_name")
        if not name:
            return {"success": False, "error": "Model name is required."}
        size = data.restrict(data.get_value("model_size", "small"), ["tiny", "small"], "small")
        epochs = data.clamp(data.get_int("num_epochs", 100), 2, 1000)
        self.file = os.path.join(self.folder, f"{name}-{size}.json")
        self.action = "TrainModel"
        self.trainer = subprocess.Popen([sys.executable, "trainer.py", self.file, str(epochs)])
        while self.trainer.poll() is None:
            time.sleep(0.01)
        if self.cancel_requested:
            self.cancel_requested, self.action = False, "Cancelled"
        return self.command_status()

    def command_status(self) -> JSON:
        try:
            with open(self.file) as file:
                told = json.load(file)
        except (OSError, ValueError):
            told = {"progress": 0}
        return {"success": True, "action": self.action, "message": f"on {self.device}", **told}

    def cancel_command_task(self):
        if not self.cancel_requested:
            self.cancel_requested, self.force_shutdown = True, False
            self.trainer.terminate()

if __name__ == "__main__":
    Trainer_adapter().start_loop()
''',
    "trainer.py": '''
import contextlib
import json
import os
import sys
from gate import steps

_, file, epochs = sys.argv
for epoch, _ in zip(range(1, int(epochs) + 1), steps()):
    with open(file + ".new", "w") as draft:
        json.dump({"progress": 100 * epoch / int(epochs), "epoch": epoch}, draft)
    while os.path.exists(file + ".new"):
        with contextlib.suppress(PermissionError):  # it is just being read, on Windows
            os.replace(file + ".new", file)
''',
    "train/README": "",
    "gate.py": GATE,
    "modulesettings.json": settings(
        "Trainer", [
            ("Train Custom Model (small)", "train/train_model", "train-model", '''
                { "Name": "model_name", "Type": "String", "Description": "The name." },
                { "Name": "device", "Type": "String", "DefaultValue": "" },
                { "Name": "num_epochs", "Type": "Integer", "DefaultValue": 100 } '''),
            ("Get Available Classes)", "train/list_classes", "list-classes", "")],
        YOLOv5_VERBOSE="false", TRAINING_DIRNAME="train"),
}

# A chat about a picture, which does without its model in a test of itself.
SEEING = {
    "adapter.py": '''
import base64
from codeproject_ai_sdk import RequestData, ModuleRunner, ModuleOptions, LogMethod, \\
                               LogVerbosity, JSON
from gate import steps

class Seeing_adapter(ModuleRunner):

    def initialize(self) -> None:
        self.models_dir = "./models"
        self.reply_text, self.cancelled = "", False
        if self._performing_self_test:
            self.log(LogMethod.Error | LogMethod.Server, {"message": "no acceleration"})
        else:
            self.words = open("./models/words.txt").read().split()

    async def process(self, data: RequestData) -> JSON:
        return self.look

    def look(self, data: RequestData) -> JSON:
        self.reply_text = ""
        picture = data.get_file_bytes(0) or b""
        for word, _ in zip([f"{len(picture)} bytes:", *self.words], steps()):
            self.reply_text += word + " "
        return {"success": True, "reply": self.reply_text, "inferenceMs": 4,
                "files": [one["filename"] for one in data.files]}

    def command_status(self) -> JSON:
        return {"success": True, "reply": self.reply_text}

    def selftest(self) -> JSON:
        return {"success": self._performing_self_test, "message": "tested"}

if __name__ == "__main__":
    Seeing_adapter().start_loop()
''',
    "models/words.txt": "a cat",
    "gate.py": GATE,
    "modulesettings.json": settings(
        "Seeing", [("Look", "text/look", "prompt", '{ "Name": "image", "Type": "File" }')]),
}

# Text in a picture, with options of its own, and a ``status`` of the old kind.
READING = {
    "adapter.py": '''
import time
from codeproject_ai_sdk import RequestData, ModuleRunner, JSON
from options import Options

class Reading_adapter(ModuleRunner):

    def __init__(self):
        super().__init__()
        self.opts = Options()

    async def initialise(self) -> None:
        self.can_use_GPU = self.system_info.hasPaddleGPU
        self.opts.use_gpu = self.enable_GPU and self.can_use_GPU
        self._num_items_found = 0

    def process(self, data: RequestData) -> JSON:
        try:
            timer = self.start_timer("reading")
            text = data.get_file_bytes(0).decode()
            self.end_timer(timer, "ocr", data.command)
            return {"success": True, "predictions": [{"label": one} for one in text.split()],
                    "least": self.opts.least, "gpu": self.opts.use_gpu, "processMs": 2,
                    "inferenceMs": 1}
        except Exception as ex:
            self.report_error(ex, __file__)
            return {"success": False, "error": "unable to process the image"}

    def status(self) -> JSON:
        statusData = super().status()
        statusData["numItemsFound"] = self._num_items_found
        return statusData

    def update_statistics(self, response):
        super().update_statistics(response)
        if "success" in response and response["success"] and "predictions" in response:
            self._num_items_found += len(response["predictions"])

if __name__ == "__main__":
    Reading_adapter().start_loop()
''',
    "options.py": '''
from codeproject_ai_sdk import ModuleOptions

class Options:
    def __init__(self):
        self.log_verbosity = ModuleOptions.log_verbosity
        self.use_gpu = ModuleOptions.enable_GPU
        self.least = float(ModuleOptions.getEnvVariable("MIN_COMPUTE_CAPABILITY", 6))
''',
    "modulesettings.json": settings(
        "Reading", [("OCR", "vision/ocr", "ocr", '{ "Name": "image", "Type": "File" }')],
        MIN_COMPUTE_CAPABILITY="7"),
}

# A detector with models of its own, which the path names, and a list of them.
DETECTOR = {
    "adapter.py": '''
import os
from codeproject_ai_sdk import RequestData, ModuleRunner, LogMethod, JSON

class Detector_adapter(ModuleRunner):

    def initialise(self):
        self.models_dir = os.environ["MODELS_DIR"]
        if self.system_info.hasCoralTPU:
            self.inference_device = "TPU"
        self._histogram = {}

    def process(self, data: RequestData) -> JSON:
        if data.command == "list-custom":
            return {"success": True, "models": sorted(os.listdir(self.models_dir))}
        least = float(data.get_value("min_confidence", "0.4"))
        model = "standard"
        if data.command == "custom":
            if not data.segments or not data.segments[0]:
                return {"success": False, "error": "No custom model specified."}
            model = data.segments[0]
            if not os.path.exists(os.path.join(self.models_dir, model + ".pt")):
                return {"success": False, "error": f"Could not find {model}"}
        return {"success": True, "count": len(data.files), "model": model, "least": least,
                "payload": data.payload, "inferenceMs": 1}

    def module_status(self) -> JSON:
        status = super().module_status()
        status["histogram"] = self._histogram
        return status

    def selftest(self) -> JSON:
        request = RequestData()
        request.queue   = self.queue_name
        request.command = "detect"
        request.add_file(os.path.join("test", "home.jpg"))
        request.add_value("min_confidence", 0.4)
        result = self.process(request)
        return {"success": result["success"] and result["count"] == 1, "message": "tested"}

if __name__ == "__main__":
    Detector_adapter().start_loop()
''',
    "assets/birds.pt": "",
    "assets/cats.pt": "",
    "test/home.jpg": "a picture",
    "modulesettings.json": settings(
        "Detector", [
            ("Detect", "vision/detection", "detect", '{ "Name": "image", "Type": "File" }'),
            ("Custom", "vision/custom", "custom", '''
                { "Name": "min_confidence", "Type": "Float", "DefaultValue": 0.4,
                  "MinValue": 0.0, "MaxValue": 1.0 } '''),
            ("List", "vision/custom/list", "list-custom", "")],
        queue="objectdetection_queue", MODELS_DIR="%CURRENT_MODULE_PATH%\\\\assets"),
}

# Faces: the adapter is in a folder below the module, reads its options when it is imported, and
# keeps what it learns where the server says.
FACES = {
    "layer/face.py": '''
import os
import sqlite3
import threading
from codeproject_ai_sdk import RequestData, ModuleRunner, LogMethod, JSON
from shared import SharedOptions

class Face_adapter(ModuleRunner):

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def initialise(self) -> None:
        self.can_use_GPU = self.system_info.hasTorchCuda or self.system_info.hasTorchMPS
        if SharedOptions.USE_CUDA and self.half_precision == "enable" and \\
           not self.system_info.hasTorchHalfPrecision:
            self.half_precision = "disable"
        self.over = threading.Event()
        threading.Thread(None, self.over.wait).start()
        self.file = os.path.join(SharedOptions.DATA_DIR, "faces.db")
        with sqlite3.connect(self.file) as faces:
            faces.execute("CREATE TABLE IF NOT EXISTS faces(userid TEXT PRIMARY KEY)")
        faces.close()

    def process(self, data: RequestData) -> JSON:
        with self.lock, sqlite3.connect(self.file) as faces:
            if data.command == "register":
                faces.execute("INSERT INTO faces VALUES(?)", (data.get_value("userid"),))
                answer = {"success": True, "message": "face added"}
            elif data.command == "list":
                found = [row[0] for row in faces.execute("SELECT userid FROM faces")]
                answer = {"success": True, "faces": found, "model": SharedOptions.model()}
            else:
                answer = {"success": False, "error": "Unknown command"}
        faces.close()
        return answer

    def cleanup(self) -> None:
        self.over.set()

if __name__ == "__main__":
    Face_adapter().start_loop()
''',
    "layer/shared.py": '''
import os
from codeproject_ai_sdk import ModuleOptions

class SharedOptions:
    PORT       = ModuleOptions.port
    APPDIR     = os.path.normpath(ModuleOptions.getEnvVariable("APPDIR", os.getcwd()))
    DATA_DIR   = os.path.normpath(ModuleOptions.getEnvVariable("DATA_DIR", f"{APPDIR}/data"))
    MODELS_DIR = os.path.normpath(ModuleOptions.getEnvVariable("MODELS_DIR", "nowhere"))
    USE_CUDA   = ModuleOptions.getEnvVariable("USE_CUDA", "True").lower() == "true" and \\
                 ModuleOptions.enable_GPU

    @staticmethod
    def model():
        with open(os.path.join(SharedOptions.MODELS_DIR, "face.pt")) as file:
            return file.read()
''',
    "assets/face.pt": "the model",
    "modulesettings.json": settings(
        "Faces", [
            ("Register", "vision/face/register", "register", '{"Name": "userid", "Type": "Text"}'),
            ("List", "vision/face/list", "list", "")],
        entry="layer/face.py", USE_CUDA="True",
        APPDIR="%CURRENT_MODULE_PATH%\\\\layer", DATA_DIR="%DATA_DIR%",
        MODELS_DIR="%CURRENT_MODULE_PATH%\\\\assets"),
}

SHAPES = {"chat": CHAT, "pictures": PICTURES, "training": TRAINING, "seeing": SEEING,
          "reading": READING, "detector": DETECTOR, "faces": FACES}


def write(name, folder, package):
    """Write a module's files; return its entry, below the folder."""
    for file, text in SHAPES[name].items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("codeproject_ai_sdk", package))
    return "layer/face.py" if name == "faces" else "adapter.py"
