/* The slice viewer: wheel, slider and arrow keys step through the same addresses that its links lead to. */
"use strict";

(() => {
  const viewer = document.querySelector("#viewer");
  const figures = [...(viewer?.querySelectorAll(".plane") ?? [])];
  if (!figures.length) return;
  const AHEAD = 4; // slices fetched before they are asked for, in both directions
  const WHEEL = 24; // pixels of a wheel that make a slice
  const kept = new Map(); // pictures by address, so that going back asks for nothing

  const fetchPicture = (address) => {
    if (!kept.has(address)) {
      const picture = new Image();
      picture.src = address;
      kept.set(address, picture);
    }
    return kept.get(address);
  };

  const planes = figures.map((figure) => {
    const { pattern, plane: name } = figure.dataset;
    const count = Number(figure.dataset.count);
    let index = Number(figure.dataset.index);
    let travelled = 0;
    let wanted = 0;
    const image = figure.querySelector("img");
    const place = figure.querySelector("output");
    const address = (at) => pattern.replace("{index}", String(at));

    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0, max: count - 1, step: 1, value: index });
    slider.setAttribute("aria-label", figure.querySelector("figcaption").getAttribute("aria-label"));
    slider.setAttribute("aria-valuetext", `${index + 1} of ${count}`);
    figure.querySelector(".steps").replaceChildren(slider);

    const show = async (next) => {
      next = Math.min(Math.max(next, 0), count - 1);
      if (next === index) return;
      const way = Math.sign(next - index);
      index = next;
      slider.value = String(index);
      slider.setAttribute("aria-valuetext", `${index + 1} of ${count}`);
      place.textContent = String(index + 1);
      const turn = ++wanted;
      const picture = fetchPicture(address(index));
      try { await picture.decode(); } catch { kept.delete(address(index)); }
      if (turn !== wanted) return;
      image.src = address(index);
      image.alt = image.alt.replace(/\d+ of/, `${index + 1} of`);
      figure.dataset.index = String(index);
      remember();
      for (let ahead = 1; ahead <= AHEAD; ahead += 1) {
        const at = index + way * ahead;
        if (at >= 0 && at < count) fetchPicture(address(at));
      }
    };

    slider.addEventListener("input", () => show(Number(slider.value)));
    slider.addEventListener("keydown", (event) => {
      const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[event.key];
      if (by) { event.preventDefault(); event.stopPropagation(); show(index + by); }
    });
    figure.addEventListener("wheel", (event) => {
      if (event.ctrlKey) return;
      event.preventDefault();
      travelled += event.deltaMode === 0 ? event.deltaY : event.deltaY * WHEEL;
      const slices = Math.trunc(travelled / WHEEL);
      travelled -= slices * WHEEL;
      if (slices) show(index - Math.sign(slices) * Math.min(Math.abs(slices), 5));
    }, { passive: false });
    const live = () => planes.forEach((one) => one.figure.classList.toggle("is-live", one.figure === figure));
    figure.addEventListener("pointerenter", live);
    figure.addEventListener("focusin", live);
    figure.addEventListener("pointerleave", () => figure.classList.toggle("is-live", figure.contains(document.activeElement)));
    return { figure, name, at: () => index, show, slider };
  });

  /* The address says what is shown; the links to windows keep the slices. */
  let waiting = 0;
  const remember = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const here = new URL(location.href);
      for (const plane of planes) here.searchParams.set(plane.name, String(plane.at()));
      history.replaceState(history.state, "", here);
      for (const link of viewer.querySelectorAll("[data-window]")) {
        const there = new URL(link.href);
        for (const plane of planes) there.searchParams.set(plane.name, String(plane.at()));
        link.href = there.href;
      }
    }, 150);
  };

  /* Arrows belong to the plane under the pointer or in focus; elsewhere they scroll the page. */
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog[open]")) return;
    const plane = planes.find((one) => one.figure.classList.contains("is-live"));
    const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
    if (by && plane) {
      event.preventDefault();
      plane.show(plane.at() + by);
    } else if (/^[1-9]$/.test(event.key)) {
      viewer.querySelectorAll(".series-tabs a")[Number(event.key) - 1]?.click();
    } else if (event.key === "w") {
      const windows = [...viewer.querySelectorAll("[data-window]")];
      const chosen = windows.findIndex((link) => link.hasAttribute("aria-current"));
      windows[(chosen + 1) % windows.length]?.click();
    }
  });
  for (const plane of planes) {
    const { figure } = plane;
    for (const by of [1, -1]) {
      const at = plane.at() + by;
      if (at >= 0 && at < Number(figure.dataset.count)) fetchPicture(figure.dataset.pattern.replace("{index}", String(at)));
    }
  }
})();
