// Plan: what the position of the slider buys and needs, from the numbers that came with it.
const GIBIBYTE = 2 ** 30;

/** Seconds as the pages write them: "45 s", "3 min 20 s", "1 h 05 min". */
function duration(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

const shown = {
  seconds: duration,
  steps: String,
  resolution: String,
  share: (part) => `${Math.round(part * 100)} %`,
  bytes: (bytes) => `${(bytes / GIBIBYTE).toFixed(1)} GiB`,
  disk_bytes: (bytes) => `${(bytes / GIBIBYTE).toFixed(1)} GiB`,
};

document.addEventListener("input", (event) => {
  if (event.target.id !== "at") return;
  const part = event.target.closest(".budget");
  const choice = JSON.parse(part.dataset.choices)[event.target.value];
  for (const place of part.querySelectorAll("[data-show]"))
    place.textContent = shown[place.dataset.show](choice[place.dataset.show]);
  event.target.setAttribute("aria-valuetext", duration(choice.seconds));
  const short = { bytes: Number(part.dataset.free), disk_bytes: Number(part.dataset.freeDisk) };
  for (const [name, free] of Object.entries(short))
    part.querySelector(`[data-show=${name}]`).classList.toggle("fault", choice[name] > free);
});

// What was refused is not in the plan: its field shows again what is.
document.addEventListener("htmx:afterRequest", ({ target, detail }) => {
  if (target.matches?.("form.takes-back") && detail.xhr.status >= 400) target.reset();
});
