// The page of the platform. What it must not lose across a cutover it keeps
// itself: the number of the last chat entry that it has seen, and the messages
// that have not come back to it.
const $ = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const soon = () => pause(300 + Math.random() * 1200); // not all viewers at once

async function api(path, options = {}) {
  const answer = await fetch(path, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? answer.statusText);
  return body;
}

const send = (method, path, body) =>
  api(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });

// Which version answers, and of which color if the edge says so.
async function answers() {
  for (;; await pause(2000)) {
    try {
      const answer = await fetch("version", { cache: "no-store" });
      const { version, instance } = await answer.json();
      const color = answer.headers.get("X-Greenroom-Color") ?? "";
      $("answers").className = color;
      $("answers").textContent = [color, version, instance].filter(Boolean).join(" · ");
    } catch {
      $("answers").className = "";
      $("answers").textContent = "no answer";
    }
  }
}

// How many seconds of a stream are fetched ahead: who leaves has not fetched it all.
const ahead = 10;

let hls;
function play(title) {
  const url = "media/" + title.media;
  hls?.destroy();
  $("player").textContent = title.name;
  if (!window.Hls?.isSupported()) {
    $("player").textContent = "hls.js is missing: run npm ci in examples/platform/app/web";
    return;
  }
  hls = new Hls({ maxBufferLength: ahead, maxMaxBufferLength: ahead });
  hls.on(Hls.Events.ERROR, (_, problem) => {
    if (problem.fatal) $("player").textContent = `${title.name}: ${problem.details}`;
  });
  hls.loadSource(url);
  hls.attachMedia($("video"));
  $("video").play().catch(() => {}); // the browser wants a click
  send("POST", "api/playing", { id: crypto.randomUUID(), title: title.id }).catch(() => {});
}

function row(title) {
  const button = document.createElement("button");
  const about = document.createElement("small");
  about.textContent = title.state === "ready" ? (title.length ?? "") : title.state;
  button.append(title.name, about);
  button.disabled = title.state !== "ready";
  button.onclick = () => play(title);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

async function catalog() {
  const live = { id: 0, name: "Live", media: "live/main.m3u8", state: "ready" };
  for (let shown = ""; ; await pause(3000)) {
    try {
      const { titles } = await api("api/catalog");
      const all = [live, ...(titles ?? [])];
      if (shown !== JSON.stringify(all)) $("titles").replaceChildren(...all.map(row));
      shown = JSON.stringify(all);
      $("trouble").textContent = "";
    } catch (problem) {
      $("trouble").textContent = `The catalog: ${problem.message}`;
    }
  }
}

// Chat: see chat.go for what both sides keep to.
const outbox = new Map(); // messages that have not come back, by id
let seen = null; // the number of the last entry
let socket = null;

function line(id, text, name) {
  const item = $("chat").querySelector(`[data-id="${CSS.escape(id)}"]`) ?? document.createElement("li");
  item.dataset.id = id;
  const who = document.createElement("b");
  who.textContent = name ? `${name}: ` : "";
  item.replaceChildren(who, text);
  $("chat").append(item);
  $("chat").scrollTop = $("chat").scrollHeight;
  return item;
}

function entered(entry, me) {
  if (seen !== null && entry.seq <= seen) return;
  seen = entry.seq;
  const mine = entry.author === me;
  if (mine) outbox.delete(entry.id);
  line(mine ? entry.id : `${entry.author} ${entry.id}`, entry.body.text, entry.body.name).className = "";
}

async function chat(me) {
  for (;; await soon()) {
    const address = new URL("api/chat", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (seen !== null) address.searchParams.set("after", seen);
    const own = (socket = new WebSocket(address));
    own.onopen = () => {
      $("connection").textContent = "connected";
      for (const message of outbox.values()) own.send(JSON.stringify(message));
    };
    own.onmessage = ({ data }) => entered(JSON.parse(data), me);
    const { code } = await new Promise((closed) => (own.onclose = closed));
    if (code === 1008) outbox.delete(outbox.keys().next().value); // the first was refused: again would not help
    $("connection").textContent = "connecting again";
  }
}

$("say").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.replace(/[\x00-\x1f\x7f]/g, " ").trim();
  $("text").value = "";
  if (!text) return;
  const message = { id: crypto.randomUUID(), text };
  outbox.set(message.id, message);
  line(message.id, message.text).className = "waiting";
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
};

// An EventSource comes back by itself, with the number of the last event, unless
// it is answered by an error.
async function nowPlaying() {
  for (let last = ""; ; await soon()) {
    const events = new EventSource("api/playing" + (last && `?after=${last}`));
    events.addEventListener("playing", ({ data, lastEventId }) => {
      last = lastEventId;
      $("playing").textContent = `Now playing: ${JSON.parse(data).body.name}`;
    });
    await new Promise((ended) => {
      events.onerror = () => events.readyState === EventSource.CLOSED && ended();
    });
  }
}

function put({ method, url }, file) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.upload.onprogress = ({ loaded, total }) => ($("progress").value = loaded / total);
    request.onload = () => (request.status === 200 ? done() : failed(new Error(`the bucket answers ${request.status}`)));
    request.onerror = () => failed(new Error("the bucket cannot be reached"));
    request.send(file);
  });
}

async function again(attempts, what) {
  for (let n = 1; ; n++) {
    try {
      return await what();
    } catch (problem) {
      if (n === attempts) throw problem;
      await soon();
    }
  }
}

$("upload").onsubmit = async (event) => {
  event.preventDefault();
  const file = $("file").files[0];
  $("progress").hidden = false;
  $("uploaded").textContent = "";
  try {
    const ticket = await send("POST", "api/uploads", { name: $("title").value, size: file.size });
    await again(3, () => put(ticket, file));
    await again(5, () => send("POST", `api/uploads/${ticket.id}/done`));
    $("uploaded").textContent = "It is whole, and will be encoded.";
  } catch (problem) {
    $("uploaded").textContent = `Not uploaded: ${problem.message}`;
  }
  $("progress").hidden = true;
};

answers();
const { viewer } = await again(Infinity, () => api("api/session")); // first, so that there is one cookie
catalog();
chat(viewer);
nowPlaying();
