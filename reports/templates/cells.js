// The table of cells: filters, sorts, and shows the evidence of one cell. Texts reach the page as
// text nodes only, never as markup.
"use strict";
const report = {};

report.element = (tag, properties = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
};

report.cells = (() => {
  const { element } = report;
  const packed = JSON.parse(document.getElementById("cell-data").textContent);
  const { texts, verdicts, requirements } = packed;
  const text = (index) => (index === null ? null : texts[index]);
  const PAGE = 100;

  const places = Object.fromEntries(packed.fields.map((name, index) => [name, index]));
  const cells = packed.cells.map((row, order) => {
    const value = (name) => row[places[name]];
    return {
      order,
      requirement: text(value("requirement")),
      backend: text(value("backend")),
      device: text(value("device")),
      dtype: text(value("dtype")),
      rank: value("verdict"),
      verdict: verdicts[value("verdict")],
      standing: text(value("standing")),
      known: verdicts[value("known")],
      inputs: value("inputs"),
      evidence: value("exhaustive") ? "exhaustive" : "searched",
      reason: text(value("reason")),
      detail: text(value("detail")),
      reproduce: text(value("reproduce")),
      ulp: value("ulp"),
      worst: value("worst"),
      flushed: value("flushed"),
      log: text(value("log")),
      family: requirements[text(value("requirement"))][0],
    };
  });

  // null stands for infinity within a distribution.
  const number = (value) => {
    if (value === null) return "∞";
    if (value === 0) return "0";
    if (value >= 1e5 || value < 1e-3) return value.toExponential(2).replace("e+", "e");
    return String(Number(value.toPrecision(4)));
  };
  const count = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");
  const share = (value) => {
    if (value === 1 || value === 0) return `${100 * value} %`;
    return `${(Math.floor(value * 1e6) / 1e4).toString()} %`;
  };
  const largest = (cell) => (cell.ulp ? cell.ulp[0] ?? Infinity : -1);
  const slug = (verdict) => `v-${verdict.replaceAll(" ", "-")}`;
  const badge = (verdict) => element("span", { className: `badge ${slug(verdict)}` }, verdict);
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

  const columns = [
    { title: "requirement", width: "17%", of: (cell) => cell.order },
    { title: "backend", width: "15%", of: (cell) => cell.backend },
    { title: "device", width: "8%", of: (cell) => cell.device, minor: true },
    { title: "dtype", width: "11%", of: (cell) => cell.dtype },
    { title: "verdict", width: "14%", of: (cell) => cell.rank },
    { title: "max ULP", width: "11%", of: largest, number: true },
    { title: "inputs", width: "12%", of: (cell) => cell.inputs, number: true, minor: true },
    { title: "against the ledger", width: "12%", of: (cell) => cell.standing, minor: true },
  ];

  const standing = (cell) =>
    cell.standing.startsWith("worse")
      ? element("span", { className: "surprising" }, cell.standing)
      : cell.standing;

  const row = (cell) => {
    const toggle = element("button", { type: "button" }, cell.requirement);
    toggle.setAttribute("aria-expanded", "false");
    const contents = [
      toggle,
      cell.backend,
      cell.device,
      cell.dtype,
      badge(cell.verdict),
      cell.ulp ? number(cell.ulp[0]) : "",
      count(cell.inputs),
      standing(cell),
    ];
    const line = element("tr", { className: "row" });
    columns.forEach((column, place) => {
      const classes = [column.number ? "number" : "", column.minor ? "minor" : ""].join(" ").trim();
      line.append(element("td", { className: classes }, contents[place]));
    });
    line.dataset.order = cell.order;
    return line;
  };

  const pairs = (entries) =>
    element("dl", { className: "pairs" }, ...entries.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  const heading = (words) => element("h4", {}, words);
  const hex = (index) => {
    if (index === null) return "None";
    const value = texts[index];
    const known = decimal(value);
    return element("span", {}, element("code", {}, value), known === null ? "" : element("small", {}, `≈ ${known}`));
  };

  const copyButton = (line) => {
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

  const evidence = (cell) => {
    const box = element("td", { colSpan: columns.length });
    box.append(element("p", { className: "sentence" }, requirements[cell.requirement][1]));
    box.append(pairs([
      ["cell", element("code", {}, [cell.requirement, cell.backend, cell.device, cell.dtype].join("/"))],
      ["verdict", badge(cell.verdict)],
      ["known", badge(cell.known)],
      ["against the ledger", standing(cell)],
      ["inputs tried", `${count(cell.inputs)}, ${cell.evidence}`],
      ...(cell.flushed ? [["subnormal results flushed to zero", count(cell.flushed)]] : []),
    ]));
    if (cell.reason) box.append(heading("reason"), element("p", {}, cell.reason));
    if (cell.detail) box.append(heading("detail"), element("p", {}, cell.detail));
    if (cell.log) box.append(heading("what was raised"), element("pre", {}, cell.log));
    if (cell.ulp) {
      const [max, p99, mean, rounded] = cell.ulp;
      const proven = cell.evidence === "exhaustive" ? "maximum (proven)" : "maximum found";
      box.append(heading("error in ULP"), pairs([
        [proven, number(max)], ["99th percentile", number(p99)], ["mean", number(mean)], ["correctly rounded", share(rounded)],
      ]));
    }
    if (cell.worst) {
      const names = ["logit", "target", "weight", "pos_weight", "got", "exact"];
      box.append(heading("worst input"), pairs(names.map((name, place) => [name, hex(cell.worst[place])])));
    }
    if (cell.reproduce) {
      const line = element("pre", {}, cell.reproduce);
      box.append(heading("see it again"), element("div", { className: "line" }, line, copyButton(line)));
    }
    box.append(element("p", { className: "links" },
      element("a", { href: address(cell) }, "link to this cell"),
      element("a", { href: `#requirement/${encodeURIComponent(cell.requirement)}` }, "requirement"),
      element("a", { href: `#cells?requirement=${encodeURIComponent(cell.requirement)}` }, "this requirement, every backend")));
    return element("tr", { className: "evidence" }, box);
  };

  const table = document.getElementById("cell-table");
  const body = table.tBodies[0];
  const more = document.getElementById("cell-more");
  const status = document.getElementById("cell-count");
  const search = document.getElementById("f-text");
  const filters = ["backend", "family", "requirement", "dtype", "device", "verdict", "standing"];
  const select = (name) => document.getElementById(`f-${name}`);
  let found = cells;
  let sorting = { column: columns[0], descending: false };

  const words = (cell) =>
    (cell.words ??= [cell.requirement, requirements[cell.requirement][1], cell.backend, cell.device, cell.dtype,
      cell.verdict, cell.reason, cell.detail, cell.reproduce].join("\n").toLowerCase());

  const showMore = (upTo = body.querySelectorAll("tr.row").length + PAGE) => {
    const shown = body.querySelectorAll("tr.row").length;
    body.append(...found.slice(shown, upTo).map(row));
    more.hidden = upTo >= found.length;
  };

  const toggle = (line, open) => {
    const button = line.querySelector("button");
    const isOpen = button.getAttribute("aria-expanded") === "true";
    if (open === isOpen) return;
    button.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) line.nextElementSibling.remove();
    else line.after(evidence(cells[line.dataset.order]));
  };

  const refresh = () => {
    const wanted = filters.map((name) => [name, select(name).value]).filter(([, value]) => value);
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = cells.filter((cell) =>
      wanted.every(([name, value]) => cell[name] === value) && terms.every((term) => words(cell).includes(term)));
    const { column, descending } = sorting;
    const sign = descending ? -1 : 1;
    found.sort((one, other) => {
      const [a, b] = [column.of(one), column.of(other)];
      return a === b ? one.order - other.order : a < b ? -sign : sign;
    });
    body.replaceChildren();
    showMore(PAGE);
    status.textContent = found.length === cells.length
      ? `${count(cells.length)} cells` : `${count(found.length)} of ${count(cells.length)} cells`;
  };

  /** Set every filter: those in `values` to theirs, the others to none. */
  const filter = (values) => {
    search.value = values.text ?? "";
    for (const name of filters) {
      select(name).value = values[name] ?? "";
      // A value that no cell has matches nothing, rather than everything.
      if (values[name] && select(name).value !== values[name]) {
        select(name).append(element("option", {}, values[name]));
        select(name).value = values[name];
      }
    }
    refresh();
  };

  /** Show one cell among those of its requirement, its evidence open. */
  const open = (requirement, backend, device, dtype) => {
    filter({ requirement });
    const place = found.findIndex((c) => c.backend === backend && c.device === device && c.dtype === dtype);
    if (place < 0) return;
    if (place >= PAGE) showMore(place + 1);
    const line = body.querySelector(`tr.row[data-order="${found[place].order}"]`);
    toggle(line, true);
    line.scrollIntoView({ block: "center" });
  };

  const build = () => {
    for (const name of filters) {
      const values = name === "verdict" ? verdicts.filter((v) => cells.some((c) => c.verdict === v))
        : [...new Set(cells.map((cell) => cell[name]))];
      const options = values.map((value) => element("option", {}, value));
      select(name).append(element("option", { value: "" }, "all"), ...options);
      select(name).addEventListener("change", refresh);
    }
    for (const column of columns) {
      const button = element("button", { type: "button" }, column.title);
      const classes = [column.number ? "number" : "", column.minor ? "minor" : ""].join(" ").trim();
      const head = element("th", { scope: "col", className: classes }, button);
      head.style.width = column.width;
      button.addEventListener("click", () => {
        const again = sorting.column === column;
        sorting = { column, descending: again ? !sorting.descending : Boolean(column.number) };
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
        refresh();
      });
      table.tHead.rows[0].append(head);
    }
    search.addEventListener("input", refresh);
    document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("filters").addEventListener("reset", (event) => {
      event.preventDefault();
      filter({});
    });
    body.addEventListener("click", (event) => {
      const line = event.target.closest("tr.row");
      if (line && !getSelection().toString()) toggle(line);
    });
    more.querySelector("button").addEventListener("click", () => showMore());
    new IntersectionObserver(([entry]) => entry.isIntersecting && showMore()).observe(more);
    refresh();
  };

  build();
  return { filter, open };
})();
