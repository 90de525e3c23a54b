// The page: files come in, one after another is read, one of them is on the film.

import * as server from "./server.js";
import * as film from "./film.js";
import * as list from "./list.js";
import * as answer from "./answer.js";
import * as zoom from "./zoom.js";

const $ = (id) => document.getElementById(id);
const AT_ONCE = 2; // one is sent while the other is worked on
let limits = { bytes: Infinity, files: Infinity };
let name = "", phantoms = false;
let current = null;
let number = 0; // of the studies read
let opens = false; // the next file that is done comes on the film
let queue = [], total = 0, done = 0, running = 0, stop = new AbortController();

async function start() {
  const about = await server.about();
  ({ limits, name } = about);
  $("phantoms").hidden = !about.phantoms;
  $("show-heat").hidden = !about.heat; // saliency is that of classifiers
  phantoms = about.phantoms;
  answer.start(about, () => list.draw(open));
  $("bundle").textContent = name;
  $("limits").textContent = `, at most ${limits.files} files of ${Math.round(limits.bytes / 2 ** 20)} MiB`;
  $("examples").replaceChildren(...about.examples.map(exampleButton));
}

function exampleButton({ title, picture }, index) {
  const item = document.createElement("li"), button = document.createElement("button"), image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  image.alt = "";
  button.type = "button";
  button.append(image, title);
  button.addEventListener("click", async () => {
    $("stage").focus(); // this button is about to be hidden
    const blob = await server.example(index).catch((error) => say(error.message));
    if (blob) take([new File([blob], `phantom-${title.toLowerCase().replace(/[^a-z]+/g, "-")}.dcm`)]);
  });
  item.append(button);
  return item;
}

// Files in

function take(files) {
  say("");
  if (files.length + queue.length + running + list.entries.length > limits.files) {
    return say(`${files.length} files: this page lists at most ${limits.files} at once. Nothing was read; drop fewer, or use the command line.`);
  }
  if (!running) [total, done, stop, opens] = [0, 0, new AbortController(), true];
  queue.push(...files);
  total += files.length;
  while (running < AT_ONCE && queue.length) work();
}

async function work() {
  running++;
  while (queue.length) {
    count();
    await readOne(queue.shift());
    done++;
  }
  running--;
  count();
}

async function readOne(file) {
  const entry = { name: file.name, file };
  try {
    if (file.size > limits.bytes) throw new Error(`larger than ${Math.round(limits.bytes / 2 ** 20)} MiB, the limit of this page`);
    entry.study = await server.study(file, stop.signal);
    entry.study.number = ++number;
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error instanceof server.Unavailable) entry.failed = error.message;
    else [entry.refused, entry.code] = [error.message, error.code];
  }
  list.add(entry, open);
  $("csv").disabled = $("clear").disabled = false;
  if (opens) {
    opens = false;
    await open(entry);
  }
}

function again() {
  const entry = current;
  current = null;
  $("refusal").hidden = $("caption").hidden = true;
  $("stage").focus();
  list.remove(entry, open);
  take([entry.file]);
}

function count() {
  $("progress").hidden = !running;
  $("busy").hidden = !running || Boolean(current);
  if (!current) document.body.dataset.state = running ? "busy" : "empty";
  $("welcome").hidden = running > 0 || Boolean(current);
  $("bar").value = total ? done / total : 0;
  $("counted").textContent = `${done} of ${total} read`;
  if (!running && total > 1) $("said").textContent = `${done} files read`;
}

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

// One on the film

async function open(entry) {
  current = entry;
  list.select(entry);
  document.body.dataset.state = entry.study ? "film" : "refused";
  if (matchMedia("(max-width: 1080px)").matches) $("stage").parentElement.scrollIntoView({ block: "start" });
  $("busy").hidden = $("welcome").hidden = true;
  const without = !entry.study;
  $("refusal").hidden = !without;
  $("film").hidden = $("tools").hidden = $("answer").hidden = $("caption-below").hidden = without;
  $("caption").hidden = false;
  $("note-file").textContent = entry.name;
  for (const id of ["note-shape", "note-window", "note-heat"]) $(id).textContent = "";
  if (without) return unread(entry);
  const { study } = entry;
  $("note-shape").textContent = [`${study.width} × ${study.height}`, study.view].filter(Boolean).join("  ");
  $("heat").hidden = $("heat-words").hidden = true;
  zoom.fit();
  answer.choose(study);
  await film.show(study, () => entry === current);
  if (entry !== current) return;
  await answer.update();
  $("radiograph").setAttribute("aria-label", `${entry.name}, probability ${study.prob.toFixed(2)}. ${answer.summary()}`);
  $("said").textContent = `${entry.name}: probability ${study.prob.toFixed(2)}. ${answer.summary()}. ${$("reason").textContent}`;
  await showHeat();
}

function unread({ name, refused, code, failed }) {
  const reason = failed ?? refused;
  $("refusal-title").textContent = failed ? "Not read" : "Refused";
  $("refused").textContent = `${reason[0].toUpperCase()}${reason.slice(1)}.`;
  $("refusal-note").textContent = failed ? "This says nothing about the file."
    : `${code ? `${code}. ` : ""}A refused file has no result: it is neither positive nor negative.`;
  $("again").hidden = !failed;
  $("said").textContent = `${name} ${failed ? "not read" : "refused"}: ${reason}`;
}

async function showHeat() {
  const on = $("show-heat").getAttribute("aria-pressed") === "true", entry = current;
  $("heat").hidden = $("heat-words").hidden = true;
  $("note-heat").textContent = "";
  if (!on || !entry?.study) return;
  $("note-heat").textContent = "Heat map …";
  try {
    entry.heat ??= await server.heat(entry.file);
  } catch (error) {
    if (entry === current) $("note-heat").textContent = `No heat map: ${error.message}`;
    return;
  }
  if (entry !== current) return;
  $("heat").src = `data:image/png;base64,${entry.heat.picture}`;
  $("heat-words").textContent = `Heat map. ${entry.heat.words}`;
  $("note-heat").textContent = "Heat map";
  $("heat").hidden = $("heat-words").hidden = false;
}

// Display

function toggle(id) {
  const pressed = $(id).getAttribute("aria-pressed") !== "true";
  $(id).setAttribute("aria-pressed", pressed);
  return pressed;
}

function looked() {
  [$("window").value, $("centre").value] = [film.look.window, film.look.centre];
  $("invert").setAttribute("aria-pressed", film.look.invert);
  film.repaint();
}

function opacity() {
  return $("opacity").value / 100;
}

function save(blob, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = ending.startsWith("-") ? current.name.replace(/\.[^.]*$/, "") + ending : ending;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

$("show-mask").addEventListener("click", () => { $("outline").style.display = toggle("show-mask") ? "" : "none"; });
$("show-heat").addEventListener("click", () => { toggle("show-heat"); showHeat(); });
$("invert").addEventListener("click", () => { film.look.invert = !film.look.invert; looked(); });
$("reset").addEventListener("click", () => { film.reset(); zoom.fit(); looked(); });
$("window").addEventListener("input", (event) => { film.look.window = Number(event.target.value); looked(); });
$("centre").addEventListener("input", (event) => { film.look.centre = Number(event.target.value); looked(); });
$("opacity").addEventListener("input", () => $("film").style.setProperty("--opacity", opacity()));
film.draggable(looked);

$("png").addEventListener("click", async () => {
  const { yours } = answer.seen(), result = `Probability ${current.study.prob.toFixed(2)}. ${answer.summary()}`;
  const caution = `Research use, not for diagnosis.${phantoms ? " Trained on generated phantoms." : ""}`;
  const codes = current.study.warnings.map((text) => text.split(":")[0]).join(", ");
  const lines = [yours ? `${result} (reader’s own thresholds)` : result, `${codes && `Warning: ${codes}. `}${caution} ${name}`];
  save(await film.png(current.study, yours ? "#56b4e9" : "#ffb000", opacity(), lines), "-pneumothorax.png");
});
$("seg").addEventListener("click", async () => {
  $("seg").disabled = true;
  try {
    save(await server.segmentation(current.file, answer.seen().level), "-seg.dcm");
  } catch (error) {
    $("seg-why").textContent = `No DICOM SEG: ${error.message}`;
  }
  $("seg").disabled = false;
});
$("again").addEventListener("click", again);
$("csv").addEventListener("click", () => save(new Blob([list.csv()], { type: "text/csv" }), "pneumothorax.csv"));
$("clear").addEventListener("click", () => location.reload());
$("stop").addEventListener("click", () => {
  queue = [];
  stop.abort();
  stop = new AbortController();
});

$("files").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("tools").hidden) return;
  const id = { m: "show-mask", h: "show-heat", i: "invert", r: "reset" }[event.key.toLowerCase()];
  if (id && !$(id).hidden) $(id).click();
  const closer = { "+": 1.25, "=": 1.25, "-": 0.8, 0: 1e-9 }[event.key];
  if (closer) zoom.by(closer);
});

start().catch((error) => say(error.message));
