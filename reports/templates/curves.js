// The charts: drawn by Vega once they come near, in the page's colours, light or dark.
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
  const embed = async (place, specification) => {
    await load();
    const theme = dark.matches ? "dark" : "light";
    const done = await vegaEmbed(place, specification, {
      mode: "vega", actions: false, renderer: "svg", config: config(), tooltip: { theme },
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
  return { embed, whenNear };
})();

report.startTimings = () => {
  if (!document.getElementById("timing-data")) return;
  report.charts.whenNear("timings", async () => {
    await report.charts.embed("#timing-chart", JSON.parse(await report.unpack("timing-data")));
  });
};

report.startCurves = () => {
  const field = document.getElementById("curve-backends");
  if (!field) return;
  const { element, number } = report;
  const titles = { grad_logits: "gradient", near: "|x| ≤ 1000", all: "all" };
  const order = ["loss", "grad_logits", "0", "1", "soft", "float16", "bfloat16", "float32", "float64"];
  const names = ["quantity", "target", "dtype", "device"];
  const chosen = {};
  const defaults = { range: "near" };
  const hidden = new Set();
  let data = null;

  const rows = (curve) => data.logits[curve.logits].map((logit, index) => ({ logit, ulp: curve.ulps[index] ?? Infinity }));
  const wanted = () => data.curves.filter((curve) =>
    !hidden.has(curve.backend) && names.every((name) => curve[name] === chosen[name]));

  /** The table that says what the chart shows. */
  const tabulate = (curves, limit) => {
    const beyond = (points, bound) => {
      const over = points.filter((point) => point.ulp > bound).map((point) => point.logit);
      if (!over.length) return "nowhere";
      const [least, most] = [Math.min(...over), Math.max(...over)];
      const where = least === most ? `at ${number(least)}` : `${number(least)} to ${number(most)}`;
      return `${where} (${over.length} of ${points.length} points)`;
    };
    const lines = curves.map((curve) => {
      const points = rows(curve).filter((point) => limit === null || Math.abs(point.logit) <= limit);
      const worst = points.reduce((most, point) => (point.ulp > most.ulp ? point : most), { ulp: -1, logit: NaN });
      return element("tr", {}, element("th", { scope: "row" }, curve.backend), ...[
        number(worst.ulp), number(worst.logit), beyond(points, 1), beyond(points, 4),
      ].map((words) => element("td", {}, words)));
    });
    document.querySelector("#curve-table tbody").replaceChildren(...lines);
    document.getElementById("curve-said").textContent =
      `${titles[chosen.quantity] ?? chosen.quantity}, target ${chosen.target}, ${chosen.dtype}, ${chosen.device}, logits: ${titles[chosen.range]}`;
  };

  const draw = async () => {
    const curves = wanted();
    const { vega, exponent, limit } = data.specifications[chosen.range];
    tabulate(curves, limit);
    const finite = curves.flatMap((curve) => curve.ulps).reduce((most, ulp) => Math.max(most, ulp ?? 0), 8);
    // The infinite ones are drawn a decade above the largest finite error.
    const top = finite * (curves.some((curve) => curve.ulps.includes(null)) ? 10 : 1.5);
    const specification = structuredClone(vega);
    const place = (logit) => {
      const decades = Math.log10(Math.abs(logit)) - exponent;
      return Math.sign(logit) * (decades > 15 ? decades : Math.log10(1 + Math.abs(logit) / 10 ** exponent));
    };
    const points = curves.flatMap((curve) => rows(curve).map(({ logit, ulp }) => {
      const infinite = ulp === Infinity;
      const shown = infinite ? "∞" : String(Number(ulp.toPrecision(4)));
      return { backend: curve.backend, logit, place: place(logit), ulp: infinite ? top : ulp, infinite, shown };
    })).filter((point) => limit === null || Math.abs(point.logit) <= limit);
    const side = limit === null ? points.reduce((most, point) => Math.max(most, Math.abs(point.place)), 1) : place(limit);
    specification.data.find((set) => set.name === "points").values = points;
    const scale = (name) => specification.scales.find((one) => one.name === name);
    scale("x").domain = [-side, side];
    scale("y").domain = [0, top];
    await report.charts.embed("#chart", specification);
  };

  const segments = (name, values) => {
    const box = document.getElementById(`curve-${name}`);
    box.hidden = values.length < 2 && name === "device";
    defaults[name] ??= values[0];
    for (const value of values) {
      const input = element("input", { type: "radio", name: `curve-${name}`, value });
      input.addEventListener("change", () => {
        chosen[name] = value;
        draw();
        report.state.changed("curves");
      });
      box.append(element("label", {}, input, element("span", {}, titles[value] ?? value)));
    }
  };

  const distinct = (name) => [...new Set(data.curves.map((curve) => curve[name]))]
    .sort((one, other) => order.indexOf(one) - order.indexOf(other));

  /** Show what is chosen in the switches; a choice that this run lacks is that of the start. */
  const settle = () => {
    for (const name of [...names, "range"]) {
      const inputs = [...document.querySelectorAll(`#curve-${name} input`)];
      if (!inputs.some((input) => input.value === chosen[name])) chosen[name] = defaults[name];
      for (const input of inputs) input.checked = input.value === chosen[name];
    }
    for (const box of field.querySelectorAll("input")) box.checked = !hidden.has(box.value);
  };

  const build = async () => {
    if (data) return draw();
    const [curves, specifications] = await Promise.all(["curve-data", "chart-data"].map(report.unpack));
    data = { ...JSON.parse(curves), specifications: JSON.parse(specifications) };
    if (distinct("dtype").includes("float32")) defaults.dtype = "float32";
    for (const name of names) segments(name, distinct(name));
    segments("range", ["near", "all"]);
    for (const [backend, { colour, dash }] of Object.entries(data.looks)) {
      const box = element("input", { type: "checkbox", value: backend });
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(backend);
        else hidden.add(backend);
        draw();
        report.state.changed("curves");
      });
      const key = element("span", { className: "key" });
      key.innerHTML = '<svg width="26" height="8" aria-hidden="true"><line x1="0" y1="4" x2="26" y2="4" stroke-width="3"/></svg>';
      key.querySelector("line").setAttribute("stroke", colour);
      key.querySelector("line").setAttribute("stroke-dasharray", dash.join(" "));
      field.append(element("label", {}, box, key, backend));
    }
    settle();
    await draw();
    document.getElementById("curves").dataset.drawn = "";
  };

  const key = (name) => `curve-${name}`;
  report.state.register("curves", {
    keys: [...names, "range"].map(key).concat("curve-without"),
    read: () => [
      ...[...names, "range"].map((name) => [key(name), chosen[name] === defaults[name] ? "" : chosen[name] ?? ""]),
      ...[...hidden].map((backend) => ["curve-without", backend]),
    ],
    set: (given) => {
      const before = JSON.stringify([chosen, [...hidden]]);
      for (const name of [...names, "range"]) chosen[name] = given.get(key(name)) ?? defaults[name];
      hidden.clear();
      for (const backend of given.getAll("curve-without")) hidden.add(backend);
      if (!data) return;
      settle();
      if (JSON.stringify([chosen, [...hidden]]) !== before) draw();
    },
  });
  report.charts.whenNear("curves", build);
};
