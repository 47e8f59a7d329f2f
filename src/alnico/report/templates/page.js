"use strict";
// Draws each chart from the data beside it, in the page's colours, and again when they change.
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const painted = (value, key) => {
    if (Array.isArray(value)) return value.map((each) => painted(each, key));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, k)]));
    }
    const isColour = typeof value === "string" && /color$/.test(key) && value.startsWith("--");
    return isColour ? colour(value) : value;
  };
  const draw = (place) => {
    const figure = painted(JSON.parse(document.getElementById(place.id + "-data").textContent), "");
    const choice = document.getElementById(place.id + "-choice");
    const first = figure.data.length ? figure.data[0].meta : undefined;
    const chosen = choice ? choice.value : first;
    const data = figure.data.filter((trace) => trace.meta === undefined || trace.meta === chosen);
    const { font, xaxis } = figure.layout;
    if (place.clientWidth < 520) font.size = 11;
    const last = Math.max(...data.flatMap((trace) => trace.x));
    if (xaxis.tickformat === "d" && last <= 12) xaxis.dtick = 1; // no ticks between whole numbers
    Plotly.react(place, data, figure.layout, { responsive: true, displayModeBar: false });
  };
  const places = document.querySelectorAll(".chart");
  const drawAll = () => places.forEach(draw);
  for (const place of places) {
    const choice = document.getElementById(place.id + "-choice");
    if (choice) choice.addEventListener("change", () => draw(place));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
