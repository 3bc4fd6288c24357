// What the page's scripts share: making elements, and the data that came with the page.
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

/** A text that the page holds compressed, or null where it holds none. */
report.unpack = async (id) => {
  const source = document.getElementById(id);
  if (!source) return null;
  const coded = atob(source.textContent.trim());
  const bytes = new Uint8Array(coded.length);
  for (let place = 0; place < coded.length; place++) bytes[place] = coded.charCodeAt(place);
  const stream = new DecompressionStream("gzip");
  const writer = stream.writable.getWriter();
  writer.write(bytes);
  writer.close();
  const reader = stream.readable.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true });
  }
  return text + decoder.decode();
};

{
  /** A number to some digits; one that is a bound is never made less, nor is a 1 made of what is below. */
  const shortened = (value, digits, bound) => {
    let near = Number(value.toPrecision(digits));
    if (bound && near < value) near = Number((near + 10 ** (Math.floor(Math.log10(value)) + 1 - digits)).toPrecision(digits));
    return (bound && value < 1 && near >= 1) || near === Infinity ? value : near;
  };
  const written = (value, bound) => {
    // null stands for infinity within a distribution.
    if (value === null || value === Infinity) return "∞";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3) return shortened(value, 3, bound).toExponential(2).replace("e+", "e").replace("-", "−");
    return String(shortened(value, 4, bound)).replace("-", "−");
  };
  report.number = (value) => written(value, false);
  /** An error that none is larger than, rounded up. */
  report.atMost = (value) => written(value, true);
}
report.count = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");

/** A part of an address as it was written, also where it is no valid one. */
report.decoded = (part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};
