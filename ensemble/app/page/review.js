// Review of suspicious labels. The server has the queue; each decision is sent at once, and the list displays what it has written.

const at = (id) => document.getElementById(id);
const NAMES = ["negative", "positive"];
const WORDS = { accepted: "accepted", rejected: "rejected", "": "" };
let rows = [];
let current = 0;
let outlined = true;

async function asked(url, body) {
  const options = body && { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const response = await fetch(url, options).catch(() => {
    throw new Error("the server does not respond; the last decision was not written");
  });
  if (response.ok) return response.json();
  throw new Error((await response.json().catch(() => ({}))).reason ?? `the server responds with status ${response.status}`);
}

async function start() {
  const found = await asked("api/queue");
  rows = found.rows;
  for (const [number, row] of rows.entries()) at("rows").append(line(number, row));
  count(found);
  const first = rows.findIndex((row) => !row.decision);
  await open(Math.max(first, 0));
}

function line(number, row) {
  const element = document.createElement("tr");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = row.rank;
  button.setAttribute("aria-label", `Rank ${row.rank}, labelled ${NAMES[row.label]}`);
  const cells = [button, NAMES[row.label], row.prob.toFixed(2), ""].map((content) => {
    const cell = document.createElement("td");
    cell.append(content);
    return cell;
  });
  cells[2].className = "number";
  element.append(...cells);
  element.addEventListener("click", () => open(number));
  mark(element, row);
  return element;
}

function mark(element, row) {
  element.dataset.decision = row.decision;
  element.lastChild.textContent = WORDS[row.decision];
}

function open(number) {
  current = number;
  const row = rows[number];
  for (const [place, element] of [...at("rows").children].entries()) element.ariaCurrent = place === number ? "true" : null;
  at("rows").children[number].scrollIntoView({ block: "nearest" });
  const other = NAMES[1 - row.label];
  at("image").textContent = row.image_id;
  at("place").textContent = `${number + 1} of ${rows.length}`;
  at("question").textContent = `Labelled ${NAMES[row.label]}`;
  at("reason").textContent =
    `Predicted probability ${row.prob.toFixed(2)}, without this image in training. ` + (row.likely_error ? "Ranked as a likely error." : "");
  at("accept").lastChild.textContent = `Accept: change to ${other}`;
  at("reject").lastChild.textContent = `Reject: keep ${NAMES[row.label]}`;
  for (const [id, decision] of [["accept", "accepted"], ["reject", "rejected"]])
    at(id).setAttribute("aria-pressed", String(row.decision === decision));
  at("previous").disabled = number === 0;
  at("next").disabled = number === rows.length - 1;
  picture();
}

function picture() {
  const row = rows[current];
  at("picture").alt = `Radiograph of rank ${row.rank}${outlined && row.label ? ", with the annotated outline" : ""}`;
  at("picture").src = `api/picture/${row.rank}${outlined ? "?outline=1" : ""}`;
  at("outline").setAttribute("aria-pressed", String(outlined));
}

function count(found) {
  const decided = found.accepted + found.rejected;
  at("counted").textContent = `${decided} of ${found.images} decided, ${found.accepted} accepted`;
  at("bar").value = decided / found.images;
}

async function decide(decision) {
  const number = current;
  await attempt(async () => {
    count(await asked("api/decision", { rank: rows[number].rank, decision }));
    rows[number].decision = decision;
    mark(at("rows").children[number], rows[number]);
    at("saved").textContent = "";
    if (current === number) open(decision && number < rows.length - 1 ? number + 1 : number);
  });
}

async function save() {
  await attempt(async () => {
    at("saved").textContent = `Written: ${(await asked("api/labels", {})).written}`;
  });
}

async function attempt(work) {
  try {
    at("message").hidden = true;
    await work();
  } catch (error) {
    at("message").textContent = error.message;
    at("message").hidden = false;
  }
}

function move(step) {
  const next = current + step;
  if (next >= 0 && next < rows.length) open(next);
}

const ACTIONS = {
  accept: () => decide("accepted"),
  reject: () => decide("rejected"),
  undecide: () => decide(""),
  previous: () => move(-1),
  next: () => move(1),
  outline: () => { outlined = !outlined; picture(); },
};
const KEYS = { a: "accept", r: "reject", u: "undecide", m: "outline", ArrowUp: "previous", ArrowDown: "next" };

for (const [id, action] of Object.entries(ACTIONS)) at(id).addEventListener("click", action);
at("save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  ACTIONS[KEYS[event.key]]();
});
attempt(start);
