"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { categories, events, blocks, texts, stacks, moments, unit } = data;
  const root = document.documentElement;
  const plot = document.getElementById("plot");
  root.classList.add("has-script");
  document.querySelector(".live").hidden = false;

  const bytes = (count) => {
    for (const [name, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) if (Math.abs(count) >= size) return `${(count / size).toFixed(2)} ${name}`;
    return `${count} B`;
  };
  const lastAtMost = (list, value, key = (x) => x) => {
    let low = 0, high = list.length;
    while (low < high) { const middle = (low + high) >> 1; if (key(list[middle]) <= value) low = middle + 1; else high = middle; }
    return low - 1;
  };

  // Colours as the style sheet has them in the theme of the moment.
  const probe = document.body.appendChild(document.createElement("span"));
  probe.hidden = true;
  const color = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };

  const scaled = (values) => values.map((value) => value / unit.bytes);
  const traces = () => {
    const shown = categories.map((name, n) => n).filter((n) => data.held[n].some(Boolean));
    const areas = shown.map((n) => ({
      name: categories[n], x: events, y: scaled(data.held[n]), customdata: data.held[n].map(bytes), type: "scatter", mode: "lines",
      stackgroup: "allocated", line: { width: 0, shape: "hv", color: color(`--cat-${n}`) }, fillcolor: color(`--cat-${n}`),
      hovertemplate: "%{customdata}",
    }));
    const reserved = {
      name: "reserved", x: events, y: scaled(data.reserved), customdata: data.reserved.map(bytes), type: "scatter", mode: "lines",
      line: { width: 1.2, dash: "dot", shape: "hv", color: color("--muted") }, hovertemplate: "%{customdata}",
    };
    // Drawn by nothing, it heads what is told where one points.
    const moment = {
      name: "allocated", x: events, y: events.map((_, n) => total(n) / unit.bytes), customdata: events.map((event, n) => `${bytes(total(n))}, in ${plain(where(event)) || "no known place"}`),
      type: "scatter", mode: "lines", line: { width: 0, shape: "hv", color: color("--ink") }, hovertemplate: "%{customdata}", showlegend: false,
    };
    return [moment, ...areas, reserved];
  };
  // Plotly takes some markup in texts; names from users are to be text.
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  let at = data.peak;
  const total = (n) => data.held.reduce((sum, held) => sum + held[n], 0);
  const layout = () => {
    const ink = color("--ink"), muted = color("--muted"), line = color("--line"), page = color("--page");
    const span = events.at(-1) - events[0];
    const wide = data.phases.filter(([, first, last]) => last - first > 0.04 * span);
    const small = plot.clientWidth < 600;
    const axis = { color: muted, gridcolor: line, zerolinecolor: line, linecolor: muted, tickfont: { color: ink }, title: { font: { color: ink } } };
    const peakY = total(events.indexOf(data.peak)) / unit.bytes;
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "inherit", size: 13, color: ink }, margin: { l: small ? 48 : 60, r: 12, t: 40, b: small ? 120 : 90 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
      hovermode: "x unified", hoverlabel: { bgcolor: page, bordercolor: muted, font: { color: ink, size: small ? 11 : 13 } }, dragmode: small ? false : "zoom",
      xaxis: { ...axis, title: { ...axis.title, text: "event of the allocator", standoff: 8 }, tickformat: ",d", nticks: small ? 5 : 10, range: [events[0], events.at(-1)], hoverformat: ",d", unifiedhovertitle: { text: "event %{x:,d}" }, showspikes: true, spikemode: "across", spikethickness: 1, spikecolor: muted, spikedash: "dot", showgrid: false },
      yaxis: { ...axis, title: { ...axis.title, text: `memory (${unit.name})` }, rangemode: "tozero", fixedrange: true },
      legend: { orientation: "h", y: small ? -0.3 : -0.24, yanchor: "top", traceorder: "normal", font: { color: ink } },
      shapes: [
        ...data.phases.slice(1).map(([, first]) => ({ type: "line", x0: first, x1: first, yref: "paper", y0: 0, y1: 1, line: { color: muted, width: 0.6 } })),
        { type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: ink, width: 1.6 } },
      ],
      annotations: [
        ...wide.map(([name, first]) => ({ text: name, x: first, xanchor: "left", yref: "paper", y: 1, yanchor: "bottom", showarrow: false, font: { size: 12, color: muted } })),
        { text: `peak ${bytes(total(events.indexOf(data.peak)))}`, x: data.peak, y: peakY, showarrow: true, arrowhead: 2, arrowcolor: ink, ax: (data.peak - events[0]) / span > 0.6 ? -70 : 70, ay: -24, font: { color: ink }, bgcolor: page, opacity: 0.92 },
      ],
    };
  };
  const options = { displayModeBar: plot.clientWidth < 600 ? false : "hover", displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], toImageButtonOptions: { format: "svg", filename: "timeline" } };
  const draw = () => Plotly.react(plot, traces(), layout(), options);

  // The moment: what was held then, and the ten largest blocks with their stacks.
  const element = (name, text, more = {}) => Object.assign(document.createElement(name), text === undefined ? {} : { textContent: text }, more);
  const cell = (row, text, small, numeric) => {
    const made = row.appendChild(element("td", text, numeric ? { className: "n" } : {}));
    if (small) made.append(element("small", small));
    return made;
  };
  const alive = (event) => blocks.filter(([born, freed]) => born <= event && (freed === -1 || freed > event));
  const where = (event) => moments[Math.max(lastAtMost(moments, event, (m) => m[0]), 0)].slice(1).map((n) => texts[n]).filter(Boolean).join(", ");
  const stackOf = (block, row) => {
    const open = row.nextElementSibling?.classList.contains("of") ? row.nextElementSibling : null;
    if (open) { open.remove(); return; }
    const made = element("tr", undefined, { className: "of" });
    const list = element("ol", undefined, { className: "stack" });
    for (const frame of stacks[block[9]]) list.append(Object.assign(element("li"), {})), list.lastChild.append(element("code", frame));
    const place = made.appendChild(element("td", undefined, { colSpan: 5 }));
    place.append(stacks[block[9]].length ? list : element("p", "No Python code was running on the thread that asked for it: the backward pass runs on one of its own. The line is that of the forward pass."));
    row.after(made);
  };
  const then = document.getElementById("then");
  const slider = document.getElementById("moment");
  Object.assign(slider, { min: events[0], max: events.at(-1), step: 1 });
  const show = (event) => {
    at = event;
    slider.value = event;
    const n = Math.max(lastAtMost(events, event), 0);
    slider.setAttribute("aria-valuetext", `event ${event}: ${bytes(total(n))} allocated`);
    const held = alive(event).sort((a, b) => b[2] - a[2]);
    const table = element("table");
    table.append(element("caption", `The ten largest of ${held.length} blocks in use${data.left_out ? ` (${data.left_out} small ones are left out)` : ""}`));
    const head = table.createTHead().insertRow();
    for (const [text, numeric] of [["Held", true], ["Category"], ["Tensor"], ["Module"], ["Line of code, with its stack"]]) head.append(element("th", text, { scope: "col", className: numeric ? "n" : "" }));
    const body = table.createTBody();
    for (const block of held.slice(0, 10)) {
      const [, , size, category, what, tensor, module, op, line] = block;
      const row = body.insertRow();
      cell(row, bytes(size), "", true);
      const named = cell(row, categories[category], texts[what]);
      const dot = element("span", undefined, { className: "dot" });
      dot.style.setProperty("--own", `var(--cat-${category})`);
      named.prepend(dot);
      named.className = "k";
      cell(row, texts[tensor] || "no tensor", texts[op]);
      cell(row, texts[module]);
      const button = element("button", texts[line] || "stack", { type: "button" });
      button.setAttribute("aria-expanded", "false");
      button.addEventListener("click", () => { stackOf(block, row); button.setAttribute("aria-expanded", String(row.nextElementSibling?.classList.contains("of") ?? false)); });
      cell(row, "").append(button);
    }
    const scroll = element("div", undefined, { className: "scroll", tabIndex: 0 });
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "The largest blocks at the chosen moment");
    scroll.append(table);
    then.replaceChildren(element("h3", `Event ${event.toLocaleString("en")}${event === data.peak ? ", the peak" : ""}: ${bytes(total(n))} allocated, ${bytes(data.reserved[n])} reserved`), element("p", where(event), { className: "hint" }), scroll);
    if (plot.data) Plotly.relayout(plot, { [`shapes[${data.phases.slice(1).length}].x0`]: event, [`shapes[${data.phases.slice(1).length}].x1`]: event });
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  const step = (by) => show(Math.min(Math.max(at + by, events[0]), events.at(-1)));
  document.getElementById("back").addEventListener("click", () => step(-1));
  document.getElementById("on").addEventListener("click", () => step(1));
  document.getElementById("to-peak").addEventListener("click", () => show(data.peak));

  draw().then(() => {
    plot.on("plotly_click", ({ points }) => { if (points.length) show(points[0].x); });
    show(data.peak);
    plot.dataset.ready = "";
  });
  new MutationObserver(draw).observe(root, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  // Filters of tables: every word must occur in the row.
  document.querySelectorAll("input[data-filter]").forEach((filter) => filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.querySelectorAll(`#${filter.dataset.filter} tbody tr`)];
    rows.forEach((row) => { row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)); });
    filter.closest("p").querySelector("output").textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  }));
})();
