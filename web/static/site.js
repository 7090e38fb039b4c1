/* Keys, drop area and waiting: what makes the pages quicker. Everything works without it. */
"use strict";

(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  for (const element of all(".keys, .scripted")) element.hidden = false;

  /* A blank field is a parameter that is not given: it stays out of the address. */
  one("#search-form")?.addEventListener("submit", (event) => {
    const fields = [...event.target.elements].filter((field) => field.name && !field.value.trim());
    for (const field of fields) field.disabled = true;
    setTimeout(() => fields.forEach((field) => { field.disabled = false; }));
  });

  /* Waiting for an upload. */
  for (const form of all("form[data-busy]")) {
    form.addEventListener("submit", () => {
      const line = one(".busy", form);
      const started = performance.now();
      const tell = () => { line.textContent = `${form.dataset.busy} ${Math.round((performance.now() - started) / 1000)} s`; };
      line.hidden = false;
      tell();
      const timer = setInterval(tell, 1000);
      const buttons = all("button[type=submit]", form);
      setTimeout(() => buttons.forEach((button) => { button.disabled = true; }));
      addEventListener("pageshow", () => {
        clearInterval(timer);
        line.hidden = true;
        for (const button of buttons) button.disabled = false;
      }, { once: true });
    });
  }

  /* Drop area: files of one examination; their names are shown before they are sent. */
  const drop = one("#drop");
  const files = one("#files");
  if (drop && files) {
    const list = one("#chosen");
    /* Of several files each can be told its MR sequence; one a file, in their order, as the API expects. */
    const hint = one("#scan [name=sequence_hint]");
    const sequenceOf = (name) => {
      const select = hint.cloneNode(true);
      select.name = "sequences";
      select.setAttribute("aria-label", `MR sequence of ${name}`);
      return select;
    };
    const show = () => {
      hint.closest(".field").hidden = files.files.length > 1;
      list.replaceChildren(...[...files.files].map((file) => {
        const item = document.createElement("li");
        const size = file.size < 2 ** 20 ? `${Math.ceil(file.size / 2 ** 10)} KiB` : `${(file.size / 2 ** 20).toFixed(1)} MiB`;
        item.textContent = `${file.name} · ${size}`;
        if (files.files.length > 1) item.append(sequenceOf(file.name));
        return item;
      }));
    };
    files.addEventListener("change", show);
    show();
    for (const kind of ["dragenter", "dragover"]) {
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("is-over"); });
    }
    for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("is-over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) { files.files = event.dataTransfer.files; show(); files.focus(); }
    });
  }

  /* Keyboard. A page's own keys are in its own script. */
  const links = all(".card-link");
  const typing = (target) => target.closest("input:not([type=range]), select, textarea, [contenteditable]");
  const step = (by) => {
    const here = links.indexOf(document.activeElement);
    const next = links[here < 0 ? 0 : Math.min(Math.max(here + by, 0), links.length - 1)];
    next?.focus();
    next?.closest(".card").scrollIntoView({ block: "nearest" });
  };
  const follow = (selector) => one(selector)?.click();
  const keys = {
    "/": () => { const box = one("#q"); if (box) { box.focus(); box.select(); } else { location.assign("/"); } },
    "j": () => step(1),
    "k": () => step(-1),
    "m": () => (document.activeElement.closest(".card") ?? document).querySelector(".more")?.click(),
    "u": () => follow("#back"),
    "[": () => follow("#previous"),
    "]": () => follow("#following"),
    "?": () => one("#keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target)) { if (event.key === "Escape") event.target.blur(); return; }
    if (one("dialog[open]")) return;
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
})();
