// Pictures open whole, wide ones can be scrolled on a phone, and long names break at their dots.

document.addEventListener("DOMContentLoaded", () => {
  // of pictures within the page, as the map of a product, browsers open none alone
  for (const picture of document.querySelectorAll('.bd-article img:not([src^="data:"])')) {
    let link = picture.closest("a");
    if (!link) {
      link = document.createElement("a");
      picture.replaceWith(link);
      link.append(picture);
      link.href = picture.src;
    }
    link.title = "Open the picture alone";
    const wide = () => link.classList.toggle("wide-picture", picture.naturalWidth >= 700);
    if (picture.complete) wide();
    else picture.addEventListener("load", wide);
  }
  for (const name of document.querySelectorAll(".bd-sidebar-primary .toctree-l2 > a"))
    name.replaceChildren(
      ...name.textContent
        .trim()
        .split(/(?<=[._])/)
        .flatMap((part) => [part, document.createElement("wbr")]),
    );
});
