"use strict";
// What answers on the page. Without it everything is still there: pictures of charts, whole tables, all steps.
(() => {
  const all = (selector, within) => [...within.querySelectorAll(selector)];
  const views = new Map(); // chart's element to its Vega view
  const isolated = new Map(); // name of a parameter to the value that a click chose

  // --- charts: drawn when they come near the screen
  async function draw(figure) {
    if (views.has(figure)) return;
    views.set(figure, null);
    const drawn = figure.querySelector(".drawn");
    const spec = JSON.parse(figure.querySelector("script").textContent);
    const place = document.createElement("div");
    place.className = "alive";
    place.style.width = "100%";
    drawn.append(place);
    try {
      const made = await window.vegaEmbed(place, spec, { actions: false, renderer: "svg", ast: true });
      drawn.querySelector(":scope > svg")?.remove();
      views.set(figure, made.view);
      figure.dataset.drawn = "yes";
      const name = figure.dataset.isolates;
      if (name && isolated.get(name)) isolate(figure, isolated.get(name));
    } catch (error) { // the picture stays
      place.remove();
      figure.dataset.drawn = "no";
      console.error(error);
    }
  }
  function isolate(figure, value) {
    views.get(figure)?.signal(figure.dataset.isolates, value).run();
  }
  function charts(within) {
    if (!window.vegaEmbed) return;
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
    }, { rootMargin: "600px" });
    for (const figure of all(".chart", within)) near.observe(figure);
  }

  // --- tables: a click on a heading sorts, one on a row isolates its curve
  function key(row, column) {
    const cell = row.cells[column];
    const text = cell ? (cell.dataset.sort ?? cell.textContent).trim() : "";
    const number = text === "" ? NaN : Number(text.replace("−", "-").replace(/,/g, ""));
    return { text, number, missing: text === "" || text === "–" };
  }
  function sort(table, heading) {
    const up = heading.getAttribute("aria-sort") === "descending";
    for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const column = heading.cellIndex, body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, ...key(row, column) }));
    rows.sort((a, b) => {
      if (a.missing || b.missing) return a.missing - b.missing;
      const order = Number.isNaN(a.number) || Number.isNaN(b.number)
        ? a.text.localeCompare(b.text, undefined, { numeric: true }) : a.number - b.number;
      return up ? order : -order;
    });
    body.append(...rows.map((one) => one.row));
  }
  function tables(within) {
    for (const table of all("table.sortable", within)) {
      for (const heading of all("thead th:not([data-unsorted])", table)) {
        heading.tabIndex = 0;
        const act = () => sort(table, heading);
        heading.addEventListener("click", act);
        heading.addEventListener("keydown", (event) => { if (event.key === "Enter") act(); });
      }
      for (const row of all("tbody tr[data-value]", table)) {
        row.addEventListener("click", (event) => {
          if (event.target.closest("a, button, summary, input")) return;
          const name = table.dataset.isolates, chosen = row.classList.contains("isolated") ? "" : row.dataset.value;
          for (const other of all(`table[data-isolates="${name}"] tr`, document)) {
            other.classList.toggle("isolated", chosen !== "" && other.dataset.value === chosen);
          }
          isolated.set(name, chosen);
          for (const figure of all(`.chart[data-isolates="${name}"]`, document)) isolate(figure, chosen);
        });
      }
    }
  }

  // --- filters: in .filtering, the items that match all of its controls stay
  function filter(place) {
    const words = (place.querySelector("input[type=search]")?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = all("select[data-key]", place).filter((one) => one.value !== "");
    let left = 0;
    for (const item of all("[data-item]", place)) {
      const text = item.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word))
        && chosen.every((one) => (item.dataset[one.dataset.key] ?? "").split(" ").includes(one.value));
      item.classList.toggle("filtered-out", !fits);
      left += fits;
    }
    for (const count of all(".count", place)) count.textContent = left;
  }
  function filters(within) {
    for (const place of all(".filtering", within)) {
      place.addEventListener("input", () => filter(place));
      filter(place);
    }
    for (const box of all("input[data-toggle]", within)) {
      const place = box.closest(".toggling");
      const act = () => place.classList.toggle(box.dataset.toggle, !box.checked);
      box.addEventListener("change", act);
      act();
    }
  }

  // --- lists of people and classes: another order, and a limit on the distance
  function order(select) {
    const items = all("[data-item]", select.closest(".filtering")), [name, way] = select.value.split(" ");
    const value = (item) => Number(item.dataset[name]);
    items.sort((a, b) => (way === "up" ? value(a) - value(b) : value(b) - value(a)));
    items[0]?.parentElement.append(...items);
  }
  function limit(slider) {
    slider.parentElement.querySelector("output").textContent = slider.value;
    for (const one of all("[data-distance]", slider.closest(".filtering"))) {
      one.classList.toggle("beyond", Number(one.dataset.distance) > Number(slider.value));
    }
  }
  function lists(within) {
    for (const select of all("select[data-order]", within)) select.addEventListener("change", () => order(select));
    for (const slider of all("input[data-limit]", within)) slider.addEventListener("input", () => limit(slider));
  }

  // --- merge steps: a slider shows one at a time
  function steps(within) {
    for (const place of all(".steps", within)) {
      const slider = place.querySelector("input[type=range]"), panels = all(":scope > .step", place);
      const said = place.querySelector("output");
      const act = () => {
        panels.forEach((panel, i) => panel.classList.toggle("shown", i === Number(slider.value)));
        if (said) said.textContent = panels[slider.value]?.dataset.name ?? "";
      };
      slider.addEventListener("input", act);
      act();
    }
  }

  function copies(within) {
    for (const button of all(".copy", within)) {
      button.addEventListener("click", async () => {
        const text = button.parentElement.querySelector("pre").textContent;
        try { await navigator.clipboard.writeText(text); button.textContent = "copied"; } catch {
          getSelection().selectAllChildren(button.parentElement.querySelector("pre")); // a page from a disk may not
          document.execCommand("copy");
          button.textContent = "copied";
        }
        setTimeout(() => { button.textContent = "copy"; }, 1500);
      });
    }
  }

  function start(within) {
    charts(within); tables(within); filters(within); lists(within); steps(within); copies(within);
  }
  document.documentElement.classList.add("scripted");
  start(document);
  addEventListener("beforeprint", () => all("details", document).forEach((one) => { one.open = true; }));

  // --- served by --watch: a newer page takes this one's place, where the reader is
  if (document.body.hasAttribute("data-renewed")) {
    let known = document.body.dataset.renewed; // the version of this page
    const state = (within) => all("input, select, details", within);
    function replace(newer) {
      const main = document.querySelector("main");
      const before = state(main).map((one) => [one.value, one.checked, one.open]), [x, y] = [scrollX, scrollY];
      const next = document.adoptNode(newer.querySelector("main"));
      views.clear();
      main.replaceWith(next);
      const after = state(next);
      if (after.length === before.length) after.forEach((one, i) => {
        if (one.matches("details")) one.open = before[i][2];
        else if (one.type === "checkbox") one.checked = before[i][1];
        else one.value = before[i][0];
      });
      start(next);
      scrollTo(x, y);
    }
    const renew = async () => {
      try {
        const answer = await fetch(location.pathname, { headers: { "If-None-Match": `"${known}"` }, cache: "no-store" });
        document.body.classList.toggle("lost", !answer.ok && answer.status !== 304);
        if (answer.status === 200) {
          const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
          if (all("body > script", newer).length !== all("body > script", document).length) {
            location.reload(); // the first page with charts brings their library
            return;
          }
          known = newer.body.dataset.renewed;
          replace(newer);
        }
      } catch { document.body.classList.add("lost"); }
      setTimeout(renew, 2000);
    };
    setTimeout(renew, 2000);
  }
})();
