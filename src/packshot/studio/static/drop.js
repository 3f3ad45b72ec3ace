// The place where files are dropped or chosen: they are sent one by one, then taken in together.
import { tell } from "/static/studio.js";

const drop = document.getElementById("drop");
const sending = drop.querySelector(".sending");

for (const input of drop.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => sendChosen(input));
  setTimeout(() => sendChosen(input)); // what was chosen before this script had come
}
function sendChosen(input) {
  const files = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  input.value = "";
  return send(files);
}

let depth = 0; // dragenter and dragleave come for each child, too
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
window.addEventListener("dragenter", (event) => {
  if (!holdsFiles(event)) return;
  depth += 1;
  drop.classList.add("over");
});
window.addEventListener("dragleave", (event) => {
  if (holdsFiles(event) && --depth <= 0) drop.classList.remove("over");
});
window.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
window.addEventListener("drop", async (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  depth = 0;
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  await send((await Promise.all(entries.map((entry) => within(entry)))).flat());
});

/** The files of a dropped entry, a folder's at every level. */
async function within(entry, before = "") {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, name: before + file.name }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break; // it gives a hundred at a time
    for (const one of some) found.push(...(await within(one, `${before}${entry.name}/`)));
  }
  return found;
}

// What has not arrived when the page goes is lost: the browser asks first.
window.addEventListener("beforeunload", (event) => sending.hidden || event.preventDefault());

let queue = Promise.resolve();
function send(files) {
  // What goes wrong with one batch is told, and the next one is sent all the same.
  if (files.length) queue = queue.then(() => sendBatch(files)).catch(() => tell(drop.dataset.failed));
  return queue;
}

async function sendBatch(files) {
  const batch = crypto.getRandomValues(new Uint32Array(3)).reduce((id, n) => id + n.toString(36), "");
  const address = drop.dataset.address + batch.padEnd(8, "0");
  const whole = files.reduce((sum, { file }) => sum + file.size, 0) || 1;
  let before = 0;
  const faults = [];
  sending.hidden = false;
  for (const [index, { file, name }] of files.entries()) {
    sending.querySelector("p").textContent = `${drop.dataset.sending} ${index + 1} / ${files.length} · ${name}`;
    const fault = await put(`${address}/file`, file, name, (sent) => {
      sending.querySelector("progress").value = (before + sent) / whole;
    });
    if (fault) faults.push(`${name}: ${fault}`);
    before += file.size;
  }
  sending.hidden = true;
  if (faults.length) tell(faults.join("\n")); // of a folder, or a network that is gone, there may be thousands
  if (faults.length === files.length) return;
  const answer = await fetch(`${address}/take`, { method: "POST", headers: { Accept: "text/plain" } });
  if (!answer.ok) tell((await answer.text()) || drop.dataset.failed);
}

/** Sends one file; returns what was wrong, if anything was. */
function put(address, file, name, progressed) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far it is
    request.open("PUT", address);
    request.setRequestHeader("X-File-Name", encodeURIComponent(name));
    request.setRequestHeader("Accept", "text/plain");
    request.upload.onprogress = (event) => progressed(event.loaded);
    request.onload = () => resolve(request.status < 300 ? "" : request.responseText || drop.dataset.failed);
    request.onerror = () => resolve(drop.dataset.failed);
    request.send(file);
  });
}
