// Insert: plates, the box, the horizon and the sun, each with the mouse or the keys; the live preview.
import { tell } from "/static/studio.js";
import { openBrush } from "/static/brush.js";

const form = document.getElementById("insertion");
const plates = document.getElementById("plates");
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// Plates that are dropped, or chosen.
if (plates) {
  plates.addEventListener("change", (event) => send([...event.target.files]));
  window.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    plates.classList.add("over");
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget || plates.classList.remove("over"));
  window.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    plates.classList.remove("over");
    send([...event.dataTransfer.files]);
  });
  // A plate that is taken out goes from the strip, and its bench with it; undoing that opens it anew.
  let taken;
  plates.addEventListener("click", (event) => {
    taken = event.target.closest(".remove")?.closest("li") ?? taken;
  });
  document.body.addEventListener("plates-changed", () => {
    if (taken?.matches(".here") && form) form.hidden = true;
    if (taken) taken.hidden = true; // htmx still needs the button in it
  });
}

/** Send plates one by one, then open the first of them; what was refused is told, and the rest is sent. */
async function send(files) {
  if (!files.length) return;
  const note = plates.querySelector(".sending");
  note.hidden = false;
  let [first, refused] = [null, 0];
  for (const file of files) {
    try {
      const plate = await sent(file);
      first ??= plate;
    } catch (error) {
      const said = error.message || plates.dataset.failed;
      tell(said.startsWith(`${file.name}: `) ? said : `${file.name}: ${said}`);
      refused += 1;
    }
  }
  note.hidden = true;
  if (!first) return;
  if (refused) await listAnew(); // on a new page what was told would be gone
  else location.href = `${plates.dataset.address}?plate=${encodeURIComponent(first)}`;
}

async function listAnew() {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  const list = page.querySelector("#plates ul");
  plates.querySelector("ul").replaceWith(list);
  htmx.process(list);
}

async function sent(file) {
  const batch = crypto.getRandomValues(new Uint32Array(2)).reduce((id, n) => id + n.toString(36), "").padEnd(8, "0");
  const headers = { "X-File-Name": encodeURIComponent(file.name), Accept: "text/plain" };
  const answer = await fetch(`${plates.dataset.address}/batch/${batch}`, { method: "PUT", body: file, headers });
  if (!answer.ok) throw new Error(await answer.text());
  return JSON.parse(answer.headers.get("X-Plate"));
}

// Before and after.
document.addEventListener("input", (event) => {
  const compare = event.target.closest(".compare");
  if (compare) compare.style.setProperty("--at", `${event.target.value}%`);
});

if (form) bench();

function bench() {
  const stage = document.getElementById("stage");
  const made = stage.querySelector(".made");
  const boxed = stage.querySelector(".box");
  const line = stage.querySelector(".horizon");
  const dial = form.querySelector(".sun");
  const words = form.querySelector(".state .words");
  const seen = form.querySelector(".seen");
  const [width, height] = [Number(form.dataset.width), Number(form.dataset.height)];
  const field = (name) => form.elements[name];
  const ranges = Object.fromEntries([...form.querySelectorAll("[data-for]")].map((one) => [one.dataset.for, one]));
  const LEAST = Math.min(24, width / 4, height / 4);
  let box = field("box").value.split(",").map(Number);
  let horizon = Number(field("horizon").value) || height * 0.45;

  // What is seen on the stage follows from these.
  function place() {
    const [left, top, wide, high] = box;
    boxed.style.left = `${(100 * left) / width}%`;
    boxed.style.top = `${(100 * top) / height}%`;
    boxed.style.width = `${(100 * wide) / width}%`;
    boxed.style.height = `${(100 * high) / height}%`;
    boxed.hidden = form.elements.by.value === "mask";
    const share = clamp((100 * horizon) / height, 0, 100);
    line.style.top = `${share}%`;
    line.setAttribute("aria-valuenow", Math.round(share));
    field("box").value = box.map(Math.round).join(",");
    for (const range of form.querySelectorAll("input[type=range]")) {
      const value = range.dataset.unit === "%" ? Math.round(100 * range.value) : range.value;
      range.previousElementSibling.querySelector("output").textContent = value + range.dataset.unit;
    }
    const radians = (ranges.light_azimuth_degrees.value * Math.PI) / 180;
    const away = (88 * (90 - ranges.light_elevation_degrees.value)) / 90;
    const [x, y] = [away * Math.cos(radians), -away * Math.sin(radians)];
    for (const [part, names] of [[".knob", ["cx", "cy"]], [".ray", ["x2", "y2"]]]) {
      dial.querySelector(part).setAttribute(names[0], x);
      dial.querySelector(part).setAttribute(names[1], y);
    }
  }

  // The preview: one is asked for at a time, and the newest wish after it.
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  let isAsking = false;
  let isWanted = false;
  let isWarm = false;
  async function ask() {
    if (isAsking) {
      isWanted = true;
      return;
    }
    [isAsking, isWanted] = [true, false];
    words.textContent = isWarm ? form.dataset.drawing : form.dataset.warming;
    form.classList.add("busy");
    const begun = performance.now();
    try {
      const body = new URLSearchParams(new FormData(form));
      body.set("page", page);
      const answer = await fetch(form.dataset.preview, { method: "POST", body, headers: { Accept: "text/plain" } });
      if (!answer.ok) throw new Error(await answer.text());
      if (answer.status === 200) {
        isWarm = true;
        await show(await answer.blob(), JSON.parse(answer.headers.get("X-Preview")));
        form.dataset.took = Math.round(performance.now() - begun);
        words.textContent = "";
      }
    } catch (error) {
      words.textContent = error.message || document.body.dataset.lost;
      made.hidden = true;
    }
    isAsking = false;
    form.classList.toggle("busy", isWanted);
    if (isWanted) ask();
  }

  async function show(blob, told) {
    const next = URL.createObjectURL(blob);
    const image = new Image();
    image.src = next;
    await image.decode();
    if (made.src) URL.revokeObjectURL(made.src);
    made.src = next;
    made.hidden = false;
    if (!field("horizon").value && !line.classList.contains("held")) horizon = told.horizon;
    const light = { azimuth: told.light.azimuth_degrees, elevation: told.light.elevation_degrees, hardness: told.light.hardness };
    for (const [name, key] of [["azimuth", "light_azimuth_degrees"], ["elevation", "light_elevation_degrees"], ["hardness", "light_hardness"]])
      if (!field(key).value && light[name] !== undefined) ranges[key].value = name === "azimuth" ? Math.round(light[name]) % 360 : light[name];
    seen.textContent = form.dataset.shown.replace("NAME", told.photo);
    place();
  }

  let waiting;
  function changed(soon = 60) {
    place();
    clearTimeout(waiting);
    waiting = setTimeout(ask, soon);
  }

  /** Follows a pointer from its press on; `begin` gives a function of where it has moved, in shares of the stage. */
  function drag(element, begin) {
    element.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      element.focus?.();
      const moved = begin(event);
      element.setPointerCapture(event.pointerId);
      element.classList.add("held");
      if (matchMedia("(hover: hover)").matches) stage.classList.add("used"); // the box hides when nobody is at it
      const move = (at) => {
        moved(at);
        changed();
      };
      const end = () => {
        element.classList.remove("held");
        element.removeEventListener("pointermove", move);
        changed(0);
      };
      element.addEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, end, { once: true });
    });
  }

  function resize(left, top, right, bottom) {
    box = [left, top, right - left, bottom - top];
  }
  function moveBy(dx, dy, from = box) {
    box = [clamp(from[0] + dx, 0, width - from[2]), clamp(from[1] + dy, 0, height - from[3]), from[2], from[3]];
  }
  function growBy(share) {
    const [left, top, wide, high] = box;
    const factor = clamp(share, Math.max(LEAST / wide, LEAST / high), Math.min(width / wide, (top + high) / high));
    const next = wide * factor;
    const x = clamp(left + (wide - next) / 2, 0, width - next);
    box = [x, top + high - high * factor, next, high * factor]; // it stays standing where it stands
  }

  drag(boxed, (press) => {
    const from = [...box];
    const scale = width / stage.clientWidth;
    const way = press.target.dataset?.way;
    return (event) => {
      const [dx, dy] = [(event.clientX - press.clientX) * scale, (event.clientY - press.clientY) * scale];
      if (!way) return moveBy(dx, dy, from);
      let [left, top, right, bottom] = [from[0], from[1], from[0] + from[2], from[1] + from[3]];
      if (way.includes("w")) left = clamp(left + dx, 0, right - LEAST);
      else right = clamp(right + dx, left + LEAST, width);
      if (way.includes("n")) top = clamp(top + dy, 0, bottom - LEAST);
      else bottom = clamp(bottom + dy, top + LEAST, height);
      resize(left, top, right, bottom);
    };
  });
  boxed.addEventListener("keydown", (event) => {
    const step = (event.shiftKey ? 0.002 : 0.01) * Math.max(width, height);
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (way) moveBy(...way);
    else if (event.key === "+" || event.key === "=") growBy(1.05);
    else if (event.key === "-") growBy(1 / 1.05);
    else return;
    event.preventDefault();
    changed(150);
    words.textContent = form.dataset.place.replace("X", Math.round((100 * (box[0] + box[2] / 2)) / width))
      .replace("Y", Math.round((100 * (box[1] + box[3])) / height)).replace("H", Math.round((100 * box[3]) / height));
  });

  function setHorizon(value) {
    horizon = clamp(value, 0, height);
    field("horizon").value = Math.round(horizon);
  }
  drag(line, (press) => {
    const from = horizon;
    const scale = height / stage.clientHeight;
    return (event) => setHorizon(from + (event.clientY - press.clientY) * scale);
  });
  line.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -0.01, ArrowDown: 0.01, PageUp: -0.1, PageDown: 0.1 }[event.key];
    if (!step) return;
    event.preventDefault();
    setHorizon(horizon + step * height);
    changed(150);
  });

  drag(dial, () => (event) => {
    const area = dial.getBoundingClientRect();
    const x = ((event.clientX - area.left) / area.width) * 200 - 100;
    const y = 100 - ((event.clientY - area.top) / area.height) * 200;
    const degrees = Math.round((Math.atan2(y, x) * 180) / Math.PI + 360) % 360;
    const elevation = clamp(Math.round(90 - (90 * Math.hypot(x, y)) / 88), 5, 90);
    given("light_azimuth_degrees", degrees);
    given("light_elevation_degrees", elevation);
  });
  function given(name, value) {
    ranges[name].value = value;
    field(name).value = value;
  }

  form.addEventListener("input", (event) => {
    const name = event.target.dataset.for;
    if (name) field(name).value = event.target.value;
    changed();
  });
  form.querySelector("[data-reset]").addEventListener("click", () => {
    for (const name of ["horizon", ...Object.keys(ranges)]) field(name).value = "";
    changed(0);
  });
  form.querySelector("[data-brush]").addEventListener("click", (event) => openBrush(event.target.dataset));
  document.body.addEventListener("place-drawn", () => {
    const painted = form.querySelector("[name=by][value=mask]");
    painted.disabled = false;
    painted.checked = true;
    const button = form.querySelector("[data-brush]");
    const plate = encodeURIComponent(field("plate").value.replace(/\.[^.]+$/, ""));
    button.dataset.mask = button.dataset.photo.replace(/plate\/[^/]*$/, `place/${plate}.png`);
    changed(0);
  });
  place();
  ask();
}
