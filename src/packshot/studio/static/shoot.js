// Shoot: two pictures side by side.
const dialog = document.getElementById("side-by-side");
const chosen = () => [...document.querySelectorAll(".compared:checked")];

document.addEventListener("change", (event) => {
  if (!event.target.matches(".compared")) return;
  const more = chosen().filter((one) => one !== event.target);
  if (event.target.checked && more.length > 1) more[0].checked = false;
  document.querySelector("[data-do=side]").disabled = chosen().length !== 2;
});

document.addEventListener("click", (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (what === "close") dialog.close();
  if (what !== "side") return;
  dialog.querySelector(".two").replaceChildren(
    ...chosen().map((one) => {
      const figure = document.createElement("figure");
      const image = document.createElement("img");
      image.src = one.dataset.src;
      image.alt = one.dataset.text;
      const words = document.createElement("figcaption");
      words.textContent = one.dataset.text;
      words.lang = "en";
      figure.append(image, words);
      return figure;
    }),
  );
  dialog.showModal();
});
