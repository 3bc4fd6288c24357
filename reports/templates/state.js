// What a reader has chosen, in the page's address: filters, sorting, open cells, the curve's choices.
// Each part of the page registers how its choices are read and set, as text by parameter.
"use strict";

report.state = (() => {
  const TYPING = 250; // milliseconds after the last key until the address follows
  const parts = new Map();
  let typing = 0;

  /** A part: `keys`, its parameters; `read()` → [parameter, text] pairs; `set(URLSearchParams)`. */
  const register = (section, part) => parts.set(section, part);

  const current = () => {
    const pairs = [...parts.values()].flatMap((part) => part.read());
    return String(new URLSearchParams(pairs.filter(([, value]) => value !== "")));
  };

  const write = (section) => {
    clearTimeout(typing);
    const parameters = current();
    if (history.state?.parameters === parameters) return;
    history.pushState({ parameters }, "", `#${section}${parameters ? `?${parameters}` : ""}`);
  };
  /** Put the choices into the address: one step for the back button. */
  const changed = (section) => write(section);
  const typed = (section) => {
    clearTimeout(typing);
    typing = setTimeout(write, TYPING, section);
  };

  const setAll = (parameters) => {
    const chosen = new URLSearchParams(parameters);
    for (const part of parts.values()) part.set(chosen);
  };

  const show = (id, focused) => {
    const place = document.getElementById(id);
    if (!place) return;
    place.scrollIntoView();
    if (!focused) return;
    const heading = place.querySelector("h2") ?? place;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  };

  /** Go where the fragment leads; what it does not say stays as it is. */
  const follow = (first) => {
    clearTimeout(typing);
    if (history.state?.parameters !== undefined) {
      setAll(history.state.parameters);
      return;
    }
    const fragment = location.hash.slice(1);
    const [place, ...rest] = fragment.split("?");
    const chosen = new URLSearchParams(rest.join("?"));
    if (place.startsWith("cell/")) {
      report.cells.open(...place.split("/").slice(1).map(report.decoded));
    } else {
      for (const [section, part] of parts) {
        const named = part.keys.some((key) => chosen.has(key));
        if (first || named || (section === place && rest.length)) part.set(chosen);
      }
      if (rest.length) show(place, !first);
    }
    const parameters = current();
    // A link to a section says what is chosen; one to a cell or a requirement stays as it is.
    const plain = !rest.length && document.getElementById(place)?.matches("section");
    history.replaceState({ parameters }, "", plain && parameters ? `#${place}?${parameters}` : location.href);
  };

  const start = () => {
    addEventListener("popstate", () => history.state && follow(false));
    addEventListener("hashchange", () => history.state ?? follow(false));
    if (history.state) setAll(history.state.parameters ?? "");
    else follow(true);
  };
  return { register, changed, typed, start };
})();
