"use strict";
// The charts are drawn already: this shows the values at the pointer, and all of them as a table.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const svg = document.getElementById("timeline");
  const cursor = document.getElementById("cursor");
  const tip = document.getElementById("tip");
  if (!data.at.length) return;
  const [from, to, start, end] = svg.dataset.x.split(" ").slice(1).map(Number);
  const x = (time) => start + ((time - from) / (to - from)) * (end - start);
  let time = null;

  const number = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  };
  const ms = (value) => (value === null ? "–" : value >= 1000 ? number(value / 1000) + " s" : number(value) + " ms");
  const clock = (time) => {
    const whole = Math.round(Math.abs(time));
    const sign = time < 0 ? "-" : "";
    return whole < 120 ? sign + whole + " s" : sign + Math.floor(whole / 60) + ":" + String(whole % 60).padStart(2, "0");
  };
  const element = (name, text) => {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  };

  // The second that holds a time; -1 before the load and after it.
  const second = (at) => {
    const index = Math.floor((at - data.at[0]) / data.step);
    return index >= 0 && index < data.at.length ? index : -1;
  };
  const sample = (workload, at) => {
    let found = -1;
    while (found + 1 < workload.at.length && workload.at[found + 1] <= at) found += 1;
    return found;
  };

  const values = (at) => {
    const rows = [];
    const n = second(at);
    if (n >= 0) {
      rows.push(["answers", number(data.answers[n]) + "/s"], ["failures", number(data.errors[n]) + "/s"]);
      for (const name of ["p50", "p90", "p99", "max"]) rows.push([name, ms(data[name][n])]);
    }
    for (const workload of data.workloads) {
      const n = sample(workload, at);
      if (n < 0) continue;
      const of = data.workloads.length > 1 ? workload.name.split("/").pop() + " " : "";
      rows.push([of + "ready", workload.ready[n] + " of " + workload.replicas[n]]);
      if (workload.desired[n] !== null) rows.push([of + "wanted", number(workload.desired[n])]);
      if (workload.metric) rows.push([of + workload.metric, number(workload.value[n]) + " of " + number(workload.target[n])]);
    }
    return rows;
  };

  const show = (at) => {
    time = Math.min(to, Math.max(from, at));
    const n = second(time);
    if (n >= 0) time = data.at[n];
    const list = document.createElement("dl");
    for (const [name, value] of values(time)) list.append(element("dt", name), element("dd", value));
    tip.replaceChildren(element("b", clock(time)), list);
    tip.hidden = false;
    const place = x(time);
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    cursor.setAttribute("visibility", "visible");
    const box = svg.getBoundingClientRect();
    const pixel = (place / svg.viewBox.baseVal.width) * box.width;
    const left = pixel + tip.offsetWidth + 24 > box.width ? pixel - tip.offsetWidth - 14 : pixel + 14;
    tip.style.left = Math.max(0, left) + "px";
  };
  const hide = () => {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  };

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    if (place < start - 8 || place > end + 8) hide();
    else show(from + ((place - start) / (end - start)) * (to - from));
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -data.step, ArrowRight: data.step, PageUp: -10 * data.step, PageDown: 10 * data.step }[event.key];
    const ends = { Home: from, End: to };
    if (event.key === "Escape") hide();
    else if (by !== undefined) show((time === null ? 0 : time) + by);
    else if (event.key in ends) show(ends[event.key]);
    else return;
    event.preventDefault();
  });

  const details = document.getElementById("values");
  details.addEventListener("toggle", () => {
    const place = details.querySelector("div");
    if (!details.open || place.firstChild) return;
    const table = document.createElement("table");
    const head = table.insertRow();
    for (const name of ["second", "answers/s", "failures/s", "p50", "p90", "p99", "max"]) {
      const cell = element("th", name);
      cell.scope = "col";
      head.append(cell);
    }
    data.at.forEach((at, n) => {
      const row = table.insertRow();
      const first = element("th", at);
      first.scope = "row";
      row.append(first, element("td", number(data.answers[n])), element("td", number(data.errors[n])));
      for (const name of ["p50", "p90", "p99", "max"]) row.append(element("td", ms(data[name][n])));
    });
    place.append(table);
  });
})();
