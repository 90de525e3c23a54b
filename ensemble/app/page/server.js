// Requests to the server. A file is sent as it is, without its name. A refusal becomes an Error with reason and code; where the
// server did not read the file at all, it is an Unavailable: that says nothing about the file.

export class Unavailable extends Error {}

export async function about() {
  return (await asked("api/about")).json();
}

export async function example(number) {
  return (await asked(`api/examples/${number}`)).blob();
}

export async function study(file, signal) {
  return (await sent("study", file, signal)).json();
}

export async function heat(file) {
  return (await sent("heat", file)).json();
}

export async function cut(map, level, geometry) {
  return (await sent(`cut?${new URLSearchParams({ level, geometry })}`, map)).json();
}

export async function segmentation(file, level) {
  return (await sent(`segmentation?level=${level}`, file)).blob();
}

export function blobOf(base64) {
  return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: "image/png" });
}

function sent(question, body, signal) {
  return asked(`api/${question}`, { method: "POST", body, signal, headers: { "Content-Type": "application/octet-stream" } });
}

async function asked(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unavailable("the server does not respond, or the file can no longer be read from your disk");
  }
  if (response.ok) return response;
  const { reason, code } = await response.json().catch(() => ({ reason: `the server responds with status ${response.status}` }));
  const failed = response.status >= 500 || response.status === 408;
  throw failed ? new Unavailable(reason) : Object.assign(new Error(reason), { code });
}
