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

// ---- Texts: English, Chinese; page.py serves those of the reader's language ----

const TEXT = {
  begin: ["Start", "启动"],
  operation: ["Operation", "操作"],
  ownPage: ["Open its own page", "打开专用页面"],
  required: ["required", "必填"],
  integer: ["whole number", "整数"],
  number: ["number", "数字"],
  duration: ["duration, such as 1:30:00", "时长，如 1:30:00"],
  file: ["choose or drop a file", "选择或拖放文件"],
  array: ["one item a line, or a JSON list", "每行一项，或 JSON 列表"],
  object: ["JSON object", "JSON 对象"],
  notJson: ["This is not valid JSON.", "这不是有效的 JSON。"],
  missing: ["Please fill this in.", "请填写。"],
  about: ["More", "更多说明"],
  useApi: ["Use via API", "通过 API 调用"],
  queued: ["queued", "排队中"],
  queuedAt: ["queued, number {0}", "排队中，第 {0} 位"],
  running: ["running", "运行中"],
  cancelling: ["cancelling…", "正在取消…"],
  completed: ["completed", "已完成"],
  failed: ["failed", "失败"],
  cancelled: ["cancelled", "已取消"],
  interrupted: ["interrupted", "已中断"],
  gone: ["gone", "已不存在"],
  goneWhy: ["The server does not know this job, or no longer keeps it.", "服务器上没有这个任务。"],
  willStop: ["it stops at its next report", "将在下一次报告时停止"],
  unstoppable: [
    "it has no callback: only in a process can it be stopped",
    "它不接收取消，无法停止",
  ],
  step: ["step {0}", "第 {0} 步"],
  steps: ["{0} of {1}", "{0} / {1}"],
  rate: ["{0}/s", "每秒 {0}"],
  each: ["{0} per step", "每步 {0}"],
  elapsed: ["elapsed {0}", "已用 {0}"],
  left: ["about {0} left", "约剩 {0}"],
  usually: ["usually takes {0}", "通常需要 {0}"],
  quiet: ["last report {0} ago", "上次报告在 {0} 前"],
  silent: ["no report for {0}", "已有 {0} 没有报告"],
  seconds: ["{0} s", "{0} 秒"],
  cancel: ["Cancel", "取消"],
  again: ["Run again", "再次运行"],
  edit: ["Edit", "编辑"],
  forget: ["Forget", "删除"],
  forgetAll: ["Forget {0} finished", "删除 {0} 个已结束"],
  forgotten: ["Forgotten: {0}.", "已删除：{0}。"],
  undo: ["Undo", "撤销"],
  notify: ["Notify me", "完成时通知我"],
  result: ["Result", "结果"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  download: ["Download", "下载"],
  cut: ["{0} characters are not shown.", "有 {0} 个字符未显示。"],
  cutRows: ["{0} to {1} of {2}", "第 {0} 到 {1} 项，共 {2} 项"],
  cutColumns: ["{0} columns are not shown.", "有 {0} 列未显示。"],
  showAll: ["Show all", "全部显示"],
  log: ["What it printed", "输出日志"],
  jobs: ["Jobs", "任务"],
  find: ["Search", "搜索"],
  anyState: ["any state", "所有状态"],
  anyOperation: ["any operation", "所有操作"],
  noMatch: ["No job matches.", "没有匹配的任务。"],
  searched: ["Searched: the newest {0}.", "已搜索最近 {0} 个。"],
  older: ["Search older ones", "搜索更早的"],
  noJobs: ["Nothing has run yet.", "还没有运行过任务。"],
  more: ["Show more", "显示更多"],
  live: ["live", "实时"],
  poll: ["checking every 2 s", "每 2 秒查询"],
  retry: ["Try now", "立即重试"],
  back: ["Connected again.", "已重新连接。"],
  lost: ["The server does not answer. Trying again…", "服务器没有应答，正在重试…"],
  unsure: [
    "There was no answer. Press Start again: nothing is started twice.",
    "没有应答。再按启动也不会重复。",
  ],
  refused: ["The request failed", "请求失败"],
  401: [
    "A token is needed: open the address that the server printed",
    "需要令牌：请用服务器打印的地址",
  ],
  403: ["Not allowed", "不允许"],
  404: ["This is no longer there", "已不存在"],
  409: ["Busy", "正忙"],
  413: ["Too large for the server", "超出服务器允许的大小"],
  429: ["Too busy", "太忙了"],

  // What the server says, piece by piece: see said().
  "must be one of ": ["must be one of ", "应为以下之一："],
  "must be text": ["must be text", "应为文本"],
  "must be ": ["must be ", "应为"],
  ", not ": [", not ", "，而不是 "],
  " such as ": [" such as ", "，例如 "],
  "true or false": ["true or false", "真或假（true 或 false）"],
  " or ": [" or ", " 或 "],
  "a whole number": ["a whole number", "整数"],
  "a complex number": ["a complex number", "复数"],
  "a number": ["a number", "数字"],
  "an uploaded file or base64 text": ["a file", "文件"],
  "a path": ["a path", "路径"],
  "a date and time": ["a date and time", "日期和时间"],
  "a date": ["a date", "日期"],
  "a time zone": ["a time zone", "时区"],
  "a time": ["a time", "时间"],
  "a duration": ["a duration", "时长"],
  "a fraction": ["a fraction", "分数"],
  "a UUID": ["a UUID", "UUID"],
  "a list of ": ["a list of ", "列表，项数为 "],
  " values": [" values", ""],
  "a list": ["a list", "列表"],
  "a JSON object": ["a JSON object", "JSON 对象"],
  "is wrong: ": ["is wrong: ", "有误："],
  "is missing": ["is missing", "缺失"],
  "is unknown; known are: ": ["is unknown; known are: ", "不存在，可用的有："],
  "A long running command is already in progress": [
    "another job is still running",
    "已有任务正在运行",
  ],
  " jobs are waiting already": [" jobs are waiting already", " 个任务已在排队"],
  "the body is larger than ": ["at most ", "最多 "],
  " bytes": [" bytes", " 字节"],
  "the request took too long": ["the request took too long", "请求用时太长"],
  "an error of the server's own; its log says more": [
    "an error of the server's own; its log says more",
    "服务器内部出错，详见其日志",
  ],
  "DeadlineExceeded: it reported nothing for ": ["it reported nothing for ", "没有报告已达 "],
  "DeadlineExceeded: it ran longer than ": ["it ran longer than ", "运行时间超过 "],
  "; stopped by ": ["; stopped by ", "；终止方式："],
  "the server ended before the job did": [
    "the server ended before the job did",
    "服务器在任务结束前停止了",
  ],
  "WorkerLost: its process was killed by ": ["its process was killed by ", "进程被强行终止："],
  "WorkerLost: its process ended with exit code ": [
    "its process ended with exit code ",
    "进程意外结束，退出码 ",
  ],
};
const LOCALE = document.documentElement.lang;

// ---- Constants ----

// Where the server is, from here: there may be a proxy that puts a path before ours.
const ROOT = document.documentElement.dataset.root;
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
const SLICE = 250_000; // characters of a text that are drawn in one go
const ROWS = 100; // rows shown of a table
const COLUMNS = 50; // columns
const LINES = 8; // most charts
const POINTS = 4000; // most points kept of a line
const RECENT = 20; // jobs listed at first, and jobs that the usual time is taken from
const PAGE = 100; // jobs in one answer of the server
const LARGE_PAGE = 1000; // where they are searched
const UNDO_MS = 10_000; // until a job is forgotten for good

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
  lines: new Map(), // reported numbers, name -> { xs, ys }, for the charts
  drawnParts: [], // what the charts that are shown were made of
  marks: new Map(), // where a chart is read, name -> x
  given: null, // its parameters, if they are known: a filtered list does not tell them again
  hasPast: false, // the numbers and the log from before were asked for
  view: {}, // how the result is shown: see openView
  spokenState: "",
  spokenPercent: "",
});

// Times are milliseconds of now(), which does not jump when the clock is set.
const model = {
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
  wakes: 0, // how often they were ended
  restTimer: 0, // runs while the page is hidden

  operations: [], // as the server lists them
  attempt: {}, // { of, key }: what is started, and its Idempotency-Key, until it is answered
  startedHere: load("parameters"), // job id -> parameters
  typed: load("typed"), // operation -> what its form has; "" -> the operation that is chosen

  jobs: [], // as the server lists them, newest first
  oldest: "", // id of the last one that the server told, be it kept or not; "" before the first
  hasMore: false, // the server knows older ones
  passed: 0, // older ones that were not what was looked for
  jobsShown: RECENT,
  hidden: new Set(), // ids of jobs that are forgotten, or will be
  pending: [], // those that will be, once undoTimer is over
  undoTimer: 0,
  left: "", // the job that was shown when it was forgotten
  reveals: false, // the next drawing brings the job into view
};

// Storage of this tab; it may be forbidden, or full.
function load(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}

function save(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // It is forgotten at a reload.
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
const isPiece = (key) => key.includes(" ");
const join = (words, separator = ", ") => words.filter(Boolean).join(separator);

// How a picture begins in base64, and its type by the first character of that. Adapters of
// CodeProject.AI Server send it so. Not all of it is looked at: it may be large.
const BASE64 = /^(?=[\w+\/]{40})(iVBORw0KGgo|\/9j\/[24]|R0lGOD|UklGR.{6}XRUJQ)/;
const TYPES = { i: "png", "/": "jpeg", R: "gif", U: "webp" };

// Return the address of a picture, or "" for what is none.
function imageUrl(value) {
  if (typeof value !== "string") return "";
  if (/^data:image\/[\w.+-]+;base64,/.test(value)) return value;
  return BASE64.test(value) ? `data:image/${TYPES[value[0]]};base64,${value}` : "";
}

function isGallery(value) {
  return Array.isArray(value) && value.length > 0 && value.every(imageUrl);
}

function isSeries(value) {
  if (!Array.isArray(value) || value.length < 2) return false;
  return value.some(isNumber) && value.every((one) => one === null || isNumber(one));
}

// Return a text in the language of the reader; the values replace {0}, {1} and so on.
function phrase(key, ...values) {
  return TEXT[key].replace(/\{(\d)\}/g, (_, index) => values[index]);
}

const count = (number) => number.toLocaleString(LOCALE);

// Format a number: 12,345, 1.98 G, 2.5e-7.
function figure(number, digits = 5) {
  const size = Math.abs(number);
  if (size >= 1e6 && size < 1e15 && digits < 9) {
    const power = Math.floor(Math.log10(size) / 3);
    return `${+(number / 1000 ** power).toPrecision(3)} ${" kMGT"[power]}`;
  }
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return number.toExponential(2);
  return number.toLocaleString(LOCALE, { maximumSignificantDigits: digits });
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
  return phrase("seconds", Math.max(0, Math.floor(seconds)));
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
    model.sleepers.add(end);

    function end() {
      clearTimeout(timer);
      unlisten();
      model.sleepers.delete(end);
      resolve();
    }
  });
}

function wake() {
  model.wakes += 1;
  for (const end of [...model.sleepers]) end();
}

// ---- The server ----

// Send a request and return the answer, whatever its status. Throws if there is none.
async function ask(path, { signal, seconds = 15, isText, ...options } = {}) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, seconds * 1000);
  const unlisten = onAbort(signal, abort);
  try {
    const response = await fetch(ROOT + path, { ...options, signal: controller.signal });
    const answer = await read(response, isText);
    // The caller shows errors of a POST or DELETE.
    const isFine = answer.ok || options.method || [400, 404, 410].includes(answer.status);
    showTrouble(isFine ? "" : explain(answer));
    return answer;
  } catch (error) {
    if (!signal?.aborted) showTrouble(phrase("lost"), true);
    throw error;
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}

async function read(response, isText) {
  const { status, ok, headers } = response;
  noteServerTime(headers.get("Date"));
  const body = isText ? await response.text() : await response.json().catch(() => ({}));
  if (status > 501 && !body.detail) throw new Error("from a proxy, not from the server");
  return { status, ok, body, path: headers.get("Location"), hasMore: headers.has("Link") };
}

// Describe an error in our words, followed by those of the server where they say more.
function explain({ status, body: { detail, error = detail } }) {
  const reason = phrase(TEXT[status] ? status : "refused");
  if (status === 401 || status === 404) return reason;
  return error ? `${reason}: ${said(error)}` : `${reason} (${status})`;
}

// A quoted value, or a piece of what the server says. An earlier key is found first.
const PIECES = new RegExp(["'[^']*'", ...Object.keys(TEXT).filter(isPiece)].join("|"), "g");

// Say what the server says in the language of the reader; what is not known stays English.
const said = (words) => words.replace(PIECES, (piece) => TEXT[piece] ?? piece);

// Learn the time on the server, because the clock here may be wrong. The largest difference is
// the best one: its message spent the least time on the way.
function noteServerTime(moment) {
  const time = Date.parse(moment) || -Infinity;
  model.serverClock = Math.max(model.serverClock, time - now());
}

// Show a problem in the bar at the bottom; "" means that all is well.
function showTrouble(words, isLost = false) {
  model.lostAt = isLost ? (model.lostAt ?? now()) : null;
  if ($("trouble").textContent === words) return;
  $("trouble").textContent = words;
  $("offline").hidden = !words;
  announce(words || phrase("back"));
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

const chosen = () => model.operations[$("operation").selectedIndex];
const formFields = () => [...$("fields").querySelectorAll("[data-required]")];
const keyOf = ({ module, name }) => `${module}/${name}`;
const operationOf = (job) => model.operations[findOperation(job.module, job.operation)];
const isBusy = () => $("start").ariaDisabled === "true";

function valueOf({ type, checked, value, dataset: { json } }) {
  if (type === "checkbox") return String(checked);
  // One item a line.
  const isLines = json === "array" && value && !value.trim().startsWith("[");
  return isLines ? JSON.stringify(value.split("\n").filter(Boolean)) : value;
}

function findOperation(module, name) {
  return model.operations.findIndex((one) => one.module === module && one.name === name);
}

async function loadOperations() {
  try {
    const { ok, body } = await ask("/v1");
    if (!ok || JSON.stringify(body.operations) === JSON.stringify(model.operations)) return;
    model.operations = body.operations;
  } catch {
    // showTrouble() asks again once the server answers.
    return;
  }
  const hasModules = new Set(model.operations.map((one) => one.module)).size > 1;
  const options = () =>
    model.operations.map((one) =>
      make("option", { value: keyOf(one) }, hasModules ? keyOf(one) : one.name),
    );
  $("operation").replaceChildren(...options());
  $("of-operation").replaceChildren(anything("anyOperation"), ...options());
  const isOne = model.operations.length < 2;
  $("chooser").hidden = isOne;
  $("of-operation").hidden = isOne;
  const index = model.operations.findIndex((one) => keyOf(one) === model.typed[""]);
  $("operation").selectedIndex = Math.max(0, index);
  setBusy(false);
  showJobs();
  // What can be done with a job depends on its operation.
  drawSoon();
  if (model.operations.length) showForm();
}

const anything = (key) => make("option", { value: "" }, phrase(key));

function showForm() {
  model.attempt = {};
  const { name, description, documentation = "", page, parameters } = chosen();
  // A docstring's lines are as long as its author's window; ours is narrower.
  const more = documentation
    .slice(description.length)
    .trim()
    .replace(/(\S)\n(?=[\p{L}(])/gu, "$1 ");
  $("start-name").textContent = model.operations.length > 1 ? phrase("begin") : name;
  $("description").textContent = description;
  $("documentation").textContent = more;
  $("about").hidden = !more;
  $("about").open = more.length < 500;
  // Link only to this server.
  $("own-page").hidden = !/^\/(?![\/\\])/.test(page ?? "");
  $("own-page").href = ROOT + (page ?? "");
  const parts = Object.entries(parameters.properties).flatMap(([name, schema]) =>
    fieldParts(name, schema, parameters.required.includes(name)),
  );
  $("fields").replaceChildren(...parts);
  $("form-error").textContent = "";
  model.typed[""] = keyOf(chosen());
  fillFields(model.typed[keyOf(chosen())] ?? {});
}

// Make a field, its label, its help and a place for its error.
function fieldParts(name, schema, isRequired) {
  const field = fieldFor(name, schema, isRequired);
  const isCheck = field.type === "checkbox";
  const kind = kindName(field, schema);
  const words = join([TEXT[kind] && phrase(kind), field.required && phrase("required")]);
  const help = make("span.hint", { id: "help-" + name, dir: "auto" }, schema.description ?? "");
  const error = make("span.bad", { id: "error-" + name, dir: "auto" });
  field.setAttribute("aria-describedby", `${help.id} ${error.id}`);
  field.dataset.json = field.className === "json" ? kind : "";
  field.dataset.initial = valueOf(field);
  field.dataset.required = isRequired;

  const label = make(isCheck ? "label.check" : "label", { htmlFor: field.id, id: "label-" + name });
  label.append(name, make("small", { ariaHidden: "true" }, words));
  if (!isCheck) return [label, field, ...sliderFor(field), help, error];
  label.prepend(field);
  return [label, help, error];
}

function kindName(field, schema) {
  if (field.type === "file") return "file";
  const { type, format } = kindOf(schema);
  if (/^(select|radio)/.test(field.type)) return "";
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
  if (kind.enum) return choiceField(common, kind.enum, schema, kind["x-enum-varnames"]);
  if (kind.type === "boolean") return booleanField(common, schema);
  if (kind.contentEncoding) return make("input", { ...common, type: "file" });
  if (kind.type === "array" || kind.type === "object") return jsonField(common, value);
  return inputField(common, kind, value);
}

// A few choices are buttons, more are a list. They may have names that say more than the values.
function choiceField(common, choices, schema, names = choices) {
  const value = schema.default ?? null;
  const options = choices
    .map((one, index) => [one, String(names[index])])
    .filter(([one]) => one !== null)
    .map(([one, name]) => make("option", { selected: one === value, value: one }, name));
  const isOpen = isNullable(schema) || !(common.required || choices.includes(value));
  const words = options.map((option) => option.text).join("");
  if (!isOpen && options.length < 5 && words.length < 40) return radioField(common, options);
  // An empty choice.
  if (isOpen) options.unshift(make("option", { value: "" }));
  return make("select", common, ...options);
}

// Make a group of buttons that is used as any other field: by its name and its value.
function radioField({ name, id, required }, options) {
  const chosen = Math.max(
    0,
    options.findIndex((option) => option.selected),
  );
  const buttons = options.map(({ value }, index) =>
    make("input", { type: "radio", name: "of-" + name, value, checked: index === chosen }),
  );
  const labels = buttons.map((one, index) => make("label.check", {}, one, options[index].text));
  const properties = { name, id, required, type: "radio", role: "radiogroup" };
  const group = make("div.row", properties, ...labels);
  group.setAttribute("aria-labelledby", "label-" + name);
  group.focus = () => buttons[0].focus();
  return Object.defineProperty(group, "value", {
    get: () => buttons.find((one) => one.checked)?.value ?? "",
    set: (value) => buttons.forEach((one) => (one.checked = one.value === value)),
  });
}

// Return a slider for a number between two limits. The number's own field counts.
function sliderFor({ type, name, min, max, step, value }) {
  if (type !== "number" || min === "" || max === "") return [];
  const pace = step === "any" ? (max - min) / 100 : step;
  const ariaLabel = name;
  return [make("input", { type: "range", min, max, step: pace, value, ariaLabel })];
}

function booleanField(common, schema) {
  if (isNullable(schema)) return choiceField(common, [true, false], schema);
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
  if (field.type === "checkbox") field.checked = words === "true";
  else field.value = words;
  if (!field.value && words && field.tagName === "INPUT") {
    field.type = "text";
    field.value = words;
  }
  moveSlider(field);
}

function moveSlider({ nextSibling, value }) {
  if (nextSibling?.type === "range") nextSibling.value = value;
}

// Check JSON, which the browser does not do by itself.
function check(field) {
  if (!field.dataset.json) return;
  let problem = "";
  try {
    JSON.parse(valueOf(field) || null);
  } catch {
    problem = phrase("notJson");
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
  model.typed[keyOf(chosen())] = {};
  showForm();
  fillFields(values);
}

function fillFields(values) {
  for (const field of formFields()) {
    if (field.type === "file" || !Object.hasOwn(values, field.name)) continue;
    fill(field, plain(values[field.name] ?? ""));
    check(field);
  }
  keep();
}

// Keep what was typed, for a reload.
function keep() {
  const isTyped = (field) => field.type !== "file" && valueOf(field) !== field.dataset.initial;
  const words = (field) => (field.type === "checkbox" ? valueOf(field) : field.value);
  const typed = formFields().filter(isTyped);
  model.typed[keyOf(chosen())] = Object.fromEntries(typed.map((one) => [one.name, words(one)]));
  save("typed", model.typed);
  showCalls();
}

async function start(event) {
  event.preventDefault();
  if (isBusy()) return;
  const values = formValues();
  const answer = await launch("form", chosen(), values);
  if (!answer) {
    $("form-error").textContent = phrase("unsure");
    return;
  }
  showErrors(answer);
  if (answer.ok) showStarted(idIn(answer), [...values]);
}

// Start a job with the parameters of another one.
async function runAgain(job) {
  if (isBusy()) return;
  const values = parametersOf(job);
  const headers = { "Content-Type": "application/json" };
  const answer = await launch(job.id, operationOf(job), JSON.stringify(values), headers);
  if (answer?.ok) showStarted(idIn(answer), Object.entries(values));
  else if (answer) showRefusal(answer);
}

// Send a start. Returns null if there was no answer: then the same start may be sent once more,
// and has the same key.
async function launch(of, operation, body, more) {
  setBusy(true);
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  if (model.attempt.of !== of) model.attempt = { of, key };
  const headers = { ...more, Prefer: "respond-async", "Idempotency-Key": model.attempt.key };
  try {
    const answer = await ask(operation.start, { method: "POST", body, seconds: 900, headers });
    model.attempt = {};
    // The server may have other operations by now.
    if (answer.status === 404) await loadOperations();
    return answer;
  } catch {
    return null;
  } finally {
    setBusy(false);
  }
}

function setBusy(isBusy) {
  $("start").ariaDisabled = String(isBusy || !model.operations.length);
}

const idIn = ({ body, path }) => body.id ?? body.commandId ?? path?.split("/").pop();

function showErrors(answer) {
  const errors = { ...answer.body.errors };
  const fields = formFields();
  for (const field of fields) {
    const problem = errors[field.name] ?? "";
    markField(field, problem === "is missing" ? phrase("missing") : said(problem));
    delete errors[field.name];
  }
  const firstWrong = fields.find((field) => field.ariaInvalid);
  const others = Object.entries(errors).map(([name, problem]) => `${name}: ${said(problem)}`);
  const words = others.join("; ") || (firstWrong ? "" : explain(answer));
  $("form-error").textContent = answer.ok ? "" : words;
  firstWrong?.focus();
}

// Remember the parameters of a job that was started here, and go to it.
function showStarted(id, values) {
  const given = values.map(([name, value]) => [name, value instanceof File ? value.name : value]);
  const all = [...Object.entries(model.startedHere), [id, Object.fromEntries(given)]];
  // A part of a long text must not be taken for all of it.
  const isShort = JSON.stringify(given).length < LARGE;
  model.startedHere = Object.fromEntries(all.slice(-50, isShort ? undefined : -1));
  save("parameters", model.startedHere);
  model.reveals = true;
  if (id === shownId()) follow();
  else location.hash = id;
  tellTabs();
}

// Other tabs of this browser need not wait for their next look at the list.
const TABS = window.BroadcastChannel && new BroadcastChannel("longop");

function tellTabs() {
  TABS?.postMessage("");
  wake();
}

// ---- What the form does, for programs ----

const PYTHON = { true: "True", false: "False", null: "None" };

// Show how curl, Python and JavaScript start what the form would start now.
function showCalls() {
  if (!$("api").open || !model.operations.length) return;
  const { name, start } = chosen();
  const root = new URL(ROOT + "/", location.href).href;
  const url = new URL(ROOT + start, location.href).href;
  const values = [...formValues()];
  const codes = [curlCall(url, values), pythonCall(root, name, values), scriptCall(url, values)];
  setText($("calls"), codes.join("\n\n"));
}

function curlCall(url, values) {
  const quote = (words) => `'${words.replaceAll("'", "'\\''")}'`;
  const options = values.map(([name, value]) =>
    value.name
      ? " -F " + quote(`${name}=@${value.name}`)
      : " --form-string " + quote(`${name}=${value}`),
  );
  return `curl -H 'Prefer: respond-async'${options.join("") || " -X POST"} ${quote(url)}`;
}

function pythonCall(root, name, values) {
  const given = values.map(([key, value]) => `${key}=${pythonValue(key, value)}`);
  return join(
    [
      "import longop",
      `job = longop.connect(${JSON.stringify(root)}).${name}.start(${given.join(", ")})`,
      "print(job.result())",
    ],
    "\n",
  );
}

function pythonValue(name, value) {
  if (value.name) return `open(${JSON.stringify(value.name)}, "rb").read()`;
  const { type, dataset } = $("field-" + name);
  try {
    if (!dataset.json && !/number|checkbox/.test(type)) throw new Error("text");
    JSON.parse(value);
    return value.replace(/"(?:[^"\\]|\\.)*"|true|false|null/g, (word) => PYTHON[word] ?? word);
  } catch {
    return JSON.stringify(value);
  }
}

function scriptCall(url, values) {
  const sets = values.map(([name, value]) => {
    const words = value.name ? "file" : JSON.stringify(value);
    return `body.set(${JSON.stringify(name)}, ${words});`;
  });
  const options = '{ method: "POST", body, headers: { Prefer: "respond-async" } }';
  const call = `const answer = await fetch(${JSON.stringify(url)}, ${options});`;
  return ["const body = new FormData();", ...sets, call].join("\n");
}

// ---- Following a job: each change arrives, whatever happens to the connection ----

// Follow the job in the address until it ends, or until follow() is called for another one. Each
// round asks for the status, then waits for changes. How depends on what works:
//   stream  server-sent events; some proxies hold these back
//   wait    long polling: a request is answered when the job changes
//   poll    a request every two seconds, where long polls are answered at once or never
// A failed round is repeated after 0.4 s, 0.8 s, and so on up to 8 s.
async function follow() {
  model.stopFollowing();
  const id = shownId();
  const controller = new AbortController();
  model.stopFollowing = () => controller.abort();
  if (model.shown.id !== id) clearJob();
  if (!id) return;
  const watch = {
    id,
    signal: controller.signal,
    mode: window.EventSource ? "stream" : "wait",
    // How often each happened in succession:
    failures: 0,
    isWhole: false, // its stream repeats what it has sent: an older server
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
  return mode === "wait" && !failures && model.shown.version >= 0 && !document.hidden;
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
  if (!waits) model.shown = { ...model.shown, version: -1 };
  const { version } = model.shown;
  const query = waits ? `?since=${version}&wait=20` : "";
  const answer = await ask(jobPath(id) + query, { signal, seconds: waits ? 30 : 15 });
  if (signal.aborted) return false;
  const { status, ok, body: job } = answer;
  if (isGone(status)) {
    receive({ ...model.shown, id, state: "gone", error: phrase("goneWhy") });
    return false;
  }
  if (!ok) throw new Error(status);
  receive(job);
  if (!model.hasPast || hasEnded(job)) loadPast(id, signal).catch(() => {});
  if (hasEnded(job)) return false;

  watch.failures = 0;
  const tookMs = now() - began;
  if (waits && job.version === version && tookMs < 5000) countVainWait(watch, 2);
  else watch.vainWaits = 0;
  setText($("link"), phrase(watch.mode === "poll" ? "poll" : "live"));
  await untilNextLook(watch, pauseAfter(watch, job, tookMs));
  return !hasEnded(model.shown);
}

// Ask for what a status does not have: the numbers of the whole run, and, once it has ended, what
// it printed. Until then the stream brings that.
async function loadPast(id, signal) {
  model.hasPast = true;
  const load = (what, isText) => ask(`${jobPath(id)}/${what}`, { signal, isText });
  const numbers = await load("series");
  const log = hasEnded(model.shown) && (await load("log", true));
  if (signal.aborted) return;
  if (numbers.ok) takeSeries(numbers.body);
  if (log.ok) showLog(log.body, true);
  drawSoon();
}

// The points are evenly spaced where the reports have no step.
function takeSeries({ reports, step, series }) {
  const xOf = (index) => step[index] ?? Math.round((index * reports) / step.length);
  const xs = step.map((_, index) => xOf(index));
  for (const [name, ys] of Object.entries(series).slice(0, LINES)) {
    if (xs.length) model.lines.set(name, { xs: [...xs], ys });
  }
  // What is now in a chart need not stand in the result.
  if (model.view.kind === "record") model.view.words = null;
}

// Milliseconds until the next round; large results get a fifth of the time at most.
function pauseAfter(watch, job, tookMs) {
  if (watch.mode === "poll" || (document.hidden && !model.wantsNotice)) return POLL_MS;
  const isLarge = watch.isWhole && job.result !== null && plain(job.result).length > LARGE;
  return isLarge ? Math.max(1000, 4 * tookMs) : FRAME_MS;
}

async function untilNextLook(watch, pause) {
  if (pause > FRAME_MS || watch.mode === "wait") {
    await sleep(pause, watch.signal);
  } else if (await stream(watch)) {
    watch.silentStreams = 0;
  } else {
    watch.silentStreams += 1;
    if (watch.silentStreams > 1) watch.mode = "wait";
  }
}

// Receive events until the stream ends or is silent for too long: a dead connection does not say
// so. Returns whether any event arrived.
function stream(watch) {
  return new Promise((resolve) => {
    const source = new EventSource(`${ROOT}${jobPath(watch.id)}/events?delta=1`);
    const unlisten = onAbort(watch.signal, end);
    let timer = setTimeout(end, 5000);
    let job = null;
    source.addEventListener("error", end);
    let isWhole = true; // the first part of a stream is all of the log
    source.addEventListener("log", ({ data }) => {
      showLog(JSON.parse(data).text, isWhole);
      isWhole = false;
    });
    source.addEventListener("status", ({ data }) => {
      clearTimeout(timer);
      timer = setTimeout(end, 20_000);
      const change = JSON.parse(data);
      watch.isWhole = job !== null && "id" in change && data.length > LARGE;
      job = changed(job, change);
      receive(job);
      if (hasEnded(job)) loadPast(watch.id, watch.signal).catch(() => {});
      if (hasEnded(job) || watch.isWhole) end();
    });

    function end() {
      source.close();
      clearTimeout(timer);
      unlisten();
      resolve(job !== null);
    }
  });
}

// The first event of a stream has all of a status, a later one what changed; of a result that
// grew, it has the new end.
function changed(job, { append, encoding, ...change }) {
  const next = { ...job, ...change };
  if (append === undefined) return next;
  const { result } = job;
  next.result = encoding ? btoa(atob(result) + atob(append)) : result.concat(append);
  return next;
}

function clearJob() {
  Object.assign(model, nothingSeen());
  fillBox();
  showLog("", true);
  $("charts").replaceChildren();
  $("stop").hidden = true;
  $("job").hidden = true;
  document.title = "longop";
  setText($("link"), "");
  showJobs();
}

// Take a status into the state, whichever way it arrived, and have it drawn.
function receive(job) {
  const isOld = job.version < model.shown.version && !hasEnded(job);
  if (job.id !== shownId() || isOld) return;
  noteServerTime(job.cancel_requested_at ?? job.started_at);
  model.receivedAt = now();
  if (job.version !== model.seenVersion) {
    model.seenVersion = job.version;
    model.changedAt = model.receivedAt;
    model.sawChange = model.shown.id === job.id;
  }
  // The list shows the state too: refresh it now.
  if (job.state !== model.shown.state) wake();
  model.shown = job;
  noteStep(job);
  noteNumbers(job);
  drawSoon();
}

function noteStep({ step, elapsed }) {
  const { steps } = model;
  const last = steps.at(-1);
  if (!isNumber(step)) return;
  if (last && (step === last.step || elapsed - last.elapsed <= 0.2)) return;
  // The function began again.
  if (last && step < last.step) steps.length = 0;
  steps.push({ elapsed, step });
  while (steps.length > 5 && steps[1].elapsed < elapsed - 30) steps.shift();
}

// A number belongs to the line "result", a number in a record to the line of its name. A null
// makes a gap in a line that exists.
function noteNumbers({ step, result, version }) {
  const x = isNumber(step) ? step : version;
  for (const [name, y] of numbersIn(result)) {
    if (!isNumber(y) && !(y === null && model.lines.has(name))) continue;
    const line = model.lines.get(name) ?? { xs: [], ys: [] };
    if (line.xs.at(-1) === x && line.ys.at(-1) === y) continue;
    line.xs.push(x);
    line.ys.push(y);
    model.lines.set(name, line.xs.length > POINTS ? thin(line, POINTS / 4) : line);
  }
}

function numbersIn(result) {
  if (isRecord(result)) return Object.entries(result).slice(0, LINES);
  const isLine = isNumber(result) || (result === null && model.lines.has("result"));
  return isLine ? [["result", result]] : [];
}

// ---- Drawing a job ----

// Draw at most once in FRAME_MS, however fast reports arrive.
function drawSoon() {
  const act = document.hidden ? draw : () => requestAnimationFrame(draw);
  model.frame ||= setTimeout(act, model.drawnAt + FRAME_MS - now());
}

function draw() {
  model.frame = 0;
  model.drawnAt = now();
  if (!model.shown.id) return;
  const isFirst = $("job").hidden;
  const row = $("row-" + model.shown.id);
  showFacts();
  showGiven();
  showCharts();
  showResult();
  if (row && model.shown.created_at) fillRow(row, model.shown);
  // Not for the job before, whose last drawing may still be due.
  if (isFirst || (model.reveals && model.shown.id === shownId())) bringIntoView();
}

// A job that was started or chosen takes the focus, too.
function bringIntoView() {
  const { top } = $("job").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) $("job").scrollIntoView();
  if (model.reveals) focusName();
  model.reveals = false;
}

// While the server is lost, durations stand still.
const seenUntil = () => model.lostAt ?? now();
const sinceReceived = () => (seenUntil() - model.receivedAt) / 1000;
const elapsedOf = (job) => job.elapsed + (isActive(job) ? sinceReceived() : 0);

// Called for each drawing, and every half second because time passes.
function showFacts() {
  const job = model.shown;
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
  setText($("error"), cut(errorText(job), 20_000));
  const news = percent && !hasEnded(job) ? percent : phrase(job.state);
  document.title = `${news} – ${job.operation || "longop"}`;
  showButtons(job);
  speak(job, percent, left);
}

function percentOf({ progress }) {
  return progress === null ? "" : Math.floor(progress * 100) + " %";
}

function stateText({ state: name, queue_position: position, cancel_requested_at: since }) {
  if (name === "cancelling") {
    const seconds = (model.serverClock + seenUntil() - Date.parse(since)) / 1000;
    return `${phrase(name)} ${duration(seconds)}`;
  }
  return position ? phrase("queuedAt", position) : phrase(name);
}

function stepText({ step, total }) {
  if (step === null) return "";
  const words = (value) => (isNumber(value) ? figure(value, 7) : plain(value));
  return total === null ? phrase("step", words(step)) : phrase("steps", words(step), words(total));
}

function rateText(job) {
  const rate = isActive(job) ? stepsPerSecond(job) : 0;
  if (rate >= 1) return phrase("rate", figure(rate, 3));
  return rate > 0 ? phrase("each", duration(1 / rate)) : "";
}

// What the function raised is in its own words.
function errorText({ error, stop_reason: reason }) {
  const isOurs = reason !== "error" || error?.startsWith("WorkerLost:");
  return isOurs ? said(error ?? "") : error;
}

function elapsedText(job) {
  if (job.elapsed === null) return "";
  const isShort = hasEnded(job) && job.elapsed < 10;
  const words = isShort ? phrase("seconds", job.elapsed.toFixed(1)) : clock(elapsedOf(job));
  return phrase("elapsed", words);
}

function leftText(job, left) {
  const usual = isActive(job) && job.progress === null ? usualSeconds(job) : 0;
  return join([
    left >= 1 && phrase("left", clock(left)),
    usual >= 1 && phrase("usually", clock(usual)),
  ]);
}

function quietText(job) {
  const silence = (now() - model.changedAt) / 1000;
  const isQuiet = isActive(job) && model.lostAt === null && silence > QUIET_S;
  const words = isQuiet && phrase(model.sawChange ? "quiet" : "silent", duration(silence));
  const ends = job.state === "cancelling" && HOW_IT_STOPS[hearing(job)];
  return join([words, ends && phrase(ends)]);
}

const HOW_IT_STOPS = { callback: "willStop", null: "unstoppable" };

// What of an operation hears a cancel; a server that does not say has a callback.
const hearing = (job) => ({ cancel: "callback", ...operationOf(job) }).cancel;

// The rate of the last 30 seconds, or of the whole run if that is too short to tell.
function stepsPerSecond({ step, elapsed }) {
  const first = model.steps[0];
  const last = model.steps.at(-1);
  if (first && last.elapsed - first.elapsed > 2) {
    return (last.step - first.step) / (last.elapsed - first.elapsed);
  }
  return isNumber(step) && elapsed > 0.5 ? step / elapsed : 0;
}

function secondsLeft(job) {
  if (job.progress === null) return usualSeconds(job) - elapsedOf(job);
  const rate = stepsPerSecond(job);
  const last = model.steps.at(-1);
  if (rate > 0 && last && isNumber(job.total)) {
    return (job.total - last.step) / rate - (elapsedOf(job) - last.elapsed);
  }
  return (job.eta ?? 0) - sinceReceived();
}

// The median duration of recent completed jobs of the same operation.
function usualSeconds({ module, operation }) {
  const isLike = (one) => one.module === module && one.operation === operation;
  const alike = model.jobs.filter((one) => one.state === "completed" && isLike(one));
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
  $("stop").hidden = false;
  for (const id of ["cancel", "stop"]) {
    $(id).ariaDisabled = String(ended || job.state === "cancelling");
  }
  $("notify").hidden = ended || !canNotify;
  $("again").hidden = !ended || !canRepeat(job);
  $("edit").hidden = !ended || !operationOf(job) || !parametersOf(job);
  $("forget").hidden = !ended || job.state === "gone";
  if (focused.hidden && $("job").contains(focused)) focusName();
}

const focusName = () => $("job-name").focus({ preventScroll: true });

// Announce each new state, and progress now and then.
function speak(job, percent, left) {
  const isNewState = job.state !== model.spokenState;
  const isSoon = now() - model.spokenAt < SPEAK_MS;
  if (isNewState) {
    announce(join([`${job.operation}: ${phrase(job.state)}`, cut(errorText(job), 200)]));
    if (hasEnded(job)) notify(job);
  } else if (percent !== model.spokenPercent && !isSoon) {
    announce(join([percent, left >= 1 && phrase("left", duration(left))]));
  } else {
    return;
  }
  model.spokenState = job.state;
  model.spokenPercent = percent;
  model.spokenAt = now();
}

// Show a notification of the browser if the reader asked for one.
function notify(job) {
  const { id, operation, state: name } = job;
  try {
    const options = { tag: id, body: cut(errorText(job), 200) };
    if (model.wantsNotice) new Notification(`${operation}: ${phrase(name)}`, options);
  } catch {
    // Some phones do not allow this.
  }
  setWantsNotice(false);
}

function setWantsNotice(wants) {
  model.wantsNotice = wants;
  $("notify").ariaPressed = String(wants);
}

async function toggleNotice() {
  const wants = !model.wantsNotice && (await Notification.requestPermission()) === "granted";
  setWantsNotice(wants);
}

async function cancel(job) {
  if (hasEnded(job) || job.state === "cancelling") return;
  if (job.id === shownId()) $("cancel").ariaDisabled = "true";
  try {
    const answer = await ask(jobPath(job.id) + "/cancel", { method: "POST" });
    if (answer.ok) receive(answer.body);
    else if (!isGone(answer.status)) showRefusal(answer);
    // What was forgotten meanwhile is shown as gone.
    else if (job.id === shownId()) follow();
    wake();
  } catch {
    // ask() has shown it.
  }
}

// Show the parameters of the job.
function showGiven() {
  model.given = parametersOf(model.shown);
  const given = Object.entries(model.given ?? {});
  const parts = given.map(([name, value]) =>
    make("div", {}, make("dt", { dir: "auto" }, name), make("dd", {}, leaf(value, "", name))),
  );
  const words = JSON.stringify(given);
  if ($("given").dataset.words === words) return;
  $("given").dataset.words = words;
  $("given").hidden = !given.length;
  $("given").replaceChildren(...parts);
}

// Show what the function printed; new text follows unless the reader has scrolled up.
function showLog(words, isWhole) {
  const box = $("printed");
  const wasAtEnd = isAtEnd(box);
  if (isWhole) setText(box, words);
  else box.append(words);
  if (box.childNodes.length > 1000) setText(box, box.textContent.slice(-LARGE));
  $("log").hidden = !box.textContent;
  if (wasAtEnd) box.scrollTop = box.scrollHeight;
}

const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 24;

// ---- The result: one way to draw it for each kind ----

const DRAW = {
  text: drawText,
  image: (result) => fillBox(picture(result, "", phrase("result"))),
  series: (result) => fillBox(folded("", result, "")),
  gallery: (result) => fillBox(gallery(result, "")),
  record: (result) => fillBox(entries(withoutLines(result), "")),
  table: drawTable,
  tree: (result) => fillBox(isObject(result) ? entries(result, "") : large(result)),
};

function kindOfResult(result) {
  if (typeof result === "string") return imageUrl(result) ? "image" : "text";
  if (isSeries(result)) return "series";
  if (isGallery(result)) return "gallery";
  if (isRecord(result)) return "record";
  return isRecords(result) ? "table" : "tree";
}

function showResult() {
  const { result } = model.shown;
  // A number that became null stays visible as a gap.
  $("output").hidden = result === null && !model.view.kind;
  if (result === null) return;
  // Unless it came anew, a result is the same object as before.
  if (result === model.view.result && model.view.words !== null) return;
  const kind = kindOfResult(result);
  const words = plain(result);
  if (kind !== model.view.kind) openView(kind);
  model.view.result = result;
  if (words === model.view.words) return;
  const { path } = document.activeElement.dataset;
  $("copy").hidden = kind === "image";
  showCut("");
  DRAW[kind](result);
  model.view.words = words;
  if (path) focusPath(path);
}

function openView(kind) {
  model.view = {
    kind,
    words: null, // the drawn result, as text
    showsAll: false, // the reader asked for all of it
    isLive: !hasEnded(model.shown), // the result grows: show its end
    unfolded: new Set(), // paths of unfolded entries
    images: new Map(), // path -> element
  };
  fillBox();
}

function showAll() {
  model.view.showsAll = true;
  model.view.words = null;
  showResult();
}

const fillBox = (...nodes) => $("result").replaceChildren(...nodes);

function showCut(words) {
  $("cut").hidden = !words;
  setText($("cut-text"), words);
}

// Return the focus to an element that was drawn again.
function focusPath(path) {
  const found = $("job").querySelector(`[data-path="${CSS.escape(path)}"]`);
  found?.focus({ preventScroll: true });
}

function large(value) {
  return make("p.value", {}, isNumber(value) ? figure(value, 15) : plain(value));
}

// Draw a text in blocks. A growing one is appended to, so that the browser lays out only the last
// block. Of a long text, the last SHOWN characters are shown while it grows, else the first ones.
function drawText(words) {
  const { view } = model;
  const box = $("result");
  const wasAtEnd = isAtEnd(box);
  if (view.words === null || !words.startsWith(view.words)) beginText(words);
  const most = view.showsAll || view.isLive ? words.length : SHOWN;
  const end = Math.min(words.length, most, view.to + SLICE);
  appendBlocks(words.slice(view.to, end));
  view.to = end;
  // The browser is free for other things before the next slice.
  if (end < Math.min(words.length, most)) setTimeout(drawMore, 0, view);
  if (!view.showsAll) dropOldBlocks();
  const hidden = view.from + words.length - view.to;
  showCut(hidden ? phrase("cut", count(hidden)) : "");
  if (wasAtEnd && view.isLive) box.scrollTop = box.scrollHeight;
}

function drawMore(view) {
  if (view === model.view && view.words !== null) drawText(view.words);
}

function beginText(words) {
  const { view } = model;
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
  const { view } = model;
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
  const { view } = model;
  while (view.to - view.from > SHOWN + 2 * PIECE && view.pre.childElementCount > 1) {
    view.from += view.pre.firstChild.textContent.length;
    view.pre.firstChild.remove();
  }
}

// Reuse the element of the same place: a picture that changes must not flicker.
function picture(value, path, alt) {
  const url = imageUrl(value);
  const { images } = model.view;
  if (!images.has(path)) images.set(path, new Image());
  const image = images.get(path);
  if (image.src !== url) image.src = url;
  image.alt = alt;
  return image;
}

function leaf(value, path, name) {
  if (imageUrl(value)) return picture(value, path, name);
  const words = isNumber(value) ? figure(value, 15) : plain(value);
  return make("span.text", { dir: "auto" }, cut(words, 5000));
}

function gallery(urls, path) {
  const { showsAll } = model.view;
  const few = showsAll ? urls : urls.slice(0, ROWS);
  if (few.length < urls.length) showCut(phrase("cutRows", 1, ROWS, count(urls.length)));
  const pictures = few.map((url, index) => picture(url, `${path}/${index}`, String(index + 1)));
  return make("div.gallery", {}, ...pictures);
}

function contentOf(value, path) {
  if (isGallery(value)) return gallery(value, path);
  return isRecords(value) ? table(value) : entries(value, path);
}

// Draw a list or an object. Entries that have entries themselves can be unfolded.
function entries(value, path) {
  const all = Object.entries(value);
  const few = model.view.showsAll ? all : all.slice(0, ROWS);
  if (few.length < all.length) showCut(phrase("cutRows", 1, ROWS, count(all.length)));
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
  const { unfolded } = model.view;
  const size = count(Object.keys(value).length);
  const hint = make("small", {}, Array.isArray(value) ? `[${size}]` : `{${size}}`);
  const summary = make("summary", {}, name + " ", hint);
  const details = make("details", { open: unfolded.has(path) }, summary);
  const unfold = () => details.append(contentOf(value, path));
  summary.dataset.path = path;
  if (details.open) unfold();
  // Before the toggle, which comes later: in between the value may be drawn anew.
  summary.addEventListener("click", () => {
    if (details.open) unfolded.delete(path);
    else unfolded.add(path);
  });
  details.addEventListener("toggle", () => {
    if (details.open) unfolded.add(path);
    else unfolded.delete(path);
    if (details.open && details.childElementCount < 2) unfold();
  });
  return details;
}

// Draw the last rows while the result grows, and where a reader is who has scrolled up; else the
// first ones.
function drawTable(records) {
  const { view } = model;
  const box = $("result");
  const wasAtEnd = isAtEnd(box);
  const isTail = view.isLive && !view.showsAll;
  if (wasAtEnd || !isTail) view.from = isTail ? Math.max(0, records.length - ROWS) : 0;
  fillBox(table(records, view.from, isTail ? records.length : ROWS));
  if (wasAtEnd && isTail) box.scrollTop = box.scrollHeight;
}

// Draw records as rows.
function table(records, from = 0, end = ROWS) {
  const { showsAll } = model.view;
  const total = records.length;
  const rows = showsAll ? records : records.slice(from, end);
  const to = from + rows.length;
  const all = [...new Set(rows.flatMap(Object.keys))];
  const names = showsAll ? all : all.slice(0, COLUMNS);
  const hidden = all.length - names.length;
  const cuts = [
    rows.length < total && phrase("cutRows", count(from + 1), count(to), count(total)),
    hidden && phrase("cutColumns", count(hidden)),
  ];
  if (cuts.some(Boolean)) showCut(join(cuts));
  // A column of numbers has its name above them, at the right.
  const heads = names.map((name) => {
    const isFigures = rows.some((row) => isNumber(row[name]));
    return make(isFigures ? "th.number" : "th", { scope: "col", dir: "auto" }, name);
  });
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

// ---- The charts: one for each number, with its own scale ----

const CHART = { height: 150, top: 8, bottom: 124, margin: 8 };

// A line that is flat shows nothing that the result does not; one from end to end of what numbers
// there are has no scale.
function isCurved([, { ys }]) {
  const [one, other = one] = peaks(ys, 0, ys.length).map((index) => ys[index]);
  const span = Math.abs(one - other);
  return span > 1e-300 && span < Infinity;
}

// A chart that is not drawn again keeps what a reader does with it.
function showCharts() {
  const { result } = model.shown;
  const lines = isSeries(result) ? [["", { ys: result }]] : [...model.lines];
  const parts = lines.flatMap(([name, { ys }]) => [name, ys, ys.length]);
  const isSame = (part, index) => part === model.drawnParts[index];
  parts.push($("job").clientWidth);
  if (parts.length === model.drawnParts.length && parts.every(isSame)) return;
  model.drawnParts = parts;
  const curves = lines.filter(isCurved);
  const path = document.activeElement.dataset.path;
  $("charts").hidden = !curves.length;
  $("charts").replaceChildren(...curves.map(chart));
  if (path) focusPath(path);
}

function withoutLines(result) {
  const curves = new Map([...model.lines].filter(isCurved));
  return Object.fromEntries(Object.entries(result).filter(([name]) => !curves.has(name)));
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

// Draw a line with its scale; the pointer and the arrow keys read a value off it.
function chart([name, line]) {
  const width = Math.max(240, $("charts").clientWidth || $("job").clientWidth - 34);
  const { xs, ys } = thin(line, width / 3);
  const range = rangeOf(ys);
  const domain = rangeOf([xs[0], xs.at(-1)]);
  const ticks = ticksOf(range);
  // As wide as the longest label; a digit has 7 of the 12 pixels of its height.
  const left = 12 + 7 * Math.max(...ticks.map((tick) => figure(tick).length));
  const right = width - CHART.margin;
  const x = scale(domain, left, right);
  const y = scale(range, CHART.bottom, CHART.top);
  const viewBox = `0 0 ${width} ${CHART.height}`;
  const drawing = svg("svg", { viewBox, role: "img", tabindex: 0, "data-path": "chart/" + name });
  for (const tick of ticks) {
    drawing.append(svg("line", { x1: left, x2: right, y1: y(tick), y2: y(tick) }));
    drawing.append(label(left - 6, y(tick) + 4, "end", tick));
  }
  drawing.append(label(left, CHART.height - 4, "start", domain[0]));
  drawing.append(label(right, CHART.height - 4, "end", domain[1]));
  drawing.append(svg("path", { d: curve(xs, ys, x, y) }));
  const words = `${name} ${figure(range[0])} – ${figure(range[1])}`;
  const value = readValues(drawing, { name, xs, ys, x, words });
  return make("div", {}, make("p.row", {}, make("span", { dir: "auto" }, name), value), drawing);
}

// Return a function from numbers of a range to coordinates.
function scale([low, high], begin, end) {
  return (number) => begin + ((number - low) / (high - low)) * (end - begin);
}

function label(x, y, anchor, number) {
  return svg("text", { x, y, "text-anchor": anchor }, figure(number));
}

function curve(xs, ys, x, y) {
  const points = ys.map((value, place) => {
    if (value === null) return "";
    const isJoined = place > 0 && ys[place - 1] !== null;
    return `${isJoined ? "L" : "M"}${x(xs[place]).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return points.join("");
}

// Return an element with the last value, or the one at the mark. The mark outlives the drawing.
function readValues(drawing, { name, xs, ys, x, words }) {
  const mark = drawing.appendChild(svg("line", { class: "mark", y1: 0, y2: CHART.bottom }));
  const value = make("strong.number");
  let place = 0;
  const read = (next) => {
    place = next;
    const isLast = place < 0;
    const y = ys.at(place);
    const shown = (isLast ? "" : figure(xs[place]) + ": ") + (y === null ? "–" : figure(y));
    setText(value, shown);
    drawing.setAttribute("aria-label", `${words}, ${shown}`);
    for (const key of ["x1", "x2"]) mark.setAttribute(key, isLast ? -9 : x(xs[place]));
    if (isLast) model.marks.delete(name);
    else model.marks.set(name, xs[place]);
  };
  const nearest = (at) => {
    const distances = xs.map((one) => Math.abs(x(one) - at));
    return distances.indexOf(Math.min(...distances));
  };
  drawing.onpointermove = ({ clientX }) =>
    read(nearest(clientX - drawing.getBoundingClientRect().left));
  // A layout that moves the chart away from a resting pointer takes nothing from the keyboard.
  drawing.onpointerleave = () => {
    if (document.activeElement !== drawing) read(-1);
  };
  drawing.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const last = ys.length - 1;
    const next = (place < 0 ? last : place) + step;
    read(next < last ? Math.max(next, 0) : -1);
  };
  read(model.marks.has(name) ? nearest(x(model.marks.get(name))) : -1);
  return value;
}

// ---- Copy and download ----

function wholeResult() {
  const { result } = model.shown;
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
  announce(phrase("copied"));
  $("copy").textContent = phrase("copied");
  setTimeout(() => setText($("copy"), phrase("copy")), 2000);
}

function copyBySelecting(words) {
  const area = document.body.appendChild(make("textarea.spoken", { value: words }));
  area.select();
  document.execCommand("copy");
  area.remove();
  $("copy").focus();
}

function download() {
  const { result } = model.shown;
  // The third word of data:image/png;base64,... is the extension.
  const picture = imageUrl(result);
  if (picture) return offer(picture, picture.match(/\w+/g)[2]);
  const url = URL.createObjectURL(new Blob([wholeResult()]));
  offer(url, typeof result === "string" ? "txt" : "json");
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function offer(href, extension) {
  const { operation, id } = model.shown;
  make("a", { href, download: `${operation}-${id.slice(0, 8)}.${extension}` }).click();
}

// ---- The list of jobs ----

const TIME = new Intl.DateTimeFormat(LOCALE, { timeStyle: "short" });
const DATE = new Intl.DateTimeFormat(LOCALE, { dateStyle: "short", timeStyle: "short" });

async function watchJobs() {
  for (;;) {
    const began = now();
    const { wakes } = model;
    try {
      await loadJobs();
    } catch {
      // ask() has shown it; the next round tries again.
    }
    // A slow server is asked less often.
    const pause = Math.max(LIST_MS, 20 * (now() - began));
    // What woke it while it asked may not be in the answer.
    if (wakes === model.wakes) await sleep(document.hidden ? REST_MS : pause);
  }
}

// The server sorts out by state and operation, so that what it sends is what is shown.
function filters() {
  const chosen = ["state", "operation"].map((name) => [name, $("of-" + name).value]);
  return chosen.filter(([, value]) => value);
}

const wanted = () => String([filters(), $("find").value]);

// Ask for the newest jobs, or for some before a job. Returns whether they were taken.
async function loadJobs(before = "", limit = PAGE) {
  const asked = wanted();
  const query = new URLSearchParams(filters());
  if (before) {
    query.set("before", before);
    query.set("limit", limit);
  }
  const { ok, status, body, hasMore } = await ask(join(["/v1/jobs", String(query)], "?"));
  if (asked !== wanted()) return false;
  // The job before which they are may be forgotten by now.
  if (before && status === 400) changeFilter();
  if (!ok) return false;
  takeJobs(body.jobs, before, hasMore);
  showJobs();
  // The list tells the parameters of the job that is shown.
  drawSoon();
  return true;
}

// Older jobs that were asked for stay below the newest ones, if they are what is looked for.
function takeJobs(jobs, before, hasMore) {
  const ids = new Set(jobs.map((job) => job.id));
  const others = model.jobs.filter((job) => !ids.has(job.id));
  const last = jobs.at(-1);
  const older = others.filter((job) => before || (hasMore && job.created_at <= last.created_at));
  if (before || !older.length) {
    model.hasMore = hasMore;
    model.oldest = last?.id;
  }
  const few = before ? jobs.filter(hasWords) : jobs;
  model.passed += jobs.length - few.length;
  model.jobs = before ? [...older, ...few] : [...jobs, ...older];
}

// Load older jobs until there are some more to show.
async function loadOlder() {
  const asked = wanted();
  const isDue = () => asked === wanted() && model.hasMore && wantedJobs().length < model.jobsShown;
  let isTaken = true;
  while (isTaken && isDue()) {
    const { oldest } = model;
    isTaken =
      (await loadJobs(oldest, $("find").value ? LARGE_PAGE : PAGE)) && oldest !== model.oldest;
  }
  announce($("none").textContent);
}

const wantedJobs = () => model.jobs.filter(isWanted);

function isWanted(job) {
  const [name, operation] = ["of-state", "of-operation"].map((id) => $(id).value);
  if (model.hidden.has(job.id) || (name && job.state !== name)) return false;
  if (operation && `${job.module}/${job.operation}` !== operation) return false;
  return hasWords(job);
}

function hasWords(job) {
  const words = $("find").value.toLowerCase();
  const { id, operation, state: name, message, error, parameters } = job;
  const told = [id, operation, phrase(name), message, error, parameters].filter(Boolean);
  return !words || JSON.stringify(told).toLowerCase().includes(words);
}

// Put the rows in order. Rows are reused, so that they keep the focus.
function showJobs() {
  const { shown } = model;
  const jobs = wantedJobs();
  const few = jobs.slice(0, model.jobsShown);
  const list = $("jobs");
  const ids = new Set(few.map((job) => "row-" + job.id));
  // First, because a row that is moved loses the focus.
  for (const row of [...list.children]) if (!ids.has(row.id)) row.remove();
  let next = list.firstChild;
  for (const job of few) {
    const row = $("row-" + job.id) ?? newRow(job);
    if (row === next) next = next.nextSibling;
    else list.insertBefore(row, next);
    const isNewer = job.id === shown.id && shown.version > job.version;
    fillRow(row, isNewer ? { ...job, ...shown } : job);
  }
  const isSearch = $("find").value && model.hasMore;
  const isAll = !filters().length && !$("find").value;
  const ended = jobs.filter(hasEnded).length;
  const none = !jobs.length && model.oldest !== "" && phrase(isAll ? "noJobs" : "noMatch");
  const seen = isSearch && phrase("searched", count(model.jobs.length + model.passed));
  setText($("none"), join([none, seen], " "));
  setText($("more"), phrase(isSearch ? "older" : "more"));
  $("search").hidden = isAll && !jobs.length;
  $("more").hidden = few.length === jobs.length && !model.hasMore;
  $("forget-all").hidden = ended < 2;
  setText($("forget-all"), phrase("forgetAll", count(ended)));
}

function newRow(job) {
  const button = (key, act) => {
    const ariaLabel = `${phrase(key)}: ${job.operation}`;
    return make("button", { ariaLabel, onclick: () => act(job) }, phrase(key));
  };
  return make(
    "li",
    { id: "row-" + job.id },
    make("a", { href: "#" + job.id, onclick: reveal }, job.operation),
    make("span.hint", { dir: "auto" }),
    make("span.state", {}),
    make(
      "div.row",
      {},
      button("again", runAgain),
      button("cancel", cancel),
      button("forget", (one) => forget([one])),
    ),
  );
}

function fillRow(row, job) {
  const [link, facts, stateCell, buttons] = row.children;
  const [againButton, cancelButton, forgetButton] = buttons.children;
  const ended = hasEnded(job);
  const given = parametersOf(job);
  const focused = document.activeElement;
  row.dataset.state = job.state;
  link.ariaCurrent = job.id === shownId() ? "true" : null;
  setText(facts, factsText(job, given ?? {}));
  setText(stateCell, join([phrase(job.state), !ended && percentOf(job)], " "));
  againButton.hidden = !ended || !canRepeat(job);
  cancelButton.hidden = ended || job.state === "cancelling";
  forgetButton.hidden = !ended;
  if (focused.hidden && row.contains(focused)) link.focus({ preventScroll: true });
}

function factsText(job, given) {
  const began = new Date(job.started_at ?? job.created_at);
  // Within 22 hours a time of day is enough.
  const isRecent = model.serverClock + now() - began < 8e7;
  const elapsed = job.elapsed !== null && clock(job.elapsed);
  const values = Object.entries(given).map(([name, value]) => `${name}: ${cut(plain(value), 60)}`);
  return join([(isRecent ? TIME : DATE).format(began), elapsed, cut(join(values), 200)], " · ");
}

// Return the parameters of a job, or null if neither the server nor this tab knows them.
function parametersOf({ id, module, operation, parameters }) {
  const listed = model.jobs.find((one) => one.id === id);
  const shown = id === model.shown.id ? model.given : null;
  const known = parameters ?? listed?.parameters ?? shown;
  // This tab also knows the names of files.
  const here = model.startedHere[id];
  if (known || here) return { ...here, ...known };
  const found = model.operations[findOperation(module, operation)];
  const hasNone = found && Object.keys(found.parameters.properties).length === 0;
  return hasNone ? {} : null;
}

// A file is not kept: such a job can be edited, not repeated.
function canRepeat(job) {
  const operation = operationOf(job);
  const takesFile = operation && JSON.stringify(operation.parameters).includes('"contentEncoding"');
  return operation && !takesFile && parametersOf(job) !== null;
}

function edit(job) {
  fillForm(job.module, job.operation, parametersOf(job));
  (formFields()[0] ?? $("start")).focus();
}

// Hide jobs, and forget them for good a little later: until then it can be undone. If the page is
// closed before, they are kept.
function forget(jobs) {
  for (const { id } of jobs) {
    model.pending.push(id);
    model.hidden.add(id);
  }
  clearTimeout(model.undoTimer);
  model.undoTimer = setTimeout(forgetForGood, UNDO_MS);
  if (model.hidden.has(shownId())) {
    model.left = shownId();
    history.replaceState(null, "", location.pathname);
    follow();
  }
  showPending();
  announce($("forgotten").textContent);
}

function showPending() {
  const words = phrase("forgotten", count(model.pending.length));
  $("undo").hidden = !model.pending.length;
  if (model.pending.length) setText($("forgotten"), words);
  showJobs();
  $("jobs-name").focus({ preventScroll: true });
}

function restore() {
  clearTimeout(model.undoTimer);
  for (const id of model.pending.splice(0)) model.hidden.delete(id);
  if (model.left) location.hash = model.left;
  model.left = "";
  showPending();
}

async function forgetForGood() {
  const ids = model.pending.splice(0);
  $("undo").hidden = true;
  model.left = "";
  for (const id of ids) {
    try {
      const answer = await ask(jobPath(id), { method: "DELETE" });
      if (answer.ok || isGone(answer.status)) continue;
      showRefusal(answer);
    } catch {
      // ask() has shown it.
    }
    model.hidden.delete(id);
  }
  tellTabs();
}

function showMore() {
  model.jobsShown += PAGE;
  showJobs();
  loadOlder().catch(() => {});
}

function changeFilter() {
  model.jobs = [];
  model.passed = 0;
  model.jobsShown = RECENT;
  wake();
}

// Of older jobs only those are there that were looked for before.
function changeWords() {
  if (model.passed) changeFilter();
  else showJobs();
}

// ---- Events ----

const CLICKS = {
  notify: toggleNotice,
  again: () => runAgain(model.shown),
  edit: () => edit(model.shown),
  forget: () => forget([model.shown]),
  "forget-all": () => forget(wantedJobs().filter(hasEnded)),
  restore,
  cancel: () => cancel(model.shown),
  stop: () => cancel(model.shown),
  copy,
  download,
  "show-all": showAll,
  more: showMore,
  retry: comeBack,
};

// Ask at once: what the page shows may be old.
function comeBack() {
  if (!hasEnded(model.shown)) follow();
  wake();
}

function onVisibilityChange() {
  clearTimeout(model.restTimer);
  if (document.hidden) model.restTimer = setTimeout(comeBack, REST_MS);
  else comeBack();
}

function onInput({ target }) {
  const isSlider = target.type === "range";
  const field = isSlider ? target.previousSibling : target.closest("[data-required]");
  if (isSlider) field.value = target.value;
  else moveSlider(field);
  const file = field.type === "file" && field.files[0];
  if (file) setText($("label-" + field.name).lastChild, `${file.name} · ${figure(file.size)}B`);
  check(field);
  markField(field, "");
  keep();
  // Other values mean another job.
  model.attempt = {};
}

// The second click of a double click, and a key that is held down, press no button: something
// else may have come to be where the first one was.
function dropRepeat(event) {
  const isHeld = event.repeat && event.key === "Enter" && !event.target.closest("textarea");
  const isDouble = event.detail > 1 && event.target.closest("button:not(#more), #jobs a");
  if (!isHeld && !isDouble) return;
  event.preventDefault();
  event.stopPropagation();
}

function reveal() {
  model.reveals = true;
  drawSoon();
}

function onPageShow(event) {
  // The Back button brought the page back as it was.
  if (event.persisted) comeBack();
}

function showPage() {
  document.querySelector("main").className = "ready";
}

for (const element of document.querySelectorAll("[data-text]")) {
  element.textContent = phrase(element.dataset.text);
}
for (const [id, act] of Object.entries(CLICKS)) $(id).addEventListener("click", act);
for (const element of document.querySelectorAll("[data-label]")) {
  element.ariaLabel = element.placeholder = phrase(element.dataset.label);
}
const states = ["queued", "running", "cancelling", ...ENDED.slice(0, -1)];
const stateOptions = states.map((value) => make("option", { value }, phrase(value)));
$("of-state").append(anything("anyState"), ...stateOptions);
for (const kind of ["click", "keydown"]) document.addEventListener(kind, dropRepeat, true);
$("operation").addEventListener("change", showForm);
$("api").addEventListener("toggle", showCalls);
$("log").addEventListener("toggle", () => $("printed").scrollTo(0, 1e9));
$("find").addEventListener("input", changeWords);
for (const id of ["of-state", "of-operation"]) $(id).addEventListener("change", changeFilter);
TABS?.addEventListener("message", wake);
$("form").addEventListener("submit", start);
$("form").addEventListener("input", onInput);
document.addEventListener("visibilitychange", onVisibilityChange);
window.addEventListener("online", comeBack);
window.addEventListener("resize", drawSoon);
window.addEventListener("pageshow", onPageShow);
window.addEventListener("hashchange", follow);
setInterval(() => {
  if (model.shown.id && !hasEnded(model.shown)) showFacts();
}, 500);
follow();
watchJobs();
// The page becomes visible once the form is there, so that nothing jumps.
Promise.race([loadOperations(), sleep(500)]).then(showPage);

// For the console of the browser, and for tests.
window.longop = { TEXT, state: model, text: phrase, showTrouble, formFields, valueOf, draw };
