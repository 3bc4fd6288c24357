// The matrix, the findings, and the start of the page.
"use strict";

report.startMatrix = async () => {
  const controls = document.getElementById("grid-controls");
  const device = document.getElementById("grid-device");
  const others = await report.unpack("grid-data");
  // Markup of this page's own template, as its first view is.
  document.getElementById("grids").insertAdjacentHTML("beforeend", others ?? "");
  const views = [...document.querySelectorAll(".grid-view")];
  const dtypes = [...controls.querySelectorAll("input[name=grid-dtype]")];
  const dtype = () => dtypes.find((input) => input.checked).value;
  const show = () => {
    for (const view of views) view.hidden = view.dataset.device !== (device?.value ?? "") || view.dataset.dtype !== dtype();
  };
  controls.addEventListener("change", () => {
    show();
    report.state.changed("matrix");
  });

  // What a square asks for, and whether the table shows just that.
  const squares = [...document.querySelectorAll("a.square")];
  const keys = ["text", "backend", "family", "requirement", "dtype", "device", "verdict", "standing"];
  const asked = (square) => new URLSearchParams(square.getAttribute("href").split("?")[1]);
  const mark = () => {
    const shown = new Map(report.cells.read());
    for (const square of squares) {
      const parameters = asked(square);
      const chosen = keys.every((key) => (parameters.get(key) ?? "") === shown.get(key));
      if (chosen) square.setAttribute("aria-current", "true");
      else square.removeAttribute("aria-current");
    }
  };
  report.marked = mark;
  document.getElementById("matrix").addEventListener("click", (event) => {
    const square = event.target.closest("a.square");
    if (!square || event.ctrlKey || event.metaKey || event.shiftKey) return;
    mark();
    if (!square.hasAttribute("aria-current")) return;
    // A second click closes what the first has opened; the focus stays on the square.
    event.preventDefault();
    square.focus({ preventScroll: true });
    report.cells.filter({});
    report.state.changed("matrix");
  });

  report.state.register("matrix", {
    keys: ["grid-dtype", "grid-device"],
    read: () => [["grid-dtype", dtype()], ["grid-device", device?.value ?? ""]],
    set: (chosen) => {
      const wanted = chosen.get("grid-dtype") ?? "";
      for (const input of dtypes) input.checked = input.value === wanted;
      if (!dtypes.some((input) => input.checked)) dtypes[0].checked = true;
      if (device) device.value = chosen.get("grid-device") ?? "";
      if (device && device.selectedIndex < 0) device.value = "";
      show();
      mark();
    },
  });
};

// The findings of one backend, and the one that a fragment leads to.
report.startFindings = () => {
  const choice = document.getElementById("finding-backend");
  if (!choice) return;
  const items = [...document.querySelectorAll("details.finding")];
  const show = () => {
    for (const item of items) {
      item.hidden = choice.value !== "" && !item.dataset.backends.split(" ").includes(choice.value);
    }
  };
  choice.addEventListener("change", () => {
    for (const group of document.querySelectorAll("details.others")) group.open = choice.value !== "";
    show();
    report.state.changed("findings");
  });
  const open = () => {
    const chosen = items.find((item) => item.id && `#${item.id}` === location.hash);
    for (let item = chosen; item; item = item.parentElement.closest("details")) item.open = true;
    chosen?.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
  report.state.register("findings", {
    keys: ["finding-backend"],
    read: () => [["finding-backend", choice.value]],
    set: (chosen) => {
      choice.value = chosen.get("finding-backend") ?? "";
      if (choice.selectedIndex < 0) choice.value = "";
      if (choice.value) for (const group of document.querySelectorAll("details.others")) group.open = true;
      show();
    },
  });
};

report.start = async () => {
  await report.startCells();
  await report.startMatrix();
  report.startFindings();
  report.startCurves();
  report.startTimings();
  await report.startPareto();
  report.state.start();
  document.documentElement.dataset.ready = "";
};
report.start();
