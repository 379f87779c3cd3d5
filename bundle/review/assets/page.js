"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const storageKey = "keyslice qc " + data.run;
const ratings = readRatings();
const COLORS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2"];
const body = document.querySelector("#cases tbody");
const headers = [...document.querySelectorAll("#cases th button")];
const scroller = body.closest(".scroll");
const STEP = 60; // rows that are added when the end of the table comes into view
const views = {};
let rows = [], shown = [], current = null, viewer = null, viewerReady = null;

// Ratings of this page, without those of other results: a case may have been computed anew.
function readRatings() {
  let stored = {};
  try { stored = JSON.parse(localStorage.getItem(storageKey)) || {}; } catch { /* damaged: as without storage */ }
  const digests = Object.fromEntries(data.cases.map((item) => [item.case, item.digest]));
  return Object.fromEntries(Object.entries(stored).filter(([name, rated]) => rated.digest === digests[name]));
}

// Take what another tab with this page has stored since.
function refresh() {
  Object.assign(ratings, readRatings());
  for (const row of rows) if (row.rating) row.rating.textContent = (ratings[row.item.case] || {}).rating || "";
  if (current && byId("case").open) showRating();
}

function store() {
  try { localStorage.setItem(storageKey, JSON.stringify(ratings)); } catch { /* without storage the page forgets */ }
}

function cell(row, text, kind) {
  const made = row.insertCell();
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function makeRows() {
  const numbers = headers.filter((each) => each.dataset.number).map((each) => each.dataset.number);
  rows = data.cases.map((item) => {
    const words = [item.case, item.state, ...item.problems, ...Object.values(item.identifiers)];
    return { item, numbers, element: null, rating: null, text: words.join(" ").toLowerCase() };
  });
}

function elementOf(row) {
  if (!row.element) {
    const { item } = row, element = document.createElement("tr");
    element.tabIndex = 0;
    cell(element, item.case);
    cell(element, item.state, "state " + item.state);
    row.rating = cell(element, (ratings[item.case] || {}).rating || "");
    cell(element, item.state === "failed" ? "" : item.suspicion);
    cell(element, item.problems.join("; "), "problems");
    for (const name of row.numbers) cell(element, item.numbers[name] ?? "");
    element.addEventListener("click", () => open(row));
    element.addEventListener("keydown", (event) => { if (event.key === "Enter") open(row); });
    row.element = element;
  }
  return row.element;
}

function render(more) {
  const start = more ? body.rows.length : 0, elements = shown.slice(start, start + STEP).map(elementOf);
  if (more) body.append(...elements); else body.replaceChildren(...elements);
}

function valueOf(row, button) {
  const { item } = row;
  if (button.dataset.number) return item.numbers[button.dataset.number];
  if (button.dataset.key === "rating") return (ratings[item.case] || {}).rating;
  if (button.dataset.key === "problems") return item.problems.length;
  return item[button.dataset.key];
}

function sortBy(button) {
  const header = button.parentElement;
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const each of headers) each.parentElement.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const keyed = rows.map((row) => [valueOf(row, button), row]);
  keyed.sort(([a], [b]) => {
    if (a === b) return 0;
    if (a === undefined || a === "") return 1;
    if (b === undefined || b === "") return -1;
    return sign * (typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  });
  rows = keyed.map(([, row]) => row);
  filter();
}

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean), wanted = byId("filter").value;
  shown = rows.filter((row) => {
    const rating = (ratings[row.item.case] || {}).rating || "unrated";
    const fits = !wanted || row.item.state === wanted || rating === wanted || (wanted === "suspicious" && row.item.state !== "ok");
    return fits && words.every((word) => row.text.includes(word));
  });
  render(false);
  scroller.scrollTop = 0;
  byId("shown").textContent = shown.length + " of " + rows.length + " cases";
}

function open(row) {
  current = row;
  const { item } = row;
  byId("name").textContent = item.case;
  byId("state").textContent = item.state;
  byId("state").className = "state " + item.state;
  byId("place").textContent = shown.indexOf(row) + 1 + " of " + shown.length;
  byId("problems").replaceChildren(...item.problems.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  const figure = byId("figure");
  figure.hidden = !item.figure;
  if (item.figure) { figure.src = item.figure; figure.alt = "Result of " + item.case; } else { figure.removeAttribute("src"); figure.alt = ""; }
  const table = byId("numbers");
  table.replaceChildren();
  const facts = { input: item.input, ...item.identifiers, ...item.numbers };
  for (const [name, value] of Object.entries(facts)) {
    const line = table.insertRow();
    line.append(Object.assign(document.createElement("th"), { textContent: name, scope: "row" }));
    cell(line, value);
  }
  byId("note").value = (ratings[item.case] || {}).note || "";
  showRating();
  if (!byId("case").open) byId("case").showModal();
  showVolume(item);
}

function step(count) {
  const place = shown.indexOf(current) + count;
  if (current && place >= 0 && place < shown.length) open(shown[place]);
}

function rate(change) {
  if (!current) return;
  const { item } = current;
  refresh();
  ratings[item.case] = { ...ratings[item.case], ...change, digest: item.digest, rated: new Date().toISOString() };
  elementOf(current);
  current.rating.textContent = ratings[item.case].rating || "";
  store();
  showRating();
}

function showRating() {
  const rating = (ratings[current.item.case] || {}).rating;
  for (const each of document.querySelectorAll(".rating")) each.setAttribute("aria-pressed", String(each.dataset.rating === rating));
}

function quoted(value) {
  const text = String(value ?? "");
  return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function qcTable() {
  const lines = data.cases.map((item) => {
    const rated = ratings[item.case] || {};
    const values = { ...item, rating: rated.rating, note: rated.note, flags: item.flags.join("; "), rated: rated.rated };
    return data.qc_columns.map((name) => quoted(values[name])).join(",");
  });
  return [data.qc_columns.join(","), ...lines].join("\r\n") + "\r\n";
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([qcTable()], { type: "text/csv" }));
  link.download = "qc.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function addScript(source, text) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = resolve;
    script.onerror = () => reject(new Error(source + " is missing"));
    if (text === undefined) script.src = source; else script.textContent = text;
    document.head.append(script);
    if (text !== undefined) resolve();
  });
}

window.receiveView = (number, view) => { views[number] = view; };

async function viewOf(number) {
  if (!data.folder) return { image: byId("image" + number).textContent, labels: byId("labels" + number).textContent };
  if (!views[number]) await addScript(data.folder + "/" + number + ".js");
  return views[number];
}

async function makeViewer() {
  await addScript((data.folder || "") + "/niivue.umd.js", data.folder ? undefined : byId("niivue").textContent);
  viewer = new niivue.Niivue({ show3Dcrosshair: false, crosshairWidth: 0.2, backColor: [0, 0, 0, 1], isRadiologicalConvention: false, logLevel: "silent" });
  viewer.onLocationChange = (place) => { byId("location").textContent = place.string; };
  await viewer.attachToCanvas(byId("canvas"));
  viewer.setSliceType(viewer.sliceTypeMultiplanar);
  viewer.opts.multiplanarForceRender = false;
}

function labelColors(labels) {
  const entries = Object.entries(labels).sort((one, other) => one[1] - other[1]);
  const rgb = (place, start) => parseInt(COLORS[place % COLORS.length].slice(start, start + 2), 16);
  return {
    R: [0, ...entries.map((_, place) => rgb(place, 1))],
    G: [0, ...entries.map((_, place) => rgb(place, 3))],
    B: [0, ...entries.map((_, place) => rgb(place, 5))],
    A: [0, ...entries.map(() => 255)],
    I: [0, ...entries.map((entry) => entry[1])],
    labels: ["", ...entries.map((entry) => entry[0])],
  };
}

async function showVolume(item) {
  byId("viewer").hidden = item.view === null;
  if (item.view === null) return;
  try {
    viewerReady = viewerReady || makeViewer();
    await viewerReady;
    if (current.item !== item) return;
    for (const each of [...viewer.volumes]) viewer.removeVolume(each);
    byId("location").textContent = "";
    const view = await viewOf(item.view);
    const image = await niivue.NVImage.loadFromBase64({ base64: view.image, name: "image.nii.gz", colormap: "gray" });
    const labels = await niivue.NVImage.loadFromBase64({ base64: view.labels, name: "labels.nii.gz", opacity: Number(byId("opacity").value) });
    if (current.item !== item) return;
    labels.setColormapLabel(labelColors(item.labels));
    for (const each of [...viewer.volumes]) viewer.removeVolume(each);
    viewer.addVolume(image);
    viewer.addVolume(labels);
    viewer.setOpacity(1, Number(byId("opacity").value));
    viewer.updateGLVolume();
    viewer.drawScene();
    byId("view").dataset.case = item.case;
  } catch (error) {
    byId("location").textContent = "The volume cannot be shown: " + error.message;
  }
}

scroller.addEventListener("scroll", () => {
  const rest = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  if (rest < 400 && body.rows.length < shown.length) render(true);
});
for (const button of headers) button.addEventListener("click", () => sortBy(button));
for (const button of document.querySelectorAll(".rating")) button.addEventListener("click", () => rate({ rating: button.dataset.rating }));
byId("search").addEventListener("input", filter);
byId("filter").addEventListener("change", filter);
byId("save").addEventListener("click", save);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => byId("case").close());
byId("note").addEventListener("input", (event) => rate({ note: event.target.value }));
byId("note").addEventListener("keydown", (event) => { if (event.key === "Enter") event.target.blur(); });
byId("opacity").addEventListener("input", (event) => { if (viewer && viewer.volumes.length > 1) viewer.setOpacity(1, Number(event.target.value)); });
window.addEventListener("storage", (event) => { if (event.key === storageKey) refresh(); });
document.addEventListener("keydown", (event) => {
  const isSlider = event.target.type === "range" && !event.key.startsWith("Arrow");
  const takesText = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !isSlider;
  if (event.ctrlKey || event.metaKey || event.altKey || takesText) return;
  const actions = {
    j: () => (current && byId("case").open ? step(1) : shown.length && open(shown[0])), ArrowRight: () => step(1),
    k: () => step(-1), ArrowLeft: () => step(-1),
    p: () => rate({ rating: "pass" }), f: () => rate({ rating: "fail" }), c: () => rate({ rating: "needs correction" }),
    n: () => byId("note").focus(), s: save,
  };
  if (actions[event.key] && (byId("case").open || event.key === "j" || event.key === "s")) { event.preventDefault(); actions[event.key](); }
});
makeRows();
filter();
