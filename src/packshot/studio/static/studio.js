// What all pages share: notices that go away, what other pages have changed, and what is said when the
// studio does not answer.
const notices = document.getElementById("notices");
const LINGER = 8000;

document.addEventListener("click", (event) => {
  const dismiss = event.target.closest("[data-dismiss]:not([hx-post])");
  if (dismiss) dismiss.closest(".notice")?.remove();
});
// What posts is kept until its answer has come: htmx looks for the answer's place from there. What was
// refused, as while the project is at work, stays, to be tried again.
document.addEventListener("htmx:afterRequest", ({ target, detail: { successful } }) => {
  const notice = target.matches?.("[data-dismiss]") && target.closest(".notice");
  if (notice && successful) setTimeout(() => notice.remove(), 0);
  else if (notice) notice.dataset.kept = "";
});

new MutationObserver((changes) => {
  for (const change of changes)
    for (const node of change.addedNodes) {
      if (node.matches?.(".notice.done")) setTimeout(() => fade(node), LINGER);
      if (node.matches?.(".notice.fault")) withoutSame(node);
    }
}).observe(notices, { childList: true });

// The page can be scrolled on until its end, where the way on is, shows above them.
new ResizeObserver(() => document.body.style.setProperty("--notices", `${notices.offsetHeight}px`)).observe(notices);

// What is refused again is said once, the last time.
function withoutSame(node) {
  for (const other of [...notices.children])
    if (other !== node && other.matches(".fault") && other.textContent === node.textContent) other.remove();
}

function fade(node) {
  if ("kept" in node.dataset) return;
  if (node.matches(":hover, :focus-within")) setTimeout(() => fade(node), LINGER);
  else node.remove();
}

// What is being written or pressed, and what has been sent and is not answered, is not replaced by what comes
// meanwhile: a part asks again later. A card has changed elsewhere, which the studio says when what was written is sent.
const WRITTEN = "textarea, input:not([type]), input[type=text], input[type=number]";
let pressed = null; // a button that goes between its press and its release is not clicked
document.addEventListener("pointerdown", ({ target }) => (pressed = target));
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => setTimeout(() => (pressed = null)));
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { elt: part, target, requestConfig: { verb, path } } = detail;
  if (verb !== "get") return;
  const ask = () => setTimeout(() => htmx.ajax("GET", path, { source: part, target }), 500);
  const sent = target.querySelector("[hx-post].htmx-request");
  const written = target.contains(document.activeElement) && document.activeElement;
  const isWritten = written && written.matches(WRITTEN) && written.value !== written.defaultValue;
  const isPressed = target.contains(pressed) && pressed.closest("button, a, summary, label");
  if (!sent && !isWritten && !isPressed) return;
  detail.shouldSwap = false;
  if (isPressed) ask();
  else if (sent) sent.addEventListener("htmx:afterRequest", ask, { once: true });
  else if (!part.matches("li")) written.addEventListener("blur", ask, { once: true });
});

// A job's strip comes with every step of any job: what it says already stays, or an alert would be read anew.
const said = new WeakMap();
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { target, serverResponse } = detail;
  if (!target.matches(".strip") || !detail.shouldSwap) return;
  if (said.get(target) === serverResponse) detail.shouldSwap = false;
  else said.set(target, serverResponse);
});

// A fold that is open stays open, and a row that is scrolled where it was.
document.body.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  const open = [...target.querySelectorAll("details[id][open]")].map((fold) => fold.id);
  const reopen = () => open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  if (open.length) target.addEventListener("htmx:afterSwap", reopen, { once: true });
  const rows = [...target.querySelectorAll(".film[id]")].map(({ id, scrollLeft }) => [id, scrollLeft]);
  const scroll = () => rows.forEach(([id, left]) => document.getElementById(id)?.scrollTo({ left, behavior: "instant" }));
  if (rows.length) target.addEventListener("htmx:afterSwap", scroll, { once: true });
});

// In a narrow window the steps are a row that is longer than it.
document.querySelector(".steps [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

/** Shows a message of the server's. */
export function show(html) {
  htmx.swap(notices, html, { swapStyle: "beforeend" });
}

/** Shows a message that is not the server's. */
export function tell(text, kind = "fault") {
  const node = document.createElement("div");
  node.className = `notice ${kind}`;
  if (kind === "fault") node.setAttribute("role", "alert");
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.className = "close";
  close.dataset.dismiss = "";
  close.setAttribute("aria-label", document.body.dataset.close);
  close.textContent = "×";
  node.append(words, close);
  notices.append(node);
}

let isTold = false;
document.body.addEventListener("htmx:sendError", () => {
  if (!isTold) tell(document.body.dataset.lost);
  isTold = true;
});

/** This page among those that are open: it does not hear of its own changes. */
export const here = crypto.getRandomValues(new Uint32Array(2)).join("-");
document.body.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-Page"] = here;
});

/** What has changed, told by the studio to this page while it is seen.
 *
 * A browser has six connections to a server, for all tabs: those in the background leave theirs to others,
 * and ask for all they show when they are seen again (as after a stream that broke off). */
class Stream extends EventTarget {
  #source = null;
  #names = new Set();
  #seen = new AbortController();

  constructor(address) {
    super();
    this.address = address;
    this.#follow();
    document.addEventListener("visibilitychange", () => this.#follow(), { signal: this.#seen.signal });
  }

  get readyState() {
    return this.#source?.readyState ?? EventSource.CONNECTING;
  }

  #follow() {
    if (document.hidden) {
      this.#source?.close();
      this.#source = null;
    } else if (!this.#source) {
      this.#source = new EventSource(this.address);
      this.#source.onopen = (event) => this.onopen?.(event);
      this.#source.onerror = (event) => {
        if (this.readyState === EventSource.CLOSED) this.close(); // it is followed by another
        this.onerror?.(event);
      };
      for (const name of this.#names) this.#forward(name);
    }
  }

  #forward(name) {
    this.#source.addEventListener(name, ({ type, data }) => this.dispatchEvent(new MessageEvent(type, { data })));
  }

  addEventListener(name, ...rest) {
    super.addEventListener(name, ...rest);
    if (this.#names.has(name)) return;
    this.#names.add(name);
    if (this.#source) this.#forward(name);
  }

  close() {
    this.#seen.abort();
    this.#source?.close();
  }
}
htmx.createEventSource = (address) => new Stream(address);

const heard = new WeakSet();
let isFirst = true;
document.body.addEventListener("htmx:sseOpen", ({ detail: { source } }) => {
  isTold = false;
  if (!heard.has(source)) source.addEventListener("changed", (event) => hear(event.data));
  heard.add(source);
  if (!isFirst) htmx.trigger(document.body, "reconnected"); // what was told in between was not heard
  isFirst = false;
});

function hear(content) {
  const [page, project, ...events] = content.split(" ");
  const isOfHere = project === "-" || location.pathname.startsWith(`/p/${project}/`);
  if (page !== here && isOfHere) for (const name of events) htmx.trigger(document.body, name);
}
