// The result for the study on the film: at an operating point of the bundle, by its rule for masks, or by the reader's own thresholds.

import { blobOf, cut } from "./server.js";
import * as film from "./film.js";

const $ = (id) => document.getElementById(id);
const RULE = { name: "rule", threshold: null }; // flags what gets a mask
const PREFERRED = "95 % sensitivity";
const EMPTY = { outline: "", area_px: 0, area_mm2: null, side: null };
let points = [RULE];
let point = RULE;
let disease = "pneumothorax";
let thresholds = []; // of each level of a map, the least probability in words
let study = null;
let finding = EMPTY;
let asking = false;
let fault = "";

// The operating points of the bundle; `changed` is called when the reader chooses another one.
export function start(about, changed) {
  ({ disease, thresholds } = about);
  points = about.points.length ? about.points : [RULE];
  point = points.find(({ name }) => name === PREFERRED) ?? points.find(({ threshold }) => threshold !== null) ?? points[0];
  const one = disease === "pneumothorax" ? "a pneumothorax" : `a ${disease}`;
  $("eyebrow").textContent = `Probability of ${one}`;
  $("lead").textContent = `Is there ${one}, and where?`;
  $("point").replaceChildren(...points.map((one) => new Option(title(one), one.name, false, one === point)));
  $("mode").hidden = points.length < 2;
  $("point").addEventListener("change", (event) => {
    point = points.find(({ name }) => name === event.target.value);
    if (study) update();
    changed();
  });
}

function title({ name, threshold }) {
  return threshold === null ? "the rule for masks (most Dice)" : `${name} (from ${threshold.toFixed(2)})`;
}

// At once, before the film has loaded: a slider moved meanwhile sets this study's threshold, not the last one's.
export function choose(chosen) {
  study = chosen;
  study.yours ??= { needed: null, level: null }; // null: the fitted one
  finding = own() ? EMPTY : fitted(study);
  $("answer").hidden = false;
  $("probability").textContent = study.prob.toFixed(2);
  $("ruler-needed").style.setProperty("--at", study.prob);
  list("warnings", study.warnings);
  list("notes", study.notes);
  write();
}

// At the chosen operating point, whatever the reader's own thresholds: positive, and in a word or two.
export function flag(of) {
  const clinical = point.threshold !== null;
  const positive = clinical ? of.prob >= point.threshold : of.finding.area_px > 0;
  const short = clinical ? (positive ? "Suspected" : "Not suspected") : positive ? "Mask" : "No mask";
  return { positive, short, point: point.name };
}

export function seen() {
  return { finding, level: level(), yours: own() };
}

export function summary() {
  return `${verdict()}. ${area() || "Nothing outlined"}`;
}

function area() {
  const { side, area_px, area_mm2 } = finding;
  const size = `${area_px.toLocaleString("en")} px${area_mm2 == null ? "" : `, ${Math.round(area_mm2).toLocaleString("en")} mm²`}`;
  return area_px ? `Outlined${side ? ` on ${where(side)}` : ""}: ${size}` : "";
}

function own() {
  return study.yours.needed !== null || study.yours.level !== null;
}

function level() {
  return study.yours.level ?? study.level;
}

function fittedNeeded() {
  return point.threshold ?? study.needed;
}

function passes() {
  const needed = study.yours.needed ?? fittedNeeded();
  return needed === null ? study.finding.area_px > 0 : study.prob >= needed;
}

function fitted(of) {
  if (point.threshold === null) return of.finding;
  return of.prob >= point.threshold ? of.region : EMPTY;
}

// One request at a time; while it is under way the sliders may move on, and the last place counts.
export async function update() {
  write();
  if (asking) return;
  asking = true;
  try {
    for (let asked = null; asked !== state();) {
      asked = state();
      fault = "";
      finding = await found(study);
    }
  } catch (error) {
    [finding, fault] = [EMPTY, `The mask could not be cut: ${error.message}`];
  }
  asking = false;
  film.outline(finding.outline);
  write();
}

function state() {
  return `${study.yours.needed} ${study.yours.level} ${point.name} ${study.number}`;
}

async function found(of) {
  if (!own()) return fitted(of);
  if (!passes()) return EMPTY;
  of.cuts ??= new Map();
  const at = level();
  if (!of.cuts.has(at)) of.cuts.set(at, await cut(blobOf(of.map), at, of.geometry));
  return of.cuts.get(at);
}

function write() {
  document.body.dataset.whose = own() ? "yours" : "model";
  $("whose").textContent = own() ? "yours" : "fitted";
  $("fitted").disabled = !own();
  ruler("needed", study.yours.needed ?? fittedNeeded(), fittedNeeded(), 1);
  ruler("level", level(), study.level, thresholds.length - 1);
  $("answer").classList.toggle("found", positive());
  $("verdict").textContent = verdict();
  $("reason").textContent = fault || reason();
  $("rule").textContent = rule();
  $("side").textContent = finding.side ? sentence(where(finding.side)) + (study.oriented ? "" : "\nassuming a standard view") : "–";
  $("area").textContent = areas();
  const why = study.no_object ? `No DICOM SEG: ${study.no_object}.` : finding.area_px ? "" : "No DICOM SEG: nothing is outlined.";
  $("seg").disabled = Boolean(why);
  $("seg-why").textContent = why;
}

function positive() {
  return point.threshold === null && study.yours.needed === null ? finding.area_px > 0 : passes();
}

function verdict() {
  if (point.threshold === null) return finding.area_px ? `Outlined${finding.side ? ` on ${where(finding.side)}` : ""}` : "Nothing outlined";
  return `${sentence(disease)} ${passes() ? "suspected" : "not suspected"}`;
}

function reason() {
  if (own()) return ownReason();
  if (point.threshold === null) return study.reason;
  const compared = passes() ? "reaches" : "is below";
  const places = study.prob.toFixed(2) === point.threshold.toFixed(2) ? 4 : 2;
  return `${study.prob.toFixed(places)} ${compared} ${point.threshold.toFixed(places)}, the threshold that flagged ${percent(point.sensitivity)} of the positive `
    + `and spared ${percent(point.specificity)} of the negative training images, out of fold.${finding.area_px || !passes() ? "" : " No area reaches the mask threshold."}`;
}

function rule() {
  const text = study.finding.area_px ? "It would submit a mask" : "It would submit no mask";
  return `The competition’s score punishes a mask on a healthy chest, so its rule asks for more than suspicion. ${text}: ${study.reason}.`;
}

function ownReason() {
  const needed = study.yours.needed ?? fittedNeeded();
  const asked = needed === null ? "the fitted rule decides" : `${study.yours.needed === null ? "fitted" : "your"} threshold ${needed.toFixed(2)}`;
  return `${study.prob.toFixed(2)}, ${asked}; mask cut at ${thresholds[level()]}${study.yours.level === null ? "" : ", yours"}`;
}

// A slider from 0 to `most`: a probability needed, or a level of the map.
function ruler(name, value, fit, most) {
  const input = $(name), mark = $(`ruler-${name}`).querySelector(".fitted");
  const words = (at) => name === "level" ? thresholds[at] : at.toFixed(2);
  input.value = Math.round((value ?? most) / most * input.max);
  mark.hidden = fit === null;
  mark.style.setProperty("--at", (fit ?? 0) / most);
  const set = study.yours[name] !== null;
  const text = value === null ? "the rule names none" : words(value);
  $(`${name}-said`).textContent = set && fit !== null ? `${text}, fitted ${words(fit)}` : text;
  input.setAttribute("aria-valuetext", `${text}, ${set ? "yours" : "fitted"}`);
}

function areas() {
  if (!finding.area_px) return "–";
  const px = `${finding.area_px.toLocaleString("en")} px`;
  const none = study.warnings.some((text) => text.startsWith("SPACING:")) ? "pixel spacing not plausible" : "no pixel spacing";
  return finding.area_mm2 == null ? `${px}\n${none}` : `${Math.round(finding.area_mm2).toLocaleString("en")} mm²\n${px}`;
}

function where(side) {
  return { left: "the patient’s left", right: "the patient’s right", both: "both sides" }[side] ?? side;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1);
}

function list(name, texts) {
  $(name).hidden = !texts.length;
  $(name).replaceChildren(...texts.map(item));
}

function item(text) {
  const made = document.createElement("li");
  made.textContent = sentence(text);
  return made;
}

$("needed").addEventListener("input", (event) => { study.yours.needed = event.target.value / 100; update(); });
$("level").addEventListener("input", (event) => { study.yours.level = Number(event.target.value); update(); });
$("fitted").addEventListener("click", () => { study.yours.needed = study.yours.level = null; $("needed").focus(); update(); });
