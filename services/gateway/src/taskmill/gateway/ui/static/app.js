// The dashboard's own script: live pages, keys, ticks, copies, and charts. Everything else is HTML, which htmx fetches.
"use strict";

const $ = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const REFRESH_MILLISECONDS = 1000;

// --- Live pages: an event says that something changed, and the page is fetched anew, at most once a second.

let refreshAt = 0;
let refreshTimer = null;

function refresh() {
  if (refreshTimer !== null) return;
  const wait = Math.max(0, refreshAt - Date.now());
  refreshTimer = setTimeout(() => {
    refreshTimer = null;
    refreshAt = Date.now() + REFRESH_MILLISECONDS;
    const results = $("#results");
    if (results && !document.hidden) htmx.trigger(results, "refresh");
  }, wait);
}

function isShown(taskId) {
  return document.getElementById(`t-${taskId}`) !== null;
}

function connect() {
  const live = $("main").dataset.live;
  if (!live) return;
  if ($("main").dataset.poll !== undefined) {
    setInterval(refresh, 2 * REFRESH_MILLISECONDS);
    return;
  }
  const root = document.body.dataset.root;
  const onlyKnown = $("main").dataset.liveTypes === "known";
  let source = null;

  function open() {
    source = new EventSource(`${root}/${live}`);
    source.onopen = () => {
      $("#connection").hidden = true;
      document.documentElement.dataset.live = "yes";
      // What happened since the page was made was not told.
      refresh();
    };
    source.onerror = () => {
      $("#connection").hidden = false;
      document.documentElement.dataset.live = "no";
      // After an answer that is no stream a browser does not come again by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2 * REFRESH_MILLISECONDS);
    };
    const noticed = (message) => {
      if (!onlyKnown || isShown(JSON.parse(message.data).subject)) refresh();
    };
    source.onmessage = noticed;
    for (const type of ["reset", "removed"]) source.addEventListener(type, refresh);
    for (const type of document.body.dataset.types.split(" ")) source.addEventListener(type, noticed);
  }
  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
}

// --- Times: how long ago something was goes on while the page stands.

function said(seconds) {
  const span = Math.abs(seconds);
  const text = span < 1 ? "1 s" : span < 120 ? `${Math.round(span)} s` : span < 7200 ? `${Math.floor(span / 60)} min`
    : span < 172800 ? `${Math.floor(span / 3600)} h` : `${Math.floor(span / 86400)} d`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}

function tellTimes() {
  for (const time of all("time[title]")) time.textContent = said((Date.now() - Date.parse(time.dateTime)) / 1000);
}

// --- Ticks

function ticked() {
  return all('#tasks input[name="id"]:checked').length;
}

function tellTicked() {
  const told = $("#ticked");
  if (!told) return;
  const isAll = $("#which-all").checked;
  told.textContent = isAll ? "all that match" : `${ticked()} ticked`;
  for (const button of all("#bulk .bulk button")) button.disabled = !isAll && ticked() === 0;
}

// --- Rows and keys

function rows() {
  return all("[data-row]");
}

function currentRow() {
  return rows().find((row) => row.classList.contains("current")) ?? null;
}

function moveTo(step) {
  const found = rows();
  if (!found.length) return;
  const now = found.indexOf(currentRow());
  const next = now < 0 ? (step > 0 ? 0 : found.length - 1) : Math.min(Math.max(now + step, 0), found.length - 1);
  for (const row of found) row.classList.toggle("current", row === found[next]);
  const link = found[next].querySelector("a");
  if (link) link.focus();
  found[next].scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => $("#title")?.focus(),
  j: () => moveTo(1),
  k: () => moveTo(-1),
  n: () => $("#new-task")?.click(),
  "?": () => $("#shortcuts").showModal(),
  x: () => {
    const box = currentRow()?.querySelector('input[name="id"]');
    if (box) { box.checked = !box.checked; tellTicked(); }
  },
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, dialog")) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

// --- Clicks

function onClick(event) {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(copy.dataset.copy).then(
      () => { copy.textContent = "Copied"; },
      () => { copy.textContent = "The browser does not let this page copy"; },
    );
  }
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  if (event.target.closest("#theme")) {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("taskmill-theme", theme);
    drawCharts();
  }
  if (event.target.closest("#help")) $("#shortcuts").showModal();
}

function onChange(event) {
  if (event.target.id === "tick-all") {
    for (const box of all('#tasks input[name="id"]')) box.checked = event.target.checked;
  }
  if (event.target.closest("#bulk")) tellTicked();
}

// --- Charts: each <figure data-chart> names its lines, whose points stand in the page as JSON.

let charts = [];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function drawCharts() {
  for (const chart of charts) chart.destroy();
  charts = [];
  const data = $("#series");
  if (!data) return;
  const series = JSON.parse(data.textContent);
  for (const figure of all("figure[data-chart]")) {
    const lines = figure.dataset.chart.split(" ");
    const options = {
      width: figure.clientWidth,
      height: 180,
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      series: [{}, ...lines.map((line) => ({
        label: line, stroke: colour(line), width: 2, points: { show: true, size: 4, fill: colour(line) },
      }))],
      axes: [
        {
          stroke: colour("muted"),
          grid: { stroke: colour("line") },
          values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toTimeString().slice(0, 5)),
        },
        { stroke: colour("muted"), grid: { stroke: colour("line") }, size: 60 },
      ],
      legend: { live: false },
      cursor: { show: false },
    };
    charts.push(new uPlot(options, [series.at, ...lines.map((line) => series[line])], figure.querySelector("div")));
  }
}

// --- What is new in the page

function tidy() {
  tellTimes();
  tellTicked();
}

document.addEventListener("DOMContentLoaded", () => {
  tidy();
  connect();
  drawCharts();
  setInterval(tellTimes, 5 * REFRESH_MILLISECONDS);
});
addEventListener("resize", drawCharts);
document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
document.addEventListener("change", onChange);
// --- What is typed while the form of another kind is fetched stays.

let typedMeanwhile = [];

document.addEventListener("htmx:beforeSwap", ({ detail: { requestConfig, target } }) => {
  const isForm = target.id === "form" && requestConfig.verb === "get";
  const fields = isForm ? [...target.querySelectorAll("[name]:not([type=checkbox])")] : [];
  typedMeanwhile = fields.filter((field) => field.value !== (requestConfig.formData.get(field.name) ?? ""));
});
document.addEventListener("htmx:afterSwap", () => {
  for (const { name, value } of typedMeanwhile.splice(0)) {
    const field = $(`#form [name="${CSS.escape(name)}"]`);
    if (field) field.value = value;
  }
});

document.addEventListener("htmx:afterSettle", tidy);
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "dialog") $("#dialog").showModal();
  if (event.detail.target.id === "results" && $("#series")) drawCharts();
  const wrong = $("[aria-invalid=true]");
  if (event.detail.target.id === "form" && wrong) wrong.focus();
});
// What was ticked, opened and typed stays when the page is fetched anew.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id === "results") event.detail.path = $("#results").dataset.here;
});
document.addEventListener("htmx:beforeRequest", () => { $("#notice").replaceChildren(); });
document.addEventListener("htmx:sendError", () => { $("#connection").hidden = false; });
if (window.Idiomorph) {
  Idiomorph.defaults.ignoreActiveValue = true;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name === "open" && node.tagName === "DETAILS") && !(name === "checked") && !(name === "class" && node.dataset.row !== undefined);
}
