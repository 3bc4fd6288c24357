// The table of cells: filters, sorts, and opens cells.
"use strict";

report.startCells = async () => {
  const { element, atMost, count } = report;
  const packed = JSON.parse(await report.unpack("cell-data"));
  const { texts, columns: data, verdicts, requirements } = packed;
  const text = (index) => (index === null ? null : texts[index]);
  const PAGE = 100;

  const cells = data.requirement.map((named, order) => {
    const is = (name) => text(data[name][order]);
    const worst = data.worst[order];
    const place = [texts[named], is("backend"), is("device"), is("dtype")];
    return {
      order, id: place.join("/"), requirement: place[0], backend: place[1], device: place[2], dtype: place[3],
      rank: data.verdict[order], verdict: verdicts[data.verdict[order]], known: verdicts[data.known[order]],
      standing: is("standing"), inputs: data.inputs[order], flushed: data.flushed[order],
      evidence: data.exhaustive[order] ? "exhaustive" : "searched",
      reason: is("reason"), detail: is("detail"), reproduce: is("reproduce"), log: is("log"),
      ulp: data.ulp[order], histogram: data.histogram[order], defects: (data.defects[order] ?? []).map(text), worst: worst && worst.map(text), family: requirements[texts[named]][0],
    };
  });
  const byId = new Map(cells.map((cell) => [cell.id, cell]));
  const largest = (cell) => (cell.ulp ? cell.ulp[0] ?? Infinity : -1);

  const columns = [
    { name: "requirement", title: "requirement", width: "17%", of: (cell) => cell.order },
    { name: "backend", title: "backend", width: "15%", of: (cell) => cell.backend },
    { name: "device", title: "device", width: "8%", of: (cell) => cell.device, minor: true },
    { name: "dtype", title: "dtype", width: "11%", of: (cell) => cell.dtype },
    { name: "verdict", title: "verdict", width: "14%", of: (cell) => cell.rank },
    { name: "ulp", title: "max ULP", width: "11%", of: largest, number: true },
    { name: "inputs", title: "inputs", width: "12%", of: (cell) => cell.inputs, number: true, minor: true },
    { name: "standing", title: "against the ledger", width: "12%", of: (cell) => cell.standing, minor: true },
  ];
  const classes = (column) => [column.number ? "number" : "", column.minor ? "minor" : ""].join(" ").trim();

  const row = (cell) => {
    const toggle = element("button", { type: "button" }, cell.requirement);
    toggle.setAttribute("aria-expanded", "false");
    const contents = [
      toggle, cell.backend, cell.device, cell.dtype, report.badge(cell.verdict),
      cell.ulp ? atMost(cell.ulp[0]) : "", count(cell.inputs), report.standing(cell),
    ];
    const line = element("tr", { className: "row" });
    columns.forEach((column, place) => line.append(element("td", { className: classes(column) }, contents[place])));
    line.dataset.order = cell.order;
    return line;
  };

  const table = document.getElementById("cell-table");
  const body = table.tBodies[0];
  const more = document.getElementById("cell-more");
  const status = document.getElementById("cell-count");
  const search = document.getElementById("f-text");
  const filters = ["backend", "family", "requirement", "dtype", "device", "verdict", "standing"];
  const select = (name) => document.getElementById(`f-${name}`);
  const opened = new Set();
  let found = cells;
  let sorting = { column: columns[0], descending: false };

  // Each distinct text is searched once, however many cells have it.
  const lowered = texts.map((words) => words.toLowerCase());
  const searched = ["requirement", "backend", "device", "dtype", "reason", "detail", "reproduce"].map((name) => data[name]);
  const sentences = new Map(Object.entries(requirements).map(([id, [, words]]) => [id, words.toLowerCase()]));
  const having = (term) => {
    const has = Uint8Array.from(lowered, (words) => Number(words.includes(term)));
    const named = verdicts.map((verdict) => verdict.toLowerCase().includes(term));
    const required = new Set([...sentences].filter(([, words]) => words.includes(term)).map(([id]) => id));
    return (cell) => named[cell.rank] || required.has(cell.requirement) || searched.some((column) => has[column[cell.order]]);
  };

  const put = (line, open) => {
    const button = line.querySelector("button");
    const cell = cells[line.dataset.order];
    if (open === (button.getAttribute("aria-expanded") === "true")) return;
    button.setAttribute("aria-expanded", String(open));
    if (open) line.after(report.evidence(cell, requirements[cell.requirement], columns.length, packed.defects));
    else line.nextElementSibling.remove();
  };

  const showMore = (upTo = body.querySelectorAll("tr.row").length + PAGE) => {
    const shown = body.querySelectorAll("tr.row").length;
    const lines = found.slice(shown, upTo).map(row);
    body.append(...lines);
    for (const line of lines) if (opened.has(cells[line.dataset.order].id)) put(line, true);
    more.hidden = upTo >= found.length;
  };

  const refresh = () => {
    const held = body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.order : undefined;
    const wanted = filters.map((name) => [name, select(name).value]).filter(([, value]) => value);
    const tests = search.value.toLowerCase().split(/\s+/).filter(Boolean).map(having);
    found = cells.filter((cell) =>
      wanted.every(([name, value]) => cell[name] === value) && tests.every((test) => test(cell)));
    const { column, descending } = sorting;
    const sign = descending ? -1 : 1;
    found.sort((one, other) => {
      const [a, b] = [column.of(one), column.of(other)];
      return a === b ? one.order - other.order : a < b ? -sign : sign;
    });
    for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
      const sorted = columns[place] === column && (column !== columns[0] || descending);
      if (sorted) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    report.marked?.();
    body.replaceChildren();
    const last = opened.size ? found.findLastIndex((cell) => opened.has(cell.id)) + 1 : 0;
    showMore(Math.max(PAGE, last));
    status.textContent = found.length === cells.length
      ? `${count(cells.length)} cells` : `${count(found.length)} of ${count(cells.length)} cells`;
    // The row that had the focus has it still; where it is gone, the search has.
    if (held !== undefined) (body.querySelector(`tr.row[data-order="${held}"] button`) ?? search).focus({ preventScroll: true });
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
  const open = (requirement, ...rest) => {
    const id = [requirement, ...rest].join("/");
    opened.clear();
    if (byId.has(id)) opened.add(id);
    filter({ requirement });
    if (!byId.has(id)) {
      status.textContent = `This run has no cell ${id}.`;
      document.getElementById("cells").scrollIntoView();
      return;
    }
    const line = body.querySelector(`tr.row[data-order="${byId.get(id).order}"]`);
    line.scrollIntoView(); // what is above it lies behind the navigation and the head, and not in part
    line.querySelector("button").focus({ preventScroll: true });
  };

  const read = () => [
    ["text", search.value.trim()],
    ...filters.map((name) => [name, select(name).value]),
    ["sort", sorting.column === columns[0] && !sorting.descending ? "" : (sorting.descending ? "-" : "") + sorting.column.name],
    ...[...opened].map((id) => ["open", id]),
  ];
  const set = (chosen) => {
    const sort = chosen.get("sort") ?? "";
    const column = columns.find((one) => one.name === sort.replace(/^-/, "")) ?? columns[0];
    sorting = { column, descending: sort.startsWith("-") };
    opened.clear();
    for (const id of chosen.getAll("open")) if (byId.has(id)) opened.add(id);
    filter(Object.fromEntries(chosen));
  };

  const build = () => {
    const filtered = () => {
      refresh();
      report.state.changed("cells");
    };
    for (const name of filters) {
      const values = name === "verdict" ? verdicts.filter((v) => cells.some((c) => c.verdict === v))
        : [...new Set(cells.map((cell) => cell[name]))];
      const options = values.map((value) => element("option", {}, value));
      select(name).append(element("option", { value: "" }, "all"), ...options);
      select(name).addEventListener("change", filtered);
    }
    for (const column of columns) {
      const button = element("button", { type: "button" }, column.title);
      const head = element("th", { scope: "col", className: classes(column) }, button);
      head.style.width = column.width;
      button.addEventListener("click", () => {
        const again = sorting.column === column;
        sorting = { column, descending: again ? !sorting.descending : Boolean(column.number) };
        filtered();
      });
      table.tHead.rows[0].append(head);
    }
    search.addEventListener("input", () => {
      refresh();
      report.state.typed("cells");
    });
    document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("filters").addEventListener("reset", (event) => {
      event.preventDefault();
      opened.clear();
      filter({});
      report.state.changed("cells");
    });
    body.addEventListener("click", (event) => {
      const line = event.target.closest("tr.row");
      if (!line || getSelection().toString()) return;
      const { id } = cells[line.dataset.order];
      const isOpen = opened.delete(id);
      if (!isOpen) opened.add(id);
      put(line, !isOpen);
      report.state.changed("cells");
    });
    more.querySelector("button").addEventListener("click", () => showMore());
    new IntersectionObserver(([entry]) => entry.isIntersecting && showMore()).observe(more);
  };

  build();
  // The head of the table stays in sight below the navigation; on a phone there is none.
  const measure = () => table.style.setProperty("--cells-head", `${table.tHead.offsetHeight}px`);
  measure();
  addEventListener("resize", measure);
  report.state.register("cells", { keys: ["text", ...filters, "sort", "open"], read, set });
  report.cells = { filter, open, read, all: cells, packed };
};
