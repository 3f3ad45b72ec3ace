// Photos: the place where they are dropped, and the brush for masks.
import "/static/drop.js";
import { openBrush } from "/static/brush.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-brush]");
  if (button) openBrush(button.dataset);
});
