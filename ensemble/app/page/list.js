// The list: every file that was read, refused or not read, the most probable first; and the same as CSV.

import { flag } from "./answer.js";

const $ = (id) => document.getElementById(id);
// the first nine as in triage.csv of ensemble.predict
const COLUMNS = ["file", "verdict", "probability", "decision", "reason", "warning", "area_px", "area_mm2", "side", "flag", "operating_point"];

const TAIL = 10; // letters of a name that are always seen: names of one study differ at their end

export const entries = []; // {name, file} and one of: study; refused, code; failed (not read)

export function add(entry, open) {
  entries.push(entry);
  entries.sort(byProbability);
  draw(open);
}

export function remove(entry, open) {
  entries.splice(entries.indexOf(entry), 1);
  draw(open);
}

export function select(entry) {
  for (const row of $("rows").rows) row.setAttribute("aria-current", row.entry === entry);
}

function byProbability(a, b) {
  return (b.study?.prob ?? -1) - (a.study?.prob ?? -1) || a.name.localeCompare(b.name);
}

export function draw(open) {
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
  const shown = entry.name.replace(/\.dcm$/i, ""); // room for the part that tells files apart; the title has the whole name
  button.append(span(shown.slice(0, -TAIL)), span(shown.slice(-TAIL)));
  tr.append(cell(""), cell("number", entry.study ? entry.study.prob.toFixed(2) : ""), cell(...result(entry)));
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

function result(entry) {
  if (entry.failed) return ["wrong", "Not read"];
  if (entry.refused) return ["wrong", "Refused"];
  const { positive, short } = flag(entry.study);
  return [positive ? "found" : "none", entry.study.warnings.length ? `${short} ⚠` : short];
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
  return [COLUMNS, ...entries.map(fields)].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

function fields({ name, study, refused, code, failed }) {
  if (failed) return [name, "not read", "", "", failed, "", "", "", "", "", ""];
  if (refused) return [name, "refused", "", "", code ? `${code}: ${refused}` : refused, "", "", "", "", "", ""];
  const { finding, prob, reason, warning } = study, { positive, point } = flag(study);
  return [name, "read", prob.toFixed(4), finding.area_px ? "mask" : "no mask", reason, warning, finding.area_px,
    finding.area_mm2?.toFixed(1) ?? "", finding.side ?? "", positive ? "suspected" : "not suspected", point];
}

// RFC 4180; a leading = + - @ would be run as a formula by spreadsheets, so it gets an apostrophe.
function quoted(value) {
  const text = String(value).replace(/^[=+\-@'\t\r]/, "'$&");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
