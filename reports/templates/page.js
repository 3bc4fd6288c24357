// The findings, and the start of the page.
"use strict";

// The findings of one backend, and the one that a fragment leads to.
report.startFindings = () => {
  const choice = document.getElementById("finding-backend");
  if (!choice) return;
  const items = [...document.querySelectorAll("details.finding")];
  const show = () => {
    for (const item of items) {
      item.hidden = choice.value !== "" && !JSON.parse(item.dataset.backends).includes(choice.value);
    }
    for (const group of document.querySelectorAll("#findings > .others")) {
      const shown = group.querySelectorAll(".finding:not([hidden])").length;
      group.querySelector(".shown").textContent = choice.value === "" ? "" : `${shown} of `;
    }
  };
  for (const line of document.querySelectorAll(".finding .line")) line.append(report.copyButton(line.querySelector("pre")));
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
  report.startMatrix();
  report.startFindings();
  report.startCurves();
  report.startTimings();
  await report.startPareto();
  report.state.start();
  document.documentElement.dataset.ready = "";
};
report.start();
