// Accuracy against speed: a chart and a table of the workload that is chosen.
"use strict";

report.startPareto = async () => {
  const choice = document.getElementById("pareto-workload");
  if (!choice) return;
  const { element, number } = report;
  const { chart, workloads } = JSON.parse(await report.unpack("pareto-data"));
  const HEIGHT = 360;
  const LETTER = 7.2; // pixels, about

  const tabulate = ({ standings }) => {
    const lines = standings.map((one) => element("tr", {}, element("th", { scope: "row" }, one.backend), ...[
      number(one.ns), one.to_limit === null ? "not measured" : number(one.to_limit),
      `${one.met} of ${one.measured}`, one.front ? "yes" : "",
    ].map((words) => element("td", {}, words))));
    document.querySelector("#pareto-table tbody").replaceChildren(...lines);
  };

  const range = ({ standings, limit }) => {
    const times = [...standings.map(({ ns }) => ns), ...(limit ? [limit] : [])];
    return [Math.min(...times) / 1.35, Math.max(...times) * 2.2];
  };
  /** Names beside their points, each where it covers neither another nor a point. */
  const placed = (standings, [fastest, slowest], width) => {
    const at = ({ ns, share }) => [(Math.log(ns / fastest) / Math.log(slowest / fastest)) * width, (1 - share / 104) * HEIGHT];
    const taken = standings.map(at).map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
    const meets = (one) => taken.some((other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]);
    return standings.map((one) => {
      const [x, y] = at(one);
      const long = one.backend.length * LETTER;
      const box = ([right, down]) => [x + right, y + down - 8, x + right + long, y + down + 8];
      const places = [0, 17, -17, 34, -34, 51, -51].flatMap((down) => [[10, down], [-10 - long, down]]);
      const inside = (place) => box(place)[0] >= 0 && box(place)[2] <= width && box(place)[1] >= 0 && box(place)[3] <= HEIGHT;
      const [right, down] = places.find((place) => inside(place) && !meets(box(place))) ?? places[0];
      taken.push(box([right, down]));
      return { ...one, right, down };
    });
  };

  const draw = async () => {
    const workload = workloads[choice.value];
    tabulate(workload);
    if (!chart) return;
    const ends = range(workload);
    const width = document.getElementById("pareto-chart").clientWidth - 80;
    const points = placed(workload.standings, ends, width).map((one) => ({
      ...one, accurate: `${one.met} of ${one.measured} cells`, times: one.to_limit === null ? "not measured" : number(one.to_limit),
    }));
    const specification = structuredClone(chart);
    const put = (name, values) => (specification.data.find((set) => set.name === name).values = values);
    put("points", points);
    put("front", points.filter(({ front }) => front));
    put("limit", workload.limit ? [{ ns: workload.limit }] : []);
    const signals = { fastest: ends[0], slowest: ends[1], quiet: report.charts.colour("--quiet") };
    for (const signal of specification.signals) if (signal.name in signals) signal.value = signals[signal.name];
    await report.charts.embed("#pareto-chart", specification);
    document.getElementById("timings").dataset.drawn = "";
  };

  const near = report.charts.whenNear("timings", draw);
  const show = () => (near.ready() ? draw() : tabulate(workloads[choice.value]));
  choice.addEventListener("change", () => {
    show();
    report.state.changed("timings");
  });
  report.state.register("timings", {
    keys: ["workload"],
    read: () => [["workload", choice.value === "0" ? "" : workloads[choice.value].title]],
    set: (chosen) => {
      const wanted = String(Math.max(workloads.findIndex(({ title }) => title === chosen.get("workload")), 0));
      if (choice.value === wanted) return;
      choice.value = wanted;
      show();
    },
  });
};
