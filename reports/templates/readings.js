// What the error curves say, in words: a table of all that is shown, and the errors at one logit.
"use strict";

report.readings = (() => {
  const { element, number, atMost } = report;
  const level = (ulp) => {
    if (ulp < 1) return "AAA";
    if (ulp <= 4) return "AA";
    return ulp === Infinity ? "infinitely wrong" : "below AA";
  };
  const row = (head, ...words) => element("tr", {}, element("th", { scope: "row" }, head), ...words.map((one) => element("td", {}, one)));

  const beyond = (points, bound) => {
    const over = points.filter((point) => point.ulp > bound).map((point) => point.logit);
    if (!over.length) return "nowhere";
    const [least, most] = [Math.min(...over), Math.max(...over)];
    const where = least === most ? `at ${number(least)}` : `${number(least)} to ${number(most)}`;
    return `${where} (${over.length} of ${points.length} points)`;
  };
  /** The table that says what the chart shows: `series` is backend → points. */
  const tabulate = (series, caption) => {
    const lines = series.map(([backend, points]) => {
      const worst = points.reduce((most, point) => (point.ulp > most.ulp ? point : most), { ulp: -1, logit: NaN });
      if (!points.length) return row(backend, "no point here", "", "", "");
      return row(backend, atMost(worst.ulp), number(worst.logit), beyond(points, 1), beyond(points, 4));
    });
    document.querySelector("#curve-table tbody").replaceChildren(...lines);
    for (const place of ["curve-said", "curve-shown"]) document.getElementById(place).textContent = caption;
  };

  /** The errors next to a logit, the worst first; backends that have the same share a line. */
  const tell = (series, place) => {
    const near = series.filter(([, points]) => points.length).map(([backend, points]) => {
      const closest = points.reduce((one, other) => (Math.abs(other.place - place) < Math.abs(one.place - place) ? other : one));
      return { backend, ...closest };
    });
    near.sort((one, other) => (one.ulp === other.ulp ? 0 : other.ulp - one.ulp));
    const groups = new Map();
    for (const { backend, ulp, logit } of near) {
      const key = `${ulp} ${logit}`;
      if (groups.has(key)) groups.get(key).backends.push(backend);
      else groups.set(key, { ulp, logit, backends: [backend] });
    }
    const lines = [...groups.values()].map(({ backends, ulp, logit }) =>
      row(backends.join(", "), `${atMost(ulp)} ULP`, level(ulp), `at ${number(logit)}`));
    document.querySelector("#curve-here tbody").replaceChildren(...lines);
    return near[0] ?? null;
  };
  return { tabulate, tell, level };
})();
