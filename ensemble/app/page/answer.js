// What is said of the study on the film: by the fitted thresholds, or by the reader's own.

import { blobOf, cut } from "./server.js";
import * as film from "./film.js";

const $ = (id) => document.getElementById(id);
const yours = { needed: null, level: null }; // null: the fitted one
const EMPTY = { outline: "", area_px: 0, area_mm2: null, side: null };
let study = null;
let finding = EMPTY;
let asking = false;
let fault = "";

export function show(chosen) {
  study = chosen;
  finding = own() ? EMPTY : study.finding;
  $("answer").hidden = false;
  $("probability").textContent = study.prob.toFixed(2);
  $("ruler-needed").style.setProperty("--at", study.prob);
  return update();
}

export function seen() {
  return { finding, level: level(), yours: own() };
}

export function summary() {
  const { side, area_px, area_mm2 } = finding;
  const area = `${area_px.toLocaleString("en")} px${area_mm2 == null ? "" : `, ${Math.round(area_mm2).toLocaleString("en")} mm²`}`;
  return area_px ? `Outlined${side ? ` on ${where(side)}` : ""}: ${area}` : "Nothing outlined";
}

function own() {
  return yours.needed !== null || yours.level !== null;
}

function level() {
  return yours.level ?? study.level;
}

function passes() {
  const needed = yours.needed ?? study.needed;
  return needed === null ? study.finding.area_px > 0 : study.prob >= needed;
}

// One question at a time; while it is under way the sliders may move on, and the last place counts.
async function update() {
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
    [finding, fault] = [EMPTY, `No mask could be cut: ${error.message}`];
  }
  asking = false;
  film.outline(finding.outline);
  write();
}

function state() {
  return `${yours.needed} ${yours.level} ${study.number}`;
}

async function found(of) {
  if (!own()) return of.finding;
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
  ruler("needed", yours.needed ?? study.needed, study.needed, 100);
  ruler("level", level() / 255, study.level / 255, 255);
  $("answer").classList.toggle("found", finding.area_px > 0);
  $("verdict").textContent = finding.area_px ? `Outlined${finding.side ? ` on ${where(finding.side)}` : ""}` : "Nothing outlined";
  $("reason").textContent = fault || (own() ? ownReason() : study.reason);
  $("side").textContent = finding.side ? sentence(where(finding.side)) + (study.oriented ? "" : "\nassuming a standard view") : "–";
  $("area").textContent = areas();
  const why = !study.dicom ? "DICOM SEG needs a DICOM file: a picture belongs to no study."
    : finding.area_px ? "" : "DICOM SEG: nothing is outlined, so there is nothing to write.";
  $("seg").disabled = Boolean(why);
  $("seg-why").textContent = why;
}

function ruler(name, value, fitted, steps) {
  const input = $(name), mark = $(`ruler-${name}`).querySelector(".fitted");
  input.value = Math.round((value ?? 1) * steps);
  mark.hidden = fitted === null;
  mark.style.setProperty("--at", fitted ?? 0);
  const set = yours[name] !== null;
  const said = value === null ? "the rule names none" : value.toFixed(2);
  $(`${name}-said`).textContent = set && fitted !== null ? `${said}, fitted ${fitted.toFixed(2)}` : said;
  input.setAttribute("aria-valuetext", `${said}, ${set ? "yours" : "fitted"}`);
}

function ownReason() {
  const needed = yours.needed ?? study.needed;
  const asked = needed === null ? "the fitted rule decides" : `${yours.needed === null ? "fitted" : "your"} threshold ${needed.toFixed(2)}`;
  return `${study.prob.toFixed(2)}, ${asked}; mask cut at ${(level() / 255).toFixed(2)}${yours.level === null ? "" : ", yours"}`;
}

function areas() {
  if (!finding.area_px) return "–";
  const px = `${finding.area_px.toLocaleString("en")} px`;
  return finding.area_mm2 == null ? `${px}\nno pixel spacing` : `${Math.round(finding.area_mm2).toLocaleString("en")} mm²\n${px}`;
}

function where(side) {
  return { left: "the patient’s left", right: "the patient’s right", both: "both sides" }[side] ?? side;
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1);
}

$("needed").addEventListener("input", (event) => { yours.needed = event.target.value / 100; update(); });
$("level").addEventListener("input", (event) => { yours.level = Number(event.target.value); update(); });
$("fitted").addEventListener("click", () => { yours.needed = yours.level = null; $("needed").focus(); update(); });
