"use strict";
(() => {
  const root = document.documentElement;

  // Theme: the reader's system decides until the button is used.
  const themeButton = document.getElementById("theme");
  const stored = () => { try { return localStorage.getItem("membench-theme"); } catch { return null; } };
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const showTheme = () => {
    themeButton.setAttribute("aria-pressed", String(isDark()));
    themeButton.textContent = isDark() ? "Light" : "Dark";
  };
  if (stored() === "dark" || stored() === "light") root.dataset.theme = stored();
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("membench-theme", root.dataset.theme); } catch { /* a page opened from a file may have no storage */ }
    showTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  showTheme();
  document.getElementById("print").addEventListener("click", () => print());
  addEventListener("beforeprint", () => document.querySelectorAll("main section > details").forEach((one) => { one.open = true; }));

  // Dialogs: each has an address (#probe-…, #search-…), so a link to one number can be sent to somebody.
  const dialogAt = (hash) => {
    const found = hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1))) : null;
    return found instanceof HTMLDialogElement ? found : null;
  };
  const openOnly = (dialog) => {
    document.querySelectorAll("dialog[open]").forEach((other) => { if (other !== dialog) other.close(); });
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  const clearHash = () => history.replaceState(null, "", location.pathname + location.search);
  let opener = null;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const dialog = link && dialogAt(link.getAttribute("href"));
    if (dialog) {
      event.preventDefault();
      if (!link.closest("dialog")) opener = link;
      history.replaceState(null, "", link.getAttribute("href"));
      openOnly(dialog);
    } else if (event.target instanceof HTMLDialogElement) {
      event.target.close(); // the backdrop
    }
  });
  document.querySelectorAll("dialog").forEach((dialog) => dialog.addEventListener("close", () => {
    if (document.querySelector("dialog[open]")) return;
    clearHash();
    opener?.focus();
  }));
  const openFromAddress = () => { const dialog = dialogAt(location.hash); if (dialog) openOnly(dialog); };
  addEventListener("hashchange", openFromAddress);
  openFromAddress();

  // Sorting: numbers by data-v, words by the text; rows without a value stay last.
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  const missing = (value) => value === null || value === "" || value === "–";
  const sortBy = (header) => {
    const table = header.closest("table");
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, header.cellIndex), row]);
    rows.sort(([a], [b]) => missing(a) || missing(b) ? missing(a) - missing(b) : sign * compare(a, b));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  document.querySelectorAll("thead button").forEach((button) =>
    button.addEventListener("click", () => sortBy(button.closest("th"))));

  // Filter of the probes: every word must occur in the row.
  const filter = document.getElementById("filter");
  filter?.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.querySelectorAll("#probes tbody tr")];
    rows.forEach((row) => { row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)); });
    document.getElementById("shown").textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  });

  // Copy a command; where the clipboard is closed to pages, select it.
  document.querySelectorAll("button.copy").forEach((button) => button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
    }
  }));
})();
