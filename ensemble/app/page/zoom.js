// A closer look: the wheel or + and −, 0 for the whole film; Shift and dragging moves it.

const film = document.getElementById("film"), stage = document.getElementById("stage");
const MOST = 8;
let zoom = 1, x = 0, y = 0;

export function fit() {
  [zoom, x, y] = [1, 0, 0];
  apply();
}

export function by(factor, at = { x: 0, y: 0 }) {
  const next = Math.min(Math.max(zoom * factor, 1), MOST);
  [x, y] = [at.x - (at.x - x) * next / zoom, at.y - (at.y - y) * next / zoom]; // what is under the pointer stays there
  zoom = next;
  apply();
}

function apply() {
  const [across, down] = [film.clientWidth * (zoom - 1) / 2, film.clientHeight * (zoom - 1) / 2];
  [x, y] = [Math.min(Math.max(x, -across), across), Math.min(Math.max(y, -down), down)];
  film.style.transform = zoom === 1 ? "" : `translate(${x}px, ${y}px) scale(${zoom})`;
  film.style.setProperty("--zoom", zoom);
}

stage.addEventListener("wheel", (event) => {
  if (film.hidden || (!event.ctrlKey && matchMedia("(max-width: 1080px)").matches)) return; // there the page scrolls
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  by(Math.exp(-event.deltaY / 500), { x: event.clientX - box.x - box.width / 2, y: event.clientY - box.y - box.height / 2 });
}, { passive: false });

let from = null;
stage.addEventListener("pointerdown", (event) => {
  if (!event.shiftKey || film.hidden) return;
  stage.setPointerCapture(event.pointerId);
  from = { x: event.clientX - x, y: event.clientY - y };
});
stage.addEventListener("pointermove", (event) => {
  if (!from) return;
  [x, y] = [event.clientX - from.x, event.clientY - from.y];
  apply();
});
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { from = null; });
