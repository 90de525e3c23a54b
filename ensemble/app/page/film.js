// The radiograph on its canvas: window and level, the outline over it, the heat map, and all of it as one PNG.

import { blobOf } from "./server.js";

const $ = (id) => document.getElementById(id);
const PLAIN = { window: 255, centre: 128, invert: false };

export const look = { ...PLAIN };
let grey = null; // the picture's own values, 0..255 or 0..65535
let depth = 8;
let waiting = false;

// `wanted` says whether the reader still waits for this one when it is decoded. Until then the film is blank: the answer beside it
// is already this study's.
export async function show(study, wanted) {
  blank();
  const bitmap = await createImageBitmap(blobOf(study.picture), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  if (!wanted()) return;
  const canvas = $("radiograph");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  depth = study.depth;
  grey = new Uint16Array(rgba.length / 4);
  for (let i = 0, k = 0; i < grey.length; i++, k += 4) grey[i] = depth === 8 ? rgba[k] : (rgba[k] << 8) | rgba[k + 1];
  $("film").style.setProperty("--ratio", study.width / study.height);
  $("outline").setAttribute("viewBox", `0 0 ${study.width} ${study.height}`);
  paint();
}

function blank() {
  const canvas = $("radiograph");
  grey = null;
  canvas.getContext("2d", { willReadFrequently: true }).clearRect(0, 0, canvas.width, canvas.height);
  outline("");
}

export function outline(path) {
  $("path").setAttribute("d", path);
}

export function reset() {
  Object.assign(look, PLAIN);
  repaint();
}

export function repaint() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; paint(); });
}

// DICOM PS3.3 C.11.2.1.2, LINEAR, on the greys that the file's own window has made.
function table() {
  const most = depth === 8 ? 255 : 65535;
  const greys = new Uint32Array(most + 1);
  for (let value = 0; value <= most; value++) {
    const x = (value * 255 / most - (look.centre - 0.5)) / Math.max(look.window - 1, 1) + 0.5;
    const level = Math.round(255 * Math.min(Math.max(look.invert ? 1 - x : x, 0), 1));
    greys[value] = 0xff000000 | (level << 16) | (level << 8) | level;
  }
  return greys;
}

function paint() {
  if (!grey) return;
  const canvas = $("radiograph"), greys = table();
  const image = new ImageData(canvas.width, canvas.height);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < grey.length; i++) words[i] = greys[grey[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
  $("note-window").textContent = `W ${look.window}  L ${look.centre}${look.invert ? "  inverted" : ""}`;
}

// Dragging over the film as on a workstation: across for the window, up and down for the level.
export function draggable(changed) {
  const canvas = $("radiograph");
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.shiftKey) return; // a finger scrolls the page, Shift moves the film
    canvas.setPointerCapture(event.pointerId);
    from = { x: event.clientX, y: event.clientY, ...look };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    look.window = Math.min(Math.max(Math.round(from.window + (event.clientX - from.x) / 2), 1), 512);
    look.centre = Math.min(Math.max(Math.round(from.centre + (event.clientY - from.y) / 2), -128), 383);
    changed();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
}

// What is seen, with the words under it: a picture that leaves this page says itself what it is.
export async function png(study, colour, opacity, lines) {
  const film = $("radiograph"), canvas = document.createElement("canvas");
  const line = Math.max(Math.round(film.width / 36), 12);
  [canvas.width, canvas.height] = [film.width, film.height + line * (1.6 * lines.length + 0.8)];
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(film, 0, 0);
  if (!$("heat").hidden) {
    context.globalAlpha = Math.min(opacity * 1.6 + 0.2, 1);
    context.globalCompositeOperation = "screen";
    context.drawImage($("heat"), 0, 0, film.width, film.height);
    context.globalCompositeOperation = "source-over";
  }
  if ($("outline").style.display !== "none") drawOutline(context, film.width / study.width, film.height / study.height, colour, opacity);
  context.globalAlpha = 1;
  context.fillStyle = "#ece8df";
  context.font = `${line}px Arial, "Liberation Sans", sans-serif`;
  lines.forEach((text, i) => context.fillText(text, line * 0.7, film.height + line * (1.6 * i + 1.4), film.width - line * 1.4));
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function drawOutline(context, across, down, colour, opacity) {
  const path = new Path2D();
  path.addPath(new Path2D($("path").getAttribute("d")), new DOMMatrix([across, 0, 0, down, 0, 0]));
  context.fillStyle = context.strokeStyle = colour;
  context.globalAlpha = opacity * 0.6;
  context.fill(path, "evenodd");
  context.globalAlpha = 1;
  context.lineWidth = Math.max(context.canvas.width / 400, 1.5);
  context.stroke(path);
}
