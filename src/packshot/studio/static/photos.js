// Photos: the place where they are dropped, and the brush for masks.
import "/static/drop.js";
import { openBrush } from "/static/brush.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-brush]");
  if (button) openBrush(button.dataset);
});

// A caption that is being written is not replaced by a list that has changed: the list waits for it.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  const typing = document.activeElement;
  if (event.detail.elt.id !== "photos" || !typing?.matches("#photos textarea")) return;
  if (typing.value === typing.defaultValue) return;
  event.preventDefault();
  const changed = () => setTimeout(() => htmx.trigger(document.body, "photos-changed"), 500);
  typing.addEventListener("blur", changed, { once: true });
});
