// The triage list: every file that was read or refused, the most probable first; and the same as CSV.

const $ = (id) => document.getElementById(id);
const COLUMNS = ["file", "verdict", "probability", "decision", "reason", "area_px", "area_mm2", "side"]; // as triage.csv

const TAIL = 10; // letters of a name that are always seen: names of one study differ at their end

export const entries = []; // {name, file, study} or {name, file, refused}

export function add(entry, open) {
  entries.push(entry);
  entries.sort(byProbability);
  draw(open);
}

export function select(entry) {
  for (const row of $("rows").rows) row.setAttribute("aria-current", row.entry === entry);
}

function byProbability(a, b) {
  return (b.study?.prob ?? -1) - (a.study?.prob ?? -1) || a.name.localeCompare(b.name);
}

function draw(open) {
  const rows = $("rows"), selected = [...rows.rows].find((row) => row.getAttribute("aria-current") === "true")?.entry;
  const focused = document.activeElement?.closest("tr")?.entry;
  rows.replaceChildren(...entries.map((entry) => row(entry, open)));
  $("table").hidden = !entries.length;
  select(selected);
  for (const one of rows.rows) if (one.entry === focused) one.querySelector("button").focus();
}

function row(entry, open) {
  const tr = document.createElement("tr"), button = document.createElement("button");
  tr.entry = entry;
  button.type = "button";
  button.title = entry.name;
  button.append(span(entry.name.slice(0, -TAIL)), span(entry.name.slice(-TAIL)));
  const answer = entry.refused ? ["wrong", "Refused"] : entry.study.finding.area_px ? ["found", "Outlined"] : ["none", "No mask"];
  tr.append(cell(""), cell("number", entry.refused ? "" : entry.study.prob.toFixed(2)), cell(...answer));
  tr.cells[0].append(button);
  tr.addEventListener("click", () => open(entry));
  tr.addEventListener("keydown", (event) => {
    const next = { ArrowDown: tr.nextElementSibling, ArrowUp: tr.previousElementSibling }[event.key];
    if (!next) return;
    event.preventDefault();
    next.querySelector("button").focus();
    open(next.entry);
  });
  return tr;
}

function span(text) {
  const made = document.createElement("span");
  made.textContent = text;
  return made;
}

function cell(name, text = "") {
  const td = document.createElement("td");
  td.className = name;
  td.textContent = text;
  return td;
}

export function csv() {
  const rows = entries.map(({ name, study, refused }) => refused
    ? [name, "refused", "", "", refused, "", "", ""]
    : [name, "read", study.prob.toFixed(4), study.finding.area_px ? "mask" : "no mask", study.reason, study.finding.area_px,
       study.finding.area_mm2?.toFixed(1) ?? "", study.finding.side ?? ""]);
  return [COLUMNS, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

// RFC 4180; a leading = + - @ would be run as a formula by spreadsheets, so it gets an apostrophe.
function quoted(value) {
  const text = String(value).replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
