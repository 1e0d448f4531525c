// Stands in for CodeProject.AI Server's /assets/explorer.js: what the explore.html of its modules
// calls to send requests and to show what comes back. The contract is the comment that opens those
// pages, in https://github.com/codeproject/CodeProject.AI-Server; the code is not that server's.
//
// Pages show the words of a module as if they were HTML of their own. So no HTML is used as it
// is: it is rebuilt from the elements and attributes below, and other tags are shown as text.
"use strict";
(() => {
  const ELEMENTS = new Set(
    (
      "a b blockquote br code dd div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol" +
      " p pre s small span strong sub sup table tbody td tfoot th thead tr u ul"
    ).split(" "),
  );
  const ATTRIBUTES = new Map([
    ["href", /^https?:/i],
    ["src", /^(data:image\/|blob:)/i],
    ..."alt class colspan height rowspan title width".split(" ").map((name) => [name, /^/]),
  ]);
  const STYLES = [
    "background-color",
    "color",
    "font-size",
    "font-style",
    "font-weight",
    "text-align",
    "white-space",
    "width",
  ];
  const COLOURS = ["#ffb000", "#4cc9f0", "#80ed99", "#ff6b9d"];

  // The elements of a page, by id; some older pages use the second names.
  const find = (...ids) => ids.map((id) => document.getElementById(id)).find(Boolean);
  const previewed = () => find("imgPreview", "img");
  const resulting = () => find("imgResult") || previewed();
  const mask = () => find("imgMask", "imageMask");

  const escaped = (value) =>
    String(value).replace(/[&<>"']/g, (found) => `&#${found.charCodeAt()};`);
  const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // Requests

  // This file is /assets/explorer.js of the server, where a proxy may put a path before that.
  const V1 = new URL("../v1/", document.currentScript.src);

  // Posts to /v1/<route>/<operation>, shows an error if there is one, and returns the answer, or
  // null if there is none. Older pages pass functions: for an answer with success and for others.
  async function submitRequest(route, operation, images, parameters, done, fail) {
    const body = new FormData();
    Array.from(images || []).forEach((image, i) => image && body.append(`image${i + 1}`, image));
    for (const [name, value] of parameters || []) if (value != null) body.append(name, value);
    let data = null;
    let error = "The server does not answer.";
    try {
      const address = V1 + route + (operation ? "/" + operation : "");
      const response = await fetch(address, { method: "POST", body });
      const answer = await response.json().catch(() => null);
      if (response.ok) data = answer;
      error = answer?.error || answer?.detail || "";
      if (!error && !data) error = `The server's answer (${response.status}) cannot be used.`;
    } catch {
      // The error is shown below.
    }
    showLogOutput(error, "error");
    if (data?.success) done?.(data);
    else if (done || fail) (fail || displayBaseResults)(data || { success: false, error });
    return data;
  }

  // Texts

  function harmless(node) {
    if (node.nodeType === Node.TEXT_NODE) return [node.data];
    if (node.nodeType !== Node.ELEMENT_NODE) return [];
    const children = Array.from(node.childNodes, harmless).flat();
    if (!ELEMENTS.has(node.localName))
      return [node.cloneNode().outerHTML.replace(/<\/[^<>"]*>$/, ""), ...children];
    const made = document.createElement(node.localName);
    for (const { name, value } of node.attributes)
      if (ATTRIBUTES.get(name)?.test(value)) made.setAttribute(name, value);
    for (const name of STYLES) made.style.setProperty(name, node.style.getPropertyValue(name));
    made.append(...children);
    return [made];
  }

  function setResultsHtml(html) {
    html ??= "";
    const text = typeof html === "object" ? JSON.stringify(html) : String(html);
    // Fields of a form would hide the properties of the form that harmless() reads.
    const source = "<body>" + text.replace(/<(?=form)/gi, "&lt;");
    // A parsed document runs no script.
    const { body } = new DOMParser().parseFromString(source, "text/html");
    const results = find("results");
    const told = find("status")?.textContent;
    results?.replaceChildren(...Array.from(body.childNodes, harmless).flat());
    // The results say it already.
    if (told && (text + results?.textContent).includes(told)) showLogOutput("");
  }

  // Shows a message in the status line of the page, or in a new one above the results. An empty
  // text clears it.
  function showLogOutput(text, variant = "info") {
    let line = find("status");
    if ((line?.textContent || "") === (text || "")) return;
    if (!line) {
      line = Object.assign(document.createElement("div"), { id: "status", role: "alert" });
      if (find("results")) find("results").before(line);
      else document.body.append(line);
    }
    const said = document.createElement("span");
    said.className = "text-" + variant;
    said.textContent = text || "";
    line.replaceChildren(said);
  }

  function getProcessingMetadataHtml(data) {
    const rows = [
      ["Module", data.moduleId],
      ["Processed on", data.processedBy],
      ["Round trip, ms", data.analysisRoundTripMs],
      ["Processing, ms", data.processMs],
      ["Inference, ms", data.inferenceMs],
      ["Time (UTC)", data.timestampUTC],
    ]
      .filter(([, value]) => value != null)
      .map(([name, value]) => `<tr><td>${name}</td><td>${escaped(value)}</td></tr>`);
    return `<table class="timing-table">${rows.join("")}</table>`;
  }

  function displayBaseResults(data) {
    if (!data) return setResultsHtml("There is no result.");
    setResultsHtml(
      `<div>${data.success ? "It succeeded." : "It failed."}</div>` +
        `<div>${escaped(data.error || data.message || "")}</div>` +
        getProcessingMetadataHtml(data),
    );
  }

  const confidence = (value) => (value == null ? "" : Math.round(value * 100) + "%");

  const sorted = (predictions, byConfidence) =>
    byConfidence ? [...predictions].sort((a, b) => b.confidence - a.confidence) : predictions;

  function showPredictionSummary(data, byConfidence = true) {
    if (!data?.predictions?.length)
      return data?.error ? displayBaseResults(data) : setResultsHtml("There are no predictions.");
    const rows = sorted(data.predictions, byConfidence).map(
      (found, i) =>
        `<tr><td>${i}</td><td>${escaped(found.label || found.userid || "Face")}</td>` +
        `<td>${confidence(found.confidence)}</td></tr>`,
    );
    setResultsHtml(
      "<table style='width:100%'><tr><th>#</th><th>Label</th><th>Confidence</th></tr>" +
        rows.join("") +
        "</table>" +
        getProcessingMetadataHtml(data),
    );
  }

  // Makes the models the options of a <select>, and keeps the choice.
  function setModelList(id, models) {
    const list = find(id);
    const chosen = list?.value;
    if (list && models)
      list.replaceChildren(
        ...models.map(
          ({ name, value }) => new Option(name, value, false, String(value) === chosen),
        ),
      );
  }

  // Images and sounds

  function isOf(kind, file) {
    if (!file || file.type.startsWith(kind + "/")) return Boolean(file);
    showLogOutput(`${file.name} is no ${kind} file.`, "error");
    return false;
  }

  function show(image, source, width, height) {
    URL.revokeObjectURL(image.src);
    image.src =
      source instanceof Blob ? URL.createObjectURL(source) : "data:image/png;base64," + source;
    image.style.height = height ? height + "px" : "auto";
    if (width) image.style.width = width + "px";
    image.style.visibility = "visible";
  }

  function clearImagePreview() {
    if (previewed()) previewed().style.visibility = "hidden";
    if (resulting() === previewed()) mask()?.replaceChildren();
  }

  function clearImageResult() {
    mask()?.replaceChildren();
    resulting()?.removeAttribute("src");
    if (resulting()) resulting().style.visibility = "hidden";
  }

  function showPreviewImage(file) {
    clearImagePreview();
    if (isOf("image", file) && previewed()) show(previewed(), file);
  }

  // Shows an image: a File, or text in base64.
  function showResultsImage(image, width, height) {
    clearImageResult();
    if (image && resulting()) show(resulting(), image, width, height);
  }

  function showResultsImageData(data, width, height) {
    showResultsImage(data.imageBase64, width, height);
    showResultsBoundingBoxes(data.predictions);
  }

  function previewSound(chooser) {
    const player = find("sndPreview", "snd");
    const file = chooser.files[0];
    if (isOf("audio", file) && player) player.src = URL.createObjectURL(file);
  }

  // Predictions, drawn over the image

  const fitMask = new ResizeObserver(
    ([
      {
        target: { width, height },
      },
    ]) => Object.assign(mask().style, { width: width + "px", height: height + "px" }),
  );

  function svg(name, attributes, text = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  function outlined(found, points, colour, fill, em) {
    const left = Math.min(...points.map(([x]) => x));
    const top = Math.min(...points.map(([, y]) => y));
    return [
      svg("polygon", {
        points: points.join(" "),
        fill: colour,
        "fill-opacity": fill,
        stroke: colour,
        "stroke-width": 3,
        "vector-effect": "non-scaling-stroke",
      }),
      svg(
        "text",
        {
          x: left,
          y: Math.max(top - em / 3, em),
          "font-size": em,
          fill: colour,
          stroke: "#000",
          "stroke-width": em / 5,
          "paint-order": "stroke",
        },
        found.label || found.userid || "",
      ),
    ];
  }

  function draw(predictions, byConfidence, fill, pointsOf) {
    const image = resulting();
    if (!image || !mask() || !predictions?.length) return;
    if (!image.complete) {
      const again = () => draw(predictions, byConfidence, fill, pointsOf);
      image.addEventListener("load", again, { once: true });
      return;
    }
    const { naturalWidth, naturalHeight } = image;
    const em = (14 * naturalWidth) / image.width;
    const shapes = sorted(predictions, byConfidence).flatMap((found, i) => {
      const points = pointsOf(found).map(([x, y]) => [Number(x), Number(y)]);
      const isShape = naturalWidth && points.length && points.flat().every(Number.isFinite);
      return isShape ? outlined(found, points, COLOURS[i % COLOURS.length], fill, em) : [];
    });
    const drawing = svg("svg", {
      viewBox: `0 0 ${naturalWidth} ${naturalHeight}`,
      width: "100%",
      height: "100%",
      preserveAspectRatio: "none",
    });
    drawing.append(...shapes);
    mask().replaceChildren(drawing);
    fitMask.observe(image);
  }

  function showResultsBoundingBoxes(predictions, byConfidence = true) {
    draw(predictions, byConfidence, 0, ({ x_min, y_min, x_max, y_max }) => [
      [x_min, y_min],
      [x_max, y_min],
      [x_max, y_max],
      [x_min, y_max],
    ]);
  }

  function showResultsMasks(predictions, byConfidence = true) {
    draw(predictions, byConfidence, 0.5, (found) => found.mask || []);
  }

  // The Enter key in a form with one field would reload the page.
  document.addEventListener("submit", (event) => {
    if (!event.target.getAttribute("action")) event.preventDefault();
  });

  Object.assign(window, {
    submitRequest,
    delay,
    showLogOutput,
    setResultsHtml,
    getProcessingMetadataHtml,
    displayBaseResults,
    confidence,
    showPredictionSummary,
    setModelList,
    showPreviewImage,
    clearImagePreview,
    clearImageResult,
    showResultsImage,
    showResultsImageData,
    previewSound,
    showResultsBoundingBoxes,
    showResultsMasks,
    previewImage: (chooser) => showPreviewImage(chooser.files?.[0]),
  });
})();
