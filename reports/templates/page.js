// The rest of the page: the grid's views, the error curves, and what a fragment leads to.
"use strict";

(() => {
  const views = [...document.querySelectorAll(".grid-view")];
  const controls = document.getElementById("grid-controls");
  const show = () => {
    const device = document.getElementById("grid-device")?.value ?? "";
    const dtype = controls.querySelector("input[name=grid-dtype]:checked").value;
    for (const view of views) view.hidden = view.dataset.device !== device || view.dataset.dtype !== dtype;
  };
  controls.addEventListener("change", show);
  show();
})();

// The findings of one backend, and the one that a fragment leads to.
(() => {
  const choice = document.getElementById("finding-backend");
  if (!choice) return;
  const items = [...document.querySelectorAll("details.finding")];
  choice.addEventListener("change", () => {
    for (const group of document.querySelectorAll("details.others")) group.open = choice.value !== "";
    for (const item of items) {
      item.hidden = choice.value !== "" && !item.dataset.backends.split(" ").includes(choice.value);
    }
  });
  const open = () => {
    const chosen = items.find((item) => item.id && `#${item.id}` === location.hash);
    for (let item = chosen; item; item = item.parentElement.closest("details")) item.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();

// What the charts share: the page's colours, light or dark.
const charts = (() => {
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

  const embed = (place, specification) => {
    const theme = dark.matches ? "dark" : "light";
    vegaEmbed(place, specification, { mode: "vega", actions: false, renderer: "svg", config: config(), tooltip: { theme } });
  };
  return { dark, embed };
})();

(() => {
  const source = document.getElementById("timing-data");
  if (!source) return;
  const draw = () => charts.embed("#timing-chart", JSON.parse(source.textContent));
  charts.dark.addEventListener("change", draw);
  draw();
})();

(() => {
  const source = document.getElementById("curve-data");
  if (!source) return;
  const { element } = report;
  const { logits, curves, colours } = JSON.parse(source.textContent);
  const specifications = JSON.parse(document.getElementById("chart-data").textContent);
  const chosen = { range: "near" };
  const titles = { grad_logits: "gradient", near: "|x| ≤ 1000", all: "all" };

  const draw = () => {
    const backends = new Set([...document.querySelectorAll("#curve-backends input:checked")].map((box) => box.value));
    const names = ["quantity", "target", "dtype", "device"];
    const wanted = curves.filter((curve) => backends.has(curve.backend) && names.every((name) => curve[name] === chosen[name]));
    const ulps = wanted.flatMap((curve) => curve.ulps);
    const largest = ulps.reduce((most, ulp) => Math.max(most, ulp ?? 0), 8);
    // The infinite ones are drawn a decade above the largest finite error.
    const top = largest * (ulps.includes(null) ? 10 : 1.5);
    const { vega, exponent, limit } = specifications[chosen.range];
    const specification = structuredClone(vega);
    const place = (logit) => {
      const decades = Math.log10(Math.abs(logit)) - exponent;
      return Math.sign(logit) * (decades > 15 ? decades : Math.log10(1 + Math.abs(logit) / 10 ** exponent));
    };
    const rows = wanted.flatMap((curve) => logits[curve.logits].map((logit, index) => {
      const ulp = curve.ulps[index];
      const shown = ulp === null ? "∞" : String(Number(ulp.toPrecision(4)));
      return { backend: curve.backend, logit, place: place(logit), ulp: ulp ?? top, infinite: ulp === null, shown };
    })).filter((row) => limit === null || Math.abs(row.logit) <= limit);
    const side = limit === null ? rows.reduce((most, row) => Math.max(most, Math.abs(row.place)), 1) : place(limit);
    specification.data.find((set) => set.name === "points").values = rows;
    const scale = (name) => specification.scales.find((one) => one.name === name);
    scale("x").domain = [-side, side];
    scale("y").domain = [0, top];
    charts.embed("#chart", specification);
  };

  const segments = (name, values) => {
    const box = document.getElementById(`curve-${name}`);
    box.hidden = values.length < 2 && name === "device";
    chosen[name] ??= values[0];
    for (const value of values) {
      const input = element("input", { type: "radio", name: `curve-${name}`, value, checked: value === chosen[name] });
      input.addEventListener("change", () => {
        chosen[name] = value;
        draw();
      });
      box.append(element("label", {}, input, element("span", {}, titles[value] ?? value)));
    }
  };

  const order = ["loss", "grad_logits", "0", "1", "soft", "float16", "bfloat16", "float32", "float64"];
  const distinct = (name) => [...new Set(curves.map((curve) => curve[name]))]
    .sort((one, other) => order.indexOf(one) - order.indexOf(other));
  chosen.dtype = distinct("dtype").includes("float32") ? "float32" : undefined;
  for (const name of ["quantity", "target", "dtype", "device"]) segments(name, distinct(name));
  segments("range", ["near", "all"]);
  for (const [backend, value] of Object.entries(colours)) {
    const box = element("input", { type: "checkbox", value: backend, checked: true });
    box.addEventListener("change", draw);
    const key = element("i");
    const label = element("label", {}, box, key, backend);
    label.style.setProperty("--key", value);
    document.getElementById("curve-backends").append(label);
  }
  charts.dark.addEventListener("change", draw);
  draw();
})();

(() => {
  const follow = () => {
    const fragment = location.hash.slice(1);
    if (fragment.startsWith("cells?")) {
      report.cells.filter(Object.fromEntries(new URLSearchParams(fragment.slice("cells?".length))));
      document.getElementById("cells").scrollIntoView();
    } else if (fragment.startsWith("cell/")) {
      report.cells.open(...fragment.split("/").slice(1).map(decodeURIComponent));
    }
  };
  addEventListener("hashchange", follow);
  follow();
})();
