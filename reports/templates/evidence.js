// The evidence of one cell. Texts reach the page as text nodes only, never as markup.
"use strict";

report.slug = (verdict) => `v-${verdict.replaceAll(" ", "-")}`;
report.badge = (verdict) => report.element("span", { className: `badge ${report.slug(verdict)}` }, verdict);
report.standing = (cell) =>
  cell.standing.startsWith("worse")
    ? report.element("span", { className: "surprising" }, cell.standing)
    : cell.standing;

report.evidence = (() => {
  const { element, number, atMost, count, badge, standing } = report;
  const share = (value) => {
    if (value === 1 || value === 0) return `${100 * value} %`;
    return `${(Math.floor(value * 1e6) / 1e4).toString()} %`;
  };
  const address = (cell) =>
    "#cell/" + [cell.requirement, cell.backend, cell.device, cell.dtype].map(encodeURIComponent).join("/");

  const decimal = (hex) => {
    const parts = /^(-?)0x([01])\.?([0-9a-f]*)p([+-]?\d+)$/.exec(hex);
    if (!parts) return null;
    const [, sign, whole, fraction, exponent] = parts;
    let mantissa = Number(whole);
    [...fraction].forEach((digit, place) => (mantissa += parseInt(digit, 16) / 16 ** (place + 1)));
    // In two steps, for 2 ** exponent alone may underflow where the product does not.
    const power = Number(exponent);
    const half = Math.trunc(power / 2);
    const value = mantissa * 2 ** half * 2 ** (power - half);
    return `${sign ? "−" : ""}${value === 0 ? 0 : Number(value.toPrecision(9))}`;
  };

  const pairs = (entries) =>
    element("dl", { className: "pairs" }, ...entries.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  const heading = (words) => element("h3", {}, words);
  const hex = (value) => {
    if (value === null) return "None";
    const known = decimal(value);
    return element("span", {}, element("code", {}, value), known === null ? "" : element("small", {}, `≈ ${known}`));
  };

  report.copyButton = (line) => {
    const button = element("button", { type: "button" }, "copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(line.textContent);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(line);
        button.textContent = "selected";
      }
      setTimeout(() => (button.textContent = "copy"), 1500);
    });
    return button;
  };

  const facts = (cell) => pairs([
    ["cell", element("code", {}, cell.id)],
    ["verdict", badge(cell.verdict)],
    ["known", badge(cell.known)],
    ["against the ledger", standing(cell)],
    ["inputs tried", `${count(cell.inputs)}, ${cell.evidence}`],
    ...(cell.flushed ? [["subnormal results flushed to zero", count(cell.flushed)]] : []),
  ]);

  const errors = (cell) => {
    const [max, p99, mean, rounded] = cell.ulp;
    const proven = cell.evidence === "exhaustive" ? "maximum (proven)" : "maximum found";
    return pairs([
      [proven, atMost(max)], ["99th percentile", number(p99)], ["mean", number(mean)], ["correctly rounded", share(rounded)],
    ]);
  };

  // Counts of errors up to each of these, in ULP; then larger ones, then infinite ones.
  const BOUNDS = ["¼", "½", "1", "2", "4", "16", "256", "2¹⁶", "2²⁴", "2⁵³"];
  const named = (place) => {
    if (place === 0) return `at most ${BOUNDS[0]} ULP`;
    if (place < BOUNDS.length) return `up to ${BOUNDS[place]} ULP`;
    return place === BOUNDS.length ? `more than ${BOUNDS.at(-1)} ULP` : "infinite or NaN";
  };
  /** How many results have which error: bars for the eye, numbers for everyone. */
  const histogram = (counts) => {
    const total = counts.reduce((sum, one) => sum + one, 0);
    const most = Math.max(...counts);
    const lines = counts.map((one, place) => {
      const bar = element("i", { "aria-hidden": "true", className: place < 3 ? "fine" : place < 5 ? "close" : "far" });
      bar.style.width = `${(100 * one) / most}%`;
      return element("tr", {}, element("th", { scope: "row" }, named(place)),
        element("td", { className: "number" }, count(one)), element("td", { className: "number" }, share(one / total)),
        element("td", { className: "length" }, ...(one ? [bar] : [])));
    });
    const head = ["error", "results", "share", ""].map((words, place) =>
      element(words ? "th" : "td", { ...(words ? { scope: "col" } : {}), className: place === 1 || place === 2 ? "number" : "" }, words));
    return element("table", { className: "histogram" },
      element("caption", {}, `${count(total)} results by their error; those of a search for worse ones are not counted`),
      element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines));
  };

  /** The findings behind a cell, where the page has them, and their reports upstream. */
  const defects = (ids, known) => element("ul", {}, ...ids.map((id) => {
    const [title, link] = known[id];
    const place = `finding/${encodeURIComponent(id)}`;
    const named = document.getElementById(place) ? element("a", { href: `#${place}` }, title) : title;
    return element("li", {}, named, link ? " " : "", link ? element("a", { href: link, rel: "noreferrer" }, "upstream") : "");
  }));

  /** The row that shows what a cell's verdict rests on, `span` columns wide. */
  return (cell, [, sentence, why], span, known) => {
    const box = element("td", { colSpan: span });
    box.append(element("p", { className: "sentence" }, sentence, why ? element("small", {}, `Why: ${why}`) : ""), facts(cell));
    if (cell.reason) box.append(heading("reason"), element("p", {}, cell.reason));
    if (cell.defects.length) box.append(heading("known defects"), defects(cell.defects, known));
    if (cell.detail) box.append(heading("detail"), element("p", {}, cell.detail));
    if (cell.log) box.append(heading("what was raised"), element("pre", {}, cell.log));
    if (cell.ulp) box.append(heading("error in ULP"), errors(cell));
    if (cell.histogram) box.append(histogram(cell.histogram));
    if (cell.worst) {
      const names = ["logit", "target", "weight", "pos_weight", "got", "exact"];
      box.append(heading("worst input"), pairs(names.map((name, place) => [name, hex(cell.worst[place])])));
    }
    if (cell.reproduce) {
      const line = element("pre", {}, cell.reproduce);
      box.append(heading("see it again"), element("div", { className: "line" }, line, report.copyButton(line)));
    }
    box.append(element("p", { className: "links" },
      element("a", { href: address(cell) }, "link to this cell"),
      element("a", { href: `#requirement/${encodeURIComponent(cell.requirement)}` }, "requirement"),
      element("a", { href: `#cells?requirement=${encodeURIComponent(cell.requirement)}` }, "this requirement, every backend")));
    return element("tr", { className: "evidence" }, box);
  };
})();
