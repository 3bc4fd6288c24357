// The matrix: backends × families, a family open to its requirements, narrowed by its switches.
"use strict";

report.startMatrix = () => {
  const { element, count, slug } = report;
  const { all, packed } = report.cells;
  const { verdicts, marks, requirements, families, backends } = packed;
  const table = document.getElementById("grid");
  const controls = document.getElementById("grid-controls");
  const closing = document.getElementById("grid-close");
  const said = document.getElementById("grid-said");
  const dtypes = [...controls.querySelectorAll("input[name=grid-dtype]")];
  const switches = ["device", "isa", "version"];
  const choice = (name) => document.getElementById(`grid-${name}`);
  const dtype = () => dtypes.find((input) => input.checked).value;
  const chosen = (name) => choice(name)?.value ?? "";
  const opened = new Set(); // families
  const WIDE = 10; // requirements that still fit on paper

  const of = (family) => Object.keys(requirements).filter((id) => requirements[id][0] === family);
  const columns = () => Object.keys(families).flatMap((family) => [
    { family }, ...(opened.has(family) ? of(family).map((requirement) => ({ family, requirement })) : []),
  ]);

  /** The backends of the chosen instruction set, and of the chosen version of its framework. */
  const rows = () => {
    const wanted = chosen("version");
    const framework = backends.find((one) => `${one.framework} ${one.version}` === wanted)?.framework;
    return backends.filter((one) =>
      (!chosen("isa") || one.instruction_set === chosen("isa"))
      && (one.framework !== framework || `${one.framework} ${one.version}` === wanted));
  };

  /** Backend and column → how many cells have which verdict, and how many are worse than known. */
  const squares = () => {
    const found = new Map();
    const add = (key, cell) => {
      if (!found.has(key)) found.set(key, { counts: verdicts.map(() => 0), unexpected: 0 });
      const square = found.get(key);
      square.counts[cell.rank] += 1;
      square.unexpected += Number(cell.standing.startsWith("worse"));
    };
    for (const cell of all) {
      if (dtype() && cell.dtype !== dtype()) continue;
      if (chosen("device") && cell.device !== chosen("device")) continue;
      add(`${cell.backend} ${cell.family}`, cell);
      if (opened.has(cell.family)) add(`${cell.backend} ${cell.requirement}`, cell);
    }
    return found;
  };

  /** The worst verdict of what was measured; the last two verdicts say nothing about quality. */
  const worst = ({ counts }) => {
    const rank = counts.slice(0, -2).findLastIndex(Boolean);
    return rank < 0 ? counts.findLastIndex(Boolean) : rank;
  };

  const square = (backend, { family, requirement }, one) => {
    const { counts, unexpected } = one;
    const ranks = verdicts.map((_, rank) => rank).filter((rank) => counts[rank]);
    const parameters = { backend, ...(requirement ? { requirement } : { family }), dtype: dtype(), device: chosen("device") };
    const asked = Object.entries(parameters).filter(([, value]) => value).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const colour = (rank) => verdicts[rank].replaceAll(" ", "-");
    const bar = element("span", { className: "bar", "aria-hidden": "true" });
    const counted = element("span", { className: "counts" });
    for (const rank of ranks) {
      const part = element("i", { className: slug(verdicts[rank]) });
      part.style.flexGrow = counts[rank];
      bar.append(part);
      counted.append(element("span", { className: `c-${colour(rank)}` }, `${counts[rank]} ${marks[rank]}`), " ");
    }
    const link = element("a", {
      className: `square ${slug(verdicts[worst(one)])}${unexpected ? " surprise" : ""}`, href: `#cells?${asked.join("&")}`,
      title: ranks.map((rank) => `${counts[rank]} ${verdicts[rank]}`).join(", ") + (unexpected ? `; ${unexpected} worse than known` : ""),
    }, element("span", { className: "unseen" }, `${backend}, ${requirement ?? family}: worst `), element("b", {}, marks[worst(one)]));
    if (unexpected) link.append(element("span", { className: "unseen" }, `, ${unexpected} worse than known; `));
    link.append(bar, counted);
    return link;
  };

  const head = ({ family, requirement }) => {
    if (requirement) {
      const link = element("a", { href: `#requirement/${encodeURIComponent(requirement)}`, title: requirements[requirement][1] }, requirement);
      return element("th", { scope: "col", className: "requirement" }, link);
    }
    const title = `${families[family] || family}: ${opened.has(family) ? "close" : "open"} its requirements`;
    const button = element("button", { type: "button", title }, family, element("small", {}, families[family]));
    button.dataset.family = family;
    button.setAttribute("aria-expanded", String(opened.has(family)));
    return element("th", { scope: "col" }, button);
  };

  const named = ({ id, version }) => {
    const link = element("a", { href: `#backend/${encodeURIComponent(id)}` });
    id.split(":").forEach((part, turn) => link.append(...(turn ? [":"] : []), element("wbr"), part));
    return element("th", { scope: "row" }, link, element("small", {}, version));
  };

  const draw = () => {
    const held = table.contains(document.activeElement) ? document.activeElement : null;
    const [family, address] = [held?.dataset.family, held?.getAttribute("href")];
    const shown = columns();
    const found = squares();
    table.tHead.rows[0].replaceChildren(element("th", { scope: "col" }, "backend"), ...shown.map(head));
    const lines = rows().map((backend) => {
      const line = element("tr", {}, named(backend));
      const mine = shown.map((column) => [column, found.get(`${backend.id} ${column.requirement ?? column.family}`)]);
      if (shown.length && mine.every(([, one]) => !one)) {
        const words = backend.status === "ok" ? "no cells" : backend.status;
        line.append(element("td", { className: "absent", colSpan: shown.length }, words));
        return line;
      }
      for (const [column, one] of mine) {
        const place = element("td", { className: column.requirement ? "requirement" : "" });
        if (one) place.append(square(backend.id, column, one));
        line.append(place);
      }
      return line;
    });
    table.tBodies[0].replaceChildren(...lines);
    table.style.setProperty("--columns", shown.length);
    table.classList.toggle("wide", shown.length - Object.keys(families).length > WIDE);
    closing.hidden = !opened.size;
    // What had the focus has it still.
    const again = [...table.querySelectorAll("button, a")].find((one) =>
      held && (family ? one.dataset.family === family : one.getAttribute("href") === address));
    again?.focus({ preventScroll: true });
    mark();
  };

  // What a square asks for, and whether the table shows just that.
  const keys = ["text", "backend", "family", "requirement", "dtype", "device", "verdict", "standing"];
  const mark = () => {
    const shown = new Map(report.cells.read());
    for (const one of table.querySelectorAll("a.square")) {
      const parameters = new URLSearchParams(one.getAttribute("href").split("?")[1]);
      const current = keys.every((key) => (parameters.get(key) ?? "") === shown.get(key));
      if (current) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
  };
  report.marked = mark;

  const close = () => {
    opened.clear();
    draw();
    table.querySelector("button")?.focus({ preventScroll: true });
    report.state.changed("matrix");
  };
  const toggle = (family) => {
    const isOpen = opened.delete(family);
    if (!isOpen) opened.add(family);
    draw();
    said.textContent = isOpen ? `${family} closed` : `${family} open: ${count(of(family).length)} requirements`;
    report.state.changed("matrix");
  };
  controls.addEventListener("change", () => {
    draw();
    report.state.changed("matrix");
  });
  closing.addEventListener("click", close);
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-family]");
    if (button) return toggle(button.dataset.family);
    const link = event.target.closest("a.square");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    mark();
    if (!link.hasAttribute("aria-current")) return;
    // A second click closes what the first has opened; the focus stays on the square.
    event.preventDefault();
    link.focus({ preventScroll: true });
    report.cells.filter({});
    report.state.changed("matrix");
  });

  const key = (name) => `grid-${name}`;
  report.state.register("matrix", {
    keys: ["dtype", ...switches, "open"].map(key),
    read: () => [
      [key("dtype"), dtype()], ...switches.map((name) => [key(name), chosen(name)]),
      ...[...opened].map((family) => [key("open"), family]),
    ],
    set: (given) => {
      const wanted = given.get(key("dtype")) ?? "";
      for (const input of dtypes) input.checked = input.value === wanted;
      if (!dtypes.some((input) => input.checked)) dtypes[0].checked = true;
      for (const name of switches) {
        if (choice(name)) choice(name).value = given.get(key(name)) ?? "";
        if (choice(name)?.selectedIndex < 0) choice(name).value = "";
      }
      opened.clear();
      for (const family of given.getAll(key("open"))) if (Object.hasOwn(families, family)) opened.add(family);
      draw();
    },
  });
  draw();
};
