// The brush: a photo under its mask, painted with the mouse, a pen, a finger, or the keys.
import { show, tell } from "/static/studio.js";

const dialog = document.getElementById("brush");
const canvas = dialog.querySelector("canvas");
const paint = canvas.getContext("2d");
const fault = dialog.querySelector(".fault"); // notices lie behind the dialog, and nobody can reach them there
const LONGEST = 1280;
const STEPS_KEPT = 30;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let photo, mask, address, past, future, last, cursor;

const field = (name) => dialog.querySelector(`[name=${name}]:checked, [name=${name}][type=range]`).value;
const button = (name) => dialog.querySelector(`[data-do=${name}]`);

/** Opens the brush over a photo: its address, its mask's, its size, and where the mask goes. */
export async function openBrush({ brush, photo: photoAddress, mask: maskAddress, width, height }) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  address = brush;
  [past, future, last] = [[], [], null];
  cursor = { x: canvas.width / 2, y: canvas.height / 2 };
  mask = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const ink = mask.getContext("2d", { willReadFrequently: true });
  ink.fillStyle = "#000";
  ink.fillRect(0, 0, mask.width, mask.height);
  try {
    photo = await load(photoAddress);
    if (maskAddress) ink.drawImage(await load(`${maskAddress}?${Date.now()}`), 0, 0, mask.width, mask.height);
  } catch {
    tell(dialog.dataset.failed);
    return;
  }
  fault.textContent = "";
  dialog.showModal();
  canvas.focus();
  draw();
}

function load(source) {
  const image = new Image();
  image.src = source;
  return image.decode().then(() => image);
}

/** The photo, darker where it is not the product, with an edge in colour; and the brush. */
function draw() {
  const { width, height } = canvas;
  paint.drawImage(photo, 0, 0, width, height);
  const veil = new OffscreenCanvas(width, height);
  const over = veil.getContext("2d");
  const pixels = mask.getContext("2d").getImageData(0, 0, width, height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const out = 255 - pixels.data[i];
    pixels.data[i] = 150;
    pixels.data[i + 1] = 20;
    pixels.data[i + 2] = 60;
    pixels.data[i + 3] = out * 0.62;
  }
  over.putImageData(pixels, 0, 0);
  paint.drawImage(veil, 0, 0);
  paint.lineWidth = 3;
  for (const [style, radius] of [["#000a", 1.5], ["#fff", 0]]) {
    paint.strokeStyle = style;
    paint.beginPath();
    paint.arc(cursor.x, cursor.y, Number(field("size")) / 2 + radius, 0, 7);
    paint.stroke();
    paint.lineWidth = 1.5;
  }
  button("undo").disabled = !past.length;
  button("redo").disabled = !future.length;
}

const snapshot = () => mask.getContext("2d").getImageData(0, 0, mask.width, mask.height);

function begin() {
  past.push(snapshot());
  if (past.length > STEPS_KEPT) past.shift();
  future = [];
}

function stroke(from, to) {
  const ink = mask.getContext("2d");
  ink.strokeStyle = field("tool") === "add" ? "#fff" : "#000";
  ink.lineWidth = Number(field("size"));
  ink.lineCap = "round";
  ink.beginPath();
  ink.moveTo(from.x, from.y);
  ink.lineTo(to.x + 0.01, to.y);
  ink.stroke();
}

const at = (event) => ({
  x: (event.offsetX * canvas.width) / canvas.clientWidth,
  y: (event.offsetY * canvas.height) / canvas.clientHeight,
});

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  begin();
  last = at(event);
  stroke(last, last);
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  cursor = at(event);
  if (last) {
    stroke(last, cursor);
    last = cursor;
  }
  draw();
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (last = null));

canvas.addEventListener("keydown", (event) => {
  const way = KEYS[event.key];
  if (way) {
    const far = event.shiftKey ? 40 : 8;
    const before = { ...cursor };
    cursor.x = Math.min(canvas.width, Math.max(0, cursor.x + way[0] * far));
    cursor.y = Math.min(canvas.height, Math.max(0, cursor.y + way[1] * far));
    if (last) stroke(before, cursor);
  } else if (event.key === " ") {
    if (!event.repeat) {
      begin();
      last = cursor;
      stroke(cursor, cursor);
    }
  } else if (event.key === "[" || event.key === "]") {
    const size = dialog.querySelector("[name=size]");
    size.value = Number(size.value) + (event.key === "]" ? 6 : -6);
  } else return;
  event.preventDefault();
  draw();
});
canvas.addEventListener("keyup", (event) => event.key === " " && (last = null));

dialog.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    event.preventDefault();
    step(event.shiftKey ? "redo" : "undo");
  }
});
dialog.addEventListener("input", draw);

function step(which) {
  const [from, to] = which === "undo" ? [past, future] : [future, past];
  if (!from.length) return;
  to.push(snapshot());
  mask.getContext("2d").putImageData(from.pop(), 0, 0);
  draw();
}

dialog.addEventListener("click", async (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (what === "undo" || what === "redo") step(what);
  if (what === "cancel") dialog.close();
  if (what === "save") await save();
});

async function save() {
  fault.textContent = "";
  const drawn = await new Promise((resolve) => mask.toBlob(resolve, "image/png"));
  const sent = fetch(address, { method: "PUT", body: drawn, headers: { Accept: "text/plain" } });
  const answer = await sent.catch(() => null);
  if (!answer?.ok) {
    fault.textContent = answer ? (await answer.text()) || dialog.dataset.failed : document.body.dataset.lost;
    return;
  }
  dialog.close();
  show(await answer.text());
  const name = answer.headers.get("HX-Trigger");
  if (name) htmx.trigger(document.body, name);
}
