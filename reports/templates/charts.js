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
  let vega = null;
  const load = () => (vega ??= report.unpack("vega").then((source) => {
    document.head.append(report.element("script", { text: source }));
  }));
  const embed = async (place, specification, options = {}) => {
    await load();
    const theme = dark.matches ? "dark" : "light";
    const done = await vegaEmbed(place, specification, {
      mode: "vega", actions: false, renderer: "svg", config: config(), tooltip: { theme }, ...options,
    });
    // The chart's own words are one image with one name, and its table is beside it.
    for (const part of document.querySelectorAll(`${place} svg`)) part.setAttribute("aria-hidden", "true");
    return done;
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
