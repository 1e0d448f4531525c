// The page of a longop server: start an operation, watch its job, cancel it.
//
//   start()      puts the id of a new job into the address
//   follow()     asks the server for the job in the address, and streams its changes
//   receive()    takes each status into the state
//   draw()       shows the state: facts and result
//   watchJobs()  keeps the list of jobs up to date
//
// Parts, in order: texts, constants, state, helpers, the server, the form, following a job,
// drawing it, its result, the chart, copy and download, the list of jobs, events.
//
// This is a module: strict mode, and only `longop` (see the end) is global.

// ---- Texts: English, Chinese ----

const TEXT = {
  begin: ["Start", "启动"],
  operation: ["Operation", "操作"],
  ownPage: ["Open its own page", "打开专用页面"],
  required: ["required", "必填"],
  integer: ["whole number", "整数"],
  number: ["number", "数字"],
  duration: ["duration, such as 1:30:00", "时长，如 1:30:00"],
  file: ["file", "文件"],
  array: ["JSON list", "JSON 列表"],
  object: ["JSON object", "JSON 对象"],
  notJson: ["This must be a {0}.", "这里应为 {0}。"],
  queued: ["queued", "排队中"],
  queuedAt: ["queued, number {0}", "排队中，第 {0} 位"],
  running: ["running", "运行中"],
  cancelling: ["cancelling…", "正在取消…"],
  completed: ["completed", "已完成"],
  failed: ["failed", "失败"],
  cancelled: ["cancelled", "已取消"],
  interrupted: ["interrupted", "已中断"],
  gone: ["gone", "已不存在"],
  goneWhy: [
    "The server does not know this job, or no longer keeps it.",
    "服务器上没有这个任务，或已不再保留。",
  ],
  willStop: ["it stops at its next report", "将在下一次报告时停止"],
  step: ["step {0}", "第 {0} 步"],
  steps: ["{0} of {1}", "{0} / {1}"],
  rate: ["{0} per second", "每秒 {0}"],
  each: ["{0} per step", "每步 {0}"],
  elapsed: ["elapsed {0}", "已用 {0}"],
  left: ["about {0} left", "约剩 {0}"],
  usually: ["usually takes {0}", "通常需要 {0}"],
  quiet: ["last report {0} ago", "上次报告在 {0} 前"],
  silent: ["no report for {0}", "已有 {0} 没有报告"],
  seconds: ["{0} s", "{0} 秒"],
  cancel: ["Cancel", "取消"],
  again: ["Run again", "再次运行"],
  forget: ["Forget", "删除"],
  notify: ["Notify me", "完成时通知我"],
  result: ["Result", "结果"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  download: ["Download", "下载"],
  cut: ["{0} characters are not shown.", "有 {0} 个字符未显示。"],
  cutRows: ["{0} to {1} of {2}", "第 {0} 到 {1} 项，共 {2} 项"],
  showAll: ["Show all", "全部显示"],
  jobs: ["Jobs", "任务"],
  noJobs: ["Nothing has run yet.", "还没有运行过任务。"],
  showJobs: ["Show all {0} jobs", "显示全部 {0} 个任务"],
  live: ["live", "实时"],
  poll: ["checking every 2 s", "每 2 秒查询"],
  retry: ["Try now", "立即重试"],
  back: ["Connected again.", "已重新连接。"],
  lost: ["The server does not answer. Trying again…", "服务器没有应答，正在重试…"],
  unsure: [
    "There was no answer. Press Start again: nothing is started twice.",
    "没有应答。请再按一次启动，不会重复启动。",
  ],
  refused: ["The request failed", "请求失败"],
  401: [
    "A token is needed: open the address that the server printed",
    "需要令牌：请打开服务器启动时打印的地址",
  ],
  403: ["Not allowed", "不允许"],
  409: ["Busy", "正忙"],
  413: ["Too large for the server", "超出服务器允许的大小"],
  429: ["Too busy", "太忙了"],
};
const LANGUAGE = navigator.language.startsWith("zh") ? 1 : 0;
const LOCALE = ["en", "zh-Hans"][LANGUAGE];

// ---- Constants ----

const ENDED = ["completed", "failed", "cancelled", "interrupted", "gone"];
const FRAME_MS = 100; // between two drawings of the job
const LIST_MS = 3000; // between two requests for the list of jobs
const POLL_MS = 2000; // between two requests for the job, when polling
const REST_MS = 60_000; // for a hidden page: until it leaves its stream, and between two lists
const SPEAK_MS = 10_000; // between two announcements of progress
const QUIET_S = 10; // of silence before it is shown
const LARGE = 100_000; // characters: a larger result is polled, not streamed
const SHOWN = 100_000; // characters shown of a long text
const PIECE = 8000; // typical size of a block of text, in characters
const ROWS = 100; // rows shown of a table
const LINES = 8; // most lines in a chart
const POINTS = 4000; // most points kept of a line
const RECENT = 20; // jobs listed at first, and jobs that the usual time is taken from

// The type of an input, by the type or the format in a schema.
const INPUTS = {
  integer: "number",
  number: "number",
  decimal: "number",
  date: "date",
  time: "time",
  "date-time": "datetime-local",
};

// ---- State: everything that changes while the page is open ----

// The status of a job of which nothing is known yet.
const NO_STATUS = {
  id: "",
  operation: "",
  state: "",
  version: -1,
  result: null,
  step: null,
  total: null,
  progress: null,
  elapsed: null,
};

// The part of the state that belongs to the job in the address. Each job begins with it.
const nothingSeen = () => ({
  shown: NO_STATUS, // the latest status
  seenVersion: null, // the version that arrived at changedAt
  sawChange: false, // a change arrived while the job was shown
  steps: [], // { elapsed, step } of the last 30 seconds, for the rate
  lines: new Map(), // reported numbers, name -> { xs, ys }, for the chart
  view: {}, // how the result is shown: see openView
  spokenState: "",
  spokenPercent: "",
});

// Times are milliseconds of now(), which does not jump when the clock is set.
const state = {
  ...nothingSeen(),
  receivedAt: 0, // when the latest status arrived
  changedAt: 0, // when the version last changed
  stopFollowing: () => {}, // ends the current follow()
  frame: 0, // timer of the next drawing, or 0
  drawnAt: 0,
  spokenAt: 0,
  wantsNotice: false, // the reader asked for a notification

  lostAt: null, // when the server stopped answering, or null
  serverClock: -Infinity, // plus now(): the time on the server, or slightly less
  sleepers: new Set(), // functions that each end a sleep()
  restTimer: 0, // runs while the page is hidden

  operations: [], // as the server lists them
  startKey: "", // Idempotency-Key of a start that was not answered yet
  startedHere: parametersOfThisTab(), // job id -> parameters

  jobs: [], // as the server lists them, newest first
  showsAllJobs: false,
};

function parametersOfThisTab() {
  try {
    return JSON.parse(sessionStorage.getItem("parameters")) ?? {};
  } catch {
    // Storage may be forbidden.
    return {};
  }
}

// ---- Helpers ----

const $ = (id) => document.getElementById(id);
const now = () => performance.now();
// An id is hexadecimal digits: there is nothing to decode.
const shownId = () => location.hash.slice(1);
const jobPath = (id) => "/v1/jobs/" + encodeURIComponent(id);
const isGone = (status) => status === 404 || status === 410;
const hasEnded = (job) => ENDED.includes(job.state);
const isActive = (job) => job.state === "running" || job.state === "cancelling";
const isNumber = (value) => typeof value === "number";
const isObject = (value) => value !== null && typeof value === "object";
const isRecord = (value) => isObject(value) && !Array.isArray(value);
const isRecords = (value) => Array.isArray(value) && value.length > 0 && value.every(isRecord);
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const cut = (words, length) => (words.length > length ? words.slice(0, length) + "…" : words);
const join = (words, separator = ", ") => words.filter(Boolean).join(separator);

function isImage(value) {
  return typeof value === "string" && /^data:image\/[\w.+-]+;base64,/.test(value);
}

function isSeries(value) {
  if (!Array.isArray(value) || value.length < 2) return false;
  return value.some(isNumber) && value.every((one) => one === null || isNumber(one));
}

// Return a text in the language of the reader; the values replace {0}, {1} and so on.
function text(key, ...values) {
  return TEXT[key][LANGUAGE].replace(/\{(\d)\}/g, (_, index) => values[index]);
}

const count = (number) => number.toLocaleString(LOCALE);

function figure(number, digits = 5) {
  const size = Math.abs(number);
  const isExtreme = size >= 1e9 || (size > 0 && size < 1e-4);
  return isExtreme ? number.toExponential(2) : String(+number.toPrecision(digits));
}

const twoDigits = (number) => String(Math.floor(number)).padStart(2, "0");

// Format seconds as 1:05 or 2:03:04.
function clock(seconds) {
  const minutes = (seconds / 60) % 60;
  const rest = twoDigits(seconds % 60);
  if (seconds < 3600) return `${Math.floor(minutes)}:${rest}`;
  return `${Math.floor(seconds / 3600)}:${twoDigits(minutes)}:${rest}`;
}

function duration(seconds) {
  if (seconds >= 100) return clock(seconds);
  return text("seconds", Math.max(0, Math.floor(seconds)));
}

// Make an element. The kind "p.hint" means <p class="hint">.
function make(kind, properties, ...children) {
  const [name, className = ""] = kind.split(".");
  const element = document.createElement(name);
  Object.assign(element, { className }, properties);
  element.append(...children);
  return element;
}

// Set a text only if it changed: an unchanged one keeps its layout and selection.
function setText(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// Tell screen readers.
function announce(words) {
  $("spoken").textContent = words;
}

// Call a function when a signal aborts. Returns a function that undoes this.
function onAbort(signal, act) {
  signal?.addEventListener("abort", act);
  return () => signal?.removeEventListener("abort", act);
}

// Wait. An abort and wake() end the wait early.
function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(end, milliseconds);
    const unlisten = onAbort(signal, end);
    state.sleepers.add(end);

    function end() {
      clearTimeout(timer);
      unlisten();
      state.sleepers.delete(end);
      resolve();
    }
  });
}

function wake() {
  for (const end of [...state.sleepers]) end();
}

// ---- The server ----

// Send a request and return the answer, whatever its status. Throws if there is none.
async function ask(path, { signal, seconds = 15, ...options } = {}) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, seconds * 1000);
  const unlisten = onAbort(signal, abort);
  try {
    const answer = await read(await fetch(path, { ...options, signal: controller.signal }));
    // The caller shows errors of a POST or DELETE.
    const isFine = answer.ok || options.method || isGone(answer.status);
    showTrouble(isFine ? "" : explain(answer));
    return answer;
  } catch (error) {
    if (!signal?.aborted) showTrouble(text("lost"), true);
    throw error;
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}

async function read(response) {
  const { status, ok, headers } = response;
  noteServerTime(headers.get("Date"));
  const body = await response.json().catch(() => ({}));
  if (status > 501 && !body.detail) throw new Error("from a proxy, not from the server");
  return { status, ok, body, path: headers.get("Location") };
}

// Describe an error in our words, followed by those of the server.
function explain({ status, body: { detail, error = detail } }) {
  const reason = text(TEXT[status] ? status : "refused");
  return error ? `${reason}: ${error}` : `${reason} (${status})`;
}

// Learn the time on the server, because the clock here may be wrong. The largest difference is
// the best one: its message spent the least time on the way.
function noteServerTime(moment) {
  const time = Date.parse(moment) || -Infinity;
  state.serverClock = Math.max(state.serverClock, time - now());
}

// Show a problem in the bar at the bottom; "" means that all is well.
function showTrouble(words, isLost = false) {
  state.lostAt = isLost ? (state.lostAt ?? now()) : null;
  if ($("trouble").textContent === words) return;
  $("trouble").textContent = words;
  $("offline").hidden = !words;
  announce(words || text("back"));
  if (words) {
    setText($("link"), "");
  } else {
    // The server may have been restarted with other operations.
    loadOperations();
    comeBack();
  }
}

// A refusal stays in the bar until the next good answer.
const showRefusal = (answer) => showTrouble(explain(answer));

// ---- The form: made from the JSON Schema of the parameters ----

const chosen = () => state.operations[$("operation").selectedIndex];
const formFields = () => [...$("fields").querySelectorAll("[name]")];
const valueOf = (field) => (field.type === "checkbox" ? String(field.checked) : field.value);

function findOperation(module, name) {
  return state.operations.findIndex((one) => one.module === module && one.name === name);
}

async function loadOperations() {
  try {
    const { ok, body } = await ask("/v1");
    if (!ok || JSON.stringify(body.operations) === JSON.stringify(state.operations)) return;
    state.operations = body.operations;
  } catch {
    // showTrouble() asks again once the server answers.
    return;
  }
  const hasModules = new Set(state.operations.map((one) => one.module)).size > 1;
  const names = state.operations.map((one) => (hasModules ? `${one.module}/` : "") + one.name);
  $("operation").replaceChildren(...names.map((name) => make("option", {}, name)));
  $("chooser").hidden = state.operations.length < 2;
  setBusy(false);
  if (state.operations.length) showForm();
}

function showForm() {
  state.startKey = "";
  const { name, description, page, parameters } = chosen();
  $("start-name").textContent = state.operations.length > 1 ? text("begin") : name;
  $("description").textContent = description;
  // Link only to this server.
  $("own-page").hidden = !/^\/(?![\/\\])/.test(page ?? "");
  $("own-page").href = page ?? "";
  const parts = Object.entries(parameters.properties).flatMap(([name, schema]) =>
    fieldParts(name, schema, parameters.required.includes(name)),
  );
  $("fields").replaceChildren(...parts);
  $("form-error").textContent = "";
}

// Make a field, its label, its help and a place for its error.
function fieldParts(name, schema, isRequired) {
  const field = fieldFor(name, schema, isRequired);
  const isCheck = field.type === "checkbox";
  const kind = kindName(field, schema);
  const words = join([TEXT[kind] && text(kind), field.required && text("required")]);
  const help = make("span.hint", { id: "help-" + name, dir: "auto" }, schema.description ?? "");
  const error = make("span.bad", { id: "error-" + name, dir: "auto" });
  field.setAttribute("aria-describedby", `${help.id} ${error.id}`);
  field.dataset.initial = valueOf(field);
  field.dataset.required = isRequired;
  field.dataset.json = field.className === "json" ? kind : "";

  const label = make(isCheck ? "label.check" : "label", { htmlFor: field.id });
  label.append(name, make("small", { ariaHidden: "true" }, words));
  if (!isCheck) return [label, field, help, error];
  label.prepend(field);
  return [label, help, error];
}

function kindName(field, schema) {
  if (field.type === "file") return "file";
  const { type, format } = kindOf(schema);
  if (field.tagName === "SELECT") return "";
  return format in TEXT ? format : type;
}

// The kinds of value that a schema allows besides null; its kind, if there is just one.
const kindsOf = (schema) => (schema.anyOf || [schema]).filter((kind) => kind.type !== "null");
const kindOf = (schema) => (kindsOf(schema).length === 1 ? kindsOf(schema)[0] : {});
const isNullable = (schema) => kindsOf(schema).length < schema.anyOf?.length;

function fieldFor(name, schema, required) {
  const kind = kindOf(schema);
  const value = schema.default ?? null;
  const common = { name, id: "field-" + name, required, dir: "auto" };
  if (kind.enum) return selectField(common, kind.enum, schema);
  if (kind.type === "boolean") return booleanField(common, schema);
  if (kind.contentEncoding) return make("input", { ...common, type: "file" });
  if (kind.type === "array" || kind.type === "object") return jsonField(common, value);
  return inputField(common, kind, value);
}

function selectField(common, choices, schema) {
  const value = schema.default ?? null;
  const options = choices
    .filter((one) => one !== null)
    .map((one) => make("option", { selected: one === value }, String(one)));
  if (isNullable(schema) || !(common.required || choices.includes(value))) {
    // An empty choice.
    options.unshift(make("option", { value: "" }));
  }
  return make("select", common, ...options);
}

function booleanField(common, schema) {
  if (isNullable(schema)) return selectField(common, [true, false], schema);
  const checked = schema.default === true;
  return make("input", { ...common, type: "checkbox", checked, required: false });
}

function jsonField(common, value) {
  const words = value === null ? "" : JSON.stringify(value);
  return make("textarea.json", { ...common, dir: "ltr", rows: 2, value: words });
}

function inputField(common, { type, format, minimum, maximum, maxLength }, value) {
  const words = plain(value ?? "");
  const isLong = format === "textarea" || maxLength > 80 || words.includes("\n");
  const input = {
    type: INPUTS[format ?? type] ?? "text",
    step: type === "integer" ? "1" : "any",
    min: minimum ?? "",
    max: maximum ?? "",
  };
  const field = isLong
    ? make("textarea", { ...common, rows: 5 })
    : make("input", { ...common, ...input });
  if (maxLength) field.maxLength = maxLength;
  fill(field, words);
  return field;
}

// Set a value; as text where the field has no room for it, such as an offset from UTC.
function fill(field, words) {
  field.value = words;
  if (field.value || !words || field.tagName !== "INPUT") return;
  field.type = "text";
  field.value = words;
}

// Check JSON, which the browser does not do by itself.
function check(field) {
  if (!field.dataset.json) return;
  let problem = "";
  try {
    JSON.parse(field.value || null);
  } catch {
    problem = text("notJson", text(field.dataset.json));
  }
  field.setCustomValidity(problem);
}

function markField(field, problem) {
  $("error-" + field.name).textContent = problem;
  field.ariaInvalid = problem ? "true" : null;
}

// Return the values to send. Unchanged ones are left out: the server knows its defaults, and
// JavaScript would round some of its numbers.
function formValues() {
  const values = new FormData();
  for (const field of formFields()) {
    if (field.type === "file") {
      if (field.files[0]) values.append(field.name, field.files[0]);
    } else if (isGiven(field)) {
      values.append(field.name, valueOf(field));
    }
  }
  return values;
}

function isGiven(field) {
  const { initial, required, json } = field.dataset;
  const value = valueOf(field);
  if (json && value === "") return false;
  return required === "true" || value !== initial;
}

// Choose an operation and fill in the form.
function fillForm(module, name, values) {
  const index = findOperation(module, name);
  if (index < 0) return;
  $("operation").selectedIndex = index;
  showForm();
  for (const field of formFields()) {
    if (field.type === "file" || !Object.hasOwn(values, field.name)) continue;
    const value = values[field.name];
    if (field.type === "checkbox") field.checked = String(value) === "true";
    else fill(field, plain(value ?? ""));
    check(field);
  }
}

async function start(event) {
  event.preventDefault();
  if ($("start").ariaDisabled === "true") return;
  setBusy(true);
  const values = formValues();
  state.startKey ||= crypto.getRandomValues(new Uint32Array(4)).join("-");
  const headers = { Prefer: "respond-async", "Idempotency-Key": state.startKey };
  const options = { method: "POST", body: values, seconds: 900, headers };
  try {
    const answer = await ask(chosen().start, options);
    state.startKey = "";
    showErrors(answer);
    if (answer.ok) showStarted(idIn(answer), values);
  } catch {
    $("form-error").textContent = text("unsure");
  }
  setBusy(false);
}

function setBusy(isBusy) {
  $("start").ariaDisabled = String(isBusy || !state.operations.length);
}

const idIn = ({ body, path }) => body.id ?? body.commandId ?? path?.split("/").pop();

function showErrors(answer) {
  const errors = { ...answer.body.errors };
  const fields = formFields();
  for (const field of fields) {
    markField(field, errors[field.name] ?? "");
    delete errors[field.name];
  }
  const firstWrong = fields.find((field) => field.ariaInvalid);
  const others = Object.entries(errors).map(([name, problem]) => `${name}: ${problem}`);
  const words = others.join("; ") || (firstWrong ? "" : explain(answer));
  $("form-error").textContent = answer.ok ? "" : words;
  firstWrong?.focus();
}

// Remember the parameters of a job that was started here, and go to it.
function showStarted(id, values) {
  const given = [...values].map(([name, value]) => [name, value.name ?? cut(value, 20_000)]);
  const all = [...Object.entries(state.startedHere), [id, Object.fromEntries(given)]];
  state.startedHere = Object.fromEntries(all.slice(-50));
  try {
    sessionStorage.setItem("parameters", JSON.stringify(state.startedHere));
  } catch {
    // Storage may be forbidden, or full.
  }
  if (id === shownId()) follow();
  else location.hash = id;
  wake();
}

// ---- Following a job: each change arrives, whatever happens to the connection ----

// Follow the job in the address until it ends, or until follow() is called for another one. Each
// round asks for the status, then waits for changes. How depends on what works:
//   stream  server-sent events; some proxies hold these back
//   wait    long polling: a request is answered when the job changes
//   poll    a request every two seconds, where long polls are answered at once or never
// A failed round is repeated after 0.4 s, 0.8 s, and so on up to 8 s.
async function follow() {
  state.stopFollowing();
  const id = shownId();
  const controller = new AbortController();
  state.stopFollowing = () => controller.abort();
  if (state.shown.id !== id) clearJob();
  if (!id) return;
  const watch = {
    id,
    signal: controller.signal,
    mode: window.EventSource ? "stream" : "wait",
    // How often each happened in succession:
    failures: 0,
    silentStreams: 0,
    vainWaits: 0,
  };
  while (!watch.signal.aborted) {
    const waits = canWait(watch);
    try {
      if (!(await lookOnce(watch, waits))) return;
    } catch {
      if (watch.signal.aborted) return;
      if (waits) countVainWait(watch, 1);
      await sleep(Math.min(400 * 2 ** watch.failures, 8000), watch.signal);
      watch.failures += 1;
    }
  }
}

function canWait({ mode, failures }) {
  return mode === "wait" && !failures && state.shown.version >= 0 && !document.hidden;
}

function countVainWait(watch, most) {
  watch.vainWaits += 1;
  if (watch.vainWaits > most) watch.mode = "poll";
}

// Ask for the status, then pause or stream. Returns false when there is no more to follow.
async function lookOnce(watch, waits) {
  const { id, signal } = watch;
  const began = now();
  // After a restart a server may count from an older version: accept any.
  if (!waits) state.shown = { ...state.shown, version: -1 };
  const { version } = state.shown;
  const query = waits ? `?since=${version}&wait=20` : "";
  const answer = await ask(jobPath(id) + query, { signal, seconds: waits ? 30 : 15 });
  if (signal.aborted) return false;
  const { status, ok, body: job } = answer;
  if (isGone(status)) {
    receive({ ...state.shown, id, state: "gone", error: text("goneWhy") });
    return false;
  }
  if (!ok) throw new Error(status);
  receive(job);
  if (hasEnded(job)) return false;

  watch.failures = 0;
  const tookMs = now() - began;
  if (waits && job.version === version && tookMs < 5000) countVainWait(watch, 2);
  else watch.vainWaits = 0;
  setText($("link"), text(watch.mode === "poll" ? "poll" : "live"));
  await untilNextLook(watch, pauseAfter(watch, job, tookMs));
  return true;
}

// Milliseconds until the next round; large results get a fifth of the time at most.
function pauseAfter(watch, job, tookMs) {
  if (watch.mode === "poll" || (document.hidden && !state.wantsNotice)) return POLL_MS;
  const isLarge = job.result !== null && plain(job.result).length > LARGE;
  return isLarge ? Math.max(1000, 4 * tookMs) : FRAME_MS;
}

async function untilNextLook(watch, pause) {
  if (pause > FRAME_MS || watch.mode === "wait") {
    await sleep(pause, watch.signal);
  } else if (await stream(watch.id, watch.signal)) {
    watch.silentStreams = 0;
  } else {
    watch.silentStreams += 1;
    if (watch.silentStreams > 1) watch.mode = "wait";
  }
}

// Receive events until the stream ends or is silent for too long: a dead connection does not say
// so. Returns whether any event arrived.
function stream(id, signal) {
  return new Promise((resolve) => {
    const source = new EventSource(jobPath(id) + "/events");
    const unlisten = onAbort(signal, end);
    let timer = setTimeout(end, 5000);
    let hasSpoken = false;
    source.addEventListener("error", end);
    source.addEventListener("status", ({ data }) => {
      const job = JSON.parse(data);
      hasSpoken = true;
      clearTimeout(timer);
      timer = setTimeout(end, 20_000);
      receive(job);
      if (hasEnded(job) || data.length > LARGE) end();
    });

    function end() {
      source.close();
      clearTimeout(timer);
      unlisten();
      resolve(hasSpoken);
    }
  });
}

function clearJob() {
  Object.assign(state, nothingSeen());
  fillBox();
  $("job").hidden = true;
  document.title = "longop";
  setText($("link"), "");
  showJobs();
}

// Take a status into the state, whichever way it arrived, and have it drawn.
function receive(job) {
  const isOld = job.version < state.shown.version && !hasEnded(job);
  if (job.id !== shownId() || isOld) return;
  noteServerTime(job.cancel_requested_at ?? job.started_at);
  state.receivedAt = now();
  if (job.version !== state.seenVersion) {
    state.seenVersion = job.version;
    state.changedAt = state.receivedAt;
    state.sawChange = state.shown.id === job.id;
  }
  // The list shows the state too: refresh it now.
  if (job.state !== state.shown.state) wake();
  state.shown = job;
  noteStep(job);
  noteNumbers(job);
  drawSoon();
}

function noteStep({ step, elapsed }) {
  const { steps } = state;
  const last = steps.at(-1);
  if (!isNumber(step)) return;
  if (last && (step === last.step || elapsed - last.elapsed <= 0.2)) return;
  // The function began again.
  if (last && step < last.step) steps.length = 0;
  steps.push({ elapsed, step });
  while (steps.length > 5 && steps[1].elapsed < elapsed - 30) steps.shift();
}

// A number belongs to the line "", a number in a record to the line of its name. A null makes a
// gap in a line that exists.
function noteNumbers({ step, result, version }) {
  const x = isNumber(step) ? step : version;
  for (const [name, y] of numbersIn(result)) {
    if (!isNumber(y) && !(y === null && state.lines.has(name))) continue;
    const line = state.lines.get(name) ?? { xs: [], ys: [] };
    if (line.xs.at(-1) === x && line.ys.at(-1) === y) continue;
    line.xs.push(x);
    line.ys.push(y);
    state.lines.set(name, line.xs.length > POINTS ? thin(line, POINTS / 4) : line);
  }
}

function numbersIn(result) {
  if (isRecord(result)) return Object.entries(result).slice(0, LINES);
  const isLine = isNumber(result) || (result === null && state.lines.has(""));
  return isLine ? [["", result]] : [];
}

// ---- Drawing a job ----

// Draw at most once in FRAME_MS, however fast reports arrive.
function drawSoon() {
  const act = document.hidden ? draw : () => requestAnimationFrame(draw);
  state.frame ||= setTimeout(act, state.drawnAt + FRAME_MS - now());
}

function draw() {
  state.frame = 0;
  state.drawnAt = now();
  if (!state.shown.id) return;
  const isFirst = $("job").hidden;
  const row = $("row-" + state.shown.id);
  showFacts();
  showResult();
  if (row && state.shown.created_at) fillRow(row, state.shown);
  if (isFirst && $("job").getBoundingClientRect().top > innerHeight / 2) $("job").scrollIntoView();
}

// While the server is lost, durations stand still.
const seenUntil = () => state.lostAt ?? now();
const sinceReceived = () => (seenUntil() - state.receivedAt) / 1000;
const elapsedOf = (job) => job.elapsed + (isActive(job) ? sinceReceived() : 0);

// Called for each drawing, and every half second because time passes.
function showFacts() {
  const job = state.shown;
  const left = job.state === "running" ? secondsLeft(job) : 0;
  const percent = percentOf(job);
  $("job").hidden = false;
  $("job").dataset.state = job.state;
  setText($("job-name"), job.operation);
  setText($("state"), stateText(job));
  setText($("percent"), job.state === "completed" ? "" : percent);
  setText($("steps"), stepText(job));
  setText($("rate"), rateText(job));
  setText($("elapsed"), elapsedText(job));
  setText($("eta"), leftText(job, left));
  setText($("quiet"), quietText(job));
  showBar(job);
  setText($("message"), cut(plain(job.message ?? ""), 5000));
  setText($("error"), cut(job.error ?? "", 20_000));
  const news = percent && !hasEnded(job) ? percent : text(job.state);
  document.title = `${news} – ${job.operation || "longop"}`;
  showButtons(job);
  speak(job, percent, left);
}

function percentOf({ progress }) {
  return progress === null ? "" : Math.floor(progress * 100) + " %";
}

function stateText({ state: name, queue_position: position, cancel_requested_at: since }) {
  if (name === "cancelling") {
    const seconds = (state.serverClock + seenUntil() - Date.parse(since)) / 1000;
    return `${text(name)} ${duration(seconds)}`;
  }
  return position ? text("queuedAt", position) : text(name);
}

function stepText({ step, total }) {
  if (step === null) return "";
  return total === null ? text("step", plain(step)) : text("steps", plain(step), plain(total));
}

function rateText(job) {
  const rate = isActive(job) ? stepsPerSecond(job) : 0;
  if (rate >= 1) return text("rate", figure(rate, 2));
  return rate > 0 ? text("each", duration(1 / rate)) : "";
}

function elapsedText(job) {
  if (job.elapsed === null) return "";
  const isShort = hasEnded(job) && job.elapsed < 10;
  const words = isShort ? text("seconds", job.elapsed.toFixed(1)) : clock(elapsedOf(job));
  return text("elapsed", words);
}

function leftText(job, left) {
  const usual = isActive(job) && job.progress === null ? usualSeconds(job) : 0;
  return join([
    left >= 1 && text("left", clock(left)),
    usual >= 1 && text("usually", clock(usual)),
  ]);
}

function quietText(job) {
  const silence = (now() - state.changedAt) / 1000;
  const isQuiet = isActive(job) && state.lostAt === null && silence > QUIET_S;
  const words = isQuiet && text(state.sawChange ? "quiet" : "silent", duration(silence));
  return join([words, job.state === "cancelling" && text("willStop")]);
}

// The rate of the last 30 seconds, or of the whole run if that is too short to tell.
function stepsPerSecond({ step, elapsed }) {
  const first = state.steps[0];
  const last = state.steps.at(-1);
  if (first && last.elapsed - first.elapsed > 2) {
    return (last.step - first.step) / (last.elapsed - first.elapsed);
  }
  return isNumber(step) && elapsed > 0.5 ? step / elapsed : 0;
}

function secondsLeft(job) {
  if (job.progress === null) return usualSeconds(job) - elapsedOf(job);
  const rate = stepsPerSecond(job);
  const last = state.steps.at(-1);
  if (rate > 0 && last && isNumber(job.total)) {
    return (job.total - last.step) / rate - (elapsedOf(job) - last.elapsed);
  }
  return (job.eta ?? 0) - sinceReceived();
}

// The median duration of recent completed jobs of the same operation.
function usualSeconds({ module, operation }) {
  const isLike = (one) => one.module === module && one.operation === operation;
  const alike = state.jobs.filter((one) => one.state === "completed" && isLike(one));
  const times = alike.slice(0, RECENT).map((one) => one.elapsed);
  times.sort((one, other) => one - other);
  return times[Math.floor(times.length / 2)] ?? 0;
}

function showBar(job) {
  const bar = $("bar");
  if (job.progress === null && !hasEnded(job)) bar.removeAttribute("value");
  else bar.value = job.progress ?? 0;
}

// Asked once, because the answer takes long.
const canNotify = window.Notification && Notification.permission !== "denied";

function showButtons(job) {
  const ended = hasEnded(job);
  const focused = document.activeElement;
  $("cancel").hidden = ended;
  $("cancel").ariaDisabled = String(job.state === "cancelling");
  $("notify").hidden = ended || !canNotify;
  $("again").hidden = !ended || !parametersOf(job);
  $("forget").hidden = !ended || job.state === "gone";
  if (focused.hidden && $("job").contains(focused)) focusName();
}

const focusName = () => $("job-name").focus({ preventScroll: true });

// Announce each new state, and progress now and then.
function speak(job, percent, left) {
  const isNewState = job.state !== state.spokenState;
  const isSoon = now() - state.spokenAt < SPEAK_MS;
  if (isNewState) {
    announce(join([`${job.operation}: ${text(job.state)}`, cut(job.error ?? "", 200)]));
    if (hasEnded(job)) notify(job);
  } else if (percent !== state.spokenPercent && !isSoon) {
    announce(join([percent, left >= 1 && text("left", duration(left))]));
  } else {
    return;
  }
  state.spokenState = job.state;
  state.spokenPercent = percent;
  state.spokenAt = now();
}

// Show a notification of the browser if the reader asked for one.
function notify({ id, operation, state: name, error }) {
  try {
    const options = { tag: id, body: cut(error ?? "", 200) };
    if (state.wantsNotice) new Notification(`${operation}: ${text(name)}`, options);
  } catch {
    // Some phones do not allow this.
  }
  setWantsNotice(false);
}

function setWantsNotice(wants) {
  state.wantsNotice = wants;
  $("notify").ariaPressed = String(wants);
}

async function toggleNotice() {
  const wants = !state.wantsNotice && (await Notification.requestPermission()) === "granted";
  setWantsNotice(wants);
}

async function cancel() {
  if ($("cancel").ariaDisabled === "true") return;
  $("cancel").ariaDisabled = "true";
  try {
    const answer = await ask(jobPath(state.shown.id) + "/cancel", { method: "POST" });
    if (answer.ok) receive(answer.body);
    else showRefusal(answer);
  } catch {
    $("cancel").ariaDisabled = "false";
  }
}

// ---- The result: one way to draw it for each kind ----

const DRAW = {
  text: drawText,
  image: (result) => fillBox(picture(result, "", text("result"))),
  chart: drawChart,
  table: (result) => fillBox(table(result)),
  tree: (result) => fillBox(isObject(result) ? entries(result, "") : large(result)),
};

function kindOfResult(result) {
  if (typeof result === "string") return isImage(result) ? "image" : "text";
  if (linesOf(result)) return "chart";
  return isRecords(result) ? "table" : "tree";
}

function showResult() {
  const { result } = state.shown;
  // A number that became null stays visible as a gap.
  $("output").hidden = result === null && !state.view.kind;
  if (result === null) return;
  const kind = kindOfResult(result);
  const words = plain(result);
  if (kind !== state.view.kind) openView(kind);
  if (words === state.view.words) return;
  const { path } = document.activeElement.dataset;
  $("copy").hidden = kind === "image";
  showCut("");
  DRAW[kind](result);
  state.view.words = words;
  if (path) focusPath(path);
}

function openView(kind) {
  state.view = {
    kind,
    words: null, // the drawn result, as text
    showsAll: false, // the reader asked for all of it
    isLive: !hasEnded(state.shown), // the result grows: show its end
    unfolded: new Set(), // paths of unfolded entries
    images: new Map(), // path -> element
  };
  fillBox();
}

function showAll() {
  state.view.showsAll = true;
  state.view.words = null;
  showResult();
}

const fillBox = (...nodes) => $("result").replaceChildren(...nodes);

function showCut(words) {
  $("cut").hidden = !words;
  setText($("cut-text"), words);
}

// Return the focus to an element that was drawn again.
function focusPath(path) {
  const found = $("result").querySelector(`[data-path="${CSS.escape(path)}"]`);
  found?.focus({ preventScroll: true });
}

function large(value) {
  return make("p.value", {}, isNumber(value) ? figure(value) : plain(value));
}

// Draw a text in blocks. A growing one is appended to, so that the browser lays out only the last
// block. Of a long text, the last SHOWN characters are shown while it grows, else the first ones.
function drawText(words) {
  const { view } = state;
  const box = $("result");
  const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  if (view.words === null || !words.startsWith(view.words)) beginText(words);
  const end = view.showsAll || view.isLive ? words.length : Math.min(words.length, SHOWN);
  appendBlocks(words.slice(view.to, end));
  view.to = end;
  if (!view.showsAll) dropOldBlocks();
  const hidden = view.from + words.length - view.to;
  showCut(hidden ? text("cut", count(hidden)) : "");
  if (isAtEnd && view.isLive) box.scrollTop = box.scrollHeight;
}

function beginText(words) {
  const { view } = state;
  const isTail = view.isLive && !view.showsAll;
  // The part of the text that is drawn:
  view.from = isTail ? Math.max(0, words.length - SHOWN) : 0;
  view.to = view.from;
  view.pre = make(view.showsAll ? "pre.all" : "pre", {});
  // The last block, or null when the next part begins a new one:
  view.block = null;
  view.blockSize = 0;
  fillBox(view.pre);
}

function appendBlocks(words) {
  const { view } = state;
  while (words) {
    if (!view.block) {
      view.block = view.pre.appendChild(make("div", { dir: "auto" }));
      view.blockSize = 0;
    }
    const end = blockEnd(words, view.blockSize);
    const part = end ? words.slice(0, end) : words;
    view.block.append(part);
    view.blockSize += part.length;
    if (end) view.block = null;
    words = words.slice(part.length);
  }
}

// Where in `words` a block of this size should end: after a line, or else after a word. 0 means
// that all of it fits.
function blockEnd(words, size) {
  const most = 2 * PIECE - size;
  const afterLine = words.indexOf("\n", Math.max(0, PIECE - size)) + 1;
  if (afterLine && afterLine <= most) return afterLine;
  if (words.length <= most) return 0;
  return words.lastIndexOf(" ", most) + 1 || Math.max(1, most);
}

function dropOldBlocks() {
  const { view } = state;
  while (view.to - view.from > SHOWN + 2 * PIECE && view.pre.childElementCount > 1) {
    view.from += view.pre.firstChild.textContent.length;
    view.pre.firstChild.remove();
  }
}

// Reuse the element of the same place: a picture that changes must not flicker.
function picture(url, path, alt) {
  const { images } = state.view;
  if (!images.has(path)) images.set(path, new Image());
  const image = images.get(path);
  if (image.src !== url) image.src = url;
  image.alt = alt;
  return image;
}

function leaf(value, path, name) {
  if (isImage(value)) return picture(value, path, name);
  return make("span.text", { dir: "auto" }, cut(plain(value), 5000));
}

// Draw a list or an object. Entries that have entries themselves can be unfolded.
function entries(value, path) {
  const all = Object.entries(value);
  const few = state.view.showsAll ? all : all.slice(0, ROWS);
  if (few.length < all.length) showCut(text("cutRows", 1, ROWS, count(all.length)));
  return make("dl", {}, ...few.map(([name, item]) => entry(name, item, `${path}/${name}`)));
}

function entry(name, item, path) {
  if (isObject(item) && Object.keys(item).length > 0) {
    return make("div", {}, make("dd", {}, folded(name, item, path)));
  }
  const value = make("dd", {}, leaf(item, path, name));
  return make("div", {}, make("dt", { dir: "auto" }, name), value);
}

// The content is made when it is first unfolded.
function folded(name, value, path) {
  const { unfolded } = state.view;
  const size = count(Object.keys(value).length);
  const hint = make("small", {}, Array.isArray(value) ? `[${size}]` : `{${size}}`);
  const summary = make("summary", {}, name + " ", hint);
  const details = make("details", { open: unfolded.has(path) }, summary);
  const unfold = () => details.append(isRecords(value) ? table(value) : entries(value, path));
  summary.dataset.path = path;
  if (details.open) unfold();
  details.addEventListener("toggle", () => {
    if (details.open) unfolded.add(path);
    else unfolded.delete(path);
    if (details.open && details.childElementCount < 2) unfold();
  });
  return details;
}

// Draw records as rows: the last ones while the result grows, else the first ones.
function table(records) {
  const { showsAll, isLive } = state.view;
  const total = records.length;
  const from = isLive && !showsAll ? Math.max(0, total - ROWS) : 0;
  const rows = showsAll ? records : records.slice(from, from + ROWS);
  const to = from + rows.length;
  if (rows.length < total) showCut(text("cutRows", count(from + 1), count(to), count(total)));
  const names = [...new Set(rows.flatMap(Object.keys))].slice(0, 50);
  const heads = names.map((name) => make("th", { scope: "col", dir: "auto" }, name));
  const head = make("thead", {}, make("tr", {}, ...heads));
  const body = rows.map((row, index) => tableRow(row, names, from + index));
  return make("table", {}, head, make("tbody", {}, ...body));
}

function tableRow(row, names, index) {
  const cells = names.map((name) => {
    const content = leaf(row[name] ?? "", `${index}/${name}`, name);
    return make(isNumber(row[name]) ? "td.number" : "td", {}, content);
  });
  return make("tr", {}, ...cells);
}

// ---- The chart ----

const CHART = { height: 220, left: 56, top: 8, bottom: 196, rightMargin: 8 };

function drawChart(result) {
  const { lines, rest } = linesOf(result);
  const value = isNumber(result) ? [large(result)] : [];
  fillBox(...value, ...chart(lines), entries(rest, ""));
}

// Split a result into lines, as [name, { xs, ys }], and the rest. Returns null if no chart would
// show anything.
function linesOf(result) {
  if (isSeries(result)) return { lines: [["", { ys: result }]], rest: {} };
  if (!isNumber(result) && !isRecord(result)) return null;
  const isIn = (name) => (isNumber(result) ? name === "" : Object.hasOwn(result, name));
  const lines = [...state.lines].filter(([name]) => isIn(name));
  // Nothing but flat lines.
  if (!lines.some(([, { ys }]) => ys.some((y) => y !== ys[0]))) return null;
  const names = lines.map(([name]) => name);
  const rest = Object.entries(result).filter(([name]) => !names.includes(name));
  return { lines, rest: Object.fromEntries(rest) };
}

// Reduce a line to the least and the greatest point of each bucket, so that no peak is lost.
function thin({ xs, ys }, buckets) {
  const thinned = { xs: [], ys: [] };
  const size = Math.max(1, ys.length / buckets);
  for (let begin = 0; begin < ys.length; begin += size) {
    const end = Math.min(ys.length, Math.floor(begin + size));
    for (const index of peaks(ys, Math.floor(begin), end)) {
      thinned.xs.push(xs ? xs[index] : index);
      thinned.ys.push(ys[index]);
    }
  }
  return thinned;
}

// Return the indexes of the least and the greatest number, in order.
function peaks(ys, begin, end) {
  let low = begin;
  let high = begin;
  for (let index = begin; index < end; index++) {
    if (ys[index] === null) continue;
    if (ys[low] === null || ys[index] < ys[low]) low = index;
    if (ys[high] === null || ys[index] > ys[high]) high = index;
  }
  return low === high ? [low] : [Math.min(low, high), Math.max(low, high)];
}

// Return the least and the greatest number, moved apart if they are equal.
function rangeOf(numbers) {
  const known = numbers.filter(isNumber);
  const low = Math.min(...known);
  const high = Math.max(...known);
  return low < high ? [low, high] : [low - 1, low + 1];
}

const rangeText = ([low, high]) => `${figure(low)} – ${figure(high)}`;

// Return up to six round numbers in a range.
function ticksOf([low, high]) {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((one) => one * power >= raw) * power;
  const first = Math.ceil(low / step);
  const ticks = [0, 1, 2, 3, 4, 5].map((index) => (first + index) * step);
  return ticks.filter((tick) => tick <= high);
}

function svg(name, attributes, words = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = words;
  return element;
}

// Draw lines and their legend. Lines of similar range share a scale, which has ticks. If one range
// is over 20 times another, each line has a scale of its own, which the legend names.
function chart(all) {
  const width = Math.max(240, $("result").clientWidth - 2);
  const lines = all.map(([name, line]) => ({ name, ...thin(line, width / 3) }));
  const ranges = lines.map(({ ys }) => rangeOf(ys));
  const spans = ranges.map(([low, high]) => high - low);
  const isOwnScale = Math.max(...spans) > 20 * Math.min(...spans);
  const shared = rangeOf(ranges.flat());
  const domain = rangeOf(lines.flatMap(({ xs }) => [xs[0], xs.at(-1)]));
  const scales = scalesFor(domain, width - CHART.rightMargin);
  const words = lines.map(({ name }, index) => `${name} ${rangeText(ranges[index])}`);
  const viewBox = `0 0 ${width} ${CHART.height}`;
  const drawing = svg("svg", { viewBox, role: "img", "aria-label": join(words) });
  const legend = make("ul.legend", { hidden: lines[0].name === "" });

  if (!isOwnScale)
    drawing.append(...ticksOf(shared).flatMap((tick) => gridLine(tick, shared, scales)));
  drawing.append(chartLabel(CHART.left, 214, "start", domain[0]));
  drawing.append(chartLabel(scales.right, 214, "end", domain[1]));
  lines.forEach((line, index) => {
    const range = isOwnScale ? ranges[index] : shared;
    drawing.append(curve(line, index, range, scales));
    legend.append(legendEntry(line, index, isOwnScale ? ` (${rangeText(range)})` : ""));
  });
  return [drawing, legend];
}

// Return functions from numbers to coordinates.
function scalesFor([first, last], right) {
  const { left, top, bottom } = CHART;
  return {
    right,
    x: (number) => left + ((number - first) / (last - first)) * (right - left),
    y: (number, [low, high]) => bottom - ((number - low) / (high - low)) * (bottom - top),
  };
}

function chartLabel(x, y, anchor, number) {
  return svg("text", { x, y, "text-anchor": anchor }, figure(number));
}

function gridLine(tick, range, scales) {
  const y = scales.y(tick, range);
  const line = svg("line", { x1: CHART.left, x2: scales.right, y1: y, y2: y });
  return [line, chartLabel(CHART.left - 8, y + 4, "end", tick)];
}

// Four colors; the fifth line repeats the first color, dashed.
const lineClass = (index) => "line-" + (index % 4);
const isDashed = (index) => index > 3;

function curve({ xs, ys }, index, range, scales) {
  const points = ys.map((y, place) => {
    if (y === null) return "";
    const isJoined = place > 0 && ys[place - 1] !== null;
    const at = `${scales.x(xs[place]).toFixed(1)} ${scales.y(y, range).toFixed(1)}`;
    return (isJoined ? "L" : "M") + at;
  });
  const dashes = isDashed(index) ? "5 3" : "none";
  const attributes = { class: lineClass(index), "stroke-dasharray": dashes };
  return svg("path", { d: points.join(""), ...attributes });
}

function legendEntry({ name, ys }, index, words) {
  const sample = isDashed(index) ? "╍ " : "━ ";
  const last = ys.at(-1);
  return make(
    "li",
    {},
    make("span." + lineClass(index), { ariaHidden: "true" }, sample),
    name + " ",
    make("strong", {}, last === null ? "–" : figure(last)),
    words,
  );
}

// ---- Copy and download ----

function wholeResult() {
  const { result } = state.shown;
  return typeof result === "string" ? result : JSON.stringify(result, null, 2);
}

async function copy() {
  const words = wholeResult();
  try {
    // Works only on https and on localhost.
    await navigator.clipboard.writeText(words);
  } catch {
    copyBySelecting(words);
  }
  announce(text("copied"));
  $("copy").textContent = text("copied");
  setTimeout(() => setText($("copy"), text("copy")), 2000);
}

function copyBySelecting(words) {
  const area = document.body.appendChild(make("textarea.spoken", { value: words }));
  area.select();
  document.execCommand("copy");
  area.remove();
  $("copy").focus();
}

function download() {
  const { result } = state.shown;
  // The third word of data:image/png;base64,... is the extension.
  if (isImage(result)) return offer(result, result.match(/\w+/g)[2]);
  const url = URL.createObjectURL(new Blob([wholeResult()]));
  offer(url, typeof result === "string" ? "txt" : "json");
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function offer(href, extension) {
  const { operation, id } = state.shown;
  make("a", { href, download: `${operation}-${id.slice(0, 8)}.${extension}` }).click();
}

// ---- The list of jobs ----

const TIME = new Intl.DateTimeFormat(LOCALE, { timeStyle: "short" });
const DATE = new Intl.DateTimeFormat(LOCALE, { dateStyle: "short", timeStyle: "short" });

async function watchJobs() {
  for (;;) {
    const began = now();
    try {
      const { ok, body } = await ask("/v1/jobs");
      if (ok) {
        state.jobs = body.jobs;
        showJobs();
      }
    } catch {
      // ask() has shown it; the next round tries again.
    }
    // A slow server is asked less often.
    const pause = Math.max(LIST_MS, 20 * (now() - began));
    await sleep(document.hidden ? REST_MS : pause);
  }
}

// Put the rows in order. Rows are reused, so that they keep the focus.
function showJobs() {
  const { jobs, shown } = state;
  const few = state.showsAllJobs ? jobs : jobs.slice(0, RECENT);
  const list = $("jobs");
  let next = list.firstChild;
  for (const job of few) {
    const row = $("row-" + job.id) ?? newRow(job);
    if (row === next) next = next.nextSibling;
    else list.insertBefore(row, next);
    const isNewer = job.id === shown.id && shown.version > job.version;
    fillRow(row, isNewer ? { ...job, ...shown } : job);
  }
  while (list.childElementCount > few.length) list.lastChild.remove();
  $("none").hidden = jobs.length > 0;
  $("more").hidden = few.length === jobs.length;
  setText($("more"), text("showJobs", count(jobs.length)));
}

function newRow(job) {
  const button = (key, act) => {
    const ariaLabel = `${text(key)}: ${job.operation}`;
    return make("button", { ariaLabel, onclick: () => act(job) }, text(key));
  };
  return make(
    "li",
    { id: "row-" + job.id },
    make("a", { href: "#" + job.id }, job.operation),
    make("span.hint", { dir: "auto" }),
    make("span.state", {}),
    make("div.row", {}, button("again", runAgain), button("forget", forget)),
  );
}

function fillRow(row, job) {
  const [link, facts, stateCell, buttons] = row.children;
  const [againButton, forgetButton] = buttons.children;
  const ended = hasEnded(job);
  const given = parametersOf(job);
  row.dataset.state = job.state;
  link.ariaCurrent = job.id === shownId() ? "true" : null;
  setText(facts, factsText(job, given ?? {}));
  setText(stateCell, join([text(job.state), !ended && percentOf(job)], " "));
  againButton.hidden = !ended || !given;
  forgetButton.hidden = !ended;
}

function factsText(job, given) {
  const began = new Date(job.started_at ?? job.created_at);
  // Within 22 hours a time of day is enough.
  const isRecent = state.serverClock + now() - began < 8e7;
  const elapsed = job.elapsed !== null && clock(job.elapsed);
  const values = Object.entries(given).map(([name, value]) => `${name}: ${cut(plain(value), 60)}`);
  return join([(isRecent ? TIME : DATE).format(began), elapsed, cut(join(values), 200)], " · ");
}

// Return the parameters of a job, or null if neither the server nor this tab knows them.
function parametersOf({ id, module, operation, parameters }) {
  const listed = state.jobs.find((one) => one.id === id);
  const known = parameters ?? listed?.parameters ?? state.startedHere[id];
  if (known) return known;
  const found = state.operations[findOperation(module, operation)];
  const hasNone = found && Object.keys(found.parameters.properties).length === 0;
  return hasNone ? {} : null;
}

function runAgain(job) {
  fillForm(job.module, job.operation, parametersOf(job));
  (formFields()[0] ?? $("start")).focus();
}

async function forget(job) {
  try {
    const answer = await ask(jobPath(job.id), { method: "DELETE" });
    if (!answer.ok && !isGone(answer.status)) return showRefusal(answer);
  } catch {
    return;
  }
  state.jobs = state.jobs.filter((one) => one.id !== job.id);
  if (job.id === shownId()) {
    history.replaceState(null, "", location.pathname);
    follow();
  }
  showJobs();
  $("jobs-name").focus();
}

function showAllJobs() {
  state.showsAllJobs = true;
  showJobs();
}

// ---- Events ----

const CLICKS = {
  notify: toggleNotice,
  again: () => runAgain(state.shown),
  forget: () => forget(state.shown),
  cancel,
  copy,
  download,
  "show-all": showAll,
  more: showAllJobs,
  retry: comeBack,
};

// Ask at once: what the page shows may be old.
function comeBack() {
  if (!hasEnded(state.shown)) follow();
  wake();
}

function onVisibilityChange() {
  clearTimeout(state.restTimer);
  if (document.hidden) state.restTimer = setTimeout(comeBack, REST_MS);
  else comeBack();
}

function onInput({ target }) {
  check(target);
  markField(target, "");
  // Other values mean another job.
  state.startKey = "";
}

function onHashChange() {
  follow();
  // A link in the list was clicked.
  if (document.activeElement.hash) focusName();
}

function onPageShow(event) {
  // The Back button brought the page back as it was.
  if (event.persisted) comeBack();
}

function showPage() {
  document.querySelector("main").className = "ready";
}

document.documentElement.lang = LOCALE;
for (const element of document.querySelectorAll("[data-text]")) {
  element.textContent = text(element.dataset.text);
}
for (const [id, act] of Object.entries(CLICKS)) $(id).addEventListener("click", act);
$("operation").addEventListener("change", showForm);
$("form").addEventListener("submit", start);
$("form").addEventListener("input", onInput);
document.addEventListener("visibilitychange", onVisibilityChange);
window.addEventListener("online", comeBack);
window.addEventListener("pageshow", onPageShow);
window.addEventListener("hashchange", onHashChange);
setInterval(() => {
  if (state.shown.id && !hasEnded(state.shown)) showFacts();
}, 500);
follow();
watchJobs();
// The page becomes visible once the form is there, so that nothing jumps.
Promise.race([loadOperations(), sleep(500)]).then(showPage);

// For the console of the browser, and for tests.
window.longop = { TEXT, state, text, showTrouble, formFields, valueOf };
