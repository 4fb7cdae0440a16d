const live = () => document.getElementById("live");
const say = (words) => { const state = document.getElementById("live-state"); if (state) state.textContent = words; };
const AWAY = "the board does not answer", NO_LEDGER = "the ledger cannot be read now";
let ended = "";  // why this page follows the lab no more
const sayLive = () => say(ended || "live");
function refused(status) {
  if (status >= 500) { say(NO_LEDGER); return; }
  ended = status === 404 ? "this is no longer in the lab" : status === 403 ? "the board asks for its link again" : "load this page again";
  say(ended);
}

// A part is replaced only if it differs, so that what is being read, typed or unfolded stays.
const typing = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

function follow(next) {
  const parts = (page) => [...page.querySelectorAll("main > section, #head")];
  const fresh = parts(next);
  if (fresh.map((one) => one.id).join() !== parts(document).map((one) => one.id).join()) {
    const main = document.querySelector("main");
    if (typing(main)) return;
    document.getElementById("head").replaceWith(next.querySelector("#head"));
    main.replaceWith(next.querySelector("main"));
    for (const one of parts(document)) shown.set(one.id, one.outerHTML);
    prepare(document.querySelector("main"));
    return;
  }
  for (const one of fresh) {
    const old = document.getElementById(one.id);
    if (shown.get(one.id) === one.outerHTML || typing(old)) continue;
    const opened = [...old.querySelectorAll("details")].map((part) => part.open);
    const scrolled = [...old.querySelectorAll(".scroll, pre.output")].map((part) => [part.scrollLeft, part.scrollTop]);
    const ticked = [...old.querySelectorAll("input[type=checkbox]:checked")].map((box) => `${box.name}=${box.value}`);
    shown.set(one.id, one.outerHTML);
    old.replaceWith(one);
    one.querySelectorAll("input[type=checkbox]").forEach((box) => { box.checked ||= ticked.includes(`${box.name}=${box.value}`); });
    prepare(one);
    one.querySelectorAll("details").forEach((part, place) => { part.open = opened[place] ?? part.open; });
    one.querySelectorAll(".scroll, pre.output").forEach((part, place) => {
      if (scrolled[place]) [part.scrollLeft, part.scrollTop] = scrolled[place];
    });
  }
}

// What a page takes to be drawn is taken from trainings on the same machine: at most a fiftieth of the time goes into it,
// unless it would be older than half a minute.
const LEAST = 4000, MOST = 30000, PART = 50;
let asked = 0, pause = LEAST, wanted = false, busy = false;
async function refresh() {
  if (ended) return;
  if (busy || document.hidden) { wanted = true; return; }
  const rest = pause - (Date.now() - asked);
  if (rest > 0) { wanted = true; setTimeout(() => wanted && refresh(), rest); return; }
  wanted = false; busy = true; asked = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Follow": "1" } });
    if (answer.ok) {
      pause = Math.min(MOST, Math.max(LEAST, PART * Number(answer.headers.get("X-Took"))));
      follow(new DOMParser().parseFromString(await answer.text(), "text/html"));
      say(`as of ${new Date().toLocaleTimeString()}`);
    } else { wanted = answer.status >= 500; refused(answer.status); }
  } catch { wanted = true; say(AWAY); }
  busy = false;
  if (wanted) refresh();  // what changed while the page was on its way, and what could not be had
}
document.addEventListener("visibilitychange", () => { if (!document.hidden && wanted) refresh(); });

function poll() {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/api/v1/version");
      if (!answer.ok) { refused(answer.status); return; }
      const told = await answer.json();
      if (told.version !== live().dataset.version) { live().dataset.version = told.version; refresh(); }
      else sayLive();
    } catch { say(AWAY); }
  }, 3000);
}

if (live()) {
  if (window.EventSource) {
    const events = new EventSource("/events");
    events.addEventListener("version", (event) => {
      if (event.data !== live().dataset.version) { live().dataset.version = event.data; refresh(); }
      sayLive();
    });
    events.addEventListener("away", () => say(NO_LEDGER));
    let polling = false;
    events.onerror = () => {
      say(AWAY);
      if (events.readyState === EventSource.CLOSED && !polling) { polling = true; poll(); }
    };
  } else poll();
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("form.choose");
  if (form && event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
});

document.addEventListener("input", (event) => {
  if (event.target.matches("input[type=range]")) event.target.closest("label").querySelector("output").textContent = event.target.value;
});

// Zoom: drag over a plot to choose a stretch; the address then holds it.
document.addEventListener("pointerdown", (start) => {
  const plot = start.target.closest("svg.plot");
  if (!plot || start.button !== 0) return;
  const box = plot.getBoundingClientRect();
  const { left, right, low, high } = plot.dataset;
  if (left === undefined) return;
  const scale = box.width / plot.viewBox.baseVal.width;
  const value = (event) => {
    const share = ((event.clientX - box.left) / scale - left) / (right - left);
    return Number(low) + Math.min(1, Math.max(0, share)) * (high - low);
  };
  document.addEventListener("pointerup", (end) => {
    const [a, b] = [value(start), value(end)].sort((x, y) => x - y);
    if (b - a < (high - low) / 50) return;
    const form = plot.closest("section").querySelector("form.choose");
    form.elements.from.value = a.toPrecision(4);
    form.elements.to.value = b.toPrecision(4);
    form.requestSubmit();
  }, { once: true });
});
