// Soft targets: the error over logit and target, a panel for each backend, and a table of the same.
"use strict";

report.startHeat = async () => {
  const place = document.getElementById("heat-chart");
  if (!place) return null;
  const { element, atMost } = report;
  const { chart, data } = JSON.parse(await report.unpack("heat-data"));
  const [PANEL, MOST] = [300, 4]; // pixels of a panel with its axis; panels in a row
  const called = report.scale(-2).called;
  const between = (edges, turn) => `${called(edges[turn])} to ${called(edges[turn + 1])}`;

  const squares = (map) => {
    const [logits, targets] = data.edges[map.edges];
    const columns = logits.length - 1;
    return [...map.classes].flatMap((letter, turn) => {
      const [row, column] = [Math.floor(turn / columns), turn % columns];
      if (!(letter in data.classes)) return [];
      return [{
        backend: map.backend, from: column, to: column + 1, low: row, high: row + 1,
        logit: between(logits, column), target: between(targets, row), error: data.classes[letter],
      }];
    });
  };

  /** Edges that are short in figures, as ticks. */
  const short = (value) => value === 0 || Number(value.toPrecision(1)) === value || (Math.abs(value) < 1 && Number(value.toPrecision(3)) === value);
  const decade = (value) => value === 0 || Number.isInteger(Math.log10(Math.abs(value)));
  const axes = ([logits, targets]) => {
    const marked = (edges, holds) => edges.map((edge, turn) => [turn, edge]).filter(([, edge]) => holds(edge));
    const [x, y] = [marked(logits, decade), marked(targets, short)];
    return {
      columns: logits.length - 1, rows: targets.length - 1,
      logit_ticks: x.map(([turn]) => turn), logit_labels: x.map(([, edge]) => called(edge)),
      target_ticks: y.map(([turn]) => turn), target_labels: y.map(([, edge]) => called(edge)),
    };
  };

  const tabulate = (maps) => {
    const lines = maps.map((map) => {
      const tried = [...map.classes].filter((letter) => letter in data.classes);
      const beyond = tried.filter((letter) => letter > "c").length;
      const [worst, row, column] = map.worst;
      const [logits, targets] = data.edges[map.edges];
      return element("tr", {}, element("th", { scope: "row" }, map.backend), ...[
        `${beyond} of ${tried.length}`, atMost(worst), between(logits, column), between(targets, row),
      ].map((words) => element("td", {}, words)));
    });
    document.querySelector("#heat-table tbody").replaceChildren(...lines);
  };

  return async ({ quantity, dtype, device }, hidden) => {
    const maps = data.maps.filter((map) =>
      map.quantity === quantity && map.dtype === dtype && map.device === device && !hidden.has(map.backend));
    tabulate(maps);
    place.hidden = !maps.length;
    document.getElementById("heat-none").hidden = Boolean(maps.length);
    if (!maps.length || !chart) return;
    const specification = structuredClone(chart);
    specification.data.find(({ name }) => name === "squares").values = maps.flatMap(squares);
    const row = Math.max(Math.min(Math.floor(place.clientWidth / PANEL), MOST, maps.length), 1);
    specification.layout.columns = row;
    for (const { name, transform } of specification.data) {
      if (name.startsWith("facet_domain_")) transform[0].stop.signal = transform[0].stop.signal.replace(/\b4\b/, row);
    }
    const signals = axes(data.edges[maps[0].edges]);
    for (const signal of specification.signals) if (signal.name in signals) signal.value = signals[signal.name];
    await report.charts.embed("#heat-chart", specification, "canvas");
  };
};
