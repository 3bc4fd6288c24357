// The error curves: what is chosen of them, drawn over a window of logits, and read at one of them.
"use strict";

report.startCurves = () => {
  const field = document.getElementById("curve-backends");
  if (!field) return;
  const { element, number, readings } = report;
  const box = document.getElementById("chart-box");
  const slider = document.getElementById("curve-at");
  const here = document.getElementById("curve-here-said");
  const ASK = here.textContent;
  const titles = { grad_logits: "gradient", near: "|x| ≤ 1000", all: "all" };
  const order = ["loss", "grad_logits", "0", "1", "soft", "float16", "bfloat16", "float32", "float64"];
  const names = ["quantity", "target", "dtype", "device"];
  const chosen = {};
  const defaults = { range: "near" };
  const hidden = new Set();
  let data = null;
  let zoomed = null; // the window of logits, or null for all of them
  let shown = null; // what the chart shows: its view, scale, series and window
  let zoom = null;
  let heat = null;

  const wanted = () => data.curves.filter((curve) =>
    !hidden.has(curve.backend) && names.every((name) => curve[name] === chosen[name]));

  /** Each chosen backend with its points, in the order of the backends. */
  const seriesOf = (scale, limit) => wanted().map((curve) => [
    curve.backend,
    data.logits[curve.logits]
      .map((logit, index) => ({ logit, place: scale.place(logit), ulp: data.ulps[curve.ulps][index] ?? Infinity }))
      .filter(({ logit }) => limit === null || Math.abs(logit) <= limit),
  ]);

  /** Bands where results of this format leave the normal numbers, and words for those in sight. */
  const bands = (scale, [from, to]) => {
    const { subnormal, zero, overflow } = data.regions[chosen.dtype];
    const side = { 0: -1, 1: 1 }[chosen.target];
    const found = [];
    const add = (low, high, words, shade, row) => {
      const [a, b] = [low, high].map((logit) => Math.min(Math.max(scale.place(logit), from), to)).sort((one, other) => one - other);
      if (a < b) found.push({ from: a, to: b, middle: (a + b) / 2, words: (b - a) / (to - from) > 0.07 ? words : "", shade, row });
    };
    const far = Number.MAX_VALUE;
    if (side) {
      add(side * subnormal, side * zero, ["subnormal:", "AA may flush"], 0.3, 4);
      add(side * zero, side * far, "rounds to 0", 0.18, 4);
    }
    add(overflow, far, "eˣ overflows", 0.1, 36);
    add(-overflow, -far, "e⁻ˣ overflows", 0.1, 36);
    return found;
  };

  const scene = () => {
    const { exponent, limit } = data.specifications[chosen.range];
    const scale = report.scale(exponent);
    const series = seriesOf(scale, limit);
    const most = series.flatMap(([, points]) => points).reduce((size, { place }) => Math.max(size, Math.abs(place)), 1);
    const side = limit === null ? most : scale.place(limit);
    const whole = [-side, side];
    const places = zoomed?.map((logit) => Math.min(Math.max(scale.place(logit), -side), side)) ?? whole;
    const window = places[0] < places[1] ? places : whole;
    const inside = series.map(([backend, points]) => [backend, points.filter(({ place }) => place >= window[0] && place <= window[1])]);
    const errors = inside.flatMap(([, points]) => points).map(({ ulp }) => ulp);
    const finite = errors.reduce((top, ulp) => (ulp < Infinity ? Math.max(top, ulp) : top), 8);
    // The infinite ones are drawn a decade above the largest finite error.
    const top = Math.min(finite * (errors.includes(Infinity) ? 10 : 1.5), Number.MAX_VALUE);
    const points = series.flatMap(([backend, all]) => all.map(({ place, ulp }) =>
      ({ backend, place, ulp: ulp === Infinity ? top : ulp, infinite: ulp === Infinity })));
    const ticks = scale.ticks(scale.logit(window[0]), scale.logit(window[1]));
    return {
      choice: JSON.stringify([names.map((name) => chosen[name]), chosen.range, [...hidden]]), scale, series, inside, whole, window, points, bands: bands(scale, window),
      signals: {
        left: window[0], right: window[1], top, ticks: ticks.map(scale.place), labels: ticks.map(scale.called),
        quiet: report.charts.colour("--quiet"),
      },
    };
  };

  const inWords = ({ scale, inside, window, whole }) => {
    const narrow = window[0] > whole[0] || window[1] < whole[1];
    const logits = narrow ? window.map((place) => number(scale.logit(place))).join(" to ") : titles[chosen.range];
    readings.tabulate(inside,
      `${titles[chosen.quantity] ?? chosen.quantity}, target ${chosen.target}, ${chosen.dtype}, ${chosen.device}, logits: ${logits}`);
    const all = document.querySelector("[data-zoom=whole]");
    // A button that cannot be pressed any more gives the focus to its neighbour.
    if (!narrow && document.activeElement === all) document.querySelector("[data-zoom=in]").focus();
    all.disabled = !narrow;
  };

  /** Draw what is chosen: into the chart that is there, if it is one of the same range. */
  const drawNow = async (anew) => {
    const next = scene();
    const before = shown?.choice;
    inWords(next);
    if (anew || shown?.range !== chosen.range) {
      const specification = structuredClone(data.specifications[chosen.range].vega);
      for (const signal of specification.signals) {
        if (signal.name in next.signals) signal.value = next.signals[signal.name];
      }
      specification.data.find((set) => set.name === "points").values = next.points;
      specification.data.find((set) => set.name === "regions").values = next.bands;
      const view = await report.charts.embed("#chart", specification);
      shown = { ...next, view, range: chosen.range };
    } else {
      const { view, choice, signals } = shown;
      shown = { ...next, view, range: chosen.range };
      for (const [name, value] of Object.entries(next.signals)) view.signal(name, value);
      view.data("regions", next.bands);
      // Points stay where they are, but for infinite ones, which are at the top.
      const moved = next.signals.top !== signals.top && next.points.some(({ infinite }) => infinite);
      if (choice !== next.choice || moved) view.data("points", next.points);
      await view.runAsync();
    }
    zoom?.again();
    if (heat && (anew || before !== next.choice)) await heat(chosen, hidden);
  };

  // One drawing at a time; what is chosen meanwhile is drawn together, after it.
  let asked = null;
  let drawing = null;
  const drawAll = async () => {
    try {
      while (asked) {
        const { anew } = asked;
        asked = null;
        await drawNow(anew);
      }
    } finally {
      drawing = null;
    }
  };
  const draw = ({ anew = true } = {}) => {
    asked = { anew: anew || Boolean(asked?.anew) };
    return (drawing ??= drawAll());
  };

  const segments = (name, values) => {
    const place = document.getElementById(`curve-${name}`);
    place.hidden = values.length < 2 && name === "device";
    defaults[name] ??= values[0];
    for (const value of values) {
      const input = element("input", { type: "radio", name: `curve-${name}`, value });
      input.addEventListener("change", () => {
        chosen[name] = value;
        if (name === "range") zoomed = null;
        draw({ anew: false });
        report.state.changed("curves");
      });
      place.append(element("label", {}, input, element("span", {}, titles[value] ?? value)));
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
    for (const one of field.querySelectorAll("input")) one.checked = !hidden.has(one.value);
  };

  const keys = () => {
    for (const [backend, { colour, dash }] of Object.entries(data.looks)) {
      const choice = element("input", { type: "checkbox", value: backend });
      choice.addEventListener("change", () => {
        if (choice.checked) hidden.delete(backend);
        else hidden.add(backend);
        draw({ anew: false });
        report.state.changed("curves");
      });
      const key = element("span", { className: "key" });
      key.innerHTML = '<svg width="26" height="8" aria-hidden="true"><line x1="0" y1="4" x2="26" y2="4" stroke-width="3"/></svg>';
      key.querySelector("line").setAttribute("stroke", colour);
      key.querySelector("line").setAttribute("stroke-dasharray", dash.join(" "));
      field.append(element("label", {}, choice, key, backend));
    }
  };

  /** Where the chart's scale lies in its box, and what it shows. */
  const scope = () => {
    const { whole, window } = shown;
    const ground = box.querySelector("#chart .background").getBoundingClientRect();
    const left = ground.left - box.getBoundingClientRect().left;
    const { width } = ground;
    const span = window[1] - window[0];
    return {
      whole, window, left, width,
      pixels: (place) => left + ((place - window[0]) / span) * width,
      place: (pixels) => window[0] + ((pixels - left) / width) * span,
    };
  };
  const startZoom = () => {
    zoom = report.startZoom({
      box, slider, scope, buttons: document.getElementById("curve-zoom"),
      zoom: (window) => {
        zoomed = window?.map((place) => Number(shown.scale.logit(place).toPrecision(6))) ?? null;
        draw({ anew: false });
        report.state.typed("curves");
      },
      point: (place) => {
        const worst = place === null ? null : readings.tell(shown.series, place);
        document.getElementById("curve-here").hidden = worst === null;
        const at = place === null ? "" : `logit ${shown.scale.called(Number(shown.scale.logit(place).toPrecision(4)))}`;
        here.textContent = place === null ? ASK : `Near ${at}:`;
        slider.setAttribute("aria-valuetext", worst ? `${at}: ${worst.backend} ${report.atMost(worst.ulp)} ULP, ${readings.level(worst.ulp)}` : "none");
      },
    });
  };

  const build = async () => {
    if (data) return draw();
    const [curves, specifications] = await Promise.all(["curve-data", "chart-data"].map(report.unpack));
    data = { ...JSON.parse(curves), specifications: JSON.parse(specifications) };
    data.logits = data.logits.map((steps) => {
      let place = 0;
      return steps.map((step) => data.known[(place += step)]);
    });
    if (distinct("dtype").includes("float32")) defaults.dtype = "float32";
    for (const name of names) segments(name, distinct(name));
    segments("range", ["near", "all"]);
    keys();
    settle();
    heat = await report.startHeat();
    await draw();
    startZoom();
    document.getElementById("curves").dataset.drawn = "";
  };

  const key = (name) => `curve-${name}`;
  const written = (window) => (window ? window.join("..") : "");
  const parsed = (text) => {
    const window = (text ?? "").split("..").map(Number);
    return window.length === 2 && window.every(Number.isFinite) && window[0] < window[1] ? window : null;
  };
  report.state.register("curves", {
    keys: [...names, "range", "view"].map(key).concat("curve-without"),
    read: () => [
      ...[...names, "range"].map((name) => [key(name), chosen[name] === defaults[name] ? "" : chosen[name] ?? ""]),
      [key("view"), written(zoomed)],
      ...[...hidden].map((backend) => ["curve-without", backend]),
    ],
    set: (given) => {
      const before = JSON.stringify([chosen, zoomed, [...hidden]]);
      for (const name of [...names, "range"]) chosen[name] = given.get(key(name)) ?? defaults[name];
      zoomed = parsed(given.get(key("view")));
      hidden.clear();
      for (const backend of given.getAll("curve-without")) hidden.add(backend);
      if (!data) return;
      settle();
      if (JSON.stringify([chosen, zoomed, [...hidden]]) !== before) draw({ anew: false });
    },
  });
  report.charts.whenNear("curves", build);
};
