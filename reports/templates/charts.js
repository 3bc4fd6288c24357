// Charts: drawn by Vega once they come near, in the page's colours, light or dark.
"use strict";

report.charts = (() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const config = () => {
    const quiet = colour("--quiet");
    const axis = {
      labelColor: quiet, titleColor: quiet, gridColor: colour("--line"), domainColor: colour("--line"),
      tickColor: colour("--line"), labelFont: "system-ui", titleFont: "system-ui", labelFontSize: 12,
      titleFontWeight: 500, titlePadding: 8,
    };
    const title = { color: quiet, font: "system-ui", fontSize: 12 };
    return { axis, title };
  };

  // Vega is read at the first chart only: the rest of the page does not wait for it.
  let loaded = null;
  const load = () => (loaded ??= report.unpack("vega").then((source) => {
    document.head.append(report.element("script", { text: source }));
  }));
  /** What is known of the mark under the pointer, beside it: lines of text, never markup. */
  const tip = report.element("div", { id: "tip", hidden: true, "aria-hidden": "true" });
  const tell = (_, event, item, value) => {
    tip.hidden = !value;
    if (!value) return;
    tip.textContent = Object.entries(value).map(([name, one]) => `${name}: ${one}`).join("\n");
    document.body.append(tip);
    const { offsetWidth, offsetHeight } = tip;
    tip.style.left = `${Math.max(Math.min(event.clientX + 12, innerWidth - offsetWidth - 8), 8)}px`;
    tip.style.top = `${Math.max(Math.min(event.clientY + 12, innerHeight - offsetHeight - 8), 8)}px`;
  };

  const views = new Map();
  /** Draw a chart in place of the one that is there; its view. */
  const embed = async (place, specification, renderer = "svg") => {
    await load();
    views.get(place)?.finalize();
    const container = document.querySelector(place);
    container.replaceChildren();
    const view = new vega.View(vega.parse(specification, config()), { renderer, container, hover: true, tooltip: tell });
    views.set(place, view);
    await view.runAsync();
    // The chart's own words are one image with one name, and its table is beside it.
    for (const part of document.querySelectorAll(`${place} svg`)) part.setAttribute("aria-hidden", "true");
    return view;
  };

  /** Call `draw` once the section is near, before printing, and when the colours change. */
  const whenNear = (id, draw) => {
    let near = false;
    const begin = () => {
      near = true;
      return draw();
    };
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      begin();
    }, { rootMargin: "1200px" });
    watch.observe(document.getElementById(id));
    addEventListener("beforeprint", () => near || begin());
    dark.addEventListener("change", () => near && draw());
    return { ready: () => near };
  };
  return { embed, whenNear, colour };
})();

report.startTimings = () => {
  if (!document.getElementById("timing-data")) return;
  report.charts.whenNear("timings", async () => {
    await report.charts.embed("#timing-chart", JSON.parse(await report.unpack("timing-data")));
  });
};
