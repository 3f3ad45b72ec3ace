// Photos: the place where they are dropped, and the brush for masks.
import "/static/drop.js";
import { openBrush } from "/static/brush.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-brush]");
  if (button) openBrush(button.dataset);
});

// A caption that is being written is not replaced by a list or a card that has changed. A list waits for
// it; a card has changed elsewhere, which the studio says when the caption is sent.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  const typing = document.activeElement;
  const part = event.detail.elt;
  if (!part.matches("#photos, li.photo") || !typing?.matches("textarea") || !part.contains(typing)) return;
  if (typing.value === typing.defaultValue) return;
  event.preventDefault();
  if (part.id !== "photos") return;
  const changed = () => setTimeout(() => htmx.trigger(document.body, "photos-changed"), 500);
  typing.addEventListener("blur", changed, { once: true });
});
