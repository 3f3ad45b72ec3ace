// Choose: a point of the plot shows the pictures behind it.
function show(point) {
  for (const one of document.querySelectorAll("[data-behind]")) one.hidden = one.dataset.behind !== point.dataset.point;
  for (const one of document.querySelectorAll("[data-point]")) one.setAttribute("aria-pressed", one === point);
}

document.addEventListener("click", (event) => {
  const point = event.target.closest("[data-point]");
  if (point) show(point);
});
document.addEventListener("keydown", (event) => {
  const point = event.target.closest?.("[data-point]");
  if (!point || (event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  show(point);
});
