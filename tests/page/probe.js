"use strict";
(() => {
  const seen = { errors: [], series: {}, title: document.title };
  window.addEventListener("error", (event) => seen.errors.push(event.message));
  for (const path of document.querySelectorAll("[data-series]")) {
    const box = path.getBBox();
    seen.series[path.dataset.series] = {
      left: Math.round(box.x * 10) / 10,
      width: Math.round(box.width * 10) / 10,
      height: box.height,
      stroke: getComputedStyle(path).stroke,
      points: (path.getAttribute("d").match(/[ML]/g) || []).length,
    };
  }
  seen.bars = [...document.querySelectorAll("#distribution .bar")].filter((bar) => bar.getBBox().height > 0).length;
  seen.images = document.images.length;
  seen.overflow = document.documentElement.scrollWidth > innerWidth;

  const timeline = document.getElementById("timeline");
  const tip = document.getElementById("tip");
  const [from, to, start, end] = timeline.dataset.x.split(" ").slice(1).map(Number);
  const box = timeline.getBoundingClientRect();
  const place = start + ((100.5 - from) / (to - from)) * (end - start);
  const clientX = box.left + (place / timeline.viewBox.baseVal.width) * box.width;
  timeline.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY: box.top + 50 }));
  seen.pointer = tip.hidden ? "" : tip.textContent;
  timeline.dispatchEvent(new PointerEvent("pointerleave"));
  const press = (key) => timeline.dispatchEvent(new KeyboardEvent("keydown", { key }));
  for (let n = 0; n < 10; n += 1) press("ArrowLeft");
  for (let n = 0; n < 11; n += 1) press("ArrowRight");
  press("ArrowLeft");
  seen.keys = tip.hidden ? "" : tip.textContent;
  press("Escape");
  seen.hidden = tip.hidden;

  const details = document.getElementById("values");
  details.open = true;
  details.dispatchEvent(new Event("toggle"));
  seen.rows = details.querySelectorAll("tr").length;
  seen.loaded = performance.getEntriesByType("resource").length;
  const pre = document.createElement("pre");
  pre.id = "probe";
  pre.textContent = JSON.stringify(seen);
  document.body.append(pre);
})();
