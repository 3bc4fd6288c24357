// A window on a chart's scale: dragged, turned by the wheel, moved by buttons; and a cursor on it.
"use strict";

/**
 * Let a reader choose the window of a chart and a place in it.
 *
 * `box` holds the chart, its `.brush` and its `.cursor`; `buttons` the controls; `slider` moves the
 * cursor by keys. `scope()` → { whole, window, pixels(place), place(pixels), left, width }, places on
 * the chart's scale; `zoom(window or null)` and `point(place or null)` are told what was chosen.
 */
report.startZoom = ({ box, buttons, slider, scope, zoom, point }) => {
  const brush = box.querySelector(".brush");
  const cursor = box.querySelector(".cursor");
  const SMALLEST = 0.002; // of the whole
  const DRAGGED = 6; // pixels

  const limited = ([from, to]) => {
    const { whole } = scope();
    const size = Math.max(Math.min(to - from, whole[1] - whole[0]), SMALLEST * (whole[1] - whole[0]));
    const begin = Math.min(Math.max(from, whole[0]), whole[1] - size);
    return size >= whole[1] - whole[0] ? null : [begin, begin + size];
  };
  /** The window about `middle` that is `factor` times as wide. */
  const scaled = (factor, middle) => {
    const [from, to] = scope().window;
    const about = middle ?? (from + to) / 2;
    return limited([about - (about - from) * factor, about + (to - about) * factor]);
  };
  const moved = (share) => {
    const [from, to] = scope().window;
    return limited([from + share * (to - from), to + share * (to - from)]);
  };
  const acts = {
    in: () => scaled(0.5, chosen), out: () => scaled(2, chosen), left: () => moved(-0.5), right: () => moved(0.5), whole: () => null,
  };
  buttons.addEventListener("click", (event) => {
    const act = acts[event.target.dataset.zoom];
    if (act) zoom(act());
  });

  let chosen = null;
  const STEPS = Number(slider.max);
  /** Put the cursor at a place, or nowhere. */
  const put = (place) => {
    chosen = place;
    const { window: [from, to], pixels } = scope();
    const shown = place !== null && place >= from && place <= to;
    cursor.hidden = !shown;
    if (shown) {
      cursor.style.left = `${pixels(place)}px`;
      slider.value = String(Math.round(((place - from) / (to - from)) * STEPS));
    }
    point(shown ? place : null);
  };
  slider.addEventListener("input", () => {
    const [from, to] = scope().window;
    put(from + (slider.value / STEPS) * (to - from));
  });

  // Of fingers the chart takes nothing but a tap: they scroll the page.
  const at = (event) => {
    const { left, width } = scope();
    return Math.min(Math.max(event.clientX - box.getBoundingClientRect().left, left), left + width);
  };
  const read = (event) => scope().place(at(event));
  let begun = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    begun = at(event);
    box.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  box.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") put(read(event));
    if (begun === null) return;
    brush.hidden = Math.abs(at(event) - begun) < DRAGGED;
    brush.style.left = `${Math.min(begun, at(event))}px`;
    brush.style.width = `${Math.abs(at(event) - begun)}px`;
  });
  const end = (event) => {
    const from = begun;
    begun = null;
    brush.hidden = true;
    if (event.type === "pointerup" && from !== null && Math.abs(at(event) - from) >= DRAGGED) {
      const { place } = scope();
      zoom(limited([place(Math.min(from, at(event))), place(Math.max(from, at(event)))]));
    } else if (event.type === "pointerup") put(read(event));
  };
  box.addEventListener("pointerup", end);
  box.addEventListener("pointercancel", end);
  box.addEventListener("dblclick", () => zoom(null));
  // The wheel alone scrolls the page; with Ctrl, and two fingers on a touchpad, it zooms.
  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(scaled(Math.exp(Math.min(Math.max(event.deltaY, -200), 200) / 250), read(event)));
  }, { passive: false });

  return { put, again: () => put(chosen) };
};
