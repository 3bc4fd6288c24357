// The scale of logits: places in decades around 10ᵉ, ticks and what they are called.
"use strict";

report.scale = (exponent) => {
  // ±log₁₀(1 + |x| / 10ᵉ); beyond 15 decades the 1 does not matter any more.
  const place = (logit) => {
    const decades = Math.log10(Math.abs(logit)) - exponent;
    return Math.sign(logit) * (decades > 15 ? decades : Math.log10(1 + Math.abs(logit) / 10 ** exponent));
  };
  const logit = (place) => {
    const size = Math.abs(place);
    return Math.sign(place) * (size > 15 ? 10 ** Math.min(size + exponent, 308.25) : (10 ** size - 1) * 10 ** exponent);
  };

  const MOST = 16; // ticks
  const both = (sizes) => [...sizes.map((size) => -size).reverse(), 0, ...sizes];
  const decades = (from, to, step, factors) => {
    const sizes = [];
    for (let decade = from; decade <= to; decade += step) sizes.push(...factors.map((factor) => Number(`${factor}e${decade}`)));
    return both(sizes);
  };
  /** Logits to mark between two others: decades where there are several, else round numbers. */
  const ticks = (from, to) => {
    const within = (values) => values.filter((value) => value >= from && value <= to);
    const spread = [100, 50, 20, 10, 5, 2, 1].map((step) => {
      const first = Math.ceil((exponent + 1) / step) * step;
      return within(decades(first, 308, step, [1]));
    });
    spread.push(within(decades(exponent + 1, 308, 1, [1, 2, 5])));
    const chosen = spread.findLast((values) => values.length >= 5 && values.length <= MOST);
    if (chosen) return chosen;
    const rough = (to - from) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
    const begin = Math.ceil(from / step);
    const count = Math.min(Math.floor(to / step) - begin + 1, MOST);
    return Array.from({ length: Math.max(count, 0) }, (_, turn) => Number(((begin + turn) * step).toPrecision(12)));
  };

  const SMALL = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const called = (value) => {
    const size = Math.abs(value);
    const sign = value < 0 ? "−" : "";
    if (size === 0 || (size >= 1e-3 && size < 1e5)) return sign + Number(size.toPrecision(6));
    const [factor, power] = Number(size.toPrecision(4)).toExponential().split("e");
    const raised = power.replace("+", "").replace("-", "⁻").replace(/\d/g, (digit) => SMALL[digit]);
    return `${sign}${factor === "1" ? "" : `${factor}·`}10${raised}`;
  };
  return { place, logit, ticks, called };
};
